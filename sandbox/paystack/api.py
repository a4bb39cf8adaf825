"""Paystack as one provider: its addresses, keys, envelope and signature."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Collection, Mapping, Sequence
from urllib.parse import parse_qs

from ..http import Call, Handler, Raw, Reply, Route, Router, json_reply
from ..ledger import Json
from ..pages.paystack import PAGES
from ..provider import Page
from ..rate_limits import RateLimits
from ..timers import Action
from ..world import Account, Desk, World
from . import (
    authorizations,
    balances,
    charges,
    customers,
    dispute_answers,
    disputes,
    holds,
    integration,
    oracle,
    paying,
    preauthorizations,
    refunds,
    settlements,
    transactions,
)
from .errors import PaystackError, invalid, not_found

ROUTES: tuple[Route[Handler], ...] = (
    Route("POST", "/transaction/initialize", "transaction.initialize", transactions.initialize),
    Route("POST", "/transaction/charge_authorization", "transaction.charge", charges.charge_authorization),
    Route("GET", "/transaction", "transaction.list", transactions.list_transactions),
    Route("GET", "/transaction/totals", "transaction.totals", transactions.totals),
    Route("GET", "/transaction/verify/{}", "transaction.verify", transactions.verify),
    Route("GET", "/transaction/timeline/{}", "transaction.timeline", transactions.timeline),
    Route("GET", "/transaction/{}", "transaction.fetch", transactions.fetch),
    Route("POST", "/preauthorization/initialize", "preauthorization.initialize", preauthorizations.initialize),
    Route("POST", "/preauthorization/reserve_authorization", "preauthorization.reserve", preauthorizations.reserve),
    Route("POST", "/preauthorization/capture", "preauthorization.capture", holds.capture),
    Route("POST", "/preauthorization/release", "preauthorization.release", holds.release),
    Route("GET", "/preauthorization", "preauthorization.list", preauthorizations.list_preauthorizations),
    Route("GET", "/preauthorization/verify/{}", "preauthorization.verify", preauthorizations.verify),
    # Paystack's text has the address above, its example this one.
    Route("GET", "/preauthorization/{}", "preauthorization.verify", preauthorizations.verify),
    Route("POST", "/refund", "refund.create", refunds.create),
    Route("GET", "/refund", "refund.list", refunds.list_refunds),
    Route("GET", "/refund/{}", "refund.fetch", refunds.fetch),
    Route("POST", "/refund/retry_with_customer_details/{}", "refund.retry", refunds.retry),
    Route("POST", "/customer", "customer.create", customers.create),
    Route("GET", "/customer", "customer.list", customers.list_customers),
    Route("GET", "/customer/{}", "customer.fetch", customers.fetch),
    Route("PUT", "/customer/{}", "customer.update", customers.update),
    Route("POST", "/customer/authorization/deactivate", "authorization.deactivate", authorizations.deactivate),
    Route("POST", "/customer/deactivate_authorization", "authorization.deactivate", authorizations.deactivate),
    Route("GET", "/dispute", "dispute.list", dispute_answers.list_disputes),
    Route("GET", "/dispute/{}", "dispute.fetch", dispute_answers.fetch),
    Route("GET", "/dispute/transaction/{}", "dispute.of_transaction", dispute_answers.of_transaction),
    Route("PUT", "/dispute/{}", "dispute.update", dispute_answers.update),
    Route("POST", "/dispute/{}/evidence", "dispute.evidence", dispute_answers.add_evidence),
    Route("GET", "/dispute/{}/upload_url", "dispute.upload_url", dispute_answers.upload_url),
    Route("PUT", "/dispute/{}/resolve", "dispute.resolve", dispute_answers.resolve),
    Route("GET", "/settlement", "settlement.list", settlements.list_settlements),
    Route("GET", "/settlement/{}/transactions", "settlement.transactions", settlements.list_transactions),
    Route("GET", "/balance", "balance.fetch", balances.balance),
    Route("GET", "/balance/ledger", "balance.ledger", balances.ledger),
    Route("GET", "/integration/payment_session_timeout", "integration.session_timeout", integration.session_timeout),
)


# paystack.com/docs/payments/webhooks: test mode every hour for ten hours; live every three minutes for the first
# four tries, then every hour for 72 hours.
RETRIES = {"test": (3600,) * 10, "live": (180,) * 4 + (3600,) * 72}


class Paystack:
    name = "paystack"
    pages: Router[Page] = Router(PAGES)
    operations: Collection[str] = frozenset(route.operation for route in ROUTES)
    actions: Mapping[str, Action] = {
        "process_refund": refunds.start_processing,
        "end_refund": refunds.end,
        "finish_payment": paying.finish_later,
        "open_dispute": paying.open_dispute,
        "ask_merchant": disputes.ask_merchant,
        "remind_of_dispute": disputes.remind,
        "dispute_due": disputes.due,
        "decide_dispute": disputes.decide,
        "finish_capture": holds.finish_capture,
        "expire_preauthorization": holds.expire,
        "settle": settlements.settle,
        "settlement_arrives": settlements.arrive,
    }
    webhook_timeout = 30.0
    # Before saved cards and settlements there was one channel, and no end of a refund was kept.
    later_fields: Mapping[str, Json] = {
        "transaction": {"channel": "card", "saved": False, "settlement": None},
        "refund": {"ended": None, "retried": None, "deducted": 0, "settled": None},
    }

    def __init__(self) -> None:
        self._router = Router(ROUTES)
        self._limits = RateLimits()

    def account(self, wanted: Json) -> Account:
        return integration.from_posted(wanted)

    def admit(self, world: World, raw: Raw) -> Call | Reply:
        try:
            owner = _owner(world, raw)
            found = self._router.find(raw.method, raw.path)
            operation = found[0].operation if found else ""
            if self._limits.reason(world.settings, owner.id, operation):
                return self.failure(429)
            if found is None:
                raise not_found("Route not found")
            return Call(raw, Desk(world, owner), *found, _parameters(raw))
        except PaystackError as error:
            return error.reply()

    def begin(self, call: Call) -> Reply | None:
        return None  # Paystack has no idempotency keys

    def perform(self, call: Call, instead: Reply | None) -> Reply:
        try:
            reply = json_reply(200, call.route.handler(call))
        except PaystackError as error:
            reply = error.reply()
        return instead or reply

    def finish(self, call: Call) -> None:
        return None

    def failure(self, status: int) -> Reply:
        message = "Too many requests" if status == 429 else "An error occurred"
        code = "rate_limited" if status == 429 else "unknown"
        return json_reply(
            status,
            {
                "status": False,
                "message": message,
                "meta": {"nextStep": "Try again later"},
                "type": "api_error",
                "code": code,
            },
        )

    def retry_after(self, account: Account) -> Sequence[float]:
        return RETRIES["live" if account.secret_key.startswith("sk_live_") else "test"]

    def sign(self, account: Account, body: bytes, timestamp: int) -> dict[str, str]:
        """HMAC-SHA512 of the raw body under the secret key (paystack.com/docs/payments/webhooks)."""
        digest = hmac.new(account.secret_key.encode(), body, hashlib.sha512).hexdigest()
        return {"x-paystack-signature": digest, "User-Agent": "Paystack/2.0 (sandbox)"}

    def webhook_body(self, event: Json) -> Json:
        return {"event": event["event"], "data": event["data"]}

    def make_dispute(self, desk: Desk, wanted: Json) -> Json:
        return disputes.order(desk, wanted)

    def oracle(self, world: World, account: Account | None) -> Json:
        return oracle.read(world, account)


def _owner(world: World, raw: Raw) -> Account:
    scheme, _, key = raw.headers.get("authorization", "").partition(" ")
    if not key.strip():
        raise PaystackError(
            401, "No Authorization Header was found", "missing_authorization", "Pass your secret key as Bearer token"
        )
    owner = world.accounts.by_key(key.strip()) if scheme.lower() == "bearer" else None
    if owner is None:
        raise PaystackError(
            401, "Invalid key", "invalid_Key", "Ensure that you provide the correct authorization key for the request"
        )
    return owner


def _parameters(raw: Raw) -> Json:
    """The query of a GET, the JSON of a POST; forms are understood as well."""
    kind = raw.headers.get("content-type", "").partition(";")[0].strip()
    if raw.method == "GET" or kind == "application/x-www-form-urlencoded":
        text = raw.query if raw.method == "GET" else raw.body.decode(errors="replace")
        return {name: values[-1] for name, values in parse_qs(text).items()}
    try:
        body = json.loads(raw.body or b"{}")
    except ValueError as error:
        raise invalid("Invalid JSON", "Send a JSON object", "invalid_params") from error
    if not isinstance(body, dict):
        raise invalid("Invalid request body", "Send a JSON object", "invalid_params")
    return body
