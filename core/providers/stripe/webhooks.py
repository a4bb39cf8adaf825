"""Stripe's events in our words: one literal table from the kind of event to its reader."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from core.domain.outcomes import LookUp
from core.providers.base import AnyNews, DisputeNews, Ignored, MethodNews, News, Operation, VerifiedEvent
from core.providers.stripe import outcomes
from core.providers.stripe.disputes import charges_of
from core.providers.stripe.facts import id_of
from core.providers.stripe.ignored import ABOUT_PERSONS, BY_REFUND, IGNORED, RELEASED_HOLD, TRY_ON_PAGE
from core.providers.stripe.marks import KIND, mark_of, paid_on_page
from core.providers.stripe.refunds import lets_go

Body = Mapping[str, Any]
Read = list[AnyNews] | Ignored
Reader = Callable[[VerifiedEvent, Body], Read]


def read(event: VerifiedEvent) -> Read:
    """Pure. An object without our mark is not told from others here: the mark is handed on, or None."""
    if event.body is None:
        return Ignored("the body is not a JSON object")
    reader = READERS.get(event.kind)
    if reader is None:
        return Ignored(IGNORED.get(event.kind, "kind not handled"), about_person=event.kind.startswith(ABOUT_PERSONS))
    data = event.body.get("data")
    found = data.get("object") if isinstance(data, dict) else None
    if not isinstance(found, dict) or id_of(found) is None:
        return Ignored("the event holds no object")
    return reader(event, found)


def _news(event: VerifiedEvent, operation: Operation, answer: LookUp | None, body: Body, start: str | None) -> News:
    return News(
        operation,
        None if answer is None else outcomes.told(answer),
        transaction_id=mark_of(body),
        provider_id=id_of(body),
        start_provider_id=start,
        occurred_at=event.created_at,
    )


def _intent(event: VerifiedEvent, intent: Body) -> Read:
    return [_news(event, "start", outcomes.read_start(intent), intent, None)]


def _intent_of_token(event: VerifiedEvent, intent: Body) -> Read:
    """On a checkout page the customer may try again, or is just authenticating."""
    return Ignored(TRY_ON_PAGE) if paid_on_page(intent) else _intent(event, intent)


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
    if lets_go(refund):
        return Ignored(RELEASED_HOLD)
    return [_news(event, "refund", outcomes.read_refund(refund), refund, id_of(refund.get("payment_intent")))]


def _charge_refunded(event: VerifiedEvent, charge: Body) -> Read:
    """API versions before 2022-11-15 put the refunds inside."""
    nested = charge.get("refunds")
    listed = nested.get("data") if isinstance(nested, dict) else None
    refunds = [one for one in listed or [] if isinstance(one, dict) and id_of(one) and not lets_go(one)]
    start = id_of(charge.get("payment_intent"))
    news: list[AnyNews] = [
        _news(event, "refund", outcomes.read_refund(one), one, id_of(one.get("payment_intent")) or start)
        for one in refunds
    ]
    return news or Ignored(BY_REFUND)


def _dispute(event: VerifiedEvent, dispute: Body) -> Read:
    return [DisputeNews(id_of(dispute) or "", charges_of(dispute), event.created_at)]


def _method_detached(event: VerifiedEvent, method: Body) -> Read:
    return [MethodNews(id_of(method) or "", event.created_at)]


#: docs.stripe.com/api/events/types; what is left out on purpose is in ignored.py.
READERS: Mapping[str, Reader] = {
    "payment_intent.succeeded": _intent_succeeded,
    "payment_intent.amount_capturable_updated": _intent,
    "payment_intent.processing": _intent,
    "payment_intent.requires_action": _intent_of_token,
    "payment_intent.payment_failed": _intent_of_token,
    "payment_intent.canceled": _intent_canceled,
    "checkout.session.completed": _session_complete,
    "checkout.session.async_payment_succeeded": _session_complete,
    "checkout.session.async_payment_failed": _ask_about_session,
    "checkout.session.expired": _session,
    "refund.created": _refund,
    "refund.updated": _refund,
    "refund.failed": _refund,
    "charge.refund.updated": _refund,
    "charge.refunded": _charge_refunded,
    "charge.dispute.created": _dispute,
    "charge.dispute.updated": _dispute,
    "charge.dispute.closed": _dispute,
    "charge.dispute.funds_withdrawn": _dispute,
    "charge.dispute.funds_reinstated": _dispute,
    "payment_method.detached": _method_detached,
}
