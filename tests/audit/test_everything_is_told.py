"""Every operation that changes something leaves a record of who, from where and under which request.

The walk is made from the OpenAPI document: an operation that no table here knows fails.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from uuid import UUID, uuid4

import pytest
import requests

from core.domain.identifiers import parse_id, public_id
from core.orchestration import accounts
from core.providers.base import AccountIdentity
from tests.audit.desk import WHY, Desk
from tests.support.world import World

HOME = "/admin/v1/merchants/{id}"

#: What changes nothing, or has a table of its own that says who and when.
SILENT: Mapping[str, str] = {
    "post /webhooks/{provider}/{account_id}": "`inbox_events` keeps it; what it changes is told with its cause",
    f"post {HOME}/routes/validate": "says what would be",
    f"post {HOME}/routes/explain": "says what would be",
}


Act = Callable[[Desk], requests.Response]
MERCHANT: Mapping[str, Act] = {
    "post /v1/payments": lambda d: d.shop("POST", "/v1/payments", d.world.payment_body()),
    "post /v1/payments/{id}/capture": lambda d: d.shop(
        "POST", f"/v1/payments/{d.payment(capture='manual')}/capture", {"amount": 100}
    ),
    "post /v1/payments/{id}/cancel": lambda d: d.shop("POST", f"/v1/payments/{d.payment(capture='manual')}/cancel", {}),
    "post /v1/payments/{id}/sync": lambda d: d.shop("POST", f"/v1/payments/{d.payment()}/sync", {}),
    "post /v1/payments/{id}/refunds": lambda d: d.shop("POST", f"/v1/payments/{d.payment()}/refunds", {"amount": 100}),
    "post /v1/disputes/{id}/evidence": lambda d: d.shop(
        "POST", f"/v1/disputes/{d.dispute()}/evidence", {"message": "winning_evidence"}
    ),
    "post /v1/disputes/{id}/accept": lambda d: d.shop("POST", f"/v1/disputes/{d.dispute()}/accept"),
    "post /v1/customers": lambda d: d.shop("POST", "/v1/customers", {"name": "Ada"}),
    "patch /v1/customers/{id}": lambda d: d.shop("PATCH", f"/v1/customers/{d.customer()}", {"name": "Grace"}),
    "delete /v1/customers/{id}": lambda d: d.shop("DELETE", f"/v1/customers/{d.customer()}"),
    "post /v1/customers/{id}/reveal": lambda d: d.shop(
        "POST", f"/v1/customers/{d.customer()}/reveal", key=d.world.make_key("test", ["customers:reveal"])
    ),
    "delete /v1/payment_methods/{id}": lambda d: d.shop("DELETE", f"/v1/payment_methods/{d.method()}"),
    "post /v1/events/{id}/redeliver": lambda d: d.shop("POST", f"/v1/events/{d.event()}/redeliver"),
    "post /v1/webhook_endpoints": lambda d: d.shop(
        "POST", "/v1/webhook_endpoints", {"url": "http://127.0.0.1:9/new", "event_types": ["payment.failed"]}
    ),
    "patch /v1/webhook_endpoints/{id}": lambda d: d.shop(
        "PATCH", f"/v1/webhook_endpoints/{d.endpoint()}", {"description": uuid4().hex}
    ),
    "post /v1/webhook_endpoints/{id}/rotate_secret": lambda d: d.shop(
        "POST", f"/v1/webhook_endpoints/{d.endpoint()}/rotate_secret"
    ),
    "delete /v1/webhook_endpoints/{id}": lambda d: d.shop("DELETE", f"/v1/webhook_endpoints/{d.endpoint()}"),
}
_KEYS, _PEOPLE = f"{HOME}/api_keys", "/admin/v1/administrators"
ADMIN: Mapping[str, Act] = {
    "post /admin/v1/merchants": lambda d: d.act("POST", "/admin/v1/merchants", {"name": "Other"}),
    f"patch {HOME}": lambda d: d.act(
        "PATCH", f"/admin/v1/merchants/{public_id('merchant', d.world.merchant_id)}", {"name": f"Shop {uuid4().hex}"}
    ),
    f"post {_KEYS}": lambda d: d.act("POST", "api_keys", {"name": "new"}),
    f"post {_KEYS}/{{key}}/rotate": lambda d: d.act("POST", f"api_keys/{d.key('test')}/rotate", WHY),
    f"post {_KEYS}/{{key}}/expire": lambda d: d.act("POST", f"api_keys/{d.key('test')}/expire", {"in_hours": 1, **WHY}),
    f"post {_KEYS}/{{key}}/revoke": lambda d: d.act("POST", f"api_keys/{d.key('test')}/revoke", WHY),
    "post /admin/v1/api_keys": lambda d: d.act("POST", "/admin/v1/api_keys", {"name": "new", "role": "viewer"}),
    "post /admin/v1/api_keys/{key}/rotate": lambda d: d.act("POST", f"/admin/v1/api_keys/{d.key('admin')}/rotate", WHY),
    "post /admin/v1/api_keys/{key}/expire": lambda d: d.act(
        "POST", f"/admin/v1/api_keys/{d.key('admin')}/expire", {"in_hours": 1, **WHY}
    ),
    "post /admin/v1/api_keys/{key}/revoke": lambda d: d.act("POST", f"/admin/v1/api_keys/{d.key('admin')}/revoke", WHY),
    "post /admin/v1/administrators": lambda d: d.act("POST", _PEOPLE, {"name": uuid4().hex, "role": "viewer"}),
    "post /admin/v1/administrators/{id}/role": lambda d: d.act(
        "POST", f"{_PEOPLE}/{d.person()}/role", {"role": "admin"}
    ),
    "post /admin/v1/administrators/{id}/disable": lambda d: d.act("POST", f"{_PEOPLE}/{d.person()}/disable"),
    "post /admin/v1/administrators/{id}/enable": lambda d: _admitted(d),
    "post /admin/v1/administrators/{id}/reset_password": lambda d: d.act(
        "POST", f"{_PEOPLE}/{d.person()}/reset_password"
    ),
    "post /admin/v1/administrators/{id}/reset_code": lambda d: d.act("POST", f"{_PEOPLE}/{d.person()}/reset_code"),
    "post /admin/v1/administrators/{id}/end_sessions": lambda d: d.act(
        "POST", f"{_PEOPLE}/{d.session()}/end_sessions", {}
    ),
    f"post {HOME}/payments/{{payment}}/sync": lambda d: d.world.request(
        "POST",
        f"/admin/v1/merchants/{public_id('merchant', d.world.merchant_id)}/payments/{d.payment()}/sync?mode=test",
        key=d.admin,
        headers={"Idempotency-Key": str(uuid4())},
    ),
    f"post {HOME}/jobs/{{job}}/requeue": lambda d: d.act("POST", f"jobs/{d.job('needs_review')}/requeue", WHY),
    f"post {HOME}/jobs/{{job}}/resolve": lambda d: d.act(
        "POST", f"jobs/{d.job('needs_review')}/resolve", {"as": "not_executed", **WHY}
    ),
    f"post {HOME}/jobs/{{job}}/cancel": lambda d: d.act("POST", f"jobs/{d.job('queued')}/cancel", WHY),
    f"post {HOME}/inbox/{{event}}/replay": lambda d: d.act("POST", f"inbox/{d.inbox_event()}/replay", WHY),
    f"post {HOME}/inbox/replay": lambda d: d.act(
        "POST", "inbox/replay", {"status": "applied", "provider": "stripe", "dry_run": False, **WHY}
    ),
    f"post {HOME}/provider_accounts": lambda d: d.act(
        "POST", "provider_accounts", {"provider": "stripe", "name": "new", "secret_key": f"sk_test_{uuid4().hex}"}
    ),
    f"patch {HOME}/provider_accounts/{{account}}": lambda d: d.act(
        "PATCH", f"provider_accounts/{d.account()}", {"priority": 7, **WHY}
    ),
    f"post {HOME}/provider_accounts/{{account}}/rotate": lambda d: d.act(
        "POST", f"provider_accounts/{d.account()}/rotate", {"webhook_secret": f"whsec_{uuid4().hex}", **WHY}
    ),
    f"post {HOME}/provider_accounts/{{account}}/drain": lambda d: d.act(
        "POST", f"provider_accounts/{d.account()}/drain", WHY
    ),
    f"post {HOME}/provider_accounts/{{account}}/disable": lambda d: d.act(
        "POST", f"provider_accounts/{d.account()}/disable", WHY
    ),
    f"post {HOME}/provider_accounts/{{account}}/enable": lambda d: _enable(d),
    f"post {HOME}/customers/{{customer}}/reveal": lambda d: d.act("POST", f"customers/{d.customer()}/reveal", WHY),
    f"post {HOME}/customers/{{customer}}/erase": lambda d: d.act("POST", f"customers/{d.customer()}/erase", WHY),
    f"post {HOME}/findings/{{finding}}/assign": lambda d: d.act(
        "POST", f"findings/{d.finding()}/assign", {"to": "ada", **WHY}
    ),
    f"post {HOME}/findings/{{finding}}/resolve": lambda d: d.act(
        "POST", f"findings/{d.finding()}/resolve", {"action": "done", **WHY}
    ),
    f"post {HOME}/reconciliation/runs": lambda d: d.act("POST", "reconciliation/runs", d.run_body()),
    f"post {HOME}/routes": lambda d: d.act("POST", "routes", d.definition()),
    f"patch {HOME}/routes/{{version}}": lambda d: d.act("PATCH", f"routes/{d.route()}", {"note": "new", **WHY}),
    f"post {HOME}/routes/{{version}}/activate": lambda d: d.act("POST", f"routes/{d.route()}/activate", WHY),
    f"post {HOME}/routes/rollback": lambda d: _roll_back(d),
}


def _admitted(desk: Desk) -> requests.Response:
    person = desk.person()
    assert desk.act("POST", f"{_PEOPLE}/{person}/disable").status_code < 300
    return desk.act("POST", f"{_PEOPLE}/{person}/enable")


def _enable(desk: Desk) -> requests.Response:
    account = desk.account()
    assert desk.act("POST", f"provider_accounts/{account}/drain", WHY).status_code == 200
    return desk.act("POST", f"provider_accounts/{account}/enable", WHY)


def _roll_back(desk: Desk) -> requests.Response:
    first = desk.active()
    desk.active()
    return desk.act("POST", "routes/rollback", {"to": first, **WHY})


@pytest.fixture(scope="module")
def desk(world: World) -> Desk:
    return Desk(world, world.make_key("admin"))


@pytest.fixture
def asked_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over HTTP an account is at the provider's own address, which no test asks."""
    monkeypatch.setattr(accounts, "identify", lambda core, mode, account: AccountIdentity(f"acct_{uuid4().hex}", mode))


def test_the_tables_hold_every_operation_that_is_no_reading(world: World) -> None:
    document = world.get("/openapi.json").json()
    found = {f"{method} {path}" for path, item in document["paths"].items() for method in item if method != "get"}
    assert found == {*MERCHANT, *ADMIN, *SILENT}, "say here how it is called, and that it leaves a record"


@pytest.mark.usefixtures("asked_nobody")
@pytest.mark.parametrize("operation", [*MERCHANT, *ADMIN])
def test_it_leaves_a_record_of_who_and_from_where(desk: Desk, operation: str) -> None:
    answer = {**MERCHANT, **ADMIN}[operation](desk)
    assert answer.status_code < 300, answer.text
    records = desk.records(answer.headers["X-Request-Id"])
    assert records, "nothing says that it happened"
    kinds = {row["actor"].partition(":")[0] for row in records}
    assert "key" in kinds, records
    told = [row for row in records if row["actor"].startswith("key:")]
    assert {row["from_address"] for row in told} == {"127.0.0.1"}, told
    if operation in ADMIN:
        assert f"key:{desk.admin.split('_')[2]}" in {row["actor"] for row in told}


def test_what_a_worker_does_names_its_job(desk: Desk) -> None:
    desk.payment()
    rows = desk.world.rows(
        "SELECT a.action, j.kind FROM audit_log a LEFT JOIN jobs j ON j.id = a.job_id WHERE a.actor = 'worker'"
    )
    assert rows
    assert [row["action"] for row in rows if row["kind"] is None] == []


def test_a_change_says_what_was_and_what_is_without_secrets(desk: Desk) -> None:
    account = desk.account()
    assert desk.act("PATCH", f"provider_accounts/{account}", {"priority": 3, **WHY}).status_code == 200
    row_id: UUID = parse_id("provider_account", account)
    rows = desk.world.rows("SELECT * FROM audit_log WHERE subject_id = :id ORDER BY number", id=row_id)
    assert [row["action"] for row in rows] == ["provider_account.created", "provider_account.changed"]
    assert (rows[0]["before"]["name"], rows[0]["after"]["status"]) == (None, "enabled")
    assert (rows[1]["before"], rows[1]["after"]) == ({"priority": 100}, {"priority": 3})
