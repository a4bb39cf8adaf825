"""A person is erased: nothing in any row names them any more, the books stand, and no backup brings them back."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
import requests
import sqlalchemy as sa

from core.domain.errors import StateConflict
from core.domain.identifiers import parse_id
from core.orchestration import erasure, installation, replay
from core.orchestration.review import Person
from core.persistence.vault import Place
from core.startup import anchor, erasures
from core.startup.erasures import Erasure
from tests.support.restoring import Restorable
from tests.support.world import World

ZELDA = {"email": "zelda.unique@example.com", "name": "Zelda Uniqueson", "phone": "+49 30 55501990"}
#: By which she would be found in any row, opened or not.
NAMES = ("zelda", "uniqueson", "55501990")
CARD = "4084084084084081"


def opened(world: World) -> dict[str, str]:
    """Everything that is kept, as whoever holds the keys can read it: {table.column.row: text}."""
    found: dict[str, str] = {}
    tables = (
        "payments transactions refunds disputes events idempotency_keys customers payment_methods provider_customers "
        "inbox_events jobs findings audit_log deliveries"
    )
    for table in tables.split():
        for number, row in enumerate(world.rows(f"SELECT * FROM {table}")):
            found |= {f"{table}.{name}.{number}": str(value) for name, value in row.items()}
    with world.admin.database.scoped(world.scope) as connection:
        key = world.vault.merchant_key(connection, world.scope)
        places = {
            ("transactions", "request_sealed"),
            ("payments", "method_sealed"),
            ("payments", "next_action_sealed"),
            ("disputes", "evidence_sealed"),
            ("bodies", "sealed"),
        }
        for table, column in places:
            for row in world.rows(f"SELECT id, {column} AS sealed FROM {table} WHERE {column} IS NOT NULL"):
                value = key.open_json(Place(table, column, row["id"]), row["sealed"])
                text = json.dumps(value, default=str)
                if isinstance(value, dict) and isinstance(value.get("body"), str):
                    text += base64.b64decode(value["body"]).decode()
                found[f"{table}.{column}.{row['id']}"] = text
    return found


def naming(world: World) -> set[str]:
    """Where she is named, as table.column."""
    return {
        where.rpartition(".")[0]
        for where, text in opened(world).items()
        if any(name in text.casefold().replace(" ", "") for name in NAMES)
    }


def customer(world: World) -> str:
    made = world.post("/v1/customers", ZELDA)
    assert made.status_code == 201, made.text
    name: str = made.json()["id"]
    return name


def erase(world: World, name: str, **headers: str) -> requests.Response:
    return world.request("DELETE", f"/v1/customers/{name}", headers=headers)


def bought(world: World) -> tuple[str, list[str]]:
    """Zelda and her payments: by card, by page at both providers, refunded, and written about."""
    name = customer(world)
    words = {
        "description": "Hat for Ms Uniqueson",
        "reference": "order-zelda.unique@example.com",
        "metadata": {"order": "42", "ring": "call 0049 30 5550 1990"},
        "return_url": "https://shop.example/thanks?who=zelda",
    }
    # A saved card: Stripe makes an object of the person, and tells us of it by events that name no payment.
    paid = world.pay(customer=name, save_payment_method=True, **words)
    plain = world.pay(customer=name, reference="order-43", description="A hat", metadata={"order": "43"})
    pages = [
        world.create(payment_method={"type": "redirect"}, customer=name),
        world.create(
            payment_method={"type": "redirect"}, customer=name, provider="paystack", currency="NGN", amount=500_000
        ),
    ]
    world.settle()
    for page in pages:
        url = world.payment(page["id"])["next_action"]["url"]
        card = CARD if "paystack" in url or page["currency"] == "NGN" else "4242424242424242"
        requests.post(url, data={"action": "pay", "card": card}, allow_redirects=False, timeout=10)
    world.settle()
    back = world.post(f"/v1/payments/{plain['id']}/refunds", {"amount": 1000, "reason": "Zelda did not like it"})
    assert back.status_code == 202, back.text
    world.settle()
    return name, [paid["id"], plain["id"], *(page["id"] for page in pages)]


def test_nothing_names_an_erased_person_and_the_books_stand(world: World) -> None:
    name, payments = bought(world)
    before = {one: world.payment(one) for one in payments}
    assert {before[one]["status"] for one in payments} == {"succeeded"}, before
    where = naming(world)
    # The search finds her in every place there is, or it would not find what is left.
    assert {"transactions.request_sealed", "bodies.sealed", "payments.description", "payments.reference"} <= where
    assert {"payments.metadata", "payments.return_url", "events.data", "idempotency_keys.response"} <= where
    assert "refunds.reason" in where

    gone = erase(world, name)

    assert gone.status_code == 200, gone.text
    assert naming(world) == set()
    world.settle()
    assert naming(world) == set(), "what the provider tells of the erasure names her too"
    kept = [one for one in world.ledger("stripe")["customers"] if one["metadata"].get("tollgate_customer") == name]
    assert [(one["email"], one["name"]) for one in kept] == [(None, None)], "Stripe's own object"
    for one in payments:
        after = world.payment(one)
        texts = ("reference", "description", "metadata", "return_url", "updated_at")
        rest = {key: value for key, value in after.items() if key not in texts}
        assert rest == {key: before[one][key] for key in rest}, "sums, statuses and ids stay"
    named, unnamed = world.payment(payments[0]), world.payment(payments[1])
    assert (named["reference"], named["description"], named["return_url"]) == (None, "[erased]", None)
    assert named["metadata"] == {"order": "42", "ring": "[erased]"}
    assert (unnamed["reference"], unnamed["description"]) == ("order-43", "A hat"), "what names nobody stays"
    [record] = world.rows("SELECT details FROM audit_log WHERE action = 'customer.erased'")
    assert record["details"]["payments"] == 4
    assert record["details"]["bodies"] > 4


def test_bodies_keep_what_the_books_need(world: World) -> None:
    name, _ = bought(world)
    erase(world, name)
    told = [json.loads(text) for where, text in opened(world).items() if where.startswith("bodies.") and text[0] == "{"
            and "dedupe_key" not in text]  # fmt: skip
    intents = [body for body in told if body.get("object") == "payment_intent" and body.get("status") == "succeeded"]
    assert intents
    for body in intents:
        assert body["id"].startswith("pi_")
        assert (body["amount"], body["currency"]) == (5000, "usd")
        assert body["metadata"]["tollgate_payment"].startswith("pay_")


def test_a_refund_after_the_erasure_is_kept_without_a_name(world: World) -> None:
    """Their money can still go back, and what the provider says of that names them again."""
    name = customer(world)
    payment = world.pay(customer=name)
    assert erase(world, name).status_code == 200
    answer = world.post(f"/v1/payments/{payment['id']}/refunds", {"amount": 700})
    assert answer.status_code == 202, answer.text
    world.settle()
    assert world.payment(payment["id"])["amount_refunded"] == 700
    assert naming(world) == set()


def test_an_event_read_after_the_erasure_is_kept_without_a_name(world: World) -> None:
    name = customer(world)
    with world.without_webhooks("stripe"):
        payment = world.create(customer=name)
        world.work()
        assert world.payment(payment["id"])["status"] == "succeeded"
        assert erase(world, name).status_code == 200
    world.settle()
    assert world.rows("SELECT 1 FROM inbox_events WHERE payment_id = :id", id=parse_id("payment", payment["id"]))
    assert naming(world) == set()


def test_a_redacted_event_is_not_read_again(world: World) -> None:
    name = customer(world)
    payment = world.pay(customer=name)
    erase(world, name)
    events = world.rows("SELECT id FROM inbox_events WHERE payment_id = :id", id=parse_id("payment", payment["id"]))
    with pytest.raises(StateConflict, match="was erased"):
        replay.replay(world.worker, events[0]["id"], Person("person:ada", "looked odd"))


def test_a_held_payment_can_be_captured_after_the_erasure(world: World) -> None:
    name = customer(world)
    payment = world.pay(customer=name, capture="manual")
    assert payment["status"] == "authorized"
    assert erase(world, name).status_code == 200
    assert world.post(f"/v1/payments/{payment['id']}/capture").status_code == 202
    world.settle()
    assert world.payment(payment["id"])["status"] == "succeeded"
    assert naming(world) == set()


def test_one_erased_by_an_older_version_is_redacted_later(world: World) -> None:
    name, _ = bought(world)
    number = parse_id("customer", name)
    with world.owner.begin() as connection:
        for change in (
            "DELETE FROM data_keys WHERE owner_id = :id",
            "UPDATE customers SET sealed = NULL, email_index = NULL, erased_at = app_now() WHERE id = :id",
            "INSERT INTO erasures SELECT id, merchant_id, mode, erased_at FROM customers WHERE id = :id",
        ):
            connection.execute(sa.text(change), {"id": number})
    assert naming(world)
    assert erasure.finish(world.worker) == 1
    assert naming(world) == set(), "what was sent says who it was, also without their key"
    assert erasure.finish(world.worker) == 0


class TestTheFile:
    def test_knows_of_it_before_the_answer(self, place: Restorable) -> None:
        world = place.world
        path = world.settings.anchor_file
        assert path is not None
        name = customer(world)
        assert erase(world, name).status_code == 200
        assert erasures.known(path) == {(world.merchant_id, "test"): {parse_id("customer", name)}}
        assert name not in path.read_text()
        assert "zelda" not in path.read_text().casefold()

    def test_that_cannot_be_written_leaves_it_unanswered_until_it_can(self, place: Restorable) -> None:
        world = place.world
        path = world.settings.anchor_file
        assert path is not None
        name = customer(world)
        path.write_text("no anchor")
        for headers in ({}, {"Idempotency-Key": "gone"}):
            refused = erase(world, name, **headers)
            assert (refused.status_code, refused.json()["code"]) == (503, "erasure_not_remembered")
            assert "Retry-After" in refused.headers
        assert naming(world) == set(), "in the database they are gone"
        path.unlink()
        assert erase(world, name).status_code == 200
        assert erase(world, name, **{"Idempotency-Key": "gone"}).status_code == 200
        assert erasures.known(path) == {(world.merchant_id, "test"): {parse_id("customer", name)}}
        assert erase(world, name).status_code == 404

    def test_is_brought_up_to_date_by_the_workers(self, place: Restorable) -> None:
        """On another machine, or after somebody took the file away."""
        world = place.world
        path = world.settings.anchor_file
        assert path is not None
        name = customer(world)
        erase(world, name)
        path.unlink()
        assert installation.keep_anchor(world.worker) == 1
        assert erasures.known(path) == {(world.merchant_id, "test"): {parse_id("customer", name)}}

    def test_forgets_by_the_day_and_keeps_what_others_wrote(self, place: Restorable) -> None:
        world = place.world
        path = world.settings.anchor_file
        assert path is not None
        installation.keep_anchor(world.worker)
        before = anchor.fields(path)
        now = datetime(2026, 11, 30, tzinfo=UTC)
        old, new = (Erasure(UUID(int=1), "live", UUID(int=n), now - timedelta(days=n)) for n in (401, 400))
        assert erasures.add(path, [old, new], 1000, now) == 2
        assert erasures.add(path, [new], 1000, now) == 0
        assert erasures.add(path, [], 400, now) == 0
        assert erasures.known(path) == {(UUID(int=1), "live"): {UUID(int=400)}}
        assert {**(anchor.fields(path) or {}), "erasures": None} == {**(before or {}), "erasures": None}

    def test_stays_small(self, place: Restorable) -> None:
        world = place.world
        path = world.settings.anchor_file
        assert path is not None
        now = datetime(2026, 11, 30, tzinfo=UTC)
        many = [Erasure(UUID(int=1), "live", UUID(int=n), now) for n in range(1000)]
        erasures.add(path, many, 400, now)
        assert path.stat().st_size < 1000 * 24


class TestARestore:
    @pytest.fixture
    def lost(self, place: Restorable) -> tuple[Restorable, str, str]:
        """A database from before Zelda was erased."""
        name, _ = bought(place.world)
        kept = place.backup()
        assert erase(place.world, name).status_code == 200
        installation.keep_anchor(place.world.worker)
        place.restore(kept)
        return place, name, kept

    def test_brings_nobody_back(self, lost: tuple[Restorable, str, str]) -> None:
        place, name, _ = lost
        world = place.world
        assert naming(world), "the backup knows her"
        assert installation.look(world.worker), "it is paused"
        assert naming(world) == set()
        assert world.get(f"/v1/customers/{name}").status_code == 404
        installation.resume(world.admin, "ada", "the disk was lost")
        rows = world.rows("SELECT details FROM audit_log WHERE action = 'customer.erased'")
        assert [row["details"]["again"] for row in rows] == ["restored"]
        [standing] = world.rows(
            "SELECT count(*) AS n FROM data_keys WHERE owner_id = :id", id=parse_id("customer", name)
        )
        assert standing["n"] == 0

    def test_is_applied_by_the_gate_alone_before_it_shows_anything(self, lost: tuple[Restorable, str, str]) -> None:
        place, name, _ = lost
        installation.look_at_start(place.world.api, keep=False)
        assert naming(place.world) == set()
        assert place.world.get(f"/v1/customers/{name}").status_code == 404

    def test_the_next_request_sees_to_it_where_postgres_was_away_at_the_start(
        self, lost: tuple[Restorable, str, str]
    ) -> None:
        place, _, _ = lost
        watch = installation.Watch(place.world.api)
        watch.see()
        assert naming(place.world) == set()

    def test_resuming_applies_it_too(self, lost: tuple[Restorable, str, str]) -> None:
        place, _, _ = lost
        with place.world.admin.database.unscoped() as connection:
            connection.execute(sa.text("SELECT pause_installation('by hand')"))
        installation.resume(place.world.admin, "ada", "the disk was lost")
        assert naming(place.world) == set()

    def test_that_lost_nothing_but_the_erasure_is_noticed_at_the_start(self, place: Restorable) -> None:
        """The file has not written the audit number down since: nothing is behind, and nothing is paused."""
        world = place.world
        name = customer(world)
        installation.keep_anchor(world.worker)
        kept = place.backup()
        assert erase(world, name).status_code == 200
        place.restore(kept)
        installation.look_at_start(world.worker, keep=True)
        assert naming(world) == set()
        assert world.get(f"/v1/customers/{name}").status_code == 404
