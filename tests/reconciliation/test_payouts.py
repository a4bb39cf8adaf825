"""Payouts: the equation to the minor unit, over foreign lines, exchange, carried balances, and what came back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from core.reconciliation.payouts import Account, Figures, Result, solve
from tests.reconciliation.reading import (
    days_pass,
    findings,
    foreign_charge,
    lines,
    noon_comes,
    pay_at_paystack,
    payouts,
    read,
    refund,
)  # fmt: skip
from tests.reconciliation.test_statements import line, paid
from tests.support.world import World

FIGURES = ("gross", "fees", "refunds", "disputes", "adjustments", "paid_out", "difference")


def shown(row: Any) -> tuple[int, ...]:
    return tuple(row[name] for name in FIGURES)


def test_a_payout_at_stripe_adds_up_with_foreign_lines(world: World) -> None:
    name = "stripe paid out"
    world.add_account("stripe", name=name)
    first = paid(world, name)
    for _ in range(2):
        refund(world, first, 1000)
    foreign_charge(world, name)
    days_pass(world, 2.2)
    early = read(world, name, 4)
    days_pass(world, 1.5)
    unsettled = read(world, name, 7)
    days_pass(world, 1)
    result = read(world, name, 8)
    (row,) = payouts(world, name)
    fees = (5000 * 29 // 1000 + 30) + (7700 * 29 // 1000 + 30)
    assert shown(row)[0] == 12700
    assert row["gross"] - row["fees"] - row["refunds"] == row["paid_out"] == 12700 - 2000 - row["fees"]
    assert abs(row["fees"] - fees) <= 2
    assert (row["status"], row["difference"], row["lines"], row["foreign_lines"]) == ("matched", 0, 4, 1)
    assert row["foreign_net"] == 7700 - 7700 * 29 // 1000 - 30 - (1 if 7700 * 29 % 1000 >= 500 else 0)
    assert result.counts["payouts_matched"] == 1
    assert early.counts["payouts_matched"] + unsettled.counts["payouts_matched"] <= 1
    assert {one["payout"] for one in lines(world, name)} == {row["payout"]}


def test_a_payout_that_came_back_is_told_and_paid_again(world: World) -> None:
    name = "stripe bounced"
    world.add_account("stripe", name=name)
    world.sandboxes["stripe"].post("accounts", secret_key=world.secrets[name], payouts_fail=True)
    paid(world, name)
    days_pass(world, 3)
    days_pass(world, 1.1)
    read(world, name, 6)
    first = payouts(world, name)[0]
    assert first["status"] == "failed"
    (found,) = findings(world, name, "payout_failed")
    assert (found["amount"], found["currency"]) == (first["paid_out"], "USD")


def test_a_line_that_is_missing_makes_a_finding_of_its_sum(world: World) -> None:
    name = "stripe short"
    world.add_account("stripe", name=name)
    out = line(world, line_id="p", kind="payout", amount=-9000, fee=0, net=-9000, source="po_1", payout="po_1")
    charge = line(world, payout="po_1")
    told = [replace(out, settled=True), charge, replace(charge, line_id="b", source="ch_b")]
    read(world, name, lines=told)
    (row,) = payouts(world, name)
    assert (row["status"], row["difference"]) == ("differs", 650)
    (found,) = findings(world, name, "payout_differs")
    assert (found["amount"], found["evidence"]["theirs"]["paid_out"]) == (650, 9000)
    read(world, name, lines=told)
    assert len(findings(world, name, "payout_differs")) == 1
    read(world, name, lines=[*told, line(world, line_id="c", kind="fee", amount=-650, fee=0, net=-650, payout="po_1")])
    (row,) = payouts(world, name)
    assert (row["status"], row["difference"], row["fees"]) == ("matched", 0, 1000)
    assert [one["status"] for one in findings(world, name, "payout_differs")] == ["resolved"]


def test_exchange_is_shown_by_currency(world: World) -> None:
    name = "stripe abroad"
    world.add_account("stripe", name=name)
    out = line(world, line_id="p", kind="payout", amount=-4440, fee=0, net=-4440, source="po_1", payout="po_1")
    out = replace(out, settled=True, currency="EUR")
    charge = line(world, amount=4600, fee=160, net=4440, currency="EUR", payout="po_1")
    charge = replace(charge, original_amount=5000, original_currency="USD", exchange_rate="0.92")
    read(world, name, lines=[out, charge])
    (row,) = payouts(world, name)
    assert row["status"] == "matched"
    assert row["exchanged"] == {"USD": {"lines": 1, "original": 5000, "converted": 4600}}


def test_paystack_takes_a_refund_out_of_later_settlements(world: World) -> None:
    noon_comes(world)
    first = pay_at_paystack(world, 3000_00)
    days_pass(world, 1.2)
    read(world, "paystack")
    refund(world, first, 2900_00)
    pay_at_paystack(world, 1000_00)
    world.advance(10)
    world.settle()
    days_pass(world, 1)
    read(world, "paystack", 2)
    pay_at_paystack(world, 9000_00)
    days_pass(world, 1)
    read(world, "paystack", 3)
    found = payouts(world, "paystack")
    assert [row["status"] for row in found] == ["matched"] * 3
    one, two, three = found
    assert (one["carried_in"], one["refunds"], one["carried_over"], one["paid_out"]) == (0, 0, 0, 3000_00 - one["fees"])
    net = 1000_00 - two["fees"]
    assert (two["refunds"], two["deducted"], two["paid_out"]) == (2900_00, net, 0)
    assert (two["carried_in"], two["carried_over"]) == (0, 2900_00 - net)
    assert (three["refunds"], three["carried_in"], three["carried_over"]) == (0, two["carried_over"], 0)
    assert three["paid_out"] == 9000_00 - three["fees"] - two["carried_over"]
    for row in found:
        left = row["gross"] - row["fees"] - row["refunds"] - row["disputes"] - row["adjustments"]
        assert left - row["carried_in"] + row["carried_over"] == row["paid_out"]
    (back,) = lines(world, "paystack", kind="refund")
    assert back["payout"] == two["payout"]


figures = st.builds(
    Figures,
    gross=st.integers(0, 10**6),
    fees=st.integers(0, 10**4),
    refunds=st.integers(0, 10**6),
    disputes=st.integers(0, 10**5),
    adjustments=st.integers(-(10**4), 10**4),
)


@given(figures, st.integers(0, 10**6), st.integers(-5000, 5000).filter(bool))
def test_a_provider_that_takes_what_is_owed_solves_and_any_other_sum_does_not(
    one: Figures, carried_in: int, wrong: int
) -> None:
    available = max(one.available, 0)
    taken = min(carried_in + one.refunds + one.disputes, available)
    paid_out = one.available - taken
    account = Account(carried_in, taken)
    right = solve(one, paid_out, account)
    assert right == Result(0, carried_in, carried_in + one.refunds + one.disputes - taken)
    assert solve(one, paid_out + wrong, account).difference == -wrong


@given(figures, st.integers(0, 10**6), st.integers(1, 10**6))
def test_taking_more_than_is_owed_differs_even_if_the_provider_says_so(
    one: Figures, carried_in: int, more: int
) -> None:
    owed = carried_in + one.refunds + one.disputes
    deducted = owed + more
    result = solve(one, one.available - deducted, Account(carried_in, deducted))
    assert result.difference >= more
    assert result.carried_over >= 0


def test_an_older_debt_must_be_taken_as_far_as_there_is_money() -> None:
    figures = Figures(gross=1000, refunds=50)
    assert solve(figures, 1000, Account(200, 0)).difference == -200
    assert solve(figures, 800, Account(200, 200)) == Result(0, 200, 50)  # the newer one may wait for the next
    assert solve(figures, 750, Account(200, 250)) == Result(0, 200, 0)


def test_what_is_asked_for_may_be_taken_before_it_is_due() -> None:
    assert solve(Figures(gross=1000), 900, Account(0, 100, pending=100)) == Result(0, 0, -100)
    assert solve(Figures(gross=1000, refunds=100), 1000, Account(-100, 0)) == Result(0, -100, 0)


def test_what_was_owed_before_the_first_reading_is_carried_in() -> None:
    assert solve(Figures(gross=1000), 700, Account(0, 300, opening=True)) == Result(0, 300, 0)
