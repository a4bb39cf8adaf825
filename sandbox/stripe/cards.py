"""Stripe's test cards and bank accounts, and what happens to each (docs.stripe.com/testing), as one table."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from ..ledger import Json


@dataclass(frozen=True, slots=True)
class Decline:
    code: str
    decline_code: str | None
    message: str
    advice: str | None = None
    network_code: str | None = None
    blocked: bool = False


@dataclass(frozen=True, slots=True)
class Card:
    """A test card, or a test bank account (`type`), and what comes of it.

    `authentication`: "always" asks every time, "unless_set_up" is quiet off-session once it was saved for that, and
    "on_session" is quiet off-session. `refund`: "pending" or "fails". `dispute`: its reason.
    """

    token: str
    number: str
    brand: str = "visa"
    decline: Decline | None = None
    authentication: str | None = None
    refund: str | None = None
    dispute: str | None = None
    inquiry: bool = False
    bypasses_pending: bool = False
    cvc_check: str = "pass"
    postal_check: str | None = None
    attaches: bool = False  # to a customer, though every charge is declined
    capture_decline: Decline | None = None
    fraud_warning: bool = False
    type: str = "card"
    settles: bool = True  # a bank account that does not stays `processing` until it is canceled


_DECLINED = "Your card was declined."
GENERIC = Decline("card_declined", "generic_decline", _DECLINED, "try_again_later", "01")
FUNDS = Decline("card_declined", "insufficient_funds", "Your card has insufficient funds.", "try_again_later", "51")
LOST = Decline("card_declined", "lost_card", _DECLINED, "do_not_try_again", "41")
STOLEN = Decline("card_declined", "stolen_card", _DECLINED, "do_not_try_again", "43")
EXPIRED = Decline("expired_card", None, "Your card has expired.", "do_not_try_again", "54")
CVC = Decline("incorrect_cvc", None, "Your card's security code is incorrect.", "confirm_card_data", "82")
PROCESSING = Decline(
    "processing_error",
    None,
    "An error occurred while processing your card. Try again in a little bit.",
    "try_again_later",
)
VELOCITY = Decline(
    "card_declined",
    "card_velocity_exceeded",
    "Your card was declined for making repeated attempts too frequently or exceeding its amount limit.",
    "try_again_later",
    "65",
)
RADAR = Decline("card_declined", "fraudulent", _DECLINED, "do_not_try_again", None, blocked=True)
NUMBER = Decline("incorrect_number", None, "Your card number is incorrect.", "confirm_card_data", "14")
LIVE = Decline(
    "card_declined",
    "test_mode_live_card",
    "Your card was declined. Your request was in test mode, but used a non test (live) card. For a list of valid"
    " test cards, visit: https://stripe.com/docs/testing.",
)

AUTHENTICATION = Decline(
    "authentication_required",
    "authentication_required",
    "Your card was declined. This transaction requires authentication.",
    "confirm_card_data",
    "1A",
)

CARDS = (
    Card("pm_card_visa", "4242424242424242"),
    Card("pm_card_visa_debit", "4000056655665556"),
    Card("pm_card_mastercard", "5555555555554444", "mastercard"),
    Card("pm_card_mastercard_debit", "5200828282828210", "mastercard"),
    Card("pm_card_amex", "378282246310005", "amex"),
    Card("pm_card_discover", "6011111111111117", "discover"),
    Card("pm_card_jcb", "3566002020360505", "jcb"),
    Card("pm_card_bypassPending", "4000000000000077", bypasses_pending=True),
    Card("pm_card_visa_chargeDeclined", "4000000000000002", decline=GENERIC),
    Card("pm_card_chargeDeclined", "4000000000000002", decline=GENERIC),
    Card("pm_card_visa_chargeDeclinedInsufficientFunds", "4000000000009995", decline=FUNDS),
    Card("pm_card_chargeDeclinedInsufficientFunds", "4000000000009995", decline=FUNDS),
    Card("pm_card_visa_chargeDeclinedLostCard", "4000000000009987", decline=LOST),
    Card("pm_card_visa_chargeDeclinedStolenCard", "4000000000009979", decline=STOLEN),
    Card("pm_card_chargeDeclinedExpiredCard", "4000000000000069", decline=EXPIRED),
    Card("pm_card_chargeDeclinedIncorrectCvc", "4000000000000127", decline=CVC, cvc_check="fail"),
    Card("pm_card_chargeDeclinedProcessingError", "4000000000000119", decline=PROCESSING),
    Card("pm_card_visa_chargeDeclinedVelocityLimitExceeded", "4000000000006975", decline=VELOCITY),
    Card("pm_card_chargeCustomerFail", "4000000000000341", decline=GENERIC, attaches=True),
    Card("pm_card_radarBlock", "4100000000000019", decline=RADAR),
    Card("pm_card_authenticationRequired", "4000002760003184", authentication="always"),
    Card("pm_card_authenticationRequiredOnSetup", "4000002500003155", authentication="unless_set_up"),
    Card("pm_card_authenticationRequiredSetupForOffSession", "4000003800000446", authentication="on_session"),
    Card(
        "pm_card_authenticationRequiredChargeDeclinedInsufficientFunds",
        "4000008260003178",
        authentication="always",
        decline=FUNDS,
    ),
    Card("pm_card_threeDSecure2Required", "4000000000003220", authentication="always"),
    Card("pm_card_threeDSecureRequired", "4000000000003063", authentication="always"),
    Card("pm_card_threeDSecureRequiredChargeDeclined", "4000008400001629", authentication="always", decline=GENERIC),
    Card("pm_card_threeDSecureOptional", "4000000000003055"),
    Card("pm_card_createDispute", "4000000000000259", dispute="fraudulent"),
    Card("pm_card_createDisputeProductNotReceived", "4000000000002685", dispute="product_not_received"),
    Card("pm_card_createDisputeInquiry", "4000000000001976", dispute="general", inquiry=True),
    Card("pm_card_createIssuerFraudRecord", "4000000000005423", fraud_warning=True),
    Card("pm_card_pendingRefund", "4000000000007726", refund="pending"),
    Card("pm_card_refundFail", "4000000000005126", refund="fails"),
    Card("pm_card_cvcCheckFail", "4000000000000101", cvc_check="fail"),
    Card("pm_card_avsFail", "4000000000000010", postal_check="fail"),
    # Stripe has no test card for this; it is the sandbox's own.
    Card("pm_card_captureDeclined", "4000000000020000", capture_decline=FUNDS),
)


def _bank(name: str, number: str, code: str | None = None, said: str = "", **rest: Any) -> Card:
    decline = Decline(code, None, said) if code else None
    return Card(
        f"pm_usBankAccount_{name}",
        number,
        decline=decline,
        type="us_bank_account",
        refund="pending",
        attaches=True,
        **rest,
    )


# Money that comes, or fails, later (docs.stripe.com/payments/ach-direct-debit, "Test account numbers").
BANK_ACCOUNTS = (
    _bank("success", "000123456789"),
    _bank("accountClosed", "000111111113", "account_closed", "The customer's bank account has been closed."),
    _bank("noAccount", "000111111116", "no_account", "The customer's bank account could not be located."),
    _bank("insufficientFunds", "000222222227", "insufficient_funds", "The customer's account has insufficient funds."),
    _bank("debitNotAuthorized", "000333333335", "debit_not_authorized", "The customer has not authorized this debit."),
    _bank("invalidCurrency", "000444444440", "invalid_currency", "The account does not take this currency."),
    _bank("dispute", "000555555559", dispute="debit_not_authorized"),
    _bank("processing", "000000000009", settles=False),
)
BY_TOKEN = {card.token: card for card in (*CARDS, *BANK_ACCOUNTS)}
# Two tokens may share a number; the first one says how the number behaves.
BY_NUMBER = {card.number: card for card in reversed((*CARDS, *BANK_ACCOUNTS))}
ROUTING_NUMBER = "110000000"


def typed(number: str) -> Card:
    """The card somebody typed into a page: a test number, or one that will be declined."""
    digits = re.sub(r"[\s-]", "", number)
    if digits in BY_TOKEN:
        return BY_TOKEN[digits]
    if digits in BY_NUMBER:
        return BY_NUMBER[digits]
    real = digits.isdigit() and 13 <= len(digits) <= 19 and _luhn(digits)
    return Card("typed", digits[-4:].rjust(4, "0"), decline=LIVE if real else NUMBER)


def _luhn(digits: str) -> bool:
    doubled = [sum(divmod(int(digit) * 2, 10)) for digit in digits[-2::-2]]
    return (sum(map(int, digits[-1::-2])) + sum(doubled)) % 10 == 0


def of(payment_method: Json) -> Card:
    """The behaviour behind a stored payment method, however long ago it was saved."""
    kept = BY_TOKEN.get(payment_method["_card"])
    return kept or Card(
        "typed", payment_method["card"]["last4"], decline=NUMBER if payment_method.get("_bad") else LIVE
    )


def behind(charge: Json) -> Card:
    """The behaviour of the card or bank account that a charge was made with."""
    return BY_TOKEN.get(charge["_card"], CARDS[0])
