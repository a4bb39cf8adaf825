"""Confirming a payment intent: what a card does to it, whoever presses the button."""

from __future__ import annotations

from ..ledger import Json
from ..world import Desk
from . import cards, charges, events
from .errors import StripeError, card_error, wrong_state
from .objects import public

NO_RETURN_URL = (
    "This PaymentIntent is configured to accept payment methods enabled in your Dashboard. Because some of these"
    " payment methods might redirect your customer off of your page, you must provide a `return_url`. If you don't"
    " want to accept redirect-based payment methods, set `automatic_payment_methods[enabled]` to `true` and"
    " `automatic_payment_methods[allow_redirects]` to `never` when creating Setup Intents and Payment Intents."
)
NO_METHOD = (
    "You cannot confirm this PaymentIntent because it's missing a payment method. You can either update the"
    " PaymentIntent with a payment method and then confirm it again, or confirm it again directly with a payment"
    " method or ConfirmationToken."
)
USED_METHOD = (
    "The provided PaymentMethod was previously used with a PaymentIntent without Customer attachment, shared with a"
    " connected account without Customer attachment, or was detached from a Customer. It may not be used again. To"
    " use a PaymentMethod multiple times, you must attach it to a Customer first."
)
NEEDS_AUTHENTICATION = "Your card was declined. This transaction requires authentication."
AUTHENTICATION_FAILED = (
    "We are unable to authenticate your payment method. Please choose a different payment method and try again."
)


def refuse_without_return_url(automatic: Json | None, given: Json, intent: Json | None = None) -> None:
    """Dynamic payment methods may redirect, so a confirmation must say where to come back to."""
    redirects = automatic and automatic["enabled"] and automatic["allow_redirects"] == "always"
    if redirects and not given.get("return_url") and not given.get("use_stripe_sdk"):
        extra = {"payment_intent": public(intent)} if intent else None
        raise StripeError(400, NO_RETURN_URL, extra=extra)


def confirm(desk: Desk, intent: Json, given: Json) -> None:
    """Tries to pay; the intent is changed and saved. Raises a card error when the card says no."""
    method_id = given.get("payment_method") or intent["payment_method"]
    if not method_id:
        raise wrong_state(NO_METHOD, public(intent))
    method = cards.find_payment_method(desk, method_id)
    if method["_used"]:
        raise StripeError(400, USED_METHOD, saved=True)
    intent |= {"payment_method": method["id"], "next_action": None, "_off_session": bool(given.get("off_session"))}
    if given.get("return_url"):
        intent["_return_url"] = given["return_url"]
    card = cards.of(method)
    off_session = intent["_off_session"]
    asks = card.authentication == "always" or (card.authentication == "on_session" and not off_session)
    if asks and not intent.get("_authenticated"):
        if off_session or given.get("error_on_requires_action"):
            _refuse_unauthenticated(desk, intent, method)
        ask_for_authentication(desk, intent, given)
        return
    charge_intent(desk, intent, method)


def ask_for_authentication(desk: Desk, intent: Json, given: Json) -> None:
    page = desk.url(f"/authenticate/{intent['client_secret']}")
    if intent.get("_return_url"):
        action = {"type": "redirect_to_url", "redirect_to_url": {"return_url": intent["_return_url"], "url": page}}
    else:
        action = {"type": "use_stripe_sdk", "use_stripe_sdk": {"type": "three_d_secure_redirect", "stripe_js": page}}
    intent |= {"status": "requires_action", "next_action": action, "last_payment_error": None}
    desk.save("payment_intent", intent)
    events.emit(desk, "payment_intent.requires_action", intent)


def charge_intent(desk: Desk, intent: Json, method: Json) -> None:
    """One attempt with a card that needs no (further) authentication."""
    authenticated = bool(intent.pop("_authenticated", False))
    charge = charges.attempt(desk, intent, method, authenticated=authenticated)
    intent |= {"latest_charge": charge["id"], "next_action": None}
    if charge["status"] == "failed":
        _decline(desk, intent, method, charge)
    _use_up(desk, method)
    intent |= {"last_payment_error": None, "payment_method": method["id"]}
    if charge["captured"]:
        intent |= {"status": "succeeded", "amount_received": charge["amount_captured"]}
    else:
        intent |= {"status": "requires_capture", "amount_capturable": charge["amount"]}
    desk.save("payment_intent", intent)
    events.emit(desk, "charge.succeeded", charge)
    told = "payment_intent.succeeded" if charge["captured"] else "payment_intent.amount_capturable_updated"
    events.emit(desk, told, intent)


def _use_up(desk: Desk, method: Json) -> None:
    if not method["customer"]:
        method["_used"] = True
        desk.save("payment_method", method)


def _decline(desk: Desk, intent: Json, method: Json, charge: Json) -> None:
    decline = cards.of(method).decline or cards.GENERIC
    details: Json = {"charge": charge["id"]}
    if decline.advice:
        details["advice_code"] = decline.advice
    if decline.decline_code:
        details["decline_code"] = decline.decline_code
    if decline.network_code:
        details["network_decline_code"] = decline.network_code
    error = card_error(decline.code, decline.message, details)
    events.emit(desk, "charge.failed", charge)
    fail(desk, intent, method, error)


def fail(desk: Desk, intent: Json, method: Json, error: StripeError) -> None:
    """Puts the intent back to needing a payment method, tells it, and raises the error."""
    error.error |= {"payment_method": public(method), "payment_method_type": method["type"]}
    intent |= {
        "status": "requires_payment_method",
        "payment_method": None,
        "next_action": None,
        "last_payment_error": dict(error.error),
    }
    desk.save("payment_intent", intent)
    events.emit(desk, "payment_intent.payment_failed", intent)
    error.error["payment_intent"] = public(intent)
    raise error


def _refuse_unauthenticated(desk: Desk, intent: Json, method: Json) -> None:
    extra = {"decline_code": "authentication_required"}
    fail(desk, intent, method, card_error("authentication_required", NEEDS_AUTHENTICATION, extra))


def finish_authentication(desk: Desk, intent: Json, passed: bool) -> None:
    """The customer came through the bank's page, or did not. Raises the error an API call would have got."""
    method = desk.held("payment_method", intent["payment_method"])
    if not passed:
        error = StripeError(400, AUTHENTICATION_FAILED, code="payment_intent_authentication_failure", saved=True)
        fail(desk, intent, method, error)
    intent["_authenticated"] = True
    if intent["confirmation_method"] == "manual":
        intent |= {"status": "requires_confirmation", "next_action": None}
        desk.save("payment_intent", intent)
        return
    charge_intent(desk, intent, method)
