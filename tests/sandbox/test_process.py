"""The process: what survives, what a moved clock does, how it starts, stops and refuses."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def test_everything_survives_a_kill(run_sandbox, new_shop, receiver, eventually):
    sandbox = run_sandbox("stripe")
    sandbox.door("POST", "settings", webhooks=False)
    shop = new_shop(sandbox, webhook_url=receiver.url)
    sent = {"amount": "900", "currency": "usd", "payment_method": "pm_card_visa", "confirm": "true",
            "return_url": "https://shop.example", "capture_method": "manual"}  # fmt: skip
    first = shop.raw("POST", "/v1/payment_intents", sent, Idempotency_Key="k1").json()
    sandbox.door("POST", "clock", advance_seconds=3600)
    before = shop.ledger()
    sandbox.kill()
    sandbox.start()
    assert shop.ledger() == before
    assert sandbox.door("GET", "clock")["offset_seconds"] == 3600
    replay = shop.raw("POST", "/v1/payment_intents", sent, Idempotency_Key="k1")
    assert (replay.json()["id"], replay.headers["Idempotent-Replayed"]) == (first["id"], "true")
    eventually(lambda: sandbox.door("GET", "webhooks")["delivered"] == 3)
    sandbox.door("POST", "clock", advance_seconds=8 * 86400)
    assert shop.raw("GET", f"/v1/payment_intents/{first['id']}").json()["status"] == "canceled"


def test_a_paystack_refund_goes_on_after_a_kill(run_sandbox, new_integration):
    sandbox = run_sandbox("paystack")
    integration = new_integration(sandbox)
    paid = integration.paid()
    integration.call("POST", "/refund", transaction=paid["id"])
    sandbox.kill()
    sandbox.start()
    sandbox.door("POST", "clock", advance_seconds=60)
    assert integration.verify(paid["reference"])["status"] == "reversed"


def test_a_ledger_of_an_earlier_version_is_read(run_sandbox, new_integration):
    """Without the fields that came with saved cards and settlements."""
    sandbox = run_sandbox("paystack")
    integration = new_integration(sandbox)
    paid = integration.paid()
    integration.call("POST", "/refund", transaction=paid["id"])
    before = integration.ledger()
    sandbox.kill()
    older = ("$.channel", "$.saved", "$.settlement", "$.ended", "$.retried", "$.deducted", "$.settled")
    with closing(sqlite3.connect(sandbox.directory / "ledger.sqlite3")) as database, database:
        marks = ", ".join("?" * len(older))
        database.execute(f"UPDATE records SET body = json_remove(body, {marks}) WHERE kind <> 'event'", older)
    sandbox.start()
    assert integration.ledger() == before
    sandbox.door("POST", "clock", advance_seconds=86400)
    assert integration.verify(paid["reference"])["status"] == "reversed"
    assert [one["status"] for one in integration.ledger()["refunds"]] == ["processed"]


def test_time_moves_holds_and_sessions(run_sandbox, new_shop):
    sandbox = run_sandbox("stripe")
    shop = new_shop(sandbox)
    held = shop.pay(capture_method="manual")
    session = shop.client.v1.checkout.sessions.create(
        {
            "mode": "payment",
            "success_url": "https://shop.example",
            "line_items": [
                {"price_data": {"currency": "usd", "unit_amount": 500, "product_data": {"name": "a"}}, "quantity": 1}
            ],
        }
    )
    start = sandbox.door("GET", "clock")["now"]
    sandbox.door("POST", "clock", advance_seconds=25 * 3600)
    assert sandbox.door("GET", "clock")["now"] - start >= 25 * 3600
    assert shop.client.v1.checkout.sessions.retrieve(session.id).status == "expired"
    assert shop.client.v1.payment_intents.retrieve(held.id).status == "requires_capture"
    sandbox.door("POST", "clock", advance_seconds=6 * 86400)
    expired = shop.client.v1.payment_intents.retrieve(held.id)
    assert (expired.status, expired.cancellation_reason) == ("canceled", "automatic")
    assert shop.ledger()["charges"][0]["status"] == "expired"
    assert {"checkout.session.expired", "charge.expired", "payment_intent.canceled"} <= set(shop.event_types())
    refused = sandbox.http.post(sandbox.url + "/_sandbox/clock", json={"advance_seconds": -1}, timeout=5)
    assert refused.status_code == 400


def test_a_due_retry_is_sent_when_the_clock_moves(run_sandbox, new_shop, receiver):
    sandbox = run_sandbox("stripe")
    sandbox.door("POST", "settings", webhook_retry_scale=1, webhook_delay_ms=0)
    shop = new_shop(sandbox, webhook_url=receiver.url)
    receiver.answers.append(500)
    shop.client.v1.payment_intents.create({"amount": 500, "currency": "usd"})
    first = receiver.next()
    wait = sandbox.door("GET", "webhooks")["deliveries"]
    assert len(wait) == 1
    sandbox.door("POST", "clock", advance_seconds=3600)
    assert receiver.next()[1] == first[1]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_at_once_even_with_a_hanging_call(run_sandbox, new_shop, number):
    sandbox = run_sandbox("stripe")
    shop = new_shop(sandbox)
    shop.fault("timeout_before")
    with pytest.raises(OSError, match="timed out"):
        shop.session.get(sandbox.url + "/v1/charges", headers={"Authorization": f"Bearer {shop.key}"}, timeout=0.2)
    start = time.monotonic()
    sandbox.process.send_signal(number)
    assert sandbox.process.wait(5) == 0
    assert time.monotonic() - start < 3
    assert sandbox.said() == ""


def test_a_second_process_on_the_directory_is_refused(run_sandbox):
    sandbox = run_sandbox("stripe")
    second = subprocess.run(
        [sys.executable, "-m", "sandbox", "stripe", "--port", "0", "--data-dir", str(sandbox.directory)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert second.returncode == 1
    assert "Another sandbox is using" in second.stderr
    assert "Traceback" not in second.stderr


def test_a_port_that_is_taken(run_sandbox, tmp_path):
    port = run_sandbox("stripe").url.rsplit(":", 1)[1]
    second = subprocess.run(
        [sys.executable, "-m", "sandbox", "paystack", "--port", port, "--data-dir", str(tmp_path / "second")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert second.returncode == 1
    assert "Cannot listen on" in second.stderr
    assert "Traceback" not in second.stderr


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("settings", {"colour": 1}),
        ("settings", {"latency_ms": -1}),
        ("settings", {"webhooks": 1}),
        ("settings", {"settle_ms": 1e18}),
        ("clock", {"advance_seconds": "soon"}),
        ("clock", {"advance_seconds": 1e18}),
        ("accounts", {"secret_key": "nope"}),
        ("accounts", {"secret_key": "sk_test_a", "colour": 1}),
        ("accounts", {"secret_key": "sk_test_a", "webhook_url": "ftp://x"}),
    ],
)
def test_a_wrong_control_request_is_told_why(stripe_sandbox, path, body):
    answer = stripe_sandbox.http.post(f"{stripe_sandbox.url}/_sandbox/{path}", json=body, timeout=5)
    assert answer.status_code == 400
    assert answer.json()["error"]


@pytest.mark.parametrize("door", ["clock", "faults", "settings", "accounts", "webhooks/resend"])
@pytest.mark.parametrize("body", [b"advance_seconds=60", b'{"a": \xff}', b"[" * 100_000, b"[]"])
def test_a_body_that_cannot_be_read_is_told_what_to_send(stripe_sandbox, door, body):
    answer = stripe_sandbox.http.post(f"{stripe_sandbox.url}/_sandbox/{door}", data=body, timeout=5)
    assert answer.status_code == 400
    assert 'send an object such as {"' in answer.json()["error"]


def test_the_clock_goes_ten_years_ahead_and_no_further(run_sandbox, new_shop):
    sandbox = run_sandbox("stripe")
    year = 365 * 86400
    sandbox.door("POST", "clock", advance_seconds=9 * year)
    for seconds in (2 * year, float("inf"), float("nan")):
        text = json.dumps({"advance_seconds": seconds})
        refused = sandbox.http.post(sandbox.url + "/_sandbox/clock", data=text, timeout=5)
        assert refused.status_code == 400
        assert "at most ten years" in refused.json()["error"]
    assert sandbox.door("GET", "clock")["offset_seconds"] == 9 * year
    assert new_shop(sandbox).pay().status == "succeeded"


def test_a_public_address_for_pages(run_sandbox, new_integration):
    sandbox = run_sandbox("paystack", "--public-url", "https://pay.example/")
    started = new_integration(sandbox).initialize()
    assert started["authorization_url"].startswith("https://pay.example/checkout/")


def test_the_script_of_the_readme_runs(run_sandbox):
    text = (ROOT / "sandbox" / "README.md").read_text()
    script = text.split("```python\n")[1].split("```")[0]
    assert len([line for line in script.splitlines() if line]) <= 20
    sandbox = run_sandbox("stripe")
    done = subprocess.run(
        [sys.executable, "-c", script.replace("http://127.0.0.1:12111", sandbox.url)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[:3] == ["succeeded", "succeeded", "card_declined generic_decline"]
