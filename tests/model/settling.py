"""The end of an example: trouble is lifted, all mail arrives, time passes, and then books and ledger must agree."""

from __future__ import annotations

from typing import Any

from core.domain.identifiers import parse_id
from tests.model.books import ENDED_JOB, Books, Payment
from tests.model.oracle import check_settled, check_step, money_of, read_ledgers
from tests.model.shop import Shop, Violation

#: Seconds between two rounds: the dead lose their leases, "not found" counts and counts again, pages close, unknown
#: outcomes go to a person after a day, holds and watches end.
ROUNDS = (7, 45, 61, 700, 700, 4000, 7200, 21700, 21700, 43200, 86400, 86400, 2 * 86400, 4 * 86400, 86400)


def settle(shop: Shop, books: Books) -> None:
    shop.lift()
    _let_time_pass(shop)
    for payment in books.payments:
        if payment.touched:
            # Nobody tells of what happens at a dashboard while the mail is lost; whoever did it asks.
            shop.send("POST", f"{payment.path}/sync", {}, f"at the end of {payment.id}")
    _let_time_pass(shop, ROUNDS[:4])
    if shop.jobs_open():
        raise Violation(f"left under way: {shop.jobs_open()}")
    _check_promises(shop, books)
    ledgers = read_ledgers(shop)
    for payment in books.payments:
        money = money_of(ledgers, payment.id)
        check_step(shop, payment, money)
        check_settled(shop, payment, money, _in_review(shop, payment))
    fresh = [one for one in shop.broken() if one not in shop.broken_before]
    if fresh:
        raise Violation(f"invariants: {fresh}")


def _let_time_pass(shop: Shop, rounds: tuple[int, ...] = ROUNDS) -> None:
    for seconds in rounds:
        shop.deliver_all()
        shop.tick()
        shop.work_all()
        shop.advance(seconds)
    shop.tick()
    shop.work_all()


def _check_promises(shop: Shop, books: Books) -> None:
    """Every 202 named a job; each has ended, or is in review with a reason."""
    for asked in books.asked:
        job = shop.read(asked.job)
        if job["status"] in ENDED_JOB:
            continue
        if job["status"] != "needs_review" or not (job.get("error") or {}).get("code"):
            raise Violation(f"the job of {asked.path} is {job['status']}: {job.get('error')}")


def _in_review(shop: Shop, payment: Payment) -> bool:
    query = "SELECT count(*) AS n FROM jobs WHERE payment_id = :id AND status = 'needs_review'"
    found: Any = shop.world.one(query, id=parse_id("payment", payment.id))["n"]
    return bool(found)
