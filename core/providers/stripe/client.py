"""Stripe's own client over our transport: no retries, one attempt a call, one pool for all accounts."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import stripe

from core.providers.base import Account, AccountIdentity, CallLimits, IdentityUnknown
from core.providers.keys import Mode, mode_of_key
from core.providers.stripe.failures import Failed, failure_of
from core.providers.transport import Reply, TransportError, exchange

#: Pinned here rather than taken from the package, so that updating it is a decision with its own tests.
API_VERSION = "2026-10-28.endive"

#: The mode is in the key (docs.stripe.com/keys); restricted keys count too.
_MODES: Mapping[str, Mode] = {"sk_test_": "test", "rk_test_": "test", "sk_live_": "live", "rk_live_": "live"}

# Telemetry keeps an id in the home directory and tells one account's request ids in another's calls.
stripe.enable_telemetry = False
# At DEBUG the package logs bodies, with people's data in them.
logging.getLogger("stripe").setLevel(logging.WARNING)

#: What the package may see of an answer's headers. `Stripe-Notice` is left out: it would become a warning.
_HEADERS = frozenset({"request-id", "retry-after", "idempotent-replayed", "stripe-rate-limited-reason"})


class Transport(stripe.HTTPClient):
    """One attempt over the shared pool, under the current deadline."""

    name = "urllib3"

    def __init__(self, limits: CallLimits) -> None:
        super().__init__()
        self._limits = limits

    def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        post_data: Any = None,
        *,
        _usage: list[str] | None = None,
    ) -> tuple[Any, int, Mapping[str, str]]:
        try:
            reply = exchange(method.upper(), url, headers or {}, post_data, self._limits)
        except TransportError as error:
            kept = {name: value for name, value in error.headers.items() if name in _HEADERS}
            raise stripe.APIConnectionError(  # type: ignore[no-untyped-call]
                str(error), http_status=error.http_status, headers=kept
            ) from error
        kept = {name: reply.headers[name] for name in _HEADERS & set(reply.headers)}
        return _readable(reply, kept), reply.status, kept

    def request_with_retries(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        post_data: Any = None,
        max_network_retries: int | None = None,
        *,
        _usage: list[str] | None = None,
    ) -> tuple[Any, int, Mapping[str, str]]:
        """Never retries, whatever was asked: a second attempt would hide what the first one came to."""
        return self.request(method, url, headers, post_data)

    def close(self) -> None:
        """The pool belongs to the process."""


class StripeCalls:
    """The calls we make. Each answers the object as a plain dict, or raises Failed."""

    def __init__(self, account: Account, limits: CallLimits) -> None:
        self._account = account
        self.publishable_key = account.credentials.get("publishable_key")
        addresses: dict[str, str] = {}
        if account.api_base:
            base = account.api_base.rstrip("/")
            addresses = dict.fromkeys(("api", "files", "connect", "meter_events"), base)
        self._v1 = stripe.StripeClient(
            account.credentials.get("secret_key", ""),
            stripe_version=API_VERSION,
            base_addresses=cast(Any, addresses),
            max_network_retries=0,
            http_client=Transport(limits),
        ).v1

    def create_intent(self, params: Mapping[str, Any], key: str) -> dict[str, Any]:
        return _ask(lambda: self._v1.payment_intents.create(cast(Any, params), {"idempotency_key": key}))

    def get_intent(self, intent_id: str, expand: Sequence[str] = ()) -> dict[str, Any]:
        params = {"expand": list(expand)} if expand else {}
        return _ask(lambda: self._v1.payment_intents.retrieve(intent_id, cast(Any, params)))

    def list_intents(self, params: Mapping[str, Any]) -> dict[str, Any]:
        return _ask(lambda: self._v1.payment_intents.list(cast(Any, params)))

    def capture_intent(self, intent_id: str, params: Mapping[str, Any], key: str) -> dict[str, Any]:
        return _ask(lambda: self._v1.payment_intents.capture(intent_id, cast(Any, params), {"idempotency_key": key}))

    def cancel_intent(self, intent_id: str, reason: str, key: str) -> dict[str, Any]:
        params = {"cancellation_reason": reason}
        return _ask(lambda: self._v1.payment_intents.cancel(intent_id, cast(Any, params), {"idempotency_key": key}))

    def create_session(self, params: Mapping[str, Any], key: str) -> dict[str, Any]:
        return _ask(lambda: self._v1.checkout.sessions.create(cast(Any, params), {"idempotency_key": key}))

    def get_session(self, session_id: str, expand: Sequence[str] = ()) -> dict[str, Any]:
        """With its intent inside, since the session alone does not tell held money from none.

        `expand` names parts of that intent.
        """
        params = {"expand": ["payment_intent", *(f"payment_intent.{part}" for part in expand)]}
        return _ask(lambda: self._v1.checkout.sessions.retrieve(session_id, cast(Any, params)))

    def list_sessions(self, params: Mapping[str, Any]) -> dict[str, Any]:
        return _ask(lambda: self._v1.checkout.sessions.list(cast(Any, params)))

    def expire_session(self, session_id: str, key: str) -> dict[str, Any]:
        return _ask(lambda: self._v1.checkout.sessions.expire(session_id, {}, {"idempotency_key": key}))

    def create_refund(self, params: Mapping[str, Any], key: str) -> dict[str, Any]:
        return _ask(lambda: self._v1.refunds.create(cast(Any, params), {"idempotency_key": key}))

    def get_refund(self, refund_id: str) -> dict[str, Any]:
        return _ask(lambda: self._v1.refunds.retrieve(refund_id))

    def list_refunds(self, params: Mapping[str, Any]) -> dict[str, Any]:
        return _ask(lambda: self._v1.refunds.list(cast(Any, params)))

    def create_customer(self, params: Mapping[str, Any], key: str) -> dict[str, Any]:
        return _ask(lambda: self._v1.customers.create(cast(Any, params), {"idempotency_key": key}))

    def update_customer(self, customer_id: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """Without a key of ours: the same customer is changed again and again, and twice the same is once."""
        return _ask(lambda: self._v1.customers.update(customer_id, cast(Any, params)))

    def list_customers(self, params: Mapping[str, Any]) -> dict[str, Any]:
        return _ask(lambda: self._v1.customers.list(cast(Any, params)))

    def get_method(self, method_id: str) -> dict[str, Any]:
        return _ask(lambda: self._v1.payment_methods.retrieve(method_id))

    def detach_method(self, method_id: str, key: str) -> dict[str, Any]:
        return _ask(lambda: self._v1.payment_methods.detach(method_id, {}, {"idempotency_key": key}))

    def get_dispute(self, dispute_id: str) -> dict[str, Any]:
        return _ask(lambda: self._v1.disputes.retrieve(dispute_id))

    def update_dispute(self, dispute_id: str, params: Mapping[str, Any], key: str) -> dict[str, Any]:
        return _ask(lambda: self._v1.disputes.update(dispute_id, cast(Any, params), {"idempotency_key": key}))

    def close_dispute(self, dispute_id: str, key: str) -> dict[str, Any]:
        return _ask(lambda: self._v1.disputes.close(dispute_id, {}, {"idempotency_key": key}))

    def list_events(self, params: Mapping[str, Any]) -> dict[str, Any]:
        return _ask(lambda: self._v1.events.list(cast(Any, params)))

    def list_balance_transactions(self, params: Mapping[str, Any]) -> dict[str, Any]:
        return _ask(lambda: self._v1.balance_transactions.list(cast(Any, params)))

    def list_payouts(self, params: Mapping[str, Any]) -> dict[str, Any]:
        return _ask(lambda: self._v1.payouts.list(cast(Any, params)))

    def identify(self) -> AccountIdentity:
        """Raises IdentityUnknown with what to do."""
        mode = mode_of_key("Stripe", self._account, _MODES)
        try:
            body = _ask(self._v1.accounts.retrieve_current)
        except Failed as failed:
            raise IdentityUnknown(failed.failure.advice()) from None
        shown = (body.get("settings") or {}).get("dashboard") or {}
        return AccountIdentity(str(body["id"]), mode, shown.get("display_name"))


def _readable(reply: Reply, headers: dict[str, str]) -> str:
    """The body as text, if it is one that the package can take without stumbling. Raises APIError."""
    try:
        text = reply.body.decode()
        body = json.loads(text) if reply.status >= 300 else {}
    except ValueError:
        body, text = None, ""
    if not isinstance(body, dict) or not isinstance(body.get("error", {}), dict):
        raise stripe.APIError("no readable answer", http_status=reply.status, headers=headers)
    return text


def _ask(call: Callable[[], Any]) -> dict[str, Any]:
    try:
        answer = call()
    except stripe.StripeError as error:
        raise Failed(failure_of(error)) from error
    last = getattr(answer, "last_response", None)
    body = getattr(last, "data", None)
    if not isinstance(body, dict) or "object" not in body:
        raise Failed(failure_of(stripe.APIError("no object in the answer", http_status=getattr(last, "code", None))))
    return dict(body)
