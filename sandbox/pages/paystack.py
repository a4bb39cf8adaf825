"""Paystack's checkout page, and the second step some cards ask for."""

from __future__ import annotations

from html import escape

from ..http import Raw, Reply, Route
from ..ledger import Json
from ..paystack import cards, money, transactions
from ..provider import Page
from ..world import Desk, World
from . import layout

_BUTTONS = (("pay", "Pay"), ("decline", "Pay with a card that is declined"), ("cancel", "Cancel"))
_STEPS = {
    "pin": "Enter your PIN",
    "otp": "Enter the one-time password",
    "phone": "Confirm your phone number",
    "3DS": "Confirm with your bank",
}
DECLINED_CARD = "4084080000005408"


def _found(world: World, code: str) -> tuple[Desk, Json] | None:
    id = transactions.find_by_access_code(code)
    owner = world.ledger.owner("transaction", id) if id else None
    account = world.accounts.by_id(owner) if owner else None
    desk = Desk(world, account) if account else None
    transaction = desk.get("transaction", id) if desk and id else None
    return (desk, transaction) if desk and transaction else None


def show(world: World, raw: Raw, args: tuple[str, ...]) -> Reply:
    found = _found(world, args[0])
    if found is None:
        return layout.message("Page not found", "There is no such checkout page.", 404)
    return _page(found[1])


def _page(transaction: Json) -> Reply:
    status = transaction["status"]
    if status in ("success", "reversed"):
        return layout.message("Already paid", "This payment is complete. You can close this page.")
    amount = money.shown(transaction["amount"], transaction["currency"])
    if status == "ongoing":
        step = cards.typed(transaction["card"]).step or "3DS"
        body = f"<h1>{escape(_STEPS[step])}</h1><p>To pay <strong>{escape(amount)}</strong>.</p>"
        return layout.page(_STEPS[step], body + layout.choices((("authorize", "Continue"), ("fail", "Fail"))))
    said = transaction["gateway_response"] if status == "failed" else None
    body = (
        f'<p class="small">{escape(transaction["customer"]["email"])}</p><h1>{escape(amount)}</h1>'
        + layout.card_form(_BUTTONS, "4084 0840 8408 4081", said)
        + layout.test_cards((card.number, card.what) for card in cards.CARDS)
    )
    return layout.page(f"Pay {amount}", body)


def submit(world: World, raw: Raw, args: tuple[str, ...]) -> Reply:
    found = _found(world, args[0])
    if found is None:
        return layout.message("Page not found", "There is no such checkout page.", 404)
    desk, transaction = found
    if transaction["status"] in ("success", "reversed"):
        return _page(transaction)
    fields = layout.posted(raw)
    action = fields.get("action", "pay")
    if transaction["status"] == "ongoing" and action in ("authorize", "fail"):
        transactions.finish_step(desk, transaction, passed=action == "authorize")
    elif action == "cancel":
        return _left(transaction)
    else:
        card = DECLINED_CARD if action == "decline" else fields.get("card", "")
        transactions.pay(desk, transaction, cards.typed(card))
    return _after(transaction)


def _after(transaction: Json) -> Reply:
    """Only a success sends the customer back; everything else goes on here."""
    if transaction["status"] != "success":
        return _page(transaction)
    return _back(transaction) or layout.message("Paid", "Thank you. You can close this page.")


def _back(transaction: Json) -> Reply | None:
    if not transaction["callback_url"]:
        return None
    reference = transaction["reference"]
    return layout.redirect(transaction["callback_url"], trxref=reference, reference=reference)


def _left(transaction: Json) -> Reply:
    """Paystack sends a customer who cancels to `metadata.cancel_action`, if the merchant gave one."""
    metadata = transaction["metadata"]
    target = metadata.get("cancel_action") if isinstance(metadata, dict) else None
    if isinstance(target, str) and target.startswith(("http://", "https://")):
        return layout.redirect(target)
    return layout.message("Not paid", "Nothing was charged. You can close this page, or go back and try again.")


PAGES: tuple[Route[Page], ...] = (
    Route("GET", "/checkout/{}", "checkout", show),
    Route("POST", "/checkout/{}", "checkout", submit),
)
