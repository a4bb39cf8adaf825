"""Stripe's pages: the hosted checkout of a session, and the bank's authentication of a card."""

from __future__ import annotations

from html import escape

from ..http import Raw, Reply, Route
from ..ledger import Json
from ..provider import Page
from ..stripe import cards, checkout_sessions, confirmation, money, payment_method_object, payment_methods
from ..stripe.errors import StripeError
from ..world import Desk, World
from . import layout

_BUTTONS = (("pay", "Pay"), ("decline", "Pay with a card that is declined"), ("back", "Back to the shop"))
_TRY = (
    ("4242424242424242", "pays"),
    ("4000002760003184", "asks for authentication"),
    ("4000000000000002", "is declined"),
    ("4000000000009995", "has insufficient funds"),
    ("4000000000000069", "has expired"),
    ("4000000000000259", "pays, then is disputed"),
    ("4000000000005126", "pays, a refund fails later"),
)
_TRY_BANK = (
    ("000123456789", "bank account: pays later"),
    ("000222222227", "bank account: fails later"),
)
DECLINED_CARD = "4000000000000002"


def _found(world: World, kind: str, id: str) -> tuple[Desk, Json] | None:
    """An object by its id alone: pages carry no key."""
    owner = world.ledger.owner(kind, id)
    account = world.accounts.by_id(owner) if owner else None
    desk = Desk(world, account) if account else None
    body = desk.get(kind, id) if desk else None
    return (desk, body) if desk and body else None


def show_checkout(world: World, raw: Raw, args: tuple[str, ...]) -> Reply:
    found = _found(world, "checkout_session", args[0])
    if found is None:
        return layout.message("Page not found", "There is no such checkout page.", 404)
    desk, session = found
    intent = desk.get("payment_intent", session["payment_intent"]) if session["payment_intent"] else None
    last = intent["last_payment_error"] if intent else None
    return _closed(session) or _checkout(desk, session, "4242 4242 4242 4242", last["message"] if last else None)


def _closed(session: Json) -> Reply | None:
    if session["status"] == "complete":
        return layout.message("Already paid", "This checkout is complete. You can close this page.")
    if session["status"] == "expired":
        return layout.message("This page has expired", "Go back to the shop to start again.", 410)
    return None


def _checkout(desk: Desk, session: Json, card: str, said: str | None) -> Reply:
    amount = money.shown(session["amount_total"], session["currency"])
    items = ", ".join(item["name"] for item in session["_items"])
    body = (
        f'<p class="small">{escape(items)}</p><h1>{escape(amount)} {escape(session["currency"].upper())}</h1>'
        + _form(desk, session, card, said)
        + layout.test_cards(_TRY + (_TRY_BANK if "us_bank_account" in session["payment_method_types"] else ()))
    )
    return layout.page(f"Pay {amount}", body)


def _form(desk: Desk, session: Json, card: str, said: str | None) -> str:
    """The card field, before it the customer's saved cards, and after it the offer to keep a new one."""
    saved = checkout_sessions.saved_methods(desk, session)
    choices = [(method["id"], _named(method)) for method in saved]
    keep = checkout_sessions.may_save(session)
    return layout.card_form(_BUTTONS, card, said, saved=choices, keep="Save this card for next time" if keep else None)


def _named(method: Json) -> str:
    shown: Json = method[method["type"]]
    expires = f", expires {shown['exp_month']:02}/{shown['exp_year'] % 100}" if method["type"] == "card" else ""
    return f"{shown.get('brand', 'bank account').capitalize()} ending in {shown['last4']}{expires}"


def _chosen(desk: Desk, session: Json, fields: dict[str, str], card: str) -> Json:
    """The saved card that was picked, or a new method of what was typed."""
    picked = fields.get("payment_method")
    if picked and fields.get("action") != "decline":
        return payment_methods.usable(desk, picked, session["customer"])
    typed = cards.typed(card)
    if typed.type not in session["payment_method_types"]:
        raise StripeError(400, "This shop does not take this way of paying here.")
    return payment_method_object.new(desk, typed)


def submit_checkout(world: World, raw: Raw, args: tuple[str, ...]) -> Reply:
    found = _found(world, "checkout_session", args[0])
    if found is None:
        return layout.message("Page not found", "There is no such checkout page.", 404)
    desk, session = found
    closed = _closed(session)
    if closed:
        return closed
    fields = layout.posted(raw)
    action = fields.get("action", "pay")
    if action == "back":
        if session["cancel_url"]:
            return layout.redirect(session["cancel_url"].replace(checkout_sessions.SESSION_ID_MARK, session["id"]))
        return layout.message("Not paid", "Nothing was charged. You can close this page.")
    card = DECLINED_CARD if action == "decline" else fields.get("card", "")
    try:
        method = _chosen(desk, session, fields, card)
        intent = checkout_sessions.pay(desk, session, method, keep=fields.get("save") == "yes")
    except StripeError as error:
        return _checkout(desk, session, card, str(error))
    if intent["status"] == "requires_action":
        return layout.redirect(desk.url(f"/authenticate/{intent['client_secret']}"))
    return layout.redirect(checkout_sessions.success_url(session))


def _authenticating(world: World, secret: str) -> tuple[Desk, Json] | None:
    found = _found(world, "payment_intent", secret.partition("_secret_")[0])
    return found if found and found[1]["client_secret"] == secret else None


def show_authentication(world: World, raw: Raw, args: tuple[str, ...]) -> Reply:
    found = _authenticating(world, args[0])
    if found is None:
        return layout.message("Page not found", "There is no such authentication page.", 404)
    intent = found[1]
    if intent["status"] != "requires_action":
        return layout.message("Nothing to do", f"This payment does not wait for you; it is {intent['status']}.")
    amount = money.shown(intent["amount"], intent["currency"])
    body = (
        f"<h1>Is it you?</h1><p>Your bank asks you to confirm a payment of <strong>{escape(amount)}"
        f" {escape(intent['currency'].upper())}</strong>.</p>"
        + layout.choices((("authorize", "Complete authentication"), ("fail", "Fail authentication")))
    )
    return layout.page("Confirm with your bank", body)


def submit_authentication(world: World, raw: Raw, args: tuple[str, ...]) -> Reply:
    found = _authenticating(world, args[0])
    if found is None:
        return layout.message("Page not found", "There is no such authentication page.", 404)
    desk, intent = found
    if intent["status"] != "requires_action":
        return layout.message("Nothing to do", f"This payment does not wait for you; it is {intent['status']}.")
    passed = layout.posted(raw).get("action", "authorize") == "authorize"
    said = None
    try:
        confirmation.finish_authentication(desk, intent, passed)
    except StripeError as error:
        said = str(error)
    if intent.get("_session"):
        return _back_to_checkout(desk, intent, said)
    return _back_to_shop(intent, said)


def _back_to_checkout(desk: Desk, intent: Json, said: str | None) -> Reply:
    checkout_sessions.complete_if_paid(desk, intent)
    if said:
        return layout.redirect(desk.url(f"/c/pay/{intent['_session']}"))
    session = desk.held("checkout_session", intent["_session"])
    return layout.redirect(checkout_sessions.success_url(session))


def _back_to_shop(intent: Json, said: str | None) -> Reply:
    if intent.get("_return_url"):
        return layout.redirect(
            intent["_return_url"],
            payment_intent=intent["id"],
            payment_intent_client_secret=intent["client_secret"],
            redirect_status="failed" if said else "succeeded",
        )
    if said:
        return layout.message("Not authenticated", said)
    return layout.message("Authenticated", "Thank you. You can close this page.")


PAGES: tuple[Route[Page], ...] = (
    Route("GET", "/c/pay/{}", "checkout", show_checkout),
    Route("POST", "/c/pay/{}", "checkout", submit_checkout),
    Route("GET", "/authenticate/{}", "authenticate", show_authentication),
    Route("POST", "/authenticate/{}", "authenticate", submit_authentication),
)
