"""Findings, and what an administrator decides about them."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from api.schemas.admin import OfMode, PageQuery
from api.schemas.base import Body, Parameters, Shown, id_pattern
from core.domain.findings import Repair, Severity
from core.reconciliation.findings import LONGEST_NAME


class FindingsQuery(OfMode, PageQuery):
    after: str | None = Field(None, pattern=id_pattern("finding"), description="The last id of the page before.")
    status: Literal["open", "assigned", "resolved", "unresolved"] | None = None
    kind: str | None = Field(None, max_length=60, pattern="^[a-z_]+$")
    severity: Severity | None = None
    provider_account: str | None = Field(None, pattern=id_pattern("provider_account"))
    payment: str | None = Field(None, pattern=id_pattern("payment"))
    run: str | None = Field(None, pattern=id_pattern("reconciliation_run"))
    format: Literal["json", "csv"] = "json"


class FindingPath(Parameters):
    id: str
    finding: str


class AssignBody(Body):
    """Null puts it into nobody's hands."""

    to: str | None = Field(min_length=1, max_length=LONGEST_NAME)
    reason: str = Field(min_length=1, max_length=500, description="Kept in the audit log.")


class ResolveBody(Body):
    action: Literal["take_over", "refund_surplus", "link", "ignore", "done"]
    reason: str = Field(min_length=1, max_length=500, description="Kept in the audit log.")
    payment: str | None = Field(None, pattern=id_pattern("payment"), description="With link, and nothing else.")


class Finding(Shown):
    """What a person should look at. `amount` in minor units of `currency` is what is at stake."""

    id: str = Field(pattern=id_pattern("finding"))
    kind: str
    status: Literal["open", "assigned", "resolved"]
    severity: Severity
    means: str
    amount: int | None
    currency: str | None
    payment: str | None
    transaction: str | None
    job: str | None
    inbox_event: str | None
    provider_account: str | None
    reconciliation_run: str | None
    details: dict[str, Any]
    evidence: dict[str, Any] = Field(description="What `ours` and `theirs` say.")
    suggestion: Repair | None
    repairs: list[Repair]
    assigned_to: str | None
    created_at: str
    resolved_at: str | None
    resolved_by: str | None
    resolution: str | None
    action: str | None


class Findings(Shown):
    """A page, newest first; `next` goes into `after`."""

    data: list[Finding]
    has_more: bool
    next: str | None
