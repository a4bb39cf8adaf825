"""Why a try failed: every word of Paystack's and the banks', written out beside what it comes to."""

from __future__ import annotations

from typing import Any

import pytest

from core.domain.outcomes import DeclineCategory
from core.providers.paystack.declines import DECLINES, GATEWAY_CODES, GATEWAY_TEXTS, decline_of

#: Our code, the category, the sentence.
REASONS = [
    ("insufficient_funds", "soft", "The account does not hold enough money."),
    ("issuer_not_available", "soft", "The customer's bank could not be reached."),
    ("processing_error", "soft", "The bank could not process the payment."),
    ("card_velocity_exceeded", "soft", "The card's limit of amount or count is reached."),
    ("expired_card", "hard", "The card has expired."),
    ("lost_card", "hard", "The card was declined."),
    ("stolen_card", "hard", "The card was declined."),
    ("pickup_card", "hard", "The card was declined."),
    ("fraudulent", "hard", "The payment was declined."),
    ("restricted_card", "hard", "The card may not be used for this payment."),
    ("invalid_number", "hard", "The card number is not valid."),
    ("invalid_account", "hard", "The account is closed or does not exist."),
    ("transaction_not_allowed", "hard", "The bank does not allow this kind of payment."),
    ("card_not_supported", "hard", "The card is not supported."),
    ("incorrect_pin", "customer_action", "The PIN is not right."),
    ("pin_try_exceeded", "hard", "The PIN was entered wrongly too often."),
    ("incorrect_cvc", "customer_action", "The card's security code is not right."),
    ("incorrect_otp", "customer_action", "The one-time code is not right."),
    ("authentication_failed", "customer_action", "The customer could not be authenticated."),
    ("customer_canceled", "customer_action", "The customer stopped the payment."),
    ("timed_out", "customer_action", "The payment was not finished in time."),
    ("do_not_honor", "unknown", "The bank declined without a reason."),
    ("generic_decline", "unknown", "The payment was declined."),
]

CODES = [
    ("refer_to_card_issuer", "do_not_honor"),
    ("refer_to_card_issuer_special", "do_not_honor"),
    ("do_not_honor", "do_not_honor"),
    ("pickup_card", "pickup_card"),
    ("pickup_card_special", "pickup_card"),
    ("processing_error", "processing_error"),
    ("reenter_transaction", "processing_error"),
    ("invalid_response", "processing_error"),
    ("suspected_malfunction", "processing_error"),
    ("invalid_account_number", "invalid_number"),
    ("no_such_issuer", "invalid_number"),
    ("invalid_transaction", "transaction_not_allowed"),
    ("customer_cancellation", "customer_canceled"),
    ("no_action_taken", "generic_decline"),
    ("insufficient_funds", "insufficient_funds"),
    ("expired_card", "expired_card"),
    ("lost_card", "lost_card"),
    ("stolen_card", "stolen_card"),
    ("suspected_fraud", "fraudulent"),
    ("restricted_card", "restricted_card"),
    ("incorrect_pin", "incorrect_pin"),
    ("unknown", "generic_decline"),
]

TEXTS = [
    ("declined", "generic_decline"),
    ("transaction declined", "generic_decline"),
    ("access denied", "generic_decline"),
    ("do not honor", "do_not_honor"),
    ("do not honour", "do_not_honor"),
    ("refer to card issuer", "do_not_honor"),
    ("insufficient funds", "insufficient_funds"),
    ("no sufficient funds", "insufficient_funds"),
    ("expired card", "expired_card"),
    ("lost card", "lost_card"),
    ("stolen card", "stolen_card"),
    ("stolen card, pick up", "stolen_card"),
    ("stolen card, pick-up", "stolen_card"),
    ("lost card, pick up", "lost_card"),
    ("lost card, pick-up", "lost_card"),
    ("expired card, pick up", "expired_card"),
    ("pick up card", "pickup_card"),
    ("pick-up card", "pickup_card"),
    ("suspected fraud", "fraudulent"),
    ("denied by fraud system", "fraudulent"),
    ("blocked by fraud system", "fraudulent"),
    ("customer is blacklisted", "fraudulent"),
    ("restricted card", "restricted_card"),
    ("invalid card number", "invalid_number"),
    ("account closed", "invalid_account"),
    ("invalid account", "invalid_account"),
    ("transaction not permitted to cardholder", "transaction_not_allowed"),
    ("transaction not permitted", "transaction_not_allowed"),
    ("currency not supported", "card_not_supported"),
    ("incorrect pin", "incorrect_pin"),
    ("pin tries exceeded", "pin_try_exceeded"),
    ("allowable pin tries exceeded", "pin_try_exceeded"),
    ("incorrect cvv", "incorrect_cvc"),
    ("incorrect otp", "incorrect_otp"),
    ("incorrect date of birth", "authentication_failed"),
    ("authentication failed", "authentication_failed"),
    ("token not generated", "authentication_failed"),
    ("token not generated. customer not registered", "authentication_failed"),
    ("token not generated. customer not registered on token platform", "authentication_failed"),
    ("auth data error", "authentication_failed"),
    ("transaction canceled by user", "customer_canceled"),
    ("transaction cancelled by user", "customer_canceled"),
    ("the transaction was not completed", "timed_out"),
    ("transaction timed out", "timed_out"),
    ("timeout", "timed_out"),
    ("issuer or switch inoperative", "issuer_not_available"),
    ("bank could not be reached", "issuer_not_available"),
    ("an error occurred while processing the request", "issuer_not_available"),
    ("an unknown error has occurred, please contact system administrator", "issuer_not_available"),
    ("exceeds withdrawal limit", "card_velocity_exceeded"),
    ("exceeds withdrawal frequency", "card_velocity_exceeded"),
    ("system error", "processing_error"),
]


def test_these_tests_know_every_row() -> None:
    assert [code for code, _, _ in REASONS] == list(DECLINES)
    assert [code for code, _ in CODES] == list(GATEWAY_CODES)
    assert [text for text, _ in TEXTS] == list(GATEWAY_TEXTS)


@pytest.mark.parametrize(("code", "category", "message"), REASONS)
def test_a_reason_has_its_category_and_its_sentence(code: str, category: str, message: str) -> None:
    words = [{"gateway_response_code": word} for word, found in CODES if found == code]
    words += [{"gateway_response": text} for text, found in TEXTS if found == code]
    assert words, "a reason that no word of theirs leads to"
    for one in words:
        decline = decline_of(one)
        assert (decline.code, decline.category.value, decline.message) == (code, category, message)


@pytest.mark.parametrize(("word", "code"), CODES)
def test_a_gateway_code_has_its_reason(word: str, code: str) -> None:
    decline = decline_of({"gateway_response_code": word.upper(), "gateway_response": "Whatever"})
    if word == "unknown":  # it says nothing, so the text is looked at
        decline = decline_of({"gateway_response_code": word})
    assert (decline.code, decline.provider_code, decline.known) == (code, word, True)


@pytest.mark.parametrize(("text", "code"), TEXTS)
def test_a_gateway_text_is_read_whatever_its_case(text: str, code: str) -> None:
    decline = decline_of({"gateway_response": f" {text.title()}. "})
    assert (decline.code, decline.provider_code, decline.known) == (code, text, True)
    assert decline_of({"message": text}).code == code
    assert decline_of({"gateway_response": {"authorizeResponse": text, "rrn": "1"}}).code == code


def test_the_stable_code_goes_before_the_text_unless_it_says_nothing() -> None:
    both = {"gateway_response_code": "expired_card", "gateway_response": "Declined"}
    assert decline_of(both).code == "expired_card"
    both = {"gateway_response_code": "unknown", "gateway_response": "Insufficient Funds"}
    assert (decline_of(both).code, decline_of(both).provider_code) == ("insufficient_funds", "insufficient funds")


@pytest.mark.parametrize(
    ("data", "theirs"),
    [
        ({"gateway_response": "Never Seen."}, "never seen"),
        ({"gateway_response_code": "never_seen"}, "never_seen"),
        ({"gateway_response_code": "unknown", "gateway_response": "Never seen"}, "never seen"),
        ({"gateway_response": "x" * 300}, "x" * 100),
    ],
)
def test_a_word_nobody_described_is_a_decline_of_unknown_kind_and_is_kept(data: dict[str, Any], theirs: str) -> None:
    decline = decline_of(data)
    assert (decline.code, decline.category) == ("generic_decline", DeclineCategory.UNKNOWN)
    assert (decline.provider_code, decline.known) == (theirs, False)


@pytest.mark.parametrize("data", [{}, {"gateway_response": None}, {"gateway_response": 5, "message": []}])
def test_no_word_at_all_is_no_new_word(data: dict[str, Any]) -> None:
    decline = decline_of(data)
    assert (decline.code, decline.provider_code, decline.known) == ("generic_decline", None, True)
