"""Why a customer's try failed: Paystack's words, and the banks' behind it, in ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.domain.outcomes import Decline, DeclineCategory

_HARD = DeclineCategory.HARD
_SOFT = DeclineCategory.SOFT
_CUSTOMER = DeclineCategory.CUSTOMER_ACTION
_UNKNOWN = DeclineCategory.UNKNOWN

#: Our code -> how it may be followed up, and a sentence that may be shown.
DECLINES: Mapping[str, tuple[DeclineCategory, str]] = {
    "insufficient_funds": (_SOFT, "The account does not hold enough money."),
    "issuer_not_available": (_SOFT, "The customer's bank could not be reached."),
    "processing_error": (_SOFT, "The bank could not process the payment."),
    "card_velocity_exceeded": (_SOFT, "The card's limit of amount or count is reached."),
    "expired_card": (_HARD, "The card has expired."),
    "lost_card": (_HARD, "The card was declined."),  # the holder must not learn that it is reported
    "stolen_card": (_HARD, "The card was declined."),
    "pickup_card": (_HARD, "The card was declined."),
    "fraudulent": (_HARD, "The payment was declined."),
    "restricted_card": (_HARD, "The card may not be used for this payment."),
    "invalid_number": (_HARD, "The card number is not valid."),
    "invalid_account": (_HARD, "The account is closed or does not exist."),
    "transaction_not_allowed": (_HARD, "The bank does not allow this kind of payment."),
    "card_not_supported": (_HARD, "The card is not supported."),
    "incorrect_pin": (_CUSTOMER, "The PIN is not right."),
    "pin_try_exceeded": (_HARD, "The PIN was entered wrongly too often."),
    "incorrect_cvc": (_CUSTOMER, "The card's security code is not right."),
    "incorrect_otp": (_CUSTOMER, "The one-time code is not right."),
    "authentication_failed": (_CUSTOMER, "The customer could not be authenticated."),
    "customer_canceled": (_CUSTOMER, "The customer stopped the payment."),
    "timed_out": (_CUSTOMER, "The payment was not finished in time."),
    "do_not_honor": (_UNKNOWN, "The bank declined without a reason."),
    "generic_decline": (_UNKNOWN, "The payment was declined."),
}

#: `gateway_response_code`, Paystack's own classification (its page "Gateway responses"). Preferred: it is stable.
GATEWAY_CODES: Mapping[str, str] = {
    "refer_to_card_issuer": "do_not_honor",
    "refer_to_card_issuer_special": "do_not_honor",
    "do_not_honor": "do_not_honor",
    "pickup_card": "pickup_card",
    "pickup_card_special": "pickup_card",
    "processing_error": "processing_error",
    "reenter_transaction": "processing_error",
    "invalid_response": "processing_error",
    "suspected_malfunction": "processing_error",
    "invalid_account_number": "invalid_number",
    "no_such_issuer": "invalid_number",
    "invalid_transaction": "transaction_not_allowed",
    "customer_cancellation": "customer_canceled",
    "no_action_taken": "generic_decline",
    "insufficient_funds": "insufficient_funds",
    "expired_card": "expired_card",
    "lost_card": "lost_card",
    "stolen_card": "stolen_card",
    "suspected_fraud": "fraudulent",
    "restricted_card": "restricted_card",
    "incorrect_pin": "incorrect_pin",
    "unknown": "generic_decline",
}

#: `gateway_response`, free text, lower case and without a final full stop: from Paystack's test cards and its
#: support pages on customer, bank and system errors.
GATEWAY_TEXTS: Mapping[str, str] = {
    "declined": "generic_decline",
    "transaction declined": "generic_decline",
    "access denied": "generic_decline",
    "do not honor": "do_not_honor",
    "do not honour": "do_not_honor",
    "refer to card issuer": "do_not_honor",
    "insufficient funds": "insufficient_funds",
    "no sufficient funds": "insufficient_funds",
    "expired card": "expired_card",
    "lost card": "lost_card",
    "stolen card": "stolen_card",
    "stolen card, pick up": "stolen_card",
    "stolen card, pick-up": "stolen_card",
    "lost card, pick up": "lost_card",
    "lost card, pick-up": "lost_card",
    "expired card, pick up": "expired_card",
    "pick up card": "pickup_card",
    "pick-up card": "pickup_card",
    "suspected fraud": "fraudulent",
    "denied by fraud system": "fraudulent",
    "blocked by fraud system": "fraudulent",
    "customer is blacklisted": "fraudulent",
    "restricted card": "restricted_card",
    "invalid card number": "invalid_number",
    "account closed": "invalid_account",
    "invalid account": "invalid_account",
    "transaction not permitted to cardholder": "transaction_not_allowed",
    "transaction not permitted": "transaction_not_allowed",
    "currency not supported": "card_not_supported",
    "incorrect pin": "incorrect_pin",
    "pin tries exceeded": "pin_try_exceeded",
    "allowable pin tries exceeded": "pin_try_exceeded",
    "incorrect cvv": "incorrect_cvc",
    "incorrect otp": "incorrect_otp",
    "incorrect date of birth": "authentication_failed",
    "authentication failed": "authentication_failed",
    "token not generated": "authentication_failed",
    "token not generated. customer not registered": "authentication_failed",
    "token not generated. customer not registered on token platform": "authentication_failed",
    "auth data error": "authentication_failed",
    "transaction canceled by user": "customer_canceled",
    "transaction cancelled by user": "customer_canceled",
    "the transaction was not completed": "timed_out",
    "transaction timed out": "timed_out",
    "timeout": "timed_out",
    "issuer or switch inoperative": "issuer_not_available",
    "bank could not be reached": "issuer_not_available",
    "an error occurred while processing the request": "issuer_not_available",
    "an unknown error has occurred, please contact system administrator": "issuer_not_available",
    "exceeds withdrawal limit": "card_velocity_exceeded",
    "exceeds withdrawal frequency": "card_velocity_exceeded",
    "system error": "processing_error",
}


def decline_of(data: Mapping[str, Any]) -> Decline:
    """The reason in a transaction or hold that reads `failed`; words we do not know are a decline of unknown kind."""
    theirs = _word(data.get("gateway_response_code"))
    text = _word(data.get("gateway_response")) or _word(data.get("message"))
    code = GATEWAY_CODES.get(theirs)
    if code is None or theirs == "unknown":
        code = GATEWAY_TEXTS.get(text, code)
    said = (text or theirs) if theirs == "unknown" else (theirs or text)
    # "unknown" beside a text we do not know says nothing more than that text.
    known = code is not None and not (theirs == "unknown" and text and text not in GATEWAY_TEXTS)
    category, message = DECLINES[code or "generic_decline"]
    return Decline(code or "generic_decline", category, message, said[:100] or None, known=known or not said)


def _word(value: Any) -> str:
    if isinstance(value, Mapping):  # a hold's `gateway_response` is an object
        value = value.get("authorizeResponse")
    return value.strip().lower().rstrip(".") if isinstance(value, str) else ""
