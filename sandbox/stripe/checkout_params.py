"""The parameters of Checkout Sessions: what is taken, what is refused, what it costs."""

from __future__ import annotations

from typing import Any

from ..ledger import Json
from ..world import Desk
from . import customer_object, money, params
from .errors import StripeError

# docs.stripe.com/api/checkout/sessions/create: from 30 minutes to 24 hours after creation.
SHORTEST, LONGEST = 30 * 60, 24 * 3600

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
    " billing_address_collection branding_settings consent_collection custom_fields custom_text"
    " customer_update discounts excluded_payment_method_types integration_identifier invoice_creation locale"
    " managed_payments name_collection optional_items origin_context payment_method_collection"
    " payment_method_configuration payment_method_data payment_method_options permissions phone_number_collection"
    " redirect_on_completion shipping_address_collection shipping_options submit_type"
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
    "customer_creation": params.choice("always", "if_required"),
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
    "saved_payment_method_options": params.mapping(
        {
            "allow_redisplay_filters": params.texts, "payment_method_remove": params.anything,
            "payment_method_save": params.choice("enabled", "disabled"),
        }
    ),
    "setup_intent_data": params.anything,
    "subscription_data": params.anything,
    "success_url": params.url,
    "ui_mode": params.text,
}  # fmt: skip


LIST: params.Spec = {
    **params.LIST,
    **dict.fromkeys(("customer_account", "payment_link", "subscription"), params.anything),
    "customer": params.text,
    "customer_details": params.mapping({"email": params.text}),
    "payment_intent": params.text,
    "status": params.choice("open", "complete", "expired"),
}


def check(desk: Desk, given: Json) -> None:
    params.need(given, "mode")
    if given["mode"] != "payment":
        raise StripeError(400, "This sandbox has Checkout Sessions in `payment` mode only.", param="mode")
    if given.get("ui_mode") not in (None, "hosted", "hosted_page"):
        raise StripeError(400, "This sandbox has hosted Checkout pages only.", param="ui_mode")
    params.need(given, "line_items", "success_url")
    if given.get("customer"):
        customer_object.named(desk, given["customer"])
    if given.get("customer") and (given.get("customer_email") or given.get("customer_creation")):
        other = "customer_email" if given.get("customer_email") else "customer_creation"
        raise StripeError(400, f"You may only specify one of these parameters: customer, {other}.", param="customer")
    wanted = given.get("expires_at")
    if wanted is not None and not desk.now + SHORTEST - 5 <= wanted <= desk.now + LONGEST + 5:
        far = "at least 30 minutes" if wanted < desk.now + SHORTEST else "less than 24 hours"
        raise StripeError(
            400, f"The `expires_at` timestamp must be {far} from Checkout Session creation.", param="expires_at"
        )


def priced(items: list[Json]) -> tuple[str, int, list[Json]]:
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
        quantity = item.get("quantity", 1)
        lines.append({"name": name, "amount": price["unit_amount"] * quantity, "quantity": quantity})
    if len(currencies) > 1:
        raise StripeError(400, "All line items must have the same currency.", param="line_items")
    return currencies.pop(), sum(line["amount"] for line in lines), lines
