"""Refunds: partial, repeated, too much, pending, failing after success."""

from __future__ import annotations

import pytest
import stripe


def test_partial_refunds_until_nothing_is_left(shop):
    intent = shop.pay()
    refunds = shop.client.v1.refunds
    first = refunds.create({"payment_intent": intent.id, "amount": 400, "metadata": {"ours": "1"}})
    assert (first.status, first.amount, first.charge) == ("succeeded", 400, intent.latest_charge)
    rest = refunds.create({"charge": intent.latest_charge, "reason": "duplicate"})
    assert (rest.amount, rest.reason) == (600, "duplicate")
    charge = shop.client.v1.charges.retrieve(intent.latest_charge)
    assert (charge.amount_refunded, charge.refunded) == (1000, True)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        refunds.create({"payment_intent": intent.id})
    assert refused.value.code == "charge_already_refunded"
    assert [refund.id for refund in refunds.list({"payment_intent": intent.id}).data] == [rest.id, first.id]
    ledger = shop.ledger()
    assert ledger["summary"]["refunded_by_currency"] == {"usd": 1000}
    assert ledger["charges"][0]["amount_refunded"] == 1000
    assert ledger["refunds"][0]["metadata"] == {"ours": "1"}


def test_more_than_is_left_is_refused(shop):
    intent = shop.pay()
    shop.client.v1.refunds.create({"payment_intent": intent.id, "amount": 500})
    with pytest.raises(stripe.InvalidRequestError) as refused:
        shop.client.v1.refunds.create({"payment_intent": intent.id, "amount": 600})
    assert refused.value.user_message == ("Refund amount ($6.00) is greater than unrefunded amount on charge ($5.00)")
    assert (refused.value.code, refused.value.param) == (None, "amount")


def test_after_a_partial_capture_only_what_was_captured_can_go_back(shop):
    intent = shop.pay(capture_method="manual")
    shop.client.v1.payment_intents.capture(intent.id, {"amount_to_capture": 300})
    with pytest.raises(stripe.InvalidRequestError, match="unrefunded amount"):
        shop.client.v1.refunds.create({"payment_intent": intent.id, "amount": 301})
    assert shop.client.v1.refunds.create({"payment_intent": intent.id}).amount == 300


def test_nothing_to_refund_before_capture(shop):
    intent = shop.pay(capture_method="manual")
    with pytest.raises(stripe.InvalidRequestError, match="does not have a successful charge to refund"):
        shop.client.v1.refunds.create({"payment_intent": intent.id})


def test_a_refund_that_settles_later(shop, eventually):
    intent = shop.pay(payment_method="pm_card_pendingRefund")
    refund = shop.client.v1.refunds.create({"payment_intent": intent.id})
    assert (refund.status, refund.pending_reason) == ("pending", "processing")
    eventually(lambda: shop.client.v1.refunds.retrieve(refund.id).status == "succeeded")
    assert shop.event_types()[-2:] == ["refund.updated", "charge.refund.updated"]


def test_a_refund_that_fails_after_it_succeeded(shop, eventually):
    intent = shop.pay(payment_method="pm_card_refundFail")
    refund = shop.client.v1.refunds.create({"payment_intent": intent.id, "amount": 250})
    assert refund.status == "succeeded"
    failed = eventually(lambda: (found := shop.client.v1.refunds.retrieve(refund.id)).status == "failed" and found)
    assert failed.failure_balance_transaction.startswith("txn_")
    assert shop.client.v1.charges.retrieve(intent.latest_charge).amount_refunded == 0
    assert shop.ledger()["summary"]["refunded_by_currency"] == {}
    assert "refund.failed" in shop.event_types()


def test_unknown_things(shop):
    for sent in ({"payment_intent": "pi_x"}, {"charge": "ch_x"}):
        with pytest.raises(stripe.InvalidRequestError) as refused:
            shop.client.v1.refunds.create(sent)
        assert (refused.value.http_status, refused.value.code) == (404, "resource_missing")
    with pytest.raises(stripe.InvalidRequestError) as refused:
        shop.client.v1.refunds.create({"amount": 1})
    assert refused.value.code == "parameter_missing"
