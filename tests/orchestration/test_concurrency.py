"""Many at once, over real HTTP and with several workers: one effect each, and the provider's ledger agrees."""

from __future__ import annotations

import random
import threading
from collections import Counter
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest
import requests

from core.domain.identifiers import parse_id
from core.orchestration import accounts, jobs
from core.persistence.database import Scope
from tests.orchestration import by_hand
from tests.orchestration.by_hand import at_once
from tests.support.world import World


@pytest.fixture(autouse=True, scope="module")
def webhooks_by_hand(world: World) -> None:
    by_hand.keep_webhooks_back(world)


def post(world: World, path: str, body: Any, key: str, api_key: str | None = None) -> requests.Response:
    """With a connection of its own, as another client has."""
    headers = {"Authorization": f"Bearer {api_key or world.test_key}", "Idempotency-Key": key}
    return requests.post(world.url + path, json=body, headers=headers, timeout=40)


def work_together(world: World, workers: int = 4) -> None:
    """Several workers until nothing is left to do, also nothing that waits for a while."""
    waiting = "SELECT count(*) AS n FROM jobs WHERE status IN ('queued', 'running')"
    for _ in range(30):
        at_once([world.work] * workers)
        if world.one(waiting)["n"] == 0:
            return
        world.advance(3)
    raise AssertionError(world.rows("SELECT kind, status, error FROM jobs WHERE status IN ('queued', 'running')"))


class TestOneKey:
    def test_a_hundred_times_at_once_is_one_payment_and_one_charge(self, world: World) -> None:
        key, body = str(uuid4()), world.payment_body(reference="once")
        answers = at_once([partial(post, world, "/v1/payments", body, key)] * 100)
        assert Counter(answer.status_code for answer in answers) == {202: 100}
        assert len({answer.text for answer in answers}) == 1
        assert len({answer.headers["Location"] for answer in answers}) == 1
        assert Counter(answer.headers.get("Idempotent-Replayed") for answer in answers) == {None: 1, "true": 99}
        assert world.one("SELECT count(*) AS n FROM payments WHERE reference = 'once'")["n"] == 1
        payment = answers[0].json()["payment"]
        assert len(world.rows("SELECT id FROM jobs WHERE payment_id = :id", id=parse_id("payment", payment["id"]))) == 1
        work_together(world)
        assert [one["status"] for one in world.charges("stripe", payment["id"])] == ["succeeded"]

    def test_with_two_bodies_at_once_one_body_wins(self, world: World) -> None:
        key = str(uuid4())
        bodies = [world.payment_body(amount=5000), world.payment_body(amount=6000)] * 15
        answers = at_once([partial(post, world, "/v1/payments", body, key) for body in bodies])
        won = {answer.json()["payment"]["amount"] for answer in answers if answer.status_code == 202}
        assert len(won) == 1
        for body, answer in zip(bodies, answers, strict=True):
            if body["amount"] in won:
                assert answer.status_code == 202
            else:
                assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")
        assert len({answer.text for answer in answers if answer.status_code == 202}) == 1
        work_together(world)

    def test_of_two_merchants_is_two_keys(self, world: World) -> None:
        other = Scope(accounts.create_merchant(world.admin, "Other shop"), "test")
        world.add_account("stripe", other, name="stripe.other")
        api_keys = [world.test_key, world.make_key("test", merchant_id=other.merchant_id)]
        key = str(uuid4())
        calls = [partial(post, world, "/v1/payments", world.payment_body(), key, api_key) for api_key in api_keys * 10]
        answers = at_once(calls)
        assert {answer.status_code for answer in answers} == {202}
        mine, theirs = ({answer.json()["payment"]["id"] for answer in answers[start::2]} for start in (0, 1))
        assert (len(mine), len(theirs), len(mine | theirs)) == (1, 1, 2)
        other_amount = post(world, "/v1/payments", world.payment_body(amount=7000), key, api_keys[1])
        assert other_amount.status_code == 422
        work_together(world)
        assert len(world.charges("stripe", mine.pop())) == len(world.charges("stripe.other", theirs.pop())) == 1


def test_fifty_refunds_at_once_never_give_back_more_than_was_taken(world: World) -> None:
    payment = world.pay()
    path, dice = f"/v1/payments/{payment['id']}/refunds", random.Random(7)
    asked = [dice.randint(50, 900) for _ in range(50)]

    def refund(amount: int) -> requests.Response:
        key = str(uuid4())
        while True:
            answer = post(world, path, {"amount": amount}, key)
            if answer.status_code != 429 and (answer.json().get("code") != "idempotency_key_in_use"):
                return answer

    answers = at_once([partial(refund, amount) for amount in asked])
    taken = [answer.json()["refund"]["amount"] for answer in answers if answer.status_code == 202]
    refused = [answer for answer in answers if answer.status_code != 202]
    assert {answer.json()["code"] for answer in refused} <= {"amount_too_large", "nothing_to_refund"}
    assert 5000 - 900 < sum(taken) <= 5000
    # Nobody was refused who would still have fitted in.
    left = 5000 - sum(taken)
    assert all(amount > left for amount, answer in zip(asked, answers, strict=True) if answer.status_code != 202)

    work_together(world)
    done = world.payment(payment["id"])
    charge = world.charges("stripe", payment["id"])[0]
    assert done["amount_refunded"] == charge["amount_refunded"] == sum(taken)
    query = "SELECT status, amount FROM refunds WHERE payment_id = :id"
    rows = world.rows(query, id=parse_id("payment", payment["id"]))
    assert {row["status"] for row in rows} == {"succeeded"}
    assert sorted(row["amount"] for row in rows) == sorted(taken)


class TestClosing:
    @pytest.mark.parametrize("round_", range(4))
    def test_capture_against_cancel_one_wins_and_the_ledger_agrees(self, world: World, round_: int) -> None:
        payment = world.pay(capture="manual")
        path = f"/v1/payments/{payment['id']}"
        doors = [f"{path}/capture", f"{path}/cancel"][:: 1 if round_ % 2 else -1]
        answers = at_once([partial(post, world, door, {}, str(uuid4())) for door in doors])
        assert sorted(answer.status_code for answer in answers) == [202, 409]
        winner = doors[[answer.status_code for answer in answers].index(202)]
        work_together(world)
        charge = world.charges("stripe", payment["id"])[0]
        expected = ("succeeded", "succeeded", 5000) if winner.endswith("capture") else ("canceled", "voided", 0)
        assert (world.payment(payment["id"])["status"], charge["status"], charge["amount_captured"]) == expected

    def test_ten_captures_at_once_are_one(self, world: World) -> None:
        payment = world.pay(capture="manual")
        door = f"/v1/payments/{payment['id']}/capture"
        answers = at_once([partial(post, world, door, {"amount": 100 + n}, str(uuid4())) for n in range(10)])
        assert Counter(answer.status_code for answer in answers) == {202: 1, 409: 9}
        work_together(world)
        charge = world.charges("stripe", payment["id"])[0]
        assert charge["amount_captured"] == world.payment(payment["id"])["amount_captured"] in range(100, 110)


class TestWebhooks:
    def test_the_same_one_fifty_times_at_once_is_applied_once(self, world: World) -> None:
        payment = world.pay(payment_method={"type": "token", "token": "pm_card_authenticationRequired"})
        page = payment["next_action"]["url"]
        requests.post(page, data={"action": "authorize"}, allow_redirects=False, timeout=10)
        (body,) = by_hand.stripe_events(world, by_hand.intent_of(world, payment), "payment_intent.succeeded")

        answers = at_once([partial(by_hand.deliver, world, body)] * 50)
        assert Counter(answer.status_code for answer in answers) == {200: 50}
        work_together(world)
        assert world.payment(payment["id"])["status"] == "succeeded"
        assert [row["status"] for row in by_hand.inbox(world, payment)] == ["applied"]
        assert by_hand.told(world, payment) == ["payment.processing", "payment.requires_action", "payment.succeeded"]

    @pytest.mark.parametrize("round_", range(3))
    def test_against_a_sync_and_the_look_up_of_a_lost_answer(self, world: World, round_: int) -> None:
        with world.fault("stripe", operation="payment_intents.create", effect="reset_after"):
            payment = world.create()
            world.work()
        assert [row["status"] for row in world.transactions(payment["id"])] == ["unknown"]
        bodies = by_hand.stripe_events(world, payment["id"])
        world.advance(45)
        sync = partial(post, world, f"/v1/payments/{payment['id']}/sync", {}, str(uuid4()))
        calls: list[Any] = [partial(by_hand.deliver, world, body) for body in bodies]
        at_once([*calls, sync, *[world.work] * 4])
        work_together(world)

        done = world.payment(payment["id"])
        assert (done["status"], done["amount_captured"], done["amount_received"]) == ("succeeded", 5000, 5000)
        assert by_hand.told(world, payment) == ["payment.processing", "payment.succeeded"]
        query = (
            "SELECT to_status FROM audit_log WHERE payment_id = :id AND subject_kind = 'transaction' ORDER BY number"
        )
        steps = [row["to_status"] for row in world.rows(query, id=parse_id("payment", payment["id"]))]
        assert steps == ["sent", "unknown", "succeeded"]
        assert len(world.charges("stripe", payment["id"])) == 1


class TestClaims:
    def _enqueue(self, world: World, count: int) -> list[UUID]:
        with world.api.transaction(world.scope) as connection:
            return [jobs.enqueue(connection, world.scope, "sync_payment") for _ in range(count)]

    @pytest.mark.parametrize("hinted", [False, True])
    def test_no_job_is_ever_two_workers(self, world: World, hinted: bool) -> None:
        ids = self._enqueue(world, 120)
        meet = threading.Barrier(8)

        def claim(worker: str) -> list[jobs.Job]:
            meet.wait(10)
            taken: list[jobs.Job] = []
            while found := jobs.claim(world.worker.database, "payments", 7, worker, 60.0, ids if hinted else None):
                taken += found
            return taken

        found = at_once([partial(claim, f"worker-{number}") for number in range(8)])
        every = [job for taken in found for job in taken]
        assert Counter(job.id for job in every) == dict.fromkeys(ids, 1)
        assert {(job.attempts, job.fence) for job in every} == {(1, 1)}
        with world.worker.transaction(world.scope) as connection:
            for job in every:
                jobs.finish(connection, job)

    def test_a_job_left_by_a_dead_worker_is_taken_over_once(self, world: World) -> None:
        ids = self._enqueue(world, 30)
        dead = jobs.claim(world.worker.database, "payments", 30, "dead", 6.0)
        assert {job.id for job in dead} == set(ids)
        assert jobs.claim(world.worker.database, "payments", 30, "early", 6.0) == []
        world.advance(7)
        found = at_once([partial(jobs.claim, world.worker.database, "payments", 7, f"w{n}", 60.0) for n in range(8)])
        every = [job for taken in found for job in taken]
        assert len(every) == len({job.id for job in every}) == 30
        assert {job.fence for job in every} == {2}
        with world.worker.transaction(world.scope) as connection:
            for job in dead:
                with pytest.raises(jobs.LeaseLost):
                    jobs.finish(connection, job)
            for job in every:
                jobs.finish(connection, job)


def test_lists_show_every_payment_once_while_others_are_made(world: World) -> None:
    """Keyset pages: no row twice, none left out, whatever is inserted meanwhile."""
    before = [world.create(reference="pages")["id"] for _ in range(12)]
    stop = threading.Event()

    def insert() -> None:
        while not stop.is_set():
            post(world, "/v1/payments", world.payment_body(reference="pages"), str(uuid4()))

    def read() -> list[str]:
        seen: list[str] = []
        after: str | None = None
        try:
            while True:
                page = world.get("/v1/payments", params={"reference": "pages", "limit": 3, "after": after}).json()
                seen += [one["id"] for one in page["data"]]
                if not page["has_more"]:
                    return seen
                after = page["next"]
        finally:
            stop.set()

    seen, *_ = at_once([read, insert, insert])
    assert len(set(seen)) == len(seen)
    assert [one for one in seen if one in before] == before[::-1]
