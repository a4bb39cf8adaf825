"""The embedded servers as their users see them: over the wire, on the disk, in the process list."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg2
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from cli.embedded import Embedded, open_directory, start_embedded
from cli.placement import PlacementFailed

LONG = "a folder with spaces and a long name " * 6


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedded]:
    directory = tmp_path_factory.mktemp("embedded") / LONG / "data"
    assert len(str(directory)) > 222
    with start_embedded(directory) as started:
        yield started


def query(embedded: Embedded, text: str, url: str | None = None) -> list[tuple[object, ...]]:
    plain = (url or embedded.postgres_url).replace("+psycopg2", "")
    with contextlib.closing(psycopg2.connect(plain)) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        cursor.execute(text)
        return list(cursor.fetchall()) if cursor.description else []


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("server_encoding", "UTF8"),
        ("data_checksums", "on"),
        ("synchronous_commit", "on"),
        ("listen_addresses", "127.0.0.1"),
        ("unix_socket_directories", ""),
        ("password_encryption", "scram-sha-256"),
        ("log_min_error_statement", "panic"),
    ],
)
def test_postgres_is_set_up_for_money(embedded: Embedded, setting: str, expected: str) -> None:
    found = query(embedded, f"SELECT setting FROM pg_settings WHERE name = '{setting}'", embedded.superuser_url)
    assert found == [(expected,)]


def test_owner_is_no_superuser_and_may_make_roles(embedded: Embedded) -> None:
    found = query(embedded, "SELECT rolsuper, rolcreaterole FROM pg_roles WHERE rolname = current_user")
    assert found == [(False, True)]


def test_postgres_asks_for_the_password(embedded: Embedded) -> None:
    wrong = embedded.postgres.url_for("tollgate_owner", "guess")
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        query(embedded, "SELECT 1", wrong)


def test_redis_asks_for_the_password_and_drops_nothing(embedded: Embedded) -> None:
    stranger = redis.Redis(port=embedded.redis.port, retry=Retry(NoBackoff(), 0))
    with contextlib.closing(stranger), pytest.raises(redis.AuthenticationError):
        stranger.ping()
    with contextlib.closing(embedded.redis.client()) as client:
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert client.config_get("bind") == {"bind": "127.0.0.1"}


def test_no_password_in_any_argument_list_or_log(embedded: Embedded) -> None:
    secrets = (embedded.directory / "secrets.json").read_text().split('"')[3::4]
    assert len(secrets) == 3
    arguments = " ".join(
        " ".join(process.cmdline())
        for process in psutil.Process().children(recursive=True)
        if process.status() != psutil.STATUS_ZOMBIE
    )
    assert "valkey-server" in arguments
    logs = "".join(path.read_text() for path in (embedded.directory / "logs").iterdir())
    assert not [secret for secret in secrets if secret in arguments or secret in logs]


def test_statements_that_fail_leave_no_values_in_the_log(embedded: Embedded) -> None:
    query(embedded, "CREATE TABLE people (email text PRIMARY KEY)")
    for _ in range(2):
        with contextlib.suppress(psycopg2.errors.UniqueViolation):
            query(embedded, "INSERT INTO people VALUES ('ada@example.com')")
    log = (embedded.directory / "logs" / "postgres.log").read_text()
    assert "people_pkey" in log
    assert "ada@example.com" not in log


def test_what_only_the_owner_may_read(embedded: Embedded) -> None:
    closed = [embedded.directory / "secrets.json", embedded.directory / "logs", embedded.directory / "ports.json"]
    assert [stat.S_IMODE(path.stat().st_mode) & 0o077 for path in closed] == [0, 0, 0]


def test_postgres_recovers_from_a_crash_on_the_same_port(embedded: Embedded) -> None:
    query(embedded, "CREATE TABLE kept AS SELECT 42 AS answer")
    embedded.kill_postgres()
    embedded.start_postgres()
    assert query(embedded, "SELECT answer FROM kept") == [(42,)]


def test_redis_keeps_its_data_and_port_over_a_restart(embedded: Embedded) -> None:
    port = embedded.redis.port
    with contextlib.closing(embedded.redis.client()) as client:
        client.set("kept", "42")
        embedded.restart_redis()
        assert embedded.redis.port == port
        assert client.get("kept") == b"42"
        embedded.flush_redis()
        assert client.get("kept") is None


def test_second_start_finds_data_and_ports_again(tmp_path: Path) -> None:
    with start_embedded(tmp_path / "data", temporary=False) as first:
        query(first, "CREATE TABLE kept AS SELECT 42 AS answer")
        urls = first.postgres_url, first.redis_url
    try:
        with start_embedded(tmp_path / "data", temporary=False) as second:
            assert (second.postgres_url, second.redis_url) == urls
            assert query(second, "SELECT answer FROM kept") == [(42,)]
    finally:
        first.postgres.placement.remove()


def test_two_at_once(tmp_path: Path) -> None:
    with start_embedded(tmp_path / "one") as one, start_embedded(tmp_path / "two") as two:
        assert one.postgres.port != two.postgres.port
        assert query(one, "SELECT 1") == query(two, "SELECT 1")


def test_no_right_of_a_parent_folder_changes(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    folders = [closed, *closed.parents]
    before = [path.stat().st_mode for path in folders]
    with start_embedded(closed / "data") as started:
        assert query(started, "SELECT 1") == [(1,)]
        outside = started.postgres.placement
    assert [path.stat().st_mode for path in folders] == before
    assert not outside.outside or not outside.data.exists()


def test_directory_of_another_user_is_refused(tmp_path: Path) -> None:
    directory = tmp_path
    if os.geteuid() == 0:
        os.chown(directory, 12345, 12345)
    else:
        directory = Path("/")
    with pytest.raises(PlacementFailed, match="belongs to the user"):
        open_directory(directory)
