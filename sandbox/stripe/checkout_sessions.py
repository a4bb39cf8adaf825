"""Checkout Sessions in payment mode: made by the merchant, paid or left by the customer on our page."""

from __future__ import annotations

import re
from typing import Any

from .. import ids
from ..http import Call
from ..ledger import Json
from ..world import Desk
from . import cards, confirmation, events, intent_params, lists, money, params, payment_intents
from .cards import Card
from .errors import StripeError, missing
from .objects import expanded

# docs.stripe.com/api/checkout/sessions/create: from 30 minutes to 24 hours after creation.
SHORTEST, LONGEST = 30 * 60, 24 * 3600
PLACEHOLDER = "{CHECKOUT_SESSION_ID}"

_PRICE: params.Spec = {
    "currency": params.text,
    "product": params.text,
    "product_data": params.mapping(
        {
            "name": params.text, "description": params.text, "images": params.anything, "metadata": params.metadata,
            "tax_code": params.text, "tax_details": params.anything, "unit_label": params.text,
        }
    ),
    "recurring": params.anything,
    "tax_behavior": params.text,
    "unit_amount": params.integer,
    "unit_amount_decimal": params.text,
}  # fmt: skip
_ITEM: params.Spec = {
    "adjustable_quantity": params.anything,
    "metadata": params.metadata,
    "price": params.text,
    "price_data": params.mapping(_PRICE),
    "quantity": params.positive,
    "tax_rates": params.anything,
}
_INTENT_DATA: params.Spec = {
    "application_fee_amount": params.integer,
    "capture_method": params.choice("automatic", "automatic_async", "manual"),
    "description": params.text,
    "metadata": params.metadata,
    "on_behalf_of": params.text,
    "receipt_email": params.text,
    "setup_future_usage": params.choice("off_session", "on_session"),
    "shipping": params.anything,
    "statement_descriptor": params.text,
    "statement_descriptor_suffix": params.text,
    "transfer_data": params.anything,
    "transfer_group": params.text,
}
_WITHOUT_EFFECT = (
    "adaptive_pricing after_expiration allow_promotion_codes allowed_payment_method_types automatic_tax"
    " billing_address_collection branding_settings consent_collection custom_fields custom_text customer_creation"
    " customer_update discounts excluded_payment_method_types integration_identifier invoice_creation locale"
    " managed_payments name_collection optional_items origin_context payment_method_collection"
    " payment_method_configuration payment_method_data payment_method_options permissions phone_number_collection"
    " redirect_on_completion saved_payment_method_options shipping_address_collection shipping_options submit_type"
    " tax_id_collection wallet_options"
).split()


def _line_items(name: str, value: Any) -> list[Json]:
    if not isinstance(value, list):
        raise StripeError(400, "Invalid array", param=name)
    return [params.mapping(_ITEM)(f"{name}[{number}]", item) for number, item in enumerate(value)]


CREATE: params.Spec = {
    **dict.fromkeys(_WITHOUT_EFFECT, params.anything),
    "cancel_url": params.url,
    "client_reference_id": params.text,
    "currency": params.text,
    "customer": params.text,
    "customer_account": params.text,
    "customer_email": params.text,
    "expand": params.texts,
    "expires_at": params.integer,
    "line_items": _line_items,
    "metadata": params.metadata,
    "mode": params.choice("payment", "setup", "subscription"),
    "payment_intent_data": params.mapping(_INTENT_DATA),
    "return_url": params.url,
    "setup_intent_data": params.anything,
    "subscription_data": params.anything,
    "success_url": params.url,
    "ui_mode": params.text,
}


def create(call: Call) -> Json:
    desk = call.desk
    if "payment_method_types" in call.params:
        intent_params.refuse_removed_types(call)
        call.params.pop("payment_method_types")
    given = params.read(call.params, CREATE)
    _check(desk, given)
    currency, amount, items = _priced(given["line_items"])
    money.check_amount(amount, currency)
    session = _new(desk, given, currency, amount, items)
    desk.add("checkout_session", session)
    desk.later("expire_session", session["id"], session["expires_at"] - desk.now)
    return expanded(desk, session, given.get("expand"))


def _check(desk: Desk, given: Json) -> None:
    params.need(given, "mode")
    if given["mode"] != "payment":
        raise StripeError(400, "This sandbox has Checkout Sessions in `payment` mode only.", param="mode")
    if given.get("ui_mode") not in (None, "hosted", "hosted_page"):
        raise StripeError(400, "This sandbox has hosted Checkout pages only.", param="ui_mode")
    params.need(given, "line_items", "success_url")
    for name in ("customer", "customer_account"):
        if given.get(name):
            raise StripeError(400, f"No such customer: '{given[name]}'", code="resource_missing", param=name)
    wanted = given.get("expires_at")
    if wanted is not None and not desk.now + SHORTEST - 5 <= wanted <= desk.now + LONGEST + 5:
        far = "at least 30 minutes" if wanted < desk.now + SHORTEST else "less than 24 hours"
        raise StripeError(
            400, f"The `expires_at` timestamp must be {far} from Checkout Session creation.", param="expires_at"
        )


def _priced(items: list[Json]) -> tuple[str, int, list[Json]]:
    """Currency, sum and the names of what is bought."""
    if not items:
        raise StripeError(400, "You must provide at least one line item.", param="line_items")
    lines, currencies = [], set()
    for number, item in enumerate(items):
        param = f"line_items[{number}]"
        if item.get("price"):
            raise StripeError(
                400, f"No such price: '{item['price']}'", code="resource_missing", param=f"{param}[price]"
            )
        price = item.get("price_data") or {}
        for name in ("currency", "unit_amount"):
            if price.get(name) is None:
                raise StripeError(
                    400, f"Missing required param: {param}[price_data][{name}].", code="parameter_missing",
                    param=f"{param}[price_data][{name}]",
                )  # fmt: skip
        if price["unit_amount"] < 0:
            raise StripeError(400, "Invalid non-negative integer", code="parameter_invalid_integer", param=param)
        currencies.add(money.check_currency(price["currency"]))
        name = (price.get("product_data") or {}).get("name") or "Item"
        lines.append({"name": name, "amount": price["unit_amount"] * item.get("quantity", 1)})
    if len(currencies) > 1:
        raise StripeError(400, "All line items must have the same currency.", param="line_items")
    return currencies.pop(), sum(line["amount"] for line in lines), lines


def _new(desk: Desk, given: Json, currency: str, amount: int, items: list[Json]) -> Json:
    id = ids.fresh("cs_test_", 58)
    return {
        "id": id,
        "object": "checkout.session",
        "adaptive_pricing": None,
        "after_expiration": None,
        "allow_promotion_codes": None,
        "amount_subtotal": amount,
        "amount_total": amount,
        "automatic_tax": {"enabled": False, "liability": None, "provider": None, "status": None},
        "billing_address_collection": None,
        "cancel_url": given.get("cancel_url"),
        "client_reference_id": given.get("client_reference_id"),
        "client_secret": None,
        "collected_information": None,
        "consent": None,
        "consent_collection": None,
        "created": desk.now,
        "currency": currency,
        "currency_conversion": None,
        "custom_fields": [],
        "custom_text": dict.fromkeys(("after_submit", "shipping_address", "submit", "terms_of_service_acceptance")),
        "customer": None,
        "customer_account": None,
        "customer_creation": "if_required",
        "customer_details": None,
        "customer_email": given.get("customer_email"),
        "discounts": [],
        "expires_at": given.get("expires_at") or desk.now + LONGEST,
        "invoice": None,
        "invoice_creation": {"enabled": False, "invoice_data": None},
        "livemode": False,
        "locale": None,
        "metadata": given.get("metadata") or {},
        "mode": "payment",
        "origin_context": None,
        "payment_intent": None,
        "payment_link": None,
        "payment_method_collection": "if_required",
        "payment_method_configuration_details": None,
        "payment_method_options": {},
        "payment_method_types": ["card"],
        "payment_status": "unpaid",
        "permissions": None,
        "phone_number_collection": {"enabled": False},
        "recovered_from": None,
        "saved_payment_method_options": None,
        "setup_intent": None,
        "shipping_address_collection": None,
        "shipping_cost": None,
        "shipping_options": [],
        "status": "open",
        "submit_type": None,
        "subscription": None,
        "success_url": given["success_url"],
        "total_details": {"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0},
        "ui_mode": "hosted_page",
        "url": desk.url(f"/c/pay/{id}"),
        "wallet_options": None,
        "_items": items,
        "_intent_data": given.get("payment_intent_data") or {},
        "_idempotency_key": desk.idempotency_key,
    }


def find(desk: Desk, id: str) -> Json:
    session = desk.get("checkout_session", id)
    if session is None:
        raise missing("checkout.session", id, "session")
    return session


def retrieve(call: Call) -> Json:
    given = params.read(call.params, {"expand": params.texts})
    return expanded(call.desk, find(call.desk, call.args[0]), given.get("expand"))


def list_sessions(call: Call) -> Json:
    given = params.read(
        call.params,
        params.LIST
        | {"payment_intent": params.text, "status": params.choice("open", "complete", "expired")}
        | dict.fromkeys(
            ("customer", "customer_account", "customer_details", "payment_link", "subscription"), params.anything
        ),
    )
    where, values = "", []
    for name in ("payment_intent", "status"):
        if given.get(name):
            where += f" AND json_extract(body, '$.{name}') = ?"
            values.append(given[name])
    return lists.page(call, "checkout_session", given, where, tuple(values))


def list_line_items(call: Call) -> Json:
    session = find(call.desk, call.args[0])
    data = [
        {
            "id": f"li_{number + 1}",
            "object": "item",
            "amount_discount": 0,
            "amount_subtotal": item["amount"],
            "amount_tax": 0,
            "amount_total": item["amount"],
            "currency": session["currency"],
            "description": item["name"],
        }
        for number, item in enumerate(session["_items"])
    ]
    return {"object": "list", "data": data, "has_more": False, "url": call.raw.path}


def expire(call: Call) -> Json:
    given = params.read(call.params, {"expand": params.texts})
    session = find(call.desk, call.args[0])
    if session["status"] != "open":
        raise StripeError(
            400,
            f'Only Checkout Sessions with a status in ["open"] can be expired. This Checkout Session has a status of'
            f" {session['status']}.",
            param="session",
            saved=True,
        )
    _end(call.desk, session)
    return expanded(call.desk, session, given.get("expand"))


def expire_if_open(desk: Desk, session_id: str) -> None:
    session = desk.get("checkout_session", session_id)
    if session and session["status"] == "open":
        _end(desk, session)


def _end(desk: Desk, session: Json) -> None:
    """No further try is possible: the page is closed and its unpaid intent canceled."""
    session |= {"status": "expired", "url": None}
    desk.save("checkout_session", session)
    intent = desk.get("payment_intent", session["payment_intent"]) if session["payment_intent"] else None
    if intent and intent["status"] in payment_intents.CANCELABLE:
        payment_intents.end(desk, intent, "automatic")
    events.emit(desk, "checkout.session.expired", session)


def pay(desk: Desk, session: Json, card: Card) -> Json:
    """The customer submits a card. Answers the intent: paid, held, or waiting for authentication.

    Raises StripeError when the card says no; the session stays open for another try.
    """
    intent = _intent(desk, session)
    method = cards.new_payment_method(desk, card)
    method["billing_details"]["email"] = session["customer_email"]
    confirmation.confirm(desk, intent, {"payment_method": method["id"], "use_stripe_sdk": True})
    complete_if_paid(desk, intent)
    return intent


def _intent(desk: Desk, session: Json) -> Json:
    """The session's intent; the first submit makes it, later ones use it again."""
    if session["payment_intent"]:
        return payment_intents.find(desk, session["payment_intent"])
    given = {**session["_intent_data"], "amount": session["amount_total"], "currency": session["currency"]}
    intent = payment_intents.new(desk, given, {"allow_redirects": "always", "enabled": True})
    intent |= {
        "_session": session["id"],
        "_return_url": session["success_url"],
        "_idempotency_key": session["_idempotency_key"],
    }
    desk.add("payment_intent", intent, parent=session["id"])
    events.emit(desk, "payment_intent.created", intent)
    session["payment_intent"] = intent["id"]
    desk.save("checkout_session", session)
    return intent


def complete_if_paid(desk: Desk, intent: Json) -> Json | None:
    """Closes the session of an intent that got its money (or its hold); answers the session."""
    session = desk.get("checkout_session", intent.get("_session") or "")
    if session is None or intent["status"] not in ("succeeded", "requires_capture"):
        return session
    paid = intent["status"] == "succeeded"
    email = session["customer_email"] or "customer@example.com"
    session |= {
        "status": "complete",
        "url": None,
        # Money that is only held is not paid yet.
        "payment_status": "paid" if paid else "unpaid",
        "customer_details": {
            "address": None, "business_name": None, "email": email, "individual_name": None, "name": None,
            "phone": None, "tax_exempt": "none", "tax_ids": [],
        },
    }  # fmt: skip
    desk.save("checkout_session", session)
    events.emit(desk, "checkout.session.completed", session)
    return session


def success_url(session: Json) -> str:
    return re.sub(re.escape(PLACEHOLDER), lambda _: session["id"], session["success_url"])
