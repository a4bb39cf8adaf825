"""What may be asked of a payment in its present state; called under the payment's lock."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.domain.errors import CapabilityUnsupported, FieldError, OutcomeUnknown, RequestRefused, StateConflict
from core.domain.statuses import CHARGE_KINDS, OPEN_TRANSACTION
from core.orchestration import jobs
from core.persistence.database import present
from core.persistence.queries import disputes as dispute_rows
from core.persistence.queries import payments as rows
from core.persistence.queries import surplus
from core.providers.base import Capabilities, step_of
from core.providers.registry import PROVIDERS

Row = Mapping[Any, Any]

#: Refunds that have given, or may still give, money back.
_UNDER_WAY = frozenset({"processing", "requires_action"})
_ALIVE = _UNDER_WAY | {"succeeded"}

_WHY_NOT_CAPTURED: Mapping[str, str] = {
    "processing": "the payment is not authorized yet; wait for its job",
    "requires_action": "the customer has not finished yet",
    "succeeded": "the payment is already captured",
    "failed": "the payment failed",
    "canceled": "the payment was canceled",
}
_WHY_NOT_CANCELED: Mapping[str, str] = {
    "succeeded": "the payment succeeded; give the money back with a refund",
    "failed": "the payment has already failed",
    "canceled": "the payment is already canceled",
}


def capture(connection: Connection, payment: Row, amount: int | None) -> int:
    """The amount to take, in minor units. Raises StateConflict, RequestRefused, CapabilityUnsupported."""
    if payment["status"] != "authorized":
        raise StateConflict(_WHY_NOT_CAPTURED[payment["status"]])
    _refuse_unknown(connection, payment)
    _refuse_second_closing(connection, payment)
    chosen = payment["amount_authorized"] if amount is None else amount
    if chosen > payment["amount_authorized"]:
        message = f"must be at most {payment['amount_authorized']}, which is what is authorized"
        raise RequestRefused("more than is authorized", code="amount_too_large", errors=[FieldError("amount", message)])
    if chosen < payment["amount_authorized"] and not _capabilities(payment).partial_capture:
        raise CapabilityUnsupported(f"{payment['provider']} captures the whole amount or nothing")
    _check_step(payment, chosen)
    return int(chosen)


def cancel(connection: Connection, payment: Row) -> None:
    """Raises StateConflict, CapabilityUnsupported."""
    refusal = _WHY_NOT_CANCELED.get(payment["status"])
    if refusal is not None:
        raise StateConflict(refusal)
    _refuse_unknown(connection, payment)
    _refuse_second_closing(connection, payment)
    sent = rows.transactions_of(connection, payment["id"])
    begun = rows.latest_start(sent)
    # What is only under way here may turn out never to have been sent; what the provider has begun is its own.
    at_provider = begun is not None and begun["status"] in ("pending", "requires_action")
    if (payment["status"] != "processing" or at_provider) and not may_end(_capabilities(payment), payment):
        ends = "when it is paid or refused" if payment["status"] == "processing" else "at expires_at"
        raise CapabilityUnsupported(
            f"{payment['provider']} cannot end a payment its customer has begun; it closes by itself {ends}"
        )


def may_end(capabilities: Capabilities, payment: Row) -> bool:
    """Can the provider let go of a hold, or of a payment its customer has not finished?"""
    return capabilities.void if payment["status"] == "authorized" else capabilities.close_unfinished


def refund(connection: Connection, payment: Row, amount: int | None) -> int:
    """The amount to give back, in minor units. Raises StateConflict, RequestRefused, CapabilityUnsupported."""
    # Money that came late for a failed or canceled payment can be given back too: it was received.
    base = payment["amount_captured"] or payment["amount_received"]
    if base == 0:
        raise StateConflict(f"nothing was taken for this payment; it is {payment['status']}", code="nothing_to_refund")
    _refuse_disputed(connection, payment)
    alive = _given_back(connection, payment)
    left = base - alive - payment["amount_disputed"]
    if left <= 0:
        raise StateConflict("everything that was taken is already given back or disputed", code="nothing_to_refund")
    chosen = left if amount is None else amount
    if chosen > left:
        message = f"must be at most {left}, which is what is left"
        raise RequestRefused(
            "more than is left to refund", code="amount_too_large", errors=[FieldError("amount", message)]
        )
    sent = rows.transactions_of(connection, payment["id"])
    if not any(row["kind"] in CHARGE_KINDS and row["status"] == "succeeded" for row in sent):
        raise StateConflict("no charge of this payment is settled; a person is looking at it", code="nothing_to_refund")
    if jobs.in_review(connection, payment["id"]):
        raise OutcomeUnknown("an earlier operation on this payment is in review; ask again when it is decided")
    _check_refund_capability(payment, chosen, base, alive)
    _check_step(payment, chosen)
    return int(chosen)


def _given_back(connection: Connection, payment: Row) -> int:
    """What has gone back, or may still, of the charge that a refund would be taken from."""
    made = rows.refunds_of(connection, payment["id"])
    alive = sum(row["amount"] for row in made if row["status"] in _ALIVE)
    under_way = sum(row["amount"] for row in made if row["status"] in _UNDER_WAY)
    # More may have gone back than our refunds say: one we called failed may have been paid after all.
    alive = max(alive, payment["amount_refunded"] + under_way)
    if alive and payment["amount_captured"]:
        # A refund of ours is taken from the payment's own charge, and from nothing that came beside it.
        beside = surplus.beside(connection, [payment["id"]], _ALIVE)
        alive -= beside.get(payment["id"], surplus.NOTHING).refunded
    return int(alive)


def _refuse_disputed(connection: Connection, payment: Row) -> None:
    """The bank may be giving the money back itself: nobody pays twice, unless the provider says that it is safe."""
    if disputed(connection, payment):
        raise StateConflict(
            "the payment is disputed; answer or accept the dispute, a refund beside it would be paid twice",
            code="payment_disputed",
        )


def disputed(connection: Connection, payment: Row) -> bool:
    """Does an open dispute stand in the way of a refund?"""
    return not all(dispute["refundable"] for dispute in dispute_rows.open_of(connection, payment["id"]))


def overtaken(connection: Connection, payment: Row, amount: int) -> bool:
    """Has a dispute come, or been lost, since a refund of `amount` was accepted?"""
    taken = max(payment["amount_captured"], payment["amount_received"])
    gone = payment["amount_refunded"] + payment["amount_disputed"]
    return disputed(connection, payment) or (payment["amount_disputed"] > 0 and gone + amount > taken)


def _check_refund_capability(payment: Row, chosen: int, base: int, alive: int) -> None:
    can = _capabilities(payment)
    if not can.refund:
        raise CapabilityUnsupported(f"{payment['provider']} gives no refunds")
    if chosen < base and not can.partial_refund:
        raise CapabilityUnsupported(f"{payment['provider']} refunds the whole amount or nothing")
    if alive and not can.multiple_refunds:
        raise CapabilityUnsupported(f"{payment['provider']} refunds a payment once")


def _check_step(payment: Row, amount: int) -> None:
    step = step_of(_capabilities(payment), payment["currency"])
    if amount % step:
        message = f"{payment['provider']} takes {payment['currency']} in steps of {step} (minor units)"
        raise CapabilityUnsupported("the provider cannot say this amount", errors=[FieldError("amount", message)])


def _capabilities(payment: Row) -> Capabilities:
    return PROVIDERS[payment["provider"]].capabilities


def _refuse_second_closing(connection: Connection, payment: Row) -> None:
    sent = rows.transactions_of(connection, payment["id"])
    under_way = [
        row["kind"] for row in sent if row["kind"] in ("capture", "void") and row["status"] in OPEN_TRANSACTION
    ]
    kind = jobs.closing(connection, payment["id"]) or next(iter(under_way), None)
    if kind is not None:
        word = "capture" if kind in ("capture_payment", "capture") else "cancellation"
        raise StateConflict(f"a {word} of this payment is under way; wait for its job", code="operation_in_progress")


def _refuse_unknown(connection: Connection, payment: Row) -> None:
    """Before anything new, an unresolved charge, capture or cancellation is resolved."""
    sent = rows.transactions_of(connection, payment["id"])
    if any(row["status"] == "unknown" and row["kind"] != "refund" for row in sent):
        raise _unknown(
            connection, payment, "the provider's answer to an earlier request is still unknown; it is being looked up"
        )


_LOOKS = sa.text(
    "SELECT min(run_after) FROM jobs WHERE payment_id = :payment AND lane = 'payments' "
    "AND status IN ('queued', 'running')"
)


def _unknown(connection: Connection, payment: Row, detail: str) -> OutcomeUnknown:
    """With the time of the next look-up: when the payment's next job is due, else when the schedule asks about it."""
    due = connection.execute(_LOOKS, {"payment": payment["id"]}).scalar() or payment["next_sync_at"]
    if due is None:
        return OutcomeUnknown(detail)
    now = present(connection)
    return OutcomeUnknown(detail, next_look_up=max(due, now), retry_after=max(1, ceil((due - now).total_seconds())))
