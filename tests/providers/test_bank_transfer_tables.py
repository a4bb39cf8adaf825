"""The bank's words, row by row, and its samples."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from core.domain.outcomes import (
    ActionRequired,
    Canceled,
    Declined,
    NotExecutedReason,
    Outcome,
    Pending,
    Succeeded,
    Unknown,
)
from core.providers.base import News, VerifiedEvent
from tests.providers.bank_transfer.client import REFUSALS
from tests.providers.bank_transfer.outcomes import REFUNDS, TRANSFERS, read_refund, read_transfer
from tests.providers.bank_transfer.webhooks import _SEEN, read

SAMPLES = Path(__file__).with_name("bank_transfer") / "samples"
OBJECT = {"id": "tr_1", "amount": 100_00, "currency": "EUR", "instructions": "https://bank.example/tr_1"}


def sample(name: str) -> News:
    body = json.loads((SAMPLES / name).read_text(encoding="utf-8"))
    [news] = read(VerifiedEvent("key", body["kind"], body["id"], None, body))  # type: ignore[misc]
    assert isinstance(news, News)
    return news


@pytest.mark.parametrize(
    ("state", "made"),
    [("awaited", ActionRequired), ("ordered", Pending), ("arrived", Succeeded), ("expired", Canceled), ("x", Unknown)],
)
def test_transfers(state: str, made: type[Outcome]) -> None:
    assert isinstance(read_transfer({**OBJECT, "state": state}), made)
    assert len(TRANSFERS) == 4


@pytest.mark.parametrize(
    ("state", "made"), [("booked", Pending), ("paid", Succeeded), ("returned", Declined), ("x", Unknown)]
)
def test_refunds(state: str, made: type[Outcome]) -> None:
    assert isinstance(read_refund({**OBJECT, "state": state}), made)
    assert len(REFUNDS) == 3


def test_refusals() -> None:
    found = {status: reason.value for status, reason in REFUSALS.items()}
    invalid, wrong_key = NotExecutedReason.INVALID_REQUEST.value, NotExecutedReason.MISCONFIGURED.value
    expected = dict.fromkeys((400, 404, 409), invalid) | dict.fromkeys((401, 403), wrong_key)
    assert found == expected | {429: "rate_limited"}


@pytest.mark.parametrize("missing", ["id", "amount", "currency"])
def test_an_object_that_lacks_what_counts_is_unknown(missing: str) -> None:
    body = {name: value for name, value in OBJECT.items() if name != missing}
    assert isinstance(read_transfer({**body, "state": "arrived"}), Unknown)


def test_samples_in_our_words() -> None:
    arrived = sample("transfer_arrived.json")
    assert isinstance(arrived.outcome, Succeeded)
    assert (arrived.operation, arrived.transaction_id) == ("start", "txn_00000000000000000000000001")
    assert (arrived.outcome.facts.amount_received, arrived.outcome.facts.currency) == (100_00, "EUR")
    returned = sample("refund_returned.json")
    assert isinstance(returned.outcome, Declined)
    assert (returned.operation, returned.start_provider_id) == ("refund", "tr_9Zk3")


def test_a_transfer_in_a_list_is_read_as_its_outcome() -> None:
    assert {kind.__name__: told for kind, told in _SEEN.items()} == {"Succeeded": "succeeded", "Canceled": "ended"}
