"""What reaches the merchant's bank: settlements at midnight, deductions, balance and its ledger; lists and totals."""

from __future__ import annotations

import pytest

DAY = 86400


@pytest.fixture
def sandbox(run_sandbox):
    """One whose day is young: midnight must not fall between two calls of a test."""
    sandbox = run_sandbox("paystack")
    now = sandbox.door("GET", "clock")["now"]
    sandbox.door("POST", "clock", advance_seconds=DAY - now % DAY + 3600)
    return sandbox


def settlements(integration, query=""):
    return integration.call("GET", f"/settlement{query}")[1]["data"]


def balance(integration, currency="NGN"):
    rows = integration.call("GET", "/balance")[1]["data"]
    return next(row["balance"] for row in rows if row["currency"] == currency)


def test_a_day_is_settled_less_fees_and_refunds(sandbox, new_integration):
    integration = new_integration(sandbox)
    first, second = integration.paid(amount=500_000), integration.paid(amount=100_000)
    integration.initialize(amount=70_000)
    integration.call("POST", "/refund", transaction=second["id"], amount=40_000)
    assert settlements(integration) == []
    sandbox.door("POST", "clock", advance_seconds=60)
    sandbox.door("POST", "clock", advance_seconds=DAY + 3600)
    [made] = settlements(integration)
    assert (made["total_processed"], made["total_fees"], made["total_amount"]) == (600_000, 19_000, 581_000)
    assert (made["deductions"], made["effective_amount"], made["status"]) == (40_000, 541_000, "success")
    assert made["settlement_date"].endswith("T00:00:00.000Z")
    inside = integration.call("GET", f"/settlement/{made['id']}/transactions")[1]
    assert {one["id"] for one in inside["data"]} == {first["id"], second["id"]}
    assert integration.call("GET", f"/transaction?settlement={made['id']}")[1]["meta"]["total"] == 2
    assert balance(integration) == 0
    assert settlements(integration, "?status=pending") == []
    sandbox.door("POST", "clock", advance_seconds=3 * DAY)
    assert len(settlements(integration)) == 1
    [told] = integration.ledger()["settlements"]
    assert told["effective_amount"] == 541_000
    assert integration.call("GET", "/settlement/1/transactions")[0] == 404


def test_what_is_owed_waits_for_the_next_payment(sandbox, new_integration):
    integration = new_integration(sandbox)
    paid = integration.paid(amount=100_000)
    sandbox.door("POST", "clock", advance_seconds=2 * DAY)
    wanted = {"secret_key": integration.key, "reference": paid["reference"]}
    sandbox.door("POST", "disputes", **wanted)
    sandbox.door("POST", "clock", advance_seconds=4 * DAY)
    assert (len(settlements(integration)), balance(integration)) == (1, -100_000)
    integration.paid(amount=60_000)
    sandbox.door("POST", "clock", advance_seconds=2 * DAY)
    newest = settlements(integration)[0]
    assert (newest["deductions"], newest["effective_amount"]) == (59_100, 0)
    assert balance(integration) == -40_900


def test_the_ledger_of_the_balance(sandbox, new_integration):
    integration = new_integration(sandbox)
    paid = integration.paid(card="4084080000671803", amount=500_000)
    integration.call("POST", "/refund", transaction=paid["id"], amount=1_000)
    sandbox.door("POST", "clock", advance_seconds=60)
    status, body = integration.call("GET", "/balance/ledger?perPage=2")
    assert status == 200
    assert [(row["difference"], row["balance"]) for row in body["data"]] == [(1_000, 482_500), (-1_000, 481_500)]
    assert (body["meta"]["total"], body["meta"]["pageCount"]) == (3, 2)
    assert body["data"][0]["model_responsible"] == "Refund"
    assert integration.call("GET", "/balance/ledger?from=2099-01-01")[1]["data"] == []


def test_totals_and_timeline(integration):
    paid = integration.paid(amount=100_000)
    integration.paid(amount=5_000, currency="GHS")
    started = integration.initialize()
    integration.submit(started["authorization_url"], action="decline")
    data = integration.call("GET", "/transaction/totals")[1]["data"]
    assert (data["total_transactions"], data["total_volume"]) == (2, 105_000)
    assert {one["currency"]: one["amount"] for one in data["total_volume_by_currency"]} == {
        "NGN": 100_000,
        "GHS": 5_000,
    }
    assert integration.call("GET", "/transaction/totals?from=2099-01-01")[1]["data"]["total_transactions"] == 0
    for name in (paid["id"], paid["reference"]):
        timeline = integration.call("GET", f"/transaction/timeline/{name}")[1]
        assert (timeline["message"], timeline["data"]["attempts"]) == ("Timeline retrieved", 1)
    assert integration.call("GET", "/transaction/timeline/nothing")[0] == 404


def test_the_list_by_cursor(integration):
    made = [integration.initialize()["reference"] for _ in range(5)][::-1]
    seen, address = [], "/transaction?use_cursor=true&perPage=2"
    while address:
        body = integration.call("GET", address)[1]
        seen.append([one["reference"] for one in body["data"]])
        following = body["meta"]["next"]
        address = f"/transaction?use_cursor=true&perPage=2&next={following}" if following else None
    assert seen == [made[0:2], made[2:4], made[4:5]]
    back = body["meta"]["previous"]
    body = integration.call("GET", f"/transaction?use_cursor=true&perPage=2&previous={back}")[1]
    assert [one["reference"] for one in body["data"]] == made[2:4]
    assert integration.call("GET", "/transaction?use_cursor=true&next=%3F")[0] == 400


def test_the_list_is_narrowed(integration):
    first = integration.paid(amount=9_000)
    integration.initialize(amount=9_000, email="eve@shop.example")
    find = lambda query: [one["id"] for one in integration.call("GET", f"/transaction?{query}")[1]["data"]]  # noqa: E731
    assert find(f"customer={first['customer']['id']}") == [first["id"]]
    assert find(f"customer_code={first['customer']['customer_code']}") == [first["id"]]
    assert find("status=success&amount=9000") == [first["id"]]
    assert len(find("amount=9000")) == 2
