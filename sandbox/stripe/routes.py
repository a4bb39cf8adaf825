"""The addresses of Stripe's API that this sandbox knows, and what it does by itself when time has passed."""

from __future__ import annotations

from collections.abc import Mapping

from ..http import Handler, Route
from ..timers import Action
from . import (
    account,
    balance,
    charges,
    checkout_sessions,
    customers,
    debits,
    disputes,
    events,
    payment_intents,
    payment_methods,
    payouts,
    refunds,
)

ROUTES: tuple[Route[Handler], ...] = (
    Route("POST", "/v1/payment_intents", "payment_intents.create", payment_intents.create),
    Route("GET", "/v1/payment_intents", "payment_intents.list", payment_intents.list_intents),
    Route("GET", "/v1/payment_intents/{}", "payment_intents.retrieve", payment_intents.retrieve),
    Route("POST", "/v1/payment_intents/{}", "payment_intents.update", payment_intents.update),
    Route("POST", "/v1/payment_intents/{}/confirm", "payment_intents.confirm", payment_intents.confirm),
    Route("POST", "/v1/payment_intents/{}/capture", "payment_intents.capture", payment_intents.capture),
    Route("POST", "/v1/payment_intents/{}/cancel", "payment_intents.cancel", payment_intents.cancel),
    Route("POST", "/v1/checkout/sessions", "checkout_sessions.create", checkout_sessions.create),
    Route("GET", "/v1/checkout/sessions", "checkout_sessions.list", checkout_sessions.list_sessions),
    Route("GET", "/v1/checkout/sessions/{}", "checkout_sessions.retrieve", checkout_sessions.retrieve),
    Route("POST", "/v1/checkout/sessions/{}/expire", "checkout_sessions.expire", checkout_sessions.expire),
    Route(
        "GET", "/v1/checkout/sessions/{}/line_items", "checkout_sessions.line_items", checkout_sessions.list_line_items
    ),
    Route("POST", "/v1/refunds", "refunds.create", refunds.create),
    Route("GET", "/v1/refunds", "refunds.list", refunds.list_refunds),
    Route("GET", "/v1/refunds/{}", "refunds.retrieve", refunds.retrieve),
    Route("POST", "/v1/refunds/{}", "refunds.update", refunds.update),
    Route("POST", "/v1/refunds/{}/cancel", "refunds.cancel", refunds.cancel),
    Route("GET", "/v1/charges", "charges.list", charges.list_charges),
    Route("GET", "/v1/charges/{}", "charges.retrieve", charges.retrieve),
    Route("GET", "/v1/charges/{}/refunds", "charges.refunds.list", refunds.list_of_charge),
    Route("GET", "/v1/disputes", "disputes.list", disputes.list_disputes),
    Route("GET", "/v1/disputes/{}", "disputes.retrieve", disputes.retrieve),
    Route("POST", "/v1/disputes/{}", "disputes.update", disputes.update),
    Route("POST", "/v1/disputes/{}/close", "disputes.close", disputes.close),
    Route("GET", "/v1/payouts", "payouts.list", payouts.list_payouts),
    Route("GET", "/v1/payouts/{}", "payouts.retrieve", payouts.retrieve),
    Route("POST", "/v1/customers", "customers.create", customers.create),
    Route("GET", "/v1/customers", "customers.list", customers.list_customers),
    Route("GET", "/v1/customers/{}", "customers.retrieve", customers.retrieve),
    Route("POST", "/v1/customers/{}", "customers.update", customers.update),
    Route("DELETE", "/v1/customers/{}", "customers.delete", customers.delete),
    Route("GET", "/v1/customers/{}/payment_methods", "customers.payment_methods.list", customers.list_methods),
    Route(
        "GET", "/v1/customers/{}/payment_methods/{}", "customers.payment_methods.retrieve", customers.retrieve_method
    ),
    Route("POST", "/v1/payment_methods", "payment_methods.create", payment_methods.create),
    Route("GET", "/v1/payment_methods", "payment_methods.list", payment_methods.list_methods),
    Route("POST", "/v1/payment_methods/{}", "payment_methods.update", payment_methods.update),
    Route("POST", "/v1/payment_methods/{}/attach", "payment_methods.attach", payment_methods.attach),
    Route("POST", "/v1/payment_methods/{}/detach", "payment_methods.detach", payment_methods.detach),
    Route("GET", "/v1/events", "events.list", events.list_events),
    Route("GET", "/v1/events/{}", "events.retrieve", events.retrieve),
    Route("GET", "/v1/balance_transactions", "balance_transactions.list", balance.list_transactions),
    Route("GET", "/v1/balance_transactions/{}", "balance_transactions.retrieve", balance.retrieve),
    Route("GET", "/v1/payment_methods/{}", "payment_methods.retrieve", payment_methods.retrieve),
    Route("GET", "/v1/account", "account.retrieve", account.retrieve),
    Route("GET", "/v1/accounts/{}", "accounts.retrieve", account.retrieve),
)

# What a timer of the ledger names; a name stays as long as a kept timer may carry it.
ACTIONS: Mapping[str, Action] = {
    "settle_charge": charges.settle,
    "expire_authorization": payment_intents.expire_authorization,
    "expire_session": checkout_sessions.expire_if_open,
    "settle_refund": refunds.settle,
    "fail_refund": refunds.fail,
    "refund_overtaken": refunds.overtaken,
    "settle_debit": debits.settle,
    "warn_of_fraud": charges.warn_of_fraud,
    "open_dispute": disputes.open_dispute,
    "decide_dispute": disputes.decide,
    "dispute_past_due": disputes.past_due,
    "close_dispute_inquiry": disputes.close_inquiry,
    "pay_out": payouts.pay_out,
    "payout_arrives": payouts.arrive,
    "reconcile_payout": payouts.reconcile,
}
