"""Payments through the gate: what is stored, what is answered, what a repeat and a waiting request get."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from uuid import UUID

import pytest

from api.waiting import preferred_wait
from core.domain import representations
from core.domain.identifiers import parse_id
from core.orchestration import jobs
from core.orchestration.context import Core
from core.persistence.tables import payments
from tests.api.support import Merchant, Woken, code, payment
from tests.support.waiting import wait_until

Count = Callable[..., dict[str, int]]


def end(worker: Core, job: str) -> None:
    """As a worker ends a job whose provider has answered."""
    wanted = parse_id("job", job)
    (claimed,) = jobs.claim(worker.database, "payments", 1, "tests", 60.0, [wanted])
    with worker.database.scoped(claimed.scope) as connection:
        jobs.finish(connection, claimed)


@contextmanager
def ending(worker: Core, woken: Woken) -> Iterator[None]:
    """Ends the next job as soon as the gate says it is there."""
    seen = len(woken.ids)
    stop = threading.Event()

    def work() -> None:
        wait_until(lambda: stop.is_set() or len(woken.ids) > seen, "a job")
        found: list[UUID] = [job for _, job in woken.ids[seen:]]
        for claimed in jobs.claim(worker.database, "payments", 10, "tests", 60.0, found):
            with worker.database.scoped(claimed.scope) as connection:
                jobs.finish(connection, claimed)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def test_202_after_payment_job_and_audit_record_are_stored(merchant: Merchant, count: Count, woken: Woken) -> None:
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
    assert ("payments", parse_id("job", job["id"])) in woken.ids


def test_repeat_gets_the_first_answer_and_makes_nothing(merchant: Merchant, count: Count, woken: Woken) -> None:
    first = merchant.post("/v1/payments", payment(), key="same")
    woken_before = len(woken.ids)
    for key in ("same", '"same"'):
        again = merchant.post("/v1/payments", dict(reversed(payment().items())), key=key)
        assert again.status_code == 202
        assert again.headers["Idempotent-Replayed"] == "true"
        assert again.json == first.json
    assert "Idempotent-Replayed" not in first.headers
    assert count(merchant.scope)["payments"] == 1
    assert len(woken.ids) == woken_before


def test_key_with_another_body_or_address_is_refused(merchant: Merchant, count: Count) -> None:
    made = merchant.post("/v1/payments", payment(), key="same").json["payment"]["id"]
    assert code(merchant.post("/v1/payments", payment(amount=5001), key="same")) == (422, "idempotency_key_reused")
    assert code(merchant.post(f"/v1/payments/{made}/sync", key="same")) == (422, "idempotency_key_reused")
    assert count(merchant.scope)["payments"] == 1


def test_refused_request_uses_no_key_up(merchant: Merchant) -> None:
    assert merchant.post("/v1/payments", payment(amount=0), key="once").status_code == 422
    assert merchant.post("/v1/payments", payment(), key="once").status_code == 202


def test_key_of_one_merchant_means_nothing_to_another(make_merchant: Callable[..., Merchant]) -> None:
    first, second = make_merchant(), make_merchant()
    made = {one.post("/v1/payments", payment(), key="same").json["payment"]["id"] for one in (first, second)}
    assert len(made) == 2


def test_parallel_requests_with_one_key_make_one_payment(merchant: Merchant, count: Count) -> None:
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: merchant.post("/v1/payments", payment(), key="same"), range(6)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json["payment"]["id"] for answer in answers}) == 1
    assert count(merchant.scope)["payments"] == 1


def test_fields_come_back_as_they_were_sent(merchant: Merchant) -> None:
    sent = {
        "capture": "manual",
        "return_url": "https://shop.example/back?a=1",
        "reference": "order-42",
        "description": "Zwei Bücher – 📚",
        "metadata": {"order": "42", "empty": ""},
    }
    made = merchant.pay(**sent, customer={"email": "ada@example.com", "name": "Ada"}).json["payment"]
    assert {name: made[name] for name in sent} == sent
    assert made["customer"].startswith("cus_")
    assert "ada@example.com" not in str(made)


def test_prefer_wait_answers_200_with_the_ended_job(merchant: Merchant, worker: Core, woken: Woken) -> None:
    with ending(worker, woken):
        answer = merchant.post("/v1/payments", payment(), Prefer="respond-async, wait=10")
    assert answer.status_code == 200
    assert answer.headers["Preference-Applied"] == "wait=10"
    assert answer.json["job"]["status"] == "succeeded"
    assert answer.json["payment"]["id"] == answer.json["job"]["payment"]


def test_prefer_wait_answers_202_when_the_time_is_over(merchant: Merchant) -> None:
    started = time.monotonic()
    answer = merchant.post("/v1/payments", payment(), Prefer="wait=1")
    assert answer.status_code == 202
    assert answer.headers["Location"] == answer.json["job"]["url"]
    assert 1 <= time.monotonic() - started < 3


def test_repeat_with_prefer_wait_shows_the_present_state(merchant: Merchant, worker: Core) -> None:
    first = merchant.post("/v1/payments", payment(), key="same").json
    end(worker, first["job"]["id"])
    again = merchant.post("/v1/payments", payment(), key="same", Prefer="wait=5")
    assert again.status_code == 200
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.json["job"]["status"] == "succeeded"
    stored = merchant.post("/v1/payments", payment(), key="same")
    assert (stored.status_code, stored.json) == (202, first)


def test_long_poll_of_a_job(merchant: Merchant, worker: Core) -> None:
    job = merchant.pay().json["job"]
    assert merchant.get(job["url"]).json["result"] is None
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(merchant.get, f"{job['url']}?wait=20")
        end(worker, job["id"])
        found = waiting.result(10).json
    assert found["status"] == "succeeded"
    assert found["result"]["payment"]["id"] == found["payment"]


def test_waiting_takes_a_quarter_of_the_threads_at_most(core: Core, merchant: Merchant) -> None:
    """With eight threads two may wait; the third is answered at once."""
    job = merchant.pay().json["job"]["url"]
    answered: list[float] = []

    def poll() -> None:
        started = time.monotonic()
        assert merchant.get(f"{job}?wait=2").status_code == 200
        answered.append(time.monotonic() - started)

    threads = [threading.Thread(target=poll) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    waited = [seconds for seconds in answered if seconds >= 1.9]
    assert len(waited) == 2
    assert len([seconds for seconds in answered if seconds < 1.5]) == 2


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None), ("wait=5", 5), ('Wait = "5"', 5), ("respond-async,wait=7;foo=bar", 7), ("wait=99", 30),
        ("wait=0", None), ("wait=-1", None), ("wait=soon", None), ("wait", None), ("", None),
    ],
)  # fmt: skip
def test_prefer_header(header: str | None, seconds: int | None) -> None:
    assert preferred_wait(header, 30.0) == seconds


def test_pages_hold_every_payment_once_newest_first(merchant: Merchant) -> None:
    made = [merchant.pay(reference=f"order-{number}").json["payment"]["id"] for number in range(5)]
    seen: list[str] = []
    path = "/v1/payments?limit=2"
    while True:
        page = merchant.get(path).json
        seen += [one["id"] for one in page["data"]]
        assert page["has_more"] == (page["next"] is not None)
        if not page["has_more"]:
            break
        path = f"/v1/payments?limit=2&after={page['next']}"
    assert seen == made[::-1]


def test_filters(merchant: Merchant) -> None:
    first = merchant.pay(reference="a").json["payment"]
    second = merchant.pay(currency="EUR", customer={"email": "ada@example.com"}).json["payment"]

    def found(query: str) -> list[str]:
        return [one["id"] for one in merchant.get(f"/v1/payments?{query}").json["data"]]

    assert found("reference=a") == [first["id"]]
    assert found("currency=eur") == [second["id"]]
    assert found(f"customer={second['customer']}") == [second["id"]]
    assert found("status=processing") == [second["id"], first["id"]]
    assert found("status=failed") == []
    assert found("provider=stripe") == []
    assert found(f"created_after={first['created_at']}") == [second["id"]]
    assert found(f"created_before={second['created_at']}") == [first["id"]]
    assert found("created_after=2000-01-01T00:00:00%2B02:00&limit=1") == [second["id"]]


def test_merchants_see_their_own_only(make_merchant: Callable[..., Merchant]) -> None:
    mine, other = make_merchant(), make_merchant()
    mine.pay()
    assert other.get("/v1/payments").json["data"] == []


def test_timeline_tells_the_story_with_public_ids(merchant: Merchant, worker: Core) -> None:
    made = merchant.pay(reference="order-42").json
    end(worker, made["job"]["id"])
    story = merchant.get(f"/v1/payments/{made['payment']['id']}/timeline").json
    kinds = [entry["kind"] for entry in story["data"]]
    assert kinds[0] == "request.accepted"
    assert "audit.recorded" in kinds
    assert kinds[-1] == "job.ended"
    assert [entry["at"] for entry in story["data"]] == sorted(entry["at"] for entry in story["data"])
    assert all(entry["summary"] for entry in story["data"])
    text = str(story)
    assert str(merchant.scope.merchant_id) not in text
    assert "pm_card_visa" not in text


def test_what_events_tell_of_a_payment_does_not_say_that_there_is_nothing_to_do(
    merchant: Merchant, owner: Core
) -> None:
    shown = merchant.pay().json["payment"]
    with owner.database.unscoped() as connection:
        query = payments.select().where(payments.c.id == parse_id("payment", shown["id"]))
        row = connection.execute(query).mappings().one()
    told = representations.event_payment(row)
    assert "next_action" not in told
    assert {**told, "next_action": None} == shown
