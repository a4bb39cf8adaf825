"""Saved payment methods over HTTP: listed, read, forgotten; one card is one method."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import sqlalchemy as sa

from core.domain.identifiers import parse_id
from core.orchestration import payment_methods
from core.orchestration.context import Core
from tests.api.methods import erase, make, save_method
from tests.api.support import Merchant, code


def listed(merchant: Merchant, customer: str) -> list[str]:
    return [one["id"] for one in merchant.get(f"/v1/customers/{customer}/payment_methods").json["data"]]


def token_of(worker: Core, merchant: Merchant, method: str) -> str | None:
    with worker.database.scoped(merchant.scope) as connection:
        row = payment_methods.load_for_payment(connection, merchant.scope, parse_id("payment_method", method))
        saved = None if row is None else payment_methods.open_saved(worker, connection, merchant.scope, row)
    return None if saved is None else saved.token


def test_shown_with_its_card_and_never_with_its_token(merchant: Merchant, worker: Core) -> None:
    customer = make(merchant).json["id"]
    method = save_method(worker, merchant, customer, bank=None)
    answer = merchant.get(f"/v1/payment_methods/{method}")
    assert answer.status_code == 200
    assert {**answer.json, "provider_account": None, "created_at": None} == {
        "id": method,
        "mode": "test",
        "customer": customer,
        "provider": "stripe",
        "provider_account": None,
        "kind": "card",
        "card": {"brand": "visa", "last4": "4242", "exp_month": 12, "exp_year": 2031},
        "bank": None,
        "status": "active",
        "created_at": None,
    }
    assert merchant.get(f"/v1/customers/{customer}/payment_methods").json["data"] == [answer.json]
    assert "pm_saved" not in answer.get_data(as_text=True)


def test_methods_without_a_card(merchant: Merchant, worker: Core) -> None:
    customer = make(merchant).json["id"]
    nothing = {"brand": None, "last4": None, "exp_month": None, "exp_year": None}
    method = save_method(worker, merchant, customer, kind="bank", bank="Test Bank", **nothing)
    shown = merchant.get(f"/v1/payment_methods/{method}").json
    assert (shown["kind"], shown["card"], shown["bank"]) == ("bank", None, "Test Bank")


def test_listed_page_by_page_newest_first(merchant: Merchant, worker: Core) -> None:
    customer, other = make(merchant).json["id"], make(merchant).json["id"]
    methods = [save_method(worker, merchant, customer, f"pm_{number}") for number in range(3)]
    save_method(worker, merchant, other, "pm_other")
    assert listed(merchant, customer) == methods[::-1]
    page = merchant.get(f"/v1/customers/{customer}/payment_methods?limit=2").json
    assert page["has_more"]
    rest = merchant.get(f"/v1/customers/{customer}/payment_methods?limit=2&after={page['next']}").json
    assert [one["id"] for one in page["data"] + rest["data"]] == methods[::-1]


def test_one_card_saved_twice_is_one_method_with_its_newest_token(merchant: Merchant, worker: Core) -> None:
    customer = make(merchant).json["id"]
    first = save_method(worker, merchant, customer, "pm_old", fingerprint="same")
    again = save_method(worker, merchant, customer, "pm_New", fingerprint="same")
    assert first == again
    assert listed(merchant, customer) == [first]
    assert token_of(worker, merchant, str(first)) == "pm_New"
    # Tokens are compared by the letter; another customer's same card is theirs.
    assert save_method(worker, merchant, customer, "pm_new") != first
    assert save_method(worker, merchant, make(merchant).json["id"], "pm_x", fingerprint="same") != first


def test_one_token_without_a_fingerprint_is_one_method(merchant: Merchant, worker: Core) -> None:
    customer = make(merchant).json["id"]
    first = save_method(worker, merchant, customer, "AUTH_1", "paystack", fingerprint=None)
    assert save_method(worker, merchant, customer, "AUTH_1", "paystack", fingerprint=None, exp_year=2033) == first
    assert merchant.get(f"/v1/payment_methods/{first}").json["card"]["exp_year"] == 2033


def test_two_methods_that_turn_out_to_be_one_card_become_one(merchant: Merchant, worker: Core) -> None:
    customer = make(merchant).json["id"]
    by_token = save_method(worker, merchant, customer, "pm_a", fingerprint=None)
    by_card = save_method(worker, merchant, customer, "pm_b", fingerprint="same")
    assert save_method(worker, merchant, customer, "pm_a", fingerprint="same") == by_card
    assert listed(merchant, customer) == [by_card]
    assert merchant.get(f"/v1/payment_methods/{by_token}").json["status"] == "forgotten"
    assert token_of(worker, merchant, str(by_card)) == "pm_a"


def test_the_same_card_saved_in_parallel_is_one_method(merchant: Merchant, worker: Core) -> None:
    customer = make(merchant).json["id"]

    def save(number: int) -> str | None:
        return save_method(worker, merchant, customer, f"pm_{number}", fingerprint="same")

    with ThreadPoolExecutor(2) as pool:
        assert len(set(pool.map(save, range(8)))) == 1
    assert len(listed(merchant, customer)) == 1


def test_forgetting_shuts_it_at_once_and_queues_a_job(merchant: Merchant, worker: Core) -> None:
    customer = make(merchant).json["id"]
    method = str(save_method(worker, merchant, customer))
    address = f"/v1/payment_methods/{method}"
    answer = merchant.client.delete(address, headers=merchant.headers(Idempotency_Key="bye"))
    assert (answer.status_code, answer.headers["Location"]) == (202, answer.json["job"]["url"])
    job = answer.json["job"]
    assert (job["kind"], job["status"], job["payment"]) == ("forget_method", "queued", None)
    assert (answer.json["payment_method"]["status"], answer.json["payment_method"]["card"]) == ("forgetting", None)
    assert merchant.get(address).json == answer.json["payment_method"]
    assert listed(merchant, customer) == []
    assert token_of(worker, merchant, method) is None
    assert code(merchant.pay(payment_method={"type": "saved", "id": method}))[0] == 422
    again = merchant.client.delete(address, headers=merchant.headers(Idempotency_Key="bye"))
    assert (again.json, again.headers["Idempotent-Replayed"]) == (answer.json, "true")
    assert merchant.get(job["url"]).json == {**job, "result": None}
    more = merchant.client.delete(address, headers=merchant.headers())
    assert more.status_code == 202
    assert more.json["job"]["id"] != job["id"]


def test_dropped_at_the_provider_it_is_forgotten_here(merchant: Merchant, worker: Core) -> None:
    customer = make(merchant).json["id"]
    method, other = save_method(worker, merchant, customer, "pm_a"), save_method(worker, merchant, customer, "pm_b")
    account = merchant.accounts["stripe"]
    with worker.database.scoped(merchant.scope) as connection:
        assert payment_methods.gone(worker, connection, merchant.accounts["paystack"], "pm_a") == 0
        assert payment_methods.gone(worker, connection, account, "PM_A") == 0
        assert payment_methods.gone(worker, connection, account, "pm_a") == 1
        assert payment_methods.gone(worker, connection, account, "pm_a") == 0
    assert merchant.get(f"/v1/payment_methods/{method}").json["status"] == "forgotten"
    assert listed(merchant, customer) == [other]
    refused = merchant.client.delete(f"/v1/payment_methods/{method}", headers=merchant.headers())
    assert code(refused) == (409, "state_conflict")


def test_what_the_provider_still_keeps_under_an_older_token_is_told_to_go(
    merchant: Merchant, worker: Core, owner: Core
) -> None:
    customer = make(merchant).json["id"]
    method = str(save_method(worker, merchant, customer, "pm_old", fingerprint="same"))
    save_method(worker, merchant, customer, "pm_new", fingerprint="same")
    with worker.database.scoped(merchant.scope) as connection:
        assert payment_methods.gone(worker, connection, merchant.accounts["stripe"], "pm_new") == 1
    assert merchant.get(f"/v1/payment_methods/{method}").json["status"] == "forgetting"
    with owner.database.unscoped() as connection:
        query = sa.text("SELECT count(*) FROM jobs WHERE kind = 'forget_method' AND target_id = :id")
        assert connection.execute(query, {"id": parse_id("payment_method", method)}).scalar_one() == 1


def test_saved_again_while_it_is_being_forgotten_it_stays(merchant: Merchant, worker: Core) -> None:
    customer = make(merchant).json["id"]
    method = str(save_method(worker, merchant, customer, "AUTH_1", "paystack", fingerprint="same"))
    merchant.client.delete(f"/v1/payment_methods/{method}", headers=merchant.headers())
    assert save_method(worker, merchant, customer, "AUTH_1", "paystack", fingerprint="same") == method
    assert listed(merchant, customer) == [method]


def test_tables_hold_neither_token_nor_card(merchant: Merchant, worker: Core, owner: Core) -> None:
    customer = make(merchant).json["id"]
    save_method(worker, merchant, customer, "pm_very_secret", last4="9173")
    with owner.database.unscoped() as connection:
        rows = connection.execute(sa.text("SELECT m::text, m.sealed FROM payment_methods m")).all()
    text = "".join(row[0] for row in rows)
    assert "pm_very_secret" not in text
    assert b"pm_very_secret".hex() not in text
    # Ciphertext may hold four digits by chance, but not the words around them.
    assert b'"last4":"9173"' not in b"".join(bytes(row[1]) for row in rows if row[1] is not None)


def test_an_erased_customers_methods_cannot_be_asked_for(make_merchant: Callable[..., Merchant], worker: Core) -> None:
    merchant = make_merchant()
    customer = make(merchant).json["id"]
    method = str(save_method(worker, merchant, customer))
    erase(merchant, customer)
    assert code(merchant.get(f"/v1/customers/{customer}/payment_methods")) == (404, "not_found")
    shown = merchant.get(f"/v1/payment_methods/{method}").json
    assert (shown["status"], shown["card"], shown["customer"]) == ("forgetting", None, customer)
