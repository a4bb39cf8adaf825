"""What became of a transaction: verify by reference for payments and holds, id or note for refunds. Reads only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import assert_never

from core.domain.outcomes import LookUp, NotExecuted, NotExecutedReason, NotFound
from core.providers.base import (
    CaptureRequest,
    ChargeRef,
    ListingBroken,
    LookUpRequest,
    RefundRequest,
    StartRequest,
    VoidRequest,
)
from core.providers.paystack import holds
from core.providers.paystack.client import PaystackClient
from core.providers.paystack.lists import Row
from core.providers.paystack.outcomes import Answer, asked, row_answer, unknown
from core.providers.paystack.payments import look_up_start
from core.providers.paystack.refunds import mark_in, read_refund, refund_in, refunds_of, transaction_number


def look_up(client: PaystackClient, request: LookUpRequest) -> LookUp:
    sent = request.request
    match sent:
        case StartRequest():
            return look_up_start(client, request, sent)
        case CaptureRequest():
            return holds.look_up_capture(client, sent)
        case VoidRequest():
            return holds.look_up_release(client, sent)
        case RefundRequest():
            if request.provider_id is not None:
                return _refund_by_id(client, sent, request.provider_id, by_refund=request.by_payment)
            return _refund_by_note(client, sent, by_refund=request.by_payment)
        case _:
            assert_never(sent)


def _refund_by_id(client: PaystackClient, sent: RefundRequest, refund_id: str, *, by_refund: bool) -> LookUp:
    answer = asked(client.get("/refund", refund_id))
    if isinstance(answer, Answer):
        if str(answer.data.get("id")) != refund_id:
            return unknown("another refund than the one asked for", answer, refund_id=refund_id)
        # After a restore the note names the transaction that was lost; the refund is ours by its own id.
        found = by_refund and refund_in(answer.data) == sent.refund_id
        return read_refund(answer, None if found else sent.transaction_id)
    return answer


def _refund_by_note(client: PaystackClient, sent: RefundRequest, *, by_refund: bool) -> LookUp:
    """Absent from the list is "not found" with the list's length; that refund is never sent again by itself."""
    number = transaction_number(client, ChargeRef(sent.provider_id, sent.provider_charge_id, sent.start_extra))
    if not isinstance(number, str):
        return number
    try:
        listed = refunds_of(client, number)
    except ListingBroken as broken:
        if isinstance(broken.outcome, NotExecuted):
            seen = unknown("the look-up itself failed", reason=broken.outcome.reason.value)
            return replace(seen, refused_key=broken.outcome.reason is NotExecutedReason.MISCONFIGURED)
        return broken.outcome
    # By id: a list that grows while we turn its pages shows a row twice.
    if by_refund:
        matches = {str(row.get("id")): row for row in listed if refund_in(row) == sent.refund_id}
        return _single(matches, len(listed), None)
    matches = {str(row.get("id")): row for row in listed if mark_in(row) == sent.transaction_id}
    return _single(matches, len(listed), sent.transaction_id)


def _single(matches: Mapping[str, Row], listed: int, transaction_id: str | None) -> LookUp:
    if not matches:
        return NotFound({"seen": "no refund with our mark", "listed": listed})
    if len(matches) > 1:
        return unknown("more than one refund with our mark", refunds=" ".join(sorted(matches)))
    return read_refund(row_answer(next(iter(matches.values()))), transaction_id)
