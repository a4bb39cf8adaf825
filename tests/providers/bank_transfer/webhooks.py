"""The bank's events: signed with the secret key, each with the whole object."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from typing import Literal

from core.domain.errors import Forged
from core.domain.outcomes import Canceled, Facts, Succeeded, Unknown
from core.providers.base import ChargeSeen, Ignored, News, VerifiedEvent
from tests.providers.bank_transfer.client import read_object
from tests.providers.bank_transfer.outcomes import Body, moment, read_refund, read_transfer, text

HEADER = "x-bank-signature"


def verify(headers: Mapping[str, str], body: bytes, secrets: Sequence[str]) -> VerifiedEvent:
    given = headers.get(HEADER, "").encode("utf-8", "replace")
    signatures = [hmac.new(one.encode(), body, hashlib.sha256).hexdigest().encode() for one in secrets if one]
    if not any(hmac.compare_digest(one, given) for one in signatures):
        raise Forged("no signature of a known key")
    content = read_object(body)
    if content is None:
        return VerifiedEvent(hashlib.sha256(body).hexdigest(), "unreadable", None, None, None)
    name = text(content, "id")
    key = name or hashlib.sha256(body).hexdigest()
    return VerifiedEvent(key, text(content, "kind") or "unknown", name, moment(content, "created"), content)


def read(event: VerifiedEvent) -> list[News] | Ignored:
    if event.body is None:
        return Ignored("not a JSON object")
    subject = event.kind.partition(".")[0]
    found = event.body.get(subject)
    if subject not in ("transfer", "refund") or not isinstance(found, dict) or text(found, "id") is None:
        return Ignored("kind not handled")
    return [news_of(subject, found)]


def news_of(subject: str, body: Body) -> News:
    """An object that cannot be read is a reason to ask."""
    outcome = read_refund(body) if subject == "refund" else read_transfer(body)
    return News(
        "refund" if subject == "refund" else "start",
        None if isinstance(outcome, Unknown) else outcome,
        transaction_id=text(body, "mark"),
        provider_id=text(body, "id"),
        start_provider_id=text(body, "transfer"),
        occurred_at=moment(body, "changed"),
    )


_SEEN: Mapping[type, Literal["succeeded", "held", "open", "ended"]] = {Succeeded: "succeeded", Canceled: "ended"}


def seen_of(body: Body) -> ChargeSeen:
    """A transfer as a list shows it."""
    outcome = read_transfer(body)
    facts = getattr(outcome, "facts", None) or Facts()
    return ChargeSeen(
        provider_id=str(text(body, "id")),
        status=_SEEN.get(type(outcome), "open"),
        amount=facts.amount or 0,
        currency=facts.currency or "",
        transaction_id=text(body, "mark"),
        received=facts.amount_received or 0,
    )
