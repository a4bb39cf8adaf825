"""The Admin API: an administrator's key reads across merchants, one mode at a time, and never a secret."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from werkzeug.test import TestResponse

from core.domain.identifiers import new_id, public_id
from core.orchestration import api_keys
from core.orchestration.context import Core
from core.persistence.queries.findings import open_finding
from tests.api.support import PAYSTACK_SECRET, STRIPE_SECRET, Merchant, code

Ask = Callable[[str], TestResponse]


@pytest.fixture
def ask(owner: Core, client: Any) -> Ask:
    key = api_keys.create(owner, kind="admin", name="operator").text

    def get(path: str) -> TestResponse:
        answer: TestResponse = client.get(f"/admin/v1{path}", headers={"Authorization": f"Bearer {key}"})
        return answer

    return get


def test_merchants_are_listed_in_pages(ask: Ask, make_merchant: Callable[..., Merchant]) -> None:
    made = [public_id("merchant", make_merchant().scope.merchant_id) for _ in range(3)]
    first = ask("/merchants?limit=2").json
    assert [one["id"] for one in first["data"]] == [made[2], made[1]]
    second = ask(f"/merchants?limit=2&after={first['next']}").json
    assert second["data"][0]["id"] == made[0]


def test_one_merchant_s_rows_of_one_mode(ask: Ask, make_merchant: Callable[..., Merchant]) -> None:
    mine, other = make_merchant(), make_merchant()
    other.pay()
    job = mine.pay().json["job"]
    home = f"/merchants/{public_id('merchant', mine.scope.merchant_id)}"
    assert [one["id"] for one in ask(f"{home}/jobs?mode=test&status=queued").json["data"]] == [job["id"]]
    assert ask(f"{home}/jobs?mode=test&status=failed").json["data"] == []
    assert ask(f"{home}/jobs?mode=live").json["data"] == []
    assert ask(f"{home}/findings?mode=test").json == {"data": [], "has_more": False, "next": None}
    keys = ask(f"{home}/api_keys?mode=test").json["data"]
    assert [one["id"] for one in keys] == [mine.key.id]
    accounts = ask(f"{home}/provider_accounts?mode=test").json["data"]
    assert sorted(one["provider"] for one in accounts) == ["paystack", "stripe"]
    text = str(keys) + str(accounts)
    for secret in (mine.key.text.rpartition("_")[2], STRIPE_SECRET, PAYSTACK_SECRET):
        assert secret not in text


def test_unknown_merchants_and_missing_modes(ask: Ask, merchant: Merchant) -> None:
    assert code(ask(f"/merchants/{public_id('merchant', new_id())}/jobs?mode=test")) == (404, "not_found")
    assert code(ask("/merchants/mer_1/jobs?mode=test")) == (404, "not_found")
    home = f"/merchants/{public_id('merchant', merchant.scope.merchant_id)}"
    assert code(ask(f"{home}/jobs")) == (422, "validation_failed")
    assert code(ask(f"{home}/jobs?mode=both")) == (422, "validation_failed")


class TestFindings:
    @pytest.fixture
    def post(self, owner: Core, client: Any) -> Callable[..., TestResponse]:
        key = api_keys.create(owner, kind="admin", name="operator").text

        def send(path: str, body: Any) -> TestResponse:
            headers = {"Authorization": f"Bearer {key}"}
            answer: TestResponse = client.post(f"/admin/v1{path}", json=body, headers=headers)
            return answer

        return send

    def test_assigned_resolved_and_exported(
        self, ask: Ask, post: Callable[..., TestResponse], owner: Core, make_merchant: Callable[..., Merchant]
    ) -> None:
        mine, other = make_merchant(), make_merchant()
        with owner.transaction(mine.scope) as connection:
            open_finding(connection, mine.scope, "refund_not_ours", "re_1", {}, amount=700, currency="USD")
        home = f"/merchants/{public_id('merchant', mine.scope.merchant_id)}/findings"
        (found,) = ask(f"{home}?mode=test&status=open").json["data"]
        assert (found["severity"], found["amount"], found["repairs"]) == ("low", 700, ["done", "ignore"])

        elsewhere = f"/merchants/{public_id('merchant', other.scope.merchant_id)}/findings/{found['id']}"
        reason = {"reason": "seen"}
        for path, body in (("assign", {"to": "eve", **reason}), ("resolve", {"action": "done", **reason})):
            assert code(post(f"{elsewhere}/{path}?mode=test", body)) == (404, "not_found")
            assert code(post(f"{home}/{found['id']}/{path}?mode=live", body)) == (404, "not_found")

        one = f"{home}/{found['id']}"
        assert post(f"{one}/assign?mode=test", {"to": "grace", **reason}).json["status"] == "assigned"
        assert ask(f"{one}?mode=test").json["assigned_to"] == "grace"
        assert code(post(f"{one}/resolve?mode=test", {"action": "take_over", **reason})) == (422, "validation_failed")
        done = post(f"{one}/resolve?mode=test", {"action": "ignore", **reason}).json
        assert (done["status"], done["action"], done["resolution"]) == ("resolved", "ignore", "seen")
        assert done["resolved_by"].startswith("api_key:") or "key" in done["resolved_by"]
        assert code(post(f"{one}/resolve?mode=test", {"action": "done", **reason})) == (409, "state_conflict")
        text = ask(f"{home}?mode=test&format=csv").text
        assert text.splitlines()[0].startswith("id,kind,status,severity")
        assert found["id"] in text
