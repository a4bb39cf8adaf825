"""What every room of the Admin API needs: whose rows are meant, who asks, and which errors follow."""

from __future__ import annotations

from typing import Literal

from flask import g

from api import client_address
from api.answers import row_id
from api.policy import Key, Policy
from api.state import gate
from core.audit.log import Origin
from core.orchestration import admin_reading
from core.orchestration.context import Caller
from core.orchestration.key_grants import Granter
from core.orchestration.review import Person
from core.persistence.database import Scope

LIST = Policy("admin", "admin:read", codes=("validation_failed",))
READ = Policy("admin", "admin:read", codes=("not_found", "validation_failed"))


def policy(
    scope: str, *more: str, body: Literal["none", "required", "optional"] = "required", key: Key = "none"
) -> Policy:
    """For what changes something under one of the scopes of `core.domain.roles`; `more` are codes of its own."""
    return Policy("admin", scope, body=body, key=key, codes=("not_found", "validation_failed", "state_conflict", *more))


def scope_of(text: str, mode: str) -> Scope:
    """From here on the transaction sees that merchant's rows of that mode and no others. Raises NotFoundError."""
    merchant_id = row_id("merchant", text)
    admin_reading.require_merchant(gate().core, merchant_id)
    return Scope(merchant_id, mode)


def person(reason: str) -> Person:
    """The administrator's key, with what it gives as its reason. Raises RequestRefused."""
    return Person(g.admin, reason, g.request_id, client_address.current())


def origin() -> Origin:
    """Where the request under way comes from, for the audit record."""
    return {"request_id": g.request_id, "from_address": client_address.current()}


def granter(reason: str | None = None) -> Granter:
    """The same with all it may do, as the one who makes and ends keys. Raises RequestRefused."""
    told = None if reason is None else person(reason).reason
    return Granter(g.admin, g.admin_scopes, told, g.request_id, client_address.current())


def admin_caller(scope: Scope) -> Caller:
    """The administrator's key as the one who asks, for roads that merchants take, too."""
    return Caller(scope, g.admin, g.request_id, from_address=client_address.current())
