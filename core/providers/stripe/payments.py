"""Charging, authorizing, capturing and voiding: what is sent to Stripe, and what each answer means."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from core.domain.outcomes import (
    CANCEL_AFTER_DECLINE,
    ActionRequired,
    Declined,
    Facts,
    LookUp,
    NotExecuted,
    NotExecutedReason,
    Outcome,
    Unknown,
)
from core.providers.base import CaptureRequest, ChargeRef, RefundRequest, StartRequest, VoidRequest
from core.providers.stripe import outcomes
from core.providers.stripe.client import StripeCalls
from core.providers.stripe.currencies import CURRENCIES, Inexact, to_stripe
from core.providers.stripe.declines import decline_of
from core.providers.stripe.facts import capture_facts, id_of, start_facts
from core.providers.stripe.failures import Failed, Failure, customer_gone
from core.providers.stripe.fields import FIELDS, OF_SAVED
from core.providers.stripe.marks import CAPTURE
from core.providers.stripe.methods import with_method
from core.providers.stripe.start_params import intent_params, session_params


def start(calls: StripeCalls, request: StartRequest) -> Outcome:
    try:
        units = to_stripe(request.amount, request.currency)
    except Inexact as error:
        return NotExecuted(NotExecutedReason.INVALID_REQUEST, str(error), param="amount")
    refused = _refused(request)
    if refused is not None:
        return refused
    if request.method == "redirect":
        return _start_on_page(calls, request, units)
    return _start_at_once(calls, request, units)


def _refused(request: StartRequest) -> NotExecuted | None:
    """What Stripe would not refuse, or not clearly; and what is not declared, which never leaves."""
    if request.currency not in CURRENCIES:
        return NotExecuted(NotExecutedReason.INVALID_REQUEST, "Stripe does not take this currency", param="currency")
    if request.method == "redirect" and not request.return_url:
        return NotExecuted(NotExecutedReason.INVALID_REQUEST, "A redirect needs a return_url", param="return_url")
    if (request.method == "saved") != (request.saved is not None):
        return NotExecuted(NotExecutedReason.INVALID_REQUEST, "A saved method has to be named", param="payment_method")
    if request.save_method and not request.provider_customer:
        # Stripe would take the payment and keep nothing.
        return NotExecuted(NotExecutedReason.INVALID_REQUEST, "Saving a method needs a customer", param="customer")
    return None


def _start_at_once(calls: StripeCalls, request: StartRequest, units: int) -> Outcome:
    try:
        intent = calls.create_intent(intent_params(request, units), request.provider_key)
    except Failed as failed:
        return _after_failed_start(calls, request, failed.failure)
    outcome = _outcome(with_method(request, outcomes.read_start(intent), intent))
    if isinstance(outcome, Declined):
        return _cancel_declined(calls, request, outcome)
    return outcome


def _after_failed_start(calls: StripeCalls, request: StartRequest, failure: Failure) -> Outcome:
    if failure.verdict == "declined":
        intent = failure.intent or {}
        outcome = Declined(_facts(start_facts, intent), decline_of(failure.error))
        return _cancel_declined(calls, request, outcome)
    intent_id = id_of(failure.intent)
    if failure.verdict == "already" and intent_id:
        answer = _read_again(lambda: outcomes.read_start(calls.get_intent(intent_id)))
        return outcomes.settled(answer, failure.outcome())
    return _refusal(request, failure)


def _refusal(request: StartRequest, failure: Failure) -> NotExecuted | Unknown:
    if request.saved:
        return failure.outcome(OF_SAVED)
    return customer_gone(failure) if failure.names_lost_customer() else failure.outcome(FIELDS)


def _cancel_declined(calls: StripeCalls, request: StartRequest, outcome: Declined) -> Declined:
    """A declined intent could still be confirmed with another card, so it is ended at once.

    That the cancel failed does not change the decline; it is noted, for a void to be sent later.
    """
    intent_id = outcome.facts.provider_id
    extra = {name: value for name, value in outcome.facts.extra.items() if name != CANCEL_AFTER_DECLINE}
    if intent_id is None:
        return replace(outcome, facts=replace(outcome.facts, extra=extra))
    try:
        calls.cancel_intent(intent_id, outcomes.AFTER_DECLINE, f"{request.provider_key}:cancel")
    except Failed:
        extra[CANCEL_AFTER_DECLINE] = intent_id
    return replace(outcome, facts=replace(outcome.facts, extra=extra))


def _start_on_page(calls: StripeCalls, request: StartRequest, units: int) -> Outcome:
    try:
        session = calls.create_session(session_params(request, units), request.provider_key)
    except Failed as failed:
        return _refusal(request, failed.failure)
    return _outcome(outcomes.read_session(session))


def capture(calls: StripeCalls, request: CaptureRequest) -> Outcome:
    try:
        units = to_stripe(request.amount, request.currency)
    except Inexact as error:
        return NotExecuted(NotExecutedReason.INVALID_REQUEST, str(error), param="amount")
    intent_id = intent_of(calls, request)
    if not isinstance(intent_id, str):
        return intent_id
    params = {"amount_to_capture": units, "metadata": {CAPTURE: request.transaction_id}}
    try:
        return _outcome(outcomes.read_capture(calls.capture_intent(intent_id, params, request.provider_key)))
    except Failed as failed:
        failure = failed.failure
    if failure.verdict == "declined":
        facts = _facts(capture_facts, failure.intent or {})
        # The hold is gone, and the intent waits for another payment method: it must not stay payable.
        facts = replace(facts, extra={**facts.extra, CANCEL_AFTER_DECLINE: intent_id})
        return Declined(facts, decline_of(failure.error))
    if failure.verdict == "already":
        answer = _read_again(lambda: outcomes.read_capture(calls.get_intent(intent_id)))
        return outcomes.settled(answer, failure.outcome())
    return failure.outcome()


def void(calls: StripeCalls, request: VoidRequest) -> Outcome:
    """Cancel the intent; or expire the session, as long as nothing was paid on it."""
    if not request.provider_id.startswith("cs_"):
        return _cancel(calls, request.provider_id, request)
    try:
        session = calls.get_session(request.provider_id)
    except Failed as failed:
        return _only_read(failed.failure)
    intent_id = id_of(session.get("payment_intent"))
    if session.get("status") == "complete" and intent_id:
        return _cancel(calls, intent_id, request)
    return _expire(calls, request)


def _cancel(calls: StripeCalls, intent_id: str, request: VoidRequest) -> Outcome:
    try:
        intent = calls.cancel_intent(intent_id, "requested_by_customer", request.provider_key)
    except Failed as failed:
        failure = failed.failure
    else:
        return _outcome(outcomes.read_void(intent))
    if failure.verdict == "already":
        answer = _read_again(lambda: outcomes.read_void(calls.get_intent(intent_id)))
        return outcomes.settled(answer, failure.outcome())
    return failure.outcome()


def _expire(calls: StripeCalls, request: VoidRequest) -> Outcome:
    """Its own key: the same one under two paths would be an idempotency error."""
    try:
        return _outcome(outcomes.read_void(calls.expire_session(request.provider_id, f"{request.provider_key}:expire")))
    except Failed as failed:
        failure = failed.failure
    if failure.verdict == "invalid_request":
        # "Only open sessions can be expired" has no code of its own.
        answer = _read_again(lambda: outcomes.read_void(calls.get_session(request.provider_id)))
        return outcomes.settled(answer, failure.outcome())
    return failure.outcome()


def intent_of(calls: StripeCalls, request: CaptureRequest | RefundRequest | ChargeRef) -> str | NotExecuted:
    """The intent behind a payment: the object itself, or the one its Checkout Session made."""
    behind = None if isinstance(request, CaptureRequest) else request.provider_charge_id
    extra = request.extra if isinstance(request, ChargeRef) else request.start_extra
    for one in (request.provider_id, extra.get("payment_intent"), behind):
        if one and one.startswith("pi_"):
            return one
    try:
        found = id_of(calls.get_session(request.provider_id).get("payment_intent"))
    except Failed as failed:
        return _only_read(failed.failure)
    return found or NotExecuted(NotExecutedReason.INVALID_REQUEST, "Nothing has been paid on this Checkout Session")


def _only_read(failure: Failure) -> NotExecuted:
    """The read before the operation failed: the operation itself was not sent."""
    outcome = failure.outcome()
    if isinstance(outcome, NotExecuted):
        return outcome
    return NotExecuted(NotExecutedReason.CONNECTION, "The object could not be read first", raw=failure.raw())


def _read_again(read: Callable[[], LookUp]) -> LookUp:
    try:
        return read()
    except Failed as failed:
        return Unknown(failed.failure.evidence())


def _outcome(answer: LookUp) -> Outcome:
    """The answer to a call that was executed cannot mean that it was not: then it is unreadable."""
    return outcomes.settled(answer, Unknown({"cause": "contradicting_answer"}))


def with_key(calls: StripeCalls, outcome: Outcome) -> Outcome:
    """A provider script needs the account's publishable key next to the secret of the intent."""
    if not isinstance(outcome, ActionRequired) or outcome.next_action is None:
        return outcome
    if outcome.next_action.client_secret is None:
        return outcome
    action = replace(outcome.next_action, publishable_key=calls.publishable_key)
    return replace(outcome, next_action=action)


def _facts(read: Callable[[dict[str, Any]], Facts], intent: dict[str, Any]) -> Facts:
    try:
        return read(intent)
    except Inexact:
        return Facts(provider_id=id_of(intent))
