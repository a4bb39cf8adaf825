"""Paystack's events: is it theirs, have we had it, and what should be asked because of it."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from typing import Any

from core.domain.errors import Forged
from core.providers.base import Ignored, News, VerifiedEvent
from core.providers.paystack.client import read_object
from core.providers.paystack.payments import TRANSACTION_MARK, read_metadata, read_time
from core.providers.paystack.refunds import mark_in, refund_id_of

SIGNATURE_HEADER = "x-paystack-signature"

REFUND_KINDS = frozenset(
    {"refund.pending", "refund.processing", "refund.processed", "refund.failed", "refund.needs-attention"}
)

#: Kinds (up to their first dot, or whole) that we understand and do nothing about.
IGNORED: Mapping[str, str] = {
    "charge.dispute.create": "disputes are not followed by this gate",
    "charge.dispute.remind": "disputes are not followed by this gate",
    "charge.dispute.resolve": "disputes are not followed by this gate",
    "transfer": "money the merchant sends out is no payment",
    "preauthorization": "holds are not made through this gate",
    "bank": "a rejected transfer has moved no money",
    "customeridentification": "customers are not identified through this gate",
    "dedicatedaccount": "virtual accounts are not opened through this gate",
    "direct_debit": "mandates are not made through this gate",
    "paymentrequest": "payment requests are not made through this gate",
    "invoice": "subscriptions are not made through this gate",
    "subscription": "subscriptions are not made through this gate",
}


def verify(headers: Mapping[str, str], body: bytes, secrets: Sequence[str]) -> VerifiedEvent:
    """HMAC-SHA512 of the raw body with a secret key, in hex (Paystack's page "Webhooks").

    There is no timestamp: a replay is recognised by `dedupe_key` only, and triggers a question, never money.
    Raises Forged.
    """
    given = headers.get(SIGNATURE_HEADER, "").strip().lower().encode("utf-8", "replace")
    # An empty secret would verify what anybody can sign.
    signatures = [hmac.new(one.encode(), body, hashlib.sha512).hexdigest() for one in secrets if one]
    if not any(hmac.compare_digest(one.encode(), given) for one in signatures):
        raise Forged("no signature of a known key")
    content = read_object(body)
    if content is None:
        return VerifiedEvent(hashlib.sha256(body).hexdigest(), "unreadable", None, None, None)
    kind = content.get("event")
    kind = kind if isinstance(kind, str) and kind else "unknown"
    data = _data(content)
    happened = read_time(data.get("paid_at") or data.get("updated_at") or data.get("created_at"))
    # Paystack gives its events no id of their own.
    return VerifiedEvent(_dedupe_key(kind, data, body), kind, None, happened, content)


def _dedupe_key(kind: str, data: Mapping[str, Any], body: bytes) -> str:
    """Equal for repeated deliveries, different for everything else that can be told apart.

    Events of two equal refunds of one payment may have one and the same body. The second is then taken for a
    repetition: nothing is lost but a hint, since an open refund is also asked about on schedule.
    """
    parts: list[str] = [kind]
    parts += [str(data.get(name) or "") for name in ("id", "transaction_reference", "reference", "status")]
    if not data.get("id"):
        parts.append(hashlib.sha256(body).hexdigest())
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def read(event: VerifiedEvent) -> list[News] | Ignored:
    """Events never carry an outcome: whatever they claim is asked for before it counts."""
    if event.body is None:
        return Ignored("not JSON")
    data = _data(event.body)
    if event.kind == "charge.success":
        return _charge(event, data)
    if event.kind in REFUND_KINDS:
        return _refund(event, data)
    reason = IGNORED.get(event.kind) or IGNORED.get(event.kind.partition(".")[0])
    return Ignored(reason or "kind not handled")


def _charge(event: VerifiedEvent, data: Mapping[str, Any]) -> list[News] | Ignored:
    reference = data.get("reference")
    if not isinstance(reference, str) or not reference:
        return Ignored("no reference in the event")
    mark = read_metadata(data.get("metadata")).get(TRANSACTION_MARK)
    return [
        News(
            "start",
            None,
            transaction_id=mark if isinstance(mark, str) else None,
            provider_id=reference,
            occurred_at=event.created_at,
        )
    ]


def _refund(event: VerifiedEvent, data: Mapping[str, Any]) -> list[News] | Ignored:
    reference = data.get("transaction_reference")
    if not isinstance(reference, str) or not reference:
        return Ignored("no reference in the event")
    return [
        News(
            "refund",
            None,
            transaction_id=mark_in(data),
            provider_id=refund_id_of(data),  # only `refund.needs-attention` names it
            start_provider_id=reference,
            occurred_at=event.created_at,
        )
    ]


def _data(content: Mapping[str, Any]) -> Mapping[str, Any]:
    data = content.get("data")
    return data if isinstance(data, Mapping) else {}
