"""Payouts and their lines over the Admin API: whole, in pages, as CSV, and of one merchant alone."""

from __future__ import annotations

import csv
import io
from contextlib import nullcontext
from dataclasses import replace

import pytest
from click.testing import CliRunner

from cli.commands import payouts as commands
from core.domain.identifiers import public_id
from tests.reconciliation import reading
from tests.reconciliation.test_statements import line
from tests.support.world import World


def test_a_payout_and_its_lines(world: World) -> None:
    account = "stripe.paid"
    number = world.add_account("stripe", name=account)
    with reading.at(world, account):
        reading.foreign_charge(world, account)
        reading.foreign_charge(world, account, amount=900)
    reading.days_pass(world, 4)
    reading.read(world, account, days=6)

    key, merchant = world.make_key("admin"), public_id("merchant", world.merchant_id)
    home, mode = f"/admin/v1/merchants/{merchant}/payouts", "mode=test"
    acc = public_id("provider_account", number)
    (payout,) = world.get(f"{home}?{mode}&provider_account={acc}", key=key).json()["data"]
    sums = payout["gross"] - payout["fees"] - payout["refunds"] - payout["disputes"] - payout["adjustments"]
    assert (payout["status"], sums, payout["difference"]) == ("matched", payout["paid_out"], 0)
    assert (payout["gross"], payout["foreign_lines"]) == (8600, 2)
    assert world.get(f"{home}?{mode}&status=differs", key=key).json()["data"] == []
    early = f"{home}?{mode}&provider_account={acc}&before=2020-01-01T00:00:00Z"
    assert world.get(early, key=key).json() == {"data": [], "has_more": False, "next": None}

    lines = f"{home}/{acc}/{payout['payout']}/lines"
    whole = world.get(f"{lines}?{mode}", key=key).json()["data"]
    pages, after = [], ""
    while found := world.get(f"{lines}?{mode}&limit=1{after}", key=key).json()["data"]:
        pages += found
        after = f"&after={found[-1]['line']}"
    assert pages == whole
    assert sum(line["net"] for line in whole if line["kind"] != "payout") == payout["paid_out"]
    told = list(csv.DictReader(io.StringIO(world.get(f"{lines}?{mode}&format=csv", key=key).text)))
    assert [row["line"] for row in told] == [line["line"] for line in whole]
    assert world.get(f"{home}/{acc}/po_nobody/lines?{mode}", key=key).status_code == 404
    assert world.get(f"{lines}?mode=live", key=key).status_code == 404


def test_accounts_paid_out_in_the_same_second_are_all_on_some_page(world: World) -> None:
    names = [f"stripe.{number}.of_one_second" for number in range(3)]
    for name in names:
        world.add_account("stripe", name=name)
    told = line(world, kind="payout", amount=-500, fee=0, net=-500)
    known = [replace(told, line_id=payout, source=payout, payout=payout) for payout in ("po_a", "po_b")]
    for name in names:
        reading.read(world, name, lines=known)
    key, home = world.make_key("admin"), _home(world)
    ours = {(public_id("provider_account", world.accounts[name]), one.payout) for name in names for one in known}
    found, after = [], ""
    while True:
        page = world.get(f"{home}?mode=test&limit=2{after}", key=key).json()
        found += [(one["provider_account"], one["payout"]) for one in page["data"]]
        if not page["has_more"]:
            break
        after = f"&after={page['next']}"
    assert page["next"] is None
    assert len(found) == len(set(found)), "none twice"
    assert ours <= set(found)
    assert world.get(f"{home}?mode=test&after=yesterday", key=key).status_code == 422
    nowhere = f"{public_id('provider_account', world.accounts[names[0]])}:po_nobody"
    assert world.get(f"{home}?mode=test&after={nowhere}", key=key).json() == {
        "data": [],
        "has_more": False,
        "next": None,
    }


def test_what_was_exchanged_is_shown(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "stripe.exchanged"
    number = world.add_account("stripe", name=name)
    out = line(world, line_id="p", kind="payout", amount=-4440, fee=0, net=-4440, source="po_x", payout="po_x")
    charge = line(world, amount=4600, fee=160, net=4440, currency="EUR", payout="po_x")
    charge = replace(charge, original_amount=5000, original_currency="USD", exchange_rate="0.92")
    reading.read(world, name, lines=[replace(out, settled=True, currency="EUR"), charge])
    key, acc = world.make_key("admin"), public_id("provider_account", number)
    told = {"USD": {"lines": 1, "original": 5000, "converted": 4600}}
    one = world.get(f"{_home(world)}/{acc}/po_x?mode=test", key=key)
    assert one.status_code == 200, one.text
    assert (one.json()["payout"], one.json()["exchanged"]) == ("po_x", told)
    assert world.get(f"{_home(world)}/{acc}/po_nobody?mode=test", key=key).status_code == 404
    day = one.json()["booked_at"][:10]
    settled = world.get(
        f"{_home(world).replace('payouts', 'reports/settlements')}?mode=test&since={day}&until={day}", key=key
    ).json()["data"]
    assert [row["exchanged"] for row in settled if row["account"] == acc] == [told]

    monkeypatch.setattr(commands, "owner_core", lambda _: nullcontext(world.admin))
    printed = CliRunner().invoke(commands.show, [acc, "po_x"], catch_exceptions=False).output
    assert "charged in USD" in printed
    assert "50.00 USD (5000) became 46.00 EUR (4600), lines: 1" in " ".join(printed.split())


def _home(world: World) -> str:
    return f"/admin/v1/merchants/{public_id('merchant', world.merchant_id)}/payouts"
