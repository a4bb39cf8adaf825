"""Tests the tests: with one safeguard of Tollgate switched off at a time, a few faults must show it.

Each module beside this one is a switch: its `apply` changes the product inside the processes of one stage (they load
it through `plant/sitecustomize.py`), its `SQL`, where it has one, the database. Nothing in the product knows them.
"""

from __future__ import annotations

import contextlib
import importlib
import signal
from collections.abc import Callable, Mapping, Sequence

from core.domain.identifiers import parse_id
from tests.chaos.looking import Stuck
from tests.chaos.report import Options, Report, Row
from tests.chaos.stage import Stage
from tests.chaos.tally import tally
from tests.support.waiting import wait_until

Check = Callable[[Stage], list[str]]

#: A send that arrives when its caller has given up (2 s) and asked for it in vain.
LATE_MS = 4500
#: Seconds in which a job whose worker died is claimed again, and meets what is in its way a few times.
_MET_AGAIN = 12.0
#: Seconds in which a woken worker would have written what it still held.
WOKEN = 4.0


def run(options: Options) -> Report:
    report = Report("chaos-sabotage", options.seed)
    for switch in (None, *SWITCHES):
        name = switch or "nothing"
        if options.only is not None and options.only not in name:
            continue
        if switch in KEPT:
            report.add(_kept(options, switch))
        with Stage(options.scratch / name, sabotage=switch, seed=options.seed) as stage:
            sql = None if switch is None else getattr(importlib.import_module(f"{__name__}.{switch}"), "SQL", None)
            if sql is not None:
                stage.query(sql)
            caught = _caught(stage, CHECKS if switch is None else {one: CHECKS[one] for one in SWITCHES[switch]})
            faults, jobs = sum(stage.faults_fired.values()), len(stage.accepted)
            if switch in KEPT and not tally(stage).doubled:
                caught.clear()  # noticed by what went before: then it would be noticed with the index, too
        as_it_should = not caught if switch is None else bool(caught)
        text = "\n".join(f"{check}: {found[0][:300]}" for check, found in caught.items())
        row_name = "nothing switched off: all green" if switch is None else f"{switch} switched off: caught"
        note = text or ("" if switch is None else "chaos stayed green: it would not notice if this safeguard were gone")
        report.add(Row(row_name, faults, jobs, None, "ok" if as_it_should else "FAILED", note))
        report.summary[name] = sorted(caught)
    return report


def _kept(options: Options, switch: str) -> Row:
    """The same without its `SQL`: what is taken from the database is what keeps the books, and nothing before it."""
    with Stage(options.scratch / f"{switch}-kept", sabotage=switch, seed=options.seed) as stage:
        order = stage.arm("call.answered", "create_payment")
        stage.pay()
        wait_until(lambda: order in {one["name"] for one in stage.fired()}, "a worker to die with the answer", 30)
        with contextlib.suppress(Stuck):  # a job that meets the index is tried again, and goes to a person in the end
            stage.quiet(_MET_AGAIN, advance=True)
        doubled = tally(stage).doubled
        faults, jobs = sum(stage.faults_fired.values()), len(stage.accepted)
    return Row(KEPT[switch], faults, jobs, None, "FAILED" if doubled else "ok", "\n".join(doubled[:3]))


def _caught(stage: Stage, checks: Mapping[str, Check]) -> dict[str, list[str]]:
    """What each check found, where it found anything; the books are compared at the end of each."""
    caught = {}
    for name, check in checks.items():
        found = check(stage)
        try:
            stage.quiet(40, advance=True)
        except Stuck as stuck:
            found.append(str(stuck))
        found += tally(stage).bad
        found += [str(one) for one in stage.invariants()]
        if found:
            caught[name] = found
    return caught


def _woken_worker(stage: Stage) -> list[str]:
    """A worker stopped past its lease and woken again changes no row."""
    stage.sandbox("stripe", "settings", {"latency_ms": 1200})
    ids = [str(parse_id("payment", stage.pay()["id"])) for _ in range(8)]

    def busy() -> str | None:
        rows = stage.query(_WORKERS, ids)
        pids = {name: str(pid) for name, pid in stage.service.children.items() if name.startswith("worker")}
        return next((name for name, pid in pids.items() for row in rows if pid in row["worker"]), None)

    worker = wait_until(busy, "a worker in the middle of its calls")
    stage.kill(worker, signal.SIGSTOP)
    stage.sandbox("stripe", "settings", {"latency_ms": 0})
    try:
        wait_until(lambda: not stage.query(_UNDONE, ids), "the other worker to end every job", 30)
        stage.quiet(30)
        before = stage.query(_STATE, ids, ids, ids)
    finally:
        stage.kill(worker, signal.SIGCONT)
    stage.pause(WOKEN)
    after = stage.query(_STATE, ids, ids, ids)
    changed = [row["id"] for row in after if row not in before]
    return [f"a woken worker changed {len(changed)} rows, {changed[0]} first"] if changed else []


def _late_arrival(stage: Stage) -> list[str]:
    """The first send arrives after its caller asked for it in vain and sent again."""
    stage.fault("stripe", effect="delay", ms=LATE_MS, operation="payment_intents.create", times=1)
    _paid(stage)
    return []


def _refused_second_send(stage: Stage) -> list[str]:
    """The first send charges late, the second is refused: the refusal proves nothing about the first."""
    stage.sandbox("stripe", "settings", {"webhooks": False})
    stage.fault("stripe", effect="delay", ms=LATE_MS, operation="payment_intents.create", times=1)
    stage.fault("stripe", effect="status_before", status=400, operation="payment_intents.create", times=1)
    payment = stage.pay()["id"]
    stage.pause(LATE_MS / 1000 + 1)
    stage.sandbox("stripe", "settings", {"webhooks": True})
    wait_until(lambda: stage.payment(payment)["status"] != "processing", "the payment to end", 30)
    return []


def _death_after_the_answer(stage: Stage) -> list[str]:
    """A worker dies when the provider has charged and nothing of it is written; no webhook tells of it in time."""
    stage.sandbox("stripe", "settings", {"webhooks": False})
    order = stage.arm("call.answered", "create_payment")
    _paid(stage)
    stage.sandbox("stripe", "settings", {"webhooks": True})
    return ["no worker died"] if stage.disarm(order) else []


def _paid(stage: Stage) -> None:
    payment = stage.pay()["id"]
    wait_until(lambda: stage.payment(payment)["status"] != "processing", "the payment to end", 30)
    stage.pause(LATE_MS / 1000)


CHECKS: Mapping[str, Check] = {
    "a worker woken past its lease": _woken_worker,
    "a send that arrives late": _late_arrival,
    "a second send that is refused": _refused_second_send,
    "a death after the provider's answer": _death_after_the_answer,
}
#: Each switch, and what must notice it.
SWITCHES: Mapping[str, Sequence[str]] = {
    "fence": ("a worker woken past its lease",),
    "stored_key": ("a send that arrives late",),
    "unique_index": ("a death after the provider's answer",),
    "every_send": ("a second send that is refused",),
}
#: Switches that take something from the database and what hides its absence: with that alone gone, nothing is doubled.
KEPT: Mapping[str, str] = {
    "unique_index": "unique_index kept, the look before it switched off: not doubled",
}

_WORKERS = "SELECT worker FROM jobs WHERE payment_id = ANY(%s::uuid[]) AND status = 'running' AND lane = 'payments'"
_UNDONE = "SELECT 1 FROM jobs WHERE payment_id = ANY(%s::uuid[]) AND status IN ('queued', 'running')"
#: Every row of the payments with all it holds.
_STATE = """
SELECT 'job ' || j.id AS id, md5(j::text) AS state FROM jobs j WHERE payment_id = ANY(%s::uuid[])
UNION ALL SELECT 'transaction ' || t.id, md5(t::text) FROM transactions t WHERE payment_id = ANY(%s::uuid[])
UNION ALL SELECT 'payment ' || p.id, md5(p::text) FROM payments p WHERE id = ANY(%s::uuid[])
"""
