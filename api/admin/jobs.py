"""A merchant's jobs: listed, looked at, and decided where they wait for a person."""

from __future__ import annotations

from flask import Response

from api.admin.common import READ, person, policy, scope_of
from api.answers import ok, optional_id, row_id
from api.routing import room, route
from api.schemas.admin import DecidedJob, JobInFull, JobPath, Jobs, JobsQuery, ModeQuery, ReasonedBody, ResolveJobBody
from api.schemas.parameters import PathId
from api.state import gate
from core.orchestration import admin_reading, job_cancel, review, review_reading
from core.orchestration.review_outcomes import Told

jobs = room("admin_jobs", __name__, "Jobs, and the decisions of those that wait for one; takes a `tg_admin_` key.")

_HOME = "/admin/v1/merchants/<id>/jobs"
_ONE = f"{_HOME}/<job>"
_DECIDE = policy("admin:jobs")
_RESOLVE = policy("admin:jobs", "operation_in_progress", "amount_too_large", "outcome_unknown")


@route(jobs, "get", _HOME, READ, {200: Jobs})
def list_jobs(path: PathId, query: JobsQuery) -> Response:
    """List a merchant's jobs, newest first"""
    scope, after = scope_of(path.id, query.mode), optional_id("job", query.after)
    return ok(admin_reading.list_jobs(gate().core, scope, query.limit, after, query.status))


@route(jobs, "get", _ONE, READ, {200: JobInFull})
def get_job_in_full(path: JobPath, query: ModeQuery) -> Response:
    """Read a job with what it has sent, and what a person can do about it"""
    scope = scope_of(path.id, query.mode)
    return ok(review_reading.show(gate().core, row_id("job", path.job), scope))


@route(jobs, "post", f"{_ONE}/requeue", _DECIDE, {200: DecidedJob})
def requeue_job(path: JobPath, query: ModeQuery, body: ReasonedBody) -> Response:
    """Have a job in review tried again; what may have been sent is looked up first"""
    scope = scope_of(path.id, query.mode)
    return ok(review.requeue(gate().core, row_id("job", path.job), person(body.reason), scope))


@route(jobs, "post", f"{_ONE}/resolve", _RESOLVE, {200: DecidedJob})
def resolve_job(path: JobPath, query: ModeQuery, body: ResolveJobBody) -> Response:
    """End a job in review

    While its operation has no known outcome, look at the provider first. Payment, refund and merchant follow.
    """
    scope, told = scope_of(path.id, query.mode), Told(body.provider_id, body.amount)
    number, by = row_id("job", path.job), person(body.reason)
    return ok(review.resolve(gate().core, number, body.verdict, by, told, scope))


@route(jobs, "post", f"{_ONE}/cancel", _DECIDE, {200: DecidedJob})
def cancel_job(path: JobPath, query: ModeQuery, body: ReasonedBody) -> Response:
    """End a waiting job undone

    The delivery of an event, or the start of a payment of which nothing was sent; that payment is canceled.
    """
    scope = scope_of(path.id, query.mode)
    return ok(job_cancel.cancel(gate().core, row_id("job", path.job), person(body.reason), scope))
