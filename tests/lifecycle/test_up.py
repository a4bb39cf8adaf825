"""`tollgate up` whole: started, used, hurt, stopped, started again."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import psutil
import pytest

from cli.embedded import start_embedded
from cli.placement import place
from tests.cli.waiting import alive, wait_until
from tests.support.running import Up

FOLDER = "a folder with spaces"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    made = tmp_path_factory.mktemp("up") / FOLDER
    made.mkdir()
    yield made
    place(made / "data").remove()


@pytest.fixture(scope="module")
def up(folder: Path) -> Iterator[Up]:
    started = Up(folder, "--workers", "1")
    try:
        started.ready()
        yield started
    finally:
        started.end()


def everything_below(pid: int) -> list[int]:
    return [process.pid for process in psutil.Process(pid).children(recursive=True)]


def test_one_line_of_json_names_all_one_needs(up: Up) -> None:
    details = up.details
    assert len(up.out.read_text().splitlines()) == 1
    assert set(details) >= {"api", "docs", "test_key", "admin_key", "sandbox", "database_url", "redis_url"}
    assert set(details["sandbox"]) == {"stripe", "paystack"}
    assert details["test_key"].startswith("tg_test_")
    assert details["admin_key"].startswith("tg_admin_")
    assert details["database_url"].startswith("postgresql://tollgate_worker:")
    names = ["postgres", "redis", "sandbox-stripe", "sandbox-paystack", "api", "worker-1", "beat"]
    assert list(up.children()) == names


def test_payment_goes_through(up: Up) -> None:
    assert up.pay("first")["status"] == "succeeded"


def test_no_secret_in_any_argument_list_or_environment_of_the_sandbox(up: Up) -> None:
    details = up.details
    password = details["database_url"].split(":")[2].split("@")[0]
    secrets = [password, details["test_key"], details["admin_key"], details["redis_url"].split("@")[0][9:]]
    processes = [psutil.Process(pid) for pid in everything_below(up.process.pid)]
    arguments = " ".join(" ".join(process.cmdline()) for process in processes)
    assert "api.serve" in arguments
    assert not [secret for secret in secrets if secret in arguments]
    sandbox = psutil.Process(up.children()["sandbox-stripe"]).environ()
    assert not [secret for secret in secrets if secret in " ".join(sandbox.values())]


@pytest.mark.parametrize("name", ["worker-1", "beat"])
def test_no_banner_stands_among_the_lines_of_a_log(up: Up, name: str) -> None:
    assert f"v{metadata.version('celery')}" not in (up.cwd / "data" / "logs" / f"{name}.log").read_text()


def test_second_up_says_who_runs_and_exits(up: Up) -> None:
    done = up.command("up")
    assert done.returncode == 1
    assert f"process {up.process.pid}, {up.details['api']}" in done.stderr
    assert done.stdout == ""


def test_dead_worker_is_replaced_and_payments_go_on(up: Up) -> None:
    before = up.children()["worker-1"]
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: [event["event"] for event in up.events()][-1:] == ["child_restarted"], 60.0)
    died = up.events()[-2]
    assert (died["event"], died["child"], died["ended_with"]) == ("child_died", "worker-1", "signal SIGKILL")
    assert up.children()["worker-1"] != before
    assert up.pay("after the death of a worker")["status"] == "succeeded"


def test_doctor_finds_nothing_wrong(up: Up) -> None:
    done = up.command("doctor")
    assert done.returncode == 0, done.stdout
    assert "failed" not in done.stdout
    assert "is ready" in done.stdout


def test_the_books_of_a_running_service_are_in_order(up: Up) -> None:
    assert up.pay("before the look")["status"] == "succeeded"
    done = up.command("doctor", "--invariants", "--all", "--json")
    lines = {line["invariant"]: line for line in json.loads(done.stdout)}
    assert (done.returncode, [line["violations"] for line in lines.values()]) == (0, [[]] * 8), done.stdout
    assert {line["verdict"] for line in lines.values()} == {"ok"}
    assert lines["I5"]["looked"] == "ledgers: paystack, stripe"
    assert "not built yet" not in done.stdout


def test_a_secret_in_a_log_fails_the_look_and_is_not_repeated(up: Up, folder: Path) -> None:
    (folder / "old.log").write_text("using sk_test_4eC39HqLyjWDarjtT1zdp7dc\n")
    done = up.command("doctor", "--invariants", "--since", "1h", "--log", str(folder / "old.log"))
    assert done.returncode == 1
    assert "I7 told_in_log" in done.stdout
    assert "4eC39Hq" not in done.stdout
    assert up.command("doctor", "--invariants", "--since", "soon").returncode == 2


def test_migrate_again_changes_nothing(up: Up) -> None:
    done = up.command("migrate")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("The database is at revision")


def test_stop_and_start_again(folder: Path) -> None:
    """Not the shared one: it is stopped here, and killed, and comes back with all it had."""
    place_of = folder / "again"
    place_of.mkdir()
    first = Up(place_of, "--workers", "1")
    try:
        details = first.ready()
        payment = first.pay("kept")
        children = everything_below(first.process.pid)
        assert first.end(signal.SIGINT) == 0
        assert not [pid for pid in children if alive(pid)]

        second = Up(place_of, "--workers", "1")
        again = second.ready()
        names = ("api", "test_key", "admin_key", "sandbox", "database_url", "redis_url", "accounts")
        assert [again[name] for name in names] == [details[name] for name in names]
        assert second.call("GET", f"/v1/payments/{payment['id']}")[1]["status"] == "succeeded"
        children = everything_below(second.process.pid)
        second.end(signal.SIGKILL)

        # An operator's own word is stronger than what the local providers would like.
        named = {"TOLLGATE_ALLOW_PRIVATE_WEBHOOK_TARGETS": "0"}
        third = Up(place_of, "--workers", "1", environ=named)
        third.ready()
        assert named.items() <= psutil.Process(third.children()["worker-1"]).environ().items()
        assert not [pid for pid in children if alive(pid)]
        assert third.pay("kept")["id"] == payment["id"]
        assert third.end() == 0
    finally:
        place(place_of / "data").remove()


def test_named_servers_are_used_instead_of_our_own(tmp_path: Path) -> None:
    with start_embedded(tmp_path / "servers") as servers:
        named = {
            "DATABASE_URL": servers.postgres_url.replace("+psycopg2", ""),
            "REDIS_URL": servers.redis_url,
        }
        up = Up(tmp_path, "--workers", "1", "--no-sandbox", environ=named)
        try:
            details = up.ready()
            assert details["sandbox"] is None
            assert details["redis_url"] == servers.redis_url
            assert list(up.children()) == ["api", "worker-1", "beat"]
            assert up.call("GET", "/v1/payments") == (200, {"data": [], "has_more": False, "next": None})
            assert "tollgate_worker_" in details["database_url"]
        finally:
            up.end()


def test_taken_port_is_named(up: Up, tmp_path: Path) -> None:
    taken = up.details["api"].rsplit(":")[-1]
    other = Up(tmp_path, "--port", taken, "--workers", "1")
    try:
        assert other.process.wait(120) == 1
        assert f"port {taken} is taken" in other.err.read_text()
    finally:
        other.end()
        place(tmp_path / "data").remove()
