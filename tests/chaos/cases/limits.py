"""Walls between merchants, too many requests, and what must never be kept."""

from __future__ import annotations

import functools
import re
from collections import Counter
from typing import Any

import requests

from core.domain.roles import ROLES
from core.domain.scopes import MERCHANT
from core.orchestration import accounts, api_keys
from tests.chaos.cases.case import Case, Ground, expect, fresh
from tests.chaos.cases.others import owner_core
from tests.chaos.stage import TOKEN

PAN = "4242424242424242"
#: Requests a second that a key may make in the case of the limit, and how many are made.
RATE, MADE = 20, 200
LIMITED = {"rate_limit": f"{RATE}/second"}


def _documented(ground: Ground) -> dict[str, Any]:
    found: dict[str, Any] = ground.stage.request("GET", "/openapi.json").json()["paths"]
    return found


def foreign_ids(ground: Ground) -> None:
    """Every route that takes an id, asked by merchant B with ids of A."""
    payment = ground.stage.pay(customer={"email": "ada@example.com"}, save_payment_method=True)["id"]
    done = ground.ended(payment, "succeeded")
    refund = ground.stage.insist(f"/v1/payments/{payment}/refunds", {"amount": 100}).json()
    ground.stage.quiet(30)
    endpoint = ground.stage.request("GET", "/v1/webhook_endpoints").json()["data"][0]["id"]
    event = ground.stage.request("GET", f"/v1/events?payment={payment}").json()["data"][0]["id"]
    ids = {
        "payments": payment, "refunds": refund["refund"]["id"], "jobs": refund["job"]["id"], "events": event,
        "customers": done["customer"], "payment_methods": done["payment_method"]["id"], "webhook_endpoints": endpoint,
        "disputes": "dsp_" + payment.partition("_")[2],
    }  # fmt: skip
    with owner_core(ground.stage) as core:
        own = ground.transactions(payment)[0]["merchant_id"]
        other = accounts.create_merchant(core, "Merchant B")
        # Each may do everything in its own place: nothing but the wall refuses.
        mine, key = (
            api_keys.create(core, kind="test", merchant_id=one, name="all of it", scopes=MERCHANT).text
            for one in (own, other)
        )
    before = ground.stage.query("SELECT count(*) AS jobs, max(id::text) AS last FROM jobs")
    asked = 0
    for path, methods in _documented(ground).items():
        if not path.startswith("/v1/") or "{id}" not in path:
            continue
        noun = path.split("/")[2]
        for method in methods:
            body = _body(path) if method in ("post", "patch") else None
            sent = {"Idempotency-Key": fresh("foreign")}
            answer = ground.stage.request(method.upper(), path.replace("{id}", ids[noun]), body, key=key, headers=sent)
            expect(answer.status_code == 404, f"{method} {path}: {answer.status_code} {answer.text[:150]}")
            asked += 1
            ground.hurt("request.foreign")
    expect(asked >= 15, f"only {asked} routes with an id were found")
    _closed_doors(ground, mine, key)
    for noun in ("payments", "refunds", "events", "customers", "webhook_endpoints", "disputes"):
        shown = ground.stage.request("GET", f"/v1/{noun}", key=key).json()["data"]
        expect(not shown, f"merchant B is shown {noun} of A")
    for table in ("payment", "customer"):
        shown = ground.stage.request(
            "GET", f"/v1/{'events' if table == 'payment' else 'payments'}?{table}={ids[table + 's']}", key=key
        )
        expect(shown.status_code in (404, 422) or not shown.json().get("data"), f"a filter by {table} shows A's rows")
    expect(ground.stage.query("SELECT count(*) AS jobs, max(id::text) AS last FROM jobs") == before, "a job was made")


def _closed_doors(ground: Ground, mine: str, key: str) -> None:
    """Every admin route with a merchant's key, and every other with an id that nobody has."""
    admin = 0
    for path, methods in _documented(ground).items():
        filled = re.sub(r"\{\w+\}", "pay_00000000000000000000000000", path)
        for method in methods:
            sent = {"Idempotency-Key": fresh("closed")}
            body = _body(path) if method in ("post", "patch") else None
            if path.startswith("/admin/"):
                answer = ground.stage.request(method.upper(), filled, body, key=key, headers=sent)
                expect(answer.status_code in (401, 403), f"{method} {path}: {answer.status_code}")
                admin += 1
            elif path.startswith("/v1/") and "{id}" in path:
                answer = ground.stage.request(method.upper(), filled, body, key=mine, headers=sent)
                expect(
                    answer.status_code == 404, f"{method} {path} of nobody: {answer.status_code} {answer.text[:150]}"
                )
            ground.hurt("request.foreign")
    expect(admin >= 15, f"only {admin} admin routes were found")


def _body(path: str) -> dict[str, Any]:
    """A body that would be good, so that nothing but the wall refuses it."""
    bodies: dict[str, dict[str, Any]] = {
        "refunds": {"amount": 100}, "evidence": {"message": "it was delivered"}, "capture": {}, "{id}": {},
    }  # fmt: skip
    if path == "/v1/customers/{id}":
        return {"name": "Mallory"}
    if path == "/v1/webhook_endpoints/{id}":
        return {"description": "mine now"}
    return bodies.get(path.rpartition("/")[2], {})


def too_many(ground: Ground) -> None:
    """Ten times what a key may ask: 429 with Retry-After, and no payment half-made."""
    reference = fresh("case-39")
    body = {**TOKEN, "reference": reference}

    def ask(number: int) -> requests.Response:
        return ground.stage.request("POST", "/v1/payments", body, idempotency=f"{reference}-{number}", timeout=60)

    answers = ground.at_once([functools.partial(ask, number) for number in range(MADE)], 40)
    counted = Counter(one.status_code for one in answers)
    ground.hurt("request.too_many", counted[429])
    expect(set(counted) == {202, 429}, f"clients were told {dict(counted)}")
    refused = [one for one in answers if one.status_code == 429]
    expect(all(one.headers.get("Retry-After") for one in refused), "no Retry-After")
    made = ground.count("payments WHERE reference = %s", reference)
    expect(made == counted[202], f"{counted[202]} were accepted, {made} were made")


def limits_without_redis(ground: Ground) -> None:
    """Each process counts for itself then: a limit still holds, and no request waits for Redis."""
    ground.stage.service.stop_child("redis")
    ground.hurt("redis.stopped")
    try:
        answers = ground.at_once(
            [functools.partial(ground.stage.request, "GET", "/v1/payments?limit=1", timeout=30)] * MADE, 20
        )
    finally:
        ground.stage.service.start_child("redis")
    counted = Counter(one.status_code for one in answers)
    expect(set(counted) <= {200, 429} and counted[200], f"clients were told {dict(counted)}")
    expect(counted[429] > 0, "without Redis there is no limit")
    ground.hurt("request.too_many", counted[429])
    slow = max(one.elapsed.total_seconds() for one in answers)
    expect(slow < 5, f"a request took {slow:.1f} s")


def card_numbers(ground: Ground) -> None:
    """A card number in any field, in a header and in an address: refused, kept nowhere, logged nowhere."""
    spaced = " ".join(PAN[i : i + 4] for i in range(0, 16, 4))
    wrong: list[dict[str, Any]] = [
        {"reference": PAN}, {"description": f"card {spaced}"}, {"metadata": {"note": PAN}},
        {"metadata": {f"n{PAN}": "x"}}, {"payment_method": {"type": "token", "token": PAN}},
        {"customer": {"name": f"Ada {PAN}"}}, {"return_url": f"https://shop.example/{PAN}"},
    ]  # fmt: skip
    before = {table: ground.count(table) for table in ("payments", "customers", "idempotency_keys", "jobs")}
    told = {}
    for changes in wrong:
        answer = ground.stage.request("POST", "/v1/payments", {**TOKEN, **changes})
        told[next(iter(changes))] = answer.status_code
        expect(answer.status_code in (400, 422), f"{changes}: {answer.status_code}")
        expect(PAN not in answer.text and spaced not in answer.text, f"{changes} is echoed")
        ground.hurt("request.card_number")
    header = ground.stage.request("POST", "/v1/payments", TOKEN, idempotency=PAN)
    expect(header.status_code in (400, 422), f"in a header: {header.status_code}")
    address = ground.stage.request("GET", f"/v1/payments/{PAN}?reference={PAN}", headers={"X-Request-Id": PAN})
    expect(address.status_code in (400, 404, 422), f"in an address: {address.status_code}")
    ground.hurt("request.card_number", 2)
    after = {table: ground.count(table) for table in before}
    expect(after == before, f"rows were left: {before} {after}")
    for child in ("api", "worker-1", "worker-2", "beat"):
        log = ground.log(child)
        expect(PAN not in log and spaced not in log, f"the number is in the log of {child}")


def roles(ground: Ground) -> None:
    """Every route of the Admin API with a key of each role: what it is for, and nothing else."""
    asked = 0
    with owner_core(ground.stage) as core:
        keys = {
            role: api_keys.create(core, kind="admin", name=f"a {role}", scopes=sorted(scopes)).text
            for role, scopes in ROLES.items()
        }
    for path, methods in _documented(ground).items():
        if not path.startswith("/admin/v1/"):
            continue
        for method, said in methods.items():
            address = re.sub(r"{\w+}", "of-nothing", path)
            for role, key in keys.items():
                body = {} if method in ("post", "patch") else None
                answer = ground.stage.request(method.upper(), address, body, key=key)
                refused = answer.status_code == 403 and answer.json()["code"] == "scope_missing"
                lacks = said["x-scope"] not in ROLES[role]
                expect(refused is lacks, f"{role}: {method} {path}: {answer.status_code} {answer.text[:150]}")
                asked += 1
    ground.hurt("request.role", asked)
    expect(asked >= 4 * 20, f"only {asked} requests were made")


CASES = (
    Case("39a", "isolation", "every route with another's ids", "404, admin closed, no row", 15, foreign_ids, "apart"),
    Case("39b", "isolation", "roles of administrators, every admin route", "each its own", 80, roles),
    Case("39c", "limits", "ten times a key's rate", "429, nothing half-made", 20, too_many, "limits", settings=LIMITED),
    Case(
        "39d", "limits", "Redis down for the limiter", "counted in each process", 2, limits_without_redis, "limits",
        settings=LIMITED,
    ),
    Case("39e", "limits", "card numbers in fields, header, address", "422, stored nowhere", 9, card_numbers),
)  # fmt: skip
