"""Every status of Paystack's objects, written out beside what it comes to."""

from __future__ import annotations

from typing import Any

import pytest

from core.domain.outcomes import (
    ActionRequired,
    Canceled,
    Declined,
    DisputeFacts,
    NotFound,
    Pending,
    Succeeded,
    Unknown,
)
from core.providers.paystack import PaystackProvider
from core.providers.paystack.disputes import read
from core.providers.paystack.holds import read_hold
from core.providers.paystack.outcomes import Answer
from core.providers.paystack.refunds import read_refund
from core.providers.paystack.statuses import (
    CAPTURE_STATUSES,
    CARD_HOLD_STATUSES,
    CHARGE_STATUSES,
    DISPUTE_RESOLUTIONS,
    DISPUTE_STATUSES,
    HOLD_STATUSES,
    REFUND_STATUSES,
    RELEASE_STATUSES,
    TRANSACTION_STATUSES,
    UNANSWERED_CARD_HOLD_STATUSES,
    UNANSWERED_CHARGE_STATUSES,
)
from core.providers.paystack.transactions import read_capture, read_transaction
from tests.providers.paystack_driver import (
    CHARGE,
    NUMBER,
    PAYMENT,
    REFERENCE,
    REFUND,
    dispute_answer,
    hold_answer,
    refund_answer,
    verified,
)

PAID_ON_A_PAGE = {
    "success": Succeeded,
    "reversed": Succeeded,
    "failed": ActionRequired,
    "abandoned": ActionRequired,
    "ongoing": ActionRequired,
    "pending": Pending,
    "processing": Pending,
    "queued": Pending,
}
WITHOUT_A_PAGE = {**PAID_ON_A_PAGE, "failed": Declined, "ongoing": Pending}
UNANSWERED = {**PAID_ON_A_PAGE, "failed": Declined}
HELD_ON_A_PAGE = {
    "authorized": Succeeded,
    "captured": Succeeded,
    "capture_failed": Succeeded,
    "release_failed": Succeeded,
    "released": Canceled,
    "abandoned": ActionRequired,
    "failed": ActionRequired,
    "ongoing": ActionRequired,
}
HELD_ON_A_CARD = {**HELD_ON_A_PAGE, "failed": Declined, "ongoing": Pending}
HOLD_UNANSWERED = {**HELD_ON_A_PAGE, "failed": Declined}
CAPTURED = {
    "authorized": NotFound,
    "release_failed": NotFound,
    "ongoing": Pending,
    "captured": Succeeded,
    "capture_failed": Declined,
    "released": Canceled,
}
RELEASED = {
    "authorized": NotFound,
    "capture_failed": NotFound,
    "ongoing": Pending,
    "released": Succeeded,
    "captured": Declined,
    "release_failed": Declined,
}
REFUNDS = {
    "pending": Pending,
    "processing": Pending,
    "processed": Succeeded,
    "failed": Declined,
    "needs-attention": ActionRequired,
}
DISPUTES = [
    ("pending", None, "needs_response"),
    ("awaiting-merchant-feedback", None, "needs_response"),
    ("awaiting-bank-feedback", None, "under_review"),
    ("awaiting-bank-feedback", "declined", "under_review"),
    ("resolved", "merchant-accepted", "lost"),
    ("resolved", "auto-accepted", "lost"),
    ("resolved", "declined", "won"),
    ("resolved", None, "closed"),
]


def test_these_tests_know_every_row() -> None:
    assert PAID_ON_A_PAGE.keys() == TRANSACTION_STATUSES.keys()
    assert WITHOUT_A_PAGE.keys() == CHARGE_STATUSES.keys()
    assert UNANSWERED.keys() == UNANSWERED_CHARGE_STATUSES.keys()
    assert HOLD_UNANSWERED.keys() == UNANSWERED_CARD_HOLD_STATUSES.keys()
    assert HELD_ON_A_PAGE.keys() == HOLD_STATUSES.keys()
    assert HELD_ON_A_CARD.keys() == CARD_HOLD_STATUSES.keys()
    assert CAPTURED.keys() == CAPTURE_STATUSES.keys()
    assert RELEASED.keys() == RELEASE_STATUSES.keys()
    assert REFUNDS.keys() == REFUND_STATUSES.keys()
    assert {status for status, _, _ in DISPUTES} == {*DISPUTE_STATUSES, "resolved"}
    assert {why for status, why, _ in DISPUTES if status == "resolved"} == set(DISPUTE_RESOLUTIONS)


def transaction(status: str = "success", **changes: Any) -> Any:
    return read_transaction(Answer(200, verified(status, **changes)), REFERENCE, CHARGE)


def hold(statuses: Any, status: Any, **changes: Any) -> Any:
    return read_hold(Answer(200, hold_answer(status, **changes)), REFERENCE, CHARGE, statuses)


@pytest.mark.parametrize(("status", "expected"), PAID_ON_A_PAGE.items())
def test_a_transaction_status_has_its_outcome(status: str, expected: type) -> None:
    outcome = transaction(status)
    assert type(outcome) is expected
    assert outcome.facts.provider_id == REFERENCE
    assert outcome.facts.provider_charge_id == str(NUMBER)
    assert outcome.facts.extra["status"] == status
    paid = expected is Succeeded
    assert outcome.facts.amount_received == (500000 if paid else None)
    assert outcome.facts.amount_captured == (500000 if paid else None)
    if expected is ActionRequired:
        assert outcome.next_action is None


@pytest.mark.parametrize(("status", "expected"), WITHOUT_A_PAGE.items())
def test_a_charge_without_a_page_has_its_outcome(status: str, expected: type) -> None:
    answer = Answer(200, verified(status, gateway_response="Expired card"))
    for outcome in (
        read_transaction(answer, REFERENCE, CHARGE, CHARGE_STATUSES),
        read_capture(answer, REFERENCE, PAYMENT),
    ):
        assert type(outcome) is expected
        assert not isinstance(outcome, Declined) or outcome.decline.code == "expired_card"
        assert getattr(outcome, "facts").amount_received == (500000 if expected is Succeeded else None)  # noqa: B009


@pytest.mark.parametrize(("status", "expected"), UNANSWERED.items())
def test_a_charge_whose_answer_was_lost_has_its_outcome(status: str, expected: type) -> None:
    answer = Answer(200, verified(status, gateway_response="Expired card"))
    assert type(read_transaction(answer, REFERENCE, CHARGE, UNANSWERED_CHARGE_STATUSES)) is expected


@pytest.mark.parametrize(("status", "expected"), HOLD_UNANSWERED.items())
def test_a_hold_whose_answer_was_lost_has_its_outcome(status: str, expected: type) -> None:
    assert type(hold(UNANSWERED_CARD_HOLD_STATUSES, status)) is expected


@pytest.mark.parametrize(("status", "expected"), HELD_ON_A_PAGE.items())
def test_a_hold_on_a_page_has_its_outcome(status: str, expected: type) -> None:
    outcome = hold(HOLD_STATUSES, status)
    assert type(outcome) is expected
    assert outcome.facts.provider_id == REFERENCE
    assert outcome.facts.provider_charge_id is None
    assert outcome.facts.extra == {"object": "preauthorization", "preauthorization": "523", "status": status}
    assert outcome.facts.amount_authorized == (100000 if expected is Succeeded else None)
    assert outcome.facts.amount_received is None


@pytest.mark.parametrize(("status", "expected"), HELD_ON_A_CARD.items())
def test_a_hold_on_a_saved_card_has_its_outcome(status: str, expected: type) -> None:
    outcome = hold(CARD_HOLD_STATUSES, status, gateway_response={"authorizeResponse": "Insufficient Funds"})
    assert type(outcome) is expected
    assert not isinstance(outcome, Declined) or outcome.decline.code == "insufficient_funds"


@pytest.mark.parametrize(("status", "expected"), CAPTURED.items())
def test_a_hold_says_what_became_of_its_capture(status: str, expected: type) -> None:
    outcome = hold(CAPTURE_STATUSES, status)
    assert type(outcome) is expected
    if expected is Canceled:
        assert outcome.reason == "released"
    if expected is Declined:
        assert outcome.decline.code == "generic_decline"


@pytest.mark.parametrize(("status", "expected"), RELEASED.items())
def test_a_hold_says_what_became_of_its_release(status: str, expected: type) -> None:
    outcome = hold(RELEASE_STATUSES, status)
    assert type(outcome) is expected
    if expected is Declined:
        assert outcome.decline.code == {"captured": "already_captured", "release_failed": "release_failed"}[status]


@pytest.mark.parametrize(("status", "expected"), REFUNDS.items())
def test_a_refund_status_has_its_outcome(status: str, expected: type) -> None:
    outcome: Any = read_refund(Answer(200, refund_answer(status)), REFUND)
    assert type(outcome) is expected
    facts = outcome.facts
    assert (facts.provider_id, facts.amount, facts.currency) == ("15581137", 100000, "NGN")
    assert facts.extra == {"status": status}
    assert not isinstance(outcome, Declined) or outcome.decline.code == "refund_failed"


@pytest.mark.parametrize(("status", "resolution", "expected"), DISPUTES)
def test_a_dispute_has_its_status(status: str, resolution: str | None, expected: str) -> None:
    found = read(Answer(200, dispute_answer(status, resolution)))
    assert isinstance(found, DisputeFacts)
    assert found.status == expected
    over = expected in ("won", "closed")
    assert (found.withheld, found.refundable) == (not over, over)


@pytest.mark.parametrize("status", ["settled", "SUCCESS", "", None, 1, [], {}])
def test_a_status_nobody_described_is_unknown(status: Any) -> None:
    assert isinstance(transaction(status), Unknown)
    assert isinstance(read_refund(Answer(200, refund_answer(status)), REFUND), Unknown)
    assert isinstance(hold(CAPTURE_STATUSES, status), Unknown)
    for resolution in (None, "declined"):
        assert isinstance(read(Answer(200, dispute_answer(status, resolution))), Unknown)


@pytest.mark.parametrize("resolution", ["", "withdrawn", 1, [], {}])
def test_a_resolution_nobody_described_is_unknown(resolution: Any) -> None:
    assert isinstance(read(Answer(200, dispute_answer("resolved", resolution))), Unknown)


def test_money_that_was_taken_and_reversed_is_money_taken() -> None:
    outcome = transaction("reversed")
    assert isinstance(outcome, Succeeded)
    assert outcome.facts.extra == {"status": "reversed", "reversed": "true"}


def test_a_fee_borne_by_the_customer_is_told_apart_from_the_amount() -> None:
    facts = transaction(amount=40333, requested_amount=30050, fees=10283).facts
    assert (facts.amount, facts.amount_received, facts.fee) == (30050, 40333, 10283)


def test_too_little_paid_never_compares_equal() -> None:
    facts = transaction(amount=400000, requested_amount=500000).facts
    assert (facts.amount, facts.amount_received) == (400000, 400000)


@pytest.mark.parametrize("requested", [None, "500000", 500000])
def test_the_amount_is_read_from_numbers_and_text(requested: Any) -> None:
    facts = transaction(amount="500000", requested_amount=requested).facts
    assert facts.amount == facts.amount_received == facts.amount_captured == 500000


def test_francs_are_read_from_hundredths() -> None:
    facts = transaction(amount=150000, requested_amount="150000", currency="xof", fees=4801).facts
    assert (facts.amount, facts.amount_received, facts.currency, facts.fee) == (1500, 1500, "XOF", 49)


@pytest.mark.parametrize(
    "changes",
    [
        {"amount": None, "requested_amount": None},
        {"amount": 10.5},
        {"amount": "10.5"},
        {"amount": True},
        {"amount": -1},
        {"currency": None},
        {"currency": "QQQ"},
        {"reference": "another"},
        {"reference": None},
        {"metadata": {"tollgate_transaction": "txn_00000000000000000000000009"}},
        {"currency": "XOF", "amount": 150, "requested_amount": 150},
    ],
)
def test_money_is_never_received_on_a_guess(changes: dict[str, Any]) -> None:
    assert isinstance(transaction(**changes), Unknown)


@pytest.mark.parametrize(
    "changes",
    [
        {"amount": None},
        {"amount": 10.5},
        {"currency": None},
        {"reference": "another"},
        {"metadata": {"tollgate_transaction": "txn_00000000000000000000000009"}},
    ],
)
def test_money_is_never_held_on_a_guess(changes: dict[str, Any]) -> None:
    assert isinstance(hold(HOLD_STATUSES, "authorized", **changes), Unknown)


@pytest.mark.parametrize(
    "changes",
    [
        {"reference": "another"},
        {"amount": None, "requested_amount": None},
        {"metadata": {"tollgate_payment": "pay_00000000000000000000000009"}},
    ],
)
def test_a_capture_is_never_believed_on_a_guess(changes: dict[str, Any]) -> None:
    assert isinstance(read_capture(Answer(200, verified(**changes)), REFERENCE, PAYMENT), Unknown)


def test_a_capture_is_read_from_both_forms_of_its_answer() -> None:
    flat = verified(amount=80000, requested_amount=None, currency="ZAR", fees=373, channel="preauth")
    inside = {name: value for name, value in flat["data"].items() if name not in ("amount", "requested_amount")}
    nested = {"status": True, "data": {"amount": 80000, "status": "success", "transaction": inside}}
    for body in (flat, nested):
        outcome = read_capture(Answer(200, body), REFERENCE, PAYMENT)
        assert isinstance(outcome, Succeeded)
        facts = outcome.facts
        assert (facts.amount_captured, facts.amount_received, facts.fee) == (80000, 80000, 373)
        assert (facts.provider_id, facts.provider_charge_id) == (REFERENCE, str(NUMBER))


def test_a_failed_try_keeps_its_reason() -> None:
    outcome = transaction("failed", gateway_response="Insufficient Funds")
    assert outcome.facts.extra == {
        "status": "failed",
        "decline_code": "insufficient_funds",
        "decline_category": "soft",
    }


@pytest.mark.parametrize("evidence", [{"message": "x"}, {"evidence": 7}, {"attachments": "x.txt"}])
def test_evidence_is_sent_once_the_bank_has_it(evidence: dict[str, Any]) -> None:
    def sent(status: str, resolution: str | None) -> bool:
        found = read(Answer(200, dispute_answer(status, resolution, **evidence)))
        assert isinstance(found, DisputeFacts)
        return found.evidence_sent

    assert not sent("awaiting-merchant-feedback", None)
    assert sent("awaiting-bank-feedback", None)
    assert sent("resolved", "declined")
    assert not sent("resolved", "merchant-accepted")
    assert sent("resolved", "auto-accepted") == ("attachments" in evidence)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ("pay.01k0-start-1", "4099260516")),
        ({"transaction": 4099260516, "transaction_reference": "pay.01k0-start-1"}, ("pay.01k0-start-1", "4099260516")),
        ({"transaction": None, "merchant_transaction_reference": "r"}, ("r",)),
        ({"transaction": {}}, ()),
    ],
)
def test_a_dispute_names_its_charge_in_every_form(changes: dict[str, Any], expected: tuple[str, ...]) -> None:
    found = read(Answer(200, dispute_answer(**changes)))
    assert isinstance(found, DisputeFacts)
    assert found.charge_ids == expected


@pytest.mark.parametrize("changes", [{"id": None}, {"refund_amount": "x"}, {"currency": "QQQ"}])
def test_a_dispute_that_cannot_be_read_is_unknown(changes: dict[str, Any]) -> None:
    outcome = read(Answer(200, dispute_answer(**changes)))
    assert isinstance(outcome, Unknown)
    assert outcome.evidence["seen"]


def test_what_paystack_cannot_do_is_declared() -> None:
    capabilities = PaystackProvider.capabilities
    assert capabilities.methods == {"redirect", "saved"}
    assert capabilities.manual_capture_methods == {"redirect", "saved"}
    assert capabilities.manual_capture_currencies == {"ZAR"}
    assert capabilities.save_methods == {"redirect"}
    assert capabilities.disputes == {"read", "evidence", "accept"}
    assert capabilities.void
    assert not capabilities.close_unfinished
    assert not capabilities.failure_webhooks
    assert not capabilities.customer_objects
    assert capabilities.resend_window_seconds is None
    assert (capabilities.not_found_lookups, capabilities.unknown_review_seconds) == (2, 72 * 3600)
