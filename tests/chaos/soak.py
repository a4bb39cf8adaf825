"""Steady load while everything dies, freezes, lies and forgets: nothing is lost or done twice, and all of it ends."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any
from uuid import UUID

from cli.demo.schedule import Schedule
from core.domain.identifiers import public_id
from tests.chaos.hurting import Hurting
from tests.chaos.looking import Stuck, told
from tests.chaos.recovery import BOUNDS, Recovery
from tests.chaos.report import Options, Report, Row, Verdict, say
from tests.chaos.settings import OWN_LEASES
from tests.chaos.shop import PAYSTACK_CARD, STRIPE_CARD, Shop, submit
from tests.chaos.stage import Stage
from tests.chaos.tally import Tally, tally

#: The leases of a real installation, since recovery is measured against them. Look-ups come sooner, so that a run of
#: minutes sees what a day would.
SETTINGS: Mapping[str, Any] = {
    **OWN_LEASES,
    "provider_deadline": 4,
    "not_found_after": 15,
    "not_found_spacing": 5,
    "refund_absent_spacing": 20,
    "lookup_delays": "1,3,8,20,60",
    "sync_delays": "10,30,60,300",
}
#: Seconds under faults, and payments a second: two cores, with the load's own work on them.
LONG, SHORT = 420.0, 110.0
RATE = 5.0
#: Seconds of the machine's time until everything has come to rest; time is moved meanwhile.
REST = 240.0
#: What a run must have fired and accepted, by whether it is short: far below what two busy cores do.
FAULTS = {False: 2000, True: 300}
PAYMENTS = {False: 1000, True: 150}
#: Every kind of process dies in every run, and comes back.
MORTAL: Sequence[str] = ("api", "worker", "beat", "redis", "postgres")


def run(options: Options) -> Report:
    report = Report("chaos-soak", options.seed)
    seconds = SHORT if options.short else LONG
    stage = Stage(options.scratch / "soak", settings=SETTINGS, seed=options.seed)
    with stage:
        recovery = Recovery(stage, SETTINGS["lease"])
        shop = Shop(stage, RATE, options.seed)
        hurting = Hurting(stage, recovery, options.seed)
        trouble = _hurt(stage, recovery, shop, hurting, seconds)
        found = tally(stage, shop.jobs)
        fired = stage.faults_fired
        broken = [str(one) for one in stage.invariants()]
    faults = sum(fired.values()) + hurting.kills["flush"]
    _rows(report, found, recovery, faults, hurting, trouble + broken)
    _enough(report, stage, faults, found.accepted, short=options.short)
    report.summary |= {
        # The rows look at the same faults and payments.
        "faults": faults,
        "jobs": found.accepted + len(shop.jobs),
        **found.figures(),
        "faults by kind": dict(sorted(fired.items())),
        "killed": dict(sorted(hurting.kills.items())),
        "longest recovery": {cause: round(recovery.seconds(cause), 2) for cause in BOUNDS},
        "stories": dict(sorted(shop.told.items())),
        "given up": dict(sorted(shop.given_up.items())),
    }
    return report


def _enough(report: Report, stage: Stage, faults: int, accepted: int, *, short: bool) -> None:
    """A quiet run would prove nothing."""
    for name, count, least in (("faults", faults, FAULTS[short]), ("payments", accepted, PAYMENTS[short])):
        verdict: Verdict = "ok" if count >= least else "FAILED"
        report.add(Row(f"at least {least} {name}", faults, accepted, None, verdict, f"{count} {name}"))
    back = [str(told["child"]) for _, event, told in stage.reports if event == "child_restarted"]
    for kind in MORTAL:
        times = sum(one == kind or one.startswith(f"{kind}-") for one in back)
        report.add(Row(f"{kind} died and came back", times, accepted, None, "ok" if times else "FAILED"))


def _hurt(stage: Stage, recovery: Recovery, shop: Shop, hurting: Hurting, seconds: float) -> list[str]:
    """Load and faults side by side, then peace. What did not come to rest is told."""
    with ExitStack() as stack:
        stack.enter_context(recovery)
        with shop, hurting:
            _talk(stage, seconds)
        # Of the recovery under peace the last fault's is part.
        stage.pause(BOUNDS["process"])
    return rest(stage)


def _talk(stage: Stage, seconds: float) -> None:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        stage.pause(min(left, 30.0))
        say(f"    {len(stage.accepted)} payments accepted, {sum(stage.faults_fired.values())} faults fired")


def rest(stage: Stage, seconds: float = REST) -> list[str]:
    """Waits, and moves time, until nothing is open but what waits for a person or the merchant."""
    schedule = Schedule({**stage.service.environment(), "DATABASE_URL": stage.service.worker_database_url})
    end = time.monotonic() + seconds
    try:
        while True:
            stage.quiet(max(10.0, end - time.monotonic()), advance=True)
            waiting = stage.query(_WAITING)
            if not waiting:
                return []
            if time.monotonic() > end:
                return [f"not at rest after {seconds:.0f} s:{told(waiting)}"]
            _pay_pages(stage, [row for row in waiting if row["status"] == "requires_action"])
            stage.advance(max(1.0, min(row["due_in"] for row in waiting) + 1.0))
            schedule.run("synchronise_open")
            schedule.run("close_abandoned")
            stage.pause(1.0)
    except Stuck as stuck:
        return [str(stuck)]
    finally:
        schedule.close()


def _pay_pages(stage: Stage, rows: list[dict[str, Any]]) -> None:
    """Customers who were kept from it come back."""
    for row in rows:
        action = stage.payment(public_id("payment", UUID(row["id"])))["next_action"]
        if action is None or action["url"] is None:
            continue
        if "/authenticate/" in action["url"]:
            submit(action["url"], {"action": "authorize"})
        else:
            card = PAYSTACK_CARD if row["provider"] == "paystack" else STRIPE_CARD
            submit(action["url"], {"action": "pay", "card": card})


#: Open payments and refunds that no job and no person looks after: only a look at the provider moves them on.
_WAITING = """
SELECT p.id, p.status, p.provider, coalesce(extract(epoch FROM p.next_sync_at - app_now()), 0)::float AS due_in
FROM payments p
WHERE (p.status IN ('processing', 'requires_action')
       OR EXISTS (SELECT 1 FROM refunds r WHERE r.payment_id = p.id AND r.status = 'processing')
       OR EXISTS (SELECT 1 FROM transactions t WHERE t.payment_id = p.id
                  AND (t.status IN ('sent', 'unknown', 'pending') OR t.recheck_at IS NOT NULL)))
  AND NOT EXISTS (SELECT 1 FROM jobs j WHERE j.payment_id = p.id AND j.status = 'needs_review')
"""


def _rows(report: Report, found: Tally, recovery: Recovery, faults: int, hurting: Hurting, trouble: list[str]) -> None:
    late = [
        f"{one.kind} {one.job} waited {one.seconds:.1f} s ({one.cause}, {BOUNDS[one.cause]:.0f} s allowed)"
        for one in recovery.verdict()
    ]
    kills = sum(hurting.kills.values())
    for name, bad in (
        ("nothing lost", found.lost),
        ("nothing charged or given back twice", found.doubled),
        ("every status is the ledger's", found.wrong),
        ("everything accepted has ended or is in review", found.unended),
        ("all invariants hold, all at rest", trouble),
    ):
        report.add(Row(name, faults, found.accepted, None, "FAILED" if bad else "ok", "\n".join(bad[:12])))
    for cause in BOUNDS:
        bad = [one for one in late if f"({cause}," in one]
        name = f"due jobs are claimed again within {BOUNDS[cause]:.0f} s ({cause})"
        seconds = recovery.seconds(cause)
        report.add(Row(name, kills, found.accepted, seconds, "FAILED" if bad else "ok", "\n".join(bad[:8])))
    if hurting.troubles:
        report.summary["faults that failed"] = hurting.troubles[:20]
