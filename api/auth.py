"""Who asks: the API key decides merchant, mode and scopes."""

from __future__ import annotations

import structlog
from flask import g, request

from api.errors import Forbidden, Unauthorized
from api.policy import Policy
from api.state import gate
from core.orchestration import api_keys
from core.orchestration.api_keys import KeyHolder
from core.orchestration.context import Caller

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
    holder = api_keys.authenticate(gate().core, _presented())
    if holder is None:
        raise Unauthorized("this API key is unknown, revoked or expired")
    structlog.contextvars.bind_contextvars(key_id=holder.key_id)
    gate().limits.spend(holder.key_id, admin=holder.kind == "admin")
    _check_door(policy, holder)
    if policy.scope not in holder.scopes:
        raise Forbidden(f"this API key lacks the scope {policy.scope}")
    if holder.scope is not None:
        g.caller = Caller(holder.scope, holder.actor, g.request_id, holder.scopes)
    else:
        g.admin = holder.actor


def _check_door(policy: Policy, holder: KeyHolder) -> None:
    if policy.door == holder.kind:
        return
    if holder.kind == "admin":
        raise Forbidden("an administrator's key opens /admin/v1 only; use a merchant's key here", code="key_kind")
    raise Forbidden("a merchant's key opens /v1 only; /admin/v1 takes a tg_admin_ key", code="key_kind")
