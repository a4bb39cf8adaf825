"""Walks Stripe's lists page by page (docs.stripe.com/api/pagination)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from functools import partial
from typing import Any

from core.providers.deadline import Deadline
from core.providers.paging import Page, in_turn
from core.providers.stripe.facts import id_of
from core.providers.stripe.failures import Failed, unreadable

#: Asks for one page.
Ask = Callable[[Mapping[str, Any]], dict[str, Any]]

#: The most a page may hold.
PAGE = 100
#: How far our clock and Stripe's may be apart, with room to spare, where a list is asked by creation time.
CLOCKS_APART = timedelta(minutes=5)


def paged(ask: Ask, deadline: Callable[[], Deadline]) -> Ask:
    """A long list may take its time; none of its pages may."""

    def page(params: Mapping[str, Any]) -> dict[str, Any]:
        with deadline():
            return ask(params)

    return page


def patient(ask: Ask, seconds: float) -> Ask:
    """For so long together; then Failed, which proves nothing."""
    ends = time.monotonic() + seconds

    def page(params: Mapping[str, Any]) -> dict[str, Any]:
        if time.monotonic() > ends:
            raise Failed(unreadable())
        return ask(params)

    return page


def pages(ask: Ask, params: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Every object of the list, newest first. Ends with the list, or with Failed."""
    cursor: dict[str, Any] = {}
    while True:
        answer = in_turn(partial(_page, ask, {**params, "limit": PAGE, **cursor})).answer
        if isinstance(answer, Failed):
            raise answer
        found = answer.get("data")
        if not isinstance(found, list):
            raise Failed(unreadable())
        yield from (one for one in found if isinstance(one, dict))
        if not answer.get("has_more"):
            return
        last = id_of(found[-1]) if found else None
        if last is None:
            # More is said to follow, and there is no way to ask for it: the list must not look whole.
            raise Failed(unreadable())
        cursor = {"starting_after": last}


def _page(ask: Ask, params: Mapping[str, Any]) -> Page[dict[str, Any] | Failed]:
    try:
        return Page(ask(params))
    except Failed as failed:
        return Page(failed, failed.failure.outcome())
