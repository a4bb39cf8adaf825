"""Disputes: opened by a test card, answered with evidence or accepted, won, lost, closed, or left too long."""

from __future__ import annotations

from .. import ids
from ..http import Call
from ..ledger import Json
from ..world import Desk
from . import balance, cards, dispute_evidence, events, lists, params
from .errors import StripeError, missing
from .objects import expanded

# A merchant has about a week in test mode before evidence is due.
EVIDENCE_DUE_AFTER = 9 * 86400
# docs.stripe.com/disputes/how-disputes-work: an inquiry that nobody escalates ends by itself.
INQUIRY_ENDS_AFTER = 120 * 86400

_REASON_CODES = {"fraudulent": "10.4", "product_not_received": "13.1"}

OPEN = ("needs_response", "warning_needs_response")
# How a dispute of each status ends when it is given up, or decided for the merchant or the cardholder.
LOST = {"needs_response": "lost", "under_review": "lost"}
WON = {"under_review": "won", "warning_under_review": "warning_closed"}
INQUIRY_ENDS = dict.fromkeys(("warning_needs_response", "warning_under_review"), "warning_closed")
SUBMITTED = {"needs_response": "under_review", "warning_needs_response": "warning_under_review"}


def open_dispute(desk: Desk, charge_id: str) -> None:
    """The bank disputes a captured charge; an inquiry moves no money yet."""
    charge = desk.get("charge", charge_id)
    if charge is None or charge["disputed"]:
        return
    card = cards.behind(charge)
    dispute = _new(desk, charge, card.dispute or "general", card.inquiry)
    desk.add("dispute", dispute, parent=charge_id)
    charge["disputed"] = True
    desk.save("charge", charge)
    desk.later("close_dispute_inquiry" if card.inquiry else "dispute_past_due", dispute["id"], _patience(card.inquiry))
    if not card.inquiry:
        _withdraw(desk, dispute)
    events.emit(desk, "charge.dispute.created", dispute)
    if not card.inquiry:
        events.emit(desk, "charge.dispute.funds_withdrawn", dispute)


def _patience(inquiry: bool) -> int:
    return INQUIRY_ENDS_AFTER if inquiry else EVIDENCE_DUE_AFTER


def _withdraw(desk: Desk, dispute: Json) -> None:
    """The disputed money and the fee leave the balance, and the charge can no longer be refunded."""
    dispute["balance_transactions"].append(balance.record(desk, "adjustment", -dispute["amount"], dispute))
    dispute["is_charge_refundable"] = False
    desk.save("dispute", dispute)
    _block_refunds(desk, dispute, True)


def _block_refunds(desk: Desk, dispute: Json, blocked: bool) -> None:
    charge = desk.held("charge", dispute["charge"])
    charge["_dispute_blocks_refund"] = blocked
    desk.save("charge", charge)


def _new(desk: Desk, charge: Json, reason: str, inquiry: bool) -> Json:
    type = charge["payment_method_details"]["type"]
    details: Json = {
        "card": {
            "brand": charge["payment_method_details"].get("card", {}).get("brand"),
            "case_type": "inquiry" if inquiry else "chargeback",
            "network": charge["payment_method_details"].get("card", {}).get("network"),
            "network_reason_code": "10" if inquiry else _REASON_CODES.get(reason, "10.4"),
        }
    }
    return {
        "id": ids.fresh("du_1"),
        "object": "dispute",
        "amount": charge["amount_captured"],
        "balance_transactions": [],
        "charge": charge["id"],
        "created": desk.now,
        "currency": charge["currency"],
        "enhanced_eligibility_types": [],
        "evidence": dict.fromkeys(dispute_evidence.FIELDS) | {"enhanced_evidence": {}},
        "evidence_details": {
            "due_by": desk.now + EVIDENCE_DUE_AFTER,
            "enhanced_eligibility": {},
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
        },
        "is_charge_refundable": inquiry,
        "livemode": False,
        "metadata": {},
        "payment_intent": charge["payment_intent"],
        "payment_method_details": {**(details if type == "card" else {type: {}}), "type": type},
        "reason": reason,
        "status": "warning_needs_response" if inquiry else "needs_response",
    }


def _change(desk: Desk, dispute: Json, status: str) -> None:
    previous = {"status": dispute["status"]}
    dispute["status"] = status
    desk.save("dispute", dispute)
    events.emit(desk, "charge.dispute.updated", dispute, previous)


def _end(desk: Desk, dispute: Json, status: str) -> None:
    """Over for good. Money comes back, with the fee, only when it was won."""
    if status == "won":
        dispute["balance_transactions"].append(balance.record(desk, "adjustment", dispute["amount"], dispute))
    if status != "lost":
        dispute["is_charge_refundable"] = True
        _block_refunds(desk, dispute, False)
    dispute["status"] = status
    desk.save("dispute", dispute)
    if status == "won":
        events.emit(desk, "charge.dispute.funds_reinstated", dispute)
    events.emit(desk, "charge.dispute.closed", dispute)


def decide(desk: Desk, dispute_id: str) -> None:
    """The bank has read the evidence, and does what its words ask for (docs.stripe.com/testing#disputes)."""
    dispute = desk.held("dispute", dispute_id)
    said = dispute["evidence"].get("uncategorized_text")
    inquiry = dispute["status"].startswith("warning_")
    if dispute["status"] not in WON:
        return
    if said == dispute_evidence.ESCALATES and inquiry:
        escalate(desk, dispute)
    elif said == dispute_evidence.WINS or inquiry:
        _end(desk, dispute, WON[dispute["status"]])
    else:
        _end(desk, dispute, "lost")


def escalate(desk: Desk, dispute: Json) -> None:
    """An inquiry becomes a chargeback, which has to be answered anew."""
    dispute["evidence_details"] |= {"due_by": desk.now + EVIDENCE_DUE_AFTER, "submission_count": 0}
    dispute["payment_method_details"]["card"]["case_type"] = "chargeback"
    _withdraw(desk, dispute)
    _change(desk, dispute, "needs_response")
    events.emit(desk, "charge.dispute.funds_withdrawn", dispute)
    desk.later("dispute_past_due", dispute["id"], EVIDENCE_DUE_AFTER)
    for refund in desk.children("refund", dispute["charge"]):
        if refund.get("_overtaken"):
            desk.later("refund_overtaken", refund["id"], 0)


def escalating(desk: Desk, charge: Json) -> bool:
    """Whether an inquiry about the charge is about to become a dispute, which overtakes a refund made now."""
    return charge["disputed"] and any(
        dispute["status"] == "warning_under_review"
        and dispute["evidence"].get("uncategorized_text") == dispute_evidence.ESCALATES
        for dispute in desk.children("dispute", charge["id"])
    )


def past_due(desk: Desk, dispute_id: str) -> None:
    """Nobody answered in time. What was only staged is sent in after all, as Stripe does."""
    dispute = desk.held("dispute", dispute_id)
    if dispute["status"] != "needs_response":
        return
    if dispute["evidence_details"]["has_evidence"]:
        submit(desk, dispute)
        return
    dispute["evidence_details"]["past_due"] = True
    _end(desk, dispute, "lost")


def close_inquiry(desk: Desk, dispute_id: str) -> None:
    """Long enough without an escalation, or the money was given back."""
    dispute = desk.held("dispute", dispute_id)
    if dispute["status"] in INQUIRY_ENDS:
        _end(desk, dispute, INQUIRY_ENDS[dispute["status"]])


def refunded(desk: Desk, charge: Json) -> None:
    """A customer who got everything back has nothing to ask any more."""
    if charge["disputed"] and charge["refunded"]:
        for dispute in desk.children("dispute", charge["id"]):
            close_inquiry(desk, dispute["id"])


def submit(desk: Desk, dispute: Json) -> None:
    dispute["evidence_details"]["submission_count"] += 1
    _change(desk, dispute, SUBMITTED[dispute["status"]])
    if dispute["evidence"].get("uncategorized_text") in dispute_evidence.DECIDED_BY:
        desk.later("decide_dispute", dispute["id"])


def _find(call: Call) -> Json:
    dispute = call.desk.get("dispute", call.args[0])
    if dispute is None:
        raise missing("dispute", call.args[0], "dispute")
    return dispute


def retrieve(call: Call) -> Json:
    given = params.read(call.params, {"expand": params.texts})
    return expanded(call.desk, _find(call), given.get("expand"))


def update(call: Call) -> Json:
    """Evidence is sent in at once, unless `submit` is false: then it waits for a call with `submit`."""
    desk = call.desk
    given = params.read(call.params, dispute_evidence.UPDATE)
    dispute = _find(call)
    if ("evidence" in given or given.get("submit")) and dispute["status"] not in OPEN:
        raise StripeError(400, _closed(dispute), saved=True)
    if "metadata" in given:
        dispute["metadata"] = params.merged(dispute["metadata"], given["metadata"])
    if "evidence" in given:
        dispute["evidence"] |= given["evidence"]
        present = [dispute["evidence"].get(name) for name in dispute_evidence.FIELDS]
        dispute["evidence_details"]["has_evidence"] = any(present)
    desk.save("dispute", dispute)
    if given.get("submit", "evidence" in given):
        submit(desk, dispute)
    else:
        events.emit(desk, "charge.dispute.updated", dispute)
    return expanded(desk, dispute, given.get("expand"))


def _closed(dispute: Json) -> str:
    if dispute["status"].endswith("under_review"):
        return "Evidence for this dispute has already been submitted; it is under review and cannot be changed."
    return "This dispute is already closed"


def close(call: Call) -> Json:
    """The merchant gives in, for good."""
    given = params.read(call.params, {"expand": params.texts})
    dispute = _find(call)
    ends = (INQUIRY_ENDS | LOST).get(dispute["status"])
    if ends is None:
        raise StripeError(400, "This dispute is already closed", saved=True)
    _end(call.desk, dispute, ends)
    return expanded(call.desk, dispute, given.get("expand"))


def list_disputes(call: Call) -> Json:
    given = params.read(call.params, {**params.LIST, "charge": params.text, "payment_intent": params.text})
    where, values = lists.matching(given, "payment_intent")
    return lists.page(call, "dispute", given, where, values, parents=[given["charge"]] if given.get("charge") else None)
