"""A payment intent as it is first made, with every field the current API version shows."""

from __future__ import annotations

from copy import deepcopy

from .. import ids
from ..ledger import Json
from ..world import Desk

#: What no intent of this sandbox uses, or not before it is confirmed.
_UNUSED: Json = {
    "amount_capturable": 0,
    "amount_details": {"tip": {}},
    "amount_received": 0,
    "application": None,
    "application_fee_amount": None,
    "canceled_at": None,
    "cancellation_reason": None,
    "customer_account": None,
    "last_payment_error": None,
    "latest_charge": None,
    "livemode": False,
    "next_action": None,
    "on_behalf_of": None,
    "payment_method": None,
    "payment_method_configuration_details": None,
    "payment_method_options": {"card": {"installments": None, "network": None, "request_three_d_secure": "automatic"}},
    "processing": None,
    "review": None,
    "source": None,
    "transfer_data": None,
}
#: Shown as given, null where nothing was.
_OPTIONAL = (
    "allowed_payment_method_types",
    "customer",
    "description",
    "excluded_payment_method_types",
    "receipt_email",
    "setup_future_usage",
    "shipping",
    "statement_descriptor",
    "statement_descriptor_suffix",
    "transfer_group",
)


def types(given: Json) -> list[str]:
    """What is switched on: cards, and bank debits in dollars, as far as the caller does not narrow it."""
    types = ["card", "us_bank_account"] if given["currency"] == "usd" else ["card"]
    if given.get("capture_method") == "manual":
        types = ["card"]
    if given.get("allowed_payment_method_types"):
        types = [type for type in types if type in given["allowed_payment_method_types"]]
    return [type for type in types if type not in (given.get("excluded_payment_method_types") or [])] or ["card"]


def new(desk: Desk, given: Json, automatic: Json | None) -> Json:
    id = ids.fresh("pi_3")
    state = {
        "automatic_payment_methods": automatic,
        "client_secret": f"{id}_secret_{ids.fresh('', 25)}",
        "created": desk.now,
        "status": "requires_payment_method",
    }
    return {
        "id": id,
        "object": "payment_intent",
        **dict(sorted({**deepcopy(_UNUSED), **_asked(given), **state}.items())),  # as Stripe's own bodies
        "_idempotency_key": desk.idempotency_key,
    }


def _asked(given: Json) -> Json:
    """What the merchant said."""
    return {
        **{name: given.get(name) for name in _OPTIONAL},
        "amount": given["amount"],
        "capture_method": given.get("capture_method", "automatic_async"),
        "confirmation_method": given.get("confirmation_method", "automatic"),
        "currency": given["currency"],
        "metadata": given.get("metadata") or {},
        "payment_method_types": given.get("payment_method_types") or types(given),
    }
