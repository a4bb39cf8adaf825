"""Status Manager: the one place that writes a status of a payment, transaction, refund or dispute.

Every step is checked against the literal tables of `core/domain/statuses.py` and leaves, in the same commit, an
audit record and, for what merchants see, an event with its deliveries.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.domain import representations
from core.domain.identifiers import new_id
from core.domain.outcomes import CANCEL_AFTER_DECLINE, DisputeFacts, Facts, NextAction, Outcome
from core.domain.statuses import CHARGE_KINDS, FINAL_PAYMENT, check_step
from core.orchestration import dispute_plan, jobs, keepsakes, retries, settlement, stakes, traces
from core.orchestration.backoff import spread
from core.orchestration.context import Cause, Core
from core.persistence import pipeline
from core.persistence.database import Scope, present
from core.persistence.queries import disputes as dispute_rows
from core.persistence.queries import payments as rows
from core.persistence.queries import report_days, surplus
from core.persistence.queries.findings import open_finding
from core.persistence.tables import disputes, payments, refunds, transactions
from core.persistence.vault import Place
from core.providers.base import News

Row = Mapping[Any, Any]

_TABLES = {"payment": payments, "transaction": transactions, "refund": refunds, "dispute": disputes}
#: Columns of a new row that nobody names.
_EMPTY = {subject: dict.fromkeys(table.columns.keys()) for subject, table in _TABLES.items()}
_SUMS = "amount_authorized amount_captured amount_received amount_refunded amount_disputed refund_reserved sync_count"
_NEW_PAYMENT: Mapping[str, Any] = {
    **dict.fromkeys(_SUMS.split(), 0),
    "event_sequence": 1,
    "save_method": False,
    "off_session": False,
    "payer_erased": False,
}


@dataclass(frozen=True, slots=True)
class Applied:
    """What came of an outcome: the rows as they are now, and whether a person has to look."""

    payment: Row
    transaction: Row
    stale: bool = False
    review: str | None = None


@dataclass(frozen=True, slots=True)
class AppliedDispute:
    """The rows as they are now. `dispute` is the known one, unchanged, where what was said is `stale`."""

    payment: Row
    dispute: Row
    stale: bool = False


def create_payment(connection: Connection, scope: Scope, values: Mapping[str, Any], cause: Cause) -> Row:
    """Store a payment with its first status, and the event that tells of it."""
    row = _create(connection, scope, "payment", {**_NEW_PAYMENT, **values}, "processing", cause, values["id"])
    traces.tell(connection, scope, "payment.processing", row["id"], {"payment": representations.event_payment(row)})
    return row


def create_refund(connection: Connection, payment: Row, values: Mapping[str, Any], cause: Cause) -> Row:
    """Store a refund with its first status; what we ask for ourselves is reserved on the locked payment."""
    scope = _scope(payment)
    if values["origin"] == "api":
        reserved = payment["refund_reserved"] + values["amount"]
        _update(connection, payments, payment, {"refund_reserved": reserved})
    filled = {"id": new_id(), "payment_id": payment["id"], "currency": payment["currency"], **values}
    row = _create(connection, scope, "refund", filled, "processing", cause, payment["id"])
    body = {"refund": representations.refund(row), "payment": representations.event_payment(payment)}
    traces.emit(connection, scope, "refund.processing", payment["id"], body)
    return row


def create_transaction(connection: Connection, payment: Row, values: Mapping[str, Any], cause: Cause) -> Row:
    """Announce a send before it happens: provider key, number and request are fixed from here on."""
    now = present(connection)
    filled = {
        "payment_id": payment["id"],
        "currency": payment["currency"],
        "send_count": 1,
        "first_sent_at": now,
        "last_sent_at": now,
        # Until an answer proves otherwise, a worker that dies from here on may have reached the provider.
        "ambiguous": True,
        "not_found_count": 0,
        "lookup_count": 0,
        "surplus": False,
        "extra": {},
        **values,
    }
    return _create(connection, _scope(payment), "transaction", filled, "sent", cause, payment["id"])


def adopt_charge(connection: Connection, payment: Row, values: Mapping[str, Any], cause: Cause) -> Row:
    """A charge at the provider that no send of ours is known for, as a person links it to an ended payment.

    It begins as not executed: what a look-up then finds is surplus, and never takes the place of the payment's own.
    """
    made = create_transaction(connection, payment, {**values, "surplus": True}, cause)
    evidence = {"reason": "not_found", "detail": "linked by a person; the provider is asked about it"}
    ended = {"surplus": False, "ambiguous": False, "evidence": evidence}
    return _change(connection, "transaction", made, "not_executed", ended, cause)


def apply(
    core: Core,
    connection: Connection,
    payment: Row,
    transaction: Row,
    outcome: Outcome,
    cause: Cause,
    *,
    keep_payment: bool = False,
) -> Applied:
    """Carry an outcome into the locked rows. With `keep_payment` only the attempt ends (failover).

    So it does after a decline that may be followed by another try.
    """
    refund = rows.lock_refund(connection, transaction["refund_id"]) if transaction["refund_id"] else None
    plan = settlement.plan(payment, transaction, refund, outcome)
    if cause.kind != "webhook":  # the inbox keeps those
        traces.store_body(core, connection, payment, transaction, outcome)
    plan.transaction.update({} if cause.took_ms is None else {"call_ms": cause.took_ms})
    if keep_payment or retries.keeps_open(connection, payment, transaction, outcome):
        plan.payment_status, plan.payment = None, {}
    if plan.stale:
        return Applied(payment, transaction, stale=True)
    transaction = _change(connection, "transaction", transaction, plan.transaction_status, plan.transaction, cause)
    values = dict(plan.payment)
    if plan.transaction_status == "declined":
        keepsakes.count_unknown_word(connection, transaction, outcome)
    values.update(keepsakes.method_values(core, connection, payment, transaction, outcome, cause))
    if transaction["status"] in ("pending", "requires_action"):
        # Not every end is told by webhook: what is open is asked about, also when the payment itself is final.
        values["next_sync_at"] = present(connection) + timedelta(seconds=spread(core.settings.sync_delays[0]))
    if plan.next_action is not None:
        values.update(_next_action_values(core, connection, payment, plan.next_action))
    if plan.payment_status == "requires_action" and plan.next_action is None and payment["expires_at"] is None:
        # Whatever waits for a customer is closed one day, also when nobody told us until when.
        values["expires_at"] = present(connection) + timedelta(seconds=core.settings.redirect_ttl)
    payment = _change_payment(core, connection, payment, plan.payment_status, values, cause)
    if refund is not None and (plan.refund_status or plan.refund):
        _change_refund(connection, payment, refund, plan, transaction, cause)
    _report(connection, payment, transaction, plan)
    if plan.transaction_status == "declined" and transaction["extra"].get(CANCEL_AFTER_DECLINE):
        jobs.enqueue(connection, _scope(payment), "close_payment", payment_id=payment["id"])
    return Applied(payment, transaction, review=plan.review)


def cancel_unsent(core: Core, connection: Connection, payment: Row, cause: Cause) -> Row:
    """Cancel a payment for which nothing was ever sent; its waiting job is canceled by the caller."""
    return _change_payment(core, connection, payment, "canceled", {}, cause)


def fail_unsent(core: Core, connection: Connection, payment: Row, decline: Mapping[str, Any], cause: Cause) -> Row:
    """Fail a payment that no provider account can carry any more."""
    values = {"decline": dict(decline), "failure_code": decline["code"]}
    return _change_payment(core, connection, payment, "failed", values, cause)


def fail_refund(connection: Connection, payment: Row, refund: Row, failure: Mapping[str, Any], cause: Cause) -> None:
    """End a refund that can never be sent, and give its reservation back."""
    plan = settlement.Plan(refund_status="failed", refund={"failure": dict(failure)})
    reserved = payment["refund_reserved"] - (refund["amount"] if refund["origin"] == "api" else 0)
    payment = _update(connection, payments, payment, {"refund_reserved": reserved})
    _change_refund(connection, payment, refund, plan, None, cause)


def close_abandoned(core: Core, connection: Connection, payment: Row, start: Row, cause: Cause) -> Row:
    """Cancel a redirect nobody finished, after the provider was asked and told; it stays watched for late money."""
    _change(connection, "transaction", start, "canceled", {}, cause)
    watch = present(connection) + timedelta(seconds=core.settings.redirect_watch)
    changed = _change_payment(core, connection, payment, "canceled", {"watch_until": watch}, cause)
    next_look = present(connection) + timedelta(seconds=spread(core.settings.sync_delays[-1]))
    return _update(connection, payments, changed, {"next_sync_at": next_look})


def apply_without_transaction(
    core: Core, connection: Connection, payment: Row, operation: str, amount: int | None, cause: Cause
) -> bool:
    """A hold captured or released at the provider without our asking. False if the payment is past it."""
    if payment["status"] != "authorized":
        return False
    if operation == "capture":
        taken = payment["amount_authorized"] if amount is None else amount
        sums = {"amount_captured": taken, "amount_received": taken}
        _change_payment(core, connection, payment, "succeeded", sums, cause)
    else:
        _change_payment(core, connection, payment, "canceled", {}, cause)
    details = {"operation": operation, "reference": cause.reference}
    key, told = f"{payment['id']}:{operation}", {"operation": operation, "amount": amount}
    at_stake = stakes.of_payment(payment, payment["amount_authorized"] if amount is None else amount, told)
    open_finding(connection, _scope(payment), "operation_not_ours", key, details, payment_id=payment["id"], **at_stake)
    return True


def adopt_refund(core: Core, connection: Connection, payment: Row, news: News, cause: Cause) -> str:
    """A refund made at the provider's own dashboard: kept as ours, without having reserved anything."""
    facts = getattr(news.outcome, "facts", None) or Facts()
    if news.outcome is None or news.provider_id is None or facts.amount is None:
        return "a refund of the provider without id or amount"
    refund: Row | None = rows.find_refund_by_provider(connection, payment["id"], news.provider_id)
    if refund is None:
        values = {"amount": facts.amount, "origin": "provider", "provider_id": news.provider_id}
        refund = create_refund(connection, payment, values, cause)
        details = {"amount": facts.amount, "reference": cause.reference}
        told = {"refund": news.provider_id, **stakes.said(facts)}
        at_stake = stakes.of_payment(payment, facts.amount, told)
        about = {"payment_id": payment["id"], **at_stake}
        open_finding(connection, _scope(payment), "refund_not_ours", news.provider_id, details, **about)
    if news.start_provider_id is not None:
        surplus.keep_refund(connection, payment["id"], refund["id"], news.start_provider_id)
    plan = settlement.plan_refund(payment, refund, news.outcome)
    changed = _change_payment(core, connection, payment, None, plan.payment, cause)
    _change_refund(connection, changed, refund, plan, None, cause)
    if plan.finding is not None:
        kind, told = plan.finding
        at_stake = stakes.of_payment(payment, refund["amount"], {"refund": refund["provider_id"]})
        about = {"payment_id": payment["id"], **at_stake}
        open_finding(connection, _scope(payment), kind, str(refund["id"]), told, **about)
    return "a refund made at the provider"


def apply_dispute(
    core: Core, connection: Connection, payment: Row, transaction: Row, facts: DisputeFacts, cause: Cause
) -> AppliedDispute:
    """Carry what the provider says of a dispute into its row and the locked payment; the first time makes the row."""
    account_id, scope = transaction["provider_account_id"], _scope(payment)
    known = dispute_rows.lock_by_provider(connection, account_id, facts.provider_id)
    plan = dispute_plan.plan(payment, known, facts, present(connection))
    dispute: Row
    if known is not None and plan.stale:
        dispute = known
    elif known is not None:
        dispute = _change(connection, "dispute", known, plan.status, plan.values, cause)
    else:
        about = {"payment_id": payment["id"], "transaction_id": transaction["id"], "provider": transaction["provider"]}
        values = {**about, "provider_account_id": account_id, "provider_id": facts.provider_id, **plan.values}
        dispute = _create(connection, scope, "dispute", values, facts.status, cause, payment["id"])
    payment = _change_payment(core, connection, payment, None, plan.payment, cause)
    if plan.told:
        traces.keep_raw(core, connection, payment, transaction, facts.raw)
        body = {"dispute": representations.dispute(dispute), "payment": representations.event_payment(payment)}
        traces.emit(connection, scope, f"dispute.{dispute['status']}", payment["id"], body)
    if plan.changed and plan.status is None:
        traces.audit(
            connection, scope, "dispute", dispute["id"], payment["id"], None, None, cause, changed=plan.changed
        )
    if plan.finding is not None:
        kind, details = plan.finding
        at_stake = stakes.of_payment(payment, dispute["amount"], {"dispute": facts.provider_id, "status": facts.status})
        open_finding(connection, scope, kind, str(dispute["id"]), details, payment_id=payment["id"], **at_stake)
    return AppliedDispute(payment, dispute, plan.stale)


def _create(
    connection: Connection,
    scope: Scope,
    subject: str,
    values: Mapping[str, Any],
    status: str,
    cause: Cause,
    payment_id: UUID,
) -> Row:
    check_step(subject, None, status)
    table, now = _TABLES[subject], present(connection)
    row = {
        **_EMPTY[subject],
        "id": new_id(),
        "merchant_id": scope.merchant_id,
        "mode": scope.mode,
        "created_at": now,
        "updated_at": now,
        **values,
        "status": status,
    }
    pipeline.insert(connection, table, row)
    traces.audit(connection, scope, subject, row["id"], payment_id, None, status, cause)
    return row


def _change(
    connection: Connection, subject: str, row: Row, status: str | None, values: Mapping[str, Any], cause: Cause
) -> Row:
    # Repeated news must not touch the row: when it changed last is itself a fact.
    changes = {name: value for name, value in values.items() if row[name] is not value and row[name] != value}
    if status is None and not changes:
        return row
    if status is not None:
        check_step(subject, row["status"], status)
        changes["status"] = status
    # Every change of a payment's status is told of, and what is told is counted.
    told = ("event_sequence = event_sequence + 1",) if subject == "payment" and status is not None else ()
    changed = _update(connection, _TABLES[subject], row, changes, *told)
    if status is not None:
        payment_id = row["id"] if subject == "payment" else row["payment_id"]
        traces.audit(connection, _scope(row), subject, row["id"], payment_id, row["status"], status, cause)
    return changed


def _change_payment(
    core: Core, connection: Connection, payment: Row, status: str | None, values: Mapping[str, Any], cause: Cause
) -> Row:
    changes = dict(values)
    if status is not None:
        changes.update(_schedule(core, present(connection), status))
    changed = _change(connection, "payment", payment, status, changes, cause)
    if status is not None:
        body = {"payment": representations.event_payment(changed)}
        traces.tell(connection, _scope(changed), f"payment.{status}", changed["id"], body)
    return changed


def _schedule(core: Core, now: datetime, status: str) -> dict[str, Any]:
    """When an open payment is next asked about; a final one is left alone."""
    if status in FINAL_PAYMENT:
        return {"next_sync_at": None, "sync_count": 0}
    return {"next_sync_at": now + timedelta(seconds=spread(core.settings.sync_delays[0])), "sync_count": 0}


def _next_action_values(core: Core, connection: Connection, payment: Row, action: NextAction) -> dict[str, Any]:
    """Sealed, because it may hold a client secret."""
    scope = _scope(payment)
    expires = action.expires_at or present(connection) + timedelta(seconds=core.settings.redirect_ttl)
    told = replace(action, expires_at=expires).as_dict()
    place = Place("payments", "next_action_sealed", payment["id"])
    sealed = core.vault.merchant_key(connection, scope).seal_json(place, told)
    return {"next_action_sealed": sealed, "expires_at": expires}


def _change_refund(
    connection: Connection, payment: Row, refund: Row, plan: settlement.Plan, transaction: Row | None, cause: Cause
) -> None:
    values = dict(plan.refund)
    if transaction is not None and transaction["provider_id"]:
        values["provider_id"] = transaction["provider_id"]
    changed = _change(connection, "refund", refund, plan.refund_status, values, cause)
    if plan.refund_status in ("failed", "canceled"):
        _still_surplus(connection, payment, refund)
    if plan.refund_status is not None:
        body = {"refund": representations.refund(changed), "payment": representations.event_payment(payment)}
        traces.emit(connection, _scope(refund), f"refund.{plan.refund_status}", payment["id"], body)


def _still_surplus(connection: Connection, payment: Row, refund: Row) -> None:
    """What came for a payment that had ended did not go back after all: whoever ended the finding thought it would."""
    left = payment["amount_received"] - payment["amount_refunded"]
    if payment["status"] in ("failed", "canceled") and payment["amount_captured"] == 0 and left > 0:
        details = {"amount": left, "currency": payment["currency"], "why": "its refund failed"}
        at_stake = stakes.of_payment(payment, left, {})
        key, about = str(refund["id"]), {"payment_id": payment["id"], **at_stake}
        open_finding(connection, _scope(payment), "surplus_received", key, details, **about)


def _report(connection: Connection, payment: Row, transaction: Row, plan: settlement.Plan) -> None:
    scope = _scope(payment)
    if plan.surplus_received:
        body = {"payment": representations.event_payment(payment)}
        traces.emit(connection, scope, "payment.surplus_received", payment["id"], body)
    if plan.finding is not None:
        kind, details = plan.finding
        open_finding(
            connection,
            scope,
            kind,
            str(transaction["id"]),
            details,
            payment_id=payment["id"],
            transaction_id=transaction["id"],
            **stakes.of_transaction(payment, transaction, plan.theirs, details.get("amount")),
        )


def _update(connection: Connection, table: sa.Table, row: Row, values: Mapping[str, Any], *also: str) -> Row:
    """Write to a locked row; what it is then is known without reading it back."""
    now = present(connection)
    changes = {**values, "updated_at": now}
    pipeline.update(connection, table, row["id"], changes, *also)
    if table is payments:
        report_days.mark(connection, row, now)
    return {**row, **changes}


def _scope(row: Row) -> Scope:
    return Scope(row["merchant_id"], row["mode"])


def is_start(transaction: Row) -> bool:
    return transaction["kind"] in CHARGE_KINDS
