"""Confirming a payment intent: what a card does to it, whoever presses the button."""

from __future__ import annotations

from ..ledger import Json
from ..world import Desk
from . import cards, charges, events, payment_methods
from .cards import Card, Decline
from .errors import StripeError, card_error, wrong_state
from .objects import public, shown

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
NOTHING_TO_SET_UP = (
    "You cannot confirm with the `off_session` parameter when `setup_future_usage` is also set on the PaymentIntent"
    " because you cannot set up future usages when processing payments off-session."
)
NEEDS_MANDATE = (
    "The provided PaymentMethod requires a mandate, but no existing mandate was found. Collect mandate acceptance from"
    " the customer, then confirm the PaymentIntent again with `mandate_data`."
)
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
    if given.get("off_session") and intent["setup_future_usage"]:
        raise StripeError(400, NOTHING_TO_SET_UP, param="off_session")
    method_id = given.get("payment_method") or intent["payment_method"]
    if not method_id:
        raise wrong_state(NO_METHOD, public(intent))
    method = payment_methods.usable(desk, method_id, intent["customer"])
    check_type(intent, method, given)
    intent |= {"payment_method": method["id"], "next_action": None, "_off_session": bool(given.get("off_session"))}
    if given.get("return_url"):
        intent["_return_url"] = given["return_url"]
    card = cards.of(method)
    off_session = intent["_off_session"]
    if _asks(card, method, off_session) and not intent.get("_authenticated"):
        if off_session:
            charge_intent(desk, intent, method, cards.AUTHENTICATION)
        if given.get("error_on_requires_action"):
            _decline(desk, intent, method, cards.AUTHENTICATION, None)
        ask_for_authentication(desk, intent)
        return
    charge_intent(desk, intent, method)


def check_type(intent: Json, method: Json, given: Json) -> None:
    """Raises StripeError for a kind of method that this intent does not take, or may not take like this."""
    type = method["type"]
    if type not in intent["payment_method_types"]:
        raise StripeError(
            400,
            f"The PaymentMethod provided ({type}) is not allowed for this PaymentIntent. Please attach a PaymentMethod"
            f" of one of the following types: {', '.join(intent['payment_method_types'])}.",
            param="payment_method",
        )
    if type == "card":
        return
    if intent["capture_method"] == "manual":
        raise StripeError(
            400, f"The payment method type `{type}` does not support manual capture.", param="capture_method"
        )
    if not given.get("mandate_data") and not given.get("mandate") and not method.get("_mandate"):
        raise StripeError(400, NEEDS_MANDATE, code="payment_intent_mandate_invalid")
    method["_mandate"] = True


def _asks(card: Card, method: Json, off_session: bool) -> bool:
    """Whether the bank wants to see the customer. Without the customer some cards trust what was set up before."""
    if not card.authentication or card.authentication == "always":
        return bool(card.authentication)
    return not off_session or (card.authentication == "unless_set_up" and not method.get("_set_up"))


def ask_for_authentication(desk: Desk, intent: Json) -> None:
    page = desk.url(f"/authenticate/{intent['client_secret']}")
    if intent.get("_return_url"):
        action = {"type": "redirect_to_url", "redirect_to_url": {"return_url": intent["_return_url"], "url": page}}
    else:
        action = {"type": "use_stripe_sdk", "use_stripe_sdk": {"type": "three_d_secure_redirect", "stripe_js": page}}
    intent |= {"status": "requires_action", "next_action": action, "last_payment_error": None}
    desk.save("payment_intent", intent)
    events.emit(desk, "payment_intent.requires_action", intent)


def charge_intent(desk: Desk, intent: Json, method: Json, refusal: Decline | None = None) -> None:
    """One attempt, which the bank refuses for `refusal` or for what the card is known for."""
    authenticated = bool(intent.pop("_authenticated", False))
    card = cards.of(method)
    charge = charges.attempt(desk, intent, method, authenticated=authenticated, refusal=refusal)
    intent |= {"latest_charge": charge["id"], "next_action": None}
    if charge["status"] == "failed":
        _decline(desk, intent, method, refusal or card.decline or cards.GENERIC, charge)
    intent |= {"last_payment_error": None, "payment_method": method["id"]}
    _keep_or_use_up(desk, intent, method)
    if charge["status"] == "pending":
        intent["status"] = "processing"
        if card.settles:
            desk.later("settle_debit", intent["id"])
        desk.save("payment_intent", intent)
        events.emit(desk, "charge.pending", charge)
        events.emit(desk, "payment_intent.processing", intent)
        return
    if charge["captured"]:
        intent |= {"status": "succeeded", "amount_received": charge["amount_captured"]}
    else:
        intent |= {"status": "requires_capture", "amount_capturable": charge["amount"]}
    desk.save("payment_intent", intent)
    events.emit(desk, "charge.succeeded", charge)
    told = "payment_intent.succeeded" if charge["captured"] else "payment_intent.amount_capturable_updated"
    events.emit(desk, told, intent)


def _keep_or_use_up(desk: Desk, intent: Json, method: Json) -> None:
    """Keeps the method for what the intent says about the future; else it was good for this once."""
    use = intent["setup_future_usage"]
    if use == "off_session":
        method["_set_up"] = True
    if not use and not method["customer"]:
        method["_used"] = True
    if intent.get("_redisplay") and use:
        method["allow_redisplay"] = intent["_redisplay"]
    desk.save("payment_method", method)
    if use and intent["customer"] and not method["customer"]:
        payment_methods.attach_to(desk, method, intent["customer"])


def refused_capture(desk: Desk, intent: Json, charge: Json) -> None:
    """The bank will not give what it held after all: the hold is gone, and the intent needs another method."""
    method = desk.held("payment_method", intent["payment_method"])
    decline = cards.behind(charge).capture_decline or cards.GENERIC
    charges.fail(desk, charge, decline)
    intent["amount_capturable"] = 0
    _decline(desk, intent, method, decline, charge)


def _decline(desk: Desk, intent: Json, method: Json, decline: Decline, charge: Json | None) -> None:
    if charge:
        events.emit(desk, "charge.failed", charge)
    fail(desk, intent, method, declined(decline, charge))


def declined(decline: Decline, charge: Json | None) -> StripeError:
    details: Json = {"charge": charge["id"]} if charge else {}
    named = {
        "advice_code": decline.advice,
        "decline_code": decline.decline_code,
        "network_decline_code": decline.network_code,
    }
    return card_error(decline.code, decline.message, details | {name: said for name, said in named.items() if said})


def fail(desk: Desk, intent: Json, method: Json, error: StripeError) -> None:
    """Puts the intent back to needing a payment method, tells it, and raises the error."""
    error.error |= {"payment_method": shown(desk, method), "payment_method_type": method["type"]}
    intent |= {
        "status": "requires_payment_method",
        "payment_method": None,
        "next_action": None,
        "last_payment_error": dict(error.error),
    }
    desk.save("payment_intent", intent)
    events.emit(desk, "payment_intent.payment_failed", intent)
    error.error["payment_intent"] = shown(desk, intent)
    raise error


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
