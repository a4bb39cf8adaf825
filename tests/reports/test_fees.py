"""Fees in the reports: each once, those of refunds and disputes too, and those in other currencies under their own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from core.domain.identifiers import parse_id, public_id
from core.orchestration import payment_page
from core.reports import rollup
from tests.orchestration import test_holds_at_paystack as holds
from tests.reconciliation.reading import lines, read
from tests.reconciliation.test_statements import line, mark, paid
from tests.reports.test_reports import DAY, report, to_noon
from tests.support.world import World


@pytest.fixture
def fresh(world: World) -> str:
    """An account at Stripe whose statement is empty."""
    name = f"stripe.{uuid4().hex}"
    world.add_account("stripe", name=name)
    return name


@pytest.fixture
def told(world: World) -> Callable[[str], dict[str, Any]]:
    """What the report says more than before, by currency."""
    before = {one["currency"]: one for one in report(world)}

    def more(currency: str) -> dict[str, Any]:
        now = {one["currency"]: one for one in report(world)}
        names = ("payments", "received", "fees", "net")
        return {name: now.get(currency, {}).get(name, 0) - before.get(currency, {}).get(name, 0) for name in names}

    return more


def test_the_fee_of_a_captured_hold_counts_once(world: World, told: Callable[[str], dict[str, Any]]) -> None:
    payment = holds.held(world)
    holds.ask(world, payment, "capture")
    read(world, "paystack")
    sent = {row["kind"]: row["fee"] for row in world.transactions(payment["id"])}
    assert sent["authorize"] == sent["capture"] > 0, "the answer says it, and so does the statement"
    found = told("ZAR")
    assert (found["received"], found["fees"]) == (90000, sent["capture"])
    shown = {one["label"]: one["amount"] for one in _sums(world, payment)}
    assert shown["Fees told"] == -sent["capture"]


def _sums(world: World, payment: dict[str, Any]) -> Any:
    return payment_page.show(world.admin, world.scope, parse_id("payment", payment["id"]))["sums"]


def test_what_refunds_and_disputes_cost_is_in_the_net(
    world: World,
    fresh: str,
    told: Callable[[str], dict[str, Any]],
) -> None:
    payment = paid(world, fresh)
    (sent,) = world.transactions(payment["id"])
    charged = line(world, source=sent["provider_charge_id"], transaction_id=mark(world, payment))
    back = line(world, line_id="back", kind="refund", amount=-1000, fee=30, net=-1030, source="re_x")
    back = replace(back, charge_ids=(sent["provider_charge_id"],))
    lost = replace(back, line_id="lost", kind="dispute", amount=-4000, fee=1500, net=-5500, source="dp_x")
    account = line(world, line_id="own", kind="fee", amount=-200, fee=0, net=-200, source=None)
    read(world, fresh, lines=[charged, back, lost, account])
    assert told("USD") == {"payments": 1, "received": 5000, "fees": 175 + 30 + 1500, "net": 5000 - 1705}


def test_a_fee_in_another_currency_is_a_line_of_that_currency(
    world: World,
    fresh: str,
    told: Callable[[str], dict[str, Any]],
) -> None:
    to_noon(world)
    payment = paid(world, fresh)
    charge = line(world, amount=4600, fee=160, net=4440, currency="SEK", transaction_id=mark(world, payment))
    charge = replace(charge, original_amount=5000, original_currency="USD", exchange_rate="0.92")
    charge = replace(charge, source=world.transactions(payment["id"])[0]["provider_charge_id"])
    read(world, fresh, lines=[charge])
    abroad = {"payments": 0, "received": 0, "fees": 160, "net": -160}
    at_home = {"payments": 1, "received": 5000, "fees": 0, "net": 5000}
    assert (told("SEK"), told("USD")) == (abroad, at_home)

    world.advance(DAY)
    assert rollup.roll_up(world.worker) >= 1
    assert (told("SEK"), told("USD")) == (abroad, at_home), "kept as it was counted"
    read(world, fresh, lines=[replace(charge, fee=200, net=4400)])
    assert told("SEK")["fees"] == 200, "the day is counted anew"
    assert rollup.roll_up(world.worker) == 1
    assert told("SEK")["fees"] == 200
    read(world, fresh, lines=[replace(charge, fee=200, net=4400)])
    assert rollup.roll_up(world.worker) == 0, "nothing has changed"
    of_account = [one for one in report(world, "account") if one["currency"] == "SEK"]
    assert [one["account"] for one in of_account] == [public_id("provider_account", world.accounts[fresh])]
    assert lines(world, fresh)[0]["fee"] == 200
