"""Disputes, as far as they happen by themselves: opened by a test card, readable, told by events."""

from __future__ import annotations

from .. import ids
from ..http import Call
from ..ledger import Json
from ..world import Desk
from . import balance, cards, events, lists, params
from .errors import missing
from .objects import expanded

# A merchant has about a week in test mode before evidence is due.
EVIDENCE_DUE_AFTER = 9 * 86400


def open_dispute(desk: Desk, charge_id: str) -> None:
    """The bank disputes a captured charge; an inquiry moves no money yet."""
    charge = desk.get("charge", charge_id)
    if charge is None or charge["disputed"]:
        return
    card = cards.BY_TOKEN[charge["_card"]]
    dispute = _new(desk, charge, card.dispute or "general", card.inquiry)
    if not card.inquiry:
        dispute["balance_transactions"] = [balance.record(desk, "adjustment", -dispute["amount"], dispute)]
    desk.add("dispute", dispute, parent=charge_id)
    charge |= {"disputed": True, "_dispute_blocks_refund": not card.inquiry}
    desk.save("charge", charge)
    events.emit(desk, "charge.dispute.created", _shown(desk, dispute))
    if not card.inquiry:
        events.emit(desk, "charge.dispute.funds_withdrawn", _shown(desk, dispute))


def _new(desk: Desk, charge: Json, reason: str, inquiry: bool) -> Json:
    return {
        "id": ids.fresh("du_1"),
        "object": "dispute",
        "amount": charge["amount_captured"],
        "balance_transactions": [],
        "charge": charge["id"],
        "created": desk.now,
        "currency": charge["currency"],
        "enhanced_eligibility_types": [],
        "evidence": {},
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
        "payment_method_details": {
            "card": {"brand": "visa", "case_type": "inquiry" if inquiry else "chargeback", "network": "visa",
                     "network_reason_code": "10.4"},
            "type": "card",
        },
        "reason": reason,
        "status": "warning_needs_response" if inquiry else "needs_response",
    }  # fmt: skip


def _shown(desk: Desk, dispute: Json) -> Json:
    moved = [desk.get("balance_transaction", id) for id in dispute["balance_transactions"]]
    return dispute | {"balance_transactions": moved}


def retrieve(call: Call) -> Json:
    given = params.read(call.params, {"expand": params.texts})
    dispute = call.desk.get("dispute", call.args[0])
    if dispute is None:
        raise missing("dispute", call.args[0], "id")
    return expanded(call.desk, _shown(call.desk, dispute), given.get("expand"))


def list_disputes(call: Call) -> Json:
    given = params.read(call.params, {**params.LIST, "charge": params.text, "payment_intent": params.text})
    where, values = lists.matching(given, "charge", "payment_intent")
    listed = lists.page(call, "dispute", given, where, values)
    listed["data"] = [_shown(call.desk, dispute) for dispute in listed["data"]]
    return listed
