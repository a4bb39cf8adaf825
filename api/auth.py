"""Who asks: the API key decides merchant, mode and scopes."""

from __future__ import annotations

from uuid import UUID

import structlog
from flask import g, request

from api import client_address, refusals
from api.dashboard import door
from api.errors import Forbidden, RateLimited, Unauthorized
from api.policy import Policy
from api.state import gate
from core.orchestration import api_keys
from core.orchestration.api_keys import KeyHolder
from core.orchestration.context import Caller
from core.orchestration.key_notes import Refusal

_LONGEST = 200  # a key has 78 characters


def _presented() -> str:
    """The key of `Authorization: Bearer …` (RFC 6750). Raises Unauthorized."""
    header = request.headers.get("Authorization", "")
    scheme, _, text = header.partition(" ")
    if not header:
        raise Unauthorized("send your API key as `Authorization: Bearer tg_…`")
    if scheme.lower() != "bearer" or len(text) > _LONGEST:
        raise Unauthorized("the Authorization header is not of the form `Bearer tg_…`")
    return text.strip()


def admit(policy: Policy) -> None:
    """Check key, rate and scope, in this order, and remember the caller. Raises 401, 429, 403."""
    if policy.door == "public":
        return
    if policy.door == "person":
        door.admit(policy)
        return
    holder = api_keys.check(gate().core, _presented())
    if not isinstance(holder, KeyHolder):
        # All that have the form of a key and are none of ours are one in the log: they can be made up without end.
        refusals.count(Refusal(holder.because, holder.key_id, holder.scope))
        raise Unauthorized("this API key is unknown, revoked or expired")
    structlog.contextvars.bind_contextvars(key_id=holder.key_id)
    gate().key_notes.used(holder.key_id)
    g.limits = gate().limits.spend(holder, request.endpoint or "")
    _check_door(policy, holder)
    if policy.scope not in holder.scopes:
        refusals.count(Refusal(f"lacks {policy.scope}", holder.key_id, holder.scope))
        raise Forbidden(f"this API key lacks the scope {policy.scope}")
    if holder.scope is not None:
        _take_place(holder.scope.merchant_id)
        g.caller = Caller(holder.scope, holder.actor, g.request_id, holder.scopes, client_address.current())
    else:
        g.admin, g.admin_scopes = holder.actor, holder.scopes


def _take_place(merchant_id: UUID) -> None:
    """Until `leave_place`. Raises RateLimited."""
    if not gate().places.enter(merchant_id):
        raise RateLimited(
            f"{gate().places.most} requests of this merchant are under way, more are not taken; try again in 1 s",
            1,
            g.limits,
        )
    g.place = merchant_id


def leave_place() -> None:
    """Runs after every request, however it ended."""
    merchant_id: UUID | None = g.pop("place", None)
    if merchant_id is not None:
        gate().places.leave(merchant_id)


def _check_door(policy: Policy, holder: KeyHolder) -> None:
    if policy.door == holder.kind:
        return
    refusals.count(Refusal("other_door", holder.key_id, holder.scope))
    if holder.kind == "admin":
        raise Forbidden("an administrator's key opens /admin/v1 only; use a merchant's key here", code="key_kind")
    raise Forbidden("a merchant's key opens /v1 only; /admin/v1 takes a tg_admin_ key", code="key_kind")
