"""What administrators read of the audit log; whoever takes a part of it away is in it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from core.audit import exports, log, searching
from core.audit.exports import Reader, Span
from core.audit.searching import Wanted
from core.domain.errors import FieldError, RequestRefused
from core.domain.identifiers import PREFIXES, InvalidIdentifier, parse_id
from core.orchestration.context import Caller, Core
from core.persistence.queries import audit as rows


def subject_id(text: str) -> UUID:
    """A public id of any kind, or a bare UUID. Raises RequestRefused."""
    kinds = [kind for kind, prefix in PREFIXES.items() if prefix == text.partition("_")[0]]
    try:
        return parse_id(kinds[0], text) if kinds else UUID(text)
    except (InvalidIdentifier, ValueError):
        raise RequestRefused("subject is no id", errors=[FieldError("subject", "must be an id, as in pay_…")]) from None


def search(core: Core, wanted: Wanted, limit: int, before: int | None = None) -> dict[str, Any]:
    return searching.search(core.database, wanted, limit, before)


def standing(core: Core) -> dict[str, Any]:
    return searching.standing(core.database)


def export(core: Core, caller: Caller, first: int | None, last: int | None, wanted: Wanted) -> Iterator[str]:
    """JSON lines over HTTP. Raises RequestRefused for more than a request should carry."""
    span = searching.bounded(searching.span_of(core.database, first, last, wanted))
    return _told(core, caller, span, searching.reader(core.database, wanted))


def export_all(core: Core, caller: Caller, first: int | None, last: int | None, wanted: Wanted) -> Iterator[str]:
    """The owner's alone: of any width, and without a filter with months that were taken off."""
    span = searching.span_of(core.database, first, last, wanted)
    filtered = searching.reader(core.database, wanted)
    return _told(core, caller, span, filtered if wanted.told() else searching.owners_reader(core.database))


def _told(core: Core, caller: Caller, span: Span, read: Reader) -> Iterator[str]:
    with core.database.scoped(log.EVERYBODY) as connection:
        log.record(
            connection,
            scope=log.EVERYBODY,
            actor=caller.actor,
            action="audit_log.exported",
            subject_kind="installation",
            subject_id=rows.installation(connection),
            cause="request",
            request_id=caller.request_id,
            from_address=caller.from_address,
            details={"first": span.first, "last": span.last, "filters": dict(span.filters)},
        )
    return exports.lines(core.database, span, read)
