"""A Checkout Session as it is first made, with every field the current API version shows."""

from __future__ import annotations

from copy import deepcopy

from .. import ids
from ..ledger import Json
from ..world import Desk
from . import checkout_params

#: What no session of this sandbox uses, or not before it is paid.
_UNUSED: Json = {
    "adaptive_pricing": None,
    "after_expiration": None,
    "allow_promotion_codes": None,
    "automatic_tax": {"enabled": False, "liability": None, "provider": None, "status": None},
    "billing_address_collection": None,
    "client_secret": None,
    "collected_information": None,
    "consent": None,
    "consent_collection": None,
    "currency_conversion": None,
    "custom_fields": [],
    "custom_text": dict.fromkeys(("after_submit", "shipping_address", "submit", "terms_of_service_acceptance")),
    "customer_account": None,
    "customer_details": None,
    "discounts": [],
    "invoice": None,
    "invoice_creation": {"enabled": False, "invoice_data": None},
    "livemode": False,
    "locale": None,
    "mode": "payment",
    "origin_context": None,
    "payment_intent": None,
    "payment_link": None,
    "payment_method_collection": "if_required",
    "payment_method_configuration_details": None,
    "payment_method_options": {},
    "payment_method_types": ["card"],
    "permissions": None,
    "phone_number_collection": {"enabled": False},
    "recovered_from": None,
    "setup_intent": None,
    "shipping_address_collection": None,
    "shipping_cost": None,
    "shipping_options": [],
    "submit_type": None,
    "subscription": None,
    "total_details": {"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0},
    "ui_mode": "hosted_page",
    "wallet_options": None,
}


def new(desk: Desk, given: Json, currency: str, amount: int, items: list[Json]) -> Json:
    id = ids.fresh("cs_test_", 58)
    state = {
        "amount_subtotal": amount,
        "amount_total": amount,
        "created": desk.now,
        "currency": currency,
        "expires_at": given.get("expires_at") or desk.now + checkout_params.LONGEST,
        "payment_status": "unpaid",
        "status": "open",
        "url": desk.url(f"/c/pay/{id}"),
    }
    return {
        "id": id,
        "object": "checkout.session",
        **dict(sorted({**deepcopy(_UNUSED), **_asked(given), **state}.items())),  # as Stripe's own bodies
        "_items": items,
        "_intent_data": given.get("payment_intent_data") or {},
        "_idempotency_key": desk.idempotency_key,
    }


def _asked(given: Json) -> Json:
    """What the merchant said."""
    return {
        "cancel_url": given.get("cancel_url"),
        "client_reference_id": given.get("client_reference_id"),
        "customer": given.get("customer"),
        "customer_creation": None if given.get("customer") else given.get("customer_creation", "if_required"),
        "customer_email": given.get("customer_email"),
        "metadata": given.get("metadata") or {},
        "saved_payment_method_options": _saved_options(given),
        "success_url": given["success_url"],
    }


def _saved_options(given: Json) -> Json | None:
    if not given.get("customer"):
        return None
    names = ("allow_redisplay_filters", "payment_method_remove", "payment_method_save")
    shown: Json = {"allow_redisplay_filters": ["always"], "payment_method_remove": "disabled"}
    return dict.fromkeys(names) | shown | (given.get("saved_payment_method_options") or {})
