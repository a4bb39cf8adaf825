"""What every room of the Admin API needs: whose rows are meant, who asks, and which errors follow."""

from __future__ import annotations

from flask import g

from api.answers import row_id
from api.policy import Policy
from api.state import gate
from core.orchestration import admin_reading
from core.orchestration.context import Caller
from core.orchestration.review import Person
from core.persistence.database import Scope

LIST = Policy("admin", "admin:read", codes=("validation_failed",))
READ = Policy("admin", "admin:read", codes=("not_found", "validation_failed"))
WRITE = Policy("admin", "admin:write", body="required", codes=("not_found", "validation_failed", "state_conflict"))


def scope_of(text: str, mode: str) -> Scope:
    """From here on the transaction sees that merchant's rows of that mode and no others. Raises NotFoundError."""
    merchant_id = row_id("merchant", text)
    admin_reading.require_merchant(gate().core, merchant_id)
    return Scope(merchant_id, mode)


def person(reason: str) -> Person:
    """The administrator's key, with what it gives as its reason. Raises RequestRefused."""
    return Person(g.admin, reason)


def admin_caller(scope: Scope) -> Caller:
    """The administrator's key as the one who asks, for roads that merchants take, too."""
    return Caller(scope, g.admin, g.request_id)
