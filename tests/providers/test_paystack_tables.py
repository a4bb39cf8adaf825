"""Every row of Paystack's literal tables."""

from __future__ import annotations

from typing import Any

import pytest

from core.domain.outcomes import (
    ActionRequired,
    DeclineCategory,
    Declined,
    NotExecuted,
    NotExecutedReason,
    Pending,
    Succeeded,
    Unknown,
)
from core.providers.paystack import PaystackProvider
from core.providers.paystack.declines import DECLINES, GATEWAY_CODES, GATEWAY_TEXTS, decline_of
from core.providers.paystack.outcomes import (
    ERROR_CODES,
    ERROR_MESSAGES,
    HTTP_CODES,
    REFUND_STATUSES,
    TRANSACTION_STATUSES,
    Answer,
    refusal,
)
from core.providers.paystack.payments import (
    read_transaction,
)
from core.providers.paystack.refunds import read_refund
from tests.providers.paystack_driver import (
    CHARGE,
    NUMBER,
    REFERENCE,
    REFUND,
    refund_answer,
    refused,
    verified,
)

TRANSACTIONS = {
    "success": Succeeded,
    "reversed": Succeeded,
    "failed": ActionRequired,
    "abandoned": ActionRequired,
    "ongoing": Pending,
    "pending": Pending,
    "processing": Pending,
    "queued": Pending,
}
REFUNDS = {
    "pending": Pending,
    "processing": Pending,
    "processed": Succeeded,
    "failed": Declined,
    "needs-attention": ActionRequired,
}


def transaction(status: str = "success", **changes: Any) -> Any:
    return read_transaction(Answer(200, verified(status, **changes)), REFERENCE, CHARGE)


def test_these_tests_know_every_row() -> None:
    assert TRANSACTIONS.keys() == TRANSACTION_STATUSES.keys()
    assert REFUNDS.keys() == REFUND_STATUSES.keys()


@pytest.mark.parametrize(("status", "expected"), TRANSACTIONS.items())
def test_a_transaction_status_has_its_outcome(status: str, expected: type) -> None:
    outcome = transaction(status)
    assert type(outcome) is expected
    assert outcome.facts.provider_id == REFERENCE
    assert outcome.facts.provider_charge_id == str(NUMBER)
    assert outcome.facts.extra["status"] == status
    paid = expected is Succeeded
    assert outcome.facts.amount_received == (500000 if paid else None)
    if expected is ActionRequired:
        assert outcome.next_action is None


@pytest.mark.parametrize(("status", "expected"), REFUNDS.items())
def test_a_refund_status_has_its_outcome(status: str, expected: type) -> None:
    outcome: Any = read_refund(Answer(200, refund_answer(status)), REFUND)
    assert type(outcome) is expected
    facts = outcome.facts
    assert (facts.provider_id, facts.amount, facts.currency) == ("15581137", 100000, "NGN")
    assert facts.extra == {"status": status}


def test_a_failed_refund_says_so_in_our_words() -> None:
    outcome = read_refund(Answer(200, refund_answer("failed")), REFUND)
    assert isinstance(outcome, Declined)
    assert outcome.decline.code == "refund_failed"


@pytest.mark.parametrize("status", ["settled", "SUCCESS", "", None, 1, [], {}])
def test_a_status_nobody_described_is_unknown(status: Any) -> None:
    assert isinstance(transaction(status), Unknown)
    assert isinstance(read_refund(Answer(200, refund_answer(status)), REFUND), Unknown)


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


def test_a_failed_try_keeps_its_reason() -> None:
    outcome = transaction("failed", gateway_response="Insufficient Funds")
    assert outcome.facts.extra == {
        "status": "failed",
        "decline_code": "insufficient_funds",
        "decline_category": "soft",
    }


def test_every_gateway_word_has_a_decline() -> None:
    assert set(GATEWAY_TEXTS.values()) | set(GATEWAY_CODES.values()) <= DECLINES.keys()
    for text in GATEWAY_TEXTS:
        assert text == text.strip().lower().rstrip("."), text


@pytest.mark.parametrize(("text", "code"), GATEWAY_TEXTS.items())
def test_a_gateway_text_is_read_whatever_its_case(text: str, code: str) -> None:
    decline = decline_of({"gateway_response": f" {text.title()}. "})
    assert decline.code == code
    assert decline.category is DECLINES[code][0]


@pytest.mark.parametrize(("word", "code"), GATEWAY_CODES.items())
def test_a_gateway_code_has_its_decline(word: str, code: str) -> None:
    assert decline_of({"gateway_response_code": word}).code == code


def test_the_stable_code_goes_before_the_text_unless_it_says_nothing() -> None:
    both = {"gateway_response_code": "expired_card", "gateway_response": "Declined"}
    assert decline_of(both).code == "expired_card"
    both = {"gateway_response_code": "unknown", "gateway_response": "Insufficient Funds"}
    assert decline_of(both).code == "insufficient_funds"


@pytest.mark.parametrize("data", [{}, {"gateway_response": None}, {"gateway_response": "Never seen"}])
def test_a_reason_nobody_described_is_a_decline_of_unknown_kind(data: dict[str, Any]) -> None:
    decline = decline_of(data)
    assert (decline.code, decline.category) == ("generic_decline", DeclineCategory.UNKNOWN)


@pytest.mark.parametrize(("status", "reason"), HTTP_CODES.items())
def test_an_http_code_decides_where_the_body_does_not(status: int, reason: NotExecutedReason) -> None:
    outcome = refusal(Answer(status, refused("No")))
    assert isinstance(outcome, NotExecuted)
    assert outcome.reason is reason


@pytest.mark.parametrize(("code", "verdict"), ERROR_CODES.items())
@pytest.mark.parametrize("status", [200, 400, 404, 409])
def test_an_error_code_decides_before_the_http_code(status: int, code: str, verdict: Any) -> None:
    assert_verdict(refusal(Answer(status, refused("No", code))), verdict)


@pytest.mark.parametrize(("message", "verdict"), ERROR_MESSAGES.items())
@pytest.mark.parametrize("status", [200, 400, 404])
def test_a_message_decides_where_there_is_no_code(status: int, message: str, verdict: Any) -> None:
    assert_verdict(refusal(Answer(status, refused(message.title() + "."))), verdict)


def assert_verdict(outcome: Any, verdict: Any) -> None:
    if isinstance(verdict, NotExecutedReason):
        assert isinstance(outcome, NotExecuted)
        assert outcome.reason is verdict
    else:
        assert isinstance(outcome, Unknown)
        assert outcome.evidence["seen"] == verdict


@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, None),
        Answer(200, {}),
        Answer(200, {"status": "true", "data": {}}),
        Answer(200, {"status": 1}),
        Answer(200, refused("No")),
        Answer(301, None),
        Answer(400, None),
        Answer(400, {"status": True}),
        Answer(401, None),
        Answer(409, refused("No")),
        Answer(500, refused("Invalid key", "invalid_params")),
        Answer(503, None),
    ],
    ids=str,
)
def test_what_proves_nothing_is_unknown(answer: Answer) -> None:
    assert isinstance(refusal(answer), Unknown)


def test_only_an_agreeing_answer_is_accepted() -> None:
    assert refusal(Answer(200, {"status": True})) is None
    assert refusal(Answer(201, {"status": True})) is None


def test_what_paystack_cannot_do_is_declared() -> None:
    capabilities = PaystackProvider.capabilities
    assert capabilities.methods == {"redirect"}
    assert not capabilities.void
    assert not capabilities.manual_capture_methods
    assert not capabilities.failure_webhooks
    assert capabilities.resend_window_seconds is None
    assert (capabilities.not_found_lookups, capabilities.unknown_review_seconds) == (2, 72 * 3600)
