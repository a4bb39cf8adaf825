"""The third provider on the whole road: money that comes a day later, a refund, and a refund that comes back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from cli.embedded import Embedded
from tests.providers.bank_transfer.sandbox import CLOSED_ACCOUNT, DAY
from tests.providers.driver import submit
from tests.support.databases import Urls
from tests.support.sandboxes import Sandbox
from tests.support.world import World


@pytest.fixture(scope="module")
def shop(embedded: Embedded, database: Urls, bank: Sandbox, with_bank: None) -> Iterator[World]:
    made = World(database, embedded.redis_url, {bank.provider: bank})
    yield made
    made.close()


def ordered(shop: World) -> dict[str, Any]:
    payment = shop.pay(**shop.redirect_body(amount=100_00, currency="EUR", provider="bank_transfer"))
    assert payment["status"] == "requires_action"
    assert payment["next_action"]["type"] == "redirect"
    submit(payment["next_action"]["url"], action="order")
    shop.settle()
    found = shop.payment(payment["id"])
    assert found["status"] == "processing"
    return found


def refunded(shop: World, payment_id: str, amount: int) -> dict[str, Any]:
    answer = shop.post(f"/v1/payments/{payment_id}/refunds", {"amount": amount})
    assert answer.status_code == 202, answer.text
    shop.settle()
    shop.advance(DAY + 1)
    shop.settle()
    found: dict[str, Any] = shop.get(f"/v1/refunds/{answer.json()['refund']['id']}").json()
    return found


def test_a_transfer_is_ordered_arrives_and_is_given_back(shop: World) -> None:
    payment = ordered(shop)
    shop.advance(DAY + 1)
    shop.settle()
    paid = shop.payment(payment["id"])
    assert (paid["status"], paid["amount_received"]) == ("succeeded", 100_00)
    assert refunded(shop, payment["id"], 30_00)["status"] == "succeeded"
    assert refunded(shop, payment["id"], CLOSED_ACCOUNT)["status"] == "failed"
    assert shop.payment(payment["id"])["amount_refunded"] == 30_00
    [charge] = shop.charges("bank_transfer", payment["id"])
    assert (charge["status"], charge["amount"]) == ("succeeded", 100_00)


def test_every_provider_is_listed_with_what_it_can(shop: World) -> None:
    listed = {one["name"]: one for one in shop.get("/v1/providers").json()["data"]}
    bank, paystack = listed["bank_transfer"], listed["paystack"]
    assert (bank["methods"], bank["manual_capture"], bank["save_methods"]) == (["redirect"], [], [])
    assert bank["currencies"] == {"EUR": {"minimum": 100, "maximum": 99_999_999, "step": 1}}
    assert (bank["changes"], bank["statement"], bank["disputes"]) == (True, False, [])
    assert (bank["void"], bank["close_unfinished"], bank["off_session"]) == (False, False, False)
    assert (paystack["manual_capture_currencies"], bank["manual_capture_currencies"]) == (["ZAR"], None)
    assert (paystack["save_methods"], paystack["off_session"]) == (["redirect"], True)
    assert (paystack["failure_webhooks"], bank["failure_webhooks"]) == (False, True)
    assert listed["stripe"]["disputes"] == ["accept", "evidence", "read"]


def test_what_it_does_not_declare_is_refused_before_it_is_sent(shop: World) -> None:
    for wish in ({"capture": "manual"}, {"payment_method": {"type": "token", "token": "x"}}):
        body = {**shop.redirect_body(amount=100_00, currency="EUR", provider="bank_transfer"), **wish}
        answer = shop.post("/v1/payments", body)
        assert (answer.status_code, answer.json()["code"]) == (422, "capability_unsupported"), answer.text
