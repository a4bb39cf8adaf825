"""The doors under /_sandbox/: accounts, settings, clock, faults, the oracle and the log of webhooks."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

from . import faults
from .http import Raw, Reply, Route, Router, json_reply
from .ledger import Json
from .provider import MakesDisputes, Provider
from .world import Account, Desk, World

BODY = 'send an object such as {"advance_seconds": 60}, with names and texts in double quotes'

Door = Callable[[World, Provider, Raw, tuple[str, ...]], Any]


class NotThere(Exception):
    """Nothing of that name."""


def answer(world: World, provider: Provider, raw: Raw) -> Reply:
    """Answers a request under /_sandbox/; a wrong one gets 400 with a sentence."""
    found = ROUTER.find(raw.method, raw.path)
    if not found:
        return json_reply(404, {"error": f"no such door: {raw.method} {raw.path}"})
    route, args = found
    try:
        return json_reply(200, route.handler(world, provider, raw, args))
    except NotThere as error:
        return json_reply(404, {"error": str(error)})
    except (ValueError, TypeError) as error:
        return json_reply(400, {"error": str(error)})


def _posted(raw: Raw) -> Json:
    try:
        body = json.loads(raw.body or b"{}")
    except (ValueError, RecursionError):
        raise ValueError(f"the body cannot be read as JSON; {BODY}") from None
    if not isinstance(body, dict):
        raise ValueError(f"the body is JSON, but no object; {BODY}")
    return body


def _asked(raw: Raw) -> dict[str, str]:
    return {name: values[-1] for name, values in parse_qs(raw.query).items()}


def _account(world: World, raw: Raw) -> Account | None:
    key = _asked(raw).get("secret_key")
    if key is None:
        return None
    account = world.accounts.by_key(key)
    if account is None:
        raise NotThere("no account has this secret key")
    return account


def health(world: World, provider: Provider, raw: Raw, args: tuple[str, ...]) -> Json:
    return {"status": "ok", "provider": provider.name, "url": world.public_url}


def post_account(world: World, provider: Provider, raw: Raw, args: tuple[str, ...]) -> Json:
    account = provider.account(_posted(raw))
    with world.ledger.transaction():
        world.accounts.keep(account)
    return _shown(account)


def get_accounts(world: World, provider: Provider, raw: Raw, args: tuple[str, ...]) -> Json:
    return {"accounts": [_shown(account) for account in world.accounts.all()]}


def _shown(account: Account) -> Json:
    return {
        "account": account.id,
        "secret_key": account.secret_key,
        "publishable_key": account.publishable_key,
        "webhook_url": account.webhook_url,
        "webhook_secret": account.webhook_secret,
        "webhook_events": account.webhook_events,
        **account.options,
    }


def get_settings(world: World, provider: Provider, raw: Raw, args: tuple[str, ...]) -> Json:
    return world.settings.shown()


def post_settings(world: World, provider: Provider, raw: Raw, args: tuple[str, ...]) -> Json:
    world.settings.change(_posted(raw))
    world.webhooks.poke()
    return world.settings.shown()


def get_clock(world: World, provider: Provider, raw: Raw, args: tuple[str, ...]) -> Json:
    return {"now": world.clock.now(), "offset_seconds": world.clock.offset}


def post_clock(world: World, provider: Provider, raw: Raw, args: tuple[str, ...]) -> Json:
    """What came due is done before the answer, so that a script sees it at once."""
    seconds = _posted(raw).get("advance_seconds")
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise ValueError("advance_seconds must be a number")
    world.clock.advance(seconds)
    world.ledger.write_meta("clock_offset", repr(world.clock.offset))
    done = world.timers.run_due(at_most=100_000)
    world.timers.poke()
    world.webhooks.poke()
    return {"now": world.clock.now(), "offset_seconds": world.clock.offset, "done": done}


def get_faults(world: World, provider: Provider, raw: Raw, args: tuple[str, ...]) -> Json:
    return {"faults": world.faults.shown()}


def post_fault(world: World, provider: Provider, raw: Raw, args: tuple[str, ...]) -> Json:
    wanted = _posted(raw)
    asked = wanted.pop("provider", provider.name)
    if asked != provider.name:
        raise ValueError(f"this is {provider.name}; each provider has doors of its own")
    fault = world.faults.add(wanted, provider.operations)
    if fault.effect == faults.REFUSE and not fault.aimed and world.faults.hit(fault):
        world.listener.refuse(fault.ms / 1000)
    return next(shown for shown in world.faults.shown() if shown["id"] == fault.id)


def delete_faults(world: World, provider: Provider, raw: Raw, args: tuple[str, ...]) -> Json:
    removed = world.faults.remove(args[0] if args else None)
    if args and not removed:
        raise NotThere(f"no fault {args[0]}")
    return {"removed": removed}


def get_ledger(world: World, provider: Provider, raw: Raw, args: tuple[str, ...]) -> Json:
    return provider.oracle(world, _account(world, raw))


def post_dispute(world: World, provider: Provider, raw: Raw, args: tuple[str, ...]) -> Json:
    """A customer disputes a payment at the bank, whatever card it was made with."""
    if not isinstance(provider, MakesDisputes):
        raise NotThere(f"{provider.name} makes disputes by its test cards only")
    wanted = _posted(raw)
    account = world.accounts.by_key(str(wanted.get("secret_key")))
    if account is None:
        raise NotThere("no account has this secret key")
    try:
        with world.ledger.transaction():
            return provider.make_dispute(Desk(world, account), wanted)
    except LookupError as error:
        raise NotThere(str(error)) from error


def get_webhooks(world: World, provider: Provider, raw: Raw, args: tuple[str, ...]) -> Json:
    asked = _asked(raw)
    limit = asked.get("limit", "1000")
    if not (limit.isascii() and limit.isdecimal() and 1 <= len(limit) <= 6):
        raise ValueError("limit must be a whole number from 0 to 999999")
    return world.webhooks.log(_account(world, raw), asked.get("type"), int(limit))


def resend_webhooks(world: World, provider: Provider, raw: Raw, args: tuple[str, ...]) -> Json:
    event_id = _posted(raw).get("id")
    resent = world.webhooks.resend(event_id)
    if event_id and not resent:
        raise NotThere(f"event {event_id} was never lined up for a webhook address")
    return {"resent": resent}


ROUTER: Router[Door] = Router(
    [
        Route("GET", "/_sandbox/health", "health", health),
        Route("GET", "/_sandbox/accounts", "accounts", get_accounts),
        Route("POST", "/_sandbox/accounts", "accounts", post_account),
        Route("GET", "/_sandbox/settings", "settings", get_settings),
        Route("POST", "/_sandbox/settings", "settings", post_settings),
        Route("GET", "/_sandbox/clock", "clock", get_clock),
        Route("POST", "/_sandbox/clock", "clock", post_clock),
        Route("GET", "/_sandbox/faults", "faults", get_faults),
        Route("POST", "/_sandbox/faults", "faults", post_fault),
        Route("DELETE", "/_sandbox/faults", "faults", delete_faults),
        Route("DELETE", "/_sandbox/faults/{}", "faults", delete_faults),
        Route("POST", "/_sandbox/disputes", "disputes", post_dispute),
        Route("GET", "/_sandbox/ledger", "ledger", get_ledger),
        Route("GET", "/_sandbox/webhooks", "webhooks", get_webhooks),
        Route("POST", "/_sandbox/webhooks/resend", "webhooks", resend_webhooks),
    ]
)
