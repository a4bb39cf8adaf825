"""What a transaction object of Paystack's says: its outcome, its sums, and why a try failed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.domain.money import InvalidMoney
from core.domain.outcomes import Facts, NotFound, Outcome, Unknown
from core.providers.paystack.currencies import fee_from_hundredths, from_hundredths
from core.providers.paystack.declines import decline_of
from core.providers.paystack.outcomes import Answer, Unreadable, clean, unknown
from core.providers.paystack.reading import PAYMENT_MARK, mark_of, read_id, read_time
from core.providers.paystack.statuses import CHARGE_STATUSES, TRANSACTION_STATUSES, Made, succeeded


def read_transaction(
    answer: Answer,
    reference: str,
    transaction_id: str | None,
    statuses: Mapping[str, Made] = TRANSACTION_STATUSES,
) -> Outcome:
    """The outcome of a start, from a transaction object that Paystack returned for our reference.

    `transaction_id` is the mark it may carry; None where any may stand there.
    """
    mark = mark_of(answer.data)
    if transaction_id is not None and mark not in (None, transaction_id):
        return unknown("the reference carries another transaction's mark", answer, reference=reference)
    return _read(answer, answer.data, reference, statuses)


def read_capture(answer: Answer, reference: str, payment_id: str) -> Outcome:
    """The outcome of a capture, from the transaction that took the money.

    It has the hold's reference, and the marks of the hold: ours of the capture is nowhere. Paystack documents it both
    as `data` itself and inside `data.transaction`.
    """
    data = answer.data
    nested = data.get("transaction")
    if isinstance(nested, Mapping):
        data = {**nested, **{name: value for name, value in data.items() if name != "transaction"}}
    if mark_of(data, PAYMENT_MARK) not in (None, payment_id):
        return unknown("the reference carries another payment's mark", answer, reference=reference)
    return _read(answer, data, reference, CHARGE_STATUSES)


def _read(answer: Answer, data: Mapping[str, Any], reference: str, statuses: Mapping[str, Made]) -> Outcome:
    status = data.get("status")
    made = statuses.get(status) if isinstance(status, str) else None
    if data.get("reference") != reference:
        return unknown("another transaction than the one asked for", answer, reference=reference)
    if made is None:
        return unknown("a status nobody described", answer, reference=reference, status=clean(str(status)))
    try:
        facts = _facts(answer, data, reference, paid=made is succeeded)
    except Unreadable as error:
        return unknown(str(error), answer, reference=reference, status=str(status))
    outcome = made(data, facts)
    # No status of a transaction denies that it is there.
    return Unknown(outcome.evidence) if isinstance(outcome, NotFound) else outcome


def _facts(answer: Answer, data: Mapping[str, Any], reference: str, paid: bool) -> Facts:
    """Raises Unreadable when the sums cannot be told: money is never counted as received on a guess."""
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
    return Facts(
        provider_id=reference,
        provider_charge_id=read_id(data.get("id")),
        amount=asked,
        amount_captured=asked if paid else None,
        amount_received=received if paid else None,
        currency=currency,
        fee=fee if paid else None,
        created_at=read_time(data.get("created_at"), data.get("createdAt"), data.get("transaction_date")),
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
