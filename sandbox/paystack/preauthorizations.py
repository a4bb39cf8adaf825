"""Preauthorizations: rand held on a card until captured or released. The page or a saved card makes the hold."""

from __future__ import annotations

from typing import Any

from .. import ids
from ..http import Call
from ..ledger import Json
from ..world import Desk
from . import authorizations, cards, customers, lists, params, transactions
from .cards import Card
from .errors import PaystackError, invalid
from .preauth_object import listed, shown, tell

CURRENCY = "ZAR"
DAY = 86400
FIRST_ID = 500_000


def initialize(call: Call) -> Json:
    desk, given = call.desk, call.params
    email = params.email(given.get("email"))
    hold = _new(desk, given, email)
    code = hold["access_code"]
    data = {
        "authorization_url": desk.url(f"/checkout/preauthorization/{code}"),
        "access_code": code,
        "reference": hold["reference"],
    }
    return {"status": True, "message": "Authorization URL created", "data": data}


def reserve(call: Call) -> Json:
    """A hold on a saved card; a card that would be declined answers 200 with `data.status` failed."""
    desk, given = call.desk, call.params
    email = params.email(given.get("email"))
    customer = customers.find(desk, email)
    kept = authorizations.usable(desk, given.get("authorization_code"), customer)
    hold = _new(desk, given, email)
    card = cards.typed(kept["card"])
    hold |= {"card": card.number, "authorization_code": kept["id"], "attempts": 1}
    declined = card.saved if card.saved != "challenge" else None
    if declined:
        fail(desk, hold, declined)
    else:
        authorize(desk, hold)
    response = {"authorizeResponse": hold["gateway_response"], "rrn": ids.derived(str(hold["id"]), 10)}
    said = "Preauthorization failed" if declined else "Preauthorization successful"
    return {"status": True, "message": said, "data": shown(desk, hold) | {"gateway_response": response}}


def _new(desk: Desk, given: Json, email: str) -> Json:
    if given.get("currency") in (None, ""):
        raise params.missing("currency")
    allowed = [name for name in desk.account.options["currencies"] if name == CURRENCY]
    amount, currency = transactions.asked_money(desk, given, allowed)
    action = given.get("expire_action") or "release"
    if action not in ("release", "capture"):
        raise invalid("expire_action must be one of [release, capture]")
    days = _days(given.get("expire_after_days"))
    reference = transactions.free_reference(desk, {"reference": given.get("reference") or "pre_" + ids.fresh_lower(8)})
    id = FIRST_ID + desk.world.ledger.next_number()
    hold: Json = {
        "id": id,
        "access_code": transactions.access_code(id),
        "reference": reference,
        "status": "abandoned",
        "amount": amount,
        "currency": currency,
        "callback_url": params.callback_url(given) or desk.account.options["callback_url"],
        "metadata": params.metadata(given.get("metadata")),
        "customer": customers.short(customers.for_email(desk, email)),
        "expire_action": action,
        "expire_after_days": days,
        "expires": None,
        "expired": None,
        "card": None,
        "authorization_code": None,
        "attempts": 0,
        "gateway_response": None,
        "transaction": None,
        "captured": None,
        "captured_amount": None,
        "released": None,
        "created": desk.now,
    }
    return desk.add("preauthorization", hold, parent=reference)


def _days(value: Any) -> int:
    """1 to 30, 5 when not given (paystack.com/docs/api/preauthorization)."""
    if value in (None, ""):
        return 5
    if isinstance(value, str) and value.isdigit():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 30:
        raise invalid("expire_after_days must be between 1 and 30")
    return value


def pay(desk: Desk, hold: Json, card: Card) -> None:
    """The customer submits a card on the page."""
    hold |= {"attempts": hold["attempts"] + 1, "card": card.number}
    if card.decline:
        fail(desk, hold, card.decline)
    elif card.step:
        hold |= {"status": "ongoing", "gateway_response": f"Authentication required: {card.step}"}
        desk.save("preauthorization", hold)
    else:
        _hold_card(desk, hold, card)


def finish_step(desk: Desk, hold: Json, passed: bool) -> None:
    if passed:
        _hold_card(desk, hold, cards.typed(hold["card"]))
    else:
        fail(desk, hold, "Authentication failed")


def _hold_card(desk: Desk, hold: Json, card: Card) -> None:
    hold["authorization_code"] = authorizations.keep(desk, hold["customer"]["customer_code"], card)
    authorize(desk, hold)


def fail(desk: Desk, hold: Json, said: str) -> None:
    """No event, as with transactions."""
    hold |= {"status": "failed", "gateway_response": said}
    desk.save("preauthorization", hold)


def authorize(desk: Desk, hold: Json) -> None:
    wait = hold["expire_after_days"] * DAY
    hold |= {"status": "authorized", "gateway_response": "Approved", "expires": desk.now + wait}
    desk.save("preauthorization", hold)
    desk.later("expire_preauthorization", str(hold["id"]), wait)
    tell(desk, "reserve.success", hold, "Approved")


def named(desk: Desk, reference: object) -> Json:
    """By reference; the refusal is Paystack's own text, a 400."""
    if reference in (None, ""):
        raise params.missing("reference")
    found = desk.children("preauthorization", str(reference))
    if not found:
        raise PaystackError(
            400,
            "Preauthorization not found",
            "not_found",
            "Ensure that you're passing the correct reference for the requested resource that exists on this "
            "integration",
        )
    return found[0]


def verify(call: Call) -> Json:
    hold = named(call.desk, call.args[0])
    return {"status": True, "message": "Preauthorization retrieved", "data": shown(call.desk, hold)}


def list_preauthorizations(call: Call) -> Json:
    where, values = lists.narrowed(call, {"status": "status", "amount": "amount"})
    bodies, meta = lists.rows(call, "preauthorization", where, values)
    data = [listed(call.desk, body) for body in bodies]
    return {"status": True, "message": "Preauthorizations retrieved", "data": data, "meta": meta}
