"""How each provider's list of charges is read, status by status."""

from __future__ import annotations

from typing import Any

import pytest

from core.domain.outcomes import NotExecutedReason
from core.providers.paystack import changes, statement
from core.providers.paystack import charges as paystack
from core.providers.stripe import charges as stripe

STRIPE = {
    "requires_payment_method": "open",
    "requires_confirmation": "open",
    "requires_action": "open",
    "processing": "open",
    "requires_capture": "held",
    "succeeded": "succeeded",
    "canceled": "ended",
    "a_word_of_tomorrow": "open",
}
PAYSTACK = {
    "success": "succeeded",
    "reversed": "succeeded",
    "abandoned": "open",
    "failed": "open",
    "ongoing": "open",
    "pending": "open",
    "processing": "open",
    "queued": "open",
}


def intent(**changes_: Any) -> dict[str, Any]:
    body = {
        "id": "pi_1",
        "status": "succeeded",
        "amount": 5000,
        "amount_received": 5000,
        "currency": "usd",
        "latest_charge": {"id": "ch_1", "amount_refunded": 700},
        "metadata": {"tollgate_transaction": "txn_1"},
        "created": 1_790_000_000,
        "capture_method": "automatic",
    }
    return {**body, **changes_}


@pytest.mark.parametrize(("status", "expected"), STRIPE.items())
def test_a_payment_intent(status: str, expected: str) -> None:
    seen = stripe.seen_of(intent(status=status))
    assert seen is not None
    assert seen.status == expected
    known = (seen.provider_id, seen.charge_id, seen.transaction_id, seen.amount, seen.received, seen.refunded)
    assert known == ("pi_1", "ch_1", "txn_1", 5000, 5000, 700)


def test_every_status_of_an_intent_is_known() -> None:
    assert {**STRIPE, "a_word_of_tomorrow": "open"} == {**stripe.STATUSES, "a_word_of_tomorrow": "open"}


def test_a_capture_in_part_is_no_refund() -> None:
    seen = stripe.seen_of(intent(capture_method="manual", amount_received=3000))
    assert seen is not None
    assert (seen.received, seen.refunded) == (3000, None)


def test_what_is_no_sum_of_ours_is_left_out() -> None:
    assert stripe.seen_of(intent(amount=None)) is None
    assert stripe.seen_of(intent(currency=None)) is None
    assert stripe.seen_of(intent(currency="isk", amount=5001)) is None


def test_every_status_of_a_transaction_at_paystack() -> None:
    assert dict(paystack.STATUSES) == PAYSTACK


def test_an_integration_without_holds_is_refused_in_one_of_these_ways() -> None:
    assert set(changes.NO_HOLDS) == {NotExecutedReason.INVALID_REQUEST, NotExecutedReason.MISCONFIGURED}


def test_a_settlement_s_content_is_final_in_these_statuses() -> None:
    assert tuple(statement._ENDED) == ("success", "failed")
