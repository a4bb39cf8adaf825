"""Disputes: how one stands, what is said against it, and giving in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from core.domain.outcomes import DisputeAnswer, DisputeFacts, NotExecuted, NotExecutedReason, NotFound, Unknown
from core.providers.base import AcceptRequest, EvidenceRequest
from core.providers.stripe.client import StripeCalls
from core.providers.stripe.currencies import Inexact, from_stripe
from core.providers.stripe.facts import Body, currency_of, id_of, time_of
from core.providers.stripe.failures import Failed
from core.providers.stripe.redaction import redacted

Status = Literal["needs_response", "under_review", "won", "lost", "closed"]

#: Stripe's status -> ours, and whether the amount is held back while it stands so. An inquiry (`warning_…`) takes
#: nothing; `prevented` was settled before it became a dispute (docs.stripe.com/api/disputes/object).
STATUSES: Mapping[str, tuple[Status, bool]] = {
    "warning_needs_response": ("needs_response", False),
    "warning_under_review": ("under_review", False),
    "warning_closed": ("closed", False),
    "needs_response": ("needs_response", True),
    "under_review": ("under_review", True),
    "appeal_needs_response": ("needs_response", True),
    "appeal_under_review": ("under_review", True),
    "won": ("won", False),
    "lost": ("lost", True),
    "prevented": ("closed", False),
}

#: Our names of evidence -> Stripe's (docs.stripe.com/api/disputes/evidence_object). It has no field for a telephone
#: number, so that one is said in the text.
EVIDENCE: Mapping[str, str] = {
    "message": "uncategorized_text",
    "customer_name": "customer_name",
    "customer_email": "customer_email_address",
    "service_details": "product_description",
    "delivery_address": "shipping_address",
    "delivery_date": "shipping_date",
    "carrier": "shipping_carrier",
    "tracking_number": "shipping_tracking_number",
}
_PHONE = "customer_phone"


def read(calls: StripeCalls, dispute_id: str) -> DisputeAnswer:
    try:
        return dispute_facts(calls.get_dispute(dispute_id))
    except Failed as failed:
        failure = failed.failure
    if failure.missing:
        return NotFound({"object": "dispute", "id": dispute_id})
    return failure.outcome()


def send_evidence(calls: StripeCalls, request: EvidenceRequest) -> DisputeAnswer:
    evidence = evidence_of(request.evidence)
    if not evidence:
        return NotExecuted(NotExecutedReason.INVALID_REQUEST, "There is no evidence to send", param="evidence")
    params = {"evidence": evidence, "submit": True}
    try:
        return dispute_facts(calls.update_dispute(request.provider_id, params, request.provider_key))
    except Failed as failed:
        refused = failed.failure.outcome()
    found = _again(calls, request.provider_id, refused)
    if isinstance(found, DisputeFacts) and found.evidence_sent and _says(found, evidence):
        return found
    return refused


def accept(calls: StripeCalls, request: AcceptRequest) -> DisputeAnswer:
    try:
        return dispute_facts(calls.close_dispute(request.provider_id, request.provider_key))
    except Failed as failed:
        refused = failed.failure.outcome()
    found = _again(calls, request.provider_id, refused)
    if isinstance(found, DisputeFacts) and found.status in ("lost", "closed"):
        return found
    return refused


def evidence_of(said: Mapping[str, str]) -> dict[str, str]:
    """In Stripe's names; what is empty is left out."""
    evidence = {theirs: said[ours] for ours, theirs in EVIDENCE.items() if said.get(ours)}
    if said.get(_PHONE):
        text = EVIDENCE["message"]
        lines = [evidence[text]] if text in evidence else []
        evidence[text] = "\n".join([*lines, f"Telephone number of the customer: {said[_PHONE]}"])
    return evidence


def _again(calls: StripeCalls, dispute_id: str, refused: NotExecuted | Unknown) -> DisputeAnswer:
    """A state that refuses it may be the one that was wanted; that Stripe did not answer is no reason to ask."""
    if isinstance(refused, NotExecuted) and refused.reason is NotExecutedReason.INVALID_REQUEST:
        return read(calls, dispute_id)
    return refused


def _says(found: DisputeFacts, evidence: Mapping[str, str]) -> bool:
    """Whether it is ours that was sent, and not somebody's at the dashboard."""
    held = (found.raw or {}).get("evidence")
    return isinstance(held, dict) and all(held.get(name) == value for name, value in evidence.items())


def dispute_facts(dispute: Body) -> DisputeFacts | Unknown:
    known = STATUSES.get(str(dispute.get("status")))
    dispute_id, currency, amount = id_of(dispute), currency_of(dispute), _amount(dispute)
    charges = charges_of(dispute)
    if known is None or dispute_id is None or currency is None or amount is None or not charges:
        seen = {"object": "dispute", "id": dispute_id, "status": _word(dispute.get("status"))}
        return Unknown({**seen, "cause": "unreadable_dispute"}, raw=redacted(dict(dispute)))
    status, withheld = known
    details = dispute.get("evidence_details")
    told: Mapping[str, Any] = details if isinstance(details, dict) else {}
    return DisputeFacts(
        provider_id=dispute_id,
        status=status,
        amount=amount,
        currency=currency,
        charge_ids=charges,
        reason=_word(dispute.get("reason")),
        evidence_due_by=time_of(told.get("due_by")),
        refundable=dispute.get("is_charge_refundable") is True,
        withheld=withheld,
        evidence_sent=bool(told.get("submission_count")),
        created_at=time_of(dispute.get("created")),
        raw=redacted(dict(dispute)),
    )


def charges_of(dispute: Body) -> tuple[str, ...]:
    """The charge and its intent: a payment of ours is known by one or the other."""
    return tuple(one for one in (id_of(dispute.get("charge")), id_of(dispute.get("payment_intent"))) if one)


def _amount(dispute: Body) -> int | None:
    units, currency = dispute.get("amount"), currency_of(dispute)
    if not isinstance(units, int) or isinstance(units, bool) or currency is None:
        return None
    try:
        return from_stripe(units, currency)
    except Inexact:
        return None


def _word(value: Any) -> str | None:
    return value[:100] if isinstance(value, str) and value else None
