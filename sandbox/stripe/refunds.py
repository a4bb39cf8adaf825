"""Refunds: partial, repeated, pending, and those that fail after they succeeded."""

from __future__ import annotations

from .. import ids
from ..http import Call
from ..ledger import Json
from ..world import Desk
from . import balance, cards, disputes, events, lists, money, params
from .errors import StripeError, missing
from .objects import expanded

CREATE: params.Spec = {
    "amount": params.positive,
    "charge": params.text,
    "payment_intent": params.text,
    "reason": params.choice("duplicate", "fraudulent", "requested_by_customer"),
    "metadata": params.metadata,
    "expand": params.texts,
    "currency": params.anything,
    "customer": params.anything,
    "instructions_email": params.text,
    "origin": params.anything,
    "refund_application_fee": params.boolean,
    "reverse_transfer": params.boolean,
}


def new(desk: Desk, charge: Json, amount: int, given: Json) -> Json:
    return {
        "id": ids.fresh("re_3" if charge["payment_method_details"]["type"] == "card" else "pyr_3"),
        "object": "refund",
        "amount": amount,
        "balance_transaction": None,
        "charge": charge["id"],
        "created": desk.now,
        "currency": charge["currency"],
        "destination_details": _destination(charge),
        "metadata": given.get("metadata") or {},
        "payment_intent": charge["payment_intent"],
        "payment_method": charge["payment_method"],
        "reason": given.get("reason"),
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": "succeeded",
        "transfer_reversal": None,
    }


def _destination(charge: Json) -> Json:
    if charge["payment_method_details"]["type"] == "card":
        reference = {"reference_status": "pending", "reference_type": "acquirer_reference_number"}
        return {"card": {**reference, "type": "refund"}, "type": "card"}
    return {"us_bank_transfer": {"reference": None, "reference_status": None}, "type": "us_bank_transfer"}


def _book(desk: Desk, refund: Json) -> str:
    type = "payment_refund" if refund["id"].startswith("pyr") else "refund"
    return balance.record(desk, type, -refund["amount"], refund)


def create(call: Call) -> Json:
    desk = call.desk
    given = params.read(call.params, CREATE)
    charge = _charge(desk, given)
    left = refundable(desk, charge)
    amount = given.get("amount", left)
    _check(charge, amount, left)
    refund = new(desk, charge, amount, given)
    behaviour = cards.behind(charge).refund
    if behaviour == "pending":
        refund |= {"status": "pending", "pending_reason": "processing"}
        desk.later("settle_refund", refund["id"])
    else:
        refund["balance_transaction"] = _book(desk, refund)
        if behaviour == "fails":
            desk.later("fail_refund", refund["id"])
    refund |= {"_idempotency_key": desk.idempotency_key, "_overtaken": disputes.escalating(desk, charge)}
    desk.add("refund", refund, parent=charge["id"])
    _move(desk, charge, amount)
    events.emit(desk, "refund.created", refund)
    events.emit(desk, "charge.refunded", charge)
    disputes.refunded(desk, charge)
    return expanded(desk, refund, given.get("expand"))


def _charge(desk: Desk, given: Json) -> Json:
    if given.get("payment_intent"):
        intent = desk.get("payment_intent", given["payment_intent"])
        if intent is None:
            raise missing("payment_intent", given["payment_intent"], "payment_intent")
        charge = desk.get("charge", intent["latest_charge"]) if intent["latest_charge"] else None
        if intent["status"] != "succeeded" or charge is None:
            raise StripeError(
                400,
                f"This PaymentIntent ({intent['id']}) does not have a successful charge to refund.",
                param="payment_intent",
                saved=True,
            )
        return charge
    if not given.get("charge"):
        raise StripeError(
            400, "One of the following params should be provided for this request: payment_intent or charge.",
            code="parameter_missing", param="payment_intent",
        )  # fmt: skip
    charge = desk.get("charge", given["charge"])
    if charge is None:
        raise missing("charge", given["charge"], "id")
    if charge["status"] != "succeeded" or not charge["captured"]:
        raise StripeError(
            400,
            f"This PaymentIntent ({charge['payment_intent']}) does not have a successful charge to refund.",
            param="charge",
            saved=True,
        )
    return charge


def refundable(desk: Desk, charge: Json) -> int:
    """What was captured and not yet given back; releases of held money do not count."""
    given_back: int = sum(
        refund["amount"]
        for refund in desk.children("refund", charge["id"])
        if not refund.get("_release") and refund["status"] not in ("failed", "canceled")
    )
    return int(charge["amount_captured"]) - given_back


def _check(charge: Json, amount: int, left: int) -> None:
    if charge.get("_dispute_blocks_refund"):
        raise StripeError(
            400,
            f"Charge {charge['id']} has been charged back; cannot issue a refund.",
            code="charge_disputed",
            saved=True,
        )
    if left <= 0:
        raise StripeError(
            400, f"Charge {charge['id']} has already been refunded.", code="charge_already_refunded", saved=True
        )
    if amount > left:
        asked, there = money.shown(amount, charge["currency"]), money.shown(left, charge["currency"])
        raise StripeError(
            400,
            f"Refund amount ({asked}) is greater than unrefunded amount on charge ({there})",
            param="amount",
            saved=True,
        )


def _move(desk: Desk, charge: Json, amount: int) -> None:
    charge["amount_refunded"] += amount
    charge["refunded"] = charge["amount_refunded"] >= charge["amount"]
    desk.save("charge", charge)


def settle(desk: Desk, refund_id: str) -> None:
    """A pending refund goes through."""
    refund = desk.get("refund", refund_id)
    if refund is None or refund["status"] != "pending":
        return
    refund.pop("pending_reason", None)
    refund |= {"status": "succeeded", "balance_transaction": _book(desk, refund)}
    desk.save("refund", refund)
    _tell_change(desk, refund, {"status": "pending"})


def overtaken(desk: Desk, refund_id: str) -> None:
    """The customer got the money by a dispute before the refund was through."""
    fail(desk, refund_id, "charge_for_pending_refund_disputed")


def fail(desk: Desk, refund_id: str, reason: str = "unknown") -> None:
    """The bank sends a succeeded refund back: the money returns to the balance."""
    refund = desk.get("refund", refund_id)
    if refund is None or refund["status"] != "succeeded":
        return
    charge = desk.get("charge", refund["charge"])
    refund |= {
        "status": "failed",
        "failure_reason": reason,
        "failure_balance_transaction": balance.record(desk, "refund_failure", refund["amount"], refund),
    }
    desk.save("refund", refund)
    if charge:
        _move(desk, charge, -refund["amount"])
    events.emit(desk, "refund.failed", refund)
    _tell_change(desk, refund, {"status": "succeeded"})


def _tell_change(desk: Desk, refund: Json, previous: Json) -> None:
    events.emit(desk, "refund.updated", refund, previous)
    events.emit(desk, "charge.refund.updated", refund, previous)


def _found(call: Call) -> Json:
    refund = call.desk.get("refund", call.args[0])
    if refund is None:
        raise missing("refund", call.args[0], "id")
    return refund


def retrieve(call: Call) -> Json:
    given = params.read(call.params, {"expand": params.texts})
    return expanded(call.desk, _found(call), given.get("expand"))


def update(call: Call) -> Json:
    given = params.read(call.params, {"metadata": params.metadata, "expand": params.texts})
    refund = _found(call)
    if "metadata" in given:
        refund["metadata"] = params.merged(refund["metadata"], given["metadata"])
        call.desk.save("refund", refund)
    return expanded(call.desk, refund, given.get("expand"))


def cancel(call: Call) -> Json:
    """Only a refund that waits for the customer's bank details could be canceled, and cards never do."""
    _found(call)
    raise StripeError(400, "Canceling this refund is unsupported.", saved=True)


def list_refunds(call: Call) -> Json:
    given = params.read(call.params, {**params.LIST, "payment_intent": params.text, "charge": params.text})
    charges = [given["charge"]] if given.get("charge") else None
    if given.get("payment_intent"):
        made = [charge["id"] for charge in call.desk.children("charge", given["payment_intent"])]
        charges = [id for id in made if charges is None or id in charges]
    return lists.page(call, "refund", given, parents=charges)


def list_of_charge(call: Call) -> Json:
    given = params.read(call.params, params.LIST)
    if call.desk.get("charge", call.args[0]) is None:
        raise missing("charge", call.args[0], "charge")
    return lists.page(call, "refund", given, parents=[call.args[0]])
