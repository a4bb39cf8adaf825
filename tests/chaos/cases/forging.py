"""Events as a provider would send them, made, signed and delivered by a case."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import requests

from cli.secrets_file import Secrets
from cli.seed import credentials, webhook_secret
from tests.chaos.stage import Stage


def stripe_event(kind: str, about: Mapping[str, Any], name: str | None = None) -> bytes:
    event = {"id": name or f"evt_{uuid4().hex}", "object": "event", "type": kind, "created": int(time.time())}
    return json.dumps({**event, "data": {"object": dict(about)}}).encode()


def event_id(body: bytes) -> str:
    return str(json.loads(body)["id"])


def secret(stage: Stage, provider: str) -> str:
    return webhook_secret(Secrets(stage.service.data_dir), provider)


def secret_key(stage: Stage, provider: str) -> str:
    """Of the merchant's account, for what somebody else does with it."""
    return credentials(Secrets(stage.service.data_dir), provider)["secret_key"]


def stripe_signature(body: bytes, signing: str, age: float = 0) -> dict[str, str]:
    moment = int(time.time() - age)
    digest = hmac.new(signing.encode(), f"{moment}.".encode() + body, hashlib.sha256).hexdigest()
    return {"Stripe-Signature": f"t={moment},v1={digest}"}


def signature(stage: Stage, body: bytes, provider: str = "stripe", age: float = 0) -> dict[str, str]:
    signing = secret(stage, provider)
    if provider == "stripe":
        return stripe_signature(body, signing, age)
    return {"X-Paystack-Signature": hmac.new(signing.encode(), body, hashlib.sha512).hexdigest()}


def address(stage: Stage, provider: str = "stripe") -> str:
    return f"{stage.service.api_url}/webhooks/{provider}/{stage.service.seeded.accounts[provider]}"


def deliver(
    stage: Stage,
    body: bytes,
    provider: str = "stripe",
    headers: Mapping[str, str] | None = None,
    timeout: float = 20,
) -> requests.Response:
    """Once, signed unless other headers are given."""
    given = dict(headers) if headers is not None else signature(stage, body, provider)
    return requests.post(
        address(stage, provider), data=body, headers={"Content-Type": "application/json", **given}, timeout=timeout
    )


def stripe_events(stage: Stage, about: str, *kinds: str) -> list[bytes]:
    """Bodies of the events about an object, the oldest first or in the order of `kinds`."""
    url = f"{stage.service.sandbox_urls['stripe']}/v1/events"
    answer = requests.get(url, params={"limit": 100}, auth=(secret_key(stage, "stripe"), ""), timeout=10)
    found = [event for event in reversed(answer.json()["data"]) if about in json.dumps(event["data"]["object"])]
    if kinds:
        found = [event for kind in kinds for event in found if event["type"] == kind]
    return [json.dumps(event).encode() for event in found]


def forged(stage: Stage) -> int:
    return int(stage.query("SELECT coalesce(sum(count), 0) AS n FROM forged_webhooks")[0]["n"])
