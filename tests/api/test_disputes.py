"""Disputes at the gate: who may read and answer them, in which state, and with what body."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from core.domain.identifiers import new_id, parse_id, public_id
from core.orchestration.context import Core
from core.persistence import tables
from core.providers.registry import PROVIDERS
from tests.api.support import Merchant, code, fields
from tests.persistence.rows import payment_values, transaction_values

EVIDENCE = {"message": "Delivered and signed for."}
Dispute = Callable[..., str]


@pytest.fixture
def dispute(owner: Core, merchant: Merchant) -> Dispute:
    """A dispute of the merchant's, as a worker has written it; its public id."""
    return lambda **changes: add_dispute(owner, merchant, **changes)


def add_dispute(owner: Core, merchant: Merchant, provider: str = "stripe", **changes: Any) -> str:
    account = merchant.accounts[provider]
    owned = {"merchant_id": merchant.scope.merchant_id, "mode": merchant.scope.mode}
    payment, charge, made = new_id(), new_id(), new_id()
    money = {"payment_id": payment, "amount": 5000, "currency": "USD"}
    sums = {"amount_captured": 5000, "amount_received": 5000, "provider": provider}
    values = {
        "id": made,
        "transaction_id": charge,
        "provider_account_id": account,
        "provider_id": secrets.token_hex(8),
        "provider": provider,
        "status": "needs_response",
        "refundable": False,
        "withheld": True,
        **money,
        **changes,
    }
    with owner.database.scoped(merchant.scope) as connection:
        connection.execute(tables.payments.insert().values(id=payment, **owned, **payment_values(account, **sums)))
        charged = {**transaction_values(account, provider=provider), **money}
        connection.execute(tables.transactions.insert().values(id=charge, **owned, **charged))
        connection.execute(tables.disputes.insert().values(**owned, **values))
    return public_id("dispute", made)


def payment_of(merchant: Merchant, dispute_id: str) -> str:
    found: str = merchant.get(f"/v1/disputes/{dispute_id}").json["payment"]
    return found


class TestReading:
    def test_one_as_it_is_shown(self, merchant: Merchant, dispute: Dispute) -> None:
        made = dispute(reason="fraudulent")
        shown = merchant.get(f"/v1/disputes/{made}").json
        assert (shown["id"], shown["status"], shown["reason"]) == (made, "needs_response", "fraudulent")
        assert set(shown) == set(
            "id mode payment provider status amount currency reason refundable withheld evidence_due_by "
            "evidence_sent_at created_at updated_at".split()
        )

    def test_lists_newest_first_page_by_page_and_filtered(self, merchant: Merchant, dispute: Dispute) -> None:
        made = [dispute(), dispute(status="won"), dispute(provider="paystack")]
        page = merchant.get("/v1/disputes?limit=2").json
        assert [one["id"] for one in page["data"]] == [made[2], made[1]]
        rest = merchant.get(f"/v1/disputes?limit=2&after={page['next']}").json
        assert ([one["id"] for one in rest["data"]], rest["has_more"]) == ([made[0]], False)
        payment = payment_of(merchant, made[0])
        for query, expected in (
            ("status=won", [made[1]]),
            ("provider=paystack", [made[2]]),
            (f"payment={payment}", [made[0]]),
            ("created_after=2999-01-01T00:00:00Z", []),
            ("created_before=2999-01-01T00:00:00Z", made[::-1]),
        ):
            assert [one["id"] for one in merchant.get(f"/v1/disputes?{query}").json["data"]] == expected, query
        assert [one["id"] for one in merchant.get(f"/v1/payments/{payment}/disputes").json["data"]] == [made[0]]
        assert merchant.get(f"/v1/payments/{payment}/disputes?status=won").json["data"] == []
        assert code(merchant.get("/v1/disputes?status=opened")) == (422, "validation_failed")

    def test_anothers_is_not_there(
        self, make_merchant: Callable[..., Merchant], merchant: Merchant, dispute: Dispute
    ) -> None:
        made, other = dispute(), make_merchant()
        payment = payment_of(merchant, made)
        for path in (f"/v1/disputes/{made}", f"/v1/payments/{payment}/disputes", f"/v1/disputes?payment={payment}"):
            assert code(other.get(path)) == (404, "not_found")
        assert other.get("/v1/disputes").json["data"] == []
        assert code(other.post(f"/v1/disputes/{made}/evidence", EVIDENCE)) == (404, "not_found")
        assert code(other.post(f"/v1/disputes/{made}/accept")) == (404, "not_found")
        assert code(merchant.get(f"/v1/disputes/{payment}")) == (404, "not_found")

    @pytest.mark.parametrize("scope", ["payments:write", "disputes:read"])
    def test_answering_needs_its_own_scope(
        self, owner: Core, make_merchant: Callable[..., Merchant], scope: str
    ) -> None:
        merchant = make_merchant(scopes=[scope])
        made = add_dispute(owner, merchant)
        for path, body in (("evidence", EVIDENCE), ("accept", None)):
            assert code(merchant.post(f"/v1/disputes/{made}/{path}", body)) == (403, "scope_missing")
        readable = merchant.get(f"/v1/disputes/{made}").status_code
        assert readable == (200 if scope == "disputes:read" else 403)


class TestAnswering:
    @pytest.mark.parametrize(("path", "body"), [("evidence", EVIDENCE), ("accept", None)])
    def test_202_after_the_job_is_stored(
        self, owner: Core, merchant: Merchant, dispute: Dispute, path: str, body: Any
    ) -> None:
        made = dispute()
        answer = merchant.post(f"/v1/disputes/{made}/{path}", body)
        assert (answer.status_code, answer.json["dispute"]["id"]) == (202, made)
        job = answer.json["job"]
        assert answer.headers["Location"] == job["url"]
        assert job["kind"] == {"evidence": "send_evidence", "accept": "accept_dispute"}[path]
        stored = job_row(owner, merchant, job["id"])
        assert (stored["target_id"], stored["status"]) == (parse_id("dispute", made), "queued")
        assert "Delivered" not in str(stored)

    @pytest.mark.parametrize("status", ["under_review", "won", "lost", "closed"])
    def test_only_while_it_needs_a_response(self, merchant: Merchant, dispute: Dispute, status: str) -> None:
        made = dispute(status=status)
        for path, body in (("evidence", EVIDENCE), ("accept", None)):
            assert code(merchant.post(f"/v1/disputes/{made}/{path}", body)) == (409, "state_conflict")

    def test_what_the_provider_cannot_do_is_refused(
        self, merchant: Merchant, dispute: Dispute, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        stripe = PROVIDERS["stripe"]
        monkeypatch.setattr(stripe, "capabilities", replace(stripe.capabilities, disputes=frozenset({"read"})))
        made = dispute()
        for path, body in (("evidence", EVIDENCE), ("accept", None)):
            assert code(merchant.post(f"/v1/disputes/{made}/{path}", body)) == (422, "capability_unsupported")
        assert code(merchant.post(f"/v1/disputes/{dispute(status='won')}/accept")) == (409, "state_conflict")

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({}, "message"),
            ({"message": ""}, "message"),
            ({"message": "x" * 20_001}, "message"),
            ({**EVIDENCE, "customer_email": "no address"}, "customer_email"),
            ({**EVIDENCE, "customer_phone": "call me"}, "customer_phone"),
            ({**EVIDENCE, "delivery_date": "3 March"}, "delivery_date"),
            ({**EVIDENCE, "delivery_date": "2026-02-30"}, "delivery_date"),
            ({**EVIDENCE, "weather": "fine"}, "weather"),
        ],
    )
    def test_fields_are_checked_before_anything_is_stored(
        self, merchant: Merchant, dispute: Dispute, body: Any, field: str, count: Any
    ) -> None:
        made = dispute()
        before = count(merchant.scope)
        answer = merchant.post(f"/v1/disputes/{made}/evidence", body)
        assert code(answer) == (422, "validation_failed")
        assert fields(answer) == [field]
        assert count(merchant.scope) == before

    def test_what_a_provider_takes_together_is_given_whole_or_not_at_all(
        self, merchant: Merchant, dispute: Dispute
    ) -> None:
        half = {**EVIDENCE, "customer_email": "ada@example.com"}
        together = {one["name"]: one["evidence_together"] for one in merchant.get("/v1/providers").json["data"]}
        assert together["stripe"] == []
        assert merchant.post(f"/v1/disputes/{dispute()}/evidence", half).status_code == 202
        refused = merchant.post(f"/v1/disputes/{dispute(provider='paystack')}/evidence", half)
        assert code(refused) == (422, "validation_failed")
        assert fields(refused) == [name for name in together["paystack"] if name != "customer_email"]
        alone = {**EVIDENCE, "delivery_date": "2026-03-03"}
        assert merchant.post(f"/v1/disputes/{dispute(provider='paystack')}/evidence", alone).status_code == 202

    def test_a_key_is_needed_and_used_once(self, merchant: Merchant, dispute: Dispute) -> None:
        made = dispute()
        bare = merchant.client.post(f"/v1/disputes/{made}/accept", headers=merchant.headers())
        assert code(bare) == (400, "idempotency_key_missing")
        first = merchant.post(f"/v1/disputes/{made}/evidence", EVIDENCE, key="answer-1")
        again = merchant.post(f"/v1/disputes/{made}/evidence", EVIDENCE, key="answer-1")
        assert (again.json, again.headers["Idempotent-Replayed"]) == (first.json, "true")
        other = merchant.post(f"/v1/disputes/{made}/evidence", {"message": "Something else."}, key="answer-1")
        assert code(other) == (422, "idempotency_key_reused")
        assert code(merchant.post(f"/v1/disputes/{made}/accept")) == (409, "operation_in_progress")

    @pytest.mark.parametrize(
        ("open_ones", "expected"),
        [
            ([{"refundable": False}], "payment_disputed"),
            ([{"refundable": False, "status": "under_review"}], "payment_disputed"),
            ([{"refundable": True}, {"refundable": False}], "payment_disputed"),
            ([{"refundable": True}], None),
            ([{"refundable": False, "status": "won"}], None),
            ([{"refundable": False, "status": "closed"}], None),
        ],
    )
    def test_a_refund_waits_unless_every_open_dispute_allows_it(
        self, owner: Core, merchant: Merchant, open_ones: list[dict[str, Any]], expected: str | None
    ) -> None:
        made = add_dispute(owner, merchant, **open_ones[0])
        payment = payment_of(merchant, made)
        for more in open_ones[1:]:
            second_dispute(owner, merchant, made, **more)
        answer = merchant.post(f"/v1/payments/{payment}/refunds", {"amount": 100})
        assert (answer.status_code, answer.json.get("code")) == ((202, None) if expected is None else (409, expected))


def job_row(owner: Core, merchant: Merchant, job_id: str) -> Any:
    with owner.database.scoped(merchant.scope) as connection:
        query = tables.jobs.select().where(tables.jobs.c.id == parse_id("job", job_id))
        return connection.execute(query).mappings().one()


def second_dispute(owner: Core, merchant: Merchant, first: str, **changes: Any) -> None:
    """Another one of the same payment."""
    row_id: UUID = parse_id("dispute", first)
    with owner.database.scoped(merchant.scope) as connection:
        found = connection.execute(tables.disputes.select().where(tables.disputes.c.id == row_id)).mappings().one()
        values = {**found, "id": new_id(), "provider_id": secrets.token_hex(8), **changes}
        connection.execute(tables.disputes.insert().values(**values))
