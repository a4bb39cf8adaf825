"""What administrators do over HTTP: merchants, payments for support, jobs, the inbox; each act leaves a record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from core.domain.identifiers import new_id, parse_id, public_id
from core.orchestration import api_keys
from core.orchestration.context import Core
from core.persistence.database import Scope
from core.persistence.tables import bodies, inbox_events
from tests.api.support import Merchant, code
from tests.api.test_openapi import resolve
from tests.persistence import rows

WHY = {"reason": "ticket 7"}


class Desk:
    def __init__(self, owner: Core, client: FlaskClient) -> None:
        self.owner, self.client = owner, client
        self.key = api_keys.create(owner, kind="admin", name="desk")

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None, **headers: str) -> TestResponse:
        sent = {"Authorization": f"Bearer {self.key.text}", **{k.replace("_", "-"): v for k, v in headers.items()}}
        return self.client.open(f"/admin/v1{path}", method=method, json=body, headers=sent)

    def records(self, subject: UUID) -> Sequence[Any]:
        with self.owner.database.unscoped() as connection:
            query = sa.text("SELECT * FROM audit_log WHERE subject_id = :subject AND actor = :actor ORDER BY number")
            return connection.execute(query, {"subject": subject, "actor": f"key:{self.key.id}"}).all()


@pytest.fixture
def desk(owner: Core, client: FlaskClient) -> Desk:
    return Desk(owner, client)


@pytest.fixture
def filled(owner: Core, merchant: Merchant) -> dict[str, Any]:
    """{table: id} of one row of everything."""
    with owner.database.unscoped() as connection:
        return dict(rows.fill(connection, merchant.scope))


def home(scope: Scope) -> str:
    return f"/merchants/{public_id('merchant', scope.merchant_id)}"


def change(owner: Core, table: str, row_id: UUID, **values: Any) -> None:
    with owner.database.unscoped() as connection:
        given = ", ".join(f"{name} = :{name}" for name in values)
        connection.execute(sa.text(f"UPDATE {table} SET {given} WHERE id = :id"), {"id": row_id, **values})


def copy(owner: Core, inbox_id: UUID, with_body: bool) -> UUID:
    """Another event like this one, whose body is still kept or not."""
    made = new_id()
    with owner.database.unscoped() as connection:
        event = connection.execute(sa.select(inbox_events).where(inbox_events.c.id == inbox_id)).mappings().one()
        connection.execute(inbox_events.insert().values(**{**event, "id": made, "dedupe_key": str(made)}))
        if with_body:
            body = connection.execute(sa.select(bodies).where(bodies.c.owner_id == inbox_id)).mappings().one()
            connection.execute(bodies.insert().values(**{**body, "id": new_id(), "owner_id": made}))
    return made


class TestMerchants:
    def test_made_renamed_and_told(self, desk: Desk) -> None:
        made = desk.ask("POST", "/merchants", {"name": "Books & Co"})
        assert made.status_code == 201
        one = f"/merchants/{made.json['id']}"
        assert desk.ask("PATCH", one, {"name": "Books"}).json["name"] == "Books"
        assert desk.ask("PATCH", one, {"name": "Books"}).status_code == 200
        assert desk.ask("GET", one).json == {**made.json, "name": "Books"}
        assert desk.ask("GET", "/merchants?limit=1").json["data"][0]["id"] == made.json["id"]
        told = desk.records(parse_id("merchant", made.json["id"]))
        assert [(row.action, row.before, row.after) for row in told] == [
            ("merchant.created", None, {"name": "Books & Co"}),
            ("merchant.renamed", {"name": "Books & Co"}, {"name": "Books"}),
        ]

    def test_a_merchant_that_was_made_can_be_worked_with(self, desk: Desk, client: FlaskClient) -> None:
        made = desk.ask("POST", "/merchants", {"name": "New"}).json
        key = desk.ask("POST", f"/merchants/{made['id']}/api_keys?mode=live", {"name": "shop"}).json["key"]
        answer = client.get("/v1/payments", headers={"Authorization": f"Bearer {key}"})
        assert answer.json["data"] == []

    @pytest.mark.parametrize("name", ["", " ", "a\nb", "x" * 201, "5555 5555 5555 4444"])
    def test_bad_names(self, desk: Desk, merchant: Merchant, name: str) -> None:
        for method, path in (("POST", "/merchants"), ("PATCH", home(merchant.scope))):
            assert desk.ask(method, path, {"name": name}).status_code == 422


class TestPayments:
    def test_support_reads_and_cannot_pay(self, desk: Desk, merchant: Merchant, owner: Core) -> None:
        made = merchant.pay(reference="order 7", customer={"email": "ada@lovelace.test", "name": "A. Lovelace"}).json[
            "payment"
        ]
        merchant.pay(reference="order 8")
        place = f"{home(merchant.scope)}/payments"
        listed = desk.ask("GET", f"{place}?mode=test&reference=order%207")
        assert [one["id"] for one in listed.json["data"]] == [made["id"]]
        one = desk.ask("GET", f"{place}/{made['id']}?mode=test")
        story = desk.ask("GET", f"{place}/{made['id']}/timeline?mode=test")
        assert (one.json["id"], story.json["payment"]) == (made["id"], made["id"])
        assert "next_action" not in one.json
        for answer in (listed, one, story):
            assert "lovelace" not in answer.text.lower()

    def test_asked_once_under_a_key(self, desk: Desk, merchant: Merchant) -> None:
        made = merchant.pay().json["payment"]
        path = f"{home(merchant.scope)}/payments/{made['id']}/sync?mode=test"
        first, second = (desk.ask("POST", path, Idempotency_Key="once") for _ in range(2))
        assert (first.status_code, first.json) == (202, second.json)
        assert second.headers["Idempotent-Replayed"] == "true"
        assert code(desk.ask("POST", path)) == (400, "idempotency_key_missing")


class TestJobs:
    def test_a_waiting_payment_is_canceled_with_its_job(self, desk: Desk, merchant: Merchant) -> None:
        made = merchant.pay().json
        one = f"{home(merchant.scope)}/jobs/{made['job']['id']}"
        done = desk.ask("POST", f"{one}/cancel?mode=test", WHY)
        assert (done.status_code, done.json["status"]) == (200, "canceled")
        assert merchant.get(f"/v1/payments/{made['payment']['id']}").json["status"] == "canceled"
        assert merchant.get(made["job"]["url"]).json["status"] == "canceled"
        assert code(desk.ask("POST", f"{one}/cancel?mode=test", WHY)) == (409, "state_conflict")
        (told,) = desk.records(parse_id("job", made["job"]["id"]))
        assert (told.action, told.details["reason"], told.from_address) == ("job.canceled", "ticket 7", "127.0.0.1")
        assert told.request_id == done.headers["X-Request-Id"]

    def test_an_event_s_delivery_is_given_up(self, desk: Desk, merchant: Merchant, filled: Any, owner: Core) -> None:
        change(owner, "jobs", filled["jobs"], kind="deliver_event", lane="deliveries", status="queued")
        name = public_id("job", filled["jobs"])
        assert desk.ask("POST", f"{home(merchant.scope)}/jobs/{name}/cancel?mode=test", WHY).status_code == 200

    @pytest.mark.parametrize(
        ("kind", "status"),
        [
            ("create_payment", "running"),
            ("create_payment", "needs_review"),
            ("create_payment", "queued"),  # of a payment for which something was sent
            ("capture_payment", "queued"),
            ("refund_payment", "queued"),
            ("sync_payment", "queued"),
            ("forget_method", "queued"),
            ("deliver_event", "succeeded"),
        ],
    )
    def test_what_is_in_doubt_is_not_canceled(
        self, desk: Desk, merchant: Merchant, filled: Any, owner: Core, kind: str, status: str
    ) -> None:
        change(owner, "jobs", filled["jobs"], kind=kind, status=status)
        name = public_id("job", filled["jobs"])
        refused = desk.ask("POST", f"{home(merchant.scope)}/jobs/{name}/cancel?mode=test", WHY)
        assert code(refused) == (409, "state_conflict")
        with owner.database.unscoped() as connection:
            query = sa.text("SELECT status FROM jobs WHERE id = :id")
            assert connection.execute(query, {"id": filled["jobs"]}).scalar_one() == status

    def test_one_in_review_is_shown_requeued_and_resolved(
        self, desk: Desk, merchant: Merchant, filled: Any, owner: Core
    ) -> None:
        one = f"{home(merchant.scope)}/jobs/{public_id('job', filled['jobs'])}"
        change(owner, "jobs", filled["jobs"], kind="deliver_event", lane="deliveries", status="needs_review")
        shown = desk.ask("GET", f"{one}?mode=test").json
        assert (shown["status"], shown["choices"]["requeue"]) == ("needs_review", True)
        assert desk.ask("POST", f"{one}/requeue?mode=test", WHY).json["status"] == "queued"
        assert code(desk.ask("POST", f"{one}/resolve?mode=test", {"as": "failed", **WHY})) == (409, "state_conflict")
        change(owner, "jobs", filled["jobs"], status="needs_review")
        assert desk.ask("POST", f"{one}/resolve?mode=test", {"as": "failed", **WHY}).json["status"] == "failed"
        assert [row.action for row in desk.records(filled["jobs"])] == ["job.requeued", "job.resolved"]

    def test_a_reason_is_demanded(self, desk: Desk, merchant: Merchant) -> None:
        one = f"{home(merchant.scope)}/jobs/{merchant.pay().json['job']['id']}"
        for body in ({}, {"reason": ""}, {"reason": " "}, {"reason": "a\nb"}):
            assert desk.ask("POST", f"{one}/cancel?mode=test", body).status_code == 422


class TestInbox:
    def test_listed_looked_at_and_read_again(self, desk: Desk, merchant: Merchant, filled: Any, owner: Core) -> None:
        place, name = f"{home(merchant.scope)}/inbox", public_id("inbox_event", filled["inbox_events"])
        listed = desk.ask("GET", f"{place}?mode=test&status=ignored").json
        assert [one["id"] for one in listed["data"]] == [name]
        assert desk.ask("GET", f"{place}?mode=test&status=applied").json["data"] == []
        assert desk.ask("GET", f"{place}?mode=test&received_before=2020-01-01T00:00:00Z").json["data"] == []
        assert desk.ask("GET", f"{place}/{name}?mode=test").json["body_kept"] is True
        done = desk.ask("POST", f"{place}/{name}/replay?mode=test", WHY)
        assert (done.status_code, done.json["was"], done.json["how"]) == (200, "ignored", "queued")
        (told,) = desk.records(filled["inbox_events"])
        assert (told.action, told.details["reason"]) == ("inbox.replayed", "ticket 7")

    def test_a_range_is_counted_first_and_then_read_again(
        self, desk: Desk, merchant: Merchant, filled: Any, owner: Core
    ) -> None:
        second, bare = copy(owner, filled["inbox_events"], True), copy(owner, filled["inbox_events"], False)
        path = f"{home(merchant.scope)}/inbox/replay?mode=test"
        wanted = {"received_after": "2020-01-01T00:00:00Z", "status": "ignored", **WHY}
        counted = desk.ask("POST", path, {**wanted, "dry_run": True}).json
        assert counted == {"dry_run": True, "matching": 3, "replayed": 0, "left": []}
        assert all(desk.records(one) == [] for one in (filled["inbox_events"], second))
        part = desk.ask("POST", path, {**wanted, "limit": 1}).json
        assert (part["matching"], part["replayed"]) == (3, 1)
        rest = desk.ask("POST", path, wanted).json
        assert (rest["matching"], rest["replayed"]) == (2, 1)
        assert [one["event"] for one in rest["left"]] == [public_id("inbox_event", bare)]

    def test_nobody_replays_everything_by_mistake(self, desk: Desk, merchant: Merchant) -> None:
        path = f"{home(merchant.scope)}/inbox/replay?mode=test"
        for body in (WHY, {**WHY, "provider": "stripe"}, {**WHY, "received_before": "2030-01-01T00:00:00Z"}):
            assert code(desk.ask("POST", path, body)) == (422, "validation_failed")


def test_answers_have_their_documented_shape(desk: Desk, merchant: Merchant, filled: Any, client: FlaskClient) -> None:
    document = client.get("/openapi.json").json
    place = "/admin/v1/merchants/{id}"
    ids = {
        "id": public_id("merchant", merchant.scope.merchant_id),
        "job": public_id("job", filled["jobs"]),
        "event": public_id("inbox_event", filled["inbox_events"]),
        "payment": merchant.pay().json["payment"]["id"],
    }
    for path in (
        place,
        f"{place}/payments",
        f"{place}/payments/{{payment}}",
        f"{place}/payments/{{payment}}/timeline",
        f"{place}/jobs",
        f"{place}/jobs/{{job}}",
        f"{place}/inbox",
        f"{place}/inbox/{{event}}",
        f"{place}/api_keys",
        "/admin/v1/api_keys",
    ):
        mode = "?mode=test" if path.startswith(f"{place}/") else ""
        answer = desk.ask("GET", path.removeprefix("/admin/v1").format(**ids) + mode)
        assert answer.status_code == 200, (path, answer.json)
        schema = document["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
        resolve(document, schema).validate(answer.json)
