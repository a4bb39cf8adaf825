"""What became of a transaction whose answer was lost. Reads only, and never through Stripe's search,
which is behind by up to an hour (docs.stripe.com/search)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any, assert_never

from core.domain.outcomes import LookUp, NotFound, Unknown
from core.providers.base import (
    CaptureRequest,
    LookUpRequest,
    RefundRequest,
    StartRequest,
    VoidRequest,
)
from core.providers.deadline import Deadline
from core.providers.stripe import outcomes
from core.providers.stripe.client import StripeCalls
from core.providers.stripe.failures import Failed
from core.providers.stripe.lists import CLOCKS_APART, paged, pages, patient
from core.providers.stripe.marks import PAYMENT, mark_of
from core.providers.stripe.methods import with_method
from core.providers.stripe.payments import intent_of
from core.providers.stripe.refunds import look_up_refund
from core.providers.stripe.start_params import KEPT

#: A request is executed within its deadline of 30 s or never; the rest is the clocks again.
_EXECUTED_WITHIN = timedelta(minutes=1)
#: Seconds for a whole list. At 60 intents a second the window holds some 400 pages, of about 0.3 s each.
_LISTED_WITHIN = 120.0
#: Statuses of intents and sessions that take no money any more; a declined intent waits for another card until it is
#: canceled.
_ENDED = frozenset({"canceled", "expired", "requires_payment_method"})


def look_up(calls: StripeCalls, request: LookUpRequest, deadline: Callable[[], Deadline]) -> LookUp:
    """Each page of a list has a deadline of its own, which `deadline` makes; what is not listed has one together."""
    sent = request.request
    try:
        if isinstance(sent, StartRequest) and request.provider_id is None:
            known = _listed(calls, request, sent, deadline)
            if known is None:
                return NotFound({"listed": "checkout.sessions" if _on_page(sent) else "payment_intents"})
            request = replace(request, provider_id=known)
        with deadline():
            return _ask(calls, request)
    except Failed as failed:
        # A 404 included: an object that an answer named before is not simply absent. Somebody changed
        # the credentials or the mode, and "not found" would allow a second charge.
        return Unknown(failed.failure.evidence(), refused_key=failed.failure.verdict == "misconfigured")


def _ask(calls: StripeCalls, request: LookUpRequest) -> LookUp:
    sent = request.request
    match sent:
        case StartRequest():
            return _start(calls, sent, request.provider_id or "")
        case CaptureRequest():
            intent_id = intent_of(calls, sent)
            if not isinstance(intent_id, str):
                return Unknown({"cause": "no_intent", "detail": intent_id.detail})
            return outcomes.read_capture(calls.get_intent(intent_id))
        case VoidRequest():
            on_page = sent.provider_id.startswith("cs_")
            return outcomes.read_void((calls.get_session if on_page else calls.get_intent)(sent.provider_id))
        case RefundRequest():
            return look_up_refund(calls, sent, request.provider_id, by_refund=request.by_payment)
        case _:
            assert_never(sent)


def _on_page(sent: StartRequest) -> bool:
    return sent.method == "redirect"


def _start(calls: StripeCalls, sent: StartRequest, known: str) -> LookUp:
    kept = KEPT if sent.save_method else ()
    # A charge that a person linked to a payment by a page bears the name of its intent.
    if _on_page(sent) and not known.startswith("pi_"):
        session = calls.get_session(known, kept)
        return with_method(sent, outcomes.read_session(session), session.get("payment_intent"))
    intent = calls.get_intent(known, kept)
    return with_method(sent, outcomes.read_start(intent), intent)


def _listed(
    calls: StripeCalls, request: LookUpRequest, sent: StartRequest, deadline: Callable[[], Deadline]
) -> str | None:
    """The id of what carries our mark, among all that was made while our request may have been executed."""
    window = {
        "gte": int((request.first_sent_at - CLOCKS_APART).timestamp()),
        "lte": int((request.last_sent_at + CLOCKS_APART + _EXECUTED_WITHIN).timestamp()),
    }
    params: dict[str, Any] = {"created": window}
    ask = paged(calls.list_sessions if _on_page(sent) else calls.list_intents, deadline)
    listed = pages(patient(ask, _LISTED_WITHIN), params)
    if not request.by_payment:
        return next((str(one["id"]) for one in listed if mark_of(one) == sent.transaction_id), None)
    return first_to_matter([one for one in listed if mark_of(one, PAYMENT) == sent.payment_id])


def first_to_matter(attempts: list[Any]) -> str | None:
    """Of several attempts at one payment, the id of the one that took or can still take money; what was ended is the
    last to matter."""
    attempts = sorted(attempts, key=lambda one: one.get("status") in _ENDED)
    return str(attempts[0]["id"]) if attempts else None
