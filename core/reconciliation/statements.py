"""A statement, slice by slice: lines are read from the provider, matched a thousand at a time and kept, payouts solved.

Between two chunks nothing is held but what the payouts say, so memory does not grow with the number of lines. A line is
a row by its own id: reading it again changes the row and counts it once a run.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from typing import Any
from uuid import UUID

from sqlalchemy.engine import Connection

from core.orchestration import disputes, jobs
from core.orchestration.context import Core
from core.orchestration.provider_manager import OpenedAccount
from core.persistence.database import Scope, present
from core.persistence.queries import statements as rows
from core.providers.base import StatementLine
from core.reconciliation import line_findings, matching, pages, payouts
from core.reconciliation.matching import ROLES, Match
from core.reconciliation.slices import SliceResult

#: Lines in one transaction: enough that a line costs little, few enough that its rows are locked for a moment.
CHUNK = 1000

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Reading:
    """Which account is read, for which slice of which run. `exclusive`: nobody but we charges through it."""

    scope: Scope
    account_id: UUID
    run_id: UUID
    since: datetime
    exclusive: bool = False


def read_slice(
    core: Core,
    scope: Scope,
    account: OpenedAccount,
    run_id: UUID,
    since: datetime,
    until: datetime,
    lines: Iterable[StatementLine] | None = None,
) -> SliceResult:
    """Everything that was booked in the window. `lines` are those of the account's statement unless given.

    No transaction is open while the provider is asked. Raises ListingBroken; what was kept until then is true.
    """
    exclusive = account.settings.get("exclusive") is True
    reading = Reading(scope, account.account_id, run_id, since, exclusive)
    if lines is None:
        lines = pages.paced(core, account, account.provider.list_statement(since, until), "list_statement")
    return book(core, reading, lines)


def book(core: Core, reading: Reading, lines: Iterable[StatementLine]) -> SliceResult:
    """Match and keep lines, then solve the payouts among them."""
    result = SliceResult()
    told: dict[str, StatementLine] = {}
    with core.transaction(reading.scope) as connection:
        began = present(connection)
    for chunk in _chunks(lines):
        with core.transaction(reading.scope) as connection:
            _book_chunk(connection, reading, began, chunk, result)
        told |= {line.line_id: line for line in chunk if line.kind in ("payout", "payout_failure")}
    if told:
        with core.transaction(reading.scope) as connection:
            solved = payouts.close(connection, reading.scope, reading.account_id, reading.run_id, [*told.values()])
        result.findings += solved.pop("findings")
        result.counts.update(solved)
    return result


def _chunks(lines: Iterable[StatementLine]) -> Iterator[Sequence[StatementLine]]:
    """Each with no line twice: a list that grows while it is read shows some again."""
    source = iter(lines)
    while found := list(islice(source, CHUNK)):
        once: dict[str, StatementLine] = {}
        for line in found:
            known = once.get(line.line_id)
            once[line.line_id] = line if known is None else replace(line, payout=line.payout or known.payout)
        yield [*once.values()]


def _book_chunk(
    connection: Connection, reading: Reading, began: datetime, lines: Sequence[StatementLine], result: SliceResult
) -> None:
    account_id = reading.account_id
    found = matching.match(connection, account_id, lines, exclusive=reading.exclusive)
    known = rows.known_lines(connection, account_id, [line.line_id for line in lines])
    stored = [_one(connection, reading, began, one, known.get(one.line.line_id), result) for one in found]
    rows.store(connection, reading.scope, account_id, stored)
    fees = {one.transaction_id: one.fee for one in found if one.fee is not None and one.transaction_id is not None}
    rows.set_fees(connection, fees)
    rows.mark_days(connection, {about for one in found for about in _moved(one, known.get(one.line.line_id))})


def _moved(one: Match, known: Row | None) -> set[UUID]:
    """Payments whose fees this line changes: on its transaction, or by standing here with a fee of its own."""
    about = {one.payment_id} if one.fee is not None else set()
    was = (0, None) if known is None else (known["fee"], known["payment_id"])
    if was != (one.line.fee, one.payment_id) and (was[0] or one.line.fee):
        about |= {one.payment_id, was[1]}
    return {payment_id for payment_id in about if payment_id is not None}


def _one(
    connection: Connection, reading: Reading, began: datetime, one: Match, known: Row | None, result: SliceResult
) -> dict[str, Any]:
    waits = one.about is not None and not _asked_before(reading, known)
    if waits:
        _ask(connection, reading, one)
    problem = None if waits else line_findings.problem_of(one)
    reported = None if known is None else known["reported"]
    line_findings.report(connection, reading.scope, reading.account_id, reading.run_id, one, problem, reported)
    # By the first slice of the run that has read it, however often that is repeated; another only counts it again.
    again = known is not None and known["run_id"] == reading.run_id
    read_for = known["read_for"] if again and known is not None else reading.since
    seen_now = known is not None and known["updated_at"] >= began
    if read_for == reading.since and not (again and seen_now):
        _count(result, one, problem)
    return _row(one, reading.run_id, read_for, problem)


def _count(result: SliceResult, one: Match, problem: str | None) -> None:
    line = one.line
    result.counts["lines"] += 1
    result.counts[one.matched] += 1
    result.findings += problem is not None
    if one.ours is not None:
        result.counts["amount_differs"] += 1
    if line.kind not in ("payout", "payout_failure"):
        for name, sum_ in ((line.kind, line.amount), ("fees", line.fee), ("net", line.net)):
            result.sums[f"{line.currency}.{name}"] += sum_


def _asked_before(reading: Reading, known: Row | None) -> bool:
    """An earlier run has had the provider asked, and the line is still here."""
    if known is None or known["matched"] != "unmatched":
        return False
    return known["run_id"] != reading.run_id or known["reported"] is not None


def _ask(connection: Connection, reading: Reading, one: Match) -> None:
    """A refund or dispute that we have not heard of, on a charge of ours: the provider is asked about it first."""
    if one.about is None:
        return
    payment_id, source = one.about["payment_id"], one.line.source
    if ROLES[one.line.kind] == "dispute" and source is not None:
        disputes.ask(connection, reading.scope, payment_id, one.about["id"], reading.account_id, source)
    else:
        jobs.enqueue_sync(connection, reading.scope, payment_id)


def _row(one: Match, run_id: UUID, read_for: datetime, problem: str | None) -> dict[str, Any]:
    line = one.line
    return {
        "line_id": line.line_id,
        "kind": line.kind,
        "amount": line.amount,
        "fee": line.fee,
        "net": line.net,
        "currency": line.currency,
        "source": line.source,
        "payout": line.payout,
        "booked_at": _stamp(line.created_at),
        "available_at": _stamp(line.available_at),
        "original_amount": line.original_amount,
        "original_currency": line.original_currency,
        "exchange_rate": line.exchange_rate,
        "provider_kind": line.provider_kind,
        "matched": one.matched,
        "payment_id": _text(one.payment_id),
        "transaction_id": _text(one.transaction_id),
        "refund_id": _text(one.refund_id),
        "dispute_id": _text(one.dispute_id),
        "run_id": str(run_id),
        "read_for": read_for.isoformat(),
        "reported": problem,
    }


def _stamp(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def _text(value: UUID | None) -> str | None:
    return None if value is None else str(value)
