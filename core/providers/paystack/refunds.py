"""Refunds: sent once, marked in `merchant_note`, and recognised by that mark alone."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from core.domain.money import InvalidMoney
from core.domain.outcomes import Facts, NotExecuted, NotFound, Outcome, Unknown
from core.providers.base import ChargeRef, ListingBroken, News, RefundRequest
from core.providers.paystack.client import PaystackClient
from core.providers.paystack.currencies import from_hundredths, to_hundredths
from core.providers.paystack.lists import Row, rows
from core.providers.paystack.outcomes import (
    Answer,
    Unreadable,
    asked,
    clean,
    refusal,
    refuse_unsent,
    row_answer,
    unknown,
)
from core.providers.paystack.reading import read_id, read_time
from core.providers.paystack.statuses import REFUND_STATUSES

_MARK = re.compile(r"\btxn_[0-9a-z]+\b")
_REFUND = re.compile(r"\bref_[0-9a-z]+\b")
#: Pages of refunds of one transaction; a longer list means that Paystack did not filter.
_MOST_PAGES = 20


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
            "merchant_note": f"Tollgate {request.transaction_id} {request.refund_id}",
        },
    )
    if not isinstance(answer, Answer):
        return answer
    return refusal(answer) or read_refund(answer, request.transaction_id)


def read_refund(answer: Answer, transaction_id: str | None) -> Outcome:
    """The outcome of a refund from the refund object in `answer`; `transaction_id` None: whoever asked for it."""
    data = answer.data
    status = data.get("status")
    made = REFUND_STATUSES.get(status) if isinstance(status, str) else None
    refund_id = read_id(data.get("id"))
    named: dict[str, str] = {} if refund_id is None else {"refund_id": refund_id}
    if transaction_id is not None and mark_in(data) not in (None, transaction_id):
        return unknown("a refund with another transaction's mark", answer, **named)
    if made is None:
        return unknown("a status nobody described", answer, status=clean(str(status)), **named)
    try:
        facts = _facts(answer, refund_id)
    except Unreadable as error:
        return unknown(str(error), answer, status=str(status), **named)
    outcome = made(data, facts)
    return Unknown(outcome.evidence) if isinstance(outcome, NotFound) else outcome


def list_refunds(client: PaystackClient, charge: ChargeRef) -> Sequence[News] | NotExecuted | Unknown:
    """Every refund of a transaction, by the ids that Paystack's events leave out: two equal ones are two rows here."""
    number = transaction_number(client, charge)
    if not isinstance(number, str):
        return number
    try:
        found = {str(read_id(row.get("id"))): row for row in refunds_of(client, number)}
    except ListingBroken as broken:
        return broken.outcome
    # What a lost dispute took is told by the dispute, and would be counted twice.
    return [news_of(row, charge.provider_id) for row in found.values() if not row.get("dispute")]


def refunds_of(client: PaystackClient, number: str) -> list[Row]:
    """Raises ListingBroken."""
    return list(rows(client, "/refund", query={"transaction": number}, most_pages=_MOST_PAGES))


def news_of(row: Row, reference: str | None) -> News:
    """`reference`: of the transaction that is refunded, where the caller knows it."""
    mark = mark_in(row)
    return News(
        "refund",
        read_refund(row_answer(row), mark),
        transaction_id=mark,
        provider_id=read_id(row.get("id")),
        start_provider_id=reference,
        occurred_at=read_time(row.get("refunded_at"), row.get("updatedAt"), row.get("createdAt")),
    )


def transaction_number(client: PaystackClient, charge: ChargeRef) -> str | Unknown:
    """The list filters by Paystack's own number of the transaction, not by reference."""
    for known in (charge.provider_charge_id, charge.extra.get("capture")):
        if known is not None and known.isdigit():
            return known
    answer = asked(client.get("/transaction/verify", charge.provider_id))
    if not isinstance(answer, Answer):
        # The charge itself must exist: its absence says nothing about the refund.
        return unknown("the refunded transaction was not found") if isinstance(answer, NotFound) else answer
    return read_id(answer.data.get("id")) or unknown("a transaction without a number", answer)


def mark_in(data: Mapping[str, Any]) -> str | None:
    """Our transaction id in the note, whatever else a person wrote around it."""
    note = data.get("merchant_note")
    found = _MARK.search(note) if isinstance(note, str) else None
    return found.group(0) if found else None


def refund_in(data: Mapping[str, Any]) -> str | None:
    """Our refund id in the note: it outlives a transaction that a restore has lost."""
    note = data.get("merchant_note")
    found = _REFUND.search(note) if isinstance(note, str) else None
    return found.group(0) if found else None


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
