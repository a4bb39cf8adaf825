"""Refunds: sent once, marked in `merchant_note`, and recognised by that mark alone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from core.domain.money import InvalidMoney
from core.domain.outcomes import Facts, Outcome
from core.providers.base import RefundRequest
from core.providers.paystack.client import PaystackClient
from core.providers.paystack.currencies import from_hundredths, to_hundredths, whole_number
from core.providers.paystack.outcomes import (
    REFUND_STATUSES,
    Answer,
    Unreadable,
    clean,
    refusal,
    refuse_unsent,
    unknown,
)
from core.providers.paystack.payments import read_time

_MARK = re.compile(r"\btxn_[0-9a-z]+\b")


def refund(client: PaystackClient, request: RefundRequest) -> Outcome:
    """POST /refund. Paystack has no idempotency for it: whoever is in doubt looks up and never sends again."""
    try:
        amount = to_hundredths(request.amount, request.currency)
    except InvalidMoney as error:
        return refuse_unsent(str(error), "currency")
    answer = client.post(
        "/refund",
        {
            "transaction": request.provider_id,
            "amount": amount,
            "currency": request.currency,
            # Echoed in lists, and the only way to find it again. Nothing of a person belongs here.
            "merchant_note": f"Tollgate {request.transaction_id}",
        },
    )
    if not isinstance(answer, Answer):
        return answer
    return refusal(answer) or read_refund(answer, request.transaction_id)


def read_refund(answer: Answer, transaction_id: str) -> Outcome:
    """The outcome of a refund from the refund object in `answer`."""
    data = answer.data
    status = data.get("status")
    made = REFUND_STATUSES.get(status) if isinstance(status, str) else None
    refund_id = refund_id_of(data)
    named: dict[str, str] = {} if refund_id is None else {"refund_id": refund_id}
    if mark_in(data) not in (None, transaction_id):
        return unknown("a refund with another transaction's mark", answer, **named)
    if made is None:
        return unknown("a status nobody described", answer, status=clean(str(status)), **named)
    try:
        facts = _facts(answer, refund_id)
    except Unreadable as error:
        return unknown(str(error), answer, status=str(status), **named)
    return made(facts)


def mark_in(data: Mapping[str, Any]) -> str | None:
    """Our transaction id in the note, whatever else a person wrote around it."""
    note = data.get("merchant_note")
    found = _MARK.search(note) if isinstance(note, str) else None
    return found.group(0) if found else None


def refund_id_of(data: Mapping[str, Any]) -> str | None:
    number = whole_number(data.get("id"))
    return None if number is None else str(number)


def _facts(answer: Answer, refund_id: str | None) -> Facts:
    data = answer.data
    currency = data.get("currency")
    if not isinstance(currency, str):
        raise Unreadable("the refund names no currency")
    try:
        amount = from_hundredths(data.get("amount"), currency.upper())
    except InvalidMoney as error:
        raise Unreadable(str(error)) from error
    return Facts(
        provider_id=refund_id,
        amount=amount,
        currency=currency.upper(),
        created_at=read_time(data.get("createdAt") or data.get("created_at")),
        extra={"status": str(data.get("status"))},
        raw=answer.kept,
    )
