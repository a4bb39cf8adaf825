"""The audit log over HTTP: searched across merchants by whoever may, and exported with proof."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
import sqlalchemy as sa
from werkzeug.test import TestResponse

from core.audit import exports, searching
from core.audit import sealing as log_sealing
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


@pytest.fixture
def move(owner: Core) -> Iterator[Callable[[int], None]]:
    """Set the time so many days ahead."""

    def to(days: int) -> None:
        with owner.database.unscoped() as connection:
            shift = sa.text("UPDATE app_clock SET shift = make_interval(days => :days)")
            connection.execute(shift, {"days": days})

    yield to
    to(0)


@pytest.mark.parametrize(("late", "start"), [(False, 1), (True, 21)])
def test_what_is_old_is_found_on_the_first_page(
    ask: Ask,
    merchant: Merchant,
    worker: Core,
    move: Callable[[int], None],
    monkeypatch: pytest.MonkeyPatch,
    late: bool,
    start: int,
) -> None:
    """However much was written since: times become numbers by the seals, and a page begins where they lie.

    Also where sealing was behind, and all was sealed at the end.
    """

    def seal() -> None:
        known = sealing.known_keys(worker)
        while log_sealing.seal(worker.database, sealing.signer(worker), known, (), most=4).records:
            pass

    seal()
    began, payments, created = datetime.now(UTC), list[str](), list[int]()
    for day in range(start, start + 8):
        move(day)
        for _ in range(5):
            payments.append(merchant.pay().json["payment"]["id"])
        if not late or day == start + 7:
            seal()
        created.append(ask("?limit=1").json["data"][0]["number"])
    day_long = max(after - before for before, after in pairwise(created))
    monkeypatch.setattr(searching, "SPAN", 3 * day_long)

    def found(query: str = "") -> Any:
        window = [f"{began + timedelta(days=start + days):%Y-%m-%dT%H:%M:%SZ}" for days in (1.5, 2.5)]
        shop = public_id("merchant", merchant.scope.merchant_id)
        times = f"since={window[0]}&until={window[1]}"
        return ask(f"?merchant={shop}&action=payment.created&{times}{query}").json

    first = found()
    assert {one["payment"] for one in first["data"]} == set(payments[10:15])
    assert not first["has_more"], "it ends where the time does"
    part = found("&limit=3")
    rest = found(f"&limit=3&before={part['next']}")
    assert [one["number"] for one in part["data"] + rest["data"]] == [one["number"] for one in first["data"]]
    assert found(f"&before={created[0]}")["data"] == []


def test_a_payment_is_found_by_its_index_however_long_ago(
    ask: Ask, merchant: Merchant, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop, old = public_id("merchant", merchant.scope.merchant_id), merchant.pay().json["payment"]["id"]
    assert merchant.post(f"/v1/payments/{old}/sync").status_code == 202
    for _ in range(5):
        merchant.pay()
    monkeypatch.setattr(searching, "SPAN", 2)
    query = f"?payment={old}&merchant={shop}&mode=test"
    found = ask(query).json
    assert "payment.created" in {one["action"] for one in found["data"]}
    assert {one["payment"] for one in found["data"]} == {old}
    assert not found["has_more"]
    assert ask(f"?payment={old}").json == found, "nor has its merchant to be known"
    first = ask(f"{query}&limit=1").json
    assert first["has_more"]
    rest = ask(f"{query}&limit=100&before={first['next']}").json
    assert [one["number"] for one in first["data"] + rest["data"]] == [one["number"] for one in found["data"]]
    assert [one["action"] for one in ask(f"{query}&action=payment.created").json["data"]] == ["payment.created"]
    assert ask(f"{query}&until=2020-01-01T00:00:00Z").json["data"] == []
    other = query.replace("mode=test", "mode=live")
    assert ask(other).json["data"] == []


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
