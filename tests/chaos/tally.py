"""What came of the payments of a run: lost, doubled or wrong beside the providers' ledgers, and what a person gets."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from core.domain.identifiers import parse_id, public_id
from tests.chaos.stage import Stage

Json = Mapping[str, Any]

#: How a payment that has ended, or waits for the merchant, must look at the provider: (charges that took money, holds).
EXPECTED: Mapping[str, tuple[int, int]] = {
    "succeeded": (1, 0),
    "authorized": (0, 1),
    "failed": (0, 0),
    "canceled": (0, 0),
}


@dataclass
class Tally:
    """Each list holds sentences that name the payment."""

    accepted: int = 0
    charges: int = 0
    refunds: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    unended: list[str] = field(default_factory=list)
    review: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)

    @property
    def bad(self) -> list[str]:
        return [*self.lost, *self.doubled, *self.wrong, *self.unended]

    def figures(self) -> dict[str, Any]:
        return {
            "payments accepted": self.accepted,
            "charges in the ledgers": self.charges,
            "refunds in the ledgers": self.refunds,
            "lost": len(self.lost),
            "doubled": len(self.doubled),
            "wrong status": len(self.wrong),
            "not ended": len(self.unended),
            "statuses": dict(self.statuses),
            "in review": dict(self.review),
        }


@dataclass
class Book:
    """What the providers' ledgers say of one payment."""

    taken: list[Json] = field(default_factory=list)
    held: list[Json] = field(default_factory=list)
    refunds: list[Json] = field(default_factory=list)


def read_books(stage: Stage) -> dict[str, Book]:
    """By payment, as marked there. Releases of holds are no refunds, and failed refunds moved nothing."""
    books: dict[str, Book] = defaultdict(Book)
    for provider in stage.service.sandbox_urls:
        ledger = stage.ledger(provider)
        owner = {}
        for charge in ledger["charges"]:
            payment = _mark(charge)
            owner[charge["id"]] = payment
            if payment and charge["status"] == "succeeded":
                books[payment].taken.append(charge)
            elif payment and charge["status"] == "authorized":
                books[payment].held.append(charge)
        for hold in ledger.get("holds", ()):
            if (payment := _mark(hold)) and hold["held"]:
                books[payment].held.append(hold)
        for refund in ledger["refunds"]:
            if (payment := owner.get(refund["charge"])) and refund["status"] not in ("failed", "canceled"):
                books[payment].refunds.append(refund)
    return books


def _mark(row: Json) -> str | None:
    found = (row["metadata"] or {}).get("tollgate_payment")
    return None if found is None else str(found)


def tally(stage: Stage, jobs: Iterable[str] = ()) -> Tally:
    """Everything accepted on this stage; `jobs` are those of accepted operations on payments."""
    made = Tally(accepted=len({one.payment for one in stage.accepted}))
    books = read_books(stage)
    made.charges = sum(len(book.taken) for book in books.values())
    made.refunds = sum(len(book.refunds) for book in books.values())
    rows = {public_id("payment", UUID(row["id"])): row for row in stage.query(_PAYMENTS)}
    asked = Counter({public_id("payment", UUID(row["payment_id"])): row["n"] for row in stage.query(_REFUNDS)})
    for reason in stage.query(_REVIEW):
        made.review[str(reason["code"])] += int(reason["n"])
    made.lost += [
        f"{one.payment} was answered 202 and is not there" for one in stage.accepted if one.payment not in rows
    ]
    for payment, row in rows.items():
        _compare(made, payment, row, books[payment], asked[payment])
    unknown = [payment for payment in books if payment not in rows]
    made.doubled += [f"{payment} is charged at the provider and unknown here" for payment in unknown]
    _ended_jobs(made, stage, [*jobs, *(one.job for one in stage.accepted)])
    return made


def _compare(made: Tally, payment: str, row: Json, book: Book, asked: int) -> None:
    made.statuses[row["status"]] += 1
    if len(book.taken) + len(book.held) > 1:
        made.doubled.append(f"{payment} is {row['status']} and has {len(book.taken)} charges, {len(book.held)} holds")
    if len(book.refunds) > asked:
        made.doubled.append(f"{payment} has {len(book.refunds)} refunds at the provider, {asked} were asked for")
    if row["review"]:
        return
    if row["status"] not in EXPECTED:
        made.unended.append(f"{payment} is still {row['status']} and nobody looks after it")
        return
    charges, holds = EXPECTED[row["status"]]
    if row["surplus"] and row["status"] == "canceled":  # late money: told as such, to be given back
        charges = 1
    if (len(book.taken), len(book.held)) != (charges, holds):
        made.wrong.append(f"{payment} is {row['status']}: {len(book.taken)} charges, {len(book.held)} holds there")
        return
    theirs = sum(one["amount"] for one in book.refunds)
    received = sum(one["amount_captured"] for one in book.taken)
    if (row["amount_received"], row["amount_refunded"]) != (received, theirs):
        ours = f"{row['amount_received']} received, {row['amount_refunded']} refunded"
        made.wrong.append(f"{payment} is {row['status']}, {ours}; there {received} and {theirs}")


def _ended_jobs(made: Tally, stage: Stage, jobs: list[str]) -> None:
    wanted = {str(parse_id("job", one)): one for one in jobs}
    found = {str(row["id"]): row["status"] for row in stage.query(_JOBS, list(wanted))}
    made.lost += [f"{name} was answered 202 and is not there" for id, name in wanted.items() if id not in found]
    made.unended += [f"{wanted[id]} is {status}" for id, status in found.items() if status in ("queued", "running")]


_PAYMENTS = """
SELECT p.id, p.status, p.amount_received, p.amount_refunded,
       EXISTS (SELECT 1 FROM jobs j WHERE j.payment_id = p.id AND j.status = 'needs_review') AS review,
       EXISTS (SELECT 1 FROM transactions t
               WHERE t.payment_id = p.id AND t.surplus AND t.status = 'succeeded') AS surplus
FROM payments p
"""
_REFUNDS = "SELECT payment_id, count(*) AS n FROM refunds WHERE origin = 'api' GROUP BY 1"
_REVIEW = (
    "SELECT coalesce(error->>'code', kind) AS code, count(*) AS n FROM jobs WHERE status = 'needs_review' GROUP BY 1"
)
_JOBS = "SELECT id, status FROM jobs WHERE id = ANY(%s::uuid[])"
