"""Our books beside the providers': each comparison sees exactly what it is there for."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from core.invariants import compare_ledger
from core.invariants.ledger import COMPARISONS
from tests.invariants.healthy import book_of, fill
from tests.support.world import World

Shop = dict[str, Any]
Book = dict[str, Any]
Change = Callable[[Book, Shop], None]


@pytest.fixture(scope="module")
def shop(world: World) -> Shop:
    return fill(world)


def charge(book: Book, shop: Shop, name: str) -> Any:
    found = [one for one in book["charges"] if one["metadata"].get("tollgate_payment") == shop[name]["id"]]
    return found[0]


def refund(book: Book, shop: Shop) -> Any:
    about = charge(book, shop, "refunded")["payment"]
    return next(one for one in book["refunds"] if one["payment"] == about)


def doubled(book: Book, shop: Shop) -> None:
    book["charges"].append({**charge(book, shop, "paid"), "id": "ch_second"})


def unknown(book: Book, shop: Shop) -> None:
    marks = {"tollgate_payment": "pay_lost", "tollgate_transaction": "txn_lost"}
    book["charges"].append({**charge(book, shop, "paid"), "id": "ch_x", "payment": "pi_x", "metadata": marks})


def differing(book: Book, shop: Shop) -> None:
    charge(book, shop, "paid")["amount"] += 1


def absent(book: Book, shop: Shop) -> None:
    book["charges"].remove(charge(book, shop, "held"))


def taken(book: Book, shop: Shop) -> None:
    charge(book, shop, "paid")["amount_captured"] += 1


def refunded(book: Book, shop: Shop) -> None:
    refund(book, shop)["amount"] -= 1


def over(book: Book, shop: Shop) -> None:
    refund(book, shop)["amount"] = 999_999


def voided(book: Book, shop: Shop) -> None:
    charge(book, shop, "held")["status"] = "voided"


def denied(book: Book, shop: Shop) -> None:
    charge(book, shop, "declined")["status"] = "authorized"


def pending_refund(book: Book, shop: Shop) -> None:
    refund(book, shop)["status"] = "pending"


def second_refund(book: Book, shop: Shop) -> None:
    book["refunds"].append({**refund(book, shop), "id": "re_x", "status": "failed"})


def no_refund(book: Book, shop: Shop) -> None:
    book["refunds"].remove(refund(book, shop))


def lost(book: Book, shop: Shop) -> None:
    book["disputes"][0]["status"] = "lost"


def second_dispute(book: Book, shop: Shop) -> None:
    book["disputes"].append({**book["disputes"][0], "id": "dp_x"})


#: Comparison -> what is changed, whether all is at rest, and what cannot but be told as well.
WRONGS: dict[str, tuple[Change, bool, set[str]]] = {
    "ledger_doubled": (doubled, False, set()),
    "ledger_unknown": (unknown, False, set()),
    "ledger_differs": (differing, False, set()),
    "ledger_absent": (absent, True, set()),
    "ledger_taken": (taken, True, set()),
    "ledger_refunded": (refunded, True, set()),
    "ledger_over": (over, False, set()),
    "ledger_status": (voided, True, set()),
    "ledger_denied": (denied, True, set()),
    "refund_status": (pending_refund, True, {"ledger_refunded"}),
    "refund_unknown": (second_refund, True, set()),
    "refund_absent": (no_refund, True, {"ledger_refunded"}),
    "dispute_status": (lost, True, set()),
    "dispute_unknown": (second_dispute, True, set()),
}


@pytest.mark.parametrize("name", COMPARISONS)
def test_each_comparison_sees_its_wrong_and_no_other(world: World, shop: Shop, name: str) -> None:
    change, settled, more = WRONGS[name]
    ledger, log = book_of(world, "stripe")
    change(ledger, shop)
    found = compare_ledger(world.worker.database, "stripe", ledger, log, settled=settled)
    assert {one.check for one in found} == {name} | more
    assert {one.invariant for one in found if one.check == name} == {COMPARISONS[name][0]}


def test_no_comparison_is_without_its_wrong() -> None:
    assert set(WRONGS) == set(COMPARISONS)


@pytest.mark.parametrize("provider", ["stripe", "paystack"])
def test_a_webhook_that_was_answered_and_not_kept_is_seen(world: World, shop: Shop, provider: str) -> None:
    ledger, log = book_of(world, provider)
    delivered = next(one for one in log["deliveries"] if one["delivered"] and "dispute" not in one["type"])
    log["deliveries"].append({**deepcopy(delivered), "id": "evt_lost"})
    (found,) = compare_ledger(world.worker.database, provider, ledger, log, settled=False)
    assert (found.invariant, found.check) == ("I4", "webhook_unstored")
    assert found.details["kind"] == delivered["type"]


def test_a_charge_the_other_provider_lost_is_seen(world: World, shop: Shop) -> None:
    ledger, log = book_of(world, "paystack")
    ledger["charges"].clear()
    found = compare_ledger(world.worker.database, "paystack", ledger, log, settled=True)
    assert {one.check for one in found} >= {"ledger_absent", "ledger_taken"}
