"""Checkout Sessions in payment mode: made by the merchant, paid or left by the customer on our page."""

from __future__ import annotations

import re

from ..http import Call
from ..ledger import Json
from ..world import Desk
from . import (
    checkout_params,
    confirmation,
    customer_object,
    events,
    intent_object,
    intent_params,
    lists,
    money,
    params,
    payment_intents,
    session_object,
)
from .errors import StripeError, missing
from .objects import expanded, line_items

SESSION_ID_MARK = "{CHECKOUT_SESSION_ID}"
# Who typed no address on the page.
UNNAMED = "customer@example.com"


def create(call: Call) -> Json:
    desk = call.desk
    if "payment_method_types" in call.params:
        intent_params.refuse_removed_types(call)
        types = params.texts("payment_method_types", call.params.pop("payment_method_types"))
    else:
        types = []
    given = params.read(call.params, checkout_params.CREATE)
    checkout_params.check(desk, given)
    currency, amount, items = checkout_params.priced(given["line_items"])
    money.check_amount(amount, currency)
    session = session_object.new(desk, given, currency, amount, items)
    data = {**session["_intent_data"], "currency": currency}
    session["payment_method_types"] = types or intent_object.types(
        {
            **data,
            **{name: given.get(name) for name in ("allowed_payment_method_types", "excluded_payment_method_types")},
        }
    )
    desk.add("checkout_session", session)
    desk.later("expire_session", session["id"], session["expires_at"] - desk.now)
    return expanded(desk, session, given.get("expand"))


def find(desk: Desk, id: str) -> Json:
    session = desk.get("checkout_session", id)
    if session is None:
        raise missing("checkout.session", id, "session")
    return session


def retrieve(call: Call) -> Json:
    given = params.read(call.params, {"expand": params.texts})
    return expanded(call.desk, find(call.desk, call.args[0]), given.get("expand"))


def list_sessions(call: Call) -> Json:
    given = params.read(call.params, checkout_params.LIST)
    given["customer_details.email"] = (given.get("customer_details") or {}).get("email")
    where, values = lists.matching(given, "payment_intent", "status", "customer", "customer_details.email")
    return lists.page(call, "checkout_session", given, where, values)


def list_line_items(call: Call) -> Json:
    data = line_items(call.desk, find(call.desk, call.args[0])["id"])
    return {"object": "list", "data": data, "has_more": False, "url": call.raw.path}


def expire(call: Call) -> Json:
    given = params.read(call.params, {"expand": params.texts})
    session = find(call.desk, call.args[0])
    if session["status"] != "open":
        raise StripeError(
            400,
            f'Only Checkout Sessions with a status in ["open"] can be expired. This Checkout Session has a status of'
            f" {session['status']}.",
            param="session",
            saved=True,
        )
    _end(call.desk, session)
    return expanded(call.desk, session, given.get("expand"))


def expire_if_open(desk: Desk, session_id: str) -> None:
    session = desk.get("checkout_session", session_id)
    if session and session["status"] == "open":
        _end(desk, session)


def _end(desk: Desk, session: Json) -> None:
    """No further try is possible: the page is closed and its unpaid intent canceled."""
    session |= {"status": "expired", "url": None}
    desk.save("checkout_session", session)
    intent = desk.get("payment_intent", session["payment_intent"]) if session["payment_intent"] else None
    if intent and intent["status"] in payment_intents.CANCELABLE:
        payment_intents.end(desk, intent, "automatic")
    events.emit(desk, "checkout.session.expired", session)


def pay(desk: Desk, session: Json, method: Json, *, keep: bool = False) -> Json:
    """The customer submits a card, a bank account or a saved card, and may ask to keep it.

    Answers the intent: paid, held, on its way, or waiting for authentication. Raises StripeError when the card says
    no; the session stays open for another try.
    """
    intent = _intent(desk, session)
    if keep and may_save(session):
        intent |= {"setup_future_usage": "off_session", "_redisplay": "always"}
    elif intent["setup_future_usage"]:
        intent["_redisplay"] = "limited"
    email = session["customer_email"]
    if email and not method["customer"]:
        method["billing_details"]["email"] = email
        desk.save("payment_method", method)
    wanted = {"payment_method": method["id"], "use_stripe_sdk": True, "mandate_data": {"customer_acceptance": {}}}
    confirmation.confirm(desk, intent, wanted)
    complete_if_paid(desk, intent)
    return intent


def may_save(session: Json) -> bool:
    return bool(session["customer"]) and session["saved_payment_method_options"]["payment_method_save"] == "enabled"


def saved_methods(desk: Desk, session: Json) -> list[Json]:
    """The customer's cards that may be shown again: those kept on purpose, unless the session asks for others."""
    if not session["customer"]:
        return []
    return [
        method
        for method in desk.children("payment_method", session["customer"])
        if method["customer"] == session["customer"]
        and method["type"] in session["payment_method_types"]
        and method["allow_redisplay"] in session["saved_payment_method_options"]["allow_redisplay_filters"]
    ]


def _intent(desk: Desk, session: Json) -> Json:
    """The session's intent; the first submit makes it, later ones use it again."""
    if session["payment_intent"]:
        return payment_intents.find(desk, session["payment_intent"])
    given = {**session["_intent_data"], "amount": session["amount_total"], "currency": session["currency"]}
    given |= {"customer": session["customer"], "payment_method_types": session["payment_method_types"]}
    if not session["customer"] and (session["customer_creation"] == "always" or given.get("setup_future_usage")):
        # Somebody has to own what is kept.
        given["customer"] = customer_object.new(desk, {"email": session["customer_email"] or UNNAMED})["id"]
    intent = intent_object.new(desk, given, {"allow_redirects": "always", "enabled": True})
    intent |= {
        "_session": session["id"],
        "_return_url": session["success_url"],
        "_idempotency_key": session["_idempotency_key"],
    }
    desk.add("payment_intent", intent, parent=session["id"])
    events.emit(desk, "payment_intent.created", intent)
    session["payment_intent"] = intent["id"]
    desk.save("checkout_session", session)
    return intent


def complete_if_paid(desk: Desk, intent: Json) -> None:
    """Closes the session of an intent that got its money, its hold, or the promise of a bank debit."""
    if intent["status"] not in ("succeeded", "requires_capture", "processing"):
        return
    session = desk.held("checkout_session", intent["_session"])
    customer = desk.get("customer", intent["customer"]) if intent["customer"] else None
    email = session["customer_email"] or (customer or {}).get("email") or UNNAMED
    session |= {
        "status": "complete",
        "url": None,
        "customer": intent["customer"],
        # Money that is only held or on its way is not paid yet.
        "payment_status": "paid" if intent["status"] == "succeeded" else "unpaid",
        "customer_details": {
            "address": None, "business_name": None, "email": email, "individual_name": None, "name": None,
            "phone": None, "tax_exempt": "none", "tax_ids": [],
        },
    }  # fmt: skip
    desk.save("checkout_session", session)
    events.emit(desk, "checkout.session.completed", session)


def settled(desk: Desk, intent: Json) -> None:
    """What was on its way when the session was completed has come, or has not."""
    session = desk.held("checkout_session", intent["_session"])
    came = intent["status"] == "succeeded"
    if came:
        session["payment_status"] = "paid"
        desk.save("checkout_session", session)
    events.emit(desk, f"checkout.session.async_payment_{'succeeded' if came else 'failed'}", session)


def success_url(session: Json) -> str:
    return re.sub(re.escape(SESSION_ID_MARK), lambda _: session["id"], session["success_url"])
