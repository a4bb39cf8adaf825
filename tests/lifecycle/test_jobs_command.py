"""What an operator does with jobs in review, on a running installation."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from cli.errors import Refused
from cli.main import tollgate
from core.domain.durations import waits
from core.domain.identifiers import parse_id, public_id
from tests.cli.waiting import wait_until
from tests.support.running import Up

REASON = ("--reason", "looked at the dashboard")


@pytest.fixture(scope="module")
def owner(up: Up) -> Iterator[sa.Engine]:
    engine = sa.create_engine(up.details["migration_database_url"].replace("://", "+psycopg2://", 1))
    yield engine
    engine.dispose()


def run(owner: sa.Engine, statement: str, **values: Any) -> list[Any]:
    with owner.begin() as connection:
        found = connection.execute(sa.text(statement), values)
        return list(found) if found.returns_rows else []


def in_review(up: Up, owner: sa.Engine, key: str) -> tuple[str, str]:
    """A payment that was carried out, with a look at it that was handed to a person."""
    payment = up.pay(key)
    values = {"payment": parse_id("payment", payment["id"]), "error": json.dumps({"code": "internal_error"})}
    made = run(
        owner,
        "INSERT INTO jobs (id, merchant_id, mode, kind, lane, status, payment_id, error, attempts) "
        "SELECT gen_random_uuid(), merchant_id, mode, 'sync_payment', 'payments', 'needs_review', id, "
        "CAST(:error AS jsonb), 50 FROM payments WHERE id = :payment RETURNING id",
        **values,
    )
    job_id = made[0].id
    run(
        owner,
        "INSERT INTO findings (id, merchant_id, mode, kind, dedupe_key, status, payment_id, job_id) "
        "SELECT gen_random_uuid(), merchant_id, mode, 'internal_error', CAST(id AS text), 'open', payment_id, id "
        "FROM jobs WHERE id = :job",
        job=job_id,
    )
    return payment["id"], public_id("job", job_id)


def status_of(owner: sa.Engine, job: str) -> str:
    return str(run(owner, "SELECT status FROM jobs WHERE id = :id", id=parse_id("job", job))[0].status)


def test_listed_requeued_and_carried_out_by_the_worker(up: Up, owner: sa.Engine) -> None:
    payment, job = in_review(up, owner, "requeued")
    listed = up.command("jobs", "list")
    assert listed.returncode == 0, listed.stderr
    assert job in listed.stdout
    assert "internal_error" in listed.stdout
    rows = json.loads(up.command("jobs", "list", "--json", "--kind", "sync_payment").stdout)
    assert [(row["id"], row["payment"], row["reason"]) for row in rows] == [(job, payment, "internal_error")]
    assert json.loads(up.command("jobs", "list", "--json", "--kind", "deliver_event").stdout) == []

    shown = up.command("jobs", "show", job)
    assert shown.returncode == 0, shown.stderr
    assert f"tollgate jobs requeue {job}" in shown.stdout

    done = up.command("jobs", "requeue", job, *REASON, "--actor", "ada")
    assert done.returncode == 0, done.stderr
    assert f"Job {job} is queued." in done.stdout
    wait_until(lambda: status_of(owner, job) == "succeeded", 30)
    (finding,) = run(owner, "SELECT status, resolution FROM findings WHERE job_id = :id", id=parse_id("job", job))
    assert (finding.status, finding.resolution) == ("resolved", "cli:ada: looked at the dashboard")
    timeline = up.command("payments", "show", payment).stdout
    assert "The job went from needs_review to queued" in timeline


def test_resolved_by_whoever_is_logged_in(up: Up, owner: sa.Engine) -> None:
    payment, job = in_review(up, owner, "resolved")
    done = up.command("jobs", "resolve", job, "--as", "failed", *REASON, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["status"] == "failed"
    query = "SELECT actor, cause, details FROM audit_log WHERE subject_id = :id"
    (record,) = run(owner, query, id=parse_id("job", job))
    assert record.actor.startswith("cli:")
    assert (record.cause, record.details["reason"]) == ("person", "looked at the dashboard")
    again = up.command("jobs", "resolve", job, "--as", "failed", *REASON)
    assert again.returncode == 1
    assert "it is failed" in again.stderr
    assert up.call("GET", f"/v1/payments/{payment}")[1]["status"] == "succeeded"


def test_what_is_stuck_is_listed_when_asked_for(up: Up, owner: sa.Engine) -> None:
    _, job = in_review(up, owner, "stuck")
    overdue = "UPDATE jobs SET status = 'queued', run_after = app_now() - interval '2 minutes' WHERE id = :id"
    worker = up.children()["worker-1"]
    os.kill(worker, signal.SIGSTOP)  # so that nobody takes it meanwhile
    try:
        run(owner, overdue, id=parse_id("job", job))
        assert job not in up.command("jobs", "list").stdout
        (row,) = json.loads(up.command("jobs", "list", "--stuck", "--kind", "sync_payment", "--json").stdout)
    finally:
        os.kill(worker, signal.SIGCONT)
    assert (row["id"], row["status"]) == (job, "queued")
    assert row["waits_seconds"] >= 120


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("requeue", "job_"), 2, "--reason"),
        (("requeue", "job_", *REASON), 1, "a job id begins with job_"),
        (("requeue", "job_00000000000000000000000000", *REASON), 1, "there is no job job_"),
        (("requeue", "job_00000000000000000000000000", "--reason", " "), 1, "the reason is empty"),
        (("show", "job_00000000000000000000000000"), 1, "there is no job job_"),
        (("resolve", "job_00000000000000000000000000", *REASON), 2, "--as"),
        (("resolve", "job_00000000000000000000000000", "--as", "not-executed", *REASON), 1, "--yes-i-checked"),
        (("list", "--merchant", "nobody"), 1, "begins with mer_"),
        (("list", "--kind", "nope"), 2, "'create_payment'"),
        (("list", "--lane", "nope"), 2, "'webhooks'"),
    ],
)
def test_refused_with_a_sentence(up: Up, arguments: tuple[str, ...], code: int, sentence: str) -> None:
    assert sentence in refused(up, arguments, code)


def test_a_card_number_in_the_reason_is_not_echoed(up: Up) -> None:
    number = "4242424242424242"
    said = refused(up, ("requeue", "job_00000000000000000000000000", "--reason", f"paid with {number}"), 1)
    assert "card number" in said
    assert number not in said


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("replay", "inb_00000000000000000000000000"), 2, "--reason"),
        (("replay", "inb_00000000000000000000000000", *REASON), 1, "there is no stored event inb_"),
        (("replay", "evt_00000000000000000000000000", *REASON), 1, "begins with inb_"),
        (("replay", *REASON), 1, "name an event"),
        (("replay", "inb_00000000000000000000000000", "--status", "parked", *REASON), 1, "not both"),
        (("replay", "--status", "nope", *REASON), 2, "'parked'"),
        (("replay", "--since", "yesterday", *REASON), 2, "90m, 24h or 7d"),
        (("list", "--provider", "nope"), 2, "'stripe'"),
    ],
)
def test_a_replay_is_refused_with_a_sentence(up: Up, arguments: tuple[str, ...], code: int, sentence: str) -> None:
    assert sentence in refused(up, arguments, code, "inbox")


def test_events_are_listed_and_read_again_by_the_worker(up: Up, owner: sa.Engine) -> None:
    up.pay("replayed")
    query = "SELECT id FROM inbox_events WHERE status IN ('applied', 'ignored') ORDER BY id"
    wait_until(lambda: run(owner, query), 30)
    listed = json.loads(up.command("inbox", "list", "--provider", "stripe", "--since", "1h", "--json").stdout)
    chosen = next(row for row in listed if row["status"] in ("applied", "ignored"))
    same = ("--kind", chosen["kind"], "--status", chosen["status"], "--since", "1h", *REASON)
    rehearsed = up.command("inbox", "replay", *same, "--dry-run")
    assert "would be read again; nothing was changed" in rehearsed.stdout, rehearsed.stderr
    audited = "SELECT actor FROM audit_log WHERE action = 'inbox.replayed' AND subject_id = :id"
    number = parse_id("inbox_event", chosen["id"])
    assert run(owner, audited, id=number) == []
    done = up.command("inbox", "replay", chosen["id"], *REASON, "--actor", "ada")
    assert "1 will be read again" in done.stdout, done.stderr
    assert [row.actor for row in run(owner, audited, id=number)] == ["cli:ada"]
    ended = "SELECT id FROM jobs WHERE kind = 'process_webhook' AND target_id = :id AND status = 'succeeded'"
    wait_until(lambda: len(run(owner, ended, id=number)) == 2, 30)
    assert json.loads(up.command("inbox", "show", chosen["id"], "--json").stdout)["status"] == chosen["status"]


def refused(up: Up, arguments: tuple[str, ...], code: int, group: str = "jobs") -> str:
    """What the command says, run in this process: a start of Python for each would take longer than all else."""
    done = CliRunner().invoke(tollgate, [group, *arguments], env={"TOLLGATE_DATA_DIR": str(up.cwd / "data")})
    if code == 2:
        assert done.exit_code == 2
        return done.output
    assert isinstance(done.exception, Refused), done.exception
    return done.output + str(done.exception)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(-3, "0 s"), (59, "59 s"), (61, "1 min 1 s"), (7384, "2 h 3 min"), (3 * 86400 + 7200, "3 d 2 h")],
)
def test_waiting_is_told_in_two_figures(seconds: float, said: str) -> None:
    assert waits(seconds) == said


def test_findings_are_listed_and_ended(up: Up, owner: sa.Engine) -> None:
    run(
        owner,
        "INSERT INTO findings (id, merchant_id, mode, kind, dedupe_key, status) "
        "SELECT gen_random_uuid(), merchant_id, mode, 'refund_not_ours', 're_1', 'open' FROM payments LIMIT 1",
    )
    (found,) = json.loads(up.command("findings", "list", "--json", "--kind", "refund_not_ours").stdout)
    assert found["id"] in up.command("findings", "list").stdout
    assert up.command("findings", "list", "--csv").stdout.startswith("id,kind,severity,status")
    assert "ignore" in up.command("findings", "show", found["id"]).stdout
    wrong = up.command("findings", "resolve", found["id"], "--as", "take-over", *REASON)
    assert (wrong.returncode, "choose done or ignore" in wrong.stderr) == (1, True)
    done = up.command("findings", "resolve", found["id"], "--as", "ignore", *REASON, "--actor", "ada")
    assert done.returncode == 0, done.stderr
    again = up.command("findings", "resolve", found["id"], "--as", "done", *REASON)
    assert (again.returncode, "resolved by cli:ada" in again.stderr) == (1, True)
    assert up.command("findings", "show", "fnd_1").returncode == 1
