"""The audit log, as administrators read it."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from api.schemas.admin import PageQuery
from api.schemas.base import Parameters, QueryNumber, Shown, id_pattern
from api.schemas.parameters import Moment, Short


class _Filters(Parameters):
    merchant: str | None = Field(None, pattern=id_pattern("merchant"))
    mode: Literal["test", "live"] | None = None
    payment: str | None = Field(
        None, pattern=id_pattern("payment"), description="What happened to it, and to its parts."
    )
    subject: Short | None = Field(None, description="The id of what was changed, of any kind.")
    subject_kind: Short | None = Field(None, description="As in `provider_account`.")
    actor: Short | None = Field(None, description="Who did it, as records name it.")
    action: Short | None = Field(None, description="As in `finding.resolved`.")
    request_id: Short | None = None
    since: Moment | None = Field(None, description="RFC 3339, inclusive.")
    until: Moment | None = Field(None, description="RFC 3339, exclusive.")


class AuditQuery(_Filters, PageQuery):
    before: QueryNumber | None = Field(None, ge=1, description="The `next` of the page before.")


class AuditExportQuery(_Filters):
    first: QueryNumber | None = Field(None, ge=1, description="Number of the first record; the very first if left out.")
    last: QueryNumber | None = Field(None, ge=1, description="Number of the last record; the newest if left out.")


class AuditRecord(Shown):
    """`before` and `after` hold what changed, without secrets; `sealed` once a seal covers it."""

    id: str = Field(pattern=id_pattern("audit_record"))
    number: int
    merchant: str | None
    mode: Literal["test", "live"] | None
    actor: str
    action: str
    subject_kind: str
    subject: str
    payment: str | None
    job: str | None
    from_status: str | None
    to_status: str | None
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    cause: str | None
    request_id: str | None
    from_address: str | None
    details: dict[str, Any]
    created_at: str
    sealed: bool


class AuditRecords(Shown):
    """Newest first. A page may be short, or empty, and have more behind it: then `next` goes into `before`."""

    data: list[AuditRecord]
    has_more: bool
    next: int | None


class Seal(Shown):
    """It covers every record up to `to_number`."""

    number: int
    to_number: int
    hash: str
    public_key: str
    sealed_at: str


class AuditStanding(Shown):
    """The newest seal, and for how long the oldest record without one has waited."""

    seal: Seal | None
    highest_number: int
    unsealed_seconds: float
