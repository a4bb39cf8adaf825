"""The end of a hold: captured once, released, or expired; each refused when it comes too late."""

from __future__ import annotations

from ..http import Call
from ..ledger import Json
from ..world import Desk
from . import cards, params, paying, transactions
from .domain import domain
from .errors import PaystackError, invalid
from .preauth_object import status, tell
from .preauthorizations import named
from .transaction_object import attempted, shown

# Why a hold cannot be captured or released any more, by its status: Paystack documents no text for these.
_TOO_LATE = {
    "captured": "Preauthorization has already been captured",
    "capturing": "Preauthorization capture is already being processed",
    "released": "Preauthorization has already been released",
    "capture_failed": "Preauthorization capture has failed",
    "release_failed": "Preauthorization release has failed",
}


def capture(call: Call) -> Json:
    """HTTP 200 also for a capture the bank refuses: `data.status` tells."""
    desk, given = call.desk, call.params
    hold = named(desk, given.get("reference"))
    for name in ("currency", "amount"):
        if given.get(name) in (None, ""):
            raise params.missing(name)
    params.currency(given["currency"], [hold["currency"]])
    amount = params.amount(given["amount"])
    _must_be_authorized(hold)
    if amount > hold["amount"]:
        raise invalid("Capture amount cannot be more than authorized amount", params.AMOUNT_HELP)
    transaction = _capture(desk, hold, amount)
    return {"status": True, "message": "Capture attempted", "data": attempted(desk, transaction)}


def _must_be_authorized(hold: Json) -> None:
    if hold["status"] != "authorized":
        raise invalid(
            _TOO_LATE.get(hold["status"], "Preauthorization has not been authorized"),
            "Check the status of the preauthorization",
        )


def _capture(desk: Desk, hold: Json, amount: int) -> Json:
    """Makes the transaction that takes the money; what was held beyond `amount` is free again."""
    given = {"metadata": hold["metadata"]}
    owner = {**hold["customer"], "id": hold["customer"]["customer_code"], "number": hold["customer"]["id"]}
    made = transactions.new(desk, given, owner, amount, hold["currency"], hold["reference"])
    card = cards.typed(hold["card"])
    # The fee is never put on top: the customer agreed to the amount that is held.
    made |= {"amount": amount, "channel": "preauth", "card": card.number, "saved": True, "attempts": 1}
    made["authorization_code"] = hold["authorization_code"]
    desk.add("transaction", made, parent=hold["reference"])
    hold |= {"status": "capturing", "transaction": made["id"], "captured_amount": amount}
    if card.capture == "late":
        made |= {"status": "processing", "gateway_response": "Processing"}
        desk.save("transaction", made)
        desk.save("preauthorization", hold)
        desk.later("finish_capture", str(hold["id"]))
        return made
    _finish(desk, hold, made, card.capture == "success")
    return made


def finish_capture(desk: Desk, hold_id: str) -> None:
    """The bank's late answer."""
    hold = desk.held("preauthorization", hold_id)
    if hold["status"] == "capturing":
        _finish(desk, hold, desk.held("transaction", str(hold["transaction"])), won=True)


def _finish(desk: Desk, hold: Json, made: Json, won: bool) -> None:
    if not won:
        hold["status"] = "capture_failed"
        desk.save("preauthorization", hold)
        paying.fail(desk, made, "Declined")
        tell(desk, "capture.failed", hold, None)
        return
    hold |= {"status": "captured", "captured": desk.now}
    desk.save("preauthorization", hold)
    paying.take(desk, made, "Approved")
    whole = shown(desk, made)
    names = ("currency", "transaction_date", "status", "reference", "gateway_response", "message", "channel", "fees",
             "split")  # fmt: skip
    inside = {name: whole[name] for name in names}
    inside |= {"domain": domain(desk), "metadata": hold["metadata"] or None, "id": str(made["id"])}
    tell(desk, "capture.success", hold, "Approved", inside)


def release(call: Call) -> Json:
    desk = call.desk
    hold = named(desk, call.params.get("reference"))
    _must_be_authorized(hold)
    if cards.typed(hold["card"]).release == "failed":
        hold["status"] = "release_failed"  # still held, until it expires
        desk.save("preauthorization", hold)
        tell(desk, "release.failed", hold, "Release failed")
        raise PaystackError(400, "Release failed", "unknown", "Contact support", type="processor_error")
    _release(desk, hold)
    data = {"id": hold["id"], "status": status(hold), "reference": hold["reference"]}
    return {"status": True, "message": "Successfully released", "data": data}


def _release(desk: Desk, hold: Json) -> None:
    hold |= {"status": "released", "released": desk.now}
    desk.save("preauthorization", hold)
    tell(desk, "release.success", hold, "Release success")


def expire(desk: Desk, hold_id: str) -> None:
    """Captures all of it or lets it go, as the merchant chose at the beginning."""
    hold = desk.held("preauthorization", hold_id)
    if hold["status"] not in ("authorized", "release_failed"):
        return
    hold["expired"] = desk.now
    if hold["expire_action"] == "capture" and hold["status"] == "authorized":
        _capture(desk, hold, hold["amount"])
    else:
        _release(desk, hold)
