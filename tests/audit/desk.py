"""Both who may ask, and everything that can be acted on; shared by the walks over routes and commands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import requests
import sqlalchemy as sa

from core.domain.identifiers import parse_id, public_id
from core.persistence.queries.findings import open_finding
from tests.support.waiting import wait_until
from tests.support.world import World

WHY = {"reason": "the walk over all operations"}


@dataclass
class Desk:
    """Both who may ask: the merchant and an administrator."""

    world: World
    admin: str

    def shop(self, method: str, path: str, body: Any = None, key: str | None = None) -> requests.Response:
        headers = {"Idempotency-Key": str(uuid4())}
        return self.world.request(method, path, key=key, json=body, headers=headers)

    def act(self, method: str, path: str, body: Any = None) -> requests.Response:
        """Below the merchant where the path does not begin with a slash."""
        if not path.startswith("/"):
            path = f"/admin/v1/merchants/{public_id('merchant', self.world.merchant_id)}/{path}?mode=test"
        return self.world.request(method, path, key=self.admin, json=body)

    def records(self, request_id: str) -> list[Mapping[str, Any]]:
        return self.world.rows("SELECT * FROM audit_log WHERE request_id = :id ORDER BY number", id=request_id)

    def made(self, answer: requests.Response) -> Any:
        assert answer.status_code < 300, answer.text
        return answer.json()["id"]

    def shop_id(self) -> str:
        return public_id("merchant", self.world.merchant_id)

    # What is acted on

    def payment(self, **changes: Any) -> str:
        return str(self.world.pay(**changes)["id"])

    def customer(self) -> str:
        return str(self.made(self.shop("POST", "/v1/customers", {"email": "ada@example.com", "name": "Ada"})))

    def method(self) -> str:
        paid = self.world.pay(customer=self.customer(), save_payment_method=True)
        return str(paid["payment_method"]["id"])

    def dispute(self) -> str:
        payment = self.payment(payment_method={"type": "token", "token": "pm_card_createDispute"})

        self.world.advance(30)

        def told() -> Any:
            self.world.settle()
            return self.world.get(f"/v1/payments/{payment}/disputes").json()["data"]

        return str(wait_until(told, "the dispute to be told")[0]["id"])

    def endpoint(self) -> str:
        body = {"url": f"http://127.0.0.1:9/{uuid4().hex}", "event_types": ["payment.succeeded"]}
        found = self.world.get("/v1/webhook_endpoints").json()["data"]
        return str(found[0]["id"] if found else self.made(self.shop("POST", "/v1/webhook_endpoints", body)))

    def event(self) -> str:
        self.endpoint()
        self.payment()
        return str(self.world.get("/v1/events?type=payment.succeeded").json()["data"][0]["id"])

    def job(self, status: str) -> str:
        payment = parse_id("payment", self.world.create()["id"])
        with self.world.owner.begin() as connection:
            query = sa.text("UPDATE jobs SET status = :to, error = :error WHERE payment_id = :payment RETURNING id")
            told = {"to": status, "error": '{"code": "worker_lost", "message": "x"}', "payment": payment}
            return public_id("job", connection.execute(query, told).scalar_one())

    def inbox_event(self) -> str:
        self.world.settle()
        query = "SELECT id FROM inbox_events WHERE status = 'applied' ORDER BY id DESC LIMIT 1"
        if not self.world.rows(query):
            answer = self.world.post("/v1/payments", self.world.redirect_body())
            raise AssertionError(f"no event was applied yet: {answer.text}")
        return public_id("inbox_event", self.world.one(query)["id"])

    def account(self) -> str:
        name = f"spare {uuid4().hex[:8]}"
        return public_id("provider_account", self.world.add_account("stripe", name=name))

    def finding(self) -> str:
        key = uuid4().hex
        with self.world.admin.transaction(self.world.scope) as connection:
            open_finding(connection, self.world.scope, "unmatched_event", key, {})
        return public_id("finding", self.world.one("SELECT id FROM findings WHERE dedupe_key = :key", key=key)["id"])

    def definition(self) -> dict[str, Any]:
        account = public_id("provider_account", self.world.accounts["stripe"])
        return {"definition": {"default": {"then": {"accounts": [account]}}}, **WHY}

    def route(self) -> int:
        answer = self.act("POST", "routes", self.definition())
        assert answer.status_code < 300, answer.text
        return int(answer.json()["version"])

    def active(self) -> int:
        version = self.route()
        assert self.act("POST", f"routes/{version}/activate", WHY).status_code == 200
        return version

    def person(self) -> str:
        body = {"name": f"ada-{uuid4().hex[:8]}", "role": "viewer"}
        answer = self.act("POST", "/admin/v1/administrators", body)
        assert answer.status_code < 300, answer.text
        found = answer.json()
        return str(found["id"] if "id" in found else found["administrator"]["id"])

    def session(self) -> str:
        """The id of a person who is logged in."""
        person = self.person()
        with self.world.owner.begin() as connection:
            connection.execute(
                sa.text(
                    "INSERT INTO administrator_sessions (id, administrator_id, token_hash, stage, address, expires_at) "
                    "VALUES (gen_random_uuid(), :person, sha256(:token), 'full', '::1', app_now() + interval '1 h')"
                ),
                {"person": parse_id("administrator", person), "token": person.encode()},
            )
        return person

    def key(self, kind: str) -> str:
        return self.world.make_key(kind).split("_")[2]

    def run_body(self) -> dict[str, Any]:
        now = datetime.now(UTC) - timedelta(hours=1)
        window = {"since": (now - timedelta(hours=1)).isoformat(), "until": now.isoformat()}
        account = public_id("provider_account", self.world.add_account("stripe", name=uuid4().hex))
        return {"provider_account": account, "kind": "two_way", **window}
