"""Why Stripe declined, word for word: what stands here is what the tables have to say, written down apart from them."""

from __future__ import annotations

from typing import Any

import pytest

from core.domain.outcomes import Decline, DeclineCategory
from core.providers.stripe import declines

HARD, SOFT = DeclineCategory.HARD, DeclineCategory.SOFT
CUSTOMER, UNKNOWN = DeclineCategory.CUSTOMER_ACTION, DeclineCategory.UNKNOWN

DECLINES = [
    ("lost_card", "lost_card", HARD, "The card was declined."),
    ("stolen_card", "stolen_card", HARD, "The card was declined."),
    ("pickup_card", "pickup_card", HARD, "The card was declined."),
    ("fraudulent", "fraudulent", HARD, "The card was declined."),
    ("merchant_blacklist", "fraudulent", HARD, "The card was declined."),
    ("security_violation", "fraudulent", HARD, "The card was declined."),
    ("restricted_card", "restricted_card", HARD, "The card may not be used for this payment."),
    ("invalid_account", "invalid_account", HARD, "The account is closed or does not exist."),
    ("new_account_information_available", "invalid_account", HARD, "The card has been replaced by another."),
    ("invalid_number", "invalid_number", HARD, "The card number is not valid."),
    ("incorrect_number", "invalid_number", HARD, "The card number is not valid."),
    ("expired_card", "expired_card", HARD, "The card has expired."),
    ("revocation_of_authorization", "payment_revoked", HARD, "The customer has stopped payments to this shop."),
    ("revocation_of_all_authorizations", "payment_revoked", HARD, "The customer has stopped all such payments."),
    ("stop_payment_order", "payment_revoked", HARD, "The customer has stopped this payment."),
    ("transaction_not_allowed", "transaction_not_allowed", HARD, "The bank does not allow this kind of payment."),
    ("card_not_supported", "card_not_supported", HARD, "The card is not supported."),
    ("currency_not_supported", "card_not_supported", HARD, "The card does not support the currency."),
    ("test_mode_live_card", "card_not_supported", HARD, "A real card cannot be used in test mode."),
    ("testmode_decline", "card_not_supported", HARD, "A test card cannot be used here."),
    ("insufficient_funds", "insufficient_funds", SOFT, "The account does not hold enough money."),
    ("processing_error", "processing_error", SOFT, "The bank could not process the payment."),
    ("reenter_transaction", "processing_error", SOFT, "The bank could not process the payment."),
    ("approve_with_id", "processing_error", SOFT, "The payment could not be authorized."),
    ("try_again_later", "processing_error", SOFT, "The bank asks to try again later."),
    ("issuer_not_available", "issuer_not_available", SOFT, "The customer's bank could not be reached."),
    ("card_velocity_exceeded", "card_velocity_exceeded", SOFT, "The card's limit of amount or count is reached."),
    ("withdrawal_count_limit_exceeded", "card_velocity_exceeded", SOFT, "The card's limit is reached."),
    ("authentication_required", "authentication_required", CUSTOMER, "The bank wants the customer to authenticate."),
    ("authentication_not_handled", "authentication_required", CUSTOMER, "The customer has to authenticate."),
    ("payment_intent_authentication_failure", "authentication_failed", CUSTOMER, "Authentication failed."),
    ("incorrect_cvc", "incorrect_cvc", CUSTOMER, "The card's security code is not right."),
    ("invalid_cvc", "incorrect_cvc", CUSTOMER, "The card's security code is not right."),
    ("incorrect_zip", "incorrect_address", CUSTOMER, "The postal code is not right."),
    ("incorrect_address", "incorrect_address", CUSTOMER, "The address is not right."),
    ("incorrect_pin", "incorrect_pin", CUSTOMER, "The PIN is not right."),
    ("invalid_pin", "incorrect_pin", CUSTOMER, "The PIN is not right."),
    ("pin_try_exceeded", "pin_try_exceeded", HARD, "The PIN was entered wrongly too often."),
    ("invalid_expiry_month", "invalid_expiry", CUSTOMER, "The expiry month is not right."),
    ("invalid_expiry_year", "invalid_expiry", CUSTOMER, "The expiry year is not right."),
    ("offline_pin_required", "pin_required", CUSTOMER, "The card has to be read with its PIN."),
    ("online_or_offline_pin_required", "pin_required", CUSTOMER, "The card has to be read with its PIN."),
    ("invalid_amount", "invalid_amount", UNKNOWN, "The bank does not accept the amount."),
    ("account_closed", "invalid_account", HARD, "The account is closed or does not exist."),
    ("no_account", "invalid_account", HARD, "The account is closed or does not exist."),
    ("bank_account_restricted", "invalid_account", HARD, "The account does not take such payments."),
    ("payment_method_bank_account_blocked", "invalid_account", HARD, "The account does not take such payments."),
    ("expired_payment_method", "expired_card", HARD, "The payment method has expired."),
    ("debit_not_authorized", "payment_revoked", HARD, "The customer did not allow the debit."),
    ("payment_intent_mandate_invalid", "payment_revoked", HARD, "The customer's mandate is no longer valid."),
    ("india_recurring_payment_mandate_canceled", "payment_revoked", HARD, "The customer's mandate was canceled."),
    ("card_decline_rate_limit_exceeded", "card_velocity_exceeded", SOFT, "The card was declined too often today."),
    ("payment_method_provider_timeout", "issuer_not_available", SOFT, "The customer's bank could not be reached."),
    ("payment_method_not_available", "issuer_not_available", SOFT, "The payment method is out of order just now."),
    ("authentication_failure", "authentication_failed", CUSTOMER, "Authentication failed."),
    ("incorrect_postal_code", "incorrect_address", CUSTOMER, "The postal code is not right."),
    ("payment_method_customer_decline", "canceled_by_customer", CUSTOMER, "The customer did not approve the payment."),
    ("payment_intent_payment_attempt_expired", "not_paid_in_time", CUSTOMER, "The customer did not pay in time."),
    ("payment_method_provider_decline", "generic_decline", UNKNOWN, "The payment was declined."),
    ("payment_intent_payment_attempt_failed", "generic_decline", UNKNOWN, "The payment was declined."),
    ("refer_to_customer", "do_not_honor", UNKNOWN, "The bank declined; the customer may ask it why."),
    ("duplicate_transaction", "duplicate_transaction", UNKNOWN, "The bank has just seen the same payment."),
    ("do_not_honor", "do_not_honor", UNKNOWN, "The bank declined without a reason."),
    ("call_issuer", "do_not_honor", UNKNOWN, "The bank declined; the customer may ask it why."),
    ("no_action_taken", "do_not_honor", UNKNOWN, "The bank declined without a reason."),
    ("service_not_allowed", "do_not_honor", UNKNOWN, "The bank declined without a reason."),
    ("not_permitted", "do_not_honor", UNKNOWN, "The bank declined without a reason."),
    ("generic_decline", "generic_decline", UNKNOWN, "The card was declined."),
    ("card_declined", "generic_decline", UNKNOWN, "The card was declined."),
]
REFUND_FAILURES = [
    ("lost_or_stolen_card", "card_unreachable", HARD, "The card is no longer in use."),
    ("expired_or_canceled_card", "card_unreachable", HARD, "The card is no longer in use."),
    ("charge_for_pending_refund_disputed", "payment_disputed", HARD, "The payment is disputed."),
    ("insufficient_funds", "insufficient_balance", SOFT, "The balance at Stripe does not cover the refund."),
    ("declined", "generic_decline", UNKNOWN, "The customer's bank sent the refund back."),
    ("merchant_request", "canceled_by_merchant", HARD, "The refund was stopped at the merchant's request."),
    ("unknown", "generic_decline", UNKNOWN, "The refund failed without a reason."),
]


@pytest.mark.parametrize(("theirs", "code", "category", "message"), DECLINES)
def test_a_decline_in_our_words(theirs: str, code: str, category: DeclineCategory, message: str) -> None:
    expected = Decline(code, category, message, provider_code=theirs, known=True)
    assert declines.decline_of({"code": "card_declined", "decline_code": theirs}) == expected
    assert declines.decline_of({"code": theirs}) == expected


@pytest.mark.parametrize(("theirs", "code", "category", "message"), REFUND_FAILURES)
def test_a_failed_refund_in_our_words(theirs: str, code: str, category: DeclineCategory, message: str) -> None:
    expected = Decline(code, category, message, provider_code=theirs, known=True)
    assert declines.refund_failure_of({"failure_reason": theirs}) == expected


def test_no_row_is_without_a_test() -> None:
    assert {row[0] for row in DECLINES} == set(declines.DECLINES)
    assert {row[0] for row in REFUND_FAILURES} == set(declines.REFUND_FAILURES)


ADVICE = [
    ("generic_decline", "do_not_try_again", HARD),
    ("generic_decline", "try_again_later", SOFT),
    ("generic_decline", "confirm_card_data", CUSTOMER),
    ("insufficient_funds", "do_not_try_again", HARD),
    ("insufficient_funds", "confirm_card_data", CUSTOMER),
    ("stolen_card", "try_again_later", HARD),
    ("authentication_required", "try_again_later", CUSTOMER),
    ("never_seen_before", "do_not_try_again", HARD),
    ("generic_decline", "something_new", UNKNOWN),
    ("insufficient_funds", "something_new", SOFT),
]


@pytest.mark.parametrize(("code", "advice", "category"), ADVICE)
def test_advice_sharpens_and_never_softens(code: str, advice: str, category: DeclineCategory) -> None:
    assert declines.decline_of({"decline_code": code, "advice_code": advice}).category is category


def test_no_advice_is_without_a_test() -> None:
    assert set(declines.ADVICE) <= {advice for _, advice, _ in ADVICE}


@pytest.mark.parametrize("error", [{}, {"code": None}, {"decline_code": 7}, {"code": ""}])
def test_a_decline_without_a_word_is_no_unknown_word(error: dict[str, Any]) -> None:
    expected = Decline("generic_decline", UNKNOWN, "The card was declined.", provider_code=None, known=True)
    assert declines.decline_of(error) == expected


def test_a_word_we_do_not_know_is_kept_and_said_to_be_unknown() -> None:
    expected = Decline("generic_decline", UNKNOWN, "The card was declined.", "never_seen_before", known=False)
    assert declines.decline_of({"decline_code": "never_seen_before"}) == expected
    long = declines.decline_of({"decline_code": "x" * 500})
    assert (long.provider_code, long.known) == ("x" * 100, False)
    refund = declines.refund_failure_of({"failure_reason": "never_seen_before"})
    assert (refund.code, refund.category, refund.provider_code) == ("generic_decline", UNKNOWN, "never_seen_before")
    assert refund.known is False
    assert declines.refund_failure_of({}).known is True


def test_a_lost_card_is_not_named_to_its_holder() -> None:
    plain = "The card was declined."
    for code in ("lost_card", "stolen_card", "pickup_card", "fraudulent", "merchant_blacklist", "security_violation"):
        assert declines.decline_of({"decline_code": code}).message == plain
