"""What reaches the log: named fields, one JSON line each, and of errors their type and place only."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
import structlog

from tests.api.support import Merchant


def lines(capfd: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capfd.readouterr().err.splitlines()]


def test_fields_that_are_not_named_are_dropped_and_said_so(capfd: pytest.CaptureFixture[str]) -> None:
    structlog.get_logger().info("paid", payment_id="pay_1", email="ada@example.com", body={"token": "tok_1"})
    (line,) = lines(capfd)
    assert (line["event"], line["payment_id"], line["process"]) == ("paid", "pay_1", "tests")
    assert line["dropped"] == ["body", "email"]
    assert "ada@example.com" not in str(line)
    assert "tok_1" not in str(line)


def test_errors_are_logged_without_their_message(capfd: pytest.CaptureFixture[str]) -> None:
    for log in (structlog.get_logger().exception, logging.getLogger("elsewhere").exception):
        try:
            raise ValueError("Key (email)=(ada@example.com) already exists")
        except ValueError:
            log("failed")
    for line in lines(capfd):
        assert line["error_type"] == "builtins.ValueError"
        assert "test_errors_are_logged_without_their_message" in line["where"][-1]
        assert "ada@example.com" not in str(line)


def test_other_packages_are_heard_from_warning_on(capfd: pytest.CaptureFixture[str]) -> None:
    logging.getLogger("elsewhere").info("chatter")
    logging.getLogger("elsewhere").warning("trouble %s", "here")
    (line,) = lines(capfd)
    assert (line["event"], line["level"]) == ("trouble here", "warning")


def test_requests_are_found_by_their_payment_and_job(merchant: Merchant, capfd: pytest.CaptureFixture[str]) -> None:
    made = merchant.pay().json
    payment_id, job_id = made["payment"]["id"], made["job"]["id"]
    event_id = merchant.get("/v1/events").json["data"][0]["id"]
    of_payment, of_both = {"payment_id": payment_id}, {"payment_id": payment_id, "job_id": job_id}
    again = merchant.post(f"/v1/payments/{payment_id}/sync", key="again").json["job"]["id"]
    capfd.readouterr()
    asked = [
        (merchant.get(f"/v1/payments/{payment_id}"), of_payment),
        (merchant.get(f"/v1/payments/{payment_id}/timeline"), of_payment),
        (merchant.get(f"/v1/payments/{payment_id}/refunds"), of_payment),
        (merchant.get(f"/v1/jobs/{job_id}"), of_both),
        (merchant.get(f"/v1/events/{event_id}"), {**of_payment, "event_id": event_id}),
        (merchant.post(f"/v1/payments/{payment_id}/sync", key="again"), {**of_payment, "job_id": again}),
        (merchant.post(f"/v1/payments/{payment_id}/capture"), of_payment),
        (merchant.get(f"/v1/payments?after={payment_id}"), {}),
        (merchant.get("/v1/payments/pay_1"), {}),
    ]
    found = [line for line in lines(capfd) if line["event"] == "request"]
    names = ("payment_id", "job_id", "event_id")
    assert [{name: line[name] for name in names if name in line} for line in found] == [ids for _, ids in asked]
    made = merchant.pay().json
    (line,) = lines(capfd)
    assert (line["payment_id"], line["job_id"]) == (made["payment"]["id"], made["job"]["id"])
    assert "dropped" not in line
