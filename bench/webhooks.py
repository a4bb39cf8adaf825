"""Signed webhooks of Stripe's form, each an event of its own about a payment that exists, and what becomes of them."""

from __future__ import annotations

import copy
import hashlib
import hmac
import json
import time
from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

from bench import generator
from bench.end_to_end import Watch, cpu_text, wait_for
from bench.machine import Spent
from bench.subjects import Ours, Receiver
from core.domain.identifiers import public_id

#: What a webhook names: our transaction, our payment, the intent at the provider.
Named = tuple[str, str, str]

_NAMED = """
SELECT t.id, t.payment_id, t.provider_id FROM transactions t JOIN payments p ON p.id = t.payment_id
WHERE p.status = %s AND t.provider_id IS NOT NULL ORDER BY t.id DESC LIMIT %s
"""


def template(ours: Ours) -> dict[str, Any]:
    """A `payment_intent.succeeded` as the sandbox itself sends it, caught at an endpoint of the bench."""
    stack = ours.stack
    with Receiver(stack) as receiver:
        account = {**stack.stripe_account(), "webhook_url": receiver.url}
        stack.sandbox("accounts", {**account, "webhook_events": ["payment_intent.succeeded"]})
        generator.run(ours.url, ours.payments(1), seconds=1.0, rate=0.0, connections=1)
        if not wait_for(lambda: receiver.messages() > 0, 15):
            raise RuntimeError("the sandbox sent no webhook")
        body: dict[str, Any] = json.loads(receiver.last()[1])
    stack.webhooks(False)
    return body


def named(ours: Ours, status: str, count: int) -> list[Named]:
    """The newest payments at a status."""
    return [
        (public_id("transaction", UUID(str(one))), public_id("payment", UUID(str(payment))), provider_id)
        for one, payment, provider_id in ours.stack.sql(_NAMED, status, count)
    ]


class Maker:
    """Requests with distinct events, signed now: a signature is good for five minutes."""

    def __init__(self, body: dict[str, Any], secret: str, path: str) -> None:
        self._body, self._secret, self._path = copy.deepcopy(body), secret.encode(), path
        self.ids: list[str] = []

    def make(self, about: Sequence[Named], count: int) -> list[str]:
        """`count` events, about each of the payments in turn."""
        stamp = str(int(time.time()))
        return [self._one(about[number % len(about)], stamp) for number in range(count)]

    def _one(self, about: Named, stamp: str) -> str:
        transaction, payment, intent = about
        event = self._body
        event["id"] = f"evt_{uuid4().hex[:24]}"
        shown = event["data"]["object"]
        shown["id"], shown["latest_charge"] = intent, f"ch_{uuid4().hex[:24]}"
        shown["metadata"] |= {"tollgate_transaction": transaction, "tollgate_payment": payment}
        self.ids.append(event["id"])
        body = json.dumps(event)
        signature = hmac.new(self._secret, f"{stamp}.{body}".encode(), hashlib.sha256).hexdigest()
        return generator.request("POST", self._path, {"Stripe-Signature": f"t={stamp},v1={signature}"}, body)


def process(ours: Ours, body: dict[str, Any], count: int) -> dict[str, Any]:
    """Webhooks that bring waiting payments to their end: stored while the workers are frozen, then carried out.

    `per_core` is what was carried out in a second of processor time of workers, Postgres and Redis together.
    """
    stack = ours.stack
    requests = [ours.with_token("pm_card_threeDSecure2Required") for _ in range(count)]
    generator.run(ours.url, requests, seconds=60.0, connections=32)
    wait_for(ours.settled)
    about = named(ours, "requires_action", count)
    done_before = ours.done()
    with stack.frozen_workers():
        maker = Maker(body, stack.webhook_secret, stack.webhook_path)
        report = generator.run(ours.url, maker.make(about, len(about)), seconds=60.0, connections=32)
        spent = Spent(ours.all_groups())
        watch = Watch(ours.done)
        begun = time.monotonic()
    while ours.lane("webhooks") and time.monotonic() - begun < 60:
        watch(0.0)
        time.sleep(0.1)
    seconds = time.monotonic() - begun
    cpu = {part: value for part, value in spent.stop().items() if part in ("worker", "postgres", "redis")}
    done = ours.done() - done_before
    busy = sum(cpu.values())
    return {
        "asked": len(about),
        "stored": report.good,
        "to_status": done,
        "seconds": seconds,
        "per_second": done / seconds,
        "per_core": done / busy if busy else 0.0,
        "cpu_ms": {part: value / max(1, done) * 1000 for part, value in cpu.items()},
        "cpu": cpu_text({part: value / max(1, done) * 1000 for part, value in cpu.items()}),
    }


def jobs(ours: Ours, count: int) -> list[str]:
    """The newest ended jobs of payments."""
    query = "SELECT id FROM jobs WHERE kind = 'create_payment' AND status = 'succeeded' ORDER BY id DESC LIMIT %s"
    return [public_id("job", UUID(str(one))) for (one,) in ours.stack.sql(query, count)]
