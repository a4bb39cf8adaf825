"""`tollgate migrate` of a release: every reason not to is a sentence, and none holds a password."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psycopg2
import pytest
from sqlalchemy.engine import make_url

from cli.embedded import Embedded
from cli.ports import free_port
from tests.shape.reading import procfile
from tests.support import databases
from tests.support.databases import Urls
from tests.support.running import TOLLGATE


@pytest.fixture
def own(embedded: Embedded, template: str) -> Iterator[Urls]:
    name = f"test_{uuid4().hex}"
    yield databases.create(embedded, name, template)
    databases.drop(embedded, name)


def environ(urls: Urls, **more: str) -> dict[str, str]:
    given = {"MIGRATION_DATABASE_URL": urls.owner, "DATABASE_URL": urls.api, "WORKER_DATABASE_URL": urls.worker}
    return {**given, **more}


def run(folder: Path, given: dict[str, str], *command: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(TOLLGATE.parent), os.defpath])
    env = {"PATH": path, "TOLLGATE_DATA_DIR": str(folder / "data"), **given}
    return subprocess.run(
        command or [str(TOLLGATE), "migrate"], cwd=folder, env=env, capture_output=True, text=True, timeout=60
    )


def refusal(folder: Path, given: dict[str, str]) -> str:
    done = run(folder, given)
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stderr.startswith("tollgate: ")
    assert "Traceback" not in done.stderr
    for name, value in given.items():
        if name.endswith("DATABASE_URL"):
            assert f":{make_url(value).password}@" not in done.stderr
    return done.stderr


def test_all_three_named_it_runs(tmp_path: Path, own: Urls) -> None:
    done = run(tmp_path, environ(own))
    assert done.returncode == 0, done.stderr


def test_a_login_without_rights_is_told_who_is_needed(tmp_path: Path, own: Urls) -> None:
    new = make_url(own.worker).set(username=f"new_{uuid4().hex[:8]}").render_as_string(hide_password=False)
    text = refusal(tmp_path, environ(own, MIGRATION_DATABASE_URL=own.worker, WORKER_DATABASE_URL=new))
    assert "the database refused: " in text
    assert "MIGRATION_DATABASE_URL must name the owner" in text


def test_a_schema_of_a_newer_version_is_left_alone(tmp_path: Path, own: Urls) -> None:
    connection = psycopg2.connect(databases.plain(own.owner))
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    assert "at revision 9999, newer than this program" in refusal(tmp_path, environ(own))


def test_a_server_that_is_away_is_named(tmp_path: Path, own: Urls) -> None:
    away = make_url(own.owner).set(host="127.0.0.1", port=free_port()).render_as_string(hide_password=False)
    text = refusal(tmp_path, environ(own, MIGRATION_DATABASE_URL=away))
    assert "the database does not serve: connection to server" in text


def test_a_misspelt_setting_is_refused(tmp_path: Path, own: Urls) -> None:
    text = refusal(tmp_path, environ(own, TOLLGATE_KEYFILE="/keys"))
    assert "TOLLGATE_KEYFILE: there is no such setting; did you mean TOLLGATE_KEY_FILE?" in text


@pytest.mark.parametrize("line", sorted(set(procfile()) - {"web"}))
def test_a_line_of_the_procfile_starts_nothing_without_its_addresses(tmp_path: Path, line: str) -> None:
    given = {"DATABASE_URL": "postgresql://u:hunter2@127.0.0.1/d"}
    done = run(tmp_path, given, "/bin/sh", "-c", procfile()[line])
    assert done.returncode == 2
    assert "DATABASE_URL: set it to the" in done.stderr
    assert "hunter2" not in done.stderr
