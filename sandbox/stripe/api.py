"""Stripe as one provider: its addresses, keys, limits, idempotency, signatures."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Collection, Mapping, Sequence

from ..http import Call, Raw, Reply, Router, json_reply
from ..ledger import Json
from ..pages.stripe import PAGES
from ..provider import Page
from ..rate_limits import RateLimits
from ..timers import Action
from ..world import Account, Desk, World
from . import account, oracle, params
from .errors import StripeError
from .idempotency import Idempotency
from .objects import public
from .routes import ACTIONS, ROUTES

# What an account that names no version gets: one from before `payment_method_types` was removed.
ACCOUNT_VERSION = "2026-03-25.dahlia"

NO_KEY = (
    "You did not provide an API key. You need to provide your API key in the Authorization header, using Bearer auth"
    " (e.g. 'Authorization: Bearer YOUR_SECRET_KEY'). See https://stripe.com/docs/api#authentication for details, or we"
    " can help at https://support.stripe.com/."
)
TOO_MANY = StripeError(
    429,
    "Request rate limit exceeded. Learn more about rate limits here https://stripe.com/docs/rate-limits.",
    code="rate_limit",
)


# "Three times over a few hours" in test mode (docs.stripe.com/webhooks); the exact pauses are not published.
RETRIES = (5 * 60, 60 * 60, 3 * 60 * 60)


class Stripe:
    name = "stripe"
    pages: Router[Page] = Router(PAGES)
    operations: Collection[str] = frozenset(route.operation for route in ROUTES)
    actions: Mapping[str, Action] = ACTIONS
    webhook_timeout = 20.0
    later_fields: Mapping[str, Json] = {}

    def __init__(self) -> None:
        self._router = Router(ROUTES)
        self._limits = RateLimits()
        self._idempotency = Idempotency()

    def account(self, wanted: Json) -> Account:
        return account.from_posted(wanted)

    def admit(self, world: World, raw: Raw) -> Call | Reply:
        request_id = account.fresh_request_id()
        try:
            owner = _owner(world, raw)
            version = _version(raw)
            found = self._router.find(raw.method, raw.path)
            reason = self._limits.reason(world.settings, owner.id, found[0].operation if found else "")
            if reason:
                refused = TOO_MANY.reply(request_id)
                refused.headers["Stripe-Rate-Limited-Reason"] = reason
                return _stamped(refused, request_id, version)
            if found is None:
                raise StripeError(
                    404,
                    f"Unrecognized request URL ({raw.method}: {raw.path}). Please see https://stripe.com/docs or we can"
                    " help at https://support.stripe.com/.",
                )
            account.check_permission(owner, found[0].operation)
            key = raw.headers.get("idempotency-key") if raw.method == "POST" else None
            desk = Desk(world, owner, request_id, key)
            return Call(raw, desk, *found, _parameters(raw), version)
        except StripeError as error:
            return _stamped(error.reply(request_id), request_id, None)

    def begin(self, call: Call) -> Reply | None:
        request_id = call.desk.request_id or ""
        try:
            replay = self._idempotency.begin(call)
        except StripeError as error:
            replay = error.reply(request_id)
        return _stamped(replay, request_id, call.version, call.desk.idempotency_key) if replay else None

    def perform(self, call: Call, instead: Reply | None) -> Reply:
        request_id = call.desk.request_id or ""
        saved = True
        try:
            reply = json_reply(200, call.route.handler(call))
        except StripeError as error:
            reply, saved = error.reply(request_id), error.saved
            if not saved:
                # What was refused for its parameters alone has done nothing, whenever that was noticed.
                call.desk.world.ledger.undo()
        reply = instead or reply
        if saved:
            self._idempotency.save(call, reply)
        return _stamped(reply, request_id, call.version, call.desk.idempotency_key)

    def finish(self, call: Call) -> None:
        self._idempotency.finish(call)

    def failure(self, status: int) -> Reply:
        if status == 429:
            return TOO_MANY.reply("req_sandbox")
        message = "An unknown error occurred" if status >= 500 else "The request could not be processed."
        return json_reply(status, {"error": {"message": message, "type": "api_error"}})

    def retry_after(self, account: Account) -> Sequence[float]:
        return RETRIES

    def sign(self, account: Account, body: bytes, timestamp: int) -> dict[str, str]:
        """`t` and `v1` as in docs.stripe.com/webhooks#verify-manually."""
        signed = f"{timestamp}.".encode() + body
        digest = hmac.new((account.webhook_secret or "").encode(), signed, hashlib.sha256).hexdigest()
        return {"Stripe-Signature": f"t={timestamp},v1={digest}", "User-Agent": "Stripe/1.0 (sandbox)"}

    def webhook_body(self, event: Json) -> Json:
        return public(event)

    def oracle(self, world: World, account: Account | None) -> Json:
        return oracle.read(world, account)


def _owner(world: World, raw: Raw) -> Account:
    """The account of the key, given as Bearer or as the user of Basic."""
    scheme, _, value = raw.headers.get("authorization", "").partition(" ")
    key = value.strip()
    if scheme.lower() == "basic":
        try:
            key = base64.b64decode(key).decode().partition(":")[0]
        except (binascii.Error, UnicodeDecodeError):
            key = ""
    if not key:
        raise StripeError(401, NO_KEY)
    owner = world.accounts.by_key(key)
    if owner is None and key.startswith("pk_"):
        raise StripeError(
            401,
            "This API call cannot be made with a publishable API key. Please use a secret API key.",
            code="secret_key_required",
        )
    if owner is None:
        raise StripeError(401, f"Invalid API Key provided: {account.masked(key)}")
    if owner.options.get("revoked"):
        raise StripeError(401, f"Expired API Key provided: {account.masked(key)}", code="api_key_expired")
    return owner


def _version(raw: Raw) -> str:
    version = raw.headers.get("stripe-version", ACCOUNT_VERSION)
    if not re.fullmatch(r"\d{4}-\d\d-\d\d(\.\w+)?", version):
        raise StripeError(400, f"Invalid Stripe API version: {version}.", code="api_version_invalid")
    return version


def _parameters(raw: Raw) -> Json:
    if raw.method == "GET" or not raw.body:
        return params.decode(raw.query)
    kind = raw.headers.get("content-type", "").partition(";")[0].strip()
    if kind == "application/json":
        raise StripeError(
            400,
            "Invalid request (check that your POST content type is application/x-www-form-urlencoded). If you have any"
            " questions, we can help at https://support.stripe.com/.",
        )
    try:
        return params.decode(raw.body.decode())
    except UnicodeDecodeError as error:
        raise StripeError(400, "Invalid string: the request body is not UTF-8.") from error


def _stamped(reply: Reply, request_id: str, version: str | None, key: str | None = None) -> Reply:
    reply.headers["Request-Id"] = request_id
    if version:
        reply.headers["Stripe-Version"] = version
    if key and "\n" not in key:
        reply.headers["Idempotency-Key"] = key
    if reply.status == 401:
        reply.headers["WWW-Authenticate"] = 'Basic realm="Stripe"'
    return reply
