"""Payouts and their lines over the Admin API: whole, in pages, as CSV, and of one merchant alone."""

from __future__ import annotations

import csv
import io

from core.domain.identifiers import public_id
from tests.reconciliation import reading
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
    assert world.get(f"{home}?{mode}&provider_account={acc}&before=2020-01-01T00:00:00Z", key=key).json() == {
        "data": []
    }

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
