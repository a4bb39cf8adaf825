"""Is a webhook from Stripe, and is it fresh (docs.stripe.com/webhooks, "Verify manually")?"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from core.domain.errors import Forged
from core.providers.base import VerifiedEvent

#: Stripe's own tolerance. The package refuses old timestamps only; a future one would stay valid for long.
TOLERANCE_SECONDS = 300
_HEADER = "stripe-signature"


def verify(headers: Mapping[str, str], body: bytes, secrets: tuple[str, ...], now: datetime) -> VerifiedEvent:
    """Done here and not by the package, which reads the clock by itself and knows one secret at a time.

    `now` is aware, in UTC. Raises Forged.
    """
    stamp, given = _parts(headers.get(_HEADER, ""))
    if abs(now.timestamp() - stamp) > TOLERANCE_SECONDS:
        raise Forged("the timestamp is too far from now")
    signed = f"{stamp}.".encode() + body
    # An empty secret is no secret: everybody can sign with it.
    wanted = [
        hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest().encode() for secret in secrets if secret.strip()
    ]
    if not any(hmac.compare_digest(one, other) for one in wanted for other in given):
        raise Forged("no signature matches")
    return _event(body)


def _parts(header: str) -> tuple[int, list[bytes]]:
    """The timestamp and the v1 signatures: several during the rotation of a secret."""
    pairs = [part.strip().partition("=") for part in header.split(",")]
    stamps = [value for name, _, value in pairs if name == "t"]
    # More digits than any date has would overflow later on.
    if len(stamps) != 1 or not (stamps[0].isascii() and stamps[0].isdigit() and len(stamps[0]) <= 12):
        raise Forged("no timestamp in the signature header")
    return int(stamps[0]), [value.encode() for name, _, value in pairs if name == "v1"]


def _event(body: bytes) -> VerifiedEvent:
    try:
        event = json.loads(body)
    except (ValueError, RecursionError):
        event = None
    if not isinstance(event, dict):
        return VerifiedEvent(f"sha256:{hashlib.sha256(body).hexdigest()}", "unreadable", None, None, None)
    return event_of(event, f"sha256:{hashlib.sha256(body).hexdigest()}")


def event_of(event: Mapping[str, Any], unnamed: str = "unnamed") -> VerifiedEvent:
    """Of an event object, whether it came by webhook or from Stripe's list."""
    event_id, kind, created = event.get("id"), event.get("type"), event.get("created")
    named = event_id if isinstance(event_id, str) and event_id else None
    return VerifiedEvent(
        dedupe_key=named or unnamed,
        kind=kind if isinstance(kind, str) else "unknown",
        provider_event_id=named,
        created_at=_time(created),
        body=event,
    )


def _time(value: object) -> datetime | None:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 253_402_300_800:  # the year 10000
        return datetime.fromtimestamp(value, UTC)
    return None
