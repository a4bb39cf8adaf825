"""Walks Stripe's lists page by page (docs.stripe.com/api/pagination)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

#: The most a page may hold.
PAGE = 100


def pages(ask: Callable[[Mapping[str, Any]], dict[str, Any]], params: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Every object of the list, newest first. Ends with the list, or with the deadline (Failed)."""
    cursor: dict[str, Any] = {}
    while True:
        answer = ask({**params, "limit": PAGE, **cursor})
        found = [one for one in answer.get("data") or [] if isinstance(one, dict)]
        yield from found
        if not answer.get("has_more") or not found:
            return
        cursor = {"starting_after": found[-1]["id"]}
