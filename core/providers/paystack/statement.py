"""The merchant's balance at Paystack, movement by movement: charges, refunds, lost disputes, and what was paid out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any

from core.domain.money import InvalidMoney
from core.providers.base import ListingBroken, StatementLine
from core.providers.paystack.changes import DISPUTES_CHANGE_FOR, REFUNDS_CHANGE_FOR
from core.providers.paystack.client import PaystackClient
from core.providers.paystack.currencies import (
    fee_from_hundredths,
    floor_from_hundredths,
    from_hundredths,
    whole_number,
)
from core.providers.paystack.disputes import charge_ids, status_of
from core.providers.paystack.lists import Row, rows, window
from core.providers.paystack.outcomes import row_answer, unknown
from core.providers.paystack.reading import mark_of, read_id, read_time, word
from core.providers.paystack.refunds import mark_in
from core.providers.paystack.statuses import TRANSACTION_STATUSES, succeeded

#: Of a settlement that has been paid to the bank, or come back: its content does not change any more.
_ENDED = ("success", "failed")


def list_statement(client: PaystackClient, since: datetime, until: datetime) -> Iterator[StatementLine]:
    """Settlements of the window with the charges they hold, then what is not settled yet, refunds and disputes.

    A charge is told once, with its settlement where it has one. Paystack takes refunds and disputes out of later
    settlements, in parts if need be, and does not say out of which: of a refund in parts it names the last one. So
    they are told without a settlement, with the time from which they may be taken (`available_at`), and a settlement
    says how much was taken out of it (`deducted`). Raises ListingBroken.
    """
    told: set[str] = set()
    for settlement in rows(client, "/settlement", query=window(since, until)):
        number = read_id(settlement.get("id")) or ""
        fractions = Fractions(_currency(settlement))
        for row in rows(client, "/settlement", number, "transactions"):
            line = _charge(row, number)
            if line is not None:
                if line.created_at is None or since <= line.created_at <= until:
                    told.add(line.line_id)  # older ones are not told again below
                fractions.add(row, line)
                yield line
        yield from _payout(settlement, number, fractions)
    for row in rows(client, "/transaction", query=window(since, until)):
        line = _charge(row, None)
        if line is not None and line.line_id not in told:
            yield line
    for row in rows(client, "/refund", query=window(since - REFUNDS_CHANGE_FOR, until)):
        yield from (line for line in _refund(row) if _within(line, since, until))
    for row in rows(client, "/dispute", query=window(since - DISPUTES_CHANGE_FOR, until)):
        yield from (line for line in _dispute(row) if _within(line, since, until))


def _within(line: StatementLine, since: datetime, until: datetime) -> bool:
    """Made in it, or due in it: a refund may be carried out long after it was asked for."""
    moments = [moment for moment in (line.created_at, line.available_at) if moment is not None]
    return not moments or any(since <= moment <= until for moment in moments)


class Fractions:
    """What the charges of a settlement lose or win by being told in whole francs, one by one."""

    def __init__(self, currency: str) -> None:
        self._currency = currency
        self._exact = 0  # in hundredths
        self._told = 0

    def add(self, row: Row, line: StatementLine) -> None:
        self._exact += (whole_number(row.get("amount")) or 0) - (whole_number(row.get("fees")) or 0)
        self._told += line.net

    def lost(self) -> int:
        """In minor units: what all of them leave when they are rounded once, less what was told."""
        return (floor_from_hundredths(max(self._exact, 0), self._currency) or 0) - self._told if self._exact else 0


def _payout(row: Row, number: str, fractions: Fractions) -> Iterator[StatementLine]:
    """What left the balance for the merchant's bank; one that is pending has not left, one that failed came back."""
    status = row.get("status")
    if status == "pending":
        return
    currency = _currency(row)
    # A fraction of a franc stays at Paystack.
    amount = floor_from_hundredths(row.get("effective_amount"), currency)
    if amount is None:
        raise ListingBroken(unknown("a settlement without a sum", row_answer(row)))
    when = read_time(row.get("createdAt"), row.get("settlement_date"))
    arrives = read_time(row.get("settlement_date"))
    line = StatementLine(f"settlement:{number}", "payout", -amount, 0, -amount, currency, number, None, number, when)
    deducted = floor_from_hundredths(row.get("deductions"), currency) or 0
    settled = status in _ENDED
    yield replace(line, available_at=arrives, provider_kind=word(status), deducted=deducted, settled=settled)
    lost = fractions.lost()
    if lost:
        rounding = replace(line, line_id=f"settlement:{number}:rounding", kind="adjustment", amount=lost, net=lost)
        yield replace(rounding, provider_kind="rounding")
    if status == "failed":
        back = replace(line, line_id=f"settlement:{number}:failed", kind="payout_failure", amount=amount, net=amount)
        yield replace(back, created_at=read_time(row.get("updatedAt")) or when)


def _charge(row: Row, settlement: str | None) -> StatementLine | None:
    """None for a transaction that took no money."""
    status = row.get("status")
    number = read_id(row.get("id"))
    if not isinstance(status, str) or TRANSACTION_STATUSES.get(status) is not succeeded or number is None:
        return None
    currency = _currency(row)
    amount, fee = _sum(row, "amount", currency), fee_from_hundredths(row.get("fees"), currency) or 0
    return StatementLine(
        line_id=f"transaction:{number}",
        kind="charge",
        amount=amount,
        fee=fee,
        net=amount - fee,
        currency=currency,
        source=word(row.get("reference")),
        transaction_id=mark_of(row),
        payout=settlement,
        charge_ids=(number,),
        created_at=read_time(row.get("paid_at"), row.get("paidAt"), row.get("created_at"), row.get("createdAt")),
        provider_kind=word(row.get("channel")),
    )


def _refund(row: Row) -> Iterator[StatementLine]:
    """Taken from the balance when it is asked for, given back when it fails; a dispute's own is told with that."""
    number = read_id(row.get("id"))
    if number is None or row.get("dispute"):
        return
    currency = _currency(row)
    amount = _sum(row, "amount", currency)
    when = read_time(row.get("createdAt"), row.get("created_at"))
    named = (word(row.get("transaction_reference")), read_id(row.get("transaction")))
    line = StatementLine(f"refund:{number}", "refund", -amount, 0, -amount, currency, number, mark_in(row), None, when)
    line = replace(line, charge_ids=tuple(one for one in named if one is not None))
    yield replace(line, provider_kind=word(row.get("status")), available_at=read_time(row.get("refunded_at")))
    if row.get("status") == "failed":
        # Without a time: rows do not say when it failed.
        back = replace(line, line_id=f"refund:{number}:failed", kind="refund_failure", amount=amount, net=amount)
        failed = read_time(row.get("updatedAt"))
        yield replace(back, created_at=failed, available_at=failed, provider_kind="failed")


def _dispute(row: Row) -> Iterator[StatementLine]:
    number = read_id(row.get("id"))
    if number is None or status_of(row) != "lost":
        return
    currency = _currency(row)
    amount = _sum(row, "refund_amount", currency)
    when = read_time(row.get("resolvedAt"), row.get("updatedAt"))
    line = StatementLine(f"dispute:{number}", "dispute", -amount, 0, -amount, currency, number, None, None, when)
    yield replace(line, provider_kind=word(row.get("resolution")), available_at=when, charge_ids=charge_ids(row))


def _currency(row: Row) -> str:
    return str(row.get("currency")).upper()


def _sum(row: Row, name: str, currency: str) -> int:
    value: Any = row.get(name)
    try:
        return from_hundredths(value, currency)
    except InvalidMoney as error:
        raise ListingBroken(unknown("a movement without a sum", row_answer(row))) from error
