"""What providers are told about customers: methods they drop, details they learn, and what happens when they do not."""

from __future__ import annotations

from typing import Any

import pytest
import requests
import sqlalchemy as sa

from core.domain.identifiers import parse_id, public_id
from core.domain.outcomes import KeptMethod
from core.orchestration import payment_methods, provider_manager
from core.providers.stripe import StripeProvider
from tests.orchestration.by_hand import at_once, client
from tests.support.waiting import wait_until
from tests.support.world import World

PERSON = {"email": "ada@example.com", "name": "Ada Lovelace"}


def customer(world: World, **changes: Any) -> str:
    answer = world.post("/v1/customers", {**PERSON, **changes})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def saved_at_stripe(world: World, person: str) -> str:
    paid = world.pay(customer=person, save_payment_method=True)
    assert paid["status"] == "succeeded"
    return str(paid["payment_method"]["id"])


def saved_at_paystack(world: World, person: str) -> str:
    method = {"type": "redirect"}
    body = {"amount": 500000, "currency": "NGN", "provider": "paystack", "payment_method": method}
    payment = world.pay(**body, customer=person, save_payment_method=True)
    pressed = requests.post(
        payment["next_action"]["url"],
        data={"action": "pay", "card": "4084084084084081"},
        allow_redirects=False,
        timeout=10,
    )
    assert pressed.status_code == 303, pressed.text
    world.settle()
    return str(world.payment(payment["id"])["payment_method"]["id"])


def at_stripe(world: World, person: str) -> list[dict[str, Any]]:
    """The provider's objects with our customer's mark."""
    kept: list[dict[str, Any]] = world.ledger("stripe")["customers"]
    return [one for one in kept if (one["metadata"] or {}).get("tollgate_customer") == person]


def attached(world: World, person: str) -> list[Any]:
    (kept,) = at_stripe(world, person)
    return [one["id"] for one in world.ledger("stripe")["payment_methods"] if one["customer"] == kept["id"]]


def chargeable(world: World) -> set[str]:
    """Paystack's saved cards that can still be charged, all customers."""
    return {
        one.get("authorization_code", one.get("id"))
        for one in world.ledger("paystack")["authorizations"]
        if one["active"]
    }


def method_row(world: World, method: str) -> Any:
    return world.one("SELECT * FROM payment_methods WHERE id = :id", id=parse_id("payment_method", method))


def forget(world: World, method: str, **headers: str) -> dict[str, Any]:
    answer = world.request("DELETE", f"/v1/payment_methods/{method}", headers=headers)
    assert answer.status_code in (200, 202), answer.text
    told: dict[str, Any] = answer.json()
    return told


def job(world: World, name: str) -> dict[str, Any]:
    found: dict[str, Any] = world.get(f"/v1/jobs/{name}").json()
    return found


def fired(world: World, fault: Any) -> int:
    found = world.sandboxes["stripe"].get("faults")["faults"]
    return int(next(one["fired"] for one in found if one["id"] == fault["id"]))


def test_a_forgotten_card_is_detached_at_stripe_and_nothing_of_it_is_left(world: World) -> None:
    person = customer(world)
    method = saved_at_stripe(world, person)
    assert len(attached(world, person)) == 1

    told = forget(world, method)
    refused = world.post("/v1/payments", world.payment_body(payment_method={"type": "saved", "id": method}))
    assert refused.status_code == 422
    world.settle()

    assert attached(world, person) == []
    ended = job(world, told["job"]["id"])
    assert (ended["status"], ended["result"]["payment_method"]["status"]) == ("succeeded", "forgotten")
    row = method_row(world, method)
    assert (row["status"], row["sealed"], row["fingerprint_index"]) == ("forgotten", None, None)
    assert row["forgotten_at"] is not None
    steps = world.rows(
        "SELECT from_status, to_status FROM audit_log WHERE subject_id = :id AND from_status <> '' ORDER BY number",
        id=row["id"],
    )
    assert [(step["from_status"], step["to_status"]) for step in steps] == [
        ("active", "forgetting"),
        ("forgetting", "forgotten"),
    ]


def test_every_token_of_one_card_is_detached(world: World) -> None:
    person = customer(world)
    method = saved_at_stripe(world, person)
    assert saved_at_stripe(world, person) == method
    assert len(attached(world, person)) == 2
    forget(world, method)
    world.settle()
    assert attached(world, person) == []


def test_an_erased_customer_is_forgotten_at_both_providers(world: World) -> None:
    person = customer(world)
    at_s, at_p = saved_at_stripe(world, person), saved_at_paystack(world, person)
    before = chargeable(world)
    assert before
    gone = world.request("DELETE", f"/v1/customers/{person}")
    assert gone.status_code == 200, gone.text
    assert world.rows("SELECT 1 FROM data_keys WHERE owner_id = :id", id=parse_id("customer", person)) == []

    world.settle()

    assert attached(world, person) == []
    assert len(chargeable(world)) == len(before) - 1
    for method in (at_s, at_p):
        row = method_row(world, method)
        assert (row["status"], row["sealed"]) == ("forgotten", None)


def test_a_token_another_customer_is_charged_with_stays_at_the_provider(world: World) -> None:
    """To Paystack two customers of ours with one address are one; a code may be both's."""
    first, second = customer(world), customer(world)
    method = saved_at_paystack(world, first)
    codes = chargeable(world)
    with world.worker.database.scoped(world.scope) as connection:
        row = payment_methods.load_for_payment(connection, world.scope, parse_id("payment_method", method))
        assert row is not None
        saved = payment_methods.open_saved(world.worker, connection, world.scope, row)
        assert saved is not None
        payment = {**row, "id": row["payment_id"], "customer_id": parse_id("customer", second)}
        shared = payment_methods.keep(
            world.worker, connection, payment, row, KeptMethod(saved.token, "card", email=saved.email)
        )
        assert shared is not None
    forget(world, method)
    world.settle()
    assert method_row(world, method)["status"] == "forgotten"
    assert chargeable(world) == codes
    forget(world, public_id("payment_method", shared))
    world.settle()
    assert len(chargeable(world)) == len(codes) - 1


def test_detached_in_the_dashboard_it_is_forgotten_here(world: World) -> None:
    person = customer(world)
    method = saved_at_stripe(world, person)
    (token,) = attached(world, person)
    client(world).v1.payment_methods.detach(token)
    world.settle()
    assert method_row(world, method)["status"] == "forgotten"
    assert world.get(f"/v1/customers/{person}/payment_methods").json()["data"] == []


def test_a_lost_answer_is_told_again(world: World) -> None:
    person = customer(world)
    method = saved_at_stripe(world, person)
    with world.fault("stripe", operation="payment_methods.detach", effect="reset_after", times=1):
        told = forget(world, method)
        world.work()
    assert job(world, told["job"]["id"])["error"]["code"] == "provider_unanswered"
    assert method_row(world, method)["status"] == "forgetting"
    world.advance(world.settings.lookup_delays[0] + 1)
    world.settle()
    assert job(world, told["job"]["id"])["status"] == "succeeded"
    assert method_row(world, method)["status"] == "forgotten"


def test_a_provider_that_never_takes_it_becomes_a_matter_for_a_person(world: World) -> None:
    person = customer(world)
    method = saved_at_stripe(world, person)
    with world.fault("stripe", operation="payment_methods.detach", effect="status_before", status=500, times=100):
        told = forget(world, method)
        for delay in world.settings.lookup_delays:
            world.work()
            world.advance(delay + 1)
        world.work()
        assert world.work() == 0
    ended = job(world, told["job"]["id"])
    assert (ended["status"], ended["error"]["code"]) == ("needs_review", "method_not_forgotten")
    assert ended["attempts"] == len(world.settings.lookup_delays) + 1
    found = world.one("SELECT kind, status FROM findings WHERE job_id = :id", id=parse_id("job", told["job"]["id"]))
    assert (found["kind"], found["status"]) == ("method_not_forgotten", "open")
    assert method_row(world, method)["status"] == "forgetting"

    again = forget(world, method)
    world.settle()
    assert job(world, again["job"]["id"])["status"] == "succeeded"
    assert attached(world, person) == []


def test_an_erased_person_whom_the_provider_does_not_let_go_of_is_a_matter_for_a_person(world: World) -> None:
    person = customer(world)
    saved_at_stripe(world, person)
    with world.fault("stripe", operation="customers.update", effect="status_before", status=500, times=100):
        assert world.request("DELETE", f"/v1/customers/{person}").status_code == 200
        for delay in world.settings.lookup_delays:
            world.work()
            world.advance(delay + 1)
        world.work()
    query = "SELECT * FROM jobs WHERE kind = 'push_customer' AND target_id = :id ORDER BY id DESC LIMIT 1"
    found = world.one(query, id=parse_id("customer", person))
    assert (found["status"], found["error"]["code"]) == ("needs_review", "person_not_forgotten")
    opened = world.one("SELECT kind, status FROM findings WHERE job_id = :id", id=found["id"])
    assert (opened["kind"], opened["status"]) == ("person_not_forgotten", "open")


def test_a_suspended_account_is_not_asked_and_the_method_is_shut_all_the_same(world: World) -> None:
    person = customer(world)
    method = saved_at_stripe(world, person)
    account = world.accounts["stripe"]
    set_status = "UPDATE provider_accounts SET status = :status WHERE id = :id RETURNING id"
    with world.fault("stripe", operation="payment_methods.detach", effect="nonsense", times=100) as fault:
        _execute(world, set_status, status="suspended", id=account)
        provider_manager.forget(world.worker, account)
        told = forget(world, method)
        world.work()
        assert fired(world, fault) == 0
    waiting = job(world, told["job"]["id"])
    assert (waiting["status"], waiting["error"]["code"]) == ("queued", "not_executed_misconfigured")
    assert world.get(f"/v1/customers/{person}/payment_methods").json()["data"] == []
    _execute(world, set_status, status="enabled", id=account)
    world.advance(world.settings.lookup_delays[0] + 1)
    world.settle()
    assert method_row(world, method)["status"] == "forgotten"


def _execute(world: World, statement: str, **values: Any) -> None:
    with world.owner.begin() as connection:
        connection.execute(sa.text(statement), values)


def test_who_prefers_to_wait_is_told_the_end(world: World) -> None:
    method = saved_at_stripe(world, customer(world))
    told, _ = at_once(
        [
            lambda: world.request("DELETE", f"/v1/payment_methods/{method}", headers={"Prefer": "wait=10"}),
            lambda: wait_until(world.work, "the job to be run"),
        ]
    )
    assert told.status_code == 200, told.text
    assert told.json()["job"]["status"] == "succeeded"
    assert told.json()["payment_method"]["status"] == "forgotten"


def test_stripe_learns_a_customers_new_details(world: World) -> None:
    person = customer(world)
    saved_at_stripe(world, person)
    world.request("PATCH", f"/v1/customers/{person}", json={"email": "countess@example.com", "name": "Countess"})
    world.settle()
    (kept,) = at_stripe(world, person)
    assert (kept["email"], kept["name"]) == ("countess@example.com", "Countess")


def test_an_older_detail_that_arrives_late_does_not_stay(world: World) -> None:
    """Two workers tell two changes; the provider hears the first one last."""
    person = customer(world)
    saved_at_stripe(world, person)
    address = f"/v1/customers/{person}"
    with world.fault("stripe", operation="customers.update", effect="delay", ms=700, times=1) as slow:
        world.request("PATCH", address, json={"name": "First"})

        def change_again() -> None:
            wait_until(lambda: fired(world, slow) == 1, "the first change to be on its way")
            world.request("PATCH", address, json={"name": "Second"})
            assert world.work() >= 1

        at_once([world.work, change_again])
    world.settle()
    assert [one["name"] for one in at_stripe(world, person)] == ["Second"]


@pytest.mark.parametrize(("effect", "tries"), [({"status": 500}, 7), ({"status": 400}, 1)])
def test_a_provider_that_never_learns_the_details_fails_only_its_job(
    world: World, effect: dict[str, int], tries: int
) -> None:
    person = customer(world)
    saved_at_stripe(world, person)
    with world.fault("stripe", operation="customers.update", effect="status_before", times=100, **effect):
        answer = world.request("PATCH", f"/v1/customers/{person}", json={"name": "Countess"})
        assert answer.status_code == 200
        for delay in world.settings.lookup_delays:
            world.work()
            world.advance(delay + 1)
        world.work()
    (row,) = world.rows(
        "SELECT status, attempts, error FROM jobs WHERE kind = 'push_customer' AND target_id = :id",
        id=parse_id("customer", person),
    )
    assert (row["status"], row["attempts"], row["error"]["code"]) == ("failed", tries, "customer_not_updated")
    assert world.get(f"/v1/customers/{person}").json()["name"] == "C***"


def delete_at_stripe(world: World, person: str) -> str:
    (kept,) = at_stripe(world, person)
    client(world).v1.customers.delete(kept["id"])
    world.settle()
    return str(kept["id"])


def made_at_stripe(world: World, person: str) -> Any:
    return world.one(
        "SELECT provider_key, provider_id, first_sent_at > created_at AS anew FROM provider_customers"
        " WHERE customer_id = :id",
        id=parse_id("customer", person),
    )


@pytest.mark.parametrize("method", ["token", "redirect"])
def test_one_deleted_in_the_dashboard_is_made_again_by_the_next_payment_that_saves(world: World, method: str) -> None:
    person = customer(world)
    saved_at_stripe(world, person)
    for number in (2, 3):
        gone = delete_at_stripe(world, person)
        wanted = {} if method == "token" else {"payment_method": {"type": "redirect"}, "provider": "stripe"}
        payment = world.pay(customer=person, save_payment_method=True, **wanted)
        assert payment["status"] == ("succeeded" if method == "token" else "requires_action"), payment["decline"]
        row = made_at_stripe(world, person)
        assert row["provider_id"] not in (None, gone)
        assert (row["provider_key"].rpartition("-")[2], row["anew"]) == (str(number), True)
        (kept,) = at_stripe(world, person)
        assert (kept["id"], kept["email"]) == (row["provider_id"], PERSON["email"])
        starts = [(one["number"], one["status"]) for one in world.transactions(payment["id"])]
        assert starts == [(1, "not_executed"), (2, "succeeded" if method == "token" else "requires_action")]
        if method == "token":
            assert len(world.charges("stripe", payment["id"])) == 1
            assert payment["payment_method"] is not None


def test_new_details_for_one_deleted_there_wait_for_the_next_payment_that_saves(world: World) -> None:
    person = customer(world)
    saved_at_stripe(world, person)
    delete_at_stripe(world, person)
    world.request("PATCH", f"/v1/customers/{person}", json={"name": "Countess"})
    world.settle()
    assert made_at_stripe(world, person)["provider_id"] is None
    payment = world.pay(customer=person, save_payment_method=True)
    assert payment["status"] == "succeeded"
    assert [one["status"] for one in world.transactions(payment["id"])] == ["succeeded"]
    assert [one["name"] for one in at_stripe(world, person)] == ["Countess"]


def test_a_customer_that_is_always_gone_fails_the_payment_in_words(world: World, monkeypatch: Any) -> None:
    """Deleted as soon as it was made: two tries, then the merchant is told."""
    person = customer(world)
    saved_at_stripe(world, person)
    real = StripeProvider.upsert_customer

    def made_and_deleted(self: Any, request: Any) -> Any:
        done = real(self, request)
        client(world).v1.customers.delete(done.facts.provider_id)
        return done

    delete_at_stripe(world, person)
    monkeypatch.setattr(StripeProvider, "upsert_customer", made_and_deleted)
    payment = world.pay(customer=person, save_payment_method=True)
    assert (payment["status"], payment["decline"]["code"]) == ("failed", "provider_refused")
    assert [one["status"] for one in world.transactions(payment["id"])] == ["not_executed", "not_executed"]
    assert "customer" in payment["decline"]["message"]
    monkeypatch.undo()
    assert world.pay(customer=person, save_payment_method=True)["status"] == "succeeded"
