"""Turning what core accepted into an HTTP answer, waiting for the job where the caller prefers that."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from flask import Response, request

from api import log_ids
from api.errors import to_json
from api.policy import current_policy
from api.state import caller, gate
from api.waiting import preferred_wait
from core.domain.identifiers import InvalidIdentifier, parse_id, public_id
from core.orchestration import reading
from core.orchestration.idempotency import Accepted


def ok(body: Any, status: int = 200) -> Response:
    return Response(to_json(body), status=status, mimetype="application/json")


def row_id(kind: str, text: str) -> UUID:
    """Of what the request is about; it goes on the log line.

    Raises NotFoundError: a malformed id and one of another kind are as unknown as any.
    """
    found = _parsed(kind, text)
    log_ids.note(kind, text)
    return found


def optional_id(kind: str, text: str | None) -> UUID | None:
    """Of a filter or a place in a list. Raises NotFoundError."""
    return None if text is None else _parsed(kind, text)


def _parsed(kind: str, text: str) -> UUID:
    try:
        return parse_id(kind, text)
    except InvalidIdentifier:
        raise reading.missing(kind) from None


def accepted(found: Accepted) -> Response:
    """202 with the job, or with `Prefer: wait=N` 200 with how it ended."""
    _note(found)
    policy = current_policy()
    asked = request.headers.get("Prefer") if policy is not None and policy.waits else None
    seconds = preferred_wait(asked, gate().core.settings.max_wait)
    if seconds is None or found.job_id is None:
        answer = ok(found.body, found.status_code)
        if found.location is not None:
            answer.headers["Location"] = found.location
    else:
        answer = _waited(found, found.job_id, seconds)
    if found.replayed:
        answer.headers["Idempotent-Replayed"] = "true"
    return answer


def _note(found: Accepted) -> None:
    for kind, row in (("job", found.job_id), ("payment", found.payment_id)):
        log_ids.note(kind, None if row is None else public_id(kind, row))
    for kind in ("refund", "dispute"):
        if found.body.get(kind) is not None:
            log_ids.note(kind, found.body[kind]["id"])


def about_payment(body: Mapping[str, Any]) -> Response:
    """200 with a refund, job or event, whose payment goes on the log line."""
    log_ids.note("payment", body["payment"])
    return ok(body)


def _waited(found: Accepted, job_id: UUID, seconds: int) -> Response:
    core, scope = gate().core, caller().scope
    settled = gate().waiting.wait(core, scope, job_id, seconds)
    answer = ok(reading.get_outcome(core, scope, job_id), 200 if settled else 202)
    answer.headers["Preference-Applied"] = f"wait={seconds}"
    if not settled and found.location is not None:
        answer.headers["Location"] = found.location
    return answer
