"""What is sent to charge or authorize: parameters made of the request alone, so that the same key sends the same."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit

from core.providers.base import StartRequest
from core.providers.stripe.marks import start_marks

#: docs.stripe.com/api: the longest description, and the longest name of a product on the page.
_DESCRIPTION, _PRODUCT = 1000, 250
#: The query parameter by which the merchant's page knows which payment came back.
RETURN_PARAMETER = "tollgate_payment"
#: Where an intent tells what was paid with. Asked for only where it is to be kept: a plain payment costs no more.
KEPT = ("payment_method", "latest_charge")


def intent_params(request: StartRequest, units: int) -> dict[str, Any]:
    """Create and confirm in one call, by token or by saved method."""
    params: dict[str, Any] = {
        "amount": units,
        "currency": request.currency.lower(),
        "payment_method": request.saved.token if request.saved else request.token,
        "confirm": True,
        "capture_method": _capture_method(request),
        "automatic_payment_methods": {"enabled": True},
        "metadata": start_marks(request),
    }
    if request.return_url:
        params["return_url"] = with_payment(request.return_url, request.payment_id)
    else:
        params["automatic_payment_methods"]["allow_redirects"] = "never"
    if request.description:
        params["description"] = request.description[:_DESCRIPTION]
    if customer := _customer(request):
        params["customer"] = customer
    if request.off_session:
        params["off_session"] = True
    if request.save_method:
        params |= {"setup_future_usage": "off_session", "expand": list(KEPT)}
    return params


def session_params(request: StartRequest, units: int) -> dict[str, Any]:
    """A page for one payment. `expires_at` is left to Stripe, whose default is our 24 h: a time taken
    here would differ when the same key is sent again."""
    back = with_payment(request.return_url or "", request.payment_id)
    marks = start_marks(request)
    intent_data: dict[str, Any] = {"capture_method": _capture_method(request), "metadata": marks}
    if request.description:
        intent_data["description"] = request.description[:_DESCRIPTION]
    if request.save_method:
        intent_data["setup_future_usage"] = "off_session"
    name = (request.description or request.reference or "Payment")[:_PRODUCT]
    price = {"currency": request.currency.lower(), "unit_amount": units, "product_data": {"name": name}}
    params: dict[str, Any] = {
        "mode": "payment",
        "line_items": [{"quantity": 1, "price_data": price}],
        "success_url": back,
        "cancel_url": back,
        "client_reference_id": request.payment_id,
        "metadata": marks,
        "payment_intent_data": intent_data,
    }
    # Stripe takes one of the two; a customer brings the address along.
    if customer := _customer(request):
        params["customer"] = customer
    elif request.person.email:
        params["customer_email"] = request.person.email
    return params


def _customer(request: StartRequest) -> str | None:
    """A saved method is charged for the customer it was saved with."""
    return (request.saved and request.saved.provider_customer) or request.provider_customer


def _capture_method(request: StartRequest) -> str:
    return "manual" if request.kind == "authorize" else "automatic"


def with_payment(url: str, payment_id: str) -> str:
    """The address with our payment id in its query, whatever query and fragment it already has."""
    parts = urlsplit(url)
    # Kept letter by letter: what is already there may hold Stripe's {CHECKOUT_SESSION_ID}, or a signature.
    kept = [one for one in parts.query.split("&") if one and not one.startswith(f"{RETURN_PARAMETER}=")]
    query = "&".join([*kept, urlencode({RETURN_PARAMETER: payment_id})])
    return urlunsplit((parts.scheme, parts.netloc, parts.path, query, parts.fragment))
