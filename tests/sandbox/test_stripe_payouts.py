"""Money on its way to the shop's bank: movements, payouts by the clock, and what each payout is made of."""

from __future__ import annotations

import pytest
import stripe

DAY = 86400


@pytest.fixture
def late_shop(run_sandbox, new_shop):
    """A shop at a sandbox whose clock is the test's own."""
    sandbox = run_sandbox("stripe", "--rate-limit", "0", "--rate-limit-total", "0")
    sandbox.door("POST", "settings", settle_ms=20)
    return new_shop(sandbox)


def pass_days(shop, days):
    shop.sandbox.door("POST", "clock", advance_seconds=days * DAY)


def test_a_payout_is_made_of_what_became_available(late_shop):
    shop = late_shop
    paid = shop.pay(amount=10_000, capture_method="automatic")
    shop.client.v1.refunds.create({"payment_intent": paid.id, "amount": 1_000})
    shop.pay(amount=5_000, currency="eur", capture_method="automatic")
    moved = shop.client.v1.balance_transactions.list({"currency": "usd"}).data
    assert [(one.type, one.amount, one.fee, one.net, one.status) for one in moved] == [
        ("refund", -1_000, 0, -1_000, "pending"),
        ("charge", 10_000, 320, 9_680, "pending"),
    ]
    assert shop.client.v1.payouts.list().data == []
    pass_days(shop, 3.1)
    payouts = {one.currency: one for one in shop.client.v1.payouts.list().data}
    usd = payouts["usd"]
    assert (usd.amount, usd.automatic, payouts["eur"].amount) == (8_680, True, 4_825)
    pass_days(shop, 1.1)
    done = shop.client.v1.payouts.retrieve(usd.id, {"expand": ["balance_transaction"]})
    assert (done.status, done.reconciliation_status) == ("paid", "completed")
    assert (done.balance_transaction.amount, done.balance_transaction.type) == (-8_680, "payout")
    parts = shop.client.v1.balance_transactions.list({"payout": usd.id, "limit": 2})
    rest = shop.client.v1.balance_transactions.list({"payout": usd.id, "starting_after": parts.data[-1].id})
    assert [one.type for one in (*parts.data, *rest.data)] == ["payout", "refund", "charge"]
    assert sum(one.net for one in (*parts.data, *rest.data)) == 0
    assert {one.status for one in rest.data} == {"available"}
    assert [one.type for one in shop.client.v1.balance_transactions.list({"type": "payout"}).data] == ["payout"] * 2
    types = shop.event_types()
    assert types.index("payout.created") < types.index("payout.paid") < types.index("payout.reconciliation_completed")
    assert {(one["amount"], one["status"]) for one in shop.ledger()["payouts"]} == {(8_680, "paid"), (4_825, "paid")}


def test_a_debt_waits_for_money_to_set_against_it(late_shop, eventually):
    shop = late_shop
    shop.pay(amount=1_000, payment_method="pm_card_createDispute", capture_method="automatic")
    eventually(lambda: shop.client.v1.disputes.list().data)
    pass_days(shop, 3.1)
    assert shop.client.v1.payouts.list().data == []
    shop.pay(amount=10_000, capture_method="automatic")
    pass_days(shop, 3.1)
    [payout] = shop.client.v1.payouts.list().data
    assert payout.amount == (1_000 - 59) - (1_000 + 1_500) + (10_000 - 320)


def test_a_payout_that_the_bank_sends_back(late_shop):
    shop = late_shop
    shop.sandbox.door("POST", "accounts", secret_key=shop.key, payouts_fail=True)
    shop.pay(capture_method="automatic", payment_method="pm_card_bypassPending")
    pass_days(shop, 1)
    [payout] = shop.client.v1.payouts.list().data
    assert payout.status == "in_transit"
    pass_days(shop, 1)
    failed = shop.client.v1.payouts.retrieve(payout.id)
    assert (failed.status, failed.failure_code) == ("failed", "account_closed")
    assert shop.client.v1.balance_transactions.retrieve(failed.failure_balance_transaction).type == "payout_failure"
    shop.sandbox.door("POST", "accounts", secret_key=shop.key, payouts_fail=False)
    pass_days(shop, 2)
    assert shop.client.v1.payouts.list({"status": "paid"}).data[0].amount == payout.amount


def test_payouts_survive_a_restart(late_shop):
    shop = late_shop
    shop.pay(capture_method="automatic")
    shop.sandbox.kill()
    shop.sandbox.start()
    answer = shop.sandbox.http.get(
        f"{shop.sandbox.url}/v1/payouts", headers={"Authorization": f"Bearer {shop.key}"}, timeout=5
    )
    assert answer.json()["data"] == []
    shop.sandbox.door("POST", "clock", advance_seconds=3.1 * DAY)
    [payout] = shop.ledger()["payouts"]
    assert payout["amount"] == 941


def test_movements_by_their_source(shop):
    paid = shop.pay(capture_method="automatic", payment_method="pm_card_bypassPending")
    [moved] = shop.client.v1.balance_transactions.list({"source": paid.latest_charge}).data
    assert (moved.status, moved.available_on) == ("available", moved.created)
    assert shop.client.v1.balance_transactions.list({"type": "refund"}).data == []


def test_unknown_payouts(shop):
    for call in (
        lambda: shop.client.v1.payouts.retrieve("po_x"),
        lambda: shop.client.v1.balance_transactions.list({"payout": "po_x"}),
    ):
        with pytest.raises(stripe.InvalidRequestError) as refused:
            call()
        assert (refused.value.http_status, refused.value.code) == (404, "resource_missing")
