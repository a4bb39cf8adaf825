"""What an outcome means for transaction, payment and refund: pure, so that every row of it can be tested.

The plan it returns is written by `status_manager.apply` alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from core.domain.outcomes import (
    CANCEL_AFTER_DECLINE,
    ActionRequired,
    Canceled,
    Decline,
    DeclineCategory,
    Declined,
    Facts,
    NextAction,
    NotExecuted,
    NotExecutedReason,
    Outcome,
    Pending,
    Succeeded,
    Unknown,
)
from core.domain.statuses import CHARGE_KINDS, SURPLUS_ONLY, may_step
from core.orchestration import stakes
from core.orchestration.failover import CLOSES

Row = Mapping[Any, Any]

#: In a transaction's `extra`: the sum received by an answer that contradicted what was asked for.
CONTRADICTED = "contradicted_received"

TRANSACTION_STATUS: Mapping[type, str] = {
    Succeeded: "succeeded",
    Pending: "pending",
    ActionRequired: "requires_action",
    Declined: "declined",
    Canceled: "canceled",
    NotExecuted: "not_executed",
    Unknown: "unknown",
}

#: Where the payment goes when its charge or authorization comes to an outcome; None leaves it.
START_STATUS: Mapping[type, str | None] = {
    Succeeded: "succeeded",  # "authorized" for an authorization
    Pending: "processing",
    ActionRequired: "requires_action",
    Declined: "failed",
    Canceled: "canceled",
    NotExecuted: "failed",
    Unknown: None,
}

REFUND_STATUS: Mapping[type, str | None] = {
    Succeeded: "succeeded",
    Pending: "processing",
    ActionRequired: "requires_action",
    Declined: "failed",
    Canceled: "canceled",
    NotExecuted: "failed",
    Unknown: None,
}

#: What the merchant is told when nothing was executed and no further try is left.
NOT_EXECUTED_DECLINES: Mapping[NotExecutedReason, tuple[str, DeclineCategory, str]] = {
    NotExecutedReason.CONNECTION: ("provider_unavailable", DeclineCategory.SOFT, "The provider could not be reached."),
    NotExecutedReason.BREAKER_OPEN: ("provider_unavailable", DeclineCategory.SOFT, "The provider is failing."),
    NotExecutedReason.RATE_LIMITED: ("provider_unavailable", DeclineCategory.SOFT, "The provider is over its limit."),
    NotExecutedReason.LOCK_TIMEOUT: ("provider_unavailable", DeclineCategory.SOFT, "The provider's object is locked."),
    NotExecutedReason.NOT_FOUND: ("provider_unavailable", DeclineCategory.SOFT, "The provider never received it."),
    NotExecutedReason.MISCONFIGURED: (
        "provider_misconfigured",
        DeclineCategory.HARD,
        "The provider refuses our credentials; the account is suspended until they are replaced.",
    ),
    NotExecutedReason.INVALID_REQUEST: (
        "provider_refused",
        DeclineCategory.HARD,
        "The provider refused the request as invalid.",
    ),
}


@dataclass(slots=True)
class Plan:
    """The changes one outcome asks for; statuses that stay are None."""

    transaction_status: str | None = None
    transaction: dict[str, Any] = field(default_factory=dict)
    payment_status: str | None = None
    payment: dict[str, Any] = field(default_factory=dict)
    refund_status: str | None = None
    refund: dict[str, Any] = field(default_factory=dict)
    next_action: NextAction | None = None
    finding: tuple[str, dict[str, Any]] | None = None
    theirs: dict[str, Any] = field(default_factory=dict)  # what the provider says, as evidence of the finding
    surplus_received: bool = False
    review: str | None = None  # a person has to look; the words say why
    stale: bool = False  # older than what is known: nothing is changed


def decline_of(outcome: Outcome) -> Decline | None:
    """The refusal as the merchant is told it."""
    if isinstance(outcome, Declined):
        return outcome.decline
    if isinstance(outcome, NotExecuted):
        code, category, message = NOT_EXECUTED_DECLINES[outcome.reason]
        if outcome.reason is NotExecutedReason.INVALID_REQUEST and outcome.param is not None:
            message = f"The provider refused {outcome.param} as invalid."
        return Decline(code, category, message, outcome.provider_code)
    return None


def plan(payment: Row, transaction: Row, refund: Row | None, outcome: Outcome) -> Plan:
    """Compare what a provider said with what we know, and say what has to change."""
    made = Plan()
    target = TRANSACTION_STATUS[type(outcome)]
    current = transaction["status"]
    made.transaction = _transaction_values(transaction, outcome)
    if isinstance(outcome, Succeeded):
        difference = contradiction(transaction, outcome.facts)
        if difference is not None:
            return _contradicted(made, payment, transaction, outcome.facts, difference)
    if target != current:
        if not may_step("transaction", current, target):
            return _after_the_end(payment, transaction, refund, outcome)
        made.transaction_status = target
        if (current, target) in SURPLUS_ONLY:
            made.transaction["surplus"] = True
    _EFFECTS[_operation(transaction)](made, payment, transaction, refund, outcome)
    return made


def _operation(transaction: Row) -> str:
    return "start" if transaction["kind"] in CHARGE_KINDS else str(transaction["kind"])


def contradiction(transaction: Row, facts: Facts) -> str | None:
    """Amount and currency of the answer must be ours before anything counts as succeeded."""
    if facts.currency is not None and facts.currency != transaction["currency"]:
        return f"the provider says {facts.currency}, we asked for {transaction['currency']}"
    if transaction["kind"] == "capture" and facts.amount_captured not in (None, transaction["amount"]):
        return f"the provider captured {facts.amount_captured}, we asked for {transaction['amount']}"
    compared = transaction["kind"] in CHARGE_KINDS or transaction["kind"] == "refund"
    if compared and facts.amount is not None and facts.amount != transaction["amount"]:
        return f"the provider says {facts.amount}, we asked for {transaction['amount']}"
    return None


def _contradicted(made: Plan, payment: Row, transaction: Row, facts: Facts, difference: str) -> Plan:
    """The money stays recorded, the status stays open, and a person decides."""
    if may_step("transaction", transaction["status"], "pending"):
        made.transaction_status = "pending"
    if transaction["kind"] in CHARGE_KINDS or transaction["kind"] == "capture":
        received = facts.amount_received if facts.amount_received is not None else facts.amount
        made.payment["amount_received"] = max(payment["amount_received"], received or 0)
        made.transaction["extra"] = {**transaction["extra"], **facts.extra, CONTRADICTED: str(received or 0)}
    if transaction["kind"] in CHARGE_KINDS and may_step("payment", payment["status"], "processing"):
        made.payment_status = "processing"  # the customer has done their part, whatever the sum is
    made.review = difference
    made.finding = ("amount_mismatch", {"difference": difference})
    made.theirs = stakes.said(facts)
    return made


def _after_the_end(payment: Row, transaction: Row, refund: Row | None, outcome: Outcome) -> Plan:
    """The table has no such step. One thing is still true then: a refund that succeeded may fail days later."""
    if refund is not None and refund["status"] == "succeeded" and isinstance(outcome, Declined | Canceled):
        return _failed_late(payment, refund, outcome)
    return Plan(stale=True)


def _failed_late(payment: Row, refund: Row, outcome: Outcome) -> Plan:
    made = Plan(refund_status="failed")
    decline = decline_of(outcome)
    made.refund["failure"] = decline.as_dict() if decline else {"code": "refund_failed"}
    made.payment["amount_refunded"] = payment["amount_refunded"] - refund["amount"]
    made.payment["refund_reserved"] = payment["refund_reserved"] - _reserved(refund)
    return made


def _transaction_values(transaction: Row, outcome: Outcome) -> dict[str, Any]:
    values: dict[str, Any] = {}
    facts = getattr(outcome, "facts", None)
    if isinstance(facts, Facts):
        known = {
            "provider_id": facts.provider_id,
            "provider_charge_id": facts.provider_charge_id,
            "amount_confirmed": facts.amount,
            "fee": facts.fee,
        }
        values.update({name: value for name, value in known.items() if value is not None})
        if facts.extra:
            values["extra"] = {**transaction["extra"], **facts.extra}
        if transaction["status"] == "declined" and CANCEL_AFTER_DECLINE not in transaction["extra"]:
            # Whoever told of the decline has ended what it left; news of before does not make it payable again.
            values.get("extra", {}).pop(CANCEL_AFTER_DECLINE, None)
    decline = decline_of(outcome)
    if decline is not None:
        values["decline"] = decline.as_dict()
    if isinstance(outcome, Unknown):
        values["evidence"] = dict(outcome.evidence)
        values["ambiguous"] = True
    if isinstance(outcome, NotExecuted):
        values["evidence"] = {"reason": outcome.reason.value, "detail": outcome.detail, "param": outcome.param}
    return values


def _start(made: Plan, payment: Row, transaction: Row, refund: Row | None, outcome: Outcome) -> None:
    target = START_STATUS[type(outcome)]
    if isinstance(outcome, Succeeded):
        if transaction["surplus"]:
            return  # late money that is told again was counted the first time
        if transaction["kind"] == "authorize":
            target = "authorized"
        if _is_surplus(made, payment, target):
            _surplus(made, payment, transaction, outcome.facts)
            return
        made.payment.update(_taken(payment, transaction, outcome.facts))
    if isinstance(outcome, ActionRequired):
        made.next_action = outcome.next_action
    decline = decline_of(outcome)
    if target == "failed" and decline is not None:
        made.payment.update(decline=decline.as_dict(), failure_code=decline.code)
    if target != payment["status"] and target is not None and may_step("payment", payment["status"], target):
        made.payment_status = target


def _is_surplus(made: Plan, payment: Row, target: str | None) -> bool:
    if made.transaction.get("surplus"):
        return True
    return made.transaction_status == "succeeded" and payment["status"] in ("failed", "canceled")


def _surplus(made: Plan, payment: Row, transaction: Row, facts: Facts) -> None:
    """Late money: recorded, reported, refundable; the payment's status does not move backwards for it."""
    if transaction["kind"] == "authorize":
        made.transaction["surplus"] = True
        made.finding = ("surplus_authorization", {"amount": transaction["amount"]})
        made.theirs = stakes.said(facts)
        return
    received = facts.amount_received if facts.amount_received is not None else transaction["amount"]
    made.transaction["surplus"] = True
    made.payment["amount_received"] = payment["amount_received"] + received
    made.surplus_received = True
    made.finding = ("surplus_received", {"amount": received, "currency": transaction["currency"]})
    made.theirs = stakes.said(facts)


def _taken(payment: Row, transaction: Row, facts: Facts) -> dict[str, Any]:
    """Sums after the provider said yes; a repeated yes never lowers what a capture has raised."""
    amount = transaction["amount"]
    if transaction["kind"] == "authorize":
        return {"amount_authorized": max(payment["amount_authorized"], facts.amount_authorized or amount)}
    received = facts.amount_received if facts.amount_received is not None else amount
    # A sum that was doubted is replaced by the one that settles it; any other is never lowered by a repetition.
    doubted = transaction["status"] != "succeeded" and CONTRADICTED in transaction["extra"]
    return {
        "amount_authorized": max(payment["amount_authorized"], amount),
        "amount_captured": max(payment["amount_captured"], facts.amount_captured or amount),
        "amount_received": received if doubted else max(payment["amount_received"], received),
    }


def _capture(made: Plan, payment: Row, transaction: Row, refund: Row | None, outcome: Outcome) -> None:
    if isinstance(outcome, Succeeded) and payment["status"] in ("failed", "canceled"):
        if made.transaction_status == "succeeded":
            _surplus(made, payment, transaction, outcome.facts)
        return
    if isinstance(outcome, Succeeded):
        made.payment.update(captured_sums(transaction["amount"], outcome.facts))
        target: str | None = "succeeded"
    elif isinstance(outcome, Declined):
        # A capture the bank refuses ends the hold (Stripe: back to requires_payment_method).
        target = "failed"
        made.payment.update(decline=outcome.decline.as_dict(), failure_code=outcome.decline.code)
    elif isinstance(outcome, Canceled):
        target = "canceled"
    else:
        target = None
    if target is not None and may_step("payment", payment["status"], target):
        made.payment_status = target


def captured_sums(asked: int, facts: Facts) -> dict[str, Any]:
    captured = facts.amount_captured if facts.amount_captured is not None else asked
    received = facts.amount_received if facts.amount_received is not None else captured
    return {"amount_captured": captured, "amount_received": received}


def _void(made: Plan, payment: Row, transaction: Row, refund: Row | None, outcome: Outcome) -> None:
    if CLOSES in transaction["extra"]:
        return
    if isinstance(outcome, Succeeded | Canceled) and may_step("payment", payment["status"], "canceled"):
        made.payment_status = "canceled"


def _refund(made: Plan, payment: Row, transaction: Row, refund: Row | None, outcome: Outcome) -> None:
    if refund is None:
        raise LookupError("a refund transaction without its refund")
    if isinstance(outcome, Succeeded) and refund["status"] in ("failed", "canceled"):
        _refunded_after_all(made, payment, refund)
        return
    target = REFUND_STATUS[type(outcome)]
    if target == "canceled" and not may_step("refund", refund["status"], "canceled"):
        target = "failed"
    if target is None or target == refund["status"] or not may_step("refund", refund["status"], target):
        return
    made.refund_status = target
    if isinstance(outcome, Succeeded):
        made.payment["amount_refunded"] = payment["amount_refunded"] + refund["amount"]
        made.finding = _paid_twice(payment, made.payment["amount_refunded"])
    if target in ("failed", "canceled"):
        decline = decline_of(outcome)
        made.refund["failure"] = decline.as_dict() if decline else {"code": "refund_canceled"}
        made.payment["refund_reserved"] = payment["refund_reserved"] - _reserved(refund)


def _paid_twice(payment: Row, refunded: int) -> tuple[str, dict[str, Any]] | None:
    """A refund beside a dispute: together they may be more than was ever taken."""
    taken, disputed = max(payment["amount_captured"], payment["amount_received"]), payment["amount_disputed"]
    if disputed == 0 or refunded + disputed <= taken:
        return None
    return "dispute_exceeds_payment", {"taken": taken, "refunded": refunded, "disputed": disputed}


def _refunded_after_all(made: Plan, payment: Row, refund: Row) -> None:
    """A refund we had called failed: the sum is told as it is, and a person looks whether too much went back."""
    if made.transaction_status == "succeeded":
        made.payment["amount_refunded"] = payment["amount_refunded"] + refund["amount"]
        made.finding = ("surplus_refund", {"amount": refund["amount"]})


def plan_refund(payment: Row, refund: Row, outcome: Outcome) -> Plan:
    """For a refund that no transaction of ours stands behind."""
    made = Plan()
    late = refund["status"] == "succeeded" and isinstance(outcome, Declined | Canceled)
    if late:
        return _failed_late(payment, refund, outcome)
    _refund(made, payment, {}, refund, outcome)
    return made


def _reserved(refund: Row) -> int:
    """Only what we asked for ourselves was reserved."""
    return int(refund["amount"]) if refund["origin"] == "api" else 0


_EFFECTS = {"start": _start, "capture": _capture, "void": _void, "refund": _refund}
