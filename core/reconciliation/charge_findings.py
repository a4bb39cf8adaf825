"""What a charge gives a person to look at: opened once, not again after a person has ended it while all is as it was,
and closed when a later comparison finds it in order."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.domain.identifiers import public_id
from core.orchestration import stakes
from core.persistence.database import Scope
from core.persistence.queries import payments as rows
from core.persistence.queries.findings import open_finding
from core.persistence.tables import findings
from core.providers.base import ChargeSeen
from core.reconciliation import closing

Row = Mapping[Any, Any]

OfOurs = Literal["status_differs", "missing_at_provider", "amount_mismatch"]
#: What the status alone answers, whatever the sums say.
OF_STATUS = ("status_differs", "missing_at_provider")
KINDS = (*OF_STATUS, "amount_mismatch", "unknown_charge", "foreign_charge")
#: Of what the provider says: money that goes back is what a person was to see to, and no new matter.
_OUTCOME = frozenset({"refunded"})


def report_stranger(
    connection: Connection,
    scope: Scope,
    kind: Literal["unknown_charge", "foreign_charge"],
    about: Mapping[str, Any],
    one: ChargeSeen,
    account_id: UUID,
    run_id: UUID,
) -> None:
    """A charge that is none of ours, or that we do not know."""
    theirs = told(one)
    if _ended_by_a_person(connection, scope, kind, one.provider_id, theirs):
        return
    sides: dict[str, Any] = {"account_id": account_id, "run_id": run_id, "theirs": theirs}
    sums: dict[str, Any] = {"amount": one.amount, "currency": one.currency}
    if kind == "foreign_charge":
        open_finding(connection, scope, "foreign_charge", one.provider_id, about, **sums, **sides)
    else:
        open_finding(connection, scope, "unknown_charge", one.provider_id, about, **sums, **sides)


def report(
    connection: Connection,
    scope: Scope,
    kind: OfOurs,
    sent: Row,
    theirs: Mapping[str, Any],
    run_id: UUID,
    stake: int,
) -> None:
    """A charge of ours of which the provider says otherwise. Locks its payment."""
    payment = rows.lock_payment(connection, sent["payment_id"])
    key = str(sent["id"])
    if _ended_by_a_person(connection, scope, kind, key, theirs):
        return
    ours = {
        "transaction": public_id("transaction", sent["id"]),
        "status": sent["status"],
        "amount": sent["amount"],
        **stakes.standing(payment),
    }
    about: dict[str, Any] = {
        "account_id": sent["provider_account_id"],
        "run_id": run_id,
        "payment_id": sent["payment_id"],
        "transaction_id": sent["id"],
        "amount": stake,
        "currency": sent["currency"],
        "ours": ours,
        "theirs": theirs,
    }
    if kind == "status_differs":
        open_finding(connection, scope, "status_differs", key, {}, **about)
    elif kind == "missing_at_provider":
        open_finding(connection, scope, "missing_at_provider", key, {}, **about)
    else:
        open_finding(connection, scope, "amount_mismatch", key, {}, **about)


def told(one: ChargeSeen) -> dict[str, Any]:
    """What the provider's list says of a charge, as evidence."""
    return {
        "provider_id": one.provider_id,
        "charge_id": one.charge_id,
        "status": one.status,
        "amount": one.amount,
        "currency": one.currency,
        "received": one.received,
        "refunded": one.refunded,
    }


def close(connection: Connection, scope: Scope, kinds: Sequence[str], keys: Collection[str]) -> None:
    """What comparisons opened about charges that now agree: by our transaction's id, and by the provider's of it."""
    closing.close_all(connection, scope, kinds, keys, "A later comparison found both sides' books in agreement")


def _ended_by_a_person(connection: Connection, scope: Scope, kind: str, key: str, theirs: Mapping[str, Any]) -> bool:
    """The matter has been looked at, and the provider says nothing new of it."""
    columns = findings.c
    last = connection.execute(
        sa.select(columns.status, columns.resolved_by, columns.evidence)
        .where(
            columns.merchant_id == scope.merchant_id,
            columns.mode == scope.mode,
            columns.kind == kind,
            columns.dedupe_key == key,
        )
        .order_by(columns.id.desc())
        .limit(1)
    ).one_or_none()
    if last is None or last.status != "resolved" or last.resolved_by == closing.ACTOR:
        return False
    return _said(last.evidence.get("theirs", {})) == _said(theirs)


def _said(theirs: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in theirs.items() if name not in _OUTCOME}
