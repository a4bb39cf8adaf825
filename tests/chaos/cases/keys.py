"""Secrets that are rotated, and API keys that are not, or no longer, good for what they are used for."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from core.domain.identifiers import parse_id
from core.orchestration import accounts, api_keys
from core.persistence.database import Scope
from tests.chaos.cases import forging
from tests.chaos.cases.case import Case, Ground, expect
from tests.chaos.cases.others import owner_core
from tests.chaos.stage import TOKEN
from tests.support.waiting import wait_until


def _merchant(ground: Ground) -> UUID:
    return parse_id("merchant", ground.stage.service.seeded.merchant)


def rotation(ground: Ground) -> None:
    """The secret of Stripe's events is replaced: both are taken for a time, a stranger's never."""
    old, new = forging.secret(ground.stage, "stripe"), f"whsec_{ground.rng.randbytes(16).hex()}"
    service = ground.stage.service
    credentials = {"secret_key": forging.secret_key(ground.stage, "stripe"), "publishable_key": "pk_test_the_same"}
    with owner_core(ground.stage) as core:
        saved = accounts.NewAccount(
            provider="stripe", name="Local Stripe", credentials=credentials, webhook_secrets=[new],
            api_base=service.sandbox_urls["stripe"], settings={"pacing": {"per_operation": 100000, "total": 100000}},
        )  # fmt: skip
        accounts.save_provider_account(core, Scope(_merchant(ground), "test"), saved, "cli:test")
    ground.hurt("secret.rotated")

    def told(secret: str) -> int:
        body = forging.stripe_event("payment_intent.created", {"id": "pi_of_a_rotation"})
        return forging.deliver(ground.stage, body, headers=forging.stripe_signature(body, secret)).status_code

    wait_until(lambda: told(new) == 200, "the new secret to be taken", 20, every=0.3)
    expect(told(old) == 200, "an event signed before the rotation was refused")
    expect(told("whsec_of_nobody") == 401, "a stranger's signature was taken")
    ground.paid_once(ground.stage.pay()["id"])


def bad_keys(ground: Ground) -> None:
    """Revoked, expired, of too little scope, of another kind, mistyped, unknown: 401 or 403, and no row."""
    merchant = _merchant(ground)
    with owner_core(ground.stage) as core:
        made = {
            "revoked": api_keys.create(core, kind="test", merchant_id=merchant, name="revoked"),
            "expired": api_keys.create(
                core, kind="test", merchant_id=merchant, name="e", lifetime=timedelta(seconds=1)
            ),
            "reader": api_keys.create(core, kind="test", merchant_id=merchant, name="r", scopes=["payments:read"]),
        }
        api_keys.revoke(core, made["revoked"].id)
    unknown = api_keys.make_key("test").text
    ground.stage.query("UPDATE api_keys SET expires_at = app_now() - interval '1 s' WHERE id = %s", made["expired"].id)
    cases: dict[str, tuple[str, int]] = {
        "revoked": (made["revoked"].text, 401),
        "expired": (made["expired"].text, 401),
        "without the scope": (made["reader"].text, 403),
        "an administrator's": (ground.stage.service.admin_key, 403),
        "unknown": (unknown, 401),
        "mistyped": (ground.stage.service.test_key[:-1] + "!", 401),
        "no key": ("nonsense", 401),
    }
    before = _rows(ground)
    for name, (key, status) in cases.items():
        for method, path, body in (("POST", "/v1/payments", TOKEN), ("POST", "/v1/customers", {"name": "Ada"})):
            answer = ground.stage.request(method, path, body, key=key)
            expect(answer.status_code == status, f"{name}: {answer.status_code} instead of {status}")
            ground.hurt("key.bad")
    expect(_rows(ground) == before, "a refused key left a row")
    reader = made["reader"].text
    expect(ground.stage.request("GET", "/v1/payments", key=reader).status_code == 200, "a reader may not read")
    admin = ground.stage.request("GET", "/admin/v1/merchants", key=ground.stage.service.test_key)
    expect(admin.status_code == 403, f"a merchant's key opened the administration: {admin.status_code}")


def _rows(ground: Ground) -> dict[str, Any]:
    return {table: ground.count(table) for table in ("payments", "jobs", "customers", "idempotency_keys", "audit_log")}


CASES = (
    Case("38b", "keys", "webhook secret rotated", "both taken, no other", 1, rotation, "apart"),
    Case(
        "38c", "keys", "revoked, expired, wrong scope, wrong kind, unknown", "401 or 403, no row", 14, bad_keys,
        note="that bad keys take equal time is not asserted: a shared machine cannot show it",
    ),
)  # fmt: skip
