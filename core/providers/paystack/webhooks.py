"""Paystack's events: is it theirs, have we had it, and what should be asked because of it."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from core.domain.errors import Forged
from core.providers.base import AnyNews, DisputeNews, Ignored, News, Operation, VerifiedEvent
from core.providers.paystack.client import read_object
from core.providers.paystack.disputes import charge_ids
from core.providers.paystack.reading import inner, mark_of, read_id, read_time
from core.providers.paystack.refunds import mark_in

SIGNATURE_HEADER = "x-paystack-signature"

#: What makes us ask, and about which of our operations.
ASKED: Mapping[str, Operation] = {
    "charge.success": "start",
    "preauthorization.reserve.success": "start",
    "preauthorization.capture.success": "capture",
    "preauthorization.capture.failed": "capture",
    "preauthorization.release.success": "void",
    "preauthorization.release.failed": "void",
    "refund.pending": "refund",
    "refund.processing": "refund",
    "refund.processed": "refund",
    "refund.failed": "refund",
    "refund.needs-attention": "refund",
}

#: What makes us read a dispute.
DISPUTES = frozenset({"charge.dispute.create", "charge.dispute.remind", "charge.dispute.resolve"})

_SENT_OUT = "money the merchant sends out is no payment"
_NO_MANDATES = "mandates are not made through this gate"
_NO_SUBSCRIPTIONS = "subscriptions are not made through this gate"

#: Understood, and nothing is done about it.
IGNORED: Mapping[str, str] = {
    "transfer.success": _SENT_OUT,
    "transfer.failed": _SENT_OUT,
    "transfer.reversed": _SENT_OUT,
    "bank.transfer.rejected": "a rejected transfer has moved no money",
    "customeridentification.success": "customers are not identified through this gate",
    "customeridentification.failed": "customers are not identified through this gate",
    "dedicatedaccount.assign.success": "virtual accounts are not opened through this gate",
    "dedicatedaccount.assign.failed": "virtual accounts are not opened through this gate",
    "direct_debit.authorization.created": _NO_MANDATES,
    "direct_debit.authorization.active": _NO_MANDATES,
    "paymentrequest.pending": "payment requests are not made through this gate",
    "paymentrequest.success": "the charge that pays a payment request has an event of its own",
    "invoice.create": _NO_SUBSCRIPTIONS,
    "invoice.update": _NO_SUBSCRIPTIONS,
    "invoice.payment_failed": _NO_SUBSCRIPTIONS,
    "subscription.create": _NO_SUBSCRIPTIONS,
    "subscription.disable": _NO_SUBSCRIPTIONS,
    "subscription.not_renew": _NO_SUBSCRIPTIONS,
    "subscription.expiring_cards": _NO_SUBSCRIPTIONS,
}


def verify(headers: Mapping[str, str], body: bytes, secrets: Sequence[str], now: datetime) -> VerifiedEvent:
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
    data = inner(content, "data")
    happened = read_time(*(data.get(name) for name in ("paid_at", "captured_at", "updated_at", "created_at")))
    # Paystack gives its events no id of their own.
    return VerifiedEvent(_dedupe_key(kind, data, body, now), kind, None, happened, content)


def _dedupe_key(kind: str, data: Mapping[str, Any], body: bytes, now: datetime) -> str:
    """Equal for repeated deliveries, different for everything else that can be told apart.

    Two equal refunds of one payment begin with the same event, byte for byte: neither an id nor a refund's reference
    is in it. Taken for one, the second could be missed, when the list was read between them. So an event about a
    refund without a name counts anew at each receipt, a repeated one too. It carries no outcome: it has the list of
    refunds read once more, where each has its id, and a list read twice changes nothing.
    """
    if ASKED.get(kind) == "refund" and not data.get("id") and not data.get("refund_reference"):
        return hashlib.sha256(body + now.isoformat().encode()).hexdigest()
    parts: list[str] = [kind]
    names = ("id", "transaction_reference", "reference", "status", "updated_at")
    parts += [str(data.get(name) or "") for name in names]
    if not data.get("id"):
        parts.append(hashlib.sha256(body).hexdigest())
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def read(event: VerifiedEvent) -> list[AnyNews] | Ignored:
    """Events never carry an outcome: whatever they claim is asked for before it counts."""
    if event.body is None:
        return Ignored("not JSON")
    data = inner(event.body, "data")
    if event.kind in DISPUTES:
        return _dispute(event, data)
    operation = ASKED.get(event.kind)
    if operation is None:
        return Ignored(IGNORED.get(event.kind, "kind not handled"), about_person=event.kind.startswith(_ABOUT_PERSONS))
    if operation == "refund":
        return _refund(event, data)
    reference = data.get("reference")
    if not isinstance(reference, str) or not reference:
        return Ignored(_NAMELESS)
    if operation == "start":
        return [News("start", None, mark_of(data), reference, occurred_at=event.created_at)]
    # The mark in a hold is that of its start, and says nothing about who captured or released it.
    return [News(operation, None, None, reference, reference, event.created_at)]


#: They bear names, numbers of documents and no payment.
_ABOUT_PERSONS = "customeridentification."
_NAMELESS = "no reference in the event"


def _refund(event: VerifiedEvent, data: Mapping[str, Any]) -> list[AnyNews] | Ignored:
    reference = data.get("transaction_reference")
    if not isinstance(reference, str) or not reference:
        return Ignored(_NAMELESS)
    refund_id = read_id(data.get("id"))  # only `refund.needs-attention` names it
    return [News("refund", None, mark_in(data), refund_id, reference, event.created_at)]


def _dispute(event: VerifiedEvent, data: Mapping[str, Any]) -> list[AnyNews] | Ignored:
    dispute_id = read_id(data.get("id"))
    if dispute_id is None:
        return Ignored("no dispute in the event")
    return [DisputeNews(dispute_id, charge_ids(data), event.created_at)]
