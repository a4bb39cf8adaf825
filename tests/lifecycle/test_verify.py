"""`tollgate reconcile verify`: exit code 0 after a run with faults and everything foreign, 1 when the books differ."""

from __future__ import annotations

import json
from typing import Any

import psycopg2
import requests

from cli.target import find
from core.domain.identifiers import parse_id
from tests.support.running import Up
from tests.support.waiting import wait_until


class Stripe:
    """The local Stripe: its faults, and its dashboard."""

    def __init__(self, up: Up) -> None:
        self.url = up.details["sandbox"]["stripe"]
        kept = json.loads((up.cwd / "data" / "secrets.json").read_text())
        self.key = f"sk_test_{kept['sandbox_stripe']}"

    def fault(self, **fault: Any) -> None:
        body = {"secret_key": self.key, "times": 1, **fault}
        requests.post(f"{self.url}/_sandbox/faults", json=body, timeout=10).raise_for_status()

    def charge(self, amount: int) -> None:
        """Somebody else's."""
        data = {"amount": amount, "currency": "usd", "payment_method": "pm_card_visa", "confirm": "true"}
        data["return_url"] = "https://shop.example/back"
        requests.post(f"{self.url}/v1/payment_intents", data=data, auth=(self.key, ""), timeout=10).raise_for_status()


def refund(up: Up, payment: str, amount: int, key: str) -> None:
    status, told = up.call("POST", f"/v1/payments/{payment}/refunds", {"amount": amount}, Idempotency_Key=key)
    assert status == 202, told
    name = told["refund"]["id"]
    wait_until(lambda: up.call("GET", f"/v1/refunds/{name}")[1]["status"] == "succeeded", "the refund", 60)


def verify(up: Up) -> tuple[int, dict[str, Any]]:
    done = up.command("reconcile", "verify", "--json")
    assert done.stdout, done.stderr
    return done.returncode, {one["compared"]: one for one in json.loads(done.stdout)}


def test_it_passes_after_a_run_with_faults_and_fails_when_books_differ(up: Up) -> None:
    stripe = Stripe(up)
    first = up.pay("plain")
    assert first["status"] == "succeeded"
    stripe.fault(operation="payment_intents.create", effect="reset_after")
    lost = up.pay("answer lost")
    wait_until(lambda: up.call("GET", f"/v1/payments/{lost['id']}")[1]["status"] == "succeeded", "the look-up", 60)
    stripe.fault(effect="webhook_lose", event="*", times=20)
    refund(up, first["id"], 700, "one of two")
    refund(up, first["id"], 700, "the other")
    stripe.charge(1234)
    account = next(
        row for row in json.loads(up.command("accounts", "list", "--json").stdout) if row["provider"] == "stripe"
    )
    other = "sk_test_somebody_elses"
    requests.post(f"{stripe.url}/_sandbox/accounts", json={"secret_key": other}, timeout=10).raise_for_status()
    swapped = up.command(
        "accounts", "rotate", account["id"], "--stdin", "--reason", "a test", text=json.dumps({"secret_key": other})
    )
    assert (swapped.returncode, "another identity is another account" in swapped.stderr) == (1, True)

    code, found = verify(up)
    assert (code, [one["compared"] for one in found.values() if one["wrong"]]) == (0, [])
    assert "foreign" in found[f"two_way of {account['id']}"]["looked"]
    assert "matched" in found[f"statement of {account['id']}"]["looked"]

    owner = find(up.cwd / "data", up.env).databases.owner.replace("postgresql+psycopg2://", "postgresql://", 1)
    connection = psycopg2.connect(owner)
    try:
        with connection, connection.cursor() as cursor:
            number = str(parse_id("payment", first["id"]))
            cursor.execute("UPDATE payments SET amount_refunded = 700 WHERE id = %s", (number,))
    finally:
        connection.close()
    code, found = verify(up)
    assert code == 1
    assert any(one["wrong"] for one in found.values())
