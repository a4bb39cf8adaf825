"""Statements that travel together: in order, once, without their values in an error, and well after a fault."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import pytest
import sqlalchemy as sa

from core.domain.identifiers import new_id
from core.persistence import pipeline
from core.persistence.database import Database, Scope, create_engine, open_database, present
from tests.support.databases import Urls

TABLE = sa.Table("travellers", sa.MetaData(), sa.Column("id", sa.Uuid), sa.Column("note", sa.Text))
INSERT = "INSERT INTO travellers (id, note) VALUES (%(id)s, %(note)s)"


@pytest.fixture
def owner(database: Urls) -> Iterator[Database]:
    """A database of one connection, so that a fault is met by whoever comes next."""
    found = open_database(database.owner, 1, "tests")
    with found.unscoped() as connection:
        connection.execute(
            sa.text("DROP TABLE IF EXISTS travellers; CREATE TABLE travellers (id uuid PRIMARY KEY, note text)")
        )
    yield found
    found.engine.dispose()


def notes(owner: Database) -> list[str]:
    with owner.glance() as connection:
        return [row["note"] for row in pipeline.fetch(connection, "SELECT note FROM travellers ORDER BY note")]


def add(connection: sa.Connection, note: str) -> None:
    pipeline.insert(connection, TABLE, {"id": new_id(), "note": note})


def test_what_waits_goes_with_the_commit(owner: Database) -> None:
    with owner.unscoped() as connection:
        add(connection, "one")
        add(connection, "two")
    assert notes(owner) == ["one", "two"]


def test_what_waits_is_seen_by_the_next_statement_of_either_kind(owner: Database) -> None:
    with owner.unscoped() as connection:
        add(connection, "100 % of %(it)s, and a quote'; --")
        found = connection.execute(sa.select(TABLE.c.note).where(TABLE.c.note != "x")).scalars().all()
        assert found == ["100 % of %(it)s, and a quote'; --"]
        add(connection, "two %")
        assert pipeline.fetch(connection, "SELECT count(*) AS n FROM travellers") == [{"n": 2}]


def test_nothing_is_left_of_a_block_that_fails(owner: Database) -> None:
    def work() -> None:
        with owner.unscoped() as connection:
            add(connection, "one")
            pipeline.fetch(connection, "SELECT 1 AS one")
            add(connection, "two")
            raise LookupError

    with pytest.raises(LookupError):
        work()
    assert notes(owner) == []


def test_an_error_of_what_waited_is_sqlalchemys_and_shows_no_value(owner: Database) -> None:
    key = new_id()

    def work() -> None:
        with owner.unscoped() as connection:
            for _ in range(2):
                pipeline.later(connection, INSERT, {"id": key, "note": "ada@example.com"})

    with pytest.raises(sa.exc.IntegrityError) as caught:
        work()
    assert "ada@example.com" not in str(caught.value)

    def work() -> None:
        with owner.unscoped() as connection:
            for _ in range(2):
                pipeline.later(connection, INSERT, {"id": key, "note": "ada@example.com"})
            connection.execute(sa.text("SELECT 1"))

    with pytest.raises(sa.exc.IntegrityError) as caught:
        work()
    assert "ada@example.com" not in str(caught.value)


def test_after_an_error_the_same_connection_prepares_anew(owner: Database) -> None:
    def work() -> None:
        with owner.unscoped() as connection:
            pipeline.later(connection, "SELECT 1 / %(by)s", {"by": 0})
            add(connection, "never prepared, since the one before it failed")

    with pytest.raises(sa.exc.DataError):
        work()
    for note in ("one", "two"):
        with owner.unscoped() as connection:
            pipeline.later(connection, "SELECT 1 / %(by)s", {"by": 1})
            add(connection, note)
    assert notes(owner) == ["one", "two"]


def test_a_glance_is_one_statement_and_keeps_to_its_scope(owner: Database) -> None:
    scope = Scope(new_id(), "test")
    with owner.glance(scope) as connection:
        found = pipeline.fetch(connection, "SELECT current_setting('tollgate.merchant_id') AS merchant")
        assert found == [{"merchant": str(scope.merchant_id)}]
        with pytest.raises(RuntimeError):
            pipeline.fetch(connection, "SELECT 1 AS one")
        with pytest.raises(RuntimeError):
            connection.execute(sa.text("SELECT 1"))
    with owner.glance() as connection:
        found = pipeline.fetch(connection, "SELECT current_setting('tollgate.merchant_id', true) AS merchant")
        assert found[0]["merchant"] in ("", None)


def test_a_glance_that_asks_nothing_leaves_nothing_behind(owner: Database) -> None:
    scope = Scope(new_id(), "test")
    with owner.glance(scope):
        pass
    with owner.glance(scope) as connection:
        found = pipeline.fetch(connection, "SELECT current_setting('tollgate.merchant_id') AS merchant")
    assert found == [{"merchant": str(scope.merchant_id)}]


def test_a_value_that_cannot_be_written_leaves_no_name_behind(owner: Database) -> None:
    with owner.unscoped() as connection:
        with pytest.raises(ValueError, match="NUL"):
            pipeline.later(connection, INSERT, {"id": new_id(), "note": "a\0b"})
        pipeline.later(connection, INSERT, {"id": new_id(), "note": "kept"})
    assert notes(owner) == ["kept"]


def test_an_error_that_was_swallowed_is_told_at_the_commit(owner: Database) -> None:
    def work() -> None:
        with owner.unscoped() as connection:
            add(connection, "lost")
            with suppress(sa.exc.DataError):
                pipeline.fetch(connection, "SELECT 1 / %(by)s AS one", {"by": 0})

    with pytest.raises(sa.exc.InvalidRequestError, match="nothing of it is kept"):
        work()
    assert notes(owner) == []


def test_a_refusal_of_ours_keeps_what_is_prepared(owner: Database) -> None:
    count = "SELECT count(*) AS n FROM pg_prepared_statements"

    def refuse() -> None:
        with owner.unscoped() as connection:
            pipeline.fetch(connection, "SELECT %(one)s::int AS one", {"one": 1})
            raise LookupError

    with pytest.raises(LookupError):
        refuse()
    with owner.glance() as connection:
        assert pipeline.fetch(connection, count) == [{"n": 1}]


def test_what_cannot_even_roll_back_is_not_used_again(owner: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    def work() -> None:
        with owner.unscoped() as connection:
            add(connection, "lost")
            pipeline.fetch(connection, "SELECT 1 AS one")
            raise LookupError

    with monkeypatch.context() as patch:
        patch.setattr("core.persistence.database._roll_back", interrupted)
        with pytest.raises(KeyboardInterrupt):
            work()
    assert notes(owner) == []


def test_a_percent_sign_of_a_statement_stays_one(owner: Database) -> None:
    with owner.unscoped() as connection:
        add(connection, "abc")
        found = pipeline.fetch(
            connection, "SELECT 7 %% %(by)s AS rest, note LIKE 'a%%' AS alike FROM travellers", {"by": 4}
        )
    assert found == [{"rest": 3, "alike": True}]


def test_time_stands_still_within_a_transaction(owner: Database) -> None:
    with owner.unscoped() as connection:
        first = present(connection)
        pipeline.fetch(connection, "SELECT pg_sleep(0.01)")
        assert present(connection) == first
    with owner.unscoped() as connection:
        assert present(connection) > first


@pytest.fixture
def killer(database: Urls) -> Iterator[sa.Engine]:
    engine = create_engine(database.owner, 1)
    yield engine
    engine.dispose()


def kill(killer: sa.Engine, backend: int) -> None:
    with killer.begin() as connection:
        assert connection.execute(sa.text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": backend}).scalar_one()


def test_a_connection_that_died_in_a_transaction_is_trouble_once(owner: Database, killer: sa.Engine) -> None:
    def work() -> None:
        with owner.unscoped() as connection:
            backend = pipeline.fetch(connection, "SELECT pg_backend_pid() AS pid")[0]["pid"]
            kill(killer, backend)
            add(connection, "lost")

    with pytest.raises(sa.exc.OperationalError):
        work()
    assert notes(owner) == []


def test_a_connection_that_died_while_idle_is_no_trouble(owner: Database, killer: sa.Engine) -> None:
    with owner.unscoped() as connection:
        backend = pipeline.fetch(connection, "SELECT pg_backend_pid() AS pid")[0]["pid"]
    kill(killer, backend)
    with owner.unscoped() as connection:
        add(connection, "kept")
    assert notes(owner) == ["kept"]
