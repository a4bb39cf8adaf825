"""What a line of a statement gives a person to look at: opened once, and closed when a later reading has the answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy.engine import Connection

from core.domain.identifiers import public_id
from core.domain.representations import timestamp
from core.orchestration import stakes
from core.persistence.database import Scope
from core.persistence.queries import payments as rows
from core.persistence.queries.findings import open_finding
from core.reconciliation import closing
from core.reconciliation.matching import Match

KINDS = ("statement_unmatched", "statement_amount_differs")


def problem_of(one: Match) -> str | None:
    """What is wrong with a line, in words that change when something else is; None when nothing is."""
    if one.matched == "unmatched":
        return f"unmatched:{one.line.amount}:{one.line.currency}"
    if one.ours is not None:
        return f"differs:{one.line.amount}:{one.ours['received']}:{one.ours['status']}"
    return None


def report(
    connection: Connection,
    scope: Scope,
    account_id: UUID,
    run_id: UUID,
    one: Match,
    problem: str | None,
    reported: str | None,
) -> None:
    """Open a finding for a problem that was not `reported` yet, and close that of one which is over."""
    if problem == reported:
        return
    key = f"{account_id}:{one.line.line_id}"
    if reported is not None:
        closing.close(connection, scope, KINDS, key, "The next reading of the statement found it otherwise")
    if problem is None:
        return
    sides: dict[str, Any] = {
        "payment_id": one.payment_id,
        "transaction_id": one.transaction_id,
        "account_id": account_id,
        "run_id": run_id,
        "ours": _ours(connection, one),
        "theirs": _theirs(one),
    }
    about = {"line": one.line.line_id, "line_kind": one.line.kind, "mark": one.line.transaction_id}
    if one.matched == "unmatched":
        stake = abs(one.line.amount)
        open_finding(
            connection, scope, "statement_unmatched", key, about, amount=stake, currency=one.line.currency, **sides
        )
    else:
        open_finding(
            connection, scope, "statement_amount_differs", key, about, amount=one.stake, currency=one.currency, **sides
        )


def _ours(connection: Connection, one: Match) -> Mapping[str, Any]:
    if one.payment_id is None:
        return one.ours or {}
    told = one.ours if one.ours is not None else {"payment": public_id("payment", one.payment_id)}
    return {**told, **stakes.standing(rows.find_payment(connection, one.payment_id))}


def _theirs(one: Match) -> Mapping[str, Any]:
    line = one.line
    told = {
        "line": line.line_id,
        "kind": line.kind,
        "amount": line.amount,
        "fee": line.fee,
        "net": line.net,
        "currency": line.currency,
        "source": line.source,
        "charges": list(line.charge_ids) or None,
        "payout": line.payout,
        "original_amount": line.original_amount,
        "original_currency": line.original_currency,
        "booked_at": None if line.created_at is None else timestamp(line.created_at),
    }
    return {name: value for name, value in told.items() if value is not None}
