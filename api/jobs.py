"""Jobs: how far accepted work has come."""

from __future__ import annotations

from flask import Response

from api.answers import about_payment, row_id
from api.policy import Policy
from api.routing import room, route
from api.schemas.jobs import JobWithResult
from api.schemas.parameters import JobQuery, PathId
from api.state import caller, gate
from core.orchestration import reading

jobs = room("jobs", __name__, "Work that was accepted and ends.")

_READ_ONE = Policy("merchant", "payments:read", codes=("not_found", "validation_failed"))


@route(jobs, "get", "/v1/jobs/<id>", _READ_ONE, {200: JobWithResult})
def get_job(path: PathId, query: JobQuery) -> Response:
    """Read a job, or wait for its end

    With `wait` the answer comes when the job has ended or the seconds are over, whichever is first.
    """
    job_id = row_id("job", path.id)
    core, scope = gate().core, caller().scope
    if query.wait:
        gate().waiting.wait(core, scope, job_id, min(query.wait, core.settings.max_wait))
    return about_payment(reading.get_job(core, scope, job_id))
