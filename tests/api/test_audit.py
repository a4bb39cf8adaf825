"""The audit log over HTTP: searched across merchants by whoever may, and exported with proof."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from werkzeug.test import TestResponse

from core.audit import exports, searching
from core.domain.identifiers import public_id
from core.orchestration import api_keys, sealing
from core.orchestration.context import Core
from tests.api.support import Merchant, code

Ask = Callable[[str], TestResponse]


@pytest.fixture
def ask(owner: Core, client: Any) -> Ask:
    key = api_keys.create(owner, kind="admin", name="auditor", scopes=["admin:audit"]).text

    def get(path: str) -> TestResponse:
        answer: TestResponse = client.get(f"/admin/v1/audit{path}", headers={"Authorization": f"Bearer {key}"})
        return answer

    return get


def test_it_is_searched_by_whom_and_what_across_merchants(ask: Ask, make_merchant: Callable[..., Merchant]) -> None:
    shops = [make_merchant(), make_merchant()]
    payments = [shop.pay().json["payment"]["id"] for shop in shops]
    [shop, other] = [public_id("merchant", shop.scope.merchant_id) for shop in shops]
    for name, payment in zip((shop, other), payments, strict=True):
        found = ask(f"?payment={payment}").json["data"]
        assert {one["merchant"] for one in found} == {name}
        assert {one["action"] for one in found} >= {"payment.created"}
    mine = ask(f"?merchant={shop}&subject={payments[0]}").json["data"]
    assert [one["action"] for one in mine] == ["payment.created"]
    assert mine[0]["actor"] == f"key:{shops[0].key.id}"
    assert ask(f"?actor={mine[0]['actor']}&merchant={other}").json["data"] == []
    assert ask(f"?request_id={mine[0]['request_id']}").json["data"][0]["id"] == mine[0]["id"]
    assert ask(f"?merchant={shop}&until=2020-01-01T00:00:00Z").json["data"] == []
    first = ask("?limit=1").json
    second = ask(f"?limit=1&before={first['next']}").json
    assert first["data"][0]["number"] > second["data"][0]["number"]


def test_an_export_proves_itself_and_is_recorded(ask: Ask, merchant: Merchant, worker: Core) -> None:
    merchant.pay()
    assert sealing.seal(worker) > 0
    standing = ask("/standing").json
    assert standing["unsealed_seconds"] == 0
    answer = ask(f"/export?last={standing['seal']['to_number']}")
    assert (answer.status_code, answer.mimetype) == (200, "application/x-ndjson")
    found = exports.check(answer.text.splitlines(), [bytes.fromhex(standing["seal"]["public_key"])])
    assert (found.complete, found.faults) == (True, [])
    assert found.records > 0
    [told] = ask("?action=audit_log.exported&limit=1").json["data"]
    assert (told["details"]["last"], told["from_address"]) == (standing["seal"]["to_number"], "127.0.0.1")


def test_what_is_asked_wrongly_is_said(ask: Ask, client: Any, owner: Core, monkeypatch: pytest.MonkeyPatch) -> None:
    assert code(ask("?subject=pay_1")) == (422, "validation_failed")
    assert code(ask("?merchant=pay_1")) == (422, "validation_failed")
    monkeypatch.setattr(searching, "MOST_EXPORTED", 0)
    assert code(ask("/export")) == (422, "validation_failed")
    viewer = api_keys.create(owner, kind="admin", name="viewer", scopes=["admin:read"]).text
    for path in ("", "/standing", "/export"):
        refused = client.get(f"/admin/v1/audit{path}", headers={"Authorization": f"Bearer {viewer}"})
        assert code(refused) == (403, "scope_missing"), json.dumps(refused.json)
