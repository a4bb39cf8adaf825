"""Charges: one attempt to take a payment intent's money, approved, held, or declined."""

from __future__ import annotations

from copy import deepcopy

from .. import ids
from ..http import Call
from ..ledger import Json
from ..world import Desk
from . import balance, cards, events, lists, params, refunds
from .cards import Card, Decline
from .errors import missing
from .objects import expanded

# docs.stripe.com/payments/place-a-hold-on-a-payment-method: 7 days, and for Visa without the customer 4 d 18 h.
HOLD = 7 * 86400
HOLD_MERCHANT_INITIATED_VISA = 4 * 86400 + 18 * 3600

#: What a charge repeats of its intent.
_FROM_INTENT = (
    "amount",
    "currency",
    "customer",
    "description",
    "receipt_email",
    "shipping",
    "statement_descriptor",
    "statement_descriptor_suffix",
    "transfer_group",
)
#: What every approved charge begins with.
_FRESH: Json = {
    "amount_captured": 0,
    "amount_refunded": 0,
    "application": None,
    "application_fee": None,
    "application_fee_amount": None,
    "balance_transaction": None,
    "calculated_statement_descriptor": "SANDBOX",
    "captured": False,
    "disputed": False,
    "failure_balance_transaction": None,
    "failure_code": None,
    "failure_message": None,
    "fraud_details": {},
    "livemode": False,
    "on_behalf_of": None,
    "paid": True,
    "receipt_number": None,
    "receipt_url": None,
    "refunded": False,
    "review": None,
    "source_transfer": None,
    "status": "succeeded",
    "transfer_data": None,
}


def attempt(
    desk: Desk, intent: Json, method: Json, *, authenticated: bool = False, refusal: Decline | None = None
) -> Json:
    """Makes the charge of a confirmation: captured, held under manual capture, on its way, or refused."""
    card = cards.of(method)
    charge = _new(desk, intent, method, card, authenticated)
    if card.type != "card":
        charge |= {"status": "pending", "paid": False}
    elif refusal or card.decline:
        _decline(charge, refusal or card.decline or cards.GENERIC)
    elif intent["capture_method"] == "manual":
        _hold(desk, charge, intent, card)
    else:
        charge["captured"] = True
        charge["amount_captured"] = intent["amount"]
        _book(desk, charge, intent)
        _arrange(desk, charge, card)
    return desk.add("charge", charge, parent=intent["id"])


def _new(desk: Desk, intent: Json, method: Json, card: Card, authenticated: bool) -> Json:
    shown = {
        **deepcopy(_FRESH),
        **{name: intent[name] for name in _FROM_INTENT},
        "billing_details": method["billing_details"],
        "created": desk.now,
        "metadata": dict(intent["metadata"]),
        "outcome": _outcome("authorized", "approved_by_network", None, "Payment complete."),
        "payment_intent": intent["id"],
        "payment_method": method["id"],
        "payment_method_details": {card.type: _details(intent, method, authenticated), "type": card.type},
    }
    return {
        "id": ids.fresh("ch_3" if card.type == "card" else "py_3"),
        "object": "charge",
        **dict(sorted(shown.items())),  # as Stripe's own bodies
        "_card": card.token,
        "_idempotency_key": desk.idempotency_key or intent.get("_idempotency_key"),
        "_bypass_pending": card.bypasses_pending,
    }


def _details(intent: Json, method: Json, authenticated: bool) -> Json:
    if method["type"] == "card":
        return _card_details(intent, method, authenticated)
    account: Json = method[method["type"]]
    shown = ("account_holder_type", "account_type", "bank_name", "fingerprint", "last4", "routing_number")
    return {"mandate": None, "payment_reference": None, **{name: account[name] for name in shown}}


def _card_details(intent: Json, method: Json, authenticated: bool) -> Json:
    card = method["card"]
    secure = {
        "authentication_flow": "challenge",
        "electronic_commerce_indicator": "05",
        "exemption_indicator": None,
        "result": "authenticated",
        "result_reason": None,
        "transaction_id": "ea7d2f0e-5f4b-4d44-9f5c-000000000000",
        "version": "2.2.0",
    }
    return {
        "amount_authorized": intent["amount"],
        "authorization_code": "123456",
        "brand": card["brand"],
        "checks": card["checks"],
        "country": card["country"],
        "exp_month": card["exp_month"],
        "exp_year": card["exp_year"],
        "extended_authorization": {"status": "disabled"},
        "fingerprint": card["fingerprint"],
        "funding": card["funding"],
        "incremental_authorization": {"status": "unavailable"},
        "installments": None,
        "last4": card["last4"],
        "mandate": None,
        "multicapture": {"status": "unavailable"},
        "network": card["brand"],
        "network_token": {"used": False},
        "network_transaction_id": "976910110049114",
        "overcapture": {"maximum_amount_capturable": intent["amount"], "status": "unavailable"},
        "regulated_status": card["regulated_status"],
        "three_d_secure": secure if authenticated else None,
        "wallet": None,
    }


def _outcome(network_status: str, kind: str, decline: Decline | None, seller_message: str) -> Json:
    types = {
        "approved_by_network": "authorized",
        "declined_by_network": "issuer_declined",
        "not_sent_to_network": "blocked",
    }
    return {
        "advice_code": decline.advice if decline else None,
        "network_advice_code": None,
        "network_decline_code": decline.network_code if decline else None,
        "network_status": kind,
        "reason": (decline.decline_code or decline.code) if decline else None,
        "risk_level": "highest" if decline and decline.blocked else "normal",
        "risk_score": 90 if decline and decline.blocked else 12,
        "seller_message": seller_message,
        "type": types[kind],
    }


def _decline(charge: Json, decline: Decline) -> None:
    kind = "not_sent_to_network" if decline.blocked else "declined_by_network"
    said = "Stripe blocked this payment as too risky." if decline.blocked else "The bank did not approve the payment."
    charge |= {
        "status": "failed",
        "paid": False,
        "failure_code": decline.code,
        "failure_message": decline.message,
        "outcome": _outcome(kind, kind, decline, said),
    }


def _hold(desk: Desk, charge: Json, intent: Json, card: Card) -> None:
    merchant_initiated = intent["_off_session"] and card.brand == "visa"
    window = HOLD_MERCHANT_INITIATED_VISA if merchant_initiated else HOLD
    charge["payment_method_details"]["card"]["capture_before"] = desk.now + window
    desk.later("expire_authorization", intent["id"], window)


def _book(desk: Desk, charge: Json, intent: Json) -> None:
    """Under `automatic_async` the fee is known a moment later, and told by charge.updated."""
    if intent["capture_method"] == "automatic_async":
        desk.later("settle_charge", charge["id"])
    else:
        charge["balance_transaction"] = balance.record(desk, "charge", charge["amount_captured"], charge)


def _arrange(desk: Desk, charge: Json, card: Card) -> None:
    """What the cardholder and the bank will say about it later."""
    if card.dispute:
        desk.later("open_dispute", charge["id"])
    if card.fraud_warning:
        desk.later("warn_of_fraud", charge["id"])


def settle(desk: Desk, charge_id: str) -> None:
    """The fee of an automatic_async charge arrives."""
    charge = desk.get("charge", charge_id)
    if charge is None or charge["balance_transaction"]:
        return
    charge["balance_transaction"] = balance.record(desk, "charge", charge["amount_captured"], charge)
    desk.save("charge", charge)
    events.emit(desk, "charge.updated", charge, {"balance_transaction": None})


def capture(desk: Desk, charge: Json, amount: int) -> None:
    """Takes `amount` of a held charge; the rest is released and shows as refunded, though no money moved back."""
    rest = charge["amount"] - amount
    charge |= {"captured": True, "amount_captured": amount, "amount_refunded": rest}
    charge["balance_transaction"] = balance.record(desk, "charge", amount, charge)
    desk.save("charge", charge)
    if rest:
        record_release(desk, charge, rest)
    events.emit(desk, "charge.captured", charge)
    _arrange(desk, charge, cards.behind(charge))


def fail(desk: Desk, charge: Json, decline: Decline) -> None:
    """Money that was held or on its way does not come; the caller tells it."""
    _decline(charge, decline)
    charge["captured"] = False
    desk.save("charge", charge)


def stop(desk: Desk, charge: Json) -> None:
    """A debit on its way is called back."""
    fail(desk, charge, Decline("canceled", None, "The payment was canceled before it settled."))
    events.emit(desk, "charge.failed", charge)


def arrive(desk: Desk, charge: Json) -> None:
    """A debit on its way brings its money."""
    charge |= {"status": "succeeded", "paid": True, "captured": True, "amount_captured": charge["amount"]}
    charge["balance_transaction"] = balance.record(desk, "payment", charge["amount"], charge)
    desk.save("charge", charge)
    events.emit(desk, "charge.succeeded", charge)
    _arrange(desk, charge, cards.behind(charge))


def warn_of_fraud(desk: Desk, charge_id: str) -> None:
    """The card's bank tells what it suspects; no money moves."""
    charge = desk.held("charge", charge_id)
    warning: Json = {
        "id": ids.fresh("issfr_1"),
        "object": "radar.early_fraud_warning",
        "actionable": not charge["refunded"] and not charge["disputed"],
        "charge": charge["id"],
        "created": desk.now,
        "fraud_type": "unauthorized_use_of_card",
        "livemode": False,
        "payment_intent": charge["payment_intent"],
    }
    events.emit(desk, "radar.early_fraud_warning.created", warning)


def release(desk: Desk, charge: Json, event: str) -> None:
    """Lets a whole hold go."""
    charge |= {"amount_refunded": charge["amount"], "refunded": True}
    if event == "charge.expired":
        charge["_expired"] = True
    desk.save("charge", charge)
    record_release(desk, charge, charge["amount"])
    events.emit(desk, event, charge)


def record_release(desk: Desk, charge: Json, amount: int) -> None:
    """Stripe keeps a refund object for what it releases; the oracle does not count it as a refund."""
    refund = refunds.new(desk, charge, amount, {"reason": None})
    refund |= {"status": "succeeded", "balance_transaction": None, "_release": True}
    desk.add("refund", refund, parent=charge["id"])


def retrieve(call: Call) -> Json:
    given = params.read(call.params, {"expand": params.texts})
    charge = call.desk.get("charge", call.args[0])
    if charge is None:
        raise missing("charge", call.args[0], "id")
    return expanded(call.desk, charge, given.get("expand"))


def list_charges(call: Call) -> Json:
    given = params.read(
        call.params,
        {**params.LIST, "payment_intent": params.text, "customer": params.text, "transfer_group": params.text},
    )
    intent = given.get("payment_intent")
    where, values = lists.matching(given, "customer", "transfer_group")
    return lists.page(call, "charge", given, where, values, parents=[intent] if intent else None)
