"""Stripe's own record of events, for what its webhooks did not bring."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import datetime

from core.providers.base import AnyNews, ListingBroken
from core.providers.stripe import signatures, webhooks
from core.providers.stripe.failures import Failed
from core.providers.stripe.lists import Ask, pages

#: `types` takes 20 of them at the most. A refund tells itself: what `charge.refunded` says is left to its own events.
TYPES = tuple(sorted(set(webhooks.READERS) - {"charge.refunded"}))


def news(ask: Ask, since: datetime, until: datetime) -> Iterator[AnyNews]:
    """Newest first. Stripe keeps events for 30 days (docs.stripe.com/api/events/list); older windows are empty.

    Raises ListingBroken.
    """
    window = {"gte": math.floor(since.timestamp()), "lt": math.ceil(until.timestamp())}
    try:
        for body in pages(ask, {"created": window, "types": list(TYPES)}):
            told = webhooks.read(signatures.event_of(body))
            if isinstance(told, list):
                yield from told
    except Failed as failed:
        raise ListingBroken(failed.failure.outcome()) from None
