"""I2 to I5 beside a sandbox's ledger: one payment after the other, what we believe and what really happened."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from core.domain.identifiers import public_id
from core.invariants import books, ours, theirs, webhook_log
from core.invariants.ours import Ours, Row
from core.invariants.theirs import AGREED, MOVED, RANK, Charge, Side
from core.invariants.violation import Violation
from core.persistence.database import Database

_ASK = "ask the provider about it: `POST /v1/payments/ID/sync`; if it stays so, report it"
_TWICE = "compare with the provider's dashboard, refund what was taken too much, and report it at once"

#: Every comparison: invariant, what it means, what to do. The tests break each of them once.
COMPARISONS: Mapping[str, tuple[str, str, str]] = {
    "ledger_doubled": ("I2", "the provider has more successful charges for a payment than we know of", _TWICE),
    "ledger_unknown": ("I2", "the provider has a charge with our mark that we know nothing of", _TWICE),
    "ledger_differs": ("I2", "the provider's charge has another id, amount or currency than ours", _TWICE),
    "ledger_absent": ("I2", "we call a charge successful that the provider never made", _ASK),
    "ledger_taken": ("I3", "the provider took another sum than we say we received", _ASK),
    "ledger_refunded": ("I3", "the provider gave back another sum than we say we refunded", _ASK),
    "ledger_over": ("I3", "the provider gave back more than it took", _TWICE),
    "ledger_status": ("I5", "a payment's status is not what became of it at the provider", _ASK),
    "ledger_denied": ("I5", "we call a charge failed or canceled that the provider carried out", _ASK),
    "refund_status": ("I5", "a refund's status is not the provider's", _ASK),
    "refund_unknown": ("I5", "the provider has a refund of our payment that we know nothing of", _ASK),
    "refund_absent": ("I5", "we call a refund successful that the provider never made", _ASK),
    "dispute_status": ("I5", "a dispute's status is not the provider's", _ASK),
    "dispute_unknown": ("I5", "the provider has a dispute of our payment that we know nothing of", _ASK),
}

#: How a payment may stand when its charge came to this at the provider.
STANDS: Mapping[str, frozenset[str]] = {
    "succeeded": frozenset({"succeeded"}),
    "authorized": frozenset({"authorized"}),
    "voided": frozenset({"canceled", "failed"}),
    "expired": frozenset({"canceled", "failed"}),
    "ended": frozenset({"canceled", "failed"}),
    "failed": frozenset({"processing", "requires_action", "canceled", "failed"}),
    "pending": frozenset({"processing", "requires_action", "canceled", "failed"}),
}

Found = Iterator[tuple[str, dict[str, Any]]]


def compare_ledger(
    database: Database,
    provider: str,
    ledger: Mapping[str, Any],
    webhooks: Mapping[str, Any] | None,
    *,
    settled: bool,
) -> list[Violation]:
    """Our books beside `GET /_sandbox/ledger` and `/_sandbox/webhooks`, which were read before this is called.

    Without `settled` only what can never be so is told; with it also what must be so when nothing is under way.
    A difference that an open finding or a job in review tells of is a person's to decide, and no violation.
    """
    with books.snapshot(database) as connection:
        known = ours.read(connection, provider)
        missing = webhook_log.missing(connection, provider, webhooks) if webhooks is not None else []
    book = _Book(known, theirs.charges(provider, ledger))
    sides = (theirs.refunds(provider, ledger), theirs.disputes(provider, ledger))
    found = [*book.charges(), *_refunds(book, sides[0], settled)]
    found += [*book.absent(settled)]
    if settled:
        found += [*book.sums(sides[0]), *book.statuses(), *_disputes(book, sides[1])]
    made = []
    for name, details in found:
        invariant, what, advice = COMPARISONS[name]
        made.append(Violation(invariant, what, {"provider": provider, **details}, name, advice))
    return made + missing


class _Book:
    """Our starts with the charges behind each, and the other way round."""

    def __init__(self, known: Ours, charges: Sequence[Charge]) -> None:
        self.known = known
        by_mark = {public_id("transaction", row["id"]): row for row in known.starts}
        by_object = {row["provider_id"]: row for row in known.starts if row["provider_id"]}
        self.behind: dict[Any, list[Charge]] = defaultdict(list)
        self.strays: list[Charge] = []
        #: The provider's object -> our payment.
        self.payment_of: dict[str, str] = {row["provider_id"]: row["payment"] for row in by_object.values()}
        for one in charges:
            start = by_mark.get(one.transaction or "") or by_object.get(one.object_id)
            if start is not None:
                self.behind[start["id"]].append(one)
                self.payment_of[one.object_id] = start["payment"]
            elif one.payment is not None or one.transaction is not None:
                self.strays.append(one)

    def excused(self, payment: str) -> bool:
        return bool(self.known.payments[payment]["excused"])

    def best(self, start: Row) -> Charge | None:
        return max(self.behind[start["id"]], key=lambda one: RANK.index(one.state), default=None)

    def charges(self) -> Found:
        """What is wrong whenever one looks."""
        for one in self.strays:
            if one.state in AGREED:
                yield "ledger_unknown", {"payment_id": one.payment, "charge": one.object_id, "amount": one.amount}
        moved: dict[str, int] = defaultdict(int)
        ours_: dict[str, int] = defaultdict(int)
        for start in self.known.starts:
            behind = self.behind[start["id"]]
            moved[start["payment"]] += sum(one.state in MOVED for one in behind)
            ours_[start["payment"]] += start["status"] == "succeeded"
            best = self.best(start)
            if start["status"] == "succeeded" and best is not None and best.state in AGREED:
                yield from _differences(start, best)
        for payment, count in moved.items():
            if count > max(1, ours_[payment]):
                yield "ledger_doubled", {"payment_id": payment, "charges": count, "known": ours_[payment]}

    def absent(self, settled: bool) -> Found:
        for start in self.known.starts:
            best = self.best(start)
            # A hold whose capture the bank declined is a failed charge there, and its payment failed here.
            ended = self.known.payments[start["payment"]]["status"] in ("failed", "canceled")
            agreed = best is not None and (best.state in AGREED or (ended and best.state == "failed"))
            if start["status"] == "succeeded" and not agreed and (settled or start["old"]):
                details = {"payment_id": start["payment"], "transaction_id": public_id("transaction", start["id"])}
                yield "ledger_absent", details

    def sums(self, refunds: Sequence[Side]) -> Found:
        taken: dict[str, int] = defaultdict(int)
        back: dict[str, int] = defaultdict(int)
        for start in self.known.starts:
            taken[start["payment"]] += sum(one.taken for one in self.behind[start["id"]])
        for one in refunds:
            if one.object_id in self.payment_of and one.status == "succeeded":
                back[self.payment_of[one.object_id]] += one.amount
        here = {start["payment"] for start in self.known.starts if start["status"] == "succeeded"}
        for name, payment in self.known.payments.items():
            if payment["elsewhere"] and name in here:
                continue  # charged at two providers, one of them surplus: our sums are those of both
            # One that another provider took over has its money there, and here there must be none.
            expected = dict.fromkeys(payment, 0) if payment["elsewhere"] else payment
            for check, column, theirs_ in (
                ("ledger_taken", "amount_received", taken[name]),
                ("ledger_refunded", "amount_refunded", back[name]),
            ):
                if expected[column] != theirs_ and not payment["excused"]:
                    yield check, {"payment_id": name, "ours": expected[column], "theirs": theirs_}

    def statuses(self) -> Found:
        latest: dict[str, Row] = {}
        for start in self.known.starts:
            best = self.best(start)
            if not start["surplus"]:
                latest[start["payment"]] = start
            if start["status"] == "succeeded" or best is None or best.state not in MOVED:
                continue
            latest.pop(start["payment"], None)
            if not self.excused(start["payment"]):
                details = {"payment_id": start["payment"], "ours": start["status"], "theirs": best.state}
                yield "ledger_denied", details
        for payment, start in latest.items():
            best, status = self.best(start), self.known.payments[payment]["status"]
            if best is not None and status not in STANDS[best.state] and not self.excused(payment):
                yield "ledger_status", {"payment_id": payment, "ours": status, "theirs": best.state}


def _differences(start: Row, one: Charge) -> Found:
    same = (start["amount"], start["currency"]) == (one.amount, one.currency)
    # Of what was paid on a page we know the charge by the object it belongs to.
    if not same or (one.id is not None and start["provider_charge_id"] not in (None, one.id, one.object_id)):
        yield (
            "ledger_differs",
            {
                "payment_id": start["payment"],
                "ours": f"{start['provider_charge_id']} {start['amount']} {start['currency']}",
                "theirs": f"{one.id} {one.amount} {one.currency}",
            },
        )


def _refunds(book: _Book, refunds: Sequence[Side], settled: bool) -> Found:
    known = {row["provider_id"]: row for row in book.known.refunds if row["provider_id"]}
    there = {one.id for one in refunds}
    given: dict[str, int] = defaultdict(int)
    for one in refunds:
        payment = book.payment_of.get(one.object_id)
        if payment is None:
            continue
        given[payment] += one.amount if one.status not in ("failed", "canceled") else 0
        if not settled or book.excused(payment):
            continue
        row = known.get(one.id)
        if row is None:
            yield "refund_unknown", {"payment_id": payment, "refund": one.id, "amount": one.amount}
        elif row["status"] != one.status:
            yield "refund_status", {"payment_id": payment, "ours": row["status"], "theirs": one.status}
    for row in book.known.refunds:
        if row["status"] == "succeeded" and row["provider_id"] not in there and (settled or row["old"]):
            yield "refund_absent", {"payment_id": row["payment"], "refund_id": public_id("refund", row["id"])}
    for payment, back in given.items():
        starts = [row for row in book.known.starts if row["payment"] == payment]
        taken = sum(one.taken for row in starts for one in book.behind[row["id"]])
        if back > taken:
            yield "ledger_over", {"payment_id": payment, "taken": taken, "given_back": back}


def _disputes(book: _Book, disputes: Sequence[Side]) -> Found:
    known = {row["provider_id"]: row for row in book.known.disputes}
    for one in disputes:
        payment = book.payment_of.get(one.object_id)
        if payment is None or book.excused(payment):
            continue
        row = known.get(one.id)
        if row is None:
            yield "dispute_unknown", {"payment_id": payment, "dispute": one.id}
        elif row["status"] != one.status:
            yield "dispute_status", {"payment_id": payment, "ours": row["status"], "theirs": one.status}
