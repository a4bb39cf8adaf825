"""What providers told us: listed, looked at, read again."""

from __future__ import annotations

from flask import Response

from api.admin.common import READ, person, policy, scope_of
from api.answers import ok, optional_id, row_id
from api.errors import InvalidFields
from api.routing import room, route
from api.schemas.admin import ModeQuery, ReasonedBody
from api.schemas.inbox import (
    InboxEventInFull,
    InboxEvents,
    InboxPath,
    InboxQuery,
    ReplayBody,
    Replayed,
    ReplayedEvent,
)
from api.schemas.parameters import PathId
from api.state import gate
from core.domain.errors import FieldError
from core.orchestration import replay
from core.persistence.queries.replays import Wanted

inbox = room("admin_inbox", __name__, "What providers told us; takes a `tg_admin_` key.")

_HOME = "/admin/v1/merchants/<id>/inbox"
_REPLAY = policy("admin:inbox")


@route(inbox, "get", _HOME, READ, {200: InboxEvents})
def list_inbox_events(path: PathId, query: InboxQuery) -> Response:
    """List what providers told us, newest first, without the bodies"""
    wanted = Wanted(
        provider=query.provider,
        status=query.status,
        kind=query.kind,
        scope=scope_of(path.id, query.mode),
        after=optional_id("inbox_event", query.after),
        received_after=query.received_after,
        received_before=query.received_before,
    )
    return ok(replay.page(gate().core, wanted, query.limit))


@route(inbox, "get", f"{_HOME}/<event>", READ, {200: InboxEventInFull})
def get_inbox_event(path: InboxPath, query: ModeQuery) -> Response:
    """Read what became of an event, and what will read it again"""
    scope = scope_of(path.id, query.mode)
    return ok(replay.show(gate().core, row_id("inbox_event", path.event), scope))


@route(inbox, "post", f"{_HOME}/<event>/replay", _REPLAY, {200: ReplayedEvent})
def replay_inbox_event(path: InboxPath, query: ModeQuery, body: ReasonedBody) -> Response:
    """Have an event read again

    It goes the way of a first reading. What was applied already is not applied twice.
    """
    scope = scope_of(path.id, query.mode)
    return ok(replay.replay(gate().core, row_id("inbox_event", path.event), person(body.reason), scope))


@route(inbox, "post", f"{_HOME}/replay", _REPLAY, {200: Replayed})
def replay_inbox(path: PathId, query: ModeQuery, body: ReplayBody) -> Response:
    """Have a range of events read again, the oldest first; with `dry_run` only count them"""
    if body.status is None and body.received_after is None:
        raise InvalidFields("everything there ever was is meant", errors=[FieldError("status", _CHOOSE)])
    wanted = Wanted(
        provider=body.provider,
        status=body.status,
        kind=body.kind,
        scope=scope_of(path.id, query.mode),
        received_after=body.received_after,
        received_before=body.received_before,
    )
    by, matching = person(body.reason), replay.count(gate().core, wanted)
    if body.dry_run:
        return ok({"dry_run": True, "matching": matching, "replayed": 0, "left": []})
    done = replay.replay_all(gate().core, wanted, by, most=body.limit)
    left = [{"event": event, "why": why} for event, why in done.left]
    return ok({"dry_run": False, "matching": matching, "replayed": done.replayed, "left": left})


_CHOOSE = "choose by status, or by received_after"
