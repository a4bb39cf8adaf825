"""The parameters of payment intents, call by call, as the current API version takes them."""

from __future__ import annotations

from typing import Any

from ..http import Call
from ..ledger import Json
from . import params
from .errors import StripeError

# docs.stripe.com/changelog/endive/2026-09-30: from this version on the list is not taken any more.
TYPES_REMOVED = "2026-09-30"


def _off_session(name: str, value: Any) -> bool:
    return True if value in ("one_off", "recurring") else bool(params.boolean(name, value))


_SHARED: dict[str, params.Reader] = {
    "allowed_payment_method_types": params.texts,
    "amount_details": params.anything,
    "capture_method": params.choice("automatic", "automatic_async", "manual"),
    "excluded_payment_method_types": params.texts,
    "expand": params.texts,
    "hooks": params.anything,
    "payment_details": params.anything,
    "payment_method": params.text,
    "payment_method_data": params.anything,
    "payment_method_options": params.anything,
    "receipt_email": params.text,
    "setup_future_usage": params.choice("off_session", "on_session"),
    "shipping": params.anything,
}
_MONEY: dict[str, params.Reader] = {
    "amount": params.positive,
    "currency": params.text,
    "application_fee_amount": params.integer,
    "customer": params.text,
    "customer_account": params.text,
    "description": params.text,
    "metadata": params.metadata,
    "payment_method_configuration": params.text,
    "statement_descriptor": params.text,
    "statement_descriptor_suffix": params.text,
    "transfer_data": params.anything,
    "transfer_group": params.text,
}
_CONFIRMING: dict[str, params.Reader] = {
    "confirmation_token": params.text,
    "error_on_requires_action": params.boolean,
    "mandate": params.text,
    "mandate_data": params.anything,
    "off_session": _off_session,
    "radar_options": params.anything,
    "return_url": params.url,
    "use_stripe_sdk": params.boolean,
}
_AUTOMATIC = params.mapping({"enabled": params.boolean, "allow_redirects": params.choice("always", "never")})

CREATE: params.Spec = {
    **_SHARED,
    **_MONEY,
    **_CONFIRMING,
    "automatic_payment_methods": _AUTOMATIC,
    "confirm": params.boolean,
    "confirmation_method": params.choice("automatic", "manual"),
    "on_behalf_of": params.text,
}
UPDATE: params.Spec = {**_SHARED, **_MONEY}
CONFIRM: params.Spec = {**_SHARED, **_CONFIRMING, "amount_to_confirm": params.positive}
CAPTURE: params.Spec = {
    "amount_details": params.anything,
    "amount_to_capture": params.positive,
    "application_fee_amount": params.integer,
    "expand": params.texts,
    "final_capture": params.boolean,
    "hooks": params.anything,
    "metadata": params.metadata,
    "payment_details": params.anything,
    "statement_descriptor": params.text,
    "statement_descriptor_suffix": params.text,
    "transfer_data": params.anything,
}
CANCEL: params.Spec = {
    "cancellation_reason": params.choice("duplicate", "fraudulent", "requested_by_customer", "abandoned"),
    "expand": params.texts,
}
LIST: params.Spec = {**params.LIST, "customer": params.text, "customer_account": params.text}


def read(call: Call, spec: params.Spec) -> Json:
    """The call's parameters; `payment_method_types` only under versions that still had it."""
    if "payment_method_types" in call.params and "payment_method" in spec:
        refuse_removed_types(call)
        spec = {**spec, "payment_method_types": params.texts}
    given = params.read(call.params, spec)
    lists = {"allowed_payment_method_types", "excluded_payment_method_types"} & set(given)
    if len(lists) > 1:
        raise StripeError(
            400,
            "You may only specify one of these parameters: allowed_payment_method_types,"
            " excluded_payment_method_types.",
            param="allowed_payment_method_types",
        )
    return given


def refuse_removed_types(call: Call) -> None:
    if call.version >= TYPES_REMOVED:
        raise StripeError(
            400,
            "The `payment_method_types` parameter is no longer supported on this API version. Use dynamic payment"
            " methods, or narrow them with `allowed_payment_method_types` or `excluded_payment_method_types`.",
            code="payment_method_types_no_longer_supported",
            param="payment_method_types",
        )
