"""A migration that meets a table in use holds up nobody for long: it lets go, comes back, and says what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from uuid import uuid4

import psycopg2
import pytest

import core.persistence.migrate as migrations
from cli.embedded import Embedded
from core.persistence.database import LOCK_TIMEOUT
from core.persistence.migrate import MigrationRefused, migrate, newest_revision
from tests.support import databases
from tests.support.databases import Urls, plain
from tests.support.waiting import wait_until

#: 0004 adds columns to `customers`, for a moment under a lock that passes nobody.
BEFORE, TABLE = "0003", "customers"


@pytest.fixture
def old(embedded: Embedded) -> Iterator[Urls]:
    name = f"test_{uuid4().hex}"
    made = databases.create(embedded, name)
    migrate(made.owner, made.api, made.worker, BEFORE)
    yield made
    databases.drop(embedded, name)


@contextmanager
def looking(urls: Urls, sql: str = f"SELECT count(*) FROM {TABLE}") -> Iterator[Callable[[str], object]]:
    """A transaction that has read the table and stays open; gives a way to ask more."""
    connection = psycopg2.connect(plain(urls.owner))
    try:
        with connection.cursor() as cursor:

            def ask(text: str) -> object:
                cursor.execute(text)
                found = cursor.fetchone()
                return found[0] if found else None

            ask(sql)
            yield ask
    finally:
        connection.close()


def test_it_lets_go_and_comes_back(old: Urls, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrations, "_TABLE_WAIT", "300ms")
    monkeypatch.setattr(migrations, "_PAUSES", (0.3,) * 30)
    waits = f"SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = '{TABLE}'::regclass"
    with ThreadPoolExecutor(1) as pool:
        with looking(old) as ask:
            running = pool.submit(migrate, old.owner, old.api, old.worker)
            for _ in range(3):
                wait_until(lambda: ask(waits), "the migration to wait for the table")
                with looking(old):  # comes behind the migration, and is served once that lets go
                    assert not running.done()
                wait_until(lambda: not ask(waits), "the migration to let go")
        running.result(30)
    assert _revision(old) == newest_revision()


def test_it_gives_up_with_a_sentence_and_changes_nothing(old: Urls, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrations, "_TABLE_WAIT", "50ms")
    monkeypatch.setattr(migrations, "_PAUSES", (0.01, 0.01))
    with looking(old), pytest.raises(MigrationRefused, match=r"each of 3 attempts and nothing is changed: end the"):
        migrate(old.owner, old.api, old.worker)
    assert _revision(old) == BEFORE


def test_another_migration_is_waited_for_and_named(old: Urls, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrations, "_PATIENCE", "100ms")
    other = f"SELECT pg_advisory_xact_lock({migrations._LOCK})"
    with looking(old, other), pytest.raises(MigrationRefused, match="another `tollgate migrate`"):
        migrate(old.owner, old.api, old.worker)
    assert _revision(old) == BEFORE


def test_whoever_comes_behind_it_waits_less_than_he_would_bear() -> None:
    """The processes give a lock 5 s (`lock_timeout` of their sessions)."""
    assert float(migrations._TABLE_WAIT.removesuffix("s")) < LOCK_TIMEOUT / 2


def _revision(urls: Urls) -> object:
    with looking(urls, "SELECT version_num FROM alembic_version") as ask:
        return ask("SELECT version_num FROM alembic_version")
