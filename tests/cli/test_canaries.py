"""Canaries in every door of a whole service and along its tour; then none of them is anywhere in clear.

Searched: every table row by row, every key and value in Redis, all logs, the arguments of all processes.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import psycopg2
import pytest
import redis
import requests

from cli.commands.demo import TOUR, _office
from cli.demo.client import Receiver, Shop
from cli.demo.ledger import Ledgers
from cli.demo.schedule import Schedule
from cli.demo.steps import Scene
from cli.demo.tour import STEPS, run
from cli.service import Service
from tests.support import canaries
from tests.support.canaries import Finder
from tests.support.databases import plain

FAST = {"TOLLGATE_RATE_LIMIT": "100000/second", "TOLLGATE_ADMIN_RATE_LIMIT": "100000/second"}
#: Of the tour: each provider, each kind of body, a refusal, a page, a saved card.
DRIVEN = {
    "Stripe: card paid",
    "Stripe: held, part captured, part refunded",
    "Stripe: card declined",
    "Paystack: NGN paid on its page",
    "Stripe: paid, and the card saved",
    "Stripe: saved card, the customer away",
}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("canaries") / "data"
    with Service(folder, workers=1, env={**TOUR, **FAST}, temporary=True) as running:
        yield running


@pytest.fixture(scope="module")
def planted(service: Service) -> dict[str, str]:
    """Kind: canary."""
    return {
        "card number": canaries.card_number(),
        "e-mail": f"{canaries.word()}@example.com",
        "phone": "+4930" + "".join(str(digit) for digit in (7, 3, 9, 1, 8, 2, 6, 4)),
        "API key": service.test_key,
        "admin's key": service.admin_key,
        "provider token": canaries.word("sk_test_"),
        "webhook secret": canaries.word("whsec_"),
        "card token": canaries.word("pm_"),
    }


class Doors:
    """Every operation of the OpenAPI document, knocked at with canaries in path, query, headers and body."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.document = requests.get(f"{service.api_url}/openapi.json", timeout=10).json()
        self.knocked = 0

    def operations(self) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
        for path, item in self.document["paths"].items():
            for method, what in item.items():
                yield path, method, what

    def knock(self, secret: str) -> None:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda one: self._at(*one, secret), self.operations()))

    def _at(self, path: str, method: str, what: Mapping[str, Any], secret: str) -> None:
        key = self.service.admin_key if path.startswith("/admin") else self.service.test_key
        anywhere = re.sub(r"\{\w+\}", str(uuid4()), path)
        there = re.sub(r"\{\w+\}", quote(secret, safe=""), path)
        named = {one["name"]: secret for one in what.get("parameters", []) if one.get("in") == "query"}
        headers = dict.fromkeys(
            ("User-Agent", "X-Request-Id", "Referer", "Cookie", "Accept-Language", "X-Forwarded-For", "Prefer"), secret
        )
        if secret.startswith("pm_"):  # as our own ids do: the caller's own name for the request is logged
            del headers["X-Request-Id"]
        self._send(method, there, key, {}, {})
        self._send(method, anywhere, key, {**named, "canary": secret}, headers)
        self._send(method, anywhere, secret, {}, {"Idempotency-Key": secret})
        for body in self._bodies(what, secret):
            self._send(method, anywhere, key, {"mode": "test"} if "/admin" in path else {}, {}, body)

    def _bodies(self, what: Mapping[str, Any], secret: str) -> Iterator[Any]:
        """A field nobody knows beside every field that is known: refused, and told which without what."""
        yield {"canary": secret}
        yield {secret: "x"}
        content = what.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
        name = content.get("$ref", "").rpartition("/")[2]
        fields = self.document["components"]["schemas"].get(name, {}).get("properties", {})
        yield {**dict.fromkeys(fields, secret), "canary": {"deep": [secret]}}

    def _send(
        self, method: str, path: str, key: str, query: Mapping[str, str], headers: Mapping[str, str], body: Any = None
    ) -> None:
        sent = {"Authorization": f"Bearer {key}", "Idempotency-Key": str(uuid4()), **headers}
        with requests.Session() as http:
            http.trust_env = False
            answer = http.request(
                method, self.service.api_url + path, params=query, headers=sent, json=body, timeout=30
            )
        assert answer.status_code < 500, (method, path, answer.text)
        self.knocked += 1


def shop_with(service: Service, planted: Mapping[str, str]) -> None:
    """What is taken and kept: people, their cards, secrets of endpoints and of provider accounts, signed events."""
    shop = Shop(service.api_url, service.test_key)
    person = {"email": planted["e-mail"], "phone": planted["phone"], "name": "Ada"}
    customer = shop.post("/v1/customers", person).json()["id"]
    shop.pay(amount=5000, currency="USD", payment_method={"type": "token", "token": "pm_card_visa"}, customer=customer,
             save_payment_method=True)  # fmt: skip
    token = {"type": "token", "token": planted["card token"]}
    shop.pay(amount=5000, currency="USD", payment_method=token, customer=person)
    page = {"amount": 500000, "currency": "NGN", "provider": "paystack", "payment_method": {"type": "redirect"}}
    shop.pay(customer=person, return_url="https://shop.example/back", **page)
    _add_account(service, planted)
    _tell(service, planted)


def _add_account(service: Service, planted: Mapping[str, str]) -> None:
    sandbox = service.sandbox_urls["stripe"]
    requests.post(f"{sandbox}/_sandbox/accounts", json={"secret_key": planted["provider token"]}, timeout=10)
    body = {
        "provider": "stripe",
        "name": "Another",
        "secret_key": planted["provider token"],
        "publishable_key": "pk_test_another",
        "webhook_secret": planted["webhook secret"],
    }
    home = f"{service.api_url}/admin/v1/merchants/{service.seeded.merchant}/provider_accounts?mode=test"
    headers = {"Authorization": f"Bearer {service.admin_key}"}
    answer = requests.post(home, json=body, headers=headers, timeout=20)
    assert answer.status_code in (201, 422), answer.text
    if answer.status_code == 201:
        requests.post(f"{home.replace('?', '/' + answer.json()['id'] + '/drain?')}", json={"reason": "a canary"},
                      headers=headers, timeout=20)  # fmt: skip


def _tell(service: Service, planted: Mapping[str, str]) -> None:
    """Events of a provider: forged ones with everything in them, and one whose signature is right."""
    account = service.seeded.accounts["stripe"]
    address = f"{service.api_url}/webhooks/stripe/{account}"
    person = {"email": planted["e-mail"], "phone": planted["phone"], "description": planted["card number"]}
    body = json.dumps(
        {"id": f"evt_{uuid4().hex}", "object": "event", "type": "customer.updated", "created": int(time.time()),
         "data": {"object": {"id": "cus_x", "object": "customer", **person, "token": planted["card token"]}}}
    ).encode()  # fmt: skip
    for secret in ("whsec_of_nobody", planted["webhook secret"], *planted.values()):
        at = int(time.time())
        signature = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
        headers = {
            "Stripe-Signature": f"t={at},v1={signature}",
            "User-Agent": secret,
            "Content-Type": "application/json",
        }
        requests.post(address, data=body, headers=headers, timeout=10)


def tour(service: Service) -> list[str]:
    """Trouble of the steps that were driven."""
    shop, receiver = Shop(service.api_url, service.test_key), Receiver()
    schedule = Schedule({**service.environment(), "DATABASE_URL": service.worker_database_url})
    scene = Scene(shop, receiver, Ledgers(dict(service.sandbox_urls)), schedule, _office(service))
    try:
        made = shop.post("/v1/webhook_endpoints", {"url": receiver.url, "event_types": ["*"]}).json()
        receiver.secret = made["secret"]
        wanted = [(title, act) for title, act in STEPS if title in DRIVEN]
        assert len(wanted) == len(DRIVEN), "the tour's steps have other names now"
        return [f"{step.title}: {step.trouble}" for step in run(scene, wanted) if step.trouble]
    finally:
        schedule.close()
        receiver.stop()


def everywhere(service: Service) -> Iterator[tuple[str, bytes]]:
    yield from canaries.database(service.owner_database_url)
    yield from canaries.dumped(service.owner_database_url)
    yield from canaries.kept_in_redis(service.redis_url)
    yield from canaries.logs(service.data_dir)
    yield from canaries.arguments()


def test_no_canary_is_anywhere_in_clear(service: Service, planted: dict[str, str]) -> None:
    doors = Doors(service)
    shop_with(service, planted)
    for secret in planted.values():
        doors.knock(secret)
    assert tour(service) == []
    shop = Shop(service.api_url, service.test_key)
    shop.pay(amount=700, currency="USD", payment_method={"type": "token", "token": "pm_card_visa"})

    places = list(everywhere(service))

    assert Finder(planted).leaks(iter(places)) == set()
    assert doors.knocked > 5 * len(list(doors.operations()))
    kinds = {place.split(" ")[0] for place, _ in places}
    assert kinds == {"table", "pg_dump", "redis", "log", "arguments"}
    logs = b"".join(text for place, text in places if place.startswith("log"))
    assert logs.count(b'"event":"request"') > 1000, "the logs were those of the doors"
    rows = dict(places)
    for table in ("customers", "payments", "transactions", "provider_accounts", "jobs", "audit_log"):
        assert any(place.startswith(f"table public.{table}") and text for place, text in rows.items()), table


@pytest.mark.parametrize("kind", ["text", "hex", "base64", "address", "json", "upper"])
@pytest.mark.parametrize("place", ["table", "redis", "log", "arguments"])
def test_the_search_finds_what_is_there(service: Service, place: str, kind: str) -> None:
    """The same search, broken into once at every place and in every spelling."""
    secret = f"{canaries.word()}@example.com+"
    written = {
        "text": f"x{secret}y",
        "hex": secret.encode().hex(),
        "base64": base64.b64encode(f"xy{secret}z".encode()).decode(),
        "address": quote(secret, safe=""),
        "json": json.dumps({"a": f'"{secret}'}),
        "upper": secret.upper(),
    }[kind]
    with put(service, place, written):
        found = Finder({"it": secret}).leaks(everywhere(service))
    expected = {"table", "pg_dump"} if place == "table" else {place}
    assert {where.split(" ")[0] for where, _ in found} == expected


@contextmanager
def put(service: Service, place: str, text: str) -> Iterator[None]:
    if place == "table":
        connection = psycopg2.connect(plain(service.owner_database_url))
        with connection, connection.cursor() as cursor:
            cursor.execute("UPDATE merchants SET name = %s", [text])
        connection.close()
    elif place == "redis":
        with redis.Redis.from_url(service.redis_url, db=7) as client:
            client.hset("a hash", "field", text)
    elif place == "log":
        (service.data_dir / "logs" / "planted.log").write_text(text)
    if place != "arguments":
        yield
        return
    argv = [sys.executable, "-c", "import sys; sys.stdin.read()", text]
    with subprocess.Popen(argv, stdin=subprocess.PIPE) as process:
        yield
        process.communicate()


def test_a_card_number_is_one(service: Service) -> None:
    """Else the doors would have refused nothing."""
    number = canaries.card_number()
    shop = Shop(service.api_url, service.test_key)
    assert shop.post("/v1/customers", {"name": number}).json()["code"] == "card_number_refused"
