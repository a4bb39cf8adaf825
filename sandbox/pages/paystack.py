"""Paystack's checkout page, and the second step some cards ask for."""

from __future__ import annotations

from html import escape

from ..http import Raw, Reply, Route
from ..ledger import Json
from ..paystack import cards, dispute_answers, money, paying, transactions
from ..provider import Page
from ..world import Desk, World
from . import layout
from .paystack_hold import HOLD_PAGES
from .paystack_steps import STEP_TITLES, back, left, opened

_BUTTONS = (("pay", "Pay"), ("decline", "Pay with a card that is declined"), ("cancel", "Cancel"))
DECLINED_CARD = "4084080000005408"


def _found(world: World, code: str) -> tuple[Desk, Json] | None:
    return opened(world, "transaction", transactions.find_by_access_code(code))


def show(world: World, raw: Raw, args: tuple[str, ...]) -> Reply:
    found = _found(world, args[0])
    if found is None:
        return layout.message("Page not found", "There is no such checkout page.", 404)
    desk, transaction = found
    _arrive(desk, transaction)
    return _page(transaction)


def _arrive(desk: Desk, transaction: Json) -> None:
    """Whoever comes because a saved card was paused is with the bank at once."""
    if paying.is_paused(transaction):
        paying.await_step(desk, transaction, "3DS")


def _page(transaction: Json) -> Reply:
    status = transaction["status"]
    if status in ("success", "reversed"):
        return layout.message("Already paid", "This payment is complete. You can close this page.")
    if status == "pending":
        return layout.message("Waiting for your payment", "We will tell the shop when it has arrived.")
    amount = money.shown(transaction["amount"], transaction["currency"])
    if status == "ongoing":
        title = STEP_TITLES[cards.typed(transaction["card"]).step or "3DS"]
        body = f"<h1>{escape(title)}</h1><p>To pay <strong>{escape(amount)}</strong>.</p>"
        return layout.page(title, body + layout.choices((("authorize", "Continue"), ("fail", "Fail"))))
    if transaction["saved"]:
        return layout.message("Not paid", "Nothing was charged. Go back to the shop to try again.")
    return layout.page(f"Pay {amount}", _ways_to_pay(transaction, amount))


def _ways_to_pay(transaction: Json, amount: str) -> str:
    """Only the channels the merchant asked for."""
    said = transaction["gateway_response"] if transaction["status"] == "failed" else None
    body = f'<p class="small">{escape(transaction["customer"]["email"])}</p><h1>{escape(amount)}</h1>'
    with_card = "card" in transaction["channels"]
    if with_card:
        body += layout.card_form(_BUTTONS, "4084 0840 8408 4081", said)
    offered = [(name, label) for name, label in paying.LATER_CHANNELS.items() if name in transaction["channels"]]
    body += layout.channel_form(offered)
    if not with_card:
        body += layout.choices((("cancel", "Cancel"),))
    return body + (layout.test_cards((card.number, card.what) for card in cards.CARDS) if with_card else "")


def submit(world: World, raw: Raw, args: tuple[str, ...]) -> Reply:
    found = _found(world, args[0])
    if found is None:
        return layout.message("Page not found", "There is no such checkout page.", 404)
    desk, transaction = found
    _arrive(desk, transaction)
    status = transaction["status"]
    if status in ("success", "reversed", "pending"):
        return _page(transaction)
    fields = layout.posted(raw)
    action = fields.get("action", "pay")
    if status == "ongoing" and action in ("authorize", "fail"):
        paying.finish_step(desk, transaction, passed=action == "authorize")
    elif action == "cancel":
        return left(transaction["metadata"])
    elif not transaction["saved"]:
        _try(desk, transaction, action, fields)
    return _after(transaction)


def _try(desk: Desk, transaction: Json, action: str, fields: dict[str, str]) -> None:
    """A way the merchant did not ask for is not on the page; posting it all the same does nothing."""
    channel = fields.get("channel", "")
    if action == "channel":
        if channel in transaction["channels"] and channel in paying.LATER_CHANNELS:
            paying.pay_later(desk, transaction, channel)
    elif "card" in transaction["channels"]:
        card = DECLINED_CARD if action == "decline" else fields.get("card", "")
        paying.pay(desk, transaction, cards.typed(card))


def _after(transaction: Json) -> Reply:
    """Only a success, or money on its way, sends the customer back; everything else goes on here."""
    if transaction["status"] == "success":
        return back(transaction) or layout.message("Paid", "Thank you. You can close this page.")
    return (back(transaction) if transaction["status"] == "pending" else None) or _page(transaction)


PAGES: tuple[Route[Page], ...] = (
    Route("GET", "/checkout/{}", "checkout", show),
    Route("POST", "/checkout/{}", "checkout", submit),
    *HOLD_PAGES,
    Route("PUT", "/uploads/{}", "upload", dispute_answers.receive_upload),
)
