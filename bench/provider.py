"""How many payments a second the local Stripe can take: it must not be what is measured."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

from bench import generator
from bench.end_to_end import Say
from bench.machine import Spent
from bench.stack import Stack

_FORM = {
    "amount": "1000",
    "currency": "usd",
    "payment_method": "pm_card_visa",
    "confirm": "true",
    "capture_method": "automatic",
    "automatic_payment_methods[enabled]": "true",
    "automatic_payment_methods[allow_redirects]": "never",
}


def _request() -> str:
    body = urlencode({**_FORM, "metadata[tollgate_payment]": str(uuid4())})
    headers = {"Authorization": "Bearer sk_test_floor", "Idempotency-Key": str(uuid4())}
    text = generator.request("POST", "/v1/payment_intents", headers, body)
    return text.replace("application/json", "application/x-www-form-urlencoded", 1)


def ceiling(stack: Stack, say: Say, *, seconds: float) -> dict[str, Any]:
    """Intents created and confirmed a second, alone on the machine but for the load, without latency."""
    latency, pids = stack.latency_ms, stack.groups()["sandbox"]
    stack.latency(0)
    try:
        spent = Spent({"sandbox": pids})
        report = generator.run(
            stack.stripe_url, [_request() for _ in range(int(4000 * seconds))], seconds=seconds, connections=32
        )
        busy = spent.stop()["sandbox"]
    finally:
        stack.latency(latency)
    say(f"sandbox: {report.per_second:.0f} payments a second at most")
    return {"per_second": report.per_second, "per_core": report.good / busy, "refused": report.sent - report.good}
