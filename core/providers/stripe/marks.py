"""The metadata we put on every object at Stripe, by which its events and lists are found again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.providers.base import CustomerRequest, RefundRequest, StartRequest

TRANSACTION = "tollgate_transaction"
PAYMENT = "tollgate_payment"
REFUND = "tollgate_refund"
METHOD = "tollgate_method"
KIND = "tollgate_kind"
CAPTURE = "tollgate_capture"
CUSTOMER = "tollgate_customer"

#: docs.stripe.com/metadata: 50 keys of 40 characters without square brackets, values of 500.
_OURS = 6
_KEYS, _KEY_LENGTH, _VALUE_LENGTH = 50 - _OURS, 40, 500


def start_marks(request: StartRequest) -> dict[str, str]:
    """Ours, and of the merchant's own metadata what Stripe takes: a copy for reading in its dashboard."""
    fitting = {
        name: value
        for name, value in request.metadata.items()
        if 0 < len(name) <= _KEY_LENGTH
        and not set(name) & set("[]")
        and not name.startswith("tollgate_")
        and len(value) <= _VALUE_LENGTH
    }
    copied = dict(sorted(fitting.items())[:_KEYS])
    if request.reference and "reference" not in copied and len(request.reference) <= _VALUE_LENGTH:
        copied["reference"] = request.reference
    return {
        **dict(list(copied.items())[:_KEYS]),
        TRANSACTION: request.transaction_id,
        PAYMENT: request.payment_id,
        METHOD: request.method,
        KIND: request.kind,
    }


def refund_marks(request: RefundRequest) -> dict[str, str]:
    return {TRANSACTION: request.transaction_id, PAYMENT: request.payment_id, REFUND: request.refund_id}


def customer_marks(request: CustomerRequest) -> dict[str, str]:
    return {CUSTOMER: request.customer_id}


def mark_of(body: Mapping[str, Any], name: str = TRANSACTION) -> str | None:
    """One of our marks on an object; None where it carries none."""
    metadata = body.get("metadata")
    value = metadata.get(name) if isinstance(metadata, dict) else None
    return value if isinstance(value, str) and value else None


def paid_on_page(intent: Mapping[str, Any]) -> bool:
    """Whether the intent was made by a Checkout Session of ours."""
    return mark_of(intent, METHOD) == "redirect"
