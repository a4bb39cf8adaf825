"""Disputes: evidence staged and sent, won, lost, accepted, left too long; inquiries; refunds meanwhile."""

from __future__ import annotations

import pytest
import stripe


@pytest.fixture
def dispute(shop, eventually):
    return opened(shop, eventually, "pm_card_createDispute")


def opened(shop, eventually, token):
    intent = shop.pay(payment_method=token)
    return eventually(lambda: shop.client.v1.disputes.list({"payment_intent": intent.id}).data)[0]


def answer(shop, dispute, text, **rest):
    return shop.client.v1.disputes.update(dispute.id, {"evidence": {"uncategorized_text": text}, **rest})


def ended(shop, eventually, dispute, status):
    return eventually(lambda: (now := shop.client.v1.disputes.retrieve(dispute.id)).status == status and now)


def test_a_new_dispute_took_the_money_and_a_fee(shop, dispute):
    assert (dispute.status, dispute.reason, dispute.is_charge_refundable) == ("needs_response", "fraudulent", False)
    [taken] = dispute.balance_transactions
    assert (taken.type, taken.reporting_category, taken.amount, taken.fee, taken.net) == (
        "adjustment", "dispute", -1000, 1500, -2500,
    )  # fmt: skip
    details = dispute.evidence_details
    assert (details.has_evidence, details.past_due, details.submission_count) == (False, False, 0)
    assert dispute.evidence.uncategorized_text is None
    assert shop.client.v1.charges.retrieve(dispute.charge).disputed is True
    assert [one.id for one in shop.client.v1.disputes.list({"charge": dispute.charge}).data] == [dispute.id]
    assert shop.client.v1.disputes.list({"created": {"lt": dispute.created}}).data == []
    [kept] = shop.ledger()["disputes"]
    assert (kept["id"], kept["charge"], kept["status"]) == (dispute.id, dispute.charge, "needs_response")


def test_winning_brings_the_money_back(shop, eventually, dispute):
    sent = answer(shop, dispute, "winning_evidence")
    assert (sent.status, sent.evidence_details.submission_count) == ("under_review", 1)
    won = ended(shop, eventually, dispute, "won")
    assert [moved.net for moved in won.balance_transactions] == [-2500, 2500]
    assert won.balance_transactions[1].reporting_category == "dispute_reversal"
    assert shop.event_types()[-3:] == [
        "charge.dispute.updated", "charge.dispute.funds_reinstated", "charge.dispute.closed",
    ]  # fmt: skip
    assert shop.client.v1.refunds.create({"charge": dispute.charge}).status == "succeeded"


def test_losing_leaves_the_money_with_the_customer(shop, eventually, dispute):
    answer(shop, dispute, "losing_evidence")
    lost = ended(shop, eventually, dispute, "lost")
    assert [moved.net for moved in lost.balance_transactions] == [-2500]
    assert shop.event_types()[-1] == "charge.dispute.closed"
    with pytest.raises(stripe.InvalidRequestError) as refused:
        shop.client.v1.refunds.create({"charge": dispute.charge})
    assert refused.value.code == "charge_disputed"


def test_evidence_can_wait_until_it_is_sent(shop, dispute):
    staged = answer(shop, dispute, "to be sent", submit=False, metadata={"ours": "1"})
    assert (staged.status, staged.evidence_details.has_evidence) == ("needs_response", True)
    assert staged.metadata.to_dict() == {"ours": "1"}
    sent = shop.client.v1.disputes.update(dispute.id, {"submit": True})
    assert (sent.status, sent.evidence.uncategorized_text) == ("under_review", "to be sent")
    with pytest.raises(stripe.InvalidRequestError, match="already been submitted"):
        answer(shop, dispute, "more")
    assert shop.client.v1.disputes.update(dispute.id, {"metadata": {"x": "2"}}).status == "under_review"


def test_a_dispute_that_is_accepted_is_over(shop, dispute):
    assert shop.client.v1.disputes.close(dispute.id).status == "lost"
    for again in (lambda: shop.client.v1.disputes.close(dispute.id), lambda: answer(shop, dispute, "late")):
        with pytest.raises(stripe.InvalidRequestError, match="This dispute is already closed"):
            again()


def test_an_inquiry_moves_no_money_and_closes(shop, eventually):
    inquiry = opened(shop, eventually, "pm_card_createDisputeInquiry")
    assert (inquiry.status, inquiry.balance_transactions, inquiry.is_charge_refundable) == (
        "warning_needs_response", [], True,
    )  # fmt: skip
    assert answer(shop, inquiry, "losing_evidence").status == "warning_under_review"
    assert ended(shop, eventually, inquiry, "warning_closed").balance_transactions == []


def test_an_inquiry_ends_when_everything_is_given_back(shop, eventually):
    inquiry = opened(shop, eventually, "pm_card_createDisputeInquiry")
    shop.client.v1.refunds.create({"charge": inquiry.charge, "amount": 400})
    assert shop.client.v1.disputes.retrieve(inquiry.id).status == "warning_needs_response"
    shop.client.v1.refunds.create({"charge": inquiry.charge})
    assert shop.client.v1.disputes.retrieve(inquiry.id).status == "warning_closed"


def test_an_inquiry_can_become_a_dispute(shop, eventually):
    inquiry = opened(shop, eventually, "pm_card_createDisputeInquiry")
    answer(shop, inquiry, "escalate_inquiry_evidence")
    escalated = ended(shop, eventually, inquiry, "needs_response")
    assert ([moved.net for moved in escalated.balance_transactions], escalated.is_charge_refundable) == ([-2500], False)
    assert shop.event_types()[-1] == "charge.dispute.funds_withdrawn"
    answer(shop, inquiry, "winning_evidence")
    ended(shop, eventually, inquiry, "won")


def test_a_refund_that_a_dispute_overtakes_fails(shop, eventually):
    inquiry = opened(shop, eventually, "pm_card_createDisputeInquiry")
    refunds = shop.client.v1.refunds
    early = refunds.create({"charge": inquiry.charge, "amount": 100})
    shop.sandbox.door("POST", "settings", settle_ms=800)
    answer(shop, inquiry, "escalate_inquiry_evidence")
    shop.sandbox.door("POST", "settings", settle_ms=50)
    late = refunds.create({"charge": inquiry.charge, "amount": 200})
    assert late.status == "succeeded"
    failed = eventually(lambda: (now := refunds.retrieve(late.id)).status == "failed" and now)
    assert failed.failure_reason == "charge_for_pending_refund_disputed"
    assert refunds.retrieve(early.id).status == "succeeded"
    assert shop.client.v1.charges.retrieve(inquiry.charge).amount_refunded == 100


def test_silence_loses_and_an_inquiry_fades(run_sandbox, new_shop, eventually):
    sandbox = run_sandbox("stripe", "--rate-limit", "0", "--rate-limit-total", "0")
    sandbox.door("POST", "settings", settle_ms=20)
    shop = new_shop(sandbox)
    lost = opened(shop, eventually, "pm_card_createDispute")
    staged = opened(shop, eventually, "pm_card_createDispute")
    answer(shop, staged, "never sent", submit=False)
    inquiry = opened(shop, eventually, "pm_card_createDisputeInquiry")
    shop.sandbox.door("POST", "clock", advance_seconds=10 * 86400)
    silent = shop.client.v1.disputes.retrieve(lost.id)
    assert (silent.status, silent.evidence_details.past_due) == ("lost", True)
    assert shop.client.v1.disputes.retrieve(staged.id).status == "under_review"
    assert shop.client.v1.disputes.retrieve(inquiry.id).status == "warning_needs_response"
    shop.sandbox.door("POST", "clock", advance_seconds=120 * 86400)
    assert shop.client.v1.disputes.retrieve(inquiry.id).status == "warning_closed"


def test_unknown_and_refused(shop, dispute):
    for call in (
        lambda: shop.client.v1.disputes.retrieve("du_x"),
        lambda: shop.client.v1.disputes.close("du_x"),
    ):
        with pytest.raises(stripe.InvalidRequestError) as refused:
            call()
        assert (refused.value.http_status, refused.value.code) == (404, "resource_missing")
    with pytest.raises(stripe.InvalidRequestError, match="Received unknown parameter: evidence"):
        shop.client.v1.disputes.update(dispute.id, {"evidence": {"colour": "red"}})


def test_a_warning_of_fraud_is_told_and_moves_nothing(shop, eventually):
    intent = shop.pay(payment_method="pm_card_createIssuerFraudRecord")
    eventually(lambda: "radar.early_fraud_warning.created" in shop.event_types())
    [event] = shop.client.v1.events.list({"type": "radar.early_fraud_warning.created"}).data
    assert (event.data.object.charge, event.data.object.actionable) == (intent.latest_charge, True)
