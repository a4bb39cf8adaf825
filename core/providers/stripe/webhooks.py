"""Stripe's events in our words: one literal table from the kind of event to its reader."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from core.domain.outcomes import LookUp, NotFound, Outcome, Unknown
from core.providers.base import Ignored, News, Operation, VerifiedEvent
from core.providers.stripe import outcomes
from core.providers.stripe.facts import id_of
from core.providers.stripe.marks import KIND, mark_of, paid_on_page

Body = Mapping[str, Any]
Read = list[News] | Ignored
Reader = Callable[[VerifiedEvent, Body], Read]

_BY_INTENT = "covered by the payment_intent events"
_BY_REFUND = "covered by the refund events; the sums of a charge count released holds as refunds"
_NOT_FINAL = "a try on the checkout page that may be followed by another"


def read(event: VerifiedEvent) -> Read:
    """Pure. An object without our mark is not told from others here: the mark is handed on, or None."""
    if event.body is None:
        return Ignored("the body is not a JSON object")
    reader = READERS.get(event.kind)
    if reader is None:
        return Ignored("kind not handled")
    data = event.body.get("data")
    found = data.get("object") if isinstance(data, dict) else None
    if not isinstance(found, dict) or id_of(found) is None:
        return Ignored("the event holds no object")
    return reader(event, found)


def _news(event: VerifiedEvent, operation: Operation, answer: LookUp | None, body: Body, start: str | None) -> News:
    return News(
        operation,
        _told(answer),
        transaction_id=mark_of(body),
        provider_id=id_of(body),
        start_provider_id=start,
        occurred_at=event.created_at,
    )


def _told(answer: LookUp | None) -> Outcome | None:
    """An event that cannot be read whole is a reason to ask, not to doubt what is known."""
    return None if isinstance(answer, NotFound | Unknown) else answer


def _intent(event: VerifiedEvent, intent: Body) -> Read:
    return [_news(event, "start", outcomes.read_start(intent), intent, None)]


def _intent_of_token(event: VerifiedEvent, intent: Body) -> Read:
    """On a checkout page the customer may try again, or is just authenticating."""
    return Ignored(_NOT_FINAL) if paid_on_page(intent) else _intent(event, intent)


def _intent_succeeded(event: VerifiedEvent, intent: Body) -> Read:
    """Under manual capture this is two facts: the hold stood, and it was captured."""
    started = _news(event, "start", outcomes.read_start(intent), intent, None)
    if intent.get("capture_method") != "manual":
        return [started]
    return [started, _news(event, "capture", outcomes.read_capture(intent), intent, id_of(intent))]


def _intent_canceled(event: VerifiedEvent, intent: Body) -> Read:
    """Canceled by us or anybody: no charge will follow, and a void that was under way is done."""
    return [
        _news(event, "start", outcomes.read_start(intent), intent, None),
        _news(event, "void", outcomes.read_void(intent), intent, id_of(intent)),
    ]


def _session(event: VerifiedEvent, session: Body) -> Read:
    return [_news(event, "start", outcomes.read_session(session), session, None)]


def _session_complete(event: VerifiedEvent, session: Body) -> Read:
    """Paid is paid; a hold and a payment under way look alike here, so they are asked about."""
    if session.get("payment_status") == "paid" and mark_of(session, KIND) != "authorize":
        return _session(event, session)
    return _ask_about_session(event, session)


def _ask_about_session(event: VerifiedEvent, session: Body) -> Read:
    return [_news(event, "start", None, session, None)]


def _refund(event: VerifiedEvent, refund: Body) -> Read:
    if mark_of(refund) is None and refund.get("status") == "succeeded" and not refund.get("balance_transaction"):
        # Money that moves has a balance transaction; Stripe also books the letting go of a hold as a refund.
        return Ignored("a hold was released, no money was given back")
    return [_news(event, "refund", outcomes.read_refund(refund), refund, id_of(refund.get("payment_intent")))]


def _ignore(reason: str) -> Reader:
    def ignored(event: VerifiedEvent, body: Body) -> Read:
        return Ignored(reason)

    return ignored


#: docs.stripe.com/api/events/types
READERS: Mapping[str, Reader] = {
    "payment_intent.succeeded": _intent_succeeded,
    "payment_intent.amount_capturable_updated": _intent,
    "payment_intent.processing": _intent,
    "payment_intent.requires_action": _intent_of_token,
    "payment_intent.payment_failed": _intent_of_token,
    "payment_intent.canceled": _intent_canceled,
    "payment_intent.created": _ignore("the answer to our own request says more"),
    "checkout.session.completed": _session_complete,
    "checkout.session.async_payment_succeeded": _session_complete,
    "checkout.session.async_payment_failed": _ask_about_session,
    "checkout.session.expired": _session,
    "refund.created": _refund,
    "refund.updated": _refund,
    "refund.failed": _refund,
    "charge.refund.updated": _refund,
    "charge.succeeded": _ignore(_BY_INTENT),
    "charge.captured": _ignore(_BY_INTENT),
    "charge.failed": _ignore(_BY_INTENT),
    "charge.pending": _ignore(_BY_INTENT),
    "charge.expired": _ignore(_BY_INTENT),
    "charge.updated": _ignore(_BY_INTENT),
    "charge.refunded": _ignore(_BY_REFUND),
}
