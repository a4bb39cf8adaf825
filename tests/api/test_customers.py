"""Customers over HTTP: made once, found, changed, erased for good, and nobody else's business."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy.engine import Connection
from werkzeug.test import TestResponse

from api.idempotency_key import fingerprint
from core.domain.identifiers import parse_id, public_id
from core.orchestration import api_keys, customers, payment_methods
from core.orchestration.context import Core
from core.persistence.queries.payments import hold_customer
from core.persistence.vault import KeyUnavailable, Vault, new_keys, parse_keys
from tests.api.methods import ADA, MASKED, card, change, erase, make, paid, reveal, save_method
from tests.api.support import Merchant, code, fields
from tests.support.waiting import wait_until


def audit(owner: Core, name: str) -> list[tuple[str, dict[str, Any]]]:
    with owner.database.unscoped() as connection:
        query = sa.text("SELECT action, details FROM audit_log WHERE subject_id = :id ORDER BY number")
        return [(row.action, row.details) for row in connection.execute(query, {"id": parse_id("customer", name)})]


def everything(owner: Core) -> str:
    """Every row of every table of this test's database, as text; what is sealed shows as its ciphertext."""
    tables = sa.text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    with owner.database.unscoped() as connection:
        names = connection.execute(tables).scalars().all()
        rows = [connection.execute(sa.text(f'SELECT t::text FROM "{name}" t')).scalars().all() for name in names]
    return "\n".join(row for found in rows for row in found)


def test_what_was_made_is_what_is_read(merchant: Merchant) -> None:
    made = make(merchant, reference="user-42", metadata={"tier": "gold"})
    assert made.status_code == 201
    body = made.json
    assert made.headers["Location"] == f"/v1/customers/{body['id']}"
    assert (body["email"], body["name"], body["phone"]) == (ADA["email"], ADA["name"], ADA["phone"])
    assert (body["mode"], body["reference"], body["metadata"]) == ("test", "user-42", {"tier": "gold"})
    assert merchant.get(made.headers["Location"]).json == {**body, **MASKED}
    assert merchant.get("/v1/customers").json["data"] == [{**body, **MASKED}]
    assert make(merchant, email=None, name=None, phone=None).json["email"] is None


def test_a_repeat_makes_nobody_and_shows_who_it_is_now(merchant: Merchant) -> None:
    first = make(merchant, key="once")
    again = make(merchant, key="once")
    assert (again.status_code, again.headers["Idempotent-Replayed"], again.json) == (201, "true", first.json)
    change(merchant, first.json["id"], {"name": "Countess"})
    now = make(merchant, key="once").json
    # What was sent then is told; what it is now is no secret of whoever sent that.
    assert (now["name"], now["email"]) == ("C***", ADA["email"])
    assert code(make(merchant, key="once", name="Bob")) == (422, "idempotency_key_reused")
    assert len(merchant.get("/v1/customers").json["data"]) == 1


def test_parallel_requests_with_one_key_make_one_customer(app: Flask, merchant: Merchant) -> None:
    def one(_: int) -> TestResponse:
        headers = merchant.headers(Idempotency_Key="race")
        return app.test_client().post("/v1/customers", json=ADA, headers=headers)

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(one, range(6)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json["id"] for answer in answers}) == 1
    assert len(merchant.get("/v1/customers").json["data"]) == 1


def test_key_of_a_deleted_customer_never_makes_another(merchant: Merchant) -> None:
    made = make(merchant, key="once").json
    assert erase(merchant, made["id"]).status_code == 200
    assert code(make(merchant, key="once")) == (409, "customer_erased")
    assert merchant.get("/v1/customers").json["data"] == []


def test_nothing_kept_for_repeats_tells_who_it_was(merchant: Merchant, owner: Core) -> None:
    """Neither body nor a fingerprint that a known address could be tried against."""
    key = "for-repeats"
    made = make(merchant, key=key).json
    with owner.database.unscoped() as connection:
        query = sa.text("SELECT response, fingerprint FROM idempotency_keys WHERE merchant_id = :m AND key = :k")
        row = connection.execute(query, {"m": merchant.scope.merchant_id, "k": key}).one()
    assert row.response == {"id": made["id"]}
    assert bytes(row.fingerprint) != fingerprint("POST", "/v1/customers", ADA)


def test_lists_go_page_by_page_and_filter(merchant: Merchant) -> None:
    names = [make(merchant, name=f"Person {number}", reference=f"ref-{number % 2}").json["id"] for number in range(5)]
    page = merchant.get("/v1/customers?limit=3").json
    assert [one["id"] for one in page["data"]] == names[:1:-1]
    assert page["has_more"]
    rest = merchant.get(f"/v1/customers?limit=3&after={page['next']}").json
    assert [one["id"] for one in rest["data"]] == names[1::-1]
    assert not rest["has_more"]
    assert [one["id"] for one in merchant.get("/v1/customers?reference=ref-1").json["data"]] == [names[3], names[1]]
    made_at = rest["data"][-1]["created_at"]
    assert merchant.get("/v1/customers?created_before=2020-01-01T00:00:00Z").json["data"] == []
    assert names[0] not in str(merchant.get(f"/v1/customers?created_after={made_at}").json)


def test_found_by_email_in_any_case_and_by_the_new_one_after_a_change(merchant: Merchant) -> None:
    ada, bob = make(merchant).json["id"], make(merchant, email="bob@example.com").json["id"]
    paid = merchant.pay(customer={"email": ADA["email"]}).json["payment"]["customer"]

    def found(email: str) -> list[str]:
        return [one["id"] for one in merchant.get(f"/v1/customers?email={email}").json["data"]]

    assert found("ADA@Example.com") == [paid, ada]
    assert found("bob@example.com") == [bob]
    assert found("ada@example.co") == []
    change(merchant, bob, {"email": "robert@example.com"})
    assert (found("bob@example.com"), found("robert@example.com")) == ([], [bob])
    change(merchant, bob, {"email": None})
    assert found("robert@example.com") == []
    assert code(merchant.get("/v1/customers?email=nobody")) == (422, "validation_failed")


def test_change_leaves_what_is_not_sent_and_null_clears(merchant: Merchant, owner: Core) -> None:
    made = make(merchant, reference="user-42", metadata={"tier": "gold"}).json
    changed = change(merchant, made["id"], {"name": "Countess", "metadata": {"tier": "silver"}})
    assert changed.status_code == 200
    expected = {**made, **MASKED, "name": "Countess", "metadata": {"tier": "silver"}}
    assert {**changed.json, "updated_at": None} == {**expected, "updated_at": None}
    assert changed.json["updated_at"] > made["updated_at"]
    cleared = change(merchant, made["id"], {"phone": None, "reference": None, "metadata": None}).json
    assert (cleared["phone"], cleared["reference"], cleared["metadata"]) == (None, None, {})
    assert cleared["email"] == MASKED["email"]
    before = {**merchant.get(f"/v1/customers/{made['id']}").json, "name": "Countess"}
    assert change(merchant, made["id"], {"name": "Countess"}).json == before
    assert audit(owner, made["id"]) == [
        ("customer.created", {}),
        ("customer.updated", {"changed": ["metadata", "name"]}),
        ("customer.updated", {"changed": ["metadata", "phone", "reference"]}),
    ]


def test_repeated_change_is_made_once(merchant: Merchant, owner: Core) -> None:
    made = make(merchant).json
    change(merchant, made["id"], {"name": "First"}, Idempotency_Key="p1")
    change(merchant, made["id"], {"name": "Second"}, Idempotency_Key="p2")
    again = change(merchant, made["id"], {"name": "First"}, Idempotency_Key="p1")
    assert (again.headers["Idempotent-Replayed"], again.json["name"]) == ("true", "S***")
    assert len(audit(owner, made["id"])) == 3


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"email": "nobody"}, "email"),
        ({"name": ""}, "name"),
        ({"phone": "call me"}, "phone"),
        ({"reference": ""}, "reference"),
        ({"metadata": {"a b": "x"}}, "metadata"),
        ({"metadata": {"a": 1}}, "metadata"),
        ({"id": "cus_1"}, "id"),
        ({"email": 5}, "email"),
    ],
)
def test_bad_bodies_are_refused_and_nothing_is_stored(merchant: Merchant, body: dict[str, Any], field: str) -> None:
    for answer in (merchant.post("/v1/customers", body), change(merchant, make(merchant).json["id"], body)):
        assert code(answer) == (422, "validation_failed")
        assert fields(answer)[0].startswith(field)
        assert "nobody" not in answer.get_data(as_text=True)
    assert len(merchant.get("/v1/customers").json["data"]) == 1
    assert code(merchant.post("/v1/customers", {"name": "4242 4242 4242 4242"})) == (422, "card_number_refused")


def test_another_merchants_and_the_other_modes_customers_are_404(
    make_merchant: Callable[..., Merchant], worker: Core, owner: Core
) -> None:
    mine, other = (make_merchant(scopes=["customers:*"]) for _ in range(2))
    live = replace(
        mine,
        key=api_keys.create(
            owner, kind="live", merchant_id=mine.scope.merchant_id, name="live", scopes=["customers:*"]
        ),
    )
    made = make(mine).json["id"]
    method = save_method(worker, mine, made)
    for stranger in (other, live):
        for answer in (
            stranger.get(f"/v1/customers/{made}"),
            stranger.get(f"/v1/customers/{made}/payment_methods"),
            reveal(stranger, made),
            change(stranger, made, {"name": "Mine"}),
            erase(stranger, made),
            stranger.get(f"/v1/payment_methods/{method}"),
            stranger.client.delete(f"/v1/payment_methods/{method}", headers=stranger.headers()),
        ):
            assert code(answer) == (404, "not_found")
        assert stranger.get("/v1/customers").json["data"] == []
        assert stranger.get(f"/v1/customers?email={ADA['email']}").json["data"] == []
    assert reveal(mine, made).json["name"] == ADA["name"]
    assert code(mine.get(f"/v1/customers/{method}")) == (404, "not_found")


def test_reading_and_writing_need_their_scopes(make_merchant: Callable[..., Merchant]) -> None:
    reader = make_merchant(scopes=["customers:read"])
    assert code(make(reader)) == (403, "scope_missing")
    assert reader.get("/v1/customers").json["data"] == []
    writer = make_merchant(scopes=["customers:write"])
    assert make(writer).status_code == 201
    assert code(writer.get("/v1/customers")) == (403, "scope_missing")


def test_in_clear_only_with_its_scope_and_each_look_is_recorded(
    make_merchant: Callable[..., Merchant], owner: Core
) -> None:
    mine = make_merchant(scopes=["customers:*"])
    made = make(mine).json
    for scopes in (["customers:read"], ["customers:read", "customers:write"]):
        made_by = api_keys.create(owner, kind="test", merchant_id=mine.scope.merchant_id, name="reader", scopes=scopes)
        reader = replace(mine, key=made_by)
        assert code(reveal(reader, made["id"])) == (403, "scope_missing")
        assert reader.get(f"/v1/customers/{made['id']}").json == {**made, **MASKED}
    assert audit(owner, made["id"]) == [("customer.created", {})], "who was refused has seen nothing"
    assert reveal(mine, made["id"]).json == made
    assert reveal(mine, made["id"]).status_code == 200
    assert audit(owner, made["id"])[1:] == [("customer.revealed", {})] * 2
    with owner.database.unscoped() as connection:
        query = sa.text(
            "SELECT actor, request_id FROM audit_log WHERE action = 'customer.revealed' AND subject_id = :id"
        )
        rows = connection.execute(query, {"id": parse_id("customer", made["id"])}).all()
    assert {row.actor for row in rows} == {f"key:{mine.key.id}"}
    assert all(row.request_id for row in rows)
    erase(mine, made["id"])
    assert code(reveal(mine, made["id"])) == (404, "not_found")


def test_nothing_of_an_erased_person_is_left_in_clear(merchant: Merchant, owner: Core, worker: Core) -> None:
    person = {"email": "zelda.unique@example.com", "name": "Zelda Uniqueson", "phone": "+49 30 5550199"}
    made = make(merchant, **person, reference="user-zelda", metadata={"nick": "zeldarella"}).json["id"]
    method = save_method(worker, merchant, made, token="pm_zelda_unique")
    change(merchant, made, {"name": "Zelda Newname"}, Idempotency_Key="zelda")

    gone = erase(merchant, made)

    assert (gone.status_code, gone.json) == (200, {"id": made, "deleted": True})
    assert code(merchant.get(f"/v1/customers/{made}")) == (404, "not_found")
    assert code(change(merchant, made, {"name": "Back"})) == (404, "not_found")
    assert code(erase(merchant, made)) == (404, "not_found")
    assert code(merchant.get(f"/v1/customers/{made}/payment_methods")) == (404, "not_found")
    assert merchant.get("/v1/customers").json["data"] == []
    left = everything(owner)
    assert parse_id("customer", made).hex in left.replace("-", "")
    for text in ("zelda.unique", "Uniqueson", "Newname", "5550199", "user-zelda", "zeldarella", "pm_zelda"):
        assert text not in left.replace("\\x", ""), text
        assert text.encode().hex() not in left, text
    assert audit(owner, made)[-1] == ("customer.erased", {"payment_methods": 1, "payments": 0, "bodies": 0})
    assert merchant.get(f"/v1/payment_methods/{method}").json["status"] == "forgetting"


def test_an_erased_persons_methods_charge_nothing_any_more(merchant: Merchant, owner: Core, worker: Core) -> None:
    made = make(merchant).json["id"]
    method = save_method(worker, merchant, made)
    method_id, customer_id = parse_id("payment_method", method), parse_id("customer", made)
    with worker.database.scoped(merchant.scope) as connection:
        kept = payment_methods.load_for_payment(connection, merchant.scope, method_id)
        assert kept is not None
        saved = payment_methods.open_saved(worker, connection, merchant.scope, kept)
        assert saved is not None
        assert saved.token == "pm_saved"
    assert erase(merchant, made).status_code == 200
    with worker.database.scoped(merchant.scope) as connection:
        assert payment_methods.load_for_payment(connection, merchant.scope, method_id) is None
        # Also what somebody kept aside from before: there is no key that opens it.
        assert payment_methods.open_saved(worker, connection, merchant.scope, kept) is None
        assert worker.vault.customer_key(connection, merchant.scope, customer_id) is None
    assert save_method(worker, merchant, made, token="pm_late") is None


def test_only_the_merchant_itself_can_destroy_a_key(make_merchant: Callable[..., Merchant], core: Core) -> None:
    mine, other = (make_merchant(scopes=["customers:*"]) for _ in range(2))
    made = parse_id("customer", make(mine).json["id"])
    with core.database.scoped(other.scope) as connection:
        assert not connection.execute(sa.select(sa.func.destroy_customer_key(made))).scalar_one()
    assert reveal(mine, public_id("customer", made)).json["email"] == ADA["email"]


def test_a_customer_with_a_payment_under_way_stays(merchant: Merchant) -> None:
    payment = merchant.pay(customer={"email": ADA["email"]}).json["payment"]
    refused = erase(merchant, payment["customer"])
    assert code(refused) == (409, "customer_in_use")
    assert payment["id"] in refused.json["detail"]
    assert "processing" in refused.json["detail"]
    assert reveal(merchant, payment["customer"]).json["email"] == ADA["email"]


@pytest.mark.parametrize(("provider", "can_be_canceled"), [("stripe", True), ("paystack", False)])
def test_only_what_the_provider_can_do_is_proposed(
    merchant: Merchant, owner: Core, provider: str, can_be_canceled: bool
) -> None:
    payment = merchant.pay(customer={"email": ADA["email"]}).json["payment"]
    waiting = "UPDATE payments SET status = 'requires_action', provider = :name, expires_at = :at WHERE id = :id"
    values = {"name": provider, "at": "2026-12-01T10:00:00Z", "id": parse_id("payment", payment["id"])}
    with owner.database.scoped(merchant.scope) as connection:
        connection.execute(sa.text(waiting), values)
    refused = erase(merchant, payment["customer"])
    assert code(refused) == (409, "customer_in_use")
    assert ("cancel" in refused.json["detail"]) is can_be_canceled
    assert "expires_at (2026-12-01T10:00:00" in refused.json["detail"]


def somebody_waits(owner: Core) -> bool:
    query = sa.text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    with owner.database.unscoped() as connection:
        return bool(connection.execute(query).scalar_one())


def erase_meanwhile(merchant: Merchant, app: Flask, owner: Core, name: str, connection: Connection) -> TestResponse:
    """Ask for the deletion while a transaction is open, and commit that once the deletion waits for it."""
    with ThreadPoolExecutor(1) as pool:
        other = replace(merchant, client=app.test_client())
        asked = pool.submit(erase, other, name)
        wait_until(lambda: somebody_waits(owner), "the deletion to wait")
        connection.commit()
        return asked.result(10)


def test_a_payment_that_is_just_being_stored_is_seen(merchant: Merchant, app: Flask, owner: Core) -> None:
    made = make(merchant).json["id"]
    customer_id = parse_id("customer", made)
    first = merchant.pay(customer=made).json["payment"]["id"]
    with owner.database.scoped(merchant.scope) as connection:
        ended = sa.text("UPDATE payments SET status = 'failed' WHERE id = :id")
        connection.execute(ended, {"id": parse_id("payment", first)})
    with owner.database.engine.connect() as connection:
        assert hold_customer(connection, customer_id) is not None
        stored = sa.text("UPDATE payments SET status = 'processing' WHERE id = :id")
        connection.execute(stored, {"id": parse_id("payment", first)})
        assert code(erase_meanwhile(merchant, app, owner, made, connection)) == (409, "customer_in_use")


def test_a_method_that_is_just_being_saved_is_forgotten_too(
    merchant: Merchant, app: Flask, owner: Core, worker: Core
) -> None:
    made = make(merchant).json["id"]
    with owner.database.engine.connect() as connection:
        kept = payment_methods.keep(owner, connection, *paid(merchant, made), card())
        assert kept is not None
        assert erase_meanwhile(merchant, app, owner, made, connection).status_code == 200
    method = public_id("payment_method", kept)
    assert merchant.get(f"/v1/payment_methods/{method}").json["status"] == "forgetting"
    assert save_method(worker, merchant, made) is None


def test_payments_keep_the_id_of_an_erased_customer(merchant: Merchant, owner: Core) -> None:
    payment = merchant.pay(customer={"email": ADA["email"]}).json["payment"]
    with owner.database.scoped(merchant.scope) as connection:
        ended = sa.text("UPDATE payments SET status = 'failed' WHERE id = :id")
        connection.execute(ended, {"id": parse_id("payment", payment["id"])})
    assert erase(merchant, payment["customer"]).status_code == 200
    assert merchant.get(f"/v1/payments/{payment['id']}").json["customer"] == payment["customer"]
    assert merchant.get(f"/v1/payments?customer={payment['customer']}").json["data"][0]["id"] == payment["id"]


def test_repeated_deletion_is_answered_again(merchant: Merchant) -> None:
    made = make(merchant).json["id"]
    first = erase(merchant, made, Idempotency_Key="bye")
    again = erase(merchant, made, Idempotency_Key="bye")
    assert (again.status_code, again.json, again.headers["Idempotent-Replayed"]) == (200, first.json, "true")


def test_providers_that_know_the_customer_are_told_of_new_details(
    merchant: Merchant, owner: Core, worker: Core
) -> None:
    made = make(merchant).json["id"]
    customer_id = parse_id("customer", made)
    for provider in ("stripe", "paystack"):
        with worker.database.scoped(merchant.scope) as connection:
            account = merchant.accounts[provider]
            customers.begin_provider_customer(connection, merchant.scope, customer_id, account)
            if provider == "stripe":
                assert customers.keep_provider_customer(connection, customer_id, account, "cus_first") == "cus_first"
                assert customers.keep_provider_customer(connection, customer_id, account, "cus_other") == "cus_first"
    change(merchant, made, {"reference": "nothing a provider knows"})
    change(merchant, made, {"email": "ada@example.org"})
    with owner.database.unscoped() as connection:
        query = sa.text("SELECT arguments FROM jobs WHERE kind = 'push_customer' AND target_id = :id")
        queued = connection.execute(query, {"id": customer_id}).scalars().all()
    assert [job["account"] for job in queued] == [str(merchant.accounts["stripe"])]


def test_one_row_and_one_key_for_a_provider_customer(merchant: Merchant, worker: Core) -> None:
    made = make(merchant).json["id"]
    customer_id, account = parse_id("customer", made), merchant.accounts["stripe"]

    def begin(_: int) -> tuple[str, Any]:
        with worker.database.scoped(merchant.scope) as connection:
            row = customers.begin_provider_customer(connection, merchant.scope, customer_id, account)
            return row["provider_key"], row["first_sent_at"]

    with ThreadPoolExecutor(2) as pool:
        (begun,) = set(pool.map(begin, range(6)))
    assert begun[0] == f"{made}-{public_id('provider_account', account)}"
    with worker.database.scoped(merchant.scope) as connection:
        row = customers.provider_customer(connection, customer_id, account)
        assert row is not None
        request = customers.customer_request(worker, connection, merchant.scope, row)
    assert (request.customer_id, request.person.email, request.provider_id) == (made, ADA["email"], None)
    assert ADA["email"] not in repr(request)


def test_a_lost_key_is_not_taken_for_an_empty_person(merchant: Merchant, core: Core) -> None:
    """A key-encryption key of another installation is a fault to be seen, not a person without a name."""
    make(merchant)
    stranger = Core(core.settings, core.database, Vault(parse_keys(new_keys())))
    with pytest.raises(KeyUnavailable):
        customers.list_customers(stranger, merchant.scope, customers.Filters())


class TestAnAdministrator:
    @pytest.fixture
    def admin(self, owner: Core, client: FlaskClient) -> Callable[..., TestResponse]:
        def act(scopes: list[str], merchant: Merchant, name: str, verb: str, reason: str | None) -> TestResponse:
            key = api_keys.create(owner, kind="admin", name="operator", scopes=scopes).text
            address = f"/admin/v1/merchants/{public_id('merchant', merchant.scope.merchant_id)}/customers/{name}/{verb}"
            headers = {"Authorization": f"Bearer {key}"}
            return client.post(
                f"{address}?mode=test", json={} if reason is None else {"reason": reason}, headers=headers
            )

        return act

    def test_sees_a_person_with_scope_and_reason(
        self, merchant: Merchant, owner: Core, admin: Callable[..., TestResponse]
    ) -> None:
        made = make(merchant).json
        assert code(admin(["admin:read"], merchant, made["id"], "reveal", "asked")) == (403, "scope_missing")
        assert code(admin(["admin:reveal"], merchant, made["id"], "reveal", None)) == (422, "validation_failed")
        assert admin(["admin:reveal"], merchant, made["id"], "reveal", "they rang us up").json == made
        assert audit(owner, made["id"])[1:] == [("customer.revealed", {"reason": "they rang us up"})]

    def test_erases_a_person_with_scope_and_reason(
        self, merchant: Merchant, owner: Core, admin: Callable[..., TestResponse]
    ) -> None:
        made = make(merchant).json["id"]
        assert code(admin(["admin:reveal"], merchant, made, "erase", "asked")) == (403, "scope_missing")
        assert admin(["admin:people"], merchant, made, "erase", "they asked us to").json == {
            "id": made,
            "deleted": True,
        }
        assert code(merchant.get(f"/v1/customers/{made}")) == (404, "not_found")
        assert audit(owner, made)[-1][1]["reason"] == "they asked us to"

    def test_names_a_customer_of_that_merchant(
        self, make_merchant: Callable[..., Merchant], admin: Callable[..., TestResponse]
    ) -> None:
        mine, other = make_merchant(), make_merchant()
        made = make(mine).json["id"]
        for verb in ("reveal", "erase"):
            answer = admin(["admin:reveal", "admin:people"], other, made, verb, "curious")
            assert code(answer) == (404, "not_found")
