"""Disputes: read them, answer with evidence, or give in."""

from __future__ import annotations

from flask import Response

from api.answers import about_payment, accepted, ok, optional_id, row_id
from api.idempotency_key import current_key
from api.policy import Policy
from api.routing import room, route
from api.schemas.disputes import Dispute, Disputes, EvidenceBody
from api.schemas.jobs import AcceptedDispute
from api.schemas.parameters import DisputesQuery, NoQuery, PathId, PaymentDisputesQuery
from api.state import caller, gate
from core.orchestration import dispute_answers, reading
from core.orchestration.reading import Filters

disputes = room("disputes", __name__, "Customers who ask their bank for the money back.")

_READ = Policy("merchant", "disputes:read", codes=("not_found", "validation_failed"))
_ANSWER = ("not_found", "state_conflict", "operation_in_progress", "validation_failed", "capability_unsupported")
_EVIDENCE = Policy("merchant", "disputes:write", body="required", key="required", waits=True, codes=_ANSWER)
_ACCEPT = Policy("merchant", "disputes:write", key="required", waits=True, codes=_ANSWER)
_ACCEPTED = {200: AcceptedDispute, 202: AcceptedDispute}


@route(disputes, "get", "/v1/disputes", _READ, {200: Disputes})
def list_disputes(query: DisputesQuery) -> Response:
    """List disputes, newest first"""
    filters = Filters(
        limit=query.limit,
        after=optional_id("dispute", query.after),
        status=query.status,
        provider=query.provider,
        payment_id=optional_id("payment", query.payment),
        created_after=query.created_after,
        created_before=query.created_before,
    )
    return ok(reading.list_disputes(gate().core, caller().scope, filters))


@route(disputes, "get", "/v1/payments/<id>/disputes", _READ, {200: Disputes})
def list_disputes_of_payment(path: PathId, query: PaymentDisputesQuery) -> Response:
    """List the disputes of a payment, newest first"""
    filters = Filters(
        limit=query.limit,
        after=optional_id("dispute", query.after),
        status=query.status,
        payment_id=row_id("payment", path.id),
        created_after=query.created_after,
        created_before=query.created_before,
    )
    return ok(reading.list_disputes(gate().core, caller().scope, filters))


@route(disputes, "get", "/v1/disputes/<id>", _READ, {200: Dispute})
def get_dispute(path: PathId, query: NoQuery) -> Response:
    """Read a dispute"""
    return about_payment(reading.get_dispute(gate().core, caller().scope, row_id("dispute", path.id)))


@route(disputes, "post", "/v1/disputes/<id>/evidence", _EVIDENCE, _ACCEPTED)
def send_evidence(path: PathId, query: NoQuery, body: EvidenceBody) -> Response:
    """Answer a dispute with evidence

    Only while it `needs_response`, and once: the provider passes it on to the bank for good.
    """
    dispute_id = row_id("dispute", path.id)
    return accepted(dispute_answers.send_evidence(gate().core, caller(), dispute_id, body.evidence(), current_key()))


@route(disputes, "post", "/v1/disputes/<id>/accept", _ACCEPT, _ACCEPTED)
def accept_dispute(path: PathId, query: NoQuery) -> Response:
    """Give in to a dispute: the customer keeps the money"""
    return accepted(dispute_answers.accept_dispute(gate().core, caller(), row_id("dispute", path.id), current_key()))
