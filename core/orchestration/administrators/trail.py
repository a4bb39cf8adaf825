"""Audit records of people: logins, refusals, sessions, roles. They are the installation's, not a merchant's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy.engine import Connection

from core.audit import log
from core.audit.log import EVERYBODY
from core.domain.identifiers import public_id
from core.orchestration.context import Core


@dataclass(frozen=True, slots=True)
class From:
    """Where a request of a person comes from: network address, browser, the request's id."""

    address: str
    agent: str | None = None
    request_id: str | None = None


def actor(person: UUID) -> str:
    """As the audit log names an administrator."""
    return f"person:{public_id('administrator', person)}"


def record(
    connection: Connection,
    action: str,
    person: UUID,
    *,
    by: str,
    come_from: From | None = None,
    details: Mapping[str, Any] | None = None,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    """Say what happened to or through an administrator. `details` holds no secrets."""
    log.record(
        connection,
        scope=EVERYBODY,
        actor=by,
        action=action,
        subject_kind="administrator",
        subject_id=person,
        cause="person",
        request_id=None if come_from is None else come_from.request_id,
        from_address=None if come_from is None else come_from.address or None,
        before=before,
        after=after,
        details=details,
    )


#: Subject of what was tried under a name that nobody bears.
NOBODY = UUID(int=0)


def note(core: Core, action: str, person: UUID, by: str, come_from: From, **details: Any) -> None:
    """The same in a commit of its own: what is refused leaves no other trace."""
    with core.database.scoped(EVERYBODY) as connection:
        record(connection, action, person, by=by, come_from=come_from, details=details)
