"""Charging, authorizing, capturing and voiding: what is sent to Stripe, and what each answer means."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit

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
from core.providers.base import CaptureRequest, RefundRequest, StartRequest, VoidRequest
from core.providers.stripe import outcomes
from core.providers.stripe.client import StripeCalls
from core.providers.stripe.currencies import Inexact, to_stripe
from core.providers.stripe.declines import decline_of
from core.providers.stripe.facts import capture_facts, id_of, start_facts
from core.providers.stripe.failures import Failed, Failure
from core.providers.stripe.marks import CAPTURE, start_marks

#: docs.stripe.com/api: the longest description, and the longest name of a product on the page.
_DESCRIPTION, _PRODUCT = 1000, 250
#: The query parameter by which the merchant's page knows which payment came back.
RETURN_PARAMETER = "tollgate_payment"


def start(calls: StripeCalls, request: StartRequest) -> Outcome:
    try:
        units = to_stripe(request.amount, request.currency)
    except Inexact as error:
        return NotExecuted(NotExecutedReason.INVALID_REQUEST, str(error), param="amount")
    if request.method == "redirect":
        return _start_on_page(calls, request, units)
    return _start_by_token(calls, request, units)


def _start_by_token(calls: StripeCalls, request: StartRequest, units: int) -> Outcome:
    try:
        intent = calls.create_intent(intent_params(request, units), request.provider_key)
    except Failed as failed:
        return _after_failed_start(calls, request, failed.failure)
    outcome = _outcome(outcomes.read_start(intent))
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
    return failure.outcome()


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
    if not request.return_url:
        return NotExecuted(NotExecutedReason.INVALID_REQUEST, "A redirect needs a return_url", param="return_url")
    try:
        session = calls.create_session(session_params(request, units), request.provider_key)
    except Failed as failed:
        return failed.failure.outcome()
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


def intent_of(calls: StripeCalls, request: CaptureRequest | RefundRequest) -> str | NotExecuted:
    """The intent behind a payment: the object itself, or the one its Checkout Session made."""
    behind = request.provider_charge_id if isinstance(request, RefundRequest) else None
    for one in (request.provider_id, request.start_extra.get("payment_intent"), behind):
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


def intent_params(request: StartRequest, units: int) -> dict[str, Any]:
    """Create and confirm in one call. A function of the request alone: the same key must send the same."""
    params: dict[str, Any] = {
        "amount": units,
        "currency": request.currency.lower(),
        "payment_method": request.token,
        "confirm": True,
        "capture_method": _capture_method(request),
        "automatic_payment_methods": {"enabled": True},
        "metadata": start_marks(request),
    }
    if request.return_url:
        params["return_url"] = with_payment(request.return_url, request.payment_id)
    else:
        params["automatic_payment_methods"]["allow_redirects"] = "never"
    if request.description:
        params["description"] = request.description[:_DESCRIPTION]
    return params


def session_params(request: StartRequest, units: int) -> dict[str, Any]:
    """A page for one payment. `expires_at` is left to Stripe, whose default is our 24 h: a time taken
    here would differ when the same key is sent again."""
    back = with_payment(request.return_url or "", request.payment_id)
    marks = start_marks(request)
    intent_data: dict[str, Any] = {"capture_method": _capture_method(request), "metadata": marks}
    if request.description:
        intent_data["description"] = request.description[:_DESCRIPTION]
    name = (request.description or request.reference or "Payment")[:_PRODUCT]
    price = {"currency": request.currency.lower(), "unit_amount": units, "product_data": {"name": name}}
    params: dict[str, Any] = {
        "mode": "payment",
        "line_items": [{"quantity": 1, "price_data": price}],
        "success_url": back,
        "cancel_url": back,
        "client_reference_id": request.payment_id,
        "metadata": marks,
        "payment_intent_data": intent_data,
    }
    if request.person.email:
        params["customer_email"] = request.person.email
    return params


def _capture_method(request: StartRequest) -> str:
    return "manual" if request.kind == "authorize" else "automatic"


def with_payment(url: str, payment_id: str) -> str:
    """The address with our payment id in its query, whatever query and fragment it already has."""
    parts = urlsplit(url)
    # Kept letter by letter: what is already there may hold Stripe's {CHECKOUT_SESSION_ID}, or a signature.
    kept = [one for one in parts.query.split("&") if one and not one.startswith(f"{RETURN_PARAMETER}=")]
    query = "&".join([*kept, urlencode({RETURN_PARAMETER: payment_id})])
    return urlunsplit((parts.scheme, parts.netloc, parts.path, query, parts.fragment))
