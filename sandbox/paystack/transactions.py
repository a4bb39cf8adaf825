"""Transactions: initialised by the merchant, paid (or not) by the customer on the page, verified by anybody asking."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from .. import ids
from ..http import Call
from ..ledger import Json
from ..world import Desk
from . import customers, lists, money, params
from .errors import PaystackError, invalid, not_found
from .transaction_object import log, shown

CHANNELS = (
    "card", "bank", "apple_pay", "ussd", "qr", "mobile_money", "bank_transfer", "eft", "capitec_pay", "payattitude",
)  # fmt: skip
# Paystack's ids are ten digits by now; the number of the record makes each one different.
FIRST_ID = 4_100_000_000


def initialize(call: Call) -> Json:
    desk, given = call.desk, call.params
    email = params.email(given.get("email"))
    amount, currency = asked_money(desk, given)
    reference = free_reference(desk, given)
    customer = customers.for_email(desk, email)
    transaction = new(desk, given, customer, amount, currency, reference)
    desk.add("transaction", transaction, parent=reference)
    return {"status": True, "message": "Authorization URL created", "data": page_of(desk, transaction)}


def asked_money(desk: Desk, given: Json, allowed: list[str] | None = None) -> tuple[int, str]:
    """The amount in hundredths and its currency, within Paystack's limits; PaystackError otherwise."""
    if given.get("amount") in (None, ""):
        raise params.missing("amount")
    amount = params.amount(given["amount"])
    known = desk.account.options["currencies"] if allowed is None else allowed
    currency = params.currency(given.get("currency") or known[0], known)
    amount = money.payable(amount, currency)
    params.at_least_minimum(amount, currency)
    return amount, currency


def free_reference(desk: Desk, given: Json) -> str:
    """The merchant's reference, or one of ours; PaystackError when it was used before, by a hold as well."""
    reference = params.reference(given.get("reference")) or ids.fresh_lower(15)
    if desk.children("transaction", reference) or desk.children("preauthorization", reference):
        raise PaystackError(
            400,
            "Duplicate Transaction Reference",
            "duplicate_reference",
            "Try and create the Transaction or Charge with a new reference",
        )
    return reference


def page_of(desk: Desk, transaction: Json) -> Json:
    code = transaction["access_code"]
    return {
        "authorization_url": desk.url(f"/checkout/{code}"),
        "access_code": code,
        "reference": transaction["reference"],
    }


def new(desk: Desk, given: Json, customer: Json, amount: int, currency: str, reference: str) -> Json:
    """A transaction nobody has paid yet; not stored."""
    channels = given.get("channels") or ["card"]
    if not isinstance(channels, list) or not set(channels) <= set(CHANNELS):
        raise invalid("Invalid channels passed", f"Channels are {', '.join(CHANNELS)}", "invalid_channels")
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
        "channel": "card",
        "callback_url": params.callback_url(given) or desk.account.options["callback_url"],
        "metadata": params.metadata(given.get("metadata")),
        "customer": customers.short(customer),
        "created": desk.now,
        "paid": None,
        "gateway_response": "The transaction was not completed",
        "card": None,
        "attempts": 0,
        "errors": 0,
        "authorization_code": None,
        "saved": False,
        "settlement": None,
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


def by_reference(desk: Desk, reference: str) -> Json | None:
    found = desk.children("transaction", reference)
    return found[0] if found else None


def by_id_or_reference(desk: Desk, asked: str) -> Json:
    """Raises PaystackError when there is none."""
    found = by_reference(desk, asked) or (desk.get("transaction", asked) if asked.isdigit() else None)
    if found is None:
        raise not_found("Transaction not found", "transaction_not_found")
    return found


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


def timeline(call: Call) -> Json:
    transaction = by_id_or_reference(call.desk, call.args[0])
    return {"status": True, "message": "Timeline retrieved", "data": log(transaction) or {}}


# What the list can be narrowed by, and where that is kept.
_FILTERS = {
    "status": "status",
    "amount": "amount",
    "currency": "currency",
    "reference": "reference",
    "channel": "channel",
    "settlement": "settlement",
    "customer": "customer.id",
    "customer_code": "customer.customer_code",
}


def list_transactions(call: Call) -> Json:
    where, values = lists.narrowed(call, _FILTERS)
    bodies, meta = lists.rows(call, "transaction", where, values)
    if "total" in meta:
        meta["total_volume"] = sum(body["amount"] for body in bodies if body["status"] == "success")
    data = [shown(call.desk, body) for body in bodies]
    return {"status": True, "message": "Transactions retrieved", "data": data, "meta": meta}


def totals(call: Call) -> Json:
    """Over what was paid, in the time asked for."""
    sums: dict[str, int] = defaultdict(int)
    count = 0
    where, values = lists.between(call, " AND json_extract(body, '$.status') = 'success'", list[Any]())
    for row in call.desk.world.ledger.select("transaction", where, tuple(values)):
        count += 1
        sums[row.body["currency"]] += row.body["amount"]
    by_currency = [{"currency": name, "amount": amount} for name, amount in sorted(sums.items())]
    data = {
        "total_transactions": count,
        "total_volume": sum(sums.values()),
        "total_volume_by_currency": by_currency,
        "pending_transfers": 0,
        "pending_transfers_by_currency": [],
    }
    return {"status": True, "message": "Transaction totals", "data": data}
