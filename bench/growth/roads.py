"""The product's own functions as they are measured: what is done before each call, and the call itself."""

from __future__ import annotations

import hashlib
import hmac
import json
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import cycle, islice
from typing import Any
from uuid import UUID, uuid4

from bench.growth import shape
from bench.growth.ground import SIGNING, Ground
from core.domain.commands import CreatePayment, PersonDetails, TokenMethod
from core.domain.identifiers import public_id
from core.orchestration import accept, admin_reading, execute, inbox, jobs, merchant_events, reading, scheduled
from core.orchestration.context import Caller, Core
from core.orchestration.idempotency import IdempotencyKey
from core.orchestration.jobs import Job
from core.orchestration.reading import Filters

#: Rows that are due when something due is looked for.
DUE = 20
#: Jobs in a claim, as in a hint of a busy moment.
CLAIMED = 10
#: Waiting jobs while claims are measured: a queue that is worked off, not one that grows.
QUEUE = 200
#: Seconds of lease, longer than any road is measured for.
_LEASE = 3600.0
#: "Recent" is one of the newest so many payments that were filled in.
_RECENT = 200


def _nothing() -> None:
    """Before a call that needs no preparation."""


@dataclass(frozen=True, slots=True)
class Road:
    """One figure. `goal` names the part of the goal's row it belongs to, None for one measured beside it."""

    name: str
    goal: str | None
    call: Callable[[], object]
    before: Callable[[], None] = _nothing


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


def roads(site: Site) -> list[Road]:
    """In the order they are measured: each finds what those before it left."""
    return [*_money(site), *_webhooks(site), *_lists(site), *_single(site), *_clock(site), *_beside(site)]


def _money(site: Site) -> list[Road]:
    person = PersonDetails(email="ada@example.com", name="Ada")
    return [
        Road("accept a payment", "accept", site.accept),
        Road("accept a payment with a customer", "accept", lambda: site.accept(person)),
        Road(f"claim {CLAIMED} by ids", "claim", _claim_named(site), lambda: _queue(site)),
        Road(f"poll, {QUEUE} due, {CLAIMED} taken", "poll", _poll(site), lambda: _queue(site)),
        Road("poll, nothing due", "poll", lambda: jobs.claim(site.worker.database, "maintenance", 50, "g", _LEASE)),
        Road("carry a payment out (announce, outcome)", None, lambda: _carry(site), lambda: _hold_next(site)),
    ]


def _queue(site: Site) -> None:
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


def _claim_named(site: Site) -> Callable[[], object]:
    def call() -> None:
        ids = site.job_ids(CLAIMED, site.chance.randrange(QUEUE - CLAIMED))
        _expect(len(jobs.claim(site.worker.database, "payments", CLAIMED, "growth", _LEASE, ids)), CLAIMED)

    return call


def _poll(site: Site) -> Callable[[], object]:
    def call() -> None:
        _expect(len(jobs.claim(site.worker.database, "payments", CLAIMED, "growth", _LEASE)), CLAIMED)

    return call


def _expect(found: int, wanted: int) -> None:
    if found != wanted:
        raise AssertionError(f"{found} found where there are {wanted}")


def _hold_next(site: Site) -> None:
    site.accept()
    _, job = site.made.pop()
    (site.held,) = jobs.claim(site.worker.database, "payments", 1, "growth", _LEASE, [job])


def _carry(site: Site) -> None:
    if site.held is not None:
        execute.run(site.worker, site.held)


def _webhooks(site: Site) -> list[Road]:
    account = site.ground.owners[shape.LARGE].account_id
    parcel: list[tuple[dict[str, str], bytes]] = []

    def pack() -> None:
        span, number = site.ground.span, site.number(_RECENT)
        mark = public_id("transaction", span.id_of("charge", number, 20))
        parcel[:] = [_signed(mark, 1000 + number % 90000)]

    def receive() -> None:
        headers, body = parcel[0]
        if inbox.receive(site.api, "stripe", account, headers, body) != "stored":
            raise AssertionError("a new event was not stored")

    def drained() -> None:
        site.run("UPDATE jobs SET status = 'canceled' WHERE lane = 'webhooks' AND status IN ('queued', 'running')")

    def received() -> None:
        drained()
        pack()
        receive()
        (site.held,) = jobs.claim(site.worker.database, "webhooks", 1, "growth", _LEASE)

    return [
        Road("webhook stored", None, receive, pack),
        Road("webhook carried out", None, lambda: _carry(site), received),
    ]


def _signed(mark: str, amount: int) -> tuple[dict[str, str], bytes]:
    """A Stripe event that says what is known already, as a second webhook of a payment does."""
    number = uuid4().hex
    intent = {
        "id": f"pi_{number}",
        "object": "payment_intent",
        "status": "succeeded",
        "amount": amount,
        "amount_received": amount,
        "currency": "usd",
        "capture_method": "automatic",
        "latest_charge": f"ch_{number}",
        "metadata": {"tollgate_transaction": mark, "tollgate_method": "token", "tollgate_kind": "charge"},
    }
    stamp = int(time.time())
    event = {"id": f"evt_{number}", "type": "payment_intent.succeeded", "created": stamp, "data": {"object": intent}}
    body = json.dumps(event).encode()
    signature = hmac.new(SIGNING.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
    return {"stripe-signature": f"t={stamp},v1={signature}"}, body


def _lists(site: Site) -> list[Road]:
    span = site.ground.span
    middle = span.payments // 2
    small, quiet = site.ground.scope(shape.SMALL), site.ground.scope(shape.QUIET)

    def page(name: str, goal: str | None, scope: Any, filters: Callable[[], Filters], least: int = 20) -> Road:
        def call() -> None:
            found = reading.list_payments(site.api, scope, filters())
            if len(found["data"]) < least:
                raise AssertionError(f"{len(found['data'])} payments on a page that has {least}")

        return Road(name, goal, call)

    def customer() -> Filters:
        number = site.number(each=shape.CUSTOMER_EACH)
        return Filters(customer_id=span.id_of("customer", number))

    later = span.id_of("payment", middle)
    return [
        page("list: first page", "list page", site.scope, Filters),
        page("list: page in the middle", "list page", site.scope, lambda: Filters(after=later)),
        page("list: first page of a small merchant", "list page", small, Filters),
        page("list: first page of a merchant gone half a year", "list page", quiet, Filters),
        page("list: by status (failed)", "list page", site.scope, lambda: Filters(status="failed")),
        page("list: by reference", "list page", site.scope, lambda: Filters(reference=f"order-{site.number()}"), 1),
        page("list: by customer", "list page", site.scope, customer, 1),
        page(
            "list: older than half a year",
            "list page",
            site.scope,
            lambda: Filters(created_before=span.at(middle)),
        ),
        page("list: by currency (one in twenty)", "list page", site.scope, lambda: Filters(currency="EUR")),
    ]


def _single(site: Site) -> list[Road]:
    span = site.ground.span

    def job(newest: int | None) -> UUID:
        return span.id_of("create_payment", site.number(newest), 1)

    return [
        Road("payment, recent", None, lambda: reading.get_payment(site.api, site.scope, site.payment(_RECENT))),
        Road("payment, any", None, lambda: reading.get_payment(site.api, site.scope, site.payment())),
        Road("job, recent", None, lambda: reading.get_job(site.api, site.scope, job(_RECENT))),
        Road("job, any", None, lambda: reading.get_job(site.api, site.scope, job(None))),
        Road("timeline, recent", "timeline", lambda: reading.timeline(site.api, site.scope, site.payment(_RECENT))),
        Road("timeline, any", "timeline", lambda: reading.timeline(site.api, site.scope, site.payment())),
    ]


def _clock(site: Site) -> list[Road]:
    def overdue() -> None:
        _queue(site)
        site.run(
            "UPDATE jobs SET run_after = app_now() + interval '1 hour' WHERE id = ANY(%s::uuid[])",
            [str(one) for one in site.job_ids(QUEUE)[DUE:]],
        )

    def sweep() -> None:
        _expect(scheduled.sweep(site.worker), DUE)

    return [
        Road(f"sweep, {DUE} overdue", "sweep", sweep, overdue),
        Road(f"resolve unknown, {DUE} open", None, lambda: scheduled.resolve_unknown(site.worker), _once(_open(site))),
        Road(f"synchronise open, {DUE} due", None, _scheduled(site, scheduled.synchronise_open), _open_due(site)),
        Road(f"close abandoned, {DUE} due", None, _scheduled(site, scheduled.close_abandoned), _abandoned(site)),
        Road(f"deliver events, {DUE} due", None, _scheduled(site, scheduled.deliver_events), _once(_undelivered(site))),
    ]


def _scheduled(site: Site, tick: Callable[[Core], int]) -> Callable[[], object]:
    return lambda: _expect(tick(site.worker), DUE)


def _once(act: Callable[[], None]) -> Callable[[], None]:
    done: list[bool] = []

    def before() -> None:
        if not done:
            act()
            done.append(True)

    return before


def _numbers(site: Site, status: str, count: int) -> list[str]:
    """Filled payments of the large merchant that ended in `status`, spread over the whole time."""
    found: set[int] = set()
    while len(found) < count:
        number = site.number()
        if shape.status_of(number) == status:
            found.add(number)
    return [str(site.ground.span.id_of("payment", number)) for number in found]


def _open(site: Site) -> Callable[[], None]:
    """Charges long on their way, each with a job that sees to it."""

    def act() -> None:
        ids = _numbers(site, "succeeded", DUE)
        site.run(
            "UPDATE transactions SET status = 'unknown', last_sent_at = app_now() - interval '1 hour' "
            "WHERE payment_id = ANY(%s::uuid[]) AND kind = 'charge'",
            ids,
        )
        site.run(
            "UPDATE jobs SET status = 'running', lease_until = app_now() + interval '1 hour' "
            "WHERE payment_id = ANY(%s::uuid[]) AND kind = 'create_payment'",
            ids,
        )

    return act


def _fresh_jobs(site: Site, kind: str, ids: Sequence[str]) -> None:
    site.run("DELETE FROM jobs WHERE payment_id = ANY(%s::uuid[]) AND kind = %s", list(ids), kind)


def _open_due(site: Site) -> Callable[[], None]:
    ids = _numbers(site, "succeeded", DUE)

    def before() -> None:
        _fresh_jobs(site, "sync_payment", ids)
        site.run("UPDATE payments SET next_sync_at = app_now() - interval '1 s' WHERE id = ANY(%s::uuid[])", ids)

    return before


def _abandoned(site: Site) -> Callable[[], None]:
    ids = _numbers(site, "canceled", DUE)

    def before() -> None:
        _fresh_jobs(site, "expire_payment", ids)
        site.run(
            "UPDATE payments SET status = 'requires_action', expires_at = app_now() - interval '1 s', "
            "next_sync_at = NULL WHERE id = ANY(%s::uuid[]) AND status <> 'requires_action'",
            ids,
        )

    return before


def _undelivered(site: Site) -> Callable[[], None]:
    def act() -> None:
        with site.worker.transaction(site.scope) as connection:
            for _ in range(DUE):
                jobs.enqueue(connection, site.scope, "deliver_event", payment_id=site.payment(), target_id=uuid4())

    return act


def _beside(site: Site) -> list[Road]:
    def in_review() -> None:
        site.run(
            "UPDATE jobs SET status = 'needs_review', finished_at = NULL WHERE id = ANY(%s::uuid[])",
            [str(one) for one in site.job_ids(5)],
        )

    def event() -> UUID:
        return site.ground.span.id_of("event 2", site.number(), 400)

    return [
        Road("events: first page", None, lambda: merchant_events.list_events(site.api, site.scope)),
        Road("events: one, any", None, lambda: merchant_events.get_event(site.api, site.scope, event())),
        Road(
            "admin: jobs in review (5)",
            None,
            lambda: admin_reading.list_jobs(site.admin, site.scope, 20, None, "needs_review"),
            _once(in_review),
        ),
        Road("admin: findings", None, lambda: admin_reading.list_findings(site.admin, site.scope, 1, None, "open")),
    ]
