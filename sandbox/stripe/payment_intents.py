"""Payment intents: create, read, update, confirm, capture, cancel, list."""

from __future__ import annotations

from ..http import Call
from ..ledger import Json
from ..world import Desk
from . import (
    cards,
    charges,
    confirmation,
    customer_object,
    events,
    intent_object,
    intent_params,
    lists,
    money,
    params,
    payment_methods,
)
from .errors import StripeError, missing, wrong_state
from .objects import expanded, public

CANCELABLE = ("requires_payment_method", "requires_capture", "requires_confirmation", "requires_action", "processing")
CONFIRMABLE = ("requires_payment_method", "requires_confirmation", "requires_action")


def create(call: Call) -> Json:
    desk = call.desk
    given = intent_params.read(call, intent_params.CREATE)
    params.need(given, "amount", "currency")
    currency = money.check_currency(given["currency"])
    money.check_amount(given["amount"], currency)
    automatic = _automatic(given)
    _check_combination(given, automatic)
    customer = customer_object.named(desk, given["customer"])["id"] if given.get("customer") else None
    method = _method(desk, given, customer)
    intent = intent_object.new(desk, given | {"currency": currency, "customer": customer}, automatic)
    if method:
        intent |= {"payment_method": method["id"], "status": "requires_confirmation"}
    desk.add("payment_intent", intent)
    events.emit(desk, "payment_intent.created", intent)
    if given.get("confirm"):
        confirmation.confirm(desk, intent, {name: value for name, value in given.items() if name != "payment_method"})
    return expanded(desk, intent, given.get("expand"))


def _automatic(given: Json) -> Json | None:
    """Dynamic payment methods are on unless the caller lists the types itself (an old version)."""
    wanted = given.get("automatic_payment_methods")
    if wanted is not None:
        params.need(wanted, "enabled")
        return {"allow_redirects": "always", **wanted}
    if "payment_method_types" in given:
        return None
    return {"allow_redirects": "always", "enabled": True}


def _check_combination(given: Json, automatic: Json | None) -> None:
    if given.get("off_session") and not given.get("confirm"):
        raise StripeError(400, "You can only set `off_session` when `confirm` is true.", param="off_session")
    if given.get("error_on_requires_action") and not given.get("confirm"):
        raise StripeError(
            400, "You can only set `error_on_requires_action` when `confirm` is true.", param="error_on_requires_action"
        )
    if given.get("return_url") and not given.get("confirm"):
        raise StripeError(
            400,
            "You cannot provide `return_url` without also confirming this PaymentIntent. You must set"
            " `confirm=true`, or provide `return_url` when you confirm it later.",
            param="return_url",
        )
    if given.get("confirm"):
        if not given.get("payment_method") and not given.get("payment_method_data"):
            raise StripeError(400, confirmation.NO_METHOD, code="payment_intent_unexpected_state")
        confirmation.refuse_without_return_url(automatic, given)
    if given.get("customer_account"):
        named = given["customer_account"]
        raise StripeError(400, f"No such account: '{named}'", code="resource_missing", param="customer_account")


def _method(desk: Desk, given: Json, customer: str | None) -> Json | None:
    if given.get("payment_method_data"):
        return payment_methods.from_data(desk, given["payment_method_data"])
    return payment_methods.usable(desk, given["payment_method"], customer) if given.get("payment_method") else None


def find(desk: Desk, id: str) -> Json:
    intent = desk.get("payment_intent", id)
    if intent is None:
        raise missing("payment_intent", id, "intent")
    return intent


def retrieve(call: Call) -> Json:
    given = params.read(call.params, {"expand": params.texts, "client_secret": params.text})
    return expanded(call.desk, find(call.desk, call.args[0]), given.get("expand"))


def list_intents(call: Call) -> Json:
    given = params.read(call.params, intent_params.LIST)
    where, values = lists.matching(given, "customer")
    return lists.page(call, "payment_intent", given, where, values)


def update(call: Call) -> Json:
    desk = call.desk
    given = intent_params.read(call, intent_params.UPDATE)
    intent = find(desk, call.args[0])
    changed = _changes(desk, intent, given)
    intent |= changed
    desk.save("payment_intent", intent)
    return expanded(desk, intent, given.get("expand"))


def _changes(desk: Desk, intent: Json, given: Json) -> Json:
    money_named = {"amount", "currency", "customer", "payment_method", "capture_method"} & set(given)
    if money_named and intent["status"] not in CONFIRMABLE:
        name = sorted(money_named)[0]
        raise wrong_state(
            f"This PaymentIntent's {name} could not be updated because it has a status of {intent['status']}. You may"
            " only update the " + name + " of a PaymentIntent with one of the following statuses: "
            + ", ".join(CONFIRMABLE) + ".",
            public(intent),
        )  # fmt: skip
    kept = ("description", "receipt_email", "setup_future_usage", "shipping", "statement_descriptor",
            "statement_descriptor_suffix", "transfer_group", "capture_method", "amount")  # fmt: skip
    changed = {name: given[name] for name in kept if name in given}
    if given.get("currency"):
        changed["currency"] = money.check_currency(given["currency"])
    if {"amount", "currency"} & set(changed):
        new = {"amount": intent["amount"], "currency": intent["currency"]} | changed
        money.check_amount(new["amount"], new["currency"])
    if "metadata" in given:
        changed["metadata"] = params.merged(intent["metadata"], given["metadata"])
    if given.get("customer"):
        changed["customer"] = customer_object.named(desk, given["customer"])["id"]
    if given.get("payment_method"):
        method = payment_methods.usable(desk, given["payment_method"], changed.get("customer") or intent["customer"])
        changed |= {"payment_method": method["id"], "status": "requires_confirmation", "next_action": None}
    return changed


def confirm(call: Call) -> Json:
    desk = call.desk
    given = intent_params.read(call, intent_params.CONFIRM)
    intent = find(desk, call.args[0])
    _check_confirmable(intent)
    confirmation.refuse_without_return_url(intent["automatic_payment_methods"], given, intent)
    kept = ("capture_method", "receipt_email", "setup_future_usage", "shipping")
    intent |= {name: given[name] for name in kept if name in given}
    if given.get("payment_method_data"):
        given["payment_method"] = payment_methods.from_data(desk, given["payment_method_data"])["id"]
    if given.get("amount_to_confirm") not in (None, intent["amount"]):
        raise StripeError(
            400,
            f"The provided `amount_to_confirm` ({given['amount_to_confirm']}) does not match the amount on the"
            f" PaymentIntent ({intent['amount']}).",
            param="amount_to_confirm",
        )
    confirmation.confirm(desk, intent, given)
    return expanded(desk, intent, given.get("expand"))


def _check_confirmable(intent: Json) -> None:
    status = intent["status"]
    if status == "succeeded":
        raise wrong_state(
            "You cannot confirm this PaymentIntent because it has already succeeded after being previously confirmed.",
            public(intent),
        )
    if status not in CONFIRMABLE:
        raise wrong_state(
            f"You cannot confirm this PaymentIntent because it has a status of {status}. Only a PaymentIntent with one"
            f" of the following statuses may be confirmed: {', '.join(CONFIRMABLE)}.",
            public(intent),
        )


def capture(call: Call) -> Json:
    desk = call.desk
    given = params.read(call.params, intent_params.CAPTURE)
    intent = find(desk, call.args[0])
    _check_capturable(intent)
    if given.get("final_capture") is False:
        raise StripeError(
            400,
            "The `final_capture` parameter can only be false for a PaymentIntent with multicapture available.",
            param="final_capture",
            saved=True,
        )
    amount: int = given.get("amount_to_capture") or intent["amount_capturable"]
    if amount > intent["amount_capturable"]:
        raise StripeError(
            400,
            f"The amount_to_capture ({amount}) is greater than the PaymentIntent's amount_capturable"
            f" ({intent['amount_capturable']}).",
            code="amount_too_large",
            param="amount_to_capture",
            saved=True,
        )
    charge = desk.held("charge", intent["latest_charge"])
    if cards.behind(charge).capture_decline:
        confirmation.refused_capture(desk, intent, charge)
    charges.capture(desk, charge, amount)
    intent |= {"status": "succeeded", "amount_received": amount, "amount_capturable": 0}
    if "metadata" in given:
        intent["metadata"] = params.merged(intent["metadata"], given["metadata"])
    desk.save("payment_intent", intent)
    events.emit(desk, "payment_intent.succeeded", intent)
    return expanded(desk, intent, given.get("expand"))


def _check_capturable(intent: Json) -> None:
    if intent["status"] == "succeeded":
        raise wrong_state(
            "This PaymentIntent could not be captured because it has already been captured.", public(intent)
        )
    if intent["status"] != "requires_capture":
        raise wrong_state(
            f"This PaymentIntent could not be captured because it has a status of {intent['status']}. Only a"
            " PaymentIntent with one of the following statuses may be captured: requires_capture.",
            public(intent),
        )


def cancel(call: Call) -> Json:
    desk = call.desk
    given = params.read(call.params, intent_params.CANCEL)
    intent = find(desk, call.args[0])
    if intent["status"] not in CANCELABLE:
        raise wrong_state(
            f"You cannot cancel this PaymentIntent because it has a status of {intent['status']}. Only a PaymentIntent"
            f" with one of the following statuses may be canceled: {', '.join(CANCELABLE)}.",
            public(intent),
        )
    if intent.get("_session") and intent["status"] != "requires_capture":
        raise wrong_state(
            "You cannot cancel this PaymentIntent because it was created by a Checkout Session. Expire the Checkout"
            " Session instead.",
            public(intent),
        )
    end(desk, intent, given.get("cancellation_reason"))
    return expanded(desk, intent, given.get("expand"))


def end(desk: Desk, intent: Json, reason: str | None, released: str = "charge.refunded") -> None:
    """Cancels, letting go of money that was held; `released` is the event that tells it."""
    if intent["status"] == "requires_capture":
        charges.release(desk, desk.held("charge", intent["latest_charge"]), released)
    if intent["status"] == "processing":
        charges.stop(desk, desk.held("charge", intent["latest_charge"]))
    intent |= {
        "status": "canceled",
        "canceled_at": desk.now,
        "cancellation_reason": reason,
        "amount_capturable": 0,
        "next_action": None,
    }
    desk.save("payment_intent", intent)
    events.emit(desk, "payment_intent.canceled", intent)


def expire_authorization(desk: Desk, intent_id: str) -> None:
    """The hold's window passed without a capture."""
    intent = desk.get("payment_intent", intent_id)
    if intent and intent["status"] == "requires_capture":
        end(desk, intent, "automatic", released="charge.expired")
