"""What Paystack's pages have in common: finding what they are about, second steps, and the ways out."""

from __future__ import annotations

from typing import Any

from ..http import Reply
from ..ledger import Json
from ..world import Desk, World
from . import layout

STEP_TITLES = {
    "pin": "Enter your PIN",
    "otp": "Enter the one-time password",
    "phone": "Confirm your phone number",
    "3DS": "Confirm with your bank",
}


def opened(world: World, kind: str, id: str | None) -> tuple[Desk, Json] | None:
    """What a page is about, and the desk of the account it belongs to."""
    owner = world.ledger.owner(kind, id) if id else None
    account = world.accounts.by_id(owner) if owner else None
    desk = Desk(world, account) if account else None
    body = desk.get(kind, id) if desk and id else None
    return (desk, body) if desk and body else None


def back(paid: Json) -> Reply | None:
    """To the shop, with the reference under both of its names; None when it gave no address."""
    if not paid["callback_url"]:
        return None
    return layout.redirect(paid["callback_url"], trxref=paid["reference"], reference=paid["reference"])


def left(metadata: Any) -> Reply:
    """Paystack sends a customer who cancels to `metadata.cancel_action`, if the merchant gave one."""
    target = metadata.get("cancel_action") if isinstance(metadata, dict) else None
    if isinstance(target, str) and target.startswith(("http://", "https://")):
        return layout.redirect(target)
    return layout.message("Not paid", "Nothing was charged. You can close this page, or go back and try again.")
