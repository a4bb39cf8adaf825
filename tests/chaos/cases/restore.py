"""The database is lost and put back from a dump while the service is in use: the drill of docs/operations.md."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

from tests.chaos.cases.case import Case, Ground, expect
from tests.support.drill import type_all
from tests.support.waiting import wait_until

PAYMENTS = 5


def drill(ground: Ground, *, anchored: bool) -> None:
    """Dumped with payments queued, which are made afterwards; restored, resumed: each is found and made once.

    Not `anchored`, the database is lost before the anchor file knows that it had gone on.
    """
    stage = ground.stage
    ours = [one for one in stage.service.children if one.startswith(("api", "worker-", "beat"))]
    workers = [one for one in ours if one.startswith("worker-")]
    before = ground.pay_many(PAYMENTS)
    for payment in before:
        ground.paid_once(payment)
    stage.quiet(40)
    with ground.without_webhooks():
        for one in workers:
            stage.service.stop_child(one)
        queued = ground.pay_many(PAYMENTS)
        type_all("backup", _superuser(ground), stage.directory)
        for one in workers:
            stage.service.start_child(one)
        for payment in queued:
            ground.paid_once(payment)
        if anchored:
            _wait_for_the_anchor(ground)
        for one in reversed(ours):
            stage.service.stop_child(one)
        type_all("restore", _superuser(ground), stage.directory)
        ground.hurt("database.restored")
        for one in ours:
            stage.service.start_child(one)
        paused = lambda: stage.request("GET", "/readyz").json()["dependencies"]["installation"]["status"]  # noqa: E731
        wait_until(lambda: paused() == "paused", "the installation to be paused", 30, every=0.2)
        expect({stage.payment(one)["status"] for one in queued} == {"processing"}, "the dump holds more than it should")
        _tollgate(ground, "resume", "--reason", "the drill of chaos", "--yes")
        ground.since()
        for payment in (*before, *queued):
            ground.paid_once(payment, seconds=60)
    stage.quiet(60, advance=True)
    _tollgate(ground, "audit", "verify")


def _superuser(ground: Ground) -> str:
    postgres = ground.stage.service._postgres
    assert postgres is not None
    return postgres.superuser_url


def _wait_for_the_anchor(ground: Ground) -> None:
    file = ground.stage.service.data_dir / "anchor.json"
    newest = ground.stage.query("SELECT max(number) AS n FROM audit_log")[0]["n"]
    wait_until(lambda: json.loads(file.read_text())["audit_number"] >= newest, "the anchor", 40, every=0.2)


def _tollgate(ground: Ground, *arguments: str) -> None:
    env = {"PATH": os.defpath, "TOLLGATE_DATA_DIR": str(ground.stage.service.data_dir)}
    program = Path(sys.executable).with_name("tollgate")
    ended = subprocess.run([program, *arguments], env=env, capture_output=True, text=True, timeout=120)
    expect(ended.returncode == 0, f"tollgate {arguments[0]}: {ended.stdout[-300:]}{ended.stderr[-300:]}")


CASES = (
    Case(
        "+", "restore", "the database lost, restored from a dump and resumed", "paused, then 1 charge each", 1,
        partial(drill, anchored=True), "apart",
    ),
    Case(
        "+", "restore.seconds", "the same, lost before the anchor file was written", "paused, then 1 charge each", 1,
        partial(drill, anchored=False), "apart",
    ),
)  # fmt: skip
