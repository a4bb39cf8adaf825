"""Payment methods: made of test tokens, kept for a customer, let go again."""

from __future__ import annotations

from typing import Any

from ..http import Call
from ..ledger import Json
from ..world import Desk
from . import cards, customer_object, events, lists, params, payment_method_object
from .errors import StripeError, card_error, missing
from .objects import expanded

NUMBERS_ARE_UNSAFE = (
    "Sending credit card numbers directly to the Stripe API is generally unsafe. We suggest you use test tokens"
    " that map to the test card you are using, see https://stripe.com/docs/testing."
)
USED = (
    "The provided PaymentMethod was previously used with a PaymentIntent without Customer attachment, shared with a"
    " connected account without Customer attachment, or was detached from a Customer. It may not be used again. To"
    " use a PaymentMethod multiple times, you must attach it to a Customer first."
)
NOT_ATTACHABLE = (
    "This PaymentMethod was previously used without being attached to a Customer or was detached from a Customer, and"
    " may not be used again."
)
ALREADY_ATTACHED = "The payment method you provided has already been attached to a customer."
NOT_ATTACHED = "The payment method you provided is not attached to a customer so detachment is impossible."
NOT_NAMED = (
    "The payment method you provided is attached to a customer so for security purposes you must provide the customer"
    " in the request."
)

_REDISPLAY = params.choice("always", "limited", "unspecified")
_BILLING = params.mapping(
    {"address": params.anything, "email": params.text, "name": params.text, "phone": params.text, "tax_id": params.text}
)
_BANK_ACCOUNT: params.Spec = {
    "account_holder_type": params.choice("company", "individual"),
    "account_number": params.text,
    "account_type": params.choice("checking", "savings"),
    "routing_number": params.text,
}
_DATA: params.Spec = {
    "allow_redisplay": _REDISPLAY,
    "billing_details": _BILLING,
    "card": params.anything,
    "metadata": params.metadata,
    "type": params.choice("card", "us_bank_account"),
    "us_bank_account": params.mapping(_BANK_ACCOUNT),
}
_EXPIRY = params.mapping({"exp_month": params.positive, "exp_year": params.positive, "networks": params.anything})
_UPDATE: params.Spec = {
    "allow_redisplay": _REDISPLAY,
    "billing_details": _BILLING,
    "card": _EXPIRY,
    "expand": params.texts,
    "metadata": params.metadata,
    "us_bank_account": params.anything,
}
OF_CUSTOMER: params.Spec = {**params.LIST, "allow_redisplay": _REDISPLAY, "type": params.text}


def find(desk: Desk, id: str, status: int = 400) -> Json:
    """A test token becomes a fresh payment method; any other id must be one of this account's."""
    card = cards.BY_TOKEN.get(id)
    if card:
        return payment_method_object.new(desk, card)
    found = desk.get("payment_method", id)
    if found is None:
        raise missing("PaymentMethod", id, "payment_method", status)
    return found


def usable(desk: Desk, id: str, customer: str | None) -> Json:
    """The method a payment names. Raises StripeError for one that is used up, or somebody else's."""
    method = find(desk, id)
    if method["_used"]:
        raise StripeError(400, USED)
    if method["customer"] and customer is None:
        raise StripeError(400, NOT_NAMED, param="payment_method")
    if method["customer"] and method["customer"] != customer:
        raise StripeError(
            400,
            f"The customer does not have a payment method with the ID {method['id']}. The payment method must be"
            " attached to the customer.",
            param="payment_method",
        )
    return method


def from_data(desk: Desk, data: Any, name: str = "payment_method_data") -> Json:
    """`type=card` with `card[token]=tok_visa`, or a test bank account; a bare card number is for pages only."""
    if not isinstance(data, dict):
        raise StripeError(400, "Invalid object", param=name)
    given = params.read(data, _DATA, name if name == "payment_method_data" else "")
    if given.get("type") is None:
        raise StripeError(400, "Missing required param: type.", code="parameter_missing", param="type")
    card = _tokenised(given.get("card")) if given["type"] == "card" else _account(given.get("us_bank_account"))
    method = payment_method_object.new(desk, card)
    _change(method, given)
    desk.save("payment_method", method)
    return method


def _tokenised(card: Any) -> cards.Card:
    if not isinstance(card, dict) or not card:
        raise StripeError(400, "Missing required param: card.", code="parameter_missing", param="card")
    token = str(card.get("token", ""))
    if not token:
        raise StripeError(402, NUMBERS_ARE_UNSAFE, type="card_error", param="card[number]")
    found = cards.BY_TOKEN.get("pm_card_" + token[4:]) if token.startswith("tok_") else None
    if found is None:
        raise StripeError(400, f"No such token: '{token}'", code="resource_missing", param="card[token]")
    return found


def _account(given: Json | None) -> cards.Card:
    for name in ("account_number", "routing_number"):
        if not (given or {}).get(name):
            param = f"us_bank_account[{name}]"
            raise StripeError(400, f"Missing required param: {param}.", code="parameter_missing", param=param)
    found = cards.BY_NUMBER.get((given or {})["account_number"])
    if found is None or found.type != "us_bank_account" or (given or {})["routing_number"] != cards.ROUTING_NUMBER:
        raise StripeError(
            400,
            "You must use a test bank account number in test mode. Try 000123456789 with the routing number 110000000,"
            " or see more options at https://stripe.com/docs/testing.",
            code="account_number_invalid",
            param="us_bank_account[account_number]",
        )
    return found


def _change(method: Json, given: Json) -> None:
    if "metadata" in given:
        method["metadata"] = params.merged(method["metadata"], given["metadata"])
    if "allow_redisplay" in given:
        method["allow_redisplay"] = given["allow_redisplay"]
    method["billing_details"] |= given.get("billing_details") or {}


def create(call: Call) -> Json:
    given = dict(call.params)
    expand = params.texts("expand", given.pop("expand", ""))
    return expanded(call.desk, from_data(call.desk, given, "payment_method"), expand)


def retrieve(call: Call) -> Json:
    given = params.read(call.params, {"expand": params.texts})
    return expanded(call.desk, find(call.desk, call.args[0], 404), given.get("expand"))


def list_methods(call: Call) -> Json:
    given = params.read(call.params, {**OF_CUSTOMER, "customer": params.text, "customer_account": params.text})
    if given.get("customer"):
        customer = customer_object.named(call.desk, given["customer"])
        return page_of(call, given, customer)
    where, values = lists.matching(given, "type", "allow_redisplay")
    return lists.page(call, "payment_method", given, where + " AND json_extract(body, '$.customer') NOTNULL", values)


def page_of(call: Call, given: Json, customer: Json) -> Json:
    """The methods that the customer has now: a detached one keeps its place in the ledger, but not its customer."""
    where, values = lists.matching({**given, "customer": customer["id"]}, "customer", "type", "allow_redisplay")
    return lists.page(call, "payment_method", given, where, values, parents=[customer["id"]])


def update(call: Call) -> Json:
    given = params.read(call.params, _UPDATE)
    method = find(call.desk, call.args[0], 404)
    if not method["customer"]:
        raise StripeError(400, "You must save this PaymentMethod to a customer before you can update it.", saved=True)
    _change(method, given)
    method[method["type"]] |= {name: value for name, value in (given.get("card") or {}).items() if name[:3] == "exp"}
    call.desk.save("payment_method", method)
    events.emit(call.desk, "payment_method.updated", method)
    return expanded(call.desk, method, given.get("expand"))


def attach(call: Call) -> Json:
    desk = call.desk
    given = params.read(call.params, {"customer": params.text, "customer_account": params.text, "expand": params.texts})
    params.need(given, "customer")
    method = find(desk, call.args[0], 404)
    customer = customer_object.named(desk, given["customer"])
    refuse_attachment(method)
    attach_to(desk, method, customer["id"])
    return expanded(desk, method, given.get("expand"))


def refuse_attachment(method: Json) -> None:
    if method["customer"]:
        raise StripeError(400, ALREADY_ATTACHED, saved=True)
    if method["_used"]:
        raise StripeError(400, NOT_ATTACHABLE, saved=True)
    card = cards.of(method)
    if card.decline and not card.attaches and not card.authentication:
        # Stripe asks the card's bank whether the card is any good before it keeps it.
        details = {"decline_code": card.decline.decline_code} if card.decline.decline_code else {}
        raise card_error(card.decline.code, card.decline.message, details)


def attach_to(desk: Desk, method: Json, customer_id: str) -> None:
    method |= {"customer": customer_id, "_used": False}
    desk.save("payment_method", method)
    desk.world.ledger.move(desk.account.id, "payment_method", method["id"], customer_id)
    events.emit(desk, "payment_method.attached", method)


def detach(call: Call) -> Json:
    given = params.read(call.params, {"expand": params.texts})
    method = find(call.desk, call.args[0], 404)
    if not method["customer"]:
        raise StripeError(400, NOT_ATTACHED, saved=True)
    let_go(call.desk, method)
    return expanded(call.desk, method, given.get("expand"))


def let_go(desk: Desk, method: Json) -> None:
    """Takes the method from its customer; it can never be charged or attached again."""
    before = method["customer"]
    method |= {"customer": None, "_used": True, "_detached_from": before}
    desk.save("payment_method", method)
    customer_object.forget_default(desk, before, method["id"])
    events.emit(desk, "payment_method.detached", method, {"customer": before})
