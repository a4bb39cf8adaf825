"""What all measured calls share: the product's cores, payments made while measuring, a queue that is kept filled."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import cycle, islice
from typing import Any
from uuid import UUID, uuid4

from bench.growth import shape
from bench.growth.ground import Ground
from core.domain.commands import CreatePayment, PersonDetails, TokenMethod
from core.orchestration import accept
from core.orchestration.context import Caller, Core
from core.orchestration.idempotency import IdempotencyKey
from core.orchestration.jobs import Job

#: Rows that are due when something due is looked for.
DUE = 20
#: Jobs in a claim, as in a hint of a busy moment.
CLAIMED = 10
#: Waiting jobs while claims are measured: a queue that is worked off, not one that grows.
QUEUE = 200
#: Seconds of lease, longer than any road is measured for.
LEASE = 3600.0


def nothing() -> None:
    """Before a call that needs no preparation."""


@dataclass(frozen=True, slots=True)
class Road:
    """One figure. `goal` names the part of the goal's row it belongs to, None for one measured beside it."""

    name: str
    goal: str | None
    call: Callable[[], object]
    before: Callable[[], None] = nothing


@dataclass
class Site:
    """What the roads share: the cores, a connection that may do anything, and payments made while measuring."""

    ground: Ground
    api: Core
    worker: Core
    admin: Core
    run: Callable[..., list[Any]]
    chance: random.Random = field(default_factory=lambda: random.Random(7))
    made: list[tuple[UUID, UUID]] = field(default_factory=list)
    held: Job | None = None

    def __post_init__(self) -> None:
        self.scope = self.ground.scope(shape.LARGE)
        self.caller = Caller(self.scope, "key tg_test_growth", "growth", frozenset())

    def number(self, newest: int | None = None, each: int = 1) -> int:
        """A filled payment of the large merchant, of the `newest` so many, divisible by `each`."""
        count = self.ground.span.payments
        while True:
            number = self.chance.randint(max(1, count - newest) if newest else 1, count) // each * each
            if number >= 1 and shape.owner_of(number, count) == shape.LARGE:
                return number

    def payment(self, newest: int | None = None) -> UUID:
        return self.ground.span.id_of("payment", self.number(newest))

    def accept(self, person: PersonDetails | None = None) -> None:
        text = uuid4().hex
        command = CreatePayment(
            5000,
            "USD",
            TokenMethod("pm_card_visa"),
            person=person,
            return_url="https://shop.example/back",
            reference=f"order-{text}",
            metadata={"order": "1001"},
        )
        key = IdempotencyKey(text, hashlib.sha256(text.encode()).digest())
        answer = accept.create_payment(self.api, self.caller, command, key)
        if answer.job_id is None or answer.payment_id is None:
            raise AssertionError("an accepted payment names its job")
        self.made.append((answer.payment_id, answer.job_id))

    def job_ids(self, count: int, place: int = 0) -> list[UUID]:
        return [job for _, job in islice(cycle(self.made), place, place + count)]


def queue(site: Site) -> None:
    """QUEUE waiting jobs of accepted payments, due, whatever the last call did."""
    while len(site.made) < QUEUE:
        site.accept()
    site.run(
        "UPDATE jobs SET status = 'queued', lease_until = NULL, worker = NULL, run_after = app_now() - interval '3 s' "
        "WHERE id = ANY(%s::uuid[]) AND status <> 'queued'",
        [str(one) for one in site.job_ids(QUEUE)],
    )
    site.run(
        "UPDATE jobs SET status = 'canceled' WHERE status = 'queued' AND NOT id = ANY(%s::uuid[])",
        [str(one) for one in site.job_ids(QUEUE)],
    )


def expect(found: int, wanted: int) -> None:
    if found != wanted:
        raise AssertionError(f"{found} found where there are {wanted}")


def once(act: Callable[[], None]) -> Callable[[], None]:
    done: list[bool] = []

    def before() -> None:
        if not done:
            act()
            done.append(True)

    return before
