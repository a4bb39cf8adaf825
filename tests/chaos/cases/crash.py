"""Processes that die, freeze or are told to stop, at the worst moment."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Callable

import requests

from core.orchestration.jobs import MAX_LEASE_LOSSES
from tests.chaos.cases.case import Case, Ground, expect, fresh
from tests.chaos.stage import TOKEN
from tests.support.waiting import wait_until

#: How often the order is given: more often than a poison job is allowed to kill, to see it stop.
DEATHS = 12
#: Seconds between two payments of a client: a load that this machine carries besides everything else.
PAUSE = 0.1


def after_commit(ground: Ground) -> None:
    order = ground.stage.arm("accept.committed", "create_payment")
    payment = ground.stage.pay(reference=fresh("case-1"))
    ground.died_at(order)
    expect(ground.count("payments WHERE reference = %s", payment["reference"]) == 1, "one key made two payments")
    ground.paid_once(payment["id"])


def before_commit(ground: Ground) -> None:
    reference, key = fresh("case-2"), fresh("case-2")
    order = ground.stage.arm("accept.written", "create_payment")
    try:
        status = ground.stage.request("POST", "/v1/payments", {**TOKEN, "reference": reference}, idempotency=key)
        expect(status.status_code >= 500, f"the client was told {status.status_code} for nothing")
    except requests.RequestException:
        pass  # as a client sees a process that died
    ground.died_at(order)
    expect(ground.count("payments WHERE reference = %s", reference) == 0, "half a request was written")
    payment = ground.stage.pay(idempotency=key, reference=reference)
    ground.paid_once(payment["id"])


def _killed(point: str) -> Callable[[Ground], None]:
    def run(ground: Ground) -> None:
        order = ground.stage.arm(point, "create_payment")
        payment = ground.stage.pay()
        ground.died_at(order)
        ground.paid_once(payment["id"])
        expect(len(ground.transactions(payment["id"])) == 1, "a second transaction was made")

    return run


def hint_lost_with_its_worker(ground: Ground) -> None:
    redis = ground.proxy("redis")
    before = redis.fired["drop_reply"]
    redis.drop_reply(b"BRPOP", times=2)
    wait_until(lambda: redis.fired["drop_reply"] >= before + 1, "a worker to ask Redis for a hint")
    payments = ground.pay_many(5)
    ground.kill("worker-1")
    for payment in payments:
        ground.paid_once(payment)


def stopped_in_its_call(ground: Ground) -> None:
    """The provider answers only when the lease is long over."""
    ground.stage.fault("stripe", operation="payment_intents.create", effect="delay", ms=1200)
    payment = ground.stage.pay()["id"]
    sleeper = ground.worker_of(payment)
    wait_until(lambda: ground.transactions(payment), "the announcement")
    _sleep_and_wake(ground, payment, sleeper)


def stopped_before_its_call(ground: Ground) -> None:
    """The process stops itself once its announcement is committed, and wakes when the payment has ended."""
    order = _arm_stop(ground, "job.announced", "create_payment")
    payment = ground.stage.pay()["id"]
    death = ground.stage.crashes.wait(order, 20)
    sleeper = next(name for name, pid in ground.stage.service.children.items() if pid == death["pid"])
    _sleep_and_wake(ground, payment, sleeper)


def _arm_stop(ground: Ground, point: str, kind: str) -> str:
    """As `Stage.arm`, but the process is stopped and not killed."""
    name = ground.stage.arm(point, kind, nth=1_000_000)  # not met before it is rewritten
    file = ground.stage.crashes.directory / "armed" / name
    draft = ground.stage.crashes.directory / name
    draft.write_text(json.dumps({"point": point, "kind": kind, "nth": 1, "signal": int(signal.SIGSTOP)}))
    draft.rename(file)
    return name


def _sleep_and_wake(ground: Ground, payment: str, sleeper: str) -> None:
    told = ground.log(sleeper).count("lease_lost")
    ground.kill(sleeper, signal.SIGSTOP)
    try:
        ground.paid_once(payment)
        # Its own look back, if one is still to come, must not be taken for the sleeper's.
        ground.stage.quiet(30)
        rows = ground.money_rows(payment)
        sent = ground.stage.ledger("stripe")
    finally:
        ground.kill(sleeper, signal.SIGCONT)
    wait_until(lambda: ground.log(sleeper).count("lease_lost") > told, "the woken worker to be refused", 15)
    expect(ground.money_rows(payment) == rows, "the woken worker has changed a row")
    expect(ground.stage.ledger("stripe") == sent, "the woken worker has sent something")


def poison(ground: Ground) -> None:
    held = ground.stage.pay(capture="manual")["id"]
    ground.ended(held, "authorized")
    # The first death takes a whole batch along, the others happen in the middle of a call.
    orders = [ground.stage.arm("job.claimed", "capture_payment")]
    orders += [ground.stage.arm("call.sending", "capture_payment") for _ in range(DEATHS - 1)]
    workers = [name for name in ground.stage.service.children if name.startswith("worker")]
    for worker in workers:
        ground.kill(worker, signal.SIGSTOP)
    ground.stage.insist(f"/v1/payments/{held}/capture", {})
    ground.since()
    mates = ground.pay_many(10)
    for worker in workers:
        ground.kill(worker, signal.SIGCONT)

    def given_up() -> bool:
        return bool(ground.jobs(held, "capture_payment")[0]["status"] == "needs_review")

    wait_until(given_up, "the poison job to go to a person", 120, every=0.2)
    left = ground.stage.disarm()
    deaths = len(orders) - len(left)
    most = MAX_LEASE_LOSSES + 1
    expect(2 <= deaths <= most, f"it killed {deaths} workers, and {most} are allowed")
    ground.all_alive()
    for mate in mates:
        ground.paid_once(mate)
    for mate in mates:
        (job,) = ground.jobs(mate, "create_payment")
        expect(job["attempts"] <= 3, f"a mate lost {job['attempts']} attempts")
        expect(job["lease_losses"] <= 2, f"a mate was charged with {job['lease_losses']} deaths")
    ground.paid_once(ground.stage.pay()["id"])
    ground.charged(held, 1)


class Clients:
    """Clients in threads that pay without a pause and try again only what never got a connection."""

    def __init__(self, ground: Ground, threads: int = 3) -> None:
        self._ground, self._stop = ground, threading.Event()
        self.accepted: list[str] = []
        self.refused: list[str] = []
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(threads)]

    def __enter__(self) -> Clients:
        for one in self._threads:
            one.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for one in self._threads:
            one.join(40)

    def _run(self) -> None:
        while not self._stop.wait(PAUSE):
            key = fresh("client")
            while True:
                try:
                    answer = self._ground.stage.request("POST", "/v1/payments", TOKEN, idempotency=key)
                except requests.ConnectionError:
                    self._stop.wait(0.05)
                    continue
                if answer.status_code == 202:
                    self.accepted.append(answer.json()["payment"]["id"])
                else:
                    self.refused.append(f"{answer.status_code} {answer.text[:200]}")
                break


def rolling_restart(ground: Ground) -> None:
    with Clients(ground) as clients:
        for child in ("worker-1", "api", "worker-2", "beat"):
            done = len(clients.accepted)
            wait_until(lambda done=done: len(clients.accepted) > done + 10, "the load to go on", 20)  # type: ignore[misc]
            ground.stage.service.restart(child)
            ground.hurt(f"{child}.SIGTERM")
    expect(not clients.refused, f"a client was told {clients.refused[:3]}")
    ground.stage.quiet(60)
    ids = set(clients.accepted)
    charged = [one["metadata"].get("tollgate_payment") for one in ground.stage.ledger("stripe")["charges"]]
    expect(sorted(one for one in charged if one in ids) == sorted(ids), "a payment was charged twice, or never")


CASES = (
    Case("1", "crash", "api killed after commit, before hint", "the repetition finds the same job", 1, after_commit),
    Case("2", "crash", "api killed before commit", "an error, no row, the repetition works", 1, before_commit),
    Case("3", "crash", "worker killed after claim", "the other worker runs it; 1 charge", 1, _killed("job.claimed")),
    Case("4", "crash", "worker killed announced, unsent", "sent under the same key", 1, _killed("job.announced")),
    Case("5", "crash", "worker killed after the provider acted", "1 charge, found", 1, _killed("call.answered")),
    Case(
        "6", "crash", "hint taken from Redis dies with its worker", "polling finds every job", 2,
        hint_lost_with_its_worker, note="queues without acknowledgements: the answer to BRPOP is lost, then its worker",
    ),
    Case("7a", "crash", "worker stopped in its call, woken late", "no row, no send", 3, stopped_in_its_call),
    Case("7b", "crash", "worker stopped before its call, woken", "no row, no send", 3, stopped_before_its_call),
    Case("8", "crash", "poison job kills every worker", "review; mates unharmed; the lane flows", 2, poison, "apart"),
    Case("9", "crash", "SIGTERM of each process in turn, under load", "no client error, 1 charge", 4, rolling_restart),
)  # fmt: skip
