"""Providers' events fetched, signed and delivered by the test, in the order and as often as it likes."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import requests
import stripe

from core.domain.identifiers import parse_id, public_id
from tests.support.world import World

T = TypeVar("T")


def at_once(calls: Sequence[Callable[[], T]]) -> list[T]:
    """Everything in parallel, each in a thread of its own; the answers in order."""
    with ThreadPoolExecutor(len(calls)) as pool:
        return [future.result(60) for future in [pool.submit(call) for call in calls]]


def keep_webhooks_back(world: World, *names: str) -> None:
    """The providers forget this world's address: what arrives from here on was sent by the test."""
    for name in names or tuple(world.sandboxes):
        world.sandboxes[name.partition(".")[0]].post("accounts", secret_key=world.secrets[name])


def client(world: World, account: str = "stripe") -> stripe.StripeClient:
    """The official client, as a merchant's own dashboard would use it."""
    base = world.sandboxes["stripe"].url
    return stripe.StripeClient(world.secrets[account], base_addresses={"api": base}, max_network_retries=0)


def intent_of(world: World, payment: Mapping[str, Any]) -> str:
    """Stripe's object behind a payment."""
    found = [row["provider_id"] for row in world.transactions(payment["id"]) if row["kind"] in ("charge", "authorize")]
    assert found[-1], "no answer named it yet"
    return str(found[-1])


def stripe_events(world: World, about: str, *kinds: str, account: str = "stripe") -> list[bytes]:
    """Bodies of the events whose object is, or belongs to, `about`: the oldest first, or in the order of `kinds`."""
    url = f"{world.sandboxes['stripe'].url}/v1/events"
    answer = requests.get(url, params={"limit": 100}, auth=(world.secrets[account], ""), timeout=10)
    found = [event for event in reversed(answer.json()["data"]) if about in json.dumps(event["data"]["object"])]
    if kinds:
        found = [event for kind in kinds for event in found if event["type"] == kind]
        assert {event["type"] for event in found} == set(kinds)
    return [json.dumps(event).encode() for event in found]


def made_up_event(kind: str, body: Mapping[str, Any], event_id: str) -> bytes:
    event = {"id": event_id, "object": "event", "type": kind, "created": int(time.time()), "data": {"object": body}}
    return json.dumps(event).encode()


def stripe_signature(body: bytes, secret: str, age: float = 0) -> str:
    moment = int(time.time() - age)
    digest = hmac.new(secret.encode(), f"{moment}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={moment},v1={digest}"


def signature(world: World, body: bytes, account: str = "stripe", age: float = 0) -> dict[str, str]:
    """The header a provider sends with `body`."""
    secret = world.secrets[f"{account}.webhook"]
    if account.startswith("stripe"):
        return {"Stripe-Signature": stripe_signature(body, secret, age)}
    return {"X-Paystack-Signature": hmac.new(secret.encode(), body, hashlib.sha512).hexdigest()}


def address(world: World, account: str = "stripe") -> str:
    provider = account.partition(".")[0]
    return f"{world.url}/webhooks/{provider}/{public_id('provider_account', world.accounts[account])}"


def deliver(world: World, body: bytes, account: str = "stripe", **headers: str) -> requests.Response:
    """Once, signed unless other headers are given."""
    given = headers or signature(world, body, account)
    return requests.post(
        address(world, account), data=body, headers={"Content-Type": "application/json", **given}, timeout=30
    )


def deliver_all(world: World, bodies: Sequence[bytes], account: str = "stripe") -> None:
    """One after the other, each carried out before the next comes."""
    assert bodies
    for body in bodies:
        assert deliver(world, body, account).status_code == 200
        world.work()


def inbox(world: World, payment: Mapping[str, Any] | None = None) -> list[Mapping[str, Any]]:
    """What is stored, in order of arrival; of one payment or of all."""
    if payment is None:
        return world.rows("SELECT * FROM inbox_events ORDER BY id")
    query = "SELECT * FROM inbox_events WHERE payment_id = :id ORDER BY id"
    return world.rows(query, id=parse_id("payment", payment["id"]))


def told(world: World, payment: Mapping[str, Any]) -> list[str]:
    """The kinds of event the merchant is told of about a payment, in order."""
    query = "SELECT type, sequence FROM events WHERE payment_id = :id ORDER BY sequence"
    found = world.rows(query, id=parse_id("payment", payment["id"]))
    assert [row["sequence"] for row in found] == list(range(1, len(found) + 1))
    return [row["type"] for row in found]


def findings(world: World, payment: Mapping[str, Any]) -> list[str]:
    query = "SELECT kind FROM findings WHERE payment_id = :id ORDER BY id"
    return [row["kind"] for row in world.rows(query, id=parse_id("payment", payment["id"]))]
