"""The command line itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy.exc import SQLAlchemyError

from cli.main import COMMANDS, tollgate
from cli.service import Service

TOLLGATE = Path(sys.executable).with_name("tollgate")


def run(*arguments: str, cwd: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    env = {"PATH": os.defpath, "TOLLGATE_DATA_DIR": str(cwd / "data"), **environ}
    return subprocess.run(
        [TOLLGATE, *arguments], cwd=cwd, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60
    )


def test_help_names_every_command_and_imports_none(tmp_path: Path) -> None:
    done = run("--help", cwd=tmp_path)
    assert done.returncode == 0
    assert all(f"  {name} " in done.stdout for name in COMMANDS)
    traced = subprocess.run(
        [sys.executable, "-X", "importtime", TOLLGATE, "--help"], capture_output=True, text=True, cwd=tmp_path
    )
    assert "sqlalchemy" not in traced.stderr


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "demo"])
def test_every_command_explains_itself(name: str) -> None:
    done = CliRunner().invoke(tollgate, [name, "--help"], prog_name="tollgate")
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith(f"Usage: tollgate {name}")


def test_unknown_command_is_wrong_usage(tmp_path: Path) -> None:
    assert run("fly", cwd=tmp_path).returncode == 2


@pytest.mark.parametrize(
    "arguments", [("migrate",), ("keys", "list"), ("accounts", "list"), ("payments", "show", "pay_1")]
)
def test_without_an_installation_it_is_said_what_to_do(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    done = run(*arguments, cwd=tmp_path)
    assert done.returncode == 1
    assert "start it with `tollgate up`" in done.stderr
    assert "Traceback" not in done.stderr


def test_wrong_address_is_refused_without_its_password(tmp_path: Path) -> None:
    done = run("migrate", cwd=tmp_path, DATABASE_URL="mysql://root:hunter2@db/shop")
    assert done.returncode == 1
    assert "must begin with postgresql://" in done.stderr
    assert "hunter2" not in done.stderr


def test_unusable_data_directory_is_refused_with_advice(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = run("up", "--data-dir", str(tmp_path / "file" / "data"), cwd=tmp_path)
    assert done.returncode == 1
    assert "cannot be used (Not a directory); name a --data-dir" in done.stderr
    assert "Errno" not in done.stderr


def test_doctor_looks_at_redis_alone(tmp_path: Path) -> None:
    done = run("doctor", "--json", cwd=tmp_path, REDIS_URL="redis://127.0.0.1:1/0")
    findings = {finding["subject"]: finding for finding in json.loads(done.stdout)}
    assert findings["Redis"]["verdict"] == "failed"
    assert findings["Postgres"]["verdict"] == "skipped"
    assert "REDIS_URL" in findings["Settings"]["detail"]
    assert done.returncode == 1


def test_doctor_on_a_fresh_machine_finds_nothing_wrong(tmp_path: Path) -> None:
    done = run("doctor", "--json", cwd=tmp_path)
    findings = {finding["subject"]: finding for finding in json.loads(done.stdout)}
    assert [name for name, finding in findings.items() if finding["verdict"] == "failed"] == []
    assert findings["Postgres program"]["detail"].startswith("postgres (PostgreSQL) 18")
    assert findings["Packages"]["verdict"] == "ok"
    assert done.returncode == 0


def test_doctor_names_what_is_wrong_and_what_to_do(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "keys.json").write_text("{}")
    (data / "keys.json").chmod(0o644)
    refused = "postgresql://owner:hunter2@127.0.0.1:1/shop"
    done = run(
        "doctor", "--json", cwd=tmp_path, DATABASE_URL=refused, REDIS_URL="redis://127.0.0.1:1/0", TOLLGATE_LEASE="long"
    )
    failed = {finding["subject"]: finding for finding in json.loads(done.stdout) if finding["verdict"] == "failed"}
    assert set(failed) >= {"Private files", "Key file", "Postgres as api", "Redis", "Settings"}
    assert all(finding["advice"] for finding in failed.values())
    assert "TOLLGATE_LEASE" in failed["Settings"]["detail"]
    assert "hunter2" not in done.stdout
    assert done.returncode == 1


def test_doctor_says_which_step_of_the_start_is_under_way(tmp_path: Path) -> None:
    """As `tollgate up` tells it: a Postgres that is away stops it at its first question there."""
    environ = {"DATABASE_URL": "postgresql://owner:x@127.0.0.1:1/shop", "REDIS_URL": "redis://127.0.0.1:1/0"}
    told: list[tuple[str, int, dict[str, tuple[str, str]]]] = []

    def look(sentence: str) -> None:
        done = CliRunner().invoke(tollgate, ["doctor", "--json"], env={"TOLLGATE_DATA_DIR": str(tmp_path), **environ})
        found = {one["subject"]: (one["verdict"], one["detail"]) for one in json.loads(done.stdout)}
        told.append((sentence, done.exit_code, found))

    with pytest.raises(SQLAlchemyError):
        Service(tmp_path, environ=environ, progress=look).start()
    ((sentence, code, found),) = told
    assert sentence == "Migrating the database"
    assert found["Service"] == ("skipped", "starting: Migrating the database; look again when it is up")
    assert (code, "Redis" in found) == (0, False)
