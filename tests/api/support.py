"""What the tests of the gate share: bodies, a merchant that calls, and how problems are read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from core.domain.identifiers import new_id
from core.orchestration import api_keys
from core.orchestration.context import Core
from core.persistence.database import Scope
from core.persistence.tables import provider_accounts
from core.persistence.vault import Place
from core.settings import Settings

#: Nothing listens there: the gate has to work without Redis.
NO_REDIS = "redis://127.0.0.1:1/0"
STRIPE_SECRET = "whsec_of_the_tests"
PAYSTACK_SECRET = "sk_test_of_the_tests"


def settings_for(url: str, **changes: Any) -> Settings:
    values = {"DATABASE_URL": url, "REDIS_URL": NO_REDIS, "rate_limit": "100000/second", **changes}
    return Settings(**values)


@dataclass
class Woken:
    """What the gate told the workers."""

    ids: list[tuple[str, UUID]] = field(default_factory=list)

    def __call__(self, lane: str, jobs: Sequence[UUID]) -> None:
        self.ids += [(lane, job) for job in jobs]


@dataclass
class Merchant:
    """A tenant with a test key and an account at each provider."""

    scope: Scope
    key: api_keys.NewKey
    client: FlaskClient
    accounts: dict[str, UUID]

    def headers(self, **more: str) -> dict[str, str]:
        given = {name.replace("_", "-"): value for name, value in more.items()}
        return {"Authorization": f"Bearer {self.key.text}", **given}

    def get(self, path: str, **headers: str) -> TestResponse:
        return self.client.get(path, headers=self.headers(**headers))

    def post(self, path: str, body: Any = None, key: str | None = None, **headers: str) -> TestResponse:
        """With a fresh Idempotency-Key unless one is given."""
        given = self.headers(Idempotency_Key=str(uuid4()) if key is None else key, **headers)
        if body is None:
            return self.client.post(path, headers=given)
        return self.client.post(path, data=json.dumps(body), content_type="application/json", headers=given)

    def pay(self, **changes: Any) -> TestResponse:
        return self.post("/v1/payments", payment(**changes))


def payment(**changes: Any) -> dict[str, Any]:
    """A body that is accepted; a change to `...` leaves the field out."""
    body = {
        "amount": 5000,
        "currency": "USD",
        "payment_method": {"type": "token", "token": "pm_card_visa"},
        **changes,
    }
    return {name: value for name, value in body.items() if value is not ...}


def add_account(owner: Core, scope: Scope, provider: str, identity: str = "acct_tests") -> UUID:
    """As `tollgate accounts add` stores one, without asking the provider who it is."""
    account_id = new_id()
    own_secrets = {"stripe": [STRIPE_SECRET], "paystack": [PAYSTACK_SECRET]}[provider]
    with owner.database.scoped(scope) as connection:
        key = owner.vault.merchant_key(connection, scope)

        def sealed(column: str, value: Any) -> bytes:
            return key.seal_json(Place("provider_accounts", column, account_id), value)

        connection.execute(
            provider_accounts.insert().values(
                id=account_id,
                merchant_id=scope.merchant_id,
                mode=scope.mode,
                provider=provider,
                name=provider,
                identity=identity,
                status="enabled",
                priority=100,
                credentials_sealed=sealed("credentials_sealed", {"secret_key": PAYSTACK_SECRET}),
                webhook_secrets_sealed=sealed(
                    "webhook_secrets_sealed", [{"secret": one, "until": None} for one in own_secrets]
                ),
                settings={},
            )
        )
    return account_id


def code(answer: TestResponse) -> tuple[int, str]:
    """(status, code) of a problem, after checking that it is one."""
    assert answer.mimetype == "application/problem+json", answer.get_data(as_text=True)
    body = json.loads(answer.get_data(as_text=True))
    assert body["status"] == answer.status_code
    assert body["request_id"] == answer.headers["X-Request-Id"]
    assert set(body) == {"type", "title", "status", "detail", "code", "errors", "request_id"}
    return answer.status_code, body["code"]


def fields(answer: TestResponse) -> list[str]:
    return [one["field"] for one in json.loads(answer.get_data(as_text=True))["errors"]]
