"""Transactions: initialised by the merchant, paid (or not) by the customer on the page, verified by anybody asking."""

from __future__ import annotations

from typing import Any

from .. import ids
from ..http import Call
from ..ledger import Json
from ..world import Desk
from . import cards, customers, events, lists, money, params, times
from .cards import Card
from .errors import PaystackError, invalid, not_found

CHANNELS = (
    "card", "bank", "apple_pay", "ussd", "qr", "mobile_money", "bank_transfer", "eft", "capitec_pay", "payattitude",
)  # fmt: skip
# Paystack's ids are ten digits by now; the number of the record makes each one different.
FIRST_ID = 4_100_000_000


def initialize(call: Call) -> Json:
    desk, given = call.desk, call.params
    email = params.email(given.get("email"))
    if given.get("amount") in (None, ""):
        raise params.missing("amount")
    amount = params.amount(given["amount"])
    allowed = desk.account.options["currencies"]
    currency = params.currency(given.get("currency") or allowed[0], allowed)
    params.at_least_minimum(amount, currency)
    reference = params.reference(given.get("reference")) or ids.fresh_lower(15)
    if desk.children("transaction", reference):
        raise PaystackError(
            400,
            "Duplicate Transaction Reference",
            "duplicate_reference",
            "Try and create the Transaction or Charge with a new reference",
        )
    transaction = _new(desk, given, customers.for_email(desk, email), amount, currency, reference)
    desk.add("transaction", transaction, parent=reference)
    data = {
        "authorization_url": desk.url(f"/checkout/{transaction['access_code']}"),
        "access_code": transaction["access_code"],
        "reference": reference,
    }
    return {"status": True, "message": "Authorization URL created", "data": data}


def _new(desk: Desk, given: Json, customer: Json, amount: int, currency: str, reference: str) -> Json:
    channels = given.get("channels") or ["card"]
    if not isinstance(channels, list) or not set(channels) <= set(CHANNELS):
        raise invalid("Invalid channels passed", f"Channels are {', '.join(CHANNELS)}", "invalid_channels")
    callback = given.get("callback_url")
    if callback and not (isinstance(callback, str) and callback.startswith(("http://", "https://"))):
        raise invalid("Invalid callback_url passed", "Pass a fully qualified address", "invalid_callback_url")
    to_customer = desk.account.options["fees_on_customer"]
    id = FIRST_ID + desk.world.ledger.next_number()
    return {
        "id": id,
        "access_code": access_code(id),
        "reference": reference,
        "status": "abandoned",
        "requested_amount": amount,
        "amount": amount + money.fee(amount, currency) if to_customer else amount,
        "currency": currency,
        "channels": channels,
        "callback_url": callback or desk.account.options["callback_url"],
        "metadata": params.metadata(given.get("metadata")),
        "customer": customers.short(customer),
        "created": desk.now,
        "paid": None,
        "gateway_response": "The transaction was not completed",
        "card": None,
        "attempts": 0,
        "errors": 0,
        "authorization_code": None,
    }


def access_code(id: int) -> str:
    """Ends in the id, so that the page can find its transaction without another record."""
    return ids.derived(f"access {id}", 8).lower() + format(id, "x")


def find_by_access_code(code: str) -> str | None:
    """The id an access code stands for, if it is one of ours."""
    try:
        id = int(code[8:], 16)
    except ValueError:
        return None
    return str(id) if access_code(id) == code else None


def shown(desk: Desk, transaction: Json) -> Json:
    """The body that verify, fetch and list answer."""
    paid = transaction["status"] in ("success", "reversed")
    created = times.iso(transaction["created"])
    paid_at = times.iso(transaction["paid"]) if transaction["paid"] else None
    return {
        "id": transaction["id"],
        "domain": "test",
        "status": transaction["status"],
        "reference": transaction["reference"],
        "receipt_number": None,
        "amount": transaction["amount"],
        "message": None,
        "gateway_response": transaction["gateway_response"],
        "paid_at": paid_at,
        "created_at": created,
        "channel": "card",
        "currency": transaction["currency"],
        "ip_address": "127.0.0.1",
        "metadata": transaction["metadata"],
        "log": _log(transaction),
        "fees": money.fee(transaction["requested_amount"], transaction["currency"]) if paid else None,
        "fees_split": None,
        "authorization": _authorization(transaction) if paid or transaction["status"] == "failed" else {},
        "customer": transaction["customer"],
        "plan": None,
        "split": {},
        "order_id": None,
        "paidAt": paid_at,
        "createdAt": created,
        "requested_amount": transaction["requested_amount"],
        "pos_transaction_data": None,
        "source": None,
        "fees_breakdown": None,
        "connect": None,
        "transaction_date": created,
        "plan_object": {},
        "subaccount": {},
        "integration": int(desk.account.id),
    }


def _log(transaction: Json) -> Json | None:
    if not transaction["attempts"]:
        return None
    won = transaction["status"] == "success"
    history = [{"type": "action", "message": "Attempted to pay with card", "time": 3}]
    history.append({"type": "success" if won else "error", "message": transaction["gateway_response"], "time": 4})
    return {
        "start_time": transaction["created"],
        "time_spent": 4,
        "attempts": transaction["attempts"],
        "errors": transaction["errors"],
        "success": won,
        "mobile": False,
        "input": [],
        "history": history,
    }


def _authorization(transaction: Json) -> Json:
    card = cards.typed(transaction["card"] or "")
    email = transaction["customer"]["email"]
    return {
        "authorization_code": transaction["authorization_code"],
        "bin": card.number[:6],
        "last4": card.number[-4:],
        "exp_month": "12",
        "exp_year": "2034",
        "channel": "card",
        "card_type": f"{card.brand} ",  # the trailing blank is Paystack's own
        "bank": card.bank,
        "country_code": "NG",
        "brand": card.brand,
        "reusable": transaction["status"] == "success",
        "signature": cards.signature(card.number, email),
        "account_name": None,
        "receiver_bank_account_number": None,
        "receiver_bank": None,
    }


def by_reference(desk: Desk, reference: str) -> Json | None:
    found = desk.children("transaction", reference)
    return found[0] if found else None


def verify(call: Call) -> Json:
    transaction = by_reference(call.desk, call.args[0])
    if transaction is None:
        raise PaystackError(
            400,
            "Transaction reference not found",
            "transaction_not_found",
            "Ensure that you're passing the reference of a transaction that exists on this integration",
        )
    return {"status": True, "message": "Verification successful", "data": shown(call.desk, transaction)}


def fetch(call: Call) -> Json:
    transaction = call.desk.get("transaction", call.args[0])
    if transaction is None:
        raise not_found("Transaction not found", "transaction_not_found")
    return {"status": True, "message": "Transaction retrieved", "data": shown(call.desk, transaction)}


def list_transactions(call: Call) -> Json:
    where, values = "", list[Any]()
    for name, path in (
        ("status", "status"),
        ("amount", "amount"),
        ("currency", "currency"),
        ("reference", "reference"),
    ):
        if call.params.get(name):
            where += f" AND CAST(json_extract(body, '$.{path}') AS TEXT) = ?"
            values.append(str(call.params[name]))
    if call.params.get("customer"):
        where += " AND CAST(json_extract(body, '$.customer.id') AS TEXT) = ?"
        values.append(str(call.params["customer"]))
    bodies, meta = lists.rows(call, "transaction", where, values)
    meta["total_volume"] = sum(body["amount"] for body in bodies if body["status"] == "success")
    data = [shown(call.desk, body) for body in bodies]
    return {"status": True, "message": "Transactions retrieved", "data": data, "meta": meta}


def pay(desk: Desk, transaction: Json, card: Card) -> None:
    """The customer submits a card; a refused one leaves the page open for another."""
    transaction |= {"attempts": transaction["attempts"] + 1, "card": card.number}
    if card.decline:
        transaction |= {"status": "failed", "gateway_response": card.decline, "errors": transaction["errors"] + 1}
        desk.save("transaction", transaction)
        return
    if card.step:
        transaction |= {"status": "ongoing", "gateway_response": f"Authentication required: {card.step}"}
        desk.save("transaction", transaction)
        return
    _succeed(desk, transaction)


def finish_step(desk: Desk, transaction: Json, passed: bool) -> None:
    """The customer gave the PIN or password the bank asked for, or could not."""
    if passed:
        _succeed(desk, transaction)
        return
    transaction |= {
        "status": "failed",
        "gateway_response": "Authentication failed",
        "errors": transaction["errors"] + 1,
    }
    desk.save("transaction", transaction)


def _succeed(desk: Desk, transaction: Json) -> None:
    transaction |= {
        "status": "success",
        "paid": desk.now,
        "gateway_response": "Successful",
        "authorization_code": "AUTH_" + ids.fresh_lower(10),
    }
    desk.save("transaction", transaction)
    data = shown(desk, transaction)
    # In events an absent metadata is 0 and an absent plan {}, as in Paystack's samples.
    events.emit(desk, "charge.success", data | {"metadata": data["metadata"] or 0, "plan": {}})
