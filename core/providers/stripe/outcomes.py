"""Stripe's words for a status -> our outcome, one literal table for each kind of object and question."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from core.domain.outcomes import (
    CANCEL_AFTER_DECLINE,
    ActionRequired,
    Canceled,
    Decline,
    DeclineCategory,
    Declined,
    Facts,
    LookUp,
    NextAction,
    NotFound,
    Outcome,
    Pending,
    Succeeded,
    Unknown,
)
from core.providers.stripe.currencies import Inexact
from core.providers.stripe.declines import decline_of, refund_failure_of
from core.providers.stripe.facts import (
    Body,
    capture_facts,
    id_of,
    refund_facts,
    session_facts,
    start_facts,
    time_of,
    void_facts,
)

#: Our own reason for ending an intent after a decline. It tells such an end from any other.
AFTER_DECLINE = "abandoned"

#: An intent's words from before API version 2019-02-11, when what pays was called a source. Events of an account
#: that was never moved on still use them.
OLD_STATUSES: Mapping[str, str] = {
    "requires_source": "requires_payment_method",
    "requires_source_action": "requires_action",
}

Reader = Callable[[Body, Facts], LookUp]

_TAKEN = Decline("already_captured", DeclineCategory.HARD, "The money has already been taken.")


def _succeeded(body: Body, facts: Facts) -> LookUp:
    return Succeeded(facts)


def _pending(body: Body, facts: Facts) -> LookUp:
    return Pending(facts)


def _not_yet(body: Body, facts: Facts) -> LookUp:
    return NotFound(_seen(body))


def _unclear(body: Body, facts: Facts) -> LookUp:
    return Unknown(_seen(body), raw=facts.raw)


def _canceled(body: Body, facts: Facts) -> LookUp:
    return Canceled(facts, reason=_word(body.get("cancellation_reason")))


def _canceled_start(body: Body, facts: Facts) -> LookUp:
    """Ended by us after a decline: the decline is what became of the payment, whichever news comes first."""
    error = body.get("last_payment_error")
    if isinstance(error, dict) and body.get("cancellation_reason") == AFTER_DECLINE:
        return Declined(facts, decline_of(error))
    return _canceled(body, facts)


def _declined(body: Body, facts: Facts) -> LookUp:
    """Back to needing a method: a decline if there was a try, else nothing has happened yet."""
    error = body.get("last_payment_error")
    if not isinstance(error, dict):
        return _unclear(body, facts)
    return Declined(facts, decline_of(error))


def _declined_start(body: Body, facts: Facts) -> LookUp:
    intent_id = id_of(body) or ""
    return _declined(body, replace(facts, extra={**facts.extra, CANCEL_AFTER_DECLINE: intent_id}))


def _action(body: Body, facts: Facts) -> LookUp:
    action = body.get("next_action") or body.get("next_source_action")
    redirect = action.get("redirect_to_url") or action.get("authorize_with_url") if isinstance(action, dict) else None
    url = redirect.get("url") if isinstance(redirect, dict) else None
    return ActionRequired(facts, NextAction(url=_word(url), client_secret=_word(body.get("client_secret"))))


def _already_taken(body: Body, facts: Facts) -> LookUp:
    return Declined(facts, _TAKEN)


#: A charge or authorization by token.
START: Mapping[str, Reader] = {
    "requires_payment_method": _declined_start,
    "requires_confirmation": _unclear,
    "requires_action": _action,
    "processing": _pending,
    "requires_capture": _succeeded,
    "succeeded": _succeeded,
    "canceled": _canceled_start,
}

#: The capture of a hold. Back to `requires_payment_method`: the capture itself was declined.
CAPTURE: Mapping[str, Reader] = {
    "requires_payment_method": _declined,
    "requires_confirmation": _not_yet,
    "requires_action": _not_yet,
    "processing": _pending,
    "requires_capture": _not_yet,
    "succeeded": _succeeded,
    "canceled": _canceled,
}

#: The end of an intent without taking money.
VOID: Mapping[str, Reader] = {
    "requires_payment_method": _not_yet,
    "requires_confirmation": _not_yet,
    "requires_action": _not_yet,
    "processing": _not_yet,
    "requires_capture": _not_yet,
    "succeeded": _already_taken,
    "canceled": _succeeded,
}

#: What the intent of a `complete` session says of the payment. No further try is possible there.
COMPLETE_SESSION: Mapping[str, Reader] = {
    "requires_payment_method": _declined,
    "requires_confirmation": _pending,
    "requires_action": _pending,
    "processing": _pending,
    "requires_capture": _succeeded,
    "succeeded": _succeeded,
    "canceled": _canceled,
}


def _refund_failed(body: Body, facts: Facts) -> LookUp:
    return Declined(facts, refund_failure_of(body))


def _refund_action(body: Body, facts: Facts) -> LookUp:
    # Stripe writes to the customer itself; there is no address for us to hand on.
    return ActionRequired(facts, None)


REFUND: Mapping[str, Reader] = {
    "pending": _pending,
    "requires_action": _refund_action,
    "succeeded": _succeeded,
    "failed": _refund_failed,
    "canceled": _canceled,
}


def _open_session(session: Body, facts: Facts) -> LookUp:
    """Open until paid or expired: a failed try on the page is not the end."""
    return ActionRequired(
        facts, NextAction(url=_word(session.get("url")), expires_at=time_of(session.get("expires_at")))
    )


def _complete_session(session: Body, facts: Facts) -> LookUp:
    intent = session.get("payment_intent")
    if isinstance(intent, dict):
        return _read(COMPLETE_SESSION, intent, facts)
    return Succeeded(facts) if session.get("payment_status") == "paid" else _unclear(session, facts)


def _expired_session(session: Body, facts: Facts) -> LookUp:
    return Canceled(facts, reason="expired")


SESSION: Mapping[str, Reader] = {
    "open": _open_session,
    "complete": _complete_session,
    "expired": _expired_session,
}

#: The end of a session without money; a complete one is judged by its intent.
VOID_SESSION: Mapping[str, Reader] = {
    "open": _not_yet,
    "expired": _succeeded,
}


def read_start(intent: Body) -> LookUp:
    return _guarded(START, intent, start_facts)


def read_capture(intent: Body) -> LookUp:
    return _guarded(CAPTURE, intent, capture_facts)


def read_void(body: Body) -> LookUp:
    if body.get("object") != "checkout.session":
        return _guarded(VOID, body, void_facts)
    intent = body.get("payment_intent")
    if body.get("status") == "complete" and isinstance(intent, dict):
        return _guarded(VOID, intent, void_facts)
    return _guarded(VOID_SESSION, body, void_facts)


def read_refund(refund: Body) -> LookUp:
    return _guarded(REFUND, refund, refund_facts)


def read_session(session: Body) -> LookUp:
    return _guarded(SESSION, session, session_facts)


def settled(answer: LookUp, refused: Outcome) -> Outcome:
    """For an operation that Stripe refused and whose object was read: not done means the refusal stands."""
    return refused if isinstance(answer, NotFound) else answer


def told(answer: LookUp) -> Outcome | None:
    """For news: what cannot be read whole is a reason to ask, not to doubt what is known."""
    return None if isinstance(answer, NotFound | Unknown) else answer


def _guarded(table: Mapping[str, Reader], body: Body, to_facts: Callable[[Body], Facts]) -> LookUp:
    try:
        facts = to_facts(body)
    except Inexact:
        return Unknown({**_seen(body), "cause": "inexact_amount"})
    return _read(table, body, facts)


def _read(table: Mapping[str, Reader], body: Body, facts: Facts) -> LookUp:
    status = str(body.get("status"))
    reader = table.get(OLD_STATUSES.get(status, status), _unclear)
    return reader(body, facts)


def _seen(body: Body) -> dict[str, Any]:
    return {
        "object": _word(body.get("object")),
        "id": id_of(body),
        "status": _word(body.get("status")),
    }


def _word(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
