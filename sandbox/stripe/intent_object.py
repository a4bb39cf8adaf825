"""A payment intent as it is first made, with every field the current API version shows."""

from __future__ import annotations

from .. import ids
from ..ledger import Json
from ..world import Desk


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
    return {
        "id": id,
        "object": "payment_intent",
        "allowed_payment_method_types": given.get("allowed_payment_method_types"),
        "amount": given["amount"],
        "amount_capturable": 0,
        "amount_details": {"tip": {}},
        "amount_received": 0,
        "application": None,
        "application_fee_amount": None,
        "automatic_payment_methods": automatic,
        "canceled_at": None,
        "cancellation_reason": None,
        "capture_method": given.get("capture_method", "automatic_async"),
        "client_secret": f"{id}_secret_{ids.fresh('', 25)}",
        "confirmation_method": given.get("confirmation_method", "automatic"),
        "created": desk.now,
        "currency": given["currency"],
        "customer": given.get("customer"),
        "customer_account": None,
        "description": given.get("description"),
        "excluded_payment_method_types": given.get("excluded_payment_method_types"),
        "last_payment_error": None,
        "latest_charge": None,
        "livemode": False,
        "metadata": given.get("metadata") or {},
        "next_action": None,
        "on_behalf_of": None,
        "payment_method": None,
        "payment_method_configuration_details": None,
        "payment_method_options": {
            "card": {"installments": None, "network": None, "request_three_d_secure": "automatic"}
        },
        "payment_method_types": given.get("payment_method_types") or types(given),
        "processing": None,
        "receipt_email": given.get("receipt_email"),
        "review": None,
        "setup_future_usage": given.get("setup_future_usage"),
        "shipping": given.get("shipping"),
        "source": None,
        "statement_descriptor": given.get("statement_descriptor"),
        "statement_descriptor_suffix": given.get("statement_descriptor_suffix"),
        "status": "requires_payment_method",
        "transfer_data": None,
        "transfer_group": given.get("transfer_group"),
        "_idempotency_key": desk.idempotency_key,
    }
