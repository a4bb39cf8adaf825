"""Findings: what a person should look at, one open row per matter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import Connection

from core.domain.findings import KINDS
from core.domain.identifiers import new_id
from core.persistence.database import Scope
from core.persistence.tables import findings


def open_finding(
    connection: Connection,
    scope: Scope,
    kind: str,
    dedupe_key: str,
    details: Mapping[str, Any],
    *,
    payment_id: UUID | None = None,
    transaction_id: UUID | None = None,
    job_id: UUID | None = None,
    inbox_id: UUID | None = None,
    account_id: UUID | None = None,
    run_id: UUID | None = None,
    amount: int | None = None,
    currency: str | None = None,
    ours: Mapping[str, Any] | None = None,
    theirs: Mapping[str, Any] | None = None,
) -> bool:
    """True if the finding is new; an open one of the same kind and key is kept as it is.

    `amount` in minor units of `currency` is the money at stake; `ours` and `theirs` are what each side's books say,
    without people's data. How grave it is stands in `core/domain/findings.py`. Raises KeyError for an unknown kind.
    """
    statement = (
        insert(findings)
        .values(
            id=new_id(),
            merchant_id=scope.merchant_id,
            mode=scope.mode,
            kind=kind,
            dedupe_key=dedupe_key,
            status="open",
            payment_id=payment_id,
            transaction_id=transaction_id,
            job_id=job_id,
            inbox_id=inbox_id,
            details=dict(details),
            severity=KINDS[kind].severity,
            provider_account_id=account_id,
            run_id=run_id,
            amount=amount,
            currency=currency,
            evidence={name: dict(told) for name, told in (("ours", ours), ("theirs", theirs)) if told is not None},
        )
        .on_conflict_do_nothing(
            index_elements=["merchant_id", "mode", "kind", "dedupe_key"], index_where=sa.text("status = 'open'")
        )
    )
    return connection.execute(statement).rowcount == 1
