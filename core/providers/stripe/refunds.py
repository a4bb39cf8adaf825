"""Giving money back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from core.domain.outcomes import Declined, LookUp, NotExecuted, NotExecutedReason, NotFound, Outcome, Unknown
from core.providers.base import ChargeRef, News, RefundRequest
from core.providers.stripe import outcomes
from core.providers.stripe.client import StripeCalls
from core.providers.stripe.currencies import Inexact, to_stripe
from core.providers.stripe.declines import decline_of
from core.providers.stripe.facts import Body, id_of, refund_facts, time_of
from core.providers.stripe.failures import Failed
from core.providers.stripe.lists import pages
from core.providers.stripe.marks import REFUND, TRANSACTION, mark_of, refund_marks
from core.providers.stripe.payments import intent_of

#: The only reasons Stripe takes (docs.stripe.com/api/refunds/create); any other stays with us.
REASONS = frozenset({"duplicate", "fraudulent", "requested_by_customer"})


def refund(calls: StripeCalls, request: RefundRequest) -> Outcome:
    try:
        units = to_stripe(request.amount, request.currency)
    except Inexact as error:
        return NotExecuted(NotExecutedReason.INVALID_REQUEST, str(error), param="amount")
    intent_id = intent_of(calls, request)
    if not isinstance(intent_id, str):
        return intent_id
    try:
        answer = outcomes.read_refund(
            calls.create_refund(refund_params(request, intent_id, units), request.provider_key)
        )
    except Failed as failed:
        failure = failed.failure
    else:
        return outcomes.settled(answer, Unknown({"cause": "contradicting_answer"}))
    if failure.verdict == "declined":
        return Declined(refund_facts({}), decline_of(failure.error))
    if failure.verdict == "already":
        # All is given back; whether this refund is among it, only the list can tell.
        return outcomes.settled(_find(calls, intent_id, request.transaction_id), failure.outcome())
    return failure.outcome()


def refund_params(request: RefundRequest, intent_id: str, units: int) -> dict[str, Any]:
    params: dict[str, Any] = {"payment_intent": intent_id, "amount": units, "metadata": refund_marks(request)}
    if request.reason in REASONS:
        params["reason"] = request.reason
    return params


def list_refunds(calls: StripeCalls, charge: ChargeRef) -> Sequence[News] | NotExecuted | Unknown:
    """Ours and those made at the dashboard. The rest of a hold that a capture let go is not among them."""
    intent_id = intent_of(calls, charge)
    if not isinstance(intent_id, str):
        return intent_id
    try:
        listed = list(pages(calls.list_refunds, {"payment_intent": intent_id}))
    except Failed as failed:
        return failed.failure.outcome()
    return [_news(one, charge.provider_id) for one in listed if not lets_go(one) and id_of(one)]


def _news(refund: Body, start: str) -> News:
    return News(
        "refund",
        outcomes.told(outcomes.read_refund(refund)),
        transaction_id=mark_of(refund),
        provider_id=id_of(refund),
        start_provider_id=start,
        occurred_at=time_of(refund.get("created")),
    )


def lets_go(refund: Body) -> bool:
    """Stripe also books the letting go of a hold as a refund. Money that moves has a balance transaction."""
    return mark_of(refund) is None and refund.get("status") == "succeeded" and not refund.get("balance_transaction")


def look_up_refund(
    calls: StripeCalls, request: RefundRequest, refund_id: str | None, *, by_refund: bool = False
) -> LookUp:
    """By id, or by our mark among the refunds of the charge: the refund's where the transaction's is lost.

    Raises Failed.
    """
    if refund_id:
        return outcomes.read_refund(calls.get_refund(refund_id))
    intent_id = intent_of(calls, request)
    if not isinstance(intent_id, str):
        return Unknown({"cause": "no_intent", "detail": intent_id.detail})
    mark = (REFUND, request.refund_id) if by_refund else (TRANSACTION, request.transaction_id)
    return (
        outcomes.read_refund(found)
        if (found := _marked(calls, intent_id, *mark))
        else NotFound({"listed": "refunds", "payment_intent": intent_id})
    )


def _find(calls: StripeCalls, intent_id: str, transaction_id: str) -> LookUp:
    try:
        found = _marked(calls, intent_id, TRANSACTION, transaction_id)
    except Failed as failed:
        return Unknown(failed.failure.evidence())
    return outcomes.read_refund(found) if found else NotFound({"listed": "refunds"})


def _marked(calls: StripeCalls, intent_id: str, name: str, mark: str) -> dict[str, Any] | None:
    listed: Iterator[dict[str, Any]] = pages(calls.list_refunds, {"payment_intent": intent_id})
    return next((one for one in listed if mark_of(one, name) == mark), None)
