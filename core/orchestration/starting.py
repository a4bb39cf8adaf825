"""Starting a payment: which account carries it, who has to be known there, and the charge or authorization itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy.engine import Connection

from core.domain.identifiers import new_id, public_id
from core.domain.outcomes import CUSTOMER_GONE
from core.domain.statuses import FINAL_PAYMENT
from core.orchestration import (
    announce,
    enrol,
    failover,
    health,
    jobs,
    payment_methods,
    provider_manager,
    requests,
    retries,
    router,
    routing,
    status_manager,
)
from core.orchestration.context import Core
from core.orchestration.jobs import Job
from core.orchestration.router import Candidate
from core.orchestration.steps import Enrol, Step
from core.persistence import pipeline
from core.persistence.database import Scope
from core.persistence.queries import payments as rows
from core.persistence.tables import payments

Row = Mapping[Any, Any]

#: A payment whose page was never delivered gets a new reference; more than this many is a fault, not bad luck.
MAX_STARTS = 8
#: What an attempt says of itself whose page was lost with the answer.
NEVER_DELIVERED = "never_delivered"


def start(core: Core, connection: Connection, job: Job, payment: Row) -> Step | None:
    """The charge or authorization of a new payment."""
    sent = rows.transactions_of(connection, payment["id"])
    current = rows.latest_start(sent)
    if current is not None and current["status"] in ("sent", "unknown"):
        return announce.go_on(core, connection, job, payment, current)
    left = current is None or current["status"] in ("not_executed", "declined")
    if payment["status"] in FINAL_PAYMENT or not left:
        jobs.finish(connection, job)
        return None
    if _has_to_wait(core, connection, job, payment, sent):
        return None
    return _start_anew(core, connection, job, payment, sent)


def start_new(core: Core, connection: Connection, job: Job, payment: Row) -> Step | None:
    """The same for a job that nobody has claimed before: nothing can have been sent yet."""
    if payment["status"] in FINAL_PAYMENT:
        jobs.finish(connection, job)
        return None
    return _start_anew(core, connection, job, payment, [])


def _has_to_wait(core: Core, connection: Connection, job: Job, payment: Row, sent: Sequence[Row]) -> bool:
    """Nothing new is sent before its time, nor while an earlier attempt has charged or still may."""
    wait = retries.next_step(connection, payment, sent)
    if wait is None:
        decline = _last_decline(retries.starts_of(sent))
        status_manager.fail_unsent(core, connection, payment, decline, announce.cause_of(job))
        jobs.finish(connection, job)
        return True
    if wait > 0:
        jobs.requeue(connection, job, wait, {"code": "declined", "message": retries.LATER})
    return wait > 0


def _start_anew(core: Core, connection: Connection, job: Job, payment: Row, sent: Sequence[Row]) -> Step | None:
    starts = [row for row in sent if status_manager.is_start(row)]
    found = _candidates(core, connection, job, payment)
    left = router.eligible(found, used_accounts(starts) | retries.left_behind(payment, starts))
    if payment["method"] in failover.CROSSES:  # a token is good at one account alone, healthy or not
        left = router.down_last(left)
    if not left or len(starts) >= MAX_STARTS:
        status_manager.fail_unsent(core, connection, payment, _last_decline(starts), announce.cause_of(job))
        jobs.finish(connection, job)
        return None
    account = provider_manager.open_account(core, connection, job.scope, left[0].account_id)
    known = enrol.customer_at(core, connection, job.scope, payment, account)
    if isinstance(known, Enrol):
        return known
    chosen = {
        "provider": left[0].provider,
        "provider_account_id": left[0].account_id,
        "route": {**(payment["route"] or {}), **_chosen(left[0], found)},
    }
    transaction_id, number = new_id(), len(starts) + 1
    try:
        request = requests.start_request(core, connection, job.scope, payment, transaction_id, number, known)
    except requests.MethodGone:
        status_manager.fail_unsent(core, connection, payment, _METHOD_GONE, announce.cause_of(job))
        jobs.finish(connection, job)
        return None
    pipeline.update(connection, payments, payment["id"], chosen)
    return announce.announce_new(core, connection, job, payment, account, request.kind, number, transaction_id, request)


def _candidates(core: Core, connection: Connection, job: Job, payment: Row) -> list[Candidate]:
    """Every account in the order that the payment's route gave it, with how each stands now."""
    wish, order = wish_of(connection, payment), routing.order_of(payment["route"])
    found = router.candidates(connection, job.scope.merchant_id, job.scope.mode, wish, order)
    return router.with_health(found, health.standing(core, job.scope, [one.account_id for one in found]))


def _chosen(first: Candidate, found: Sequence[Candidate]) -> dict[str, Any]:
    shown = [one.as_dict() for one in found]
    return {"chosen": public_id("provider_account", first.account_id), "candidates": shown}


def wish_of(connection: Connection, payment: Row) -> router.Wish:
    """What was asked for. The customer may have been stored without an address."""
    customer = rows.find_customer(connection, payment["customer_id"]) if payment["customer_id"] is not None else None
    return router.Wish(
        payment["amount"],
        payment["currency"],
        payment["method"],
        payment["capture"],
        payment["provider_pin"],
        customer is not None and customer["email_index"] is not None,
        payment["return_url"] is not None,
        payment["save_method"],
        payment["off_session"],
        _account_of_method(connection, payment),
    )


def _account_of_method(connection: Connection, payment: Row) -> UUID | None:
    """Of a saved method that is charged; one that was deleted meanwhile is noticed when it is opened."""
    if payment["method"] != "saved":
        return None
    scope = Scope(payment["merchant_id"], payment["mode"])
    row = payment_methods.load_for_payment(connection, scope, payment["payment_method_id"])
    return None if row is None else row["provider_account_id"]


def used_accounts(starts: Sequence[Row]) -> frozenset[UUID]:
    """Accounts that proved unable; a page never delivered, or a customer gone, says nothing against its account."""
    return frozenset(
        row["provider_account_id"]
        for row in starts
        if row["status"] == "not_executed"
        and (row["evidence"] or {}).get("detail") not in (NEVER_DELIVERED, CUSTOMER_GONE)
    )


def _last_decline(starts: Sequence[Row]) -> Mapping[str, Any]:
    told = [row["decline"] for row in starts if row["decline"]]
    return told[-1] if told else {**_NO_ACCOUNT}


_NO_ACCOUNT = {
    "code": "no_provider_account",
    "category": "hard",
    "message": "No provider account can carry this payment any more.",
    "provider_code": None,
}


_METHOD_GONE = {
    "code": "payment_method_gone",
    "category": "hard",
    "message": "The saved payment method was deleted before it could be charged.",
    "provider_code": None,
}
