"""The product's own functions as they are measured: what is done before each call, and the call itself."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import UUID, uuid4

from bench.growth import shape
from bench.growth.ground import SIGNING
from bench.growth.site import CLAIMED, LEASE, QUEUE, Road, Site, expect, once, queue
from bench.growth.ticks import ticks
from core.domain.commands import PersonDetails
from core.domain.identifiers import public_id
from core.orchestration import admin_reading, execute, jobs, merchant_events, reading, receiving, replay
from core.orchestration.reading import Filters
from core.persistence.queries.replays import Wanted
from core.reconciliation.findings import Wanted as Chosen
from core.reconciliation.findings import list_findings

#: "Recent" is one of the newest so many payments that were filled in.
_RECENT = 200


def roads(site: Site) -> list[Road]:
    """In the order they are measured: each finds what those before it left."""
    return [*_money(site), *_webhooks(site), *_lists(site), *_single(site), *ticks(site), *_beside(site)]


def _money(site: Site) -> list[Road]:
    person = PersonDetails(email="ada@example.com", name="Ada")
    return [
        Road("accept a payment", "accept", site.accept),
        Road("accept a payment with a customer", "accept", lambda: site.accept(person)),
        Road(f"claim {CLAIMED} by ids", "claim", _claim_named(site), lambda: queue(site)),
        Road(f"poll, {QUEUE} due, {CLAIMED} taken", "poll", _poll(site), lambda: queue(site)),
        Road("poll, nothing due", "poll", lambda: jobs.claim(site.worker.database, "maintenance", 50, "g", LEASE)),
        Road("carry a payment out (announce, outcome)", None, lambda: _carry(site), lambda: _hold_next(site)),
    ]


def _claim_named(site: Site) -> Callable[[], object]:
    def call() -> None:
        ids = site.job_ids(CLAIMED, site.chance.randrange(QUEUE - CLAIMED))
        expect(len(jobs.claim(site.worker.database, "payments", CLAIMED, "growth", LEASE, ids)), CLAIMED)

    return call


def _poll(site: Site) -> Callable[[], object]:
    def call() -> None:
        expect(len(jobs.claim(site.worker.database, "payments", CLAIMED, "growth", LEASE)), CLAIMED)

    return call


def _hold_next(site: Site) -> None:
    site.accept()
    _, job = site.made.pop()
    (site.held,) = jobs.claim(site.worker.database, "payments", 1, "growth", LEASE, [job])


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
        if receiving.receive(site.api, "stripe", account, headers, body) != "stored":
            raise AssertionError("a new event was not stored")

    def drained() -> None:
        site.run("UPDATE jobs SET status = 'canceled' WHERE lane = 'webhooks' AND status = 'queued'")

    def received() -> None:
        drained()
        pack()
        receive()
        (site.held,) = jobs.claim(site.worker.database, "webhooks", 1, "growth", LEASE)

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
            once(in_review),
        ),
        *(
            Road(
                f"admin: jobs of {whose}, {status}",
                None,
                partial(admin_reading.list_jobs, site.admin, site.ground.scope(owner), 20, None, status),
            )
            for whose, owner in (("the large merchant", shape.LARGE), ("the small one", shape.SMALL))
            for status in ("succeeded", "failed", "canceled")
        ),
        Road(
            "admin: events of the last hour, counted",
            None,
            lambda: replay.count(site.admin, Wanted(scope=site.ground.scope(shape.SMALL), since=3600.0)),
        ),
        Road("admin: findings", None, lambda: list_findings(site.admin, site.scope, Chosen(1, status="resolved"))),
    ]
