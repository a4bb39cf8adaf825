"""Look-ups: what became of a payment or a refund, and how little a failed question tells."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from core.domain.outcomes import (
    NotFound,
    Pending,
    Succeeded,
    Unknown,
)
from tests.providers.paystack_driver import (
    NUMBER,
    REFERENCE,
    ScriptedPaystack,
    look_up_request,
    refund_answer,
    refund_list,
    refund_object,
    refund_request,
    refused,
    scripted,
    start_request,
    verified,
)

INITIALIZE = ("POST", "/transaction/initialize")
VERIFY = ("GET", f"/transaction/verify/{REFERENCE}")
REFUNDS = ("GET", "/refund")


@pytest.fixture
def paystack() -> Iterator[ScriptedPaystack]:
    with scripted() as running:
        yield running


def test_verify_settles_a_start(paystack: ScriptedPaystack) -> None:
    paystack.on(*VERIFY, 200, verified())
    outcome = paystack.provider().look_up(look_up_request(start_request()))
    assert isinstance(outcome, Succeeded)
    assert outcome.facts.amount == 500000
    assert outcome.facts.provider_charge_id == str(NUMBER)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, refused("Transaction reference not found")),
        (404, refused("Transaction reference not found.", "transaction_not_found")),
        (404, refused("Nothing", "refund_not_found")),
        (200, refused("Transaction reference not found")),
    ],
)
def test_an_unknown_reference_is_not_found(paystack: ScriptedPaystack, status: int, body: Any) -> None:
    paystack.on(*VERIFY, status, body)
    assert isinstance(paystack.provider().look_up(look_up_request(start_request())), NotFound)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (401, refused("Invalid key")),
        (429, refused("Slow down")),
        (400, refused("Bad request", "invalid_params")),
        (404, b"<html>no such host</html>"),
        (404, refused("Route not found", "not_found")),
        (500, refused("Transaction reference not found")),
        (200, b"{"),
        (200, {"status": True, "data": None}),
    ],
)
def test_a_look_up_that_failed_tells_nothing(paystack: ScriptedPaystack, status: int, body: Any) -> None:
    paystack.on(*VERIFY, status, body)
    paystack.on(*REFUNDS, status, body)
    paystack.on("GET", "/refund/15581137", status, body)
    provider = paystack.provider()
    assert isinstance(provider.look_up(look_up_request(start_request())), Unknown)
    assert isinstance(provider.look_up(look_up_request(refund_request())), Unknown)
    assert isinstance(provider.look_up(look_up_request(refund_request(), "15581137")), Unknown)


def test_a_refund_is_looked_up_by_id_once_it_is_known(paystack: ScriptedPaystack) -> None:
    paystack.on("GET", "/refund/15581137", 200, refund_answer("processed"))
    outcome = paystack.provider().look_up(look_up_request(refund_request(), "15581137"))
    assert isinstance(outcome, Succeeded)


@pytest.mark.parametrize(
    "changes", [{"id": 1}, {"merchant_note": "Tollgate txn_00000000000000000000000009"}, {"amount": None}]
)
def test_another_refund_than_ours_is_unknown(paystack: ScriptedPaystack, changes: dict[str, Any]) -> None:
    paystack.on("GET", "/refund/15581137", 200, refund_answer("processed", **changes))
    assert isinstance(paystack.provider().look_up(look_up_request(refund_request(), "15581137")), Unknown)


def test_a_lost_refund_is_found_by_its_note_on_any_page(paystack: ScriptedPaystack) -> None:
    twin = refund_object("processed", id=1, merchant_note="Tollgate txn_00000000000000000000000009")
    by_hand = refund_object("processed", id=2, merchant_note="Refund by owner@shop.example")
    paystack.on(*REFUNDS, 200, refund_list(twin, by_hand, pages=2))
    paystack.on(*REFUNDS, 200, refund_list(refund_object("processing"), pages=2))
    outcome = paystack.provider().look_up(look_up_request(refund_request()))
    assert isinstance(outcome, Pending)
    assert outcome.facts.provider_id == "15581137"
    # The whole list may name other people's refunds: only our row is kept.
    assert "owner@shop.example" not in repr(outcome.facts.raw)
    assert [sent.query["page"] for sent in paystack.received] == [["1"], ["2"]]
    assert all(sent.query["transaction"] == [str(NUMBER)] for sent in paystack.received)


def test_equal_amounts_prove_nothing(paystack: ScriptedPaystack) -> None:
    equal = refund_object("processed", merchant_note="Refund by hand")
    paystack.on(*REFUNDS, 200, refund_list(equal))
    outcome = paystack.provider().look_up(look_up_request(refund_request()))
    assert isinstance(outcome, NotFound)
    assert outcome.evidence["listed"] == 1


def test_two_refunds_with_one_mark_need_a_person(paystack: ScriptedPaystack) -> None:
    paystack.on(*REFUNDS, 200, refund_list(refund_object(id=1), refund_object(id=2), refund_object(id=2)))
    outcome = paystack.provider().look_up(look_up_request(refund_request()))
    assert isinstance(outcome, Unknown)
    assert outcome.evidence["refunds"] == "1 2"


def test_without_a_page_count_an_empty_page_ends_the_list(paystack: ScriptedPaystack) -> None:
    paystack.on(*REFUNDS, 200, refund_list(refund_object(merchant_note=None), pages=None))
    paystack.on(*REFUNDS, 200, refund_list(pages=None))
    assert isinstance(paystack.provider().look_up(look_up_request(refund_request())), NotFound)


def test_a_list_without_an_end_is_unknown(paystack: ScriptedPaystack) -> None:
    paystack.on(*REFUNDS, 200, refund_list(refund_object(merchant_note=None), pages=None))
    assert isinstance(paystack.provider().look_up(look_up_request(refund_request())), Unknown)


def test_the_transactions_number_is_asked_for_when_it_is_unknown(paystack: ScriptedPaystack) -> None:
    paystack.on(*VERIFY, 200, verified())
    paystack.on(*REFUNDS, 200, refund_list(refund_object()))
    outcome = paystack.provider().look_up(look_up_request(refund_request(provider_charge_id=None)))
    assert isinstance(outcome, Pending)
    assert paystack.received[1].query["transaction"] == [str(NUMBER)]


def test_a_charge_that_is_gone_says_nothing_about_its_refund(paystack: ScriptedPaystack) -> None:
    paystack.on(*VERIFY, 404, refused("Transaction reference not found"))
    outcome = paystack.provider().look_up(look_up_request(refund_request(provider_charge_id=None)))
    assert isinstance(outcome, Unknown)


def test_an_id_never_reaches_another_address(paystack: ScriptedPaystack) -> None:
    paystack.provider().look_up(look_up_request(refund_request(), "../transaction/1?x=1"))
    assert paystack.received[0].path == "/refund/../transaction/1?x=1"
    assert not paystack.received[0].query
