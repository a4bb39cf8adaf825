"""Bare WSGI handlers: one committed insert; the same with a provider call and an update; a webhook and an insert.

Served by granian with the settings of Tollgate's own API. The provider is called through Tollgate's own client, so
that floor and service stand on the same transport.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any
from uuid import uuid4

import psycopg2

from core.providers.base import Account, CallLimits
from core.providers.stripe.client import StripeCalls

Environ = dict[str, Any]
StartResponse = Callable[[str, list[tuple[str, str]]], Any]
App = Callable[[Environ, StartResponse], Iterable[bytes]]

IN_FLIGHT = 150  # calls at once, as in a worker of Tollgate
CONNECTIONS = 20  # to Postgres, as in a worker of Tollgate

_INSERT = "INSERT INTO floor_payments (id, amount, currency, token, status) VALUES (%s, %s, %s, %s, 'accepted')"
_UPDATE = "UPDATE floor_payments SET status = %s, provider_id = %s, updated_at = clock_timestamp() WHERE id = %s"
_EVENT = "INSERT INTO floor_events (id, kind, body) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING"

TABLES = """
CREATE TABLE IF NOT EXISTS floor_payments (
    id uuid PRIMARY KEY, amount bigint NOT NULL, currency text NOT NULL, token text NOT NULL, status text NOT NULL,
    provider_id text, created_at timestamptz NOT NULL DEFAULT clock_timestamp(), updated_at timestamptz
);
CREATE TABLE IF NOT EXISTS floor_events (
    id text PRIMARY KEY, kind text NOT NULL, body bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
"""


class Pool:
    """As many connections as asked for, each opened on first use; a caller waits for a free one."""

    def __init__(self, size: int) -> None:
        self._free: SimpleQueue[Any] = SimpleQueue()
        for _ in range(size):
            self._free.put(None)

    def write(self, statement: str, values: tuple[Any, ...]) -> None:
        """One statement, committed."""
        connection = self._free.get()
        try:
            if connection is None:
                connection = psycopg2.connect(os.environ["BENCH_DATABASE_URL"])
                connection.autocommit = True  # one statement is one transaction: no BEGIN and COMMIT beside it
            with connection.cursor() as cursor:
                cursor.execute(statement, values)
        finally:
            self._free.put(connection)


def _body(environ: Environ) -> bytes:
    body: bytes = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
    return body


def _answer(start: StartResponse, status: str, body: bytes) -> Iterable[bytes]:
    start(status, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


def _threads() -> int:
    return int(os.environ["BENCH_THREADS"])


def accept() -> App:
    """A payment is read, inserted, committed and answered."""
    pool = Pool(_threads())

    def app(environ: Environ, start: StartResponse) -> Iterable[bytes]:
        asked = json.loads(_body(environ))
        payment = str(uuid4())
        pool.write(_INSERT, (payment, asked["amount"], asked["currency"], asked["payment_method"]["token"]))
        return _answer(start, "202 Accepted", json.dumps({"id": payment}).encode())

    return app


def accept_flask() -> Any:
    """The same behind Flask: what the framework alone costs."""
    from flask import Flask, jsonify, request

    pool, app = Pool(_threads()), Flask(__name__)

    @app.post("/v1/payments")
    def create_payment() -> Any:
        asked = request.get_json()
        payment = str(uuid4())
        pool.write(_INSERT, (payment, asked["amount"], asked["currency"], asked["payment_method"]["token"]))
        return jsonify(id=payment), 202

    return app


def end_to_end() -> App:
    """The same, then the provider call and one committed update, on a pool of threads in the same process."""
    accepting, outcomes = Pool(_threads()), Pool(CONNECTIONS)
    calling = ThreadPoolExecutor(IN_FLIGHT)
    credentials = {"secret_key": os.environ["BENCH_STRIPE_KEY"]}
    account = Account("acc_floor", "test", credentials, (), api_base=os.environ["BENCH_STRIPE_URL"])
    stripe = StripeCalls(account, CallLimits())

    def carry_out(payment: str, amount: int, currency: str, token: str) -> None:
        params = {
            "amount": amount,
            "currency": currency.lower(),
            "payment_method": token,
            "confirm": True,
            "capture_method": "automatic",
            "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
            "metadata": {"tollgate_payment": payment, "tollgate_transaction": payment},
        }
        intent = stripe.create_intent(params, payment)
        outcomes.write(_UPDATE, (intent["status"], intent["id"], payment))

    def app(environ: Environ, start: StartResponse) -> Iterable[bytes]:
        asked = json.loads(_body(environ))
        payment = str(uuid4())
        values = (payment, asked["amount"], asked["currency"], asked["payment_method"]["token"])
        accepting.write(_INSERT, values)
        calling.submit(carry_out, *values)
        return _answer(start, "202 Accepted", json.dumps({"id": payment}).encode())

    return app


def webhooks() -> App:
    """A webhook's signature is checked over its raw bytes; the event is inserted and committed."""
    pool = Pool(_threads())
    secret = os.environ["BENCH_WEBHOOK_SECRET"].encode()
    lock = threading.Lock()
    forged = 0

    def app(environ: Environ, start: StartResponse) -> Iterable[bytes]:
        nonlocal forged
        body = _body(environ)
        signed = dict(part.split("=", 1) for part in environ["HTTP_STRIPE_SIGNATURE"].split(","))
        wanted = hmac.new(secret, f"{signed['t']}.".encode() + body, hashlib.sha256).hexdigest()
        if abs(time.time() - int(signed["t"])) > 300 or not hmac.compare_digest(wanted, signed["v1"]):
            with lock:
                forged += 1
            return _answer(start, "400 Bad Request", b"{}")
        event = json.loads(body)
        pool.write(_EVENT, (event["id"], event["type"], body))
        return _answer(start, "200 OK", b"{}")

    return app
