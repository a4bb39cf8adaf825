"""Refunds: queued, processed a moment later, or failing, or waiting for a person."""

from __future__ import annotations

from typing import Any

from .. import ids
from ..http import Call
from ..ledger import Json
from ..world import Desk
from . import cards, events, lists, money, params, settlements, times, transaction_object, transactions
from .domain import domain
from .errors import PaystackError, invalid, not_found

FIRST_ID = 3_000_000
# Paystack promises the customer's money within ten working days.
EXPECTED_AFTER = 10 * 86400


def create(call: Call) -> Json:
    desk, given = call.desk, call.params
    if given.get("transaction") in (None, ""):
        raise params.missing("transaction")
    transaction = transactions.by_id_or_reference(desk, str(given["transaction"]))
    left = refundable(desk, transaction)
    if transaction["status"] == "reversed" or (transaction["status"] == "success" and left <= 0):
        raise PaystackError(
            400,
            "Transaction has been fully reversed",
            "transaction_reversed",
            "Check the refunds of this transaction",
            type="api_error",
        )
    if transaction["status"] != "success":
        raise invalid(
            "Transaction has not been paid for",
            "Ensure that the transaction was successful",
            "transaction_not_successful",
        )
    amount = params.amount(given["amount"]) if given.get("amount") not in (None, "") else left
    amount = money.payable(amount, transaction["currency"])
    if amount > left:
        raise invalid(
            "Refund amount cannot be more than the amount left on the transaction",
            f"Pass an amount of {money.shown(left, transaction['currency'])} or less",
            "refund_amount_exceeded",
        )
    if given.get("currency"):
        params.currency(given["currency"], [transaction["currency"]])
    refund = _new(desk, transaction, amount, given)
    desk.add("refund", refund, parent=str(transaction["id"]))
    _tell(desk, refund, "pending")
    desk.later("process_refund", str(refund["id"]))
    data = _created(desk, refund, transaction)
    return {"status": True, "message": "Refund has been queued for processing", "data": data}


def refundable(desk: Desk, transaction: Json) -> int:
    """What was paid and is neither given back nor on its way; of one lost in a dispute nothing can be refunded."""
    refunds = desk.children("refund", str(transaction["id"]))
    given_back: int = sum(refund["amount"] for refund in refunds if refund["status"] != "failed")
    return int(transaction["amount"]) - given_back


def _new(desk: Desk, transaction: Json, amount: int, given: Json) -> Json:
    note = f"Refund for transaction {transaction['reference']}"
    return {
        "id": FIRST_ID + desk.world.ledger.next_number(),
        "transaction": transaction["id"],
        "reference": transaction["reference"],
        "amount": amount,
        "currency": transaction["currency"],
        "status": "pending",
        "merchant_note": params.text(given, "merchant_note") or f"{note} by sandbox@example.com",
        "customer_note": params.text(given, "customer_note") or note,
        "customer": transaction["customer"],
        "transaction_amount": transaction["amount"],
        "created": desk.now,
        "refunded": None,
        "ended": None,
        "retried": None,
        "deducted": 0,
        "settled": None,
        "refund_reference": None,
    }


def _created(desk: Desk, refund: Json, transaction: Json) -> Json:
    shown = transaction_object.shown(desk, transaction)
    inside = ("id", "domain", "reference", "amount", "paid_at", "channel", "currency", "customer", "plan", "subaccount",
              "split", "order_id", "paidAt", "pos_transaction_data", "source", "fees_breakdown")  # fmt: skip
    stamp = times.iso(refund["created"])
    return {
        "transaction": {name: shown[name] for name in inside}
        | {"authorization": {"exp_month": None, "exp_year": None, "account_name": None}},
        "integration": int(desk.account.id),
        "deducted_amount": 0,
        "channel": None,
        "merchant_note": refund["merchant_note"],
        "customer_note": refund["customer_note"],
        "status": refund["status"],
        "refunded_by": "sandbox@example.com",
        "expected_at": times.iso(refund["created"] + EXPECTED_AFTER),
        "currency": refund["currency"],
        "domain": domain(desk),
        "amount": refund["amount"],
        "fully_deducted": False,
        "id": refund["id"],
        "createdAt": stamp,
        "updatedAt": stamp,
    }


def _shown(desk: Desk, refund: Json) -> Json:
    """A refund in lists, where `transaction` is a number."""
    return {
        "integration": int(desk.account.id),
        "transaction": refund["transaction"],
        "dispute": None,
        "settlement": refund["settled"],
        "id": refund["id"],
        "domain": domain(desk),
        "currency": refund["currency"],
        "amount": refund["amount"],
        "status": refund["status"],
        "refunded_at": times.iso(refund["refunded"]) if refund["refunded"] else None,
        "refunded_by": "sandbox@example.com",
        "customer_note": refund["customer_note"],
        "merchant_note": refund["merchant_note"],
        "deducted_amount": refund["deducted"],
        "fully_deducted": 1 if refund["settled"] else 0,
        "createdAt": times.iso(refund["created"]),
        "bank_reference": None,
        "transaction_reference": refund["reference"],
        "reason": "Refund",
        "customer": refund["customer"],
        "refund_type": "full" if refund["amount"] == refund["transaction_amount"] else "partial",
        "transaction_amount": refund["transaction_amount"],
        "initiated_by": "sandbox@example.com",
        "refund_channel": "card",
        "session_id": None,
        "collect_account_number": False,
    }


def list_refunds(call: Call) -> Json:
    where, values = "", list[Any]()
    asked = call.params.get("transaction") or call.params.get("reference")
    if asked:
        found = transactions.by_reference(call.desk, str(asked))
        where, values = " AND parent = ?", [str(found["id"]) if found else str(asked)]
    if call.params.get("currency"):
        where += " AND json_extract(body, '$.currency') = ?"
        values.append(str(call.params["currency"]))
    bodies, meta = lists.rows(call, "refund", where, values)
    data = [_shown(call.desk, body) for body in bodies]
    return {"status": True, "message": "Refunds retrieved", "data": data, "meta": meta}


def fetch(call: Call) -> Json:
    refund = call.desk.get("refund", call.args[0])
    if refund is None:
        raise not_found("Refund not found", "refund_not_found")
    return {"status": True, "message": "Refund retrieved", "data": _shown(call.desk, refund)}


def retry(call: Call) -> Json:
    """Gives the bank details that a refund in need of attention waits for; Paystack then pays the customer there."""
    desk, refund = call.desk, call.desk.get("refund", call.args[0])
    if refund is None:
        raise not_found("Refund not found", "refund_not_found")
    details = call.params.get("refund_account_details")
    if not isinstance(details, dict):
        raise params.missing("refund_account_details")
    for name in ("currency", "account_number", "bank_id"):
        if details.get(name) in (None, ""):
            raise params.missing(f"refund_account_details.{name}")
    if refund["status"] != "needs-attention":
        raise PaystackError(
            422,
            "Invalid Refund state. Only refunds that need attention can be retried",
            "invalid_params",
            "Check the status of the refund",
        )
    refund |= {"status": "processing", "retried": desk.now}
    desk.save("refund", refund)
    _tell(desk, refund, "processing")
    desk.later("end_refund", str(refund["id"]))
    data = _shown(desk, refund)
    return {"status": True, "message": "Refund retried and has been queued for processing", "data": data}


def start_processing(desk: Desk, refund_id: str) -> None:
    refund = desk.get("refund", refund_id)
    if refund is None or refund["status"] != "pending":
        return
    refund["status"] = "processing"
    desk.save("refund", refund)
    _tell(desk, refund, "processing")
    desk.later("end_refund", refund_id)


def end(desk: Desk, refund_id: str) -> None:
    """Processed, failed or in need of attention, as the card that paid says."""
    refund = desk.get("refund", refund_id)
    transaction = desk.get("transaction", str(refund["transaction"])) if refund else None
    if refund is None or transaction is None or refund["status"] != "processing":
        return
    by_card = cards.typed(transaction["card"]).refund if transaction["card"] else "processed"
    refund |= {"status": "processed" if refund["retried"] else by_card, "ended": desk.now}
    if refund["status"] == "processed":
        refund |= {"refunded": desk.now, "refund_reference": ids.derived(str(refund["id"]), 12)}
        settlements.expect(desk)
    else:
        refund["refund_reference"] = "TRF_" + ids.fresh_lower(15)
    desk.save("refund", refund)
    if refund["status"] == "processed" and _given_back(desk, transaction) >= transaction["amount"]:
        transaction["status"] = "reversed"
        desk.save("transaction", transaction)
    _tell(desk, refund, refund["status"])


def _given_back(desk: Desk, transaction: Json) -> int:
    refunds = desk.children("refund", str(transaction["id"]))
    return sum(int(refund["amount"]) for refund in refunds if refund["status"] == "processed")


def _tell(desk: Desk, refund: Json, status: str) -> None:
    """As in Paystack's samples: no refund id (but for needs-attention, a string), the amount now text, now a number."""
    customer = {name: refund["customer"][name] for name in ("first_name", "last_name", "email")}
    spelled = status in ("pending", "processing", "processed")
    data: Json = {
        "status": status,
        "transaction_reference": refund["reference"],
        "refund_reference": refund["refund_reference"],
        "amount": str(refund["amount"]) if spelled else refund["amount"],
        "currency": refund["currency"],
        "processor": "instant-transfer",
        "customer": customer,
        "integration": int(desk.account.id),
        "domain": domain(desk),
    }
    if status == "needs-attention":
        del data["processor"]
        data |= {
            "id": str(refund["id"]),
            "customer_note": refund["customer_note"],
            "merchant_note": refund["merchant_note"],
        }
    events.emit(desk, f"refund.{status}", data)
