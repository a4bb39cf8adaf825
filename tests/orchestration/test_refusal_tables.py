"""Why something is refused, and which refusals are worth another try: the tables, written out."""

from __future__ import annotations

from core.orchestration import dispute_answers, enrol, permits


def test_refusals_of_a_dispute_that_another_try_may_not_meet() -> None:
    assert {one.value for one in dispute_answers._PASSING} == {
        "connection",
        "breaker_open",
        "rate_limited",
        "lock_timeout",
    }


def test_refusals_of_a_customer_that_no_try_can_mend() -> None:
    assert {one.value for one in enrol._FINAL} == {"misconfigured", "invalid_request"}


def test_what_an_answer_to_a_dispute_needs_of_a_provider() -> None:
    needed = {"send_evidence": "evidence", "accept_dispute": "accept"}
    assert needed == dispute_answers._CAPABILITY
    assert needed == dispute_answers._KEY
    assert dispute_answers._CANNOT == {
        "send_evidence": "takes no evidence through its API; answer in its dashboard",
        "accept_dispute": "cannot be told that a dispute is accepted; let it run out",
    }


def test_why_a_dispute_takes_no_answer() -> None:
    assert dispute_answers._WHY_NOT == {
        "under_review": "the dispute was answered already; the bank looks at it",
        "won": "the dispute is already won",
        "lost": "the dispute is already lost",
        "closed": "the dispute is already closed",
    }


def test_refunds_that_have_given_or_may_still_give_money_back() -> None:
    assert {"processing", "requires_action", "succeeded"} == permits._ALIVE
    assert {"processing", "requires_action"} == permits._UNDER_WAY


def test_why_a_payment_cannot_be_captured_or_canceled() -> None:
    assert permits._WHY_NOT_CAPTURED == {
        "processing": "the payment is not authorized yet; wait for its job",
        "requires_action": "the customer has not finished yet",
        "succeeded": "the payment is already captured",
        "failed": "the payment failed",
        "canceled": "the payment was canceled",
    }
    assert permits._WHY_NOT_CANCELED == {
        "succeeded": "the payment succeeded; give the money back with a refund",
        "failed": "the payment has already failed",
        "canceled": "the payment is already canceled",
    }
