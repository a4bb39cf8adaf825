"""What a process does not start with, what it says then, and what does not keep it from starting."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg2
import pytest
from sqlalchemy.engine import make_url

from cli.children import ROOT
from cli.embedded import Embedded
from cli.ports import free_port
from core import startup
from core.persistence import key_sources
from core.persistence.database import Scope, create_engine
from core.persistence.migrate import newest_revision
from core.persistence.revisions import revisions
from core.persistence.vault import Vault, new_keys
from core.settings import Settings
from core.startup import UnsafeStart, addresses, check_start, clock
from tests.persistence.rows import make_merchant
from tests.support import databases
from tests.support.broker import Broker
from tests.support.databases import Urls
from tests.support.relay import Relay


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    made = Broker()
    yield made
    made.close()


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    file = tmp_path / "keys.json"
    file.touch(0o600)
    file.write_text(new_keys())
    return file


@pytest.fixture(autouse=True)
def _no_keys_noted(database: Urls) -> None:
    """Each test has keys of its own, and all have one database."""
    connection = psycopg2.connect(databases.plain(database.owner))
    with connection, connection.cursor() as cursor:
        cursor.execute("DELETE FROM sealing_keys; DELETE FROM data_keys")
    connection.close()


@pytest.fixture
def given(database: Urls, broker: Broker, key_file: Path) -> dict[str, Any]:
    """Settings of an API that may start."""
    return {"DATABASE_URL": database.api, "REDIS_URL": broker.url, "key_file": key_file}


class Said:
    """A log that keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def warning(self, event: str, *, component: str, reason: str) -> None:
        self.lines.append(reason)

    error = warning


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Reasons logged at a start."""
    kept = Said()
    monkeypatch.setattr(startup, "log", kept)
    return kept.lines


def refusal(given: dict[str, Any], role: startup.Role = "api") -> str:
    with pytest.raises(UnsafeStart) as caught:
        check_start(Settings.model_validate(given), role)
    return str(caught.value)


def test_what_is_right_starts(given: dict[str, Any], database: Urls, said: list[str]) -> None:
    check_start(Settings.model_validate(given), "api")
    for role in ("worker", "beat"):
        check_start(Settings.model_validate({**given, "DATABASE_URL": database.worker}), role)
    assert said == []


def remarks(**given: Any) -> list[str]:
    """`!` before what refuses."""
    settings = Settings.model_validate({"DATABASE_URL": "postgresql://api:kept-safe@127.0.0.1/db", **given})
    return [("!" if remark.refuses else "") + remark.text for remark in addresses.look(settings, {})]


SAFE = [
    {"DATABASE_URL": "postgresql://api:kept-safe@db.example/db?sslmode=verify-full"},
    {"DATABASE_URL": "postgresql://api:kept-safe@db.example/db?sslmode=verify-ca"},
    {"DATABASE_URL": "postgresql://api@/db?host=/var/run/postgresql"},
    {"DATABASE_URL": "postgresql://api:kept-safe@db.example/db", "allow_plaintext": True},
    {"REDIS_URL": "redis://127.0.0.1:6379/0"},
    {"REDIS_URL": "redis://[::1]:6379/0"},
    {"REDIS_URL": "rediss://:kept-safe@redis.example:6379/0"},
    {"REDIS_URL": "rediss://redis.example/0?ssl_certfile=/c.pem&ssl_keyfile=/k.pem"},
    {"REDIS_URL": "redis://:kept-safe@redis.example:6379/0", "allow_plaintext": True},
    {"BROKER_URL": "amqp://guest:guest@127.0.0.1//"},
    {"BROKER_URL": "amqps://tollgate:kept-safe@mq.example//"},
]
UNSAFE = [
    ({"DATABASE_URL": "postgresql://api:kept-safe@db.example/db"}, "sslmode is prefer"),
    ({"DATABASE_URL": "postgresql://api:kept-safe@db.example/db?sslmode=disable"}, "sslmode is disable"),
    ({"DATABASE_URL": "postgresql://api:kept-safe@/db?host=db.example"}, "sslmode is prefer"),
    ({"DATABASE_URL": "postgresql://api:postgres@127.0.0.1/db"}, "the password is one of an example"),
    ({"DATABASE_URL": "postgresql://tollgate_api:tollgate_api@127.0.0.1/db"}, "the user's own name"),
    ({"DATABASE_URL": "postgresql://api:${API_PASSWORD}@127.0.0.1/db"}, "the password is one of an example"),
    ({"REDIS_URL": "redis://:ChangeMe@127.0.0.1:6379/0"}, "the password is one of an example"),
    ({"REDIS_URL": "rediss://redis.example:6379/0"}, "no password"),
    ({"REDIS_URL": "redis://:kept-safe@redis.example:6379/0"}, "use rediss://"),
    ({"BROKER_URL": "amqp://tollgate:kept-safe@mq.example//"}, "use amqps://"),
    ({"BROKER_URL": "amqps://guest:guest@mq.example//"}, "the password is one of an example"),
]


@pytest.mark.parametrize("given", SAFE)
def test_safe_addresses(given: dict[str, Any]) -> None:
    assert remarks(**given) == []


@pytest.mark.parametrize(("given", "said"), UNSAFE)
def test_unsafe_addresses(given: dict[str, Any], said: str) -> None:
    (found,) = remarks(**given)
    assert found.startswith(f"!{next(iter(given))}: ")
    assert said in found
    assert "kept-safe" not in found


def test_a_server_that_anybody_may_answer_for_is_told_of() -> None:
    assert remarks(DATABASE_URL="postgresql://api:kept-safe@db.example/db?sslmode=require")[0].startswith(
        "DATABASE_URL"
    )
    assert remarks(REDIS_URL="rediss://:kept-safe@r.example/0?ssl_cert_reqs=none")[0].startswith("REDIS_URL")


def test_keys_are_there_and_private(given: dict[str, Any], key_file: Path) -> None:
    assert "TOLLGATE_KEY_FILE is not set" in refusal({**given, "key_file": None})
    key_file.chmod(0o644)
    assert "chmod 600" in refusal(given)
    check_start(Settings.model_validate({**given, "key_file": None}), "beat")


def test_debugging_is_for_no_gate(given: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLASK_DEBUG", "1")
    assert "FLASK_DEBUG" in refusal(given)
    monkeypatch.setenv("FLASK_DEBUG", "0")
    check_start(Settings.model_validate(given), "api")


@pytest.mark.parametrize("role", ["api", "worker", "beat"])
def test_a_redis_that_evicts_is_refused(
    given: dict[str, Any], broker: Broker, database: Urls, role: startup.Role
) -> None:
    if role != "api":
        given |= {"DATABASE_URL": database.worker}
    broker.client.config_set("maxmemory-policy", "allkeys-lru")
    try:
        assert "maxmemory-policy is allkeys-lru" in refusal(given, role)
    finally:
        broker.client.config_set("maxmemory-policy", "noeviction")


def test_a_broker_that_evicts_is_refused_too(given: dict[str, Any], broker: Broker, embedded: Embedded) -> None:
    broker.client.config_set("maxmemory-policy", "volatile-ttl")
    try:
        given |= {"REDIS_URL": embedded.redis_url, "BROKER_URL": broker.url}
        assert refusal(given).count("BROKER_URL: Redis may drop") == 1
    finally:
        broker.client.config_set("maxmemory-policy", "noeviction")


def test_without_redis_it_starts_and_says_so(given: dict[str, Any], said: list[str]) -> None:
    check_start(Settings.model_validate({**given, "REDIS_URL": f"redis://127.0.0.1:{free_port()}/0"}), "api")
    assert len(said) == 1
    assert "Redis cannot be asked" in said[0]


class TestLogins:
    def test_owner(self, given: dict[str, Any], database: Urls) -> None:
        for role in ("api", "worker"):
            assert "owns the tables" in refusal({**given, "DATABASE_URL": database.owner}, role)

    def test_superuser(self, given: dict[str, Any], database: Urls, embedded: Embedded) -> None:
        name = make_url(database.owner).database
        for role in ("api", "worker"):
            text = refusal({**given, "DATABASE_URL": databases.plain(embedded.superuser_url, name)}, role)
            assert "superuser" in text

    def test_each_others(self, given: dict[str, Any], database: Urls) -> None:
        assert "the worker's login" in refusal({**given, "DATABASE_URL": database.worker}, "api")
        assert "the API's login" in refusal({**given, "DATABASE_URL": database.api}, "worker")


class TestSchema:
    def test_revisions_are_those_of_the_migrations(self) -> None:
        assert revisions()[-1] == newest_revision()

    @pytest.fixture
    def own(self, embedded: Embedded, template: str) -> Iterator[Urls]:
        name = f"test_{uuid4().hex}"
        yield databases.create(embedded, name, template)
        databases.drop(embedded, name)

    @pytest.mark.parametrize(
        ("revision", "said"),
        [(revisions()[0], "run `tollgate migrate`"), ("9999", "newer than this program")],
    )
    def test_another_revision(self, given: dict[str, Any], own: Urls, revision: str, said: str) -> None:
        self._migrated(own, revision, "9999")
        for role, url in (("api", own.api), ("worker", own.worker)):
            text = refusal({**given, "DATABASE_URL": url}, role)  # type: ignore[arg-type]
            assert f"at revision {revision}" in text
            assert said in text

    def test_a_newer_one_that_names_this_program_as_new_enough(self, given: dict[str, Any], own: Urls) -> None:
        """Migrate first, restart in turn: what died in between comes back in its old version."""
        for oldest in (revisions()[-1], revisions()[-2]):
            self._migrated(own, "9999", oldest)
            check_start(Settings.model_validate({**given, "DATABASE_URL": own.api}), "api")
            check_start(Settings.model_validate({**given, "DATABASE_URL": own.worker}), "worker")

    @staticmethod
    def _migrated(own: Urls, revision: str, oldest_program: str) -> None:
        connection = psycopg2.connect(own.owner)
        with connection, connection.cursor() as cursor:
            cursor.execute("UPDATE alembic_version SET version_num = %s", (revision,))
            cursor.execute("UPDATE installation SET oldest_program = %s", (oldest_program,))
        connection.close()

    def test_none_yet(self, given: dict[str, Any], embedded: Embedded, template: str) -> None:
        name = f"test_{uuid4().hex}"
        empty = databases.create(embedded, name)
        try:
            assert "before its first migration" in refusal({**given, "DATABASE_URL": empty.api})
        finally:
            databases.drop(embedded, name)


class TestPostgresAway:
    def test_it_starts_and_ends_once_the_server_turns_out_unfit(
        self, given: dict[str, Any], database: Urls, said: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(startup, "AGAIN", 0.05)
        ended, told = threading.Event(), []
        monkeypatch.setattr(startup.os, "kill", lambda *call: (told.append(call), ended.set()))
        owner = make_url(database.owner)
        port = free_port()
        late = owner.set(port=port).render_as_string(hide_password=False)
        check_start(Settings.model_validate({**given, "DATABASE_URL": late}), "api")
        assert "Postgres is away" in said[0]
        relay = Relay(int(owner.port or 0), own=port)
        try:
            assert ended.wait(10)
        finally:
            relay.close()
        assert told == [(os.getpid(), signal.SIGTERM)]
        assert "owns the tables" in said[1]
        assert str(owner.password) not in str(said)

    def test_a_login_that_is_not_let_in_is_no_reason_to_stay_away(
        self, given: dict[str, Any], database: Urls, said: list[str]
    ) -> None:
        wrong = make_url(database.api).set(password="of-yesterday").render_as_string(hide_password=False)
        check_start(Settings.model_validate({**given, "DATABASE_URL": wrong}), "api", forks=True)
        assert "password authentication failed" in said[0]


CELERY = ("-m", "celery", "-q", "-A", "workers.celery_app:app")
PROCESSES = {
    "worker": (*CELERY, "worker", "-P", "threads", "-c", "1"),
    "beat": (*CELERY, "beat", "--schedule", "beat-schedule", "--pidfile", ""),
    "api": ("-m", "api.serve", "--port", "0"),
}


@pytest.mark.parametrize("name", PROCESSES)
def test_a_refused_process_ends_with_a_sentence(name: str, given: dict[str, Any], tmp_path: Path) -> None:
    environ = {
        "PATH": os.defpath,
        "PYTHONPATH": str(ROOT),
        "DATABASE_URL": given["DATABASE_URL"],
        "REDIS_URL": "redis://:changeme@127.0.0.1:1/0",
        "TOLLGATE_KEY_FILE": str(given["key_file"]),
    }
    done = subprocess.run(
        [sys.executable, *PROCESSES[name]], env=environ, cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    assert "tollgate: this start is not safe:\n  REDIS_URL: the password" in done.stderr
    assert "Traceback" not in done.stderr
    assert "changeme" not in done.stderr


@pytest.mark.parametrize("seconds", [90.0, -90.0])
def test_a_clock_that_is_off_is_refused(given: dict[str, Any], monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    real = clock.machine_time
    monkeypatch.setattr(clock, "machine_time", lambda: real() + seconds)
    assert "NTP" in refusal(given)
    assert f"{'ahead of' if seconds > 0 else 'behind'} the database's" in refusal(given)


def test_a_clock_that_is_a_little_off_is_told_of(
    given: dict[str, Any], monkeypatch: pytest.MonkeyPatch, said: list[str]
) -> None:
    real = clock.machine_time
    monkeypatch.setattr(clock, "machine_time", lambda: real() + 10)
    check_start(Settings.model_validate(given), "api")
    assert [line for line in said if "10 s ahead of the database's" in line]


class TestSealingKeys:
    """A lost or wrong key is told at the start, not when something has to be opened."""

    @pytest.fixture
    def worker(self, given: dict[str, Any], database: Urls) -> dict[str, Any]:
        """A worker's settings, after it has once started and noted the keys."""
        found = {**given, "DATABASE_URL": database.worker}
        check_start(Settings.model_validate(found), "worker")
        return found

    def both(self, given: dict[str, Any], worker: dict[str, Any]) -> list[str]:
        said = []
        for settings, role in ((given, "api"), (worker, "worker")):
            with pytest.raises(UnsafeStart) as refused:
                check_start(Settings.model_validate(settings), role)  # type: ignore[arg-type]
            said.append(str(refused.value))
        return said

    def test_of_another_installation_are_refused(
        self, given: dict[str, Any], worker: dict[str, Any], key_file: Path
    ) -> None:
        key_file.write_text(new_keys())
        for said in self.both(given, worker):
            assert "key-encryption key version 1 is not the one this database was sealed with" in said
            assert "index key version 1 is not the one" in said

    def test_a_missing_version_is_refused_by_its_name(
        self, given: dict[str, Any], worker: dict[str, Any], key_file: Path
    ) -> None:
        keys = key_sources.read_key_file(key_file)
        more = key_sources.with_version(keys, "kek")[0]
        key_file.write_text(key_sources.write_keys(more))
        check_start(Settings.model_validate(worker), "worker")  # version 2 is noted
        check_start(Settings.model_validate(given), "api")
        key_file.write_text(key_sources.write_keys(keys))
        for said in self.both(given, worker):
            assert "key-encryption key version 2 is missing from the sealing keys" in said

    def test_one_that_was_rotated_away_may_be_dropped_and_not_made_current(
        self, given: dict[str, Any], worker: dict[str, Any], database: Urls, key_file: Path
    ) -> None:
        keys = key_sources.read_key_file(key_file)
        newer = key_sources.with_current(key_sources.with_version(keys, "index")[0], "index", 2)
        key_file.write_text(key_sources.write_keys(newer))
        check_start(Settings.model_validate(worker), "worker")
        with psycopg2.connect(databases.plain(database.owner)) as connection, connection.cursor() as cursor:
            cursor.execute("UPDATE sealing_keys SET retired_at = now() WHERE kind = 'index' AND version = 1")
        connection.close()
        key_file.write_text(key_sources.write_keys(key_sources.without_version(newer, "index", 1)))
        check_start(Settings.model_validate(given), "api")
        key_file.write_text(key_sources.write_keys(key_sources.with_current(newer, "index", 1)))
        for said in self.both(given, worker):
            assert "index key version 1 was rotated away and is current again: bring the key file" in said

    def test_a_database_that_knows_no_check_value_yet_is_tried_by_a_row(
        self, given: dict[str, Any], database: Urls, key_file: Path
    ) -> None:
        engine = create_engine(database.owner, 1)
        with engine.begin() as connection:
            scope = Scope(make_merchant(connection), "test")
            Vault(key_sources.parse_keys(new_keys())).merchant_key(connection, scope)
        engine.dispose()
        with pytest.raises(UnsafeStart, match="key-encryption key version 1 is not the one"):
            check_start(Settings.model_validate({**given, "DATABASE_URL": database.worker}), "worker")
        check_start(Settings.model_validate(given), "api")  # it sees no row, and writes nothing down

    def test_come_from_the_environment_as_well(self, given: dict[str, Any], database: Urls) -> None:
        text = {**given, "key_file": None, "keys": new_keys(), "DATABASE_URL": database.worker}
        settings = Settings.model_validate(text)
        assert text["keys"] not in repr(settings)
        check_start(settings, "worker")
        assert "both set" in refusal({**given, "keys": text["keys"]})
        said = refusal({**given, "key_file": None, "keys": "{}"})
        assert "TOLLGATE_KEYS: the sealing keys are not of the form" in said
