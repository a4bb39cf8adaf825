"""Is the gate alive, can it do its work, what has it counted."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
import structlog
from flask import Response, request

from api import metrics
from api.answers import ok
from api.errors import Unauthorized
from api.policy import Policy
from api.routing import room, route
from api.schemas.health import Alive, Readiness
from api.state import Gate, gate
from core.monitoring_access import FORWARDED, may_read
from core.persistence.queries.schema import missing_columns

health = room("health", __name__, "For load balancers and monitoring.")
log = structlog.get_logger()

_PUBLIC = Policy("public")


@route(health, "get", "/healthz", _PUBLIC, {200: Alive})
def alive() -> Response:
    """Is the process alive"""
    return ok({"status": "ok"})


@route(health, "get", "/readyz", _PUBLIC, {200: Readiness, 503: Readiness})
def ready() -> Response:
    """Can it do its work, and what stands in its way

    Without Redis work is picked up more slowly and limits are counted per process: degraded, but ready.
    A paused installation answers what reads and takes providers' webhooks: degraded, with the reason.
    A server that was told to stop is `draining`: it still answers, but wants no new connections.
    """
    parts = {"postgres": _postgres(gate()), "redis": _redis(gate()), "installation": _installation(gate())}
    if gate().draining():
        return _not_ready("draining", parts)
    if parts["postgres"]["status"] != "ok":
        return _not_ready("unavailable", parts)
    degraded = any(part["status"] != "ok" for part in parts.values())
    return ok({"status": "degraded" if degraded else "ok", "dependencies": parts})


def _not_ready(status: str, parts: dict[str, Any]) -> Response:
    answer = ok({"status": status, "dependencies": parts}, 503)
    answer.headers["Retry-After"] = "2"
    return answer


@route(health, "get", "/metrics", Policy("public", codes=("unauthorized",)), {200: None})
def show_metrics() -> Response:
    """Counters in the Prometheus text format

    For this machine alone, or for whoever sends the token of the setting `TOLLGATE_METRICS_TOKEN` as a bearer token.
    """
    token = gate().core.settings.metrics_token
    forwarded = any(name in request.headers for name in FORWARDED)
    if not may_read(token, request.headers.get("Authorization", ""), _peer(), forwarded=forwarded):
        raise Unauthorized("this address is for monitoring: see TOLLGATE_METRICS_TOKEN in docs/operations.md")
    return Response(metrics.exposition(gate()), content_type=metrics.CONTENT_TYPE)


def _peer() -> str:
    """The other end of the connection, whatever a header says."""
    return str(request.environ.get("REMOTE_ADDR", ""))


def _postgres(here: Gate) -> dict[str, Any]:
    try:
        with here.core.database.unscoped() as connection:
            missing = missing_columns(connection)
    except sa.exc.SQLAlchemyError as error:
        log.warning("readiness: no database", component="postgres", exc_info=error)
        return {"status": "down", "reason": "the database cannot be reached"}
    if missing:
        reason = f"the schema is behind, {missing[0]} is missing; run `tollgate migrate`"
        return {"status": "down", "reason": reason}
    return {"status": "ok", "reason": None}


def _redis(here: Gate) -> dict[str, Any]:
    if here.limits.redis_answers():
        return {"status": "ok", "reason": None}
    return {
        "status": "down",
        "reason": "Redis cannot be reached; workers poll by themselves, limits are counted per process",
    }


def _installation(here: Gate) -> dict[str, Any]:
    try:
        reason = here.pause.reason()
    except sa.exc.SQLAlchemyError:
        return {"status": "unknown", "reason": "the database cannot be reached"}
    if reason is None:
        return {"status": "ok", "reason": None}
    return {"status": "paused", "reason": f"{reason}; its operator has to run `tollgate resume`"}
