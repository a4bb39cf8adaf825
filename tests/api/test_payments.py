"""Payments through the gate: what is stored, what is answered, what a repeat gets."""

from __future__ import annotations

from collections.abc import Callable

from tests.api.support import Merchant, Woken


def test_202_after_payment_job_and_audit_record_are_stored(
    merchant: Merchant, count: Callable[..., dict[str, int]], woken: Woken
) -> None:
    answer = merchant.pay()
    assert answer.status_code == 202
    job, made = answer.json["job"], answer.json["payment"]
    assert answer.headers["Location"] == f"/v1/jobs/{job['id']}" == job["url"]
    assert (made["status"], made["amount"], made["currency"], made["mode"]) == ("processing", 5000, "USD", "test")
    assert job["status"] == "queued"
    rows = count(merchant.scope)
    assert (rows["payments"], rows["jobs"], rows["idempotency_keys"]) == (1, 1, 1)
    assert rows["audit_log"] >= 1
    assert merchant.get(f"/v1/payments/{made['id']}").json == made
    assert [lane for lane, _ in woken.ids][-1] == "payments"
