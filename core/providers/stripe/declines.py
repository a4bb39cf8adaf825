"""Why a card was declined: Stripe's codes in our words (docs.stripe.com/declines/codes)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.domain.outcomes import Decline, DeclineCategory

_HARD = DeclineCategory.HARD
_SOFT = DeclineCategory.SOFT
_CUSTOMER = DeclineCategory.CUSTOMER_ACTION
_UNKNOWN = DeclineCategory.UNKNOWN

_PLAIN = "The card was declined."

#: Stripe's `decline_code`, or `code` where there is none -> our code, category, a sentence for the customer.
#: Lost, stolen and fraudulent cards get the plain sentence: the holder must not learn what is known.
DECLINES: Mapping[str, tuple[str, DeclineCategory, str]] = {
    "lost_card": ("lost_card", _HARD, _PLAIN),
    "stolen_card": ("stolen_card", _HARD, _PLAIN),
    "pickup_card": ("pickup_card", _HARD, _PLAIN),
    "fraudulent": ("fraudulent", _HARD, _PLAIN),
    "merchant_blacklist": ("fraudulent", _HARD, _PLAIN),
    "security_violation": ("fraudulent", _HARD, _PLAIN),
    "restricted_card": ("restricted_card", _HARD, "The card may not be used for this payment."),
    "invalid_account": ("invalid_account", _HARD, "The account is closed or does not exist."),
    "new_account_information_available": ("invalid_account", _HARD, "The card has been replaced by another."),
    "invalid_number": ("invalid_number", _HARD, "The card number is not valid."),
    "incorrect_number": ("invalid_number", _HARD, "The card number is not valid."),
    "expired_card": ("expired_card", _HARD, "The card has expired."),
    "revocation_of_authorization": ("payment_revoked", _HARD, "The customer has stopped payments to this shop."),
    "revocation_of_all_authorizations": ("payment_revoked", _HARD, "The customer has stopped all such payments."),
    "stop_payment_order": ("payment_revoked", _HARD, "The customer has stopped this payment."),
    "transaction_not_allowed": ("transaction_not_allowed", _HARD, "The bank does not allow this kind of payment."),
    "card_not_supported": ("card_not_supported", _HARD, "The card is not supported."),
    "currency_not_supported": ("card_not_supported", _HARD, "The card does not support the currency."),
    "test_mode_live_card": ("card_not_supported", _HARD, "A real card cannot be used in test mode."),
    "testmode_decline": ("card_not_supported", _HARD, "A test card cannot be used here."),
    "insufficient_funds": ("insufficient_funds", _SOFT, "The account does not hold enough money."),
    "processing_error": ("processing_error", _SOFT, "The bank could not process the payment."),
    "reenter_transaction": ("processing_error", _SOFT, "The bank could not process the payment."),
    "approve_with_id": ("processing_error", _SOFT, "The payment could not be authorized."),
    "try_again_later": ("processing_error", _SOFT, "The bank asks to try again later."),
    "issuer_not_available": ("issuer_not_available", _SOFT, "The customer's bank could not be reached."),
    "card_velocity_exceeded": ("card_velocity_exceeded", _SOFT, "The card's limit of amount or count is reached."),
    "withdrawal_count_limit_exceeded": ("card_velocity_exceeded", _SOFT, "The card's limit is reached."),
    "authentication_required": ("authentication_required", _CUSTOMER, "The bank wants the customer to authenticate."),
    "authentication_not_handled": ("authentication_required", _CUSTOMER, "The customer has to authenticate."),
    "payment_intent_authentication_failure": ("authentication_failed", _CUSTOMER, "Authentication failed."),
    "incorrect_cvc": ("incorrect_cvc", _CUSTOMER, "The card's security code is not right."),
    "invalid_cvc": ("incorrect_cvc", _CUSTOMER, "The card's security code is not right."),
    "incorrect_zip": ("incorrect_address", _CUSTOMER, "The postal code is not right."),
    "incorrect_address": ("incorrect_address", _CUSTOMER, "The address is not right."),
    "incorrect_pin": ("incorrect_pin", _CUSTOMER, "The PIN is not right."),
    "invalid_pin": ("incorrect_pin", _CUSTOMER, "The PIN is not right."),
    "pin_try_exceeded": ("pin_try_exceeded", _HARD, "The PIN was entered wrongly too often."),
    "invalid_expiry_month": ("invalid_expiry", _CUSTOMER, "The expiry month is not right."),
    "invalid_expiry_year": ("invalid_expiry", _CUSTOMER, "The expiry year is not right."),
    "offline_pin_required": ("pin_required", _CUSTOMER, "The card has to be read with its PIN."),
    "online_or_offline_pin_required": ("pin_required", _CUSTOMER, "The card has to be read with its PIN."),
    "invalid_amount": ("invalid_amount", _UNKNOWN, "The bank does not accept the amount."),
    "account_closed": ("invalid_account", _HARD, "The account is closed or does not exist."),
    "no_account": ("invalid_account", _HARD, "The account is closed or does not exist."),
    "bank_account_restricted": ("invalid_account", _HARD, "The account does not take such payments."),
    "payment_method_bank_account_blocked": ("invalid_account", _HARD, "The account does not take such payments."),
    "expired_payment_method": ("expired_card", _HARD, "The payment method has expired."),
    "debit_not_authorized": ("payment_revoked", _HARD, "The customer did not allow the debit."),
    "payment_intent_mandate_invalid": ("payment_revoked", _HARD, "The customer's mandate is no longer valid."),
    "india_recurring_payment_mandate_canceled": ("payment_revoked", _HARD, "The customer's mandate was canceled."),
    "card_decline_rate_limit_exceeded": ("card_velocity_exceeded", _SOFT, "The card was declined too often today."),
    "payment_method_provider_timeout": ("issuer_not_available", _SOFT, "The customer's bank could not be reached."),
    "payment_method_not_available": ("issuer_not_available", _SOFT, "The payment method is out of order just now."),
    "authentication_failure": ("authentication_failed", _CUSTOMER, "Authentication failed."),
    "incorrect_postal_code": ("incorrect_address", _CUSTOMER, "The postal code is not right."),
    "payment_method_customer_decline": ("canceled_by_customer", _CUSTOMER, "The customer did not approve the payment."),
    "payment_intent_payment_attempt_expired": ("not_paid_in_time", _CUSTOMER, "The customer did not pay in time."),
    "payment_method_provider_decline": ("generic_decline", _UNKNOWN, "The payment was declined."),
    "payment_intent_payment_attempt_failed": ("generic_decline", _UNKNOWN, "The payment was declined."),
    "refer_to_customer": ("do_not_honor", _UNKNOWN, "The bank declined; the customer may ask it why."),
    "duplicate_transaction": ("duplicate_transaction", _UNKNOWN, "The bank has just seen the same payment."),
    "do_not_honor": ("do_not_honor", _UNKNOWN, "The bank declined without a reason."),
    "call_issuer": ("do_not_honor", _UNKNOWN, "The bank declined; the customer may ask it why."),
    "no_action_taken": ("do_not_honor", _UNKNOWN, "The bank declined without a reason."),
    "service_not_allowed": ("do_not_honor", _UNKNOWN, "The bank declined without a reason."),
    "not_permitted": ("do_not_honor", _UNKNOWN, "The bank declined without a reason."),
    "generic_decline": ("generic_decline", _UNKNOWN, _PLAIN),
    "card_declined": ("generic_decline", _UNKNOWN, _PLAIN),
}
_FALLBACK = ("generic_decline", _UNKNOWN, _PLAIN)

#: `advice_code` sharpens what the code leaves open; it never softens a hard no.
ADVICE: Mapping[str, DeclineCategory] = {
    "do_not_try_again": _HARD,
    "try_again_later": _SOFT,
    "confirm_card_data": _CUSTOMER,
}
_OPEN = frozenset({_SOFT, _UNKNOWN})

#: `failure_reason` of a refund -> our code, category, sentence.
REFUND_FAILURES: Mapping[str, tuple[str, DeclineCategory, str]] = {
    "lost_or_stolen_card": ("card_unreachable", _HARD, "The card is no longer in use."),
    "expired_or_canceled_card": ("card_unreachable", _HARD, "The card is no longer in use."),
    "charge_for_pending_refund_disputed": ("payment_disputed", _HARD, "The payment is disputed."),
    "insufficient_funds": ("insufficient_balance", _SOFT, "The balance at Stripe does not cover the refund."),
    "declined": ("generic_decline", _UNKNOWN, "The customer's bank sent the refund back."),
    "merchant_request": ("canceled_by_merchant", _HARD, "The refund was stopped at the merchant's request."),
    "unknown": ("generic_decline", _UNKNOWN, "The refund failed without a reason."),
}
_REFUND_FALLBACK = REFUND_FAILURES["unknown"]


def decline_of(error: Mapping[str, Any]) -> Decline:
    """From an error body, or from an intent's `last_payment_error`: both have the same fields."""
    theirs = _text(error.get("decline_code")) or _text(error.get("code"))
    code, category, message = DECLINES.get(theirs or "", _FALLBACK)
    if category in _OPEN:
        category = ADVICE.get(_text(error.get("advice_code")) or "", category)
    return Decline(code, category, message, provider_code=theirs, known=theirs is None or theirs in DECLINES)


def refund_failure_of(refund: Mapping[str, Any]) -> Decline:
    theirs = _text(refund.get("failure_reason"))
    code, category, message = REFUND_FAILURES.get(theirs or "", _REFUND_FALLBACK)
    return Decline(code, category, message, provider_code=theirs, known=theirs is None or theirs in REFUND_FAILURES)


def _text(value: Any) -> str | None:
    return value[:100] if isinstance(value, str) and value else None
