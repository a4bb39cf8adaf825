"""The status tables, enumerated whole: what is not written here is forbidden."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from core.domain import statuses
from core.domain.statuses import InvalidStep, check_step, may_step

Expected = Mapping[str | None, str]

PAYMENT: Expected = {
    None: "processing",
    "processing": "requires_action authorized succeeded failed canceled",
    "requires_action": "processing requires_action authorized succeeded failed canceled",
    "authorized": "succeeded failed canceled",
    "succeeded": "",
    "failed": "",
    "canceled": "",
}
TRANSACTION: Expected = {
    None: "sent",
    "sent": "pending requires_action succeeded declined not_executed unknown canceled",
    "unknown": "pending requires_action succeeded declined not_executed canceled",
    "pending": "unknown requires_action succeeded declined not_executed canceled",
    "requires_action": "unknown pending succeeded declined not_executed canceled",
    "succeeded": "",
    "declined": "succeeded",
    "not_executed": "succeeded",
    "canceled": "succeeded",
}
REFUND: Expected = {
    None: "processing",
    "processing": "requires_action succeeded failed",
    "requires_action": "processing succeeded failed canceled",
    "succeeded": "failed",
    "failed": "",
    "canceled": "",
}
DISPUTE: Expected = {
    None: "needs_response under_review won lost closed",
    "needs_response": "under_review won lost closed",
    "under_review": "needs_response won lost closed",
    "won": "lost",
    "lost": "won",
    "closed": "",
}
JOB: Expected = {
    None: "queued",
    "queued": "running canceled",
    "running": "running succeeded failed needs_review queued",  # to itself: taken over from a dead worker
    "needs_review": "queued succeeded failed",
    "succeeded": "",
    "failed": "",
    "canceled": "",
}


def enumerate_table(subject: str, expected: Expected) -> None:
    names = sorted(name for name in expected if name is not None)
    allowed = {(source, target) for source in expected for target in names if may_step(subject, source, target)}
    wanted = {(source, target) for source, targets in expected.items() for target in targets.split()}
    assert allowed == wanted
    assert set(statuses.TABLES[subject]) == set(expected)
    for source in expected:
        for target in names:
            if (source, target) in wanted:
                check_step(subject, source, target)
            else:
                with pytest.raises(InvalidStep):
                    check_step(subject, source, target)


def test_payment() -> None:
    enumerate_table("payment", PAYMENT)


def test_transaction() -> None:
    enumerate_table("transaction", TRANSACTION)


def test_refund() -> None:
    enumerate_table("refund", REFUND)


def test_dispute() -> None:
    enumerate_table("dispute", DISPUTE)


def test_job() -> None:
    enumerate_table("job", JOB)


def test_these_are_all_the_tables() -> None:
    assert set(statuses.TABLES) == {"payment", "transaction", "refund", "dispute", "job"}


def test_unknown_words_are_forbidden() -> None:
    for subject, table in statuses.TABLES.items():
        for source in table:
            assert not may_step(subject, source, "done")
        assert not may_step(subject, "done", "succeeded")


def test_only_late_money_leaves_a_closed_transaction() -> None:
    closed = {"declined", "not_executed", "canceled"}
    assert {(source, "succeeded") for source in closed} == statuses.SURPLUS_ONLY


def test_groups_agree_with_the_tables() -> None:
    ends = {
        subject: {name for name, targets in table.items() if not targets} for subject, table in statuses.TABLES.items()
    }
    assert ends["payment"] == statuses.FINAL_PAYMENT == {"succeeded", "failed", "canceled"}
    assert ends["job"] == statuses.FINAL_JOB == {"succeeded", "failed", "canceled"}
    assert {"sent", "pending", "requires_action", "unknown"} == statuses.OPEN_TRANSACTION
    assert statuses.OPEN_TRANSACTION | {"succeeded"} == statuses.OPEN_OR_SUCCEEDED
    assert {"needs_response", "under_review"} == statuses.OPEN_DISPUTE
    assert {"charge", "authorize"} == statuses.CHARGE_KINDS


def test_the_error_says_which_step() -> None:
    with pytest.raises(InvalidStep, match="a payment cannot go from succeeded to failed") as caught:
        check_step("payment", "succeeded", "failed")
    assert (caught.value.subject, caught.value.source, caught.value.target) == ("payment", "succeeded", "failed")
    with pytest.raises(InvalidStep, match="a refund cannot go from nothing to succeeded"):
        check_step("refund", None, "succeeded")
