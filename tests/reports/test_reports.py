"""Reports add up to the books, whatever was kept; a change marks its day; nothing is counted twice or lost."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from core.domain.errors import RequestRefused
from core.domain.identifiers import parse_id
from core.reports import reading, rollup
from core.reports.reading import Window
from tests.support.world import World

DAY = 24 * 3600.0
DECLINED = {"payment_method": {"type": "token", "token": "pm_card_chargeDeclined"}}


def today(world: World) -> date:
    now: datetime = world.one("SELECT app_now() AS now")["now"]
    return now.astimezone(UTC).date()


def window(world: World, days: int = 400) -> Window:
    return Window(today(world) - timedelta(days=days), today(world))


def report(world: World, *by: Any) -> list[dict[str, Any]]:
    return reading.payments(world.admin, world.scope, window(world), by)


def kept(world: World) -> list[Mapping[str, Any]]:
    return world.rows("SELECT * FROM report_days WHERE built_at IS NOT NULL AND changed_at IS NULL")


def books(world: World) -> dict[str, Counter[str]]:
    """The same sums by a way that shares nothing with the reports: row by row, in Python."""
    found: dict[str, Counter[str]] = {}
    for row in world.rows("SELECT * FROM payments WHERE merchant_id = :merchant", merchant=world.merchant_id):
        sums = found.setdefault(row["currency"], Counter())
        sums.update({"payments": 1, str(row["status"]): 1, "amount": row["amount"]})
        sums.update({"captured": row["amount_captured"], "refunded": row["amount_refunded"]})
        for sent in world.rows("SELECT * FROM transactions WHERE payment_id = :id", id=row["id"]):
            sums.update({"calls": sent["call_ms"] is not None, "fees": sent["fee"] or 0})
    return found


def agree(world: World) -> None:
    told = {line["currency"]: line for line in report(world)}
    for currency, sums in books(world).items():
        for name in ("payments", "succeeded", "failed", "amount", "captured", "refunded", "fees", "calls"):
            assert told[currency][name] == sums[name], (currency, name)
    by_day = Counter[str]()
    for line in report(world, "day", "provider", "account", "route"):
        by_day.update({line["currency"]: line["payments"]})
    assert dict(by_day) == {currency: sums["payments"] for currency, sums in books(world).items()}


def to_noon(world: World) -> None:
    """Far from midnight, so that a test's payments are of one day."""
    now: datetime = world.one("SELECT app_now() AS now")["now"]
    noon = now.astimezone(UTC).replace(hour=12, minute=0, second=0, microsecond=0)
    world.advance((noon - now).total_seconds() % DAY)


def test_today_is_counted_live_and_other_days_are_kept(world: World) -> None:
    to_noon(world)
    paid, failed = world.pay(), world.create(**DECLINED)
    world.settle()
    agree(world)
    (line,) = [one for one in report(world, "provider") if one["provider"] == "stripe"]
    assert (line["payments"], line["succeeded"], line["failed"], line["success_rate"]) == (2, 1, 1, 0.5)
    assert sum(line["declines"].values()) == 1
    assert line["latency_p50_ms"] is not None
    assert line["net"] == line["received"] - line["fees"]

    rollup.roll_up(world.worker)
    assert kept(world) == [], "today is not over"
    world.advance(DAY)
    assert rollup.roll_up(world.worker) >= 1
    assert len(kept(world)) >= 1
    agree(world)
    assert rollup.roll_up(world.worker) == 0, "nothing has changed since"

    assert world.post(f"/v1/payments/{paid['id']}/refunds", {"amount": 700}).status_code == 202
    world.settle()
    world.advance(30)
    world.settle()
    marked = world.rows("SELECT * FROM report_days WHERE changed_at IS NOT NULL")
    assert len(marked) == 1
    agree(world)
    assert rollup.roll_up(world.worker) == 1
    agree(world)
    (line,) = [one for one in report(world, "provider") if one["provider"] == "stripe"]
    assert (line["refunds"], line["refunded"]) == (1, 700)
    assert failed["status"] == "processing"


def test_figures_that_vanish_are_not_left_behind(world: World) -> None:
    """A payment without a provider yesterday, with one today: it must not be counted under both."""
    to_noon(world)
    payment = world.create()
    world.advance(DAY)
    rollup.roll_up(world.worker)
    assert {line["provider"] for line in report(world, "provider")} >= {""}
    world.settle()
    assert world.payment(payment["id"])["status"] == "succeeded"
    rollup.roll_up(world.worker)
    agree(world)


def test_a_change_under_way_while_a_day_is_counted_is_not_lost(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    to_noon(world)
    payment = world.pay()
    world.advance(DAY)
    rollup.roll_up(world.worker)
    day = kept(world)[-1]["day"]
    monkeypatch.setattr(rollup, "PATIENCE", 0.2)
    about = parse_id("payment", payment["id"])
    with world.owner.begin() as other:  # it has changed a payment, saw the day marked, and has not committed yet
        other.exec_driver_sql("UPDATE report_days SET changed_at = app_now() WHERE day = %s", (day,))
    with world.owner.begin() as other:
        other.exec_driver_sql("UPDATE payments SET amount_received = amount_received WHERE id = %s", (str(about),))
        assert rollup.build(world.worker, world.scope, day) is False
    assert [row["day"] for row in world.rows("SELECT day FROM report_days WHERE changed_at IS NOT NULL")] == [day]
    assert rollup.build(world.worker, world.scope, day) is True
    agree(world)


def test_windows_that_cannot_be(world: World) -> None:
    now = today(world)
    with pytest.raises(RequestRefused):
        Window(now, now - timedelta(days=1))
    with pytest.raises(RequestRefused):
        Window(now - timedelta(days=900), now)


def test_over_the_admin_api(world: World) -> None:
    world.pay()
    world.pay(**DECLINED)
    key = world.make_key("admin")
    home = f"/admin/v1/merchants/{world.get('/admin/v1/merchants', key=key).json()['data'][0]['id']}/reports"
    where = f"mode=test&since={today(world) - timedelta(days=3)}&until={today(world)}"
    lines = world.get(f"{home}/payments?{where}&by=provider,day", key=key)
    assert lines.status_code == 200, lines.text
    assert {line["provider"] for line in lines.json()["data"]} == {"stripe"}
    text = world.get(f"{home}/payments?{where}&format=csv", key=key).text
    assert text.startswith("currency,payments,succeeded")
    [line] = csv.DictReader(io.StringIO(text))
    declined = {name: int(value) for name, value in line.items() if name.startswith("declined_")}
    assert set(declined) == {"declined_hard", "declined_soft", "declined_customer_action", "declined_unknown"}
    [told] = world.get(f"{home}/payments?{where}", key=key).json()["data"]
    assert sum(declined.values()) == sum(told["declines"].values()) == int(line["failed"]) > 0
    empty = "mode=test&since=2020-01-01&until=2020-01-02&format=csv"
    assert world.get(f"{home}/payments?{empty}", key=key).text.strip() == text.splitlines()[0], "the same columns"
    assert world.get(f"{home}/settlements?{empty}", key=key).text.startswith("payout,status,currency,paid_out,gross")
    assert world.get(f"{home}/settlements?{where}", key=key).json() == {"data": []}
    assert world.get(f"{home}/payments?{where}&by=name", key=key).status_code == 422
    assert world.get(f"{home}/payments?mode=test&since=2026-13-01&until=2026-01-01", key=key).status_code == 422
    assert world.get(f"{home}/payments?mode=test&since=2026-02-02&until=2026-01-01", key=key).status_code == 422
