"""What became of a transaction: verify by reference for payments, id or note for refunds. Reads only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from core.domain.outcomes import LookUp, NotExecuted, NotFound, Unknown
from core.providers.base import LookUpRequest, RefundRequest, StartRequest
from core.providers.paystack.client import PaystackClient
from core.providers.paystack.currencies import whole_number
from core.providers.paystack.outcomes import Answer, refusal, says_not_found, unknown
from core.providers.paystack.payments import read_transaction, reference_for
from core.providers.paystack.refunds import mark_in, read_refund

_PAGE = 100
#: Refunds of one transaction; a list longer than this means that Paystack did not filter.
_MOST_PAGES = 20


def look_up(client: PaystackClient, request: LookUpRequest) -> LookUp:
    sent = request.request
    if isinstance(sent, StartRequest):
        return _start(client, sent)
    if isinstance(sent, RefundRequest):
        if request.provider_id is not None:
            return _refund_by_id(client, sent, request.provider_id)
        return _refund_by_note(client, sent)
    return NotFound({"seen": f"{request.operation} is never sent to Paystack"})


def _start(client: PaystackClient, sent: StartRequest) -> LookUp:
    reference = reference_for(sent.provider_key)
    answer = _asked(client.get("/transaction/verify", reference))
    if isinstance(answer, Answer):
        return read_transaction(answer, reference, sent.transaction_id)
    return answer


def _refund_by_id(client: PaystackClient, sent: RefundRequest, refund_id: str) -> LookUp:
    answer = _asked(client.get("/refund", refund_id))
    if isinstance(answer, Answer):
        if str(answer.data.get("id")) != refund_id:
            return unknown("another refund than the one asked for", answer, refund_id=refund_id)
        return read_refund(answer, sent.transaction_id)
    return answer


def _refund_by_note(client: PaystackClient, sent: RefundRequest) -> LookUp:
    """Absent from the list is "not found" with the list's length; that refund is never sent again by itself."""
    number = sent.provider_charge_id
    if number is None or not number.isdigit():
        found = _transaction_number(client, sent)
        if not isinstance(found, str):
            return found
        number = found
    listed = 0
    # By id: a list that grows while we turn its pages shows a row twice.
    matches: dict[str, Answer] = {}
    for page in range(1, _MOST_PAGES + 1):
        answer = _asked(client.get("/refund", transaction=number, perPage=_PAGE, page=page))
        if not isinstance(answer, Answer):
            return answer
        rows = _rows(answer)
        if rows is None:
            return unknown("a refund list that is none", answer)
        listed += len(rows)
        ours = [row for row in rows if mark_in(row) == sent.transaction_id]
        matches |= {str(row.get("id")): replace(answer, body={"status": True, "data": row}) for row in ours}
        if _is_last(answer, len(rows), page):
            return _single(matches, listed, sent)
    return unknown("a refund list without an end", listed=listed)


def _single(matches: Mapping[str, Answer], listed: int, sent: RefundRequest) -> LookUp:
    if not matches:
        return NotFound({"seen": "no refund with our mark", "listed": listed})
    if len(matches) > 1:
        return unknown("more than one refund with our mark", refunds=" ".join(sorted(matches)))
    return read_refund(next(iter(matches.values())), sent.transaction_id)


def _transaction_number(client: PaystackClient, sent: RefundRequest) -> str | NotFound | Unknown:
    """The list filters by Paystack's own number of the transaction, not by reference."""
    answer = _asked(client.get("/transaction/verify", sent.provider_id))
    if not isinstance(answer, Answer):
        # The charge itself must exist: its absence says nothing about the refund.
        return unknown("the refunded transaction was not found") if isinstance(answer, NotFound) else answer
    number = whole_number(answer.data.get("id"))
    return unknown("a transaction without a number", answer) if number is None else str(number)


def _rows(answer: Answer) -> list[Mapping[str, Any]] | None:
    rows = (answer.body or {}).get("data")
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        return None
    return rows


def _is_last(answer: Answer, rows: int, page: int) -> bool:
    meta = (answer.body or {}).get("meta")
    pages = whole_number(meta.get("pageCount")) if isinstance(meta, Mapping) else None
    # Without a page count only an empty page is an end: Paystack may serve fewer rows than were asked for.
    return rows == 0 if pages is None else page >= pages


def _asked(answer: Answer | NotExecuted | Unknown) -> Answer | NotFound | Unknown:
    """A question that was not answered tells nothing: least of all that the transaction did not happen."""
    if isinstance(answer, Answer):
        if says_not_found(answer):
            return NotFound({"seen": "no such object", "http_status": answer.http_status})
        refused = refusal(answer)
        if refused is None:
            return answer
        answer = refused
    if isinstance(answer, NotExecuted):
        return unknown("the look-up itself failed", reason=answer.reason.value, detail=answer.detail)
    return answer
