"""The equation of a payout: gross - fees - refunds - disputes - adjustments = paid out, to the minor unit.

Where a provider takes refunds and disputes out of later payouts without saying out of which, they are an account of
their own: what fell due before a payout is owed, what the payout says was taken is paid, the rest is carried over.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy.engine import Connection

from core.domain.identifiers import public_id
from core.domain.representations import timestamp
from core.persistence.database import Scope
from core.persistence.queries import payouts as rows
from core.persistence.queries.findings import open_finding
from core.providers.base import StatementLine
from core.reconciliation import closing

Row = Mapping[str, Any]
_EVER = datetime(1, 1, 1, tzinfo=UTC)

#: Which figure of the equation a kind of line belongs to. `amount` of each but gross is taken off.
FIGURES: Mapping[str, str] = {
    "charge": "gross",
    "refund": "refunds",
    "refund_failure": "refunds",
    "dispute": "disputes",
    "dispute_reversal": "disputes",
    "fee": "fees",
    "adjustment": "adjustments",
    "payout": "adjustments",
    "payout_failure": "adjustments",  # an earlier payout that came back is paid out again with this one
}


@dataclass(frozen=True, slots=True)
class Figures:
    """Sums of a payout's lines in minor units; each but `gross` is what it takes away."""

    gross: int = 0
    fees: int = 0
    refunds: int = 0
    disputes: int = 0
    adjustments: int = 0

    @property
    def available(self) -> int:
        """What could be paid out if no refund or dispute were taken from it."""
        return self.gross - self.fees - self.adjustments


@dataclass(frozen=True, slots=True)
class Account:
    """What stands against a payout for refunds and disputes: owed before it, taken by it, asked for and not due."""

    carried_in: int
    deducted: int
    pending: int = 0
    opening: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    """`difference`: what the lines leave, less what was paid out. `carried_over`: still owed, below zero if ahead."""

    difference: int
    carried_in: int = 0
    carried_over: int = 0


def add_up(sums: Iterable[Row]) -> Figures:
    """From the sums by kind of line."""
    found = dict.fromkeys(("gross", "fees", "refunds", "disputes", "adjustments"), 0)
    for row in sums:
        figure = FIGURES[row["kind"]]
        found[figure] += row["amount"] if figure == "gross" else -row["amount"]
        found["fees"] += row["fee"]
    return Figures(**found)


def solve(figures: Figures, paid_out: int, account: Account | None) -> Result:
    """The equation. With an `account` the provider may take no less than was carried in and no more than is owed, as
    far as there is money: only within these bounds is its word for what it took believed."""
    if account is None:
        return Result(figures.available - figures.refunds - figures.disputes - paid_out)
    due, available = figures.refunds + figures.disputes, max(figures.available, 0)
    carried_in = account.carried_in
    if account.opening:  # nothing is known of what was owed before the first reading
        carried_in = max(0, account.deducted - due)
    owed = carried_in + due
    least = min(max(min(carried_in, owed), 0), available)
    most = max(least, min(max(owed + account.pending, 0), available))
    taken = min(max(account.deducted, least), most)
    return Result(figures.available - taken - paid_out, carried_in, owed - taken)


def close(
    connection: Connection,
    scope: Scope,
    account_id: UUID,
    run_id: UUID,
    told: Sequence[StatementLine],
) -> dict[str, int]:
    """Keep the payouts and returned payouts that were told of, and solve the equation of each: how many of which
    status, and how many findings there are about them."""
    names = set[str]()
    for line in told:
        name = line.source or line.line_id
        names.add(name)
        if line.kind == "payout":
            rows.keep(connection, scope, account_id, name, _said(line))
    for line in told:
        if line.kind == "payout_failure":
            rows.mark_failed(connection, account_id, line.source or line.line_id, line.created_at)
    counts: dict[str, int] = {}
    for payout in rows.lock(connection, account_id, sorted(names)):
        status, found = _solve_one(connection, scope, run_id, payout)
        counts[f"payouts_{status}"] = counts.get(f"payouts_{status}", 0) + 1
        counts["findings"] = counts.get("findings", 0) + found
    return counts


def _said(line: StatementLine) -> dict[str, Any]:
    return {
        "currency": line.currency,
        "paid_out": -line.amount,
        "deducted": line.deducted,
        "settled": line.settled,
        "booked_at": line.created_at,
        "arrives_at": line.available_at,
    }


def _solve_one(connection: Connection, scope: Scope, run_id: UUID, payout: Row) -> tuple[str, int]:
    account_id, name = payout["provider_account_id"], payout["payout"]
    account = None if payout["deducted"] is None else _account(connection, run_id, payout)
    sums = rows.sums(connection, account_id, name)
    figures = add_up(sums)
    result = solve(figures, payout["paid_out"], account)
    status = _status(payout, result)
    values = {
        **asdict(figures),
        "status": status,
        "difference": result.difference if status in ("matched", "differs") else 0,
        "carried_in": result.carried_in,
        "carried_over": result.carried_over,
        "opening": account is not None and account.opening,
        "lines": sum(row["lines"] for row in sums),
        "foreign_lines": sum(row["foreign_lines"] for row in sums),
        "foreign_net": sum(row["foreign_net"] for row in sums),
        "exchanged": rows.exchanged(connection, account_id, name),
    }
    reported = _report(connection, scope, run_id, {**payout, **values})
    rows.write(connection, payout, {**values, "reported": reported})
    return status, 0 if reported is None else 1


def _status(payout: Row, result: Result) -> str:
    if payout["failed_at"] is not None:
        return "failed"
    if not payout["settled"]:
        return "incomplete"
    return "differs" if result.difference else "matched"


def _account(connection: Connection, run_id: UUID, payout: Row) -> Account:
    """What stood against the payout when it was made; refunds and disputes that fell due are put to it first."""
    if payout["booked_at"] is None:
        return Account(0, payout["deducted"], opening=True)
    earlier = rows.before(connection, payout)
    since = _EVER if earlier is None else earlier["booked_at"]
    rows.assign(connection, payout, since)
    known = earlier is not None and rows.read_through(
        connection, payout["provider_account_id"], run_id, since, payout["booked_at"]
    )
    carried_in = earlier["carried_over"] if earlier is not None and known else 0
    return Account(carried_in, payout["deducted"], max(rows.pending(connection, payout), 0), not known)


def _report(connection: Connection, scope: Scope, run_id: UUID, payout: Row) -> str | None:
    """A finding for what differs or came back, once for each difference; what has come right closes it."""
    status, account_id, name = payout["status"], payout["provider_account_id"], payout["payout"]
    problem = f"{status}:{payout['difference']}" if status in ("differs", "failed") else None
    key = f"{account_id}:{name}"
    if payout["reported"] is not None and problem != payout["reported"]:
        closing.close(connection, scope, ("payout_differs", "payout_failed"), key, "The next reading found it in order")
    if problem is None or problem == payout["reported"]:
        return problem
    about = {"payout": name, "account": public_id("provider_account", account_id)}
    names = ("gross", "fees", "refunds", "disputes", "adjustments", "carried_in", "carried_over", "lines")
    sides: dict[str, Any] = {
        "ours": {one: payout[one] for one in names},
        "theirs": {
            "paid_out": payout["paid_out"],
            "deducted": payout["deducted"],
            "booked_at": None if payout["booked_at"] is None else timestamp(payout["booked_at"]),
        },
        "account_id": account_id,
        "run_id": run_id,
        "currency": payout["currency"],
    }
    if status == "failed":
        open_finding(connection, scope, "payout_failed", key, about, amount=payout["paid_out"], **sides)
    else:
        amount = abs(payout["difference"])
        open_finding(connection, scope, "payout_differs", key, about, amount=amount, **sides)
    return problem
