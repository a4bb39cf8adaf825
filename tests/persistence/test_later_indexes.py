"""Indexes that come after the schema: built while others write, built again where given up, told when missing."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from uuid import uuid4

import psycopg2
import pytest

from cli.checks import database as checks
from cli.databases import Databases
from cli.embedded import Embedded
from core.persistence import later_indexes
from core.persistence.database import create_engine
from core.persistence.migrate import migrate
from tests.support import databases
from tests.support.databases import Urls, plain, superuser
from tests.support.waiting import wait_until

WAITING = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'CREATE INDEX CONCURRENTLY%' AND datname = '{name}'"
TOUCH = "UPDATE jobs SET attempts = attempts WHERE false"


@pytest.fixture
def bare(embedded: Embedded) -> Iterator[Urls]:
    """The schema, and none of them."""
    made = databases.create(embedded, f"test_{uuid4().hex}")
    migrate(made.owner, made.api, made.worker)
    yield made
    databases.drop(embedded, psycopg2.extensions.parse_dsn(plain(made.owner))["dbname"])


def missing(urls: Urls) -> list[str]:
    engine = create_engine(urls.owner, 1)
    with engine.connect() as connection:
        found = later_indexes.missing(connection)
    engine.dispose()
    return found


def test_no_write_waits_for_one(bare: Urls, embedded: Embedded) -> None:
    name = psycopg2.extensions.parse_dsn(plain(bare.owner))["dbname"]
    assert missing(bare) == list(later_indexes.INDEXES)
    with ThreadPoolExecutor(1) as pool:
        with closing(psycopg2.connect(plain(bare.owner))) as before, before.cursor() as cursor:
            cursor.execute(TOUCH)  # a transaction that was there before holds the build up
            building = pool.submit(later_indexes.build, bare.owner)
            with superuser(embedded) as watching:

                def waits() -> bool:
                    watching.execute(WAITING.format(name=name))
                    return bool(watching.fetchone() == (1,))

                wait_until(waits, "the build to begin")
            with closing(psycopg2.connect(plain(bare.owner))) as other, other.cursor() as writer:
                writer.execute("SET lock_timeout = '2s'")
                writer.execute("LOCK TABLE jobs, inbox_events, idempotency_keys IN ROW EXCLUSIVE MODE")
                other.commit()
            assert not building.done()
        assert building.result(30) == list(later_indexes.INDEXES)
    assert missing(bare) == []
    assert later_indexes.build(bare.owner) == [], "nothing is built twice"


def test_one_that_was_given_up_is_built_again(bare: Urls, embedded: Embedded) -> None:
    later_indexes.build(bare.owner)
    name = psycopg2.extensions.parse_dsn(plain(bare.owner))["dbname"]
    with closing(psycopg2.connect(plain(embedded.superuser_url, name))) as connection, connection.cursor() as cursor:
        # What a killed build leaves behind.
        cursor.execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'jobs_list'::regclass")
        cursor.execute("DROP INDEX inbox_list")
        connection.commit()
    assert missing(bare) == ["jobs_list", "inbox_list"]
    told = checks._schema(Databases(bare.owner, bare.api, bare.worker))
    assert "jobs_list, inbox_list" in told.detail
    assert later_indexes.build(bare.owner) == ["jobs_list", "inbox_list"]
    assert missing(bare) == []
