"""What each line of a provider's statement is about: by our mark, else by the provider's ids, never by its amount."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID

from sqlalchemy.engine import Connection

from core.domain.identifiers import InvalidIdentifier, parse_id, public_id
from core.domain.statuses import CHARGE_KINDS, OPEN_TRANSACTION
from core.persistence.queries import statements as rows
from core.providers.base import StatementLine

Row = Mapping[Any, Any]
Matched = Literal["matched", "foreign", "unmatched", "account"]
Role = Literal["charge", "refund", "dispute"]

#: What is a payment's; every other kind of line is about the account itself.
ROLES: Mapping[str, Role] = {
    "charge": "charge",
    "refund": "refund",
    "refund_failure": "refund",
    "dispute": "dispute",
    "dispute_reversal": "dispute",
}
#: Transactions of which the provider cannot have booked anything, if our books are right.
_NOTHING_BOOKED = frozenset({"declined", "not_executed", "canceled"})


@dataclass(slots=True)
class Match:
    """A line with what of ours it is about."""

    line: StatementLine
    matched: Matched
    payment_id: UUID | None = None
    transaction_id: UUID | None = None
    refund_id: UUID | None = None
    dispute_id: UUID | None = None
    # A charge of ours whose refund or dispute this line tells of, and we do not know it.
    about: Row | None = None
    # What our books say, where they say another sum; `stake` is the difference in `currency`.
    ours: dict[str, Any] | None = None
    stake: int = 0
    currency: str = ""
    fee: int | None = None  # for the transaction, where it says another one


@dataclass(slots=True)
class _Chunk:
    """What our books know about a chunk of lines, read set by set."""

    marks: Mapping[str, UUID]
    marked: Mapping[UUID, Row]
    named: Mapping[str, Sequence[Row]] = field(default_factory=dict)
    refunds: Mapping[tuple[UUID, str], Row] = field(default_factory=dict)
    disputes: Mapping[str, Row] = field(default_factory=dict)
    payments: Mapping[UUID, Row] = field(default_factory=dict)

    def by_mark(self, line: StatementLine, kinds: Collection[str]) -> Row | None:
        """None also where the line is about another object than the transaction has: a mark can be copied."""
        mark = self.marks.get(line.transaction_id or "")
        sent = None if mark is None else self.marked.get(mark)
        if sent is None or sent["kind"] not in kinds:
            return None
        known = {sent["provider_id"], sent["provider_charge_id"]} - {None}
        names = _names(line) if sent["kind"] in CHARGE_KINDS else (line.source,)
        return sent if not known or not known.isdisjoint(names) else None

    def by_name(self, names: Iterable[str | None], kinds: Collection[str]) -> Row | None:
        """One that took money before any other: several may share the provider's id."""
        found = [row for name in names for row in self.named.get(name or "", ()) if row["kind"] in kinds]
        return next((row for row in found if row["status"] == "succeeded"), found[0] if found else None)


def match(
    connection: Connection, account_id: UUID, lines: Sequence[StatementLine], *, exclusive: bool = False
) -> list[Match]:
    """Each line with what it is about, in their order. `exclusive`: nobody but we charges through this account."""
    chunk = _read(connection, account_id, lines)
    found = [_place(chunk, line, exclusive) for line in lines]
    chunk.payments = rows.payments_of(connection, {one.payment_id for one in found if one.ours is not None} - {None})  # type: ignore[arg-type]
    for one in found:
        if one.ours is not None:
            _compare_received(chunk, one)
    return found


def _read(connection: Connection, account_id: UUID, lines: Sequence[StatementLine]) -> _Chunk:
    marks = {line.transaction_id: mark for line in lines if (mark := _parsed(line)) is not None and line.transaction_id}
    chunk = _Chunk(marks, rows.by_mark(connection, account_id, set(marks.values())))
    rest = [line for line in lines if line.kind in ROLES and not _found_by_mark(chunk, line)]
    chunk.named = rows.by_name(connection, account_id, {name for line in rest for name in _names(line)})
    of_disputes = {line.source for line in rest if ROLES[line.kind] == "dispute" and line.source}
    chunk.disputes = rows.disputes_of(connection, account_id, of_disputes)
    refunds = [line for line in rest if ROLES[line.kind] == "refund" and line.source]
    about = {charge["payment_id"] for line in refunds if (charge := chunk.by_name(line.charge_ids, CHARGE_KINDS))}
    chunk.refunds = rows.refunds_of(connection, about, {line.source for line in refunds if line.source})
    return chunk


def _parsed(line: StatementLine) -> UUID | None:
    if line.transaction_id is None or line.kind not in ROLES:
        return None
    try:
        return parse_id("transaction", line.transaction_id)
    except InvalidIdentifier:
        return None


def _found_by_mark(chunk: _Chunk, line: StatementLine) -> bool:
    kinds = {"charge": CHARGE_KINDS, "refund": {"refund"}}.get(ROLES[line.kind], frozenset())
    return chunk.by_mark(line, kinds) is not None


def _names(line: StatementLine) -> tuple[str, ...]:
    return line.charge_ids if line.source is None else (line.source, *line.charge_ids)


def _place(chunk: _Chunk, line: StatementLine, exclusive: bool) -> Match:
    role = ROLES.get(line.kind)
    if role is None:
        return Match(line, "account")
    found = {"charge": _charge, "refund": _refund, "dispute": _dispute}[role](chunk, line)
    if found is not None:
        return found
    about = None if role == "charge" else chunk.by_name(line.charge_ids, CHARGE_KINDS)
    if about is not None:
        return Match(line, "unmatched", payment_id=about["payment_id"], about=about)
    return Match(line, "unmatched" if exclusive or line.transaction_id is not None else "foreign")


def _charge(chunk: _Chunk, line: StatementLine) -> Match | None:
    sent = chunk.by_mark(line, CHARGE_KINDS) or chunk.by_name(_names(line), CHARGE_KINDS)
    if sent is None:
        return None
    made = Match(line, "matched", payment_id=sent["payment_id"], transaction_id=sent["id"])
    if line.currency == sent["currency"] and line.fee != sent["fee"]:
        made.fee = line.fee
    told = _in(line, sent["currency"])
    if told is None or sent["status"] in OPEN_TRANSACTION:
        return made  # what is open is asked about until it is not, and this line is read again
    took = sent["status"] == "succeeded" and sent["kind"] == "charge"
    if not took or told != (sent["amount"] if sent["amount_confirmed"] is None else sent["amount_confirmed"]):
        made.ours = _ours(sent)  # a capture, or a fee borne by the customer: the payment knows what was received
    return made


def _compare_received(chunk: _Chunk, made: Match) -> None:
    """What the payment says it received is what its charge must have brought."""
    ours, payment = made.ours or {}, chunk.payments.get(made.payment_id) if made.payment_id else None
    if "received" in ours or payment is None:
        return
    received = 0 if ours["status"] in _NOTHING_BOOKED else payment["amount_received"]
    told = _in(made.line, ours["currency"]) or 0
    if told == received:
        made.ours = None
        return
    made.ours = {**ours, "received": received}
    made.stake, made.currency = abs(told - received), ours["currency"]


def _refund(chunk: _Chunk, line: StatementLine) -> Match | None:
    sent = chunk.by_mark(line, {"refund"}) or chunk.by_name((line.source,), {"refund"})
    if sent is not None:
        made = Match(line, "matched", payment_id=sent["payment_id"], transaction_id=sent["id"])
        made.refund_id = sent["refund_id"]
        _compare(made, sent, 0 if sent["status"] == "not_executed" else sent["amount"])
        return made
    charge = chunk.by_name(line.charge_ids, CHARGE_KINDS)
    if charge is not None and charge["id"] == (chunk.by_name((line.source,), CHARGE_KINDS) or {}).get("id"):
        # A debit that failed after it had counted as paid is its own refund.
        return Match(line, "matched", payment_id=charge["payment_id"], transaction_id=charge["id"])
    known = None if charge is None else chunk.refunds.get((charge["payment_id"], line.source or ""))
    if known is None:
        return None
    made = Match(line, "matched", payment_id=known["payment_id"], refund_id=known["id"])
    _compare(made, known, known["amount"])
    return made


def _dispute(chunk: _Chunk, line: StatementLine) -> Match | None:
    known = chunk.disputes.get(line.source or "")
    if known is None:
        return None
    made = Match(line, "matched", payment_id=known["payment_id"], transaction_id=known["transaction_id"])
    made.dispute_id = known["id"]
    _compare(made, known, known["amount"])
    return made


def _compare(made: Match, row: Row, expected: int) -> None:
    told = _in(made.line, row["currency"])
    if told is not None and abs(told) != expected:
        made.ours = {**_ours(row), "received": -expected}
        made.stake, made.currency = abs(abs(told) - expected), row["currency"]


def _in(line: StatementLine, currency: str) -> int | None:
    """What the line moved in the currency of the charge; None where it does not say."""
    return (
        line.amount
        if line.currency == currency
        else (line.original_amount if line.original_currency == currency else None)
    )


def _ours(row: Row) -> dict[str, Any]:
    kind = "transaction" if "kind" in row else "dispute" if "transaction_id" in row else "refund"
    told = {kind: public_id(kind, row["id"]), "status": row["status"], "amount": row["amount"]}
    return {**told, "currency": row["currency"]}
