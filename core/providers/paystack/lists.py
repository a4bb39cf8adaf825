"""Paystack's lists, page by page: a page is a call of its own, and a list that breaks off says so."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

from core.providers.base import ListingBroken
from core.providers.paging import Page, in_turn
from core.providers.paystack.client import PaystackClient
from core.providers.paystack.currencies import whole_number
from core.providers.paystack.outcomes import Answer, refusal, unknown

Row = Mapping[str, Any]

_PAGE = 100
#: A list longer than this (a million rows) means that Paystack turns no pages, or did not filter.
_MOST_PAGES = 10_000


def rows(
    client: PaystackClient,
    path: str,
    *segments: str,
    query: Mapping[str, str] | None = None,
    most_pages: int = _MOST_PAGES,
) -> Iterator[Row]:
    """Every row, newest first; one that is made meanwhile may push another onto the next page, which shows it twice.

    Raises ListingBroken.
    """
    for page in range(1, most_pages + 1):
        asked: dict[str, str | int] = {**(query or {}), "perPage": _PAGE, "page": page}
        told = in_turn(partial(_page, client, path, segments, asked))
        answer = told.answer
        if answer is None or told.failed is not None:
            raise ListingBroken(told.failed or unknown("no answer"))
        found = _rows_of(answer)
        if found is None:
            raise ListingBroken(unknown("a list that is none", answer))
        yield from found
        if _is_last(answer, len(found), page):
            return
    raise ListingBroken(unknown("a list without an end", pages=most_pages))


def _page(
    client: PaystackClient, path: str, segments: Sequence[str], asked: Mapping[str, str | int]
) -> Page[Answer | None]:
    answer = client.get(path, *segments, **asked)
    return Page(answer, refusal(answer)) if isinstance(answer, Answer) else Page(None, answer)


def window(since: datetime, until: datetime) -> dict[str, str]:
    """`from` and `to`, in the form Paystack writes times itself."""
    return {"from": _stamp(since), "to": _stamp(until)}


def _stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _rows_of(answer: Answer) -> list[Row] | None:
    found = (answer.body or {}).get("data")
    if not isinstance(found, list) or not all(isinstance(row, Mapping) for row in found):
        return None
    return found


def _is_last(answer: Answer, found: int, page: int) -> bool:
    meta = (answer.body or {}).get("meta")
    pages = whole_number(meta.get("pageCount")) if isinstance(meta, Mapping) else None
    # Without a page count only an empty page is an end: Paystack may serve fewer rows than were asked for.
    return found == 0 if pages is None else page >= pages
