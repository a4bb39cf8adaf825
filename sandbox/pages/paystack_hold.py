"""The page on which a customer lets an amount be held."""

from __future__ import annotations

from html import escape

from ..http import Raw, Reply, Route
from ..ledger import Json
from ..paystack import cards, money, preauthorizations, transactions
from ..provider import Page
from ..world import Desk, World
from . import layout
from .paystack_steps import STEP_TITLES, back, left, opened

_BUTTONS = (("pay", "Hold this amount"), ("decline", "Use a card that is declined"), ("cancel", "Cancel"))
_DECLINED_CARD = "4084080000005408"
_OPEN = ("abandoned", "failed", "ongoing")


def _found(world: World, code: str) -> tuple[Desk, Json] | None:
    return opened(world, "preauthorization", transactions.find_by_access_code(code))


def show(world: World, raw: Raw, args: tuple[str, ...]) -> Reply:
    found = _found(world, args[0])
    return _page(found[1]) if found else layout.message("Page not found", "There is no such checkout page.", 404)


def _page(hold: Json) -> Reply:
    if hold["status"] not in _OPEN:
        return layout.message("Already confirmed", "Your card has been confirmed. You can close this page.")
    amount = money.shown(hold["amount"], hold["currency"])
    if hold["status"] == "ongoing":
        title = STEP_TITLES[cards.typed(hold["card"]).step or "3DS"]
        body = f"<h1>{escape(title)}</h1><p>To hold <strong>{escape(amount)}</strong>.</p>"
        return layout.page(title, body + layout.choices((("authorize", "Continue"), ("fail", "Fail"))))
    said = hold["gateway_response"] if hold["status"] == "failed" else None
    body = (
        f'<p class="small">{escape(hold["customer"]["email"])}</p><h1>{escape(amount)}</h1>'
        "<p>The amount is held on your card. You pay when the shop charges it.</p>"
        + layout.card_form(_BUTTONS, "4084 0840 8408 4081", said)
        + layout.test_cards((card.number, card.what) for card in cards.CARDS)
    )
    return layout.page(f"Hold {amount}", body)


def submit(world: World, raw: Raw, args: tuple[str, ...]) -> Reply:
    found = _found(world, args[0])
    if found is None:
        return layout.message("Page not found", "There is no such checkout page.", 404)
    desk, hold = found
    if hold["status"] not in _OPEN:
        return _page(hold)
    fields = layout.posted(raw)
    action = fields.get("action", "pay")
    if hold["status"] == "ongoing" and action in ("authorize", "fail"):
        preauthorizations.finish_step(desk, hold, passed=action == "authorize")
    elif action == "cancel":
        return left(hold["metadata"])
    else:
        card = _DECLINED_CARD if action == "decline" else fields.get("card", "")
        preauthorizations.pay(desk, hold, cards.typed(card))
    if hold["status"] != "authorized":
        return _page(hold)
    return back(hold) or layout.message("Confirmed", "Thank you. You can close this page.")


HOLD_PAGES: tuple[Route[Page], ...] = (
    Route("GET", "/checkout/preauthorization/{}", "hold", show),
    Route("POST", "/checkout/preauthorization/{}", "hold", submit),
)
