"""Paying on Paystack's page: initialize with a reference of our own, and what a transaction object says."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit

from core.domain.money import InvalidMoney
from core.domain.outcomes import (
    ActionRequired,
    Facts,
    NextAction,
    Outcome,
    Succeeded,
    Unknown,
)
from core.providers.base import StartRequest
from core.providers.paystack.client import PaystackClient
from core.providers.paystack.currencies import (
    CURRENCIES,
    fee_from_hundredths,
    from_hundredths,
    to_hundredths,
    whole_number,
)
from core.providers.paystack.declines import decline_of
from core.providers.paystack.outcomes import (
    TRANSACTION_STATUSES,
    Answer,
    Unreadable,
    clean,
    refusal,
    refuse_unsent,
    unknown,
)

#: Our marks on every object made at Paystack.
TRANSACTION_MARK = "tollgate_transaction"
PAYMENT_MARK = "tollgate_payment"
#: Added to the merchant's return_url beside Paystack's own `trxref` and `reference`.
RETURN_PARAMETER = "tollgate_payment"
#: Names by which metadata changes what Paystack's page does; a merchant's own label must not.
_MEANINGFUL = frozenset({"cancel_action", "custom_fields", "custom_filters", "referrer"})

#: Paystack allows letters, digits and "-", ".", "=". The usual separators get a readable stand-in, the stand-ins
#: themselves and everything else are written as "=" and two hex digits, so that two keys never share a reference.
_STAND_INS = {"_": ".", ":": "-"}
_LONGEST_REFERENCE = 100  # no limit is published; this is what their other text fields take


def reference_for(provider_key: str) -> str:
    """Paystack's `reference` of the transaction with this key: always the same, and no other key's."""
    letters = []
    for letter in provider_key:
        if letter.isascii() and letter.isalnum():
            letters.append(letter)
        else:
            coded = "".join(f"={byte:02X}" for byte in letter.encode())
            letters.append(_STAND_INS.get(letter, coded))
    reference = "".join(letters)
    if len(reference) <= _LONGEST_REFERENCE:
        return reference
    return "sha256=" + hashlib.sha256(provider_key.encode()).hexdigest()


def start(client: PaystackClient, request: StartRequest) -> Outcome:
    """POST /transaction/initialize. Sends once; a reference that exists already is an unknown outcome."""
    if request.method != "redirect":
        return refuse_unsent("Paystack is paid on its own page", "payment_method")
    if request.kind != "charge":
        return refuse_unsent("Paystack takes the money at once", "capture")
    if not request.person.email:
        return refuse_unsent("Paystack needs the customer's e-mail address", "customer.email")
    limit = CURRENCIES.get(request.currency)
    if limit is None:
        return refuse_unsent(f"Paystack does not take {request.currency}", "currency")
    if not limit.minimum <= request.amount <= limit.maximum:
        return refuse_unsent(f"Paystack does not take this amount of {request.currency}", "amount")
    reference = reference_for(request.provider_key)
    body: dict[str, Any] = {
        "reference": reference,
        "amount": to_hundredths(request.amount, request.currency),
        "currency": request.currency,
        "email": request.person.email,
        "metadata": metadata_of(request),
    }
    if request.return_url:
        body["callback_url"] = callback_url(request.return_url, request.payment_id)
    answer = client.post("/transaction/initialize", body)
    if not isinstance(answer, Answer):
        return answer
    return refusal(answer) or _page(answer, reference)


def metadata_of(request: StartRequest) -> dict[str, str]:
    """Our marks, and the merchant's own metadata as a copy for reading in Paystack's dashboard."""
    copied = {"reference": request.reference} if request.reference else {}
    copied |= {name: value for name, value in request.metadata.items() if name not in _MEANINGFUL}
    return {**copied, TRANSACTION_MARK: request.transaction_id, PAYMENT_MARK: request.payment_id}


def callback_url(return_url: str, payment_id: str) -> str:
    """The merchant's address with our payment id in the query, so that the page knows whom it welcomes."""
    parts = urlsplit(return_url)
    ours = urlencode({RETURN_PARAMETER: payment_id})
    return urlunsplit(parts._replace(query=f"{parts.query}&{ours}" if parts.query else ours))


def _page(answer: Answer, reference: str) -> ActionRequired | Unknown:
    url = answer.data.get("authorization_url")
    if answer.data.get("reference") != reference:
        return unknown("another reference than the one we sent", answer, reference=reference)
    if not isinstance(url, str) or urlsplit(url).scheme not in ("http", "https"):
        return unknown("no address of a payment page", answer, reference=reference)
    facts = Facts(provider_id=reference, extra={"status": "initialized"}, raw=answer.kept)
    return ActionRequired(facts, NextAction(url))


def read_transaction(answer: Answer, reference: str, transaction_id: str) -> Outcome:
    """The outcome of a start, from a transaction object that Paystack returned for our reference."""
    data = answer.data
    status = data.get("status")
    made = TRANSACTION_STATUSES.get(status) if isinstance(status, str) else None
    if data.get("reference") != reference:
        return unknown("another transaction than the one asked for", answer, reference=reference)
    if read_metadata(data.get("metadata")).get(TRANSACTION_MARK) not in (None, transaction_id):
        return unknown("the reference carries another transaction's mark", answer, reference=reference)
    if made is None:
        return unknown("a status nobody described", answer, reference=reference, status=clean(str(status)))
    try:
        facts = _facts(answer, reference, paid=made is Succeeded)
    except Unreadable as error:
        return unknown(str(error), answer, reference=reference, status=str(status))
    return made(facts)


def _facts(answer: Answer, reference: str, paid: bool) -> Facts:
    """Raises Unreadable when the sums cannot be told: money is never counted as received on a guess."""
    data = answer.data
    currency = data.get("currency")
    currency = currency.upper() if isinstance(currency, str) else None
    asked = received = fee = None
    if currency is not None:
        try:
            asked, received = _sums(data, currency)
            fee = fee_from_hundredths(data.get("fees"), currency)
        except InvalidMoney as error:
            if paid:
                raise Unreadable(str(error)) from error
    elif paid:
        raise Unreadable("the answer names no currency")
    number = whole_number(data.get("id"))
    return Facts(
        provider_id=reference,
        provider_charge_id=None if number is None else str(number),
        amount=asked,
        amount_captured=asked if paid else None,
        amount_received=received if paid else None,
        currency=currency,
        fee=fee if paid else None,
        created_at=read_time(data.get("created_at") or data.get("createdAt")),
        extra=_extra(data),
        raw=answer.kept,
    )


def _sums(data: Mapping[str, Any], currency: str) -> tuple[int, int]:
    """What was asked and what was paid. They differ when the customer bears the fee, or when too little came."""
    received = from_hundredths(data.get("amount"), currency)
    requested = data.get("requested_amount")
    asked = received if requested is None else from_hundredths(requested, currency)
    # Too little paid must not compare equal with the payment, whatever was asked.
    return min(asked, received), received


def _extra(data: Mapping[str, Any]) -> dict[str, str]:
    status = str(data.get("status"))
    extra = {"status": status}
    if status == "reversed":
        extra["reversed"] = "true"
    if status == "failed":
        decline = decline_of(data)
        extra |= {"decline_code": decline.code, "decline_category": decline.category.value}
    return extra


def read_metadata(value: Any) -> Mapping[str, Any]:
    """Metadata arrives as an object, as JSON text, as "", 0 or null."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return {}
    return value if isinstance(value, Mapping) else {}


def read_time(value: Any) -> datetime | None:
    """A time of Paystack's in UTC; it writes ISO 8601 with "Z"."""
    try:
        when = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    if when is None:
        return None
    return when.astimezone(UTC) if when.tzinfo is not None else when.replace(tzinfo=UTC)
