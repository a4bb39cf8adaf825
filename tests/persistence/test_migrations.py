"""Migrations: on an empty database, from every revision before, down again, and several at once."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa
from alembic.script import ScriptDirectory

import core.persistence.migrate as migrations
from cli.embedded import Embedded
from core.persistence.database import Scope, create_engine
from core.persistence.migrate import MigrationRefused, current_revision, downgrade, migrate, newest_revision
from tests.persistence import rows
from tests.support import databases
from tests.support.databases import Urls

_SCRIPTS = ScriptDirectory(str(Path(migrations.__file__).with_name("migrations")))
#: Oldest first.
REVISIONS = [script.revision for script in _SCRIPTS.walk_revisions()][::-1]
PARTITIONED = {"audit_log", "bodies", "deliveries", "events"}

_SCHEMA = {
    "columns": "SELECT table_name, column_name, data_type, is_nullable, column_default FROM information_schema.columns "
    "WHERE table_schema = 'public' AND table_name !~ '_20[0-9]{2}_[0-9]{2}$'",
    "constraints": "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint "
    "WHERE connamespace = 'public'::regnamespace AND conrelid::regclass::text !~ '_20[0-9]{2}_[0-9]{2}$'",
    "indexes": "SELECT tablename, indexdef FROM pg_indexes WHERE schemaname = 'public' "
    "AND tablename !~ '_20[0-9]{2}_[0-9]{2}$'",
    "functions": "SELECT proname, prosrc, prosecdef FROM pg_proc WHERE pronamespace = 'public'::regnamespace",
    "policies": "SELECT tablename, policyname, roles::text, qual FROM pg_policies",
    # Of partitions too: the audit log's carry their own.
    "triggers": "SELECT tgrelid::regclass::text, tgname FROM pg_trigger WHERE NOT tgisinternal",
    "rights": "SELECT relname, relacl::text FROM pg_class WHERE relnamespace = 'public'::regnamespace "
    "AND relkind IN ('r', 'p', 'S') AND NOT relispartition AND relacl::text ~ '_rights='",
    "rights to columns": "SELECT c.relname, a.attname, a.attacl::text FROM pg_attribute a JOIN pg_class c "
    "ON c.oid = a.attrelid WHERE c.relnamespace = 'public'::regnamespace AND NOT c.relispartition "
    "AND a.attacl::text ~ '_rights='",
}


@pytest.fixture
def empty(embedded: Embedded) -> Iterator[Urls]:
    name = f"test_{uuid4().hex}"
    yield databases.create(embedded, name)
    databases.drop(embedded, name)


class Owner:
    """The owner's look at one database; no connection stays open."""

    def __init__(self, urls: Urls) -> None:
        self.urls = urls

    def to(self, revision: str) -> None:
        migrate(self.urls.owner, self.urls.api, self.urls.worker, revision)

    def run(self, work: Any) -> Any:
        engine = create_engine(self.urls.owner, 1)
        try:
            with engine.begin() as connection:
                return work(connection)
        finally:
            engine.dispose()

    def revision(self) -> str | None:
        found: str | None = self.run(current_revision)
        return found

    def schema(self) -> dict[str, set[Any]]:
        """Everything but the months of the partitions."""

        def read(connection: sa.Connection) -> dict[str, set[Any]]:
            return {what: {tuple(row) for row in connection.exec_driver_sql(query)} for what, query in _SCHEMA.items()}

        found: dict[str, set[Any]] = self.run(read)
        return found

    def columns(self) -> dict[str, list[str]]:
        """Of every table of merchants, by name."""
        found: dict[str, list[str]] = {}
        for row in sorted(self.schema()["columns"]):
            found.setdefault(row[0], []).append(row[1])
        return {name: found[name] for name in found if "merchant_id" in found[name]}

    def contents(self, columns: dict[str, list[str]]) -> dict[str, list[Any]]:
        def read(connection: sa.Connection) -> dict[str, list[Any]]:
            query = "SELECT to_jsonb(t)::text FROM (SELECT {} FROM {}) t ORDER BY 1"
            return {
                name: list(connection.exec_driver_sql(query.format(", ".join(wanted), name)).scalars())
                for name, wanted in columns.items()
            }

        found: dict[str, list[Any]] = self.run(read)
        return found

    def fill(self, partitioned: bool) -> None:
        def write(connection: sa.Connection) -> None:
            scope = Scope(rows.make_merchant(connection), "test")
            rows.fill(connection, scope, partitioned)

        self.run(write)


def test_an_empty_database_comes_to_the_newest_revision(empty: Urls) -> None:
    owner = Owner(empty)
    assert owner.revision() is None
    owner.to("head")
    assert owner.revision() == newest_revision() == REVISIONS[-1]
    before = owner.schema()
    owner.to("head")
    assert owner.schema() == before, "a second run changes nothing"


def test_every_revision_goes_up_and_down_and_up_again(empty: Urls) -> None:
    owner = Owner(empty)
    schemas = []
    for revision in REVISIONS:
        owner.to(revision)
        schemas.append(owner.schema())
    for number in range(len(REVISIONS) - 1, 0, -1):
        downgrade(empty.owner, REVISIONS[number - 1])
        assert owner.revision() == REVISIONS[number - 1]
        assert owner.schema() == schemas[number - 1]
    for revision, schema in zip(REVISIONS, schemas, strict=True):
        owner.to(revision)
        assert owner.schema() == schema


def test_down_to_nothing_leaves_nothing(empty: Urls) -> None:
    owner = Owner(empty)
    owner.to("head")
    downgrade(empty.owner, "base")
    left = owner.schema()
    assert {row[0] for row in left["columns"]} == {"alembic_version"}
    assert not left["functions"] | left["policies"] | left["triggers"]
    owner.to("head")
    assert owner.revision() == newest_revision()


def test_data_survives_the_way_up(empty: Urls) -> None:
    owner = Owner(empty)
    owner.to(REVISIONS[0])
    owner.fill(partitioned=False)
    columns = {name: found for name, found in owner.columns().items() if name not in PARTITIONED}
    before = owner.contents(columns)
    assert all(before.values())
    owner.to("head")
    assert owner.contents(columns) == before


def test_data_survives_the_way_down_and_up_again(empty: Urls) -> None:
    owner = Owner(empty)
    owner.to(REVISIONS[-2])
    columns = owner.columns()
    owner.to("head")
    owner.fill(partitioned=True)
    before = owner.contents(columns)
    assert all(before.values())
    downgrade(empty.owner, REVISIONS[-2])
    assert owner.contents(columns) == before
    owner.to("head")
    assert owner.contents(columns) == before


def test_several_at_once_wait_for_each_other(empty: Urls) -> None:
    owner = Owner(empty)
    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(owner.to, "head") for _ in range(4)]:
            done.result(60)
    assert owner.revision() == newest_revision()


def test_a_process_may_not_run_as_the_owner(empty: Urls) -> None:
    with pytest.raises(MigrationRefused, match="owns the tables"):
        migrate(empty.owner, empty.owner, empty.worker)
    assert Owner(empty).revision() is None


def test_an_address_without_a_user_is_refused(empty: Urls) -> None:
    nameless = databases.plain(empty.api, user="", password="")
    with pytest.raises(MigrationRefused, match="names no user"):
        migrate(empty.owner, empty.api, nameless)


def test_a_refusal_never_shows_a_password(empty: Urls) -> None:
    secret = uuid4().hex
    with pytest.raises(MigrationRefused) as caught:
        migrate(empty.owner, databases.plain(empty.owner, user=_user(empty.owner), password=secret), empty.worker)
    assert secret not in str(caught.value)


def _user(url: str) -> str:
    found = sa.make_url(url).username
    assert found
    return found
