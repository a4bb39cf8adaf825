"""Where nothing is wrong nothing is said; and each check sees exactly the wrong it is there for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from cli.embedded import Embedded
from core.domain.identifiers import parse_id
from core.invariants import INVARIANTS, books, check, examine, walls
from tests.invariants.breaking import MADE, WRONGS
from tests.invariants.healthy import broken, fill
from tests.support.databases import superuser
from tests.support.world import World

Shop = dict[str, Any]


@pytest.fixture(scope="module")
def shop(world: World) -> Shop:
    return fill(world)


@contextmanager
def wronged(world: World, shop: Shop, *statements: str) -> Iterator[Connection]:
    """A transaction of the owner in which these were done; nothing of it stays."""
    ids = {name: parse_id("payment", one["id"]) for name, one in shop.items()}
    with world.owner.connect() as connection, connection.begin() as transaction:
        for statement in statements:
            connection.exec_driver_sql(statement.replace("%", "%%").format(**ids))
        yield connection
        transaction.rollback()


def names(connection: Connection, *, settled: bool = False) -> set[str]:
    return {one.check for one in books.look(connection, books.bounds(), settled=settled)}


def test_a_healthy_shop_breaks_nothing(world: World, shop: Shop) -> None:
    assert broken(world) == []
    assert check(world.admin.database, settled=True) == []


def test_every_invariant_that_is_told_was_looked_at(world: World, shop: Shop) -> None:
    found = examine(world.worker.database, api=world.api.database)
    assert [one.violations for one in found] == [[]] * len(found)
    assert all(one.looked > 0 for one in found)
    assert {one.invariant for one in found} == set(INVARIANTS) - {"I5", "I7"}


@pytest.mark.parametrize("row", books.CHECKS, ids=lambda row: row.name)
def test_each_check_sees_its_wrong_and_no_other(world: World, shop: Shop, row: Any) -> None:
    if row.name in ("wall_passed", "row_astray"):
        return  # theirs are the next tests
    with wronged(world, shop, *WRONGS[row.name]) as connection:
        assert names(connection, settled=row.settled_only) == {row.name}
    assert all((row.meaning, row.advice))


def test_no_check_is_without_its_wrong() -> None:
    every = [row.name for row in books.CHECKS]
    assert len(set(every)) == len(every)
    assert set(every) == set(WRONGS) | {"wall_passed", "row_astray"}
    assert {row.invariant for row in books.CHECKS} <= set(INVARIANTS)


def test_a_login_that_passes_the_walls_is_seen(world: World, shop: Shop, embedded: Embedded) -> None:
    with superuser(embedded) as cursor:
        cursor.execute("ALTER ROLE tollgate_api BYPASSRLS")
        try:
            found = check(world.worker.database)
        finally:
            cursor.execute("ALTER ROLE tollgate_api NOBYPASSRLS")
    assert [(one.check, one.details) for one in found] == [("wall_passed", {"login": "tollgate_api"})]


@pytest.mark.parametrize(("table", "column", "parent"), walls.FAMILY)
def test_a_row_on_the_wrong_side_is_seen(world: World, shop: Shop, table: str, column: str, parent: str) -> None:
    made = (MADE[table],) if table in MADE else ()
    flip = (
        f"UPDATE {table} SET mode = 'live' WHERE (tableoid, ctid) = "
        f"(SELECT tableoid, ctid FROM {table} WHERE {column} IS NOT NULL LIMIT 1)"
    )
    free = "ALTER TABLE audit_log DISABLE TRIGGER USER"
    with wronged(world, shop, free, *made, flip) as connection:
        found = books.look(connection, books.bounds())
        assert {one.check for one in found} == {"row_astray"}
        assert (table, parent) in {(one.details.get("child"), one.details.get("parent")) for one in found}


def test_the_probe_sees_through_a_wall_that_is_gone(world: World, shop: Shop) -> None:
    with world.owner.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE refunds DISABLE ROW LEVEL SECURITY")
    try:
        (walled,) = (one for one in examine(world.worker.database, api=world.api.database) if one.invariant == "I8")
    finally:
        with world.owner.begin() as connection:
            connection.exec_driver_sql("ALTER TABLE refunds ENABLE ROW LEVEL SECURITY")
    assert {one.check for one in walled.violations} == {"wall_missing", "seen_through"}
    assert {one.details["table_name"] for one in walled.violations} == {"refunds"}


def test_nothing_older_than_asked_is_told(world: World, shop: Shop) -> None:
    with wronged(world, shop, *WRONGS["taken_differs"]) as connection:
        assert books.look(connection, books.bounds(since=-1.0)) == []
        assert {one.check for one in books.look(connection, books.bounds(since=3600.0))} == {"taken_differs"}


def test_the_look_writes_nothing_and_sees_one_moment(world: World) -> None:
    with books.snapshot(world.worker.database) as connection:
        assert connection.execute(sa.text("SHOW transaction_read_only")).scalar_one() == "on"
        assert connection.execute(sa.text("SHOW transaction_isolation")).scalar_one() == "repeatable read"
    with world.worker.database.unscoped() as connection:  # the next one is as before
        assert connection.execute(sa.text("SHOW transaction_read_only")).scalar_one() == "off"
        assert connection.execute(sa.text("SHOW statement_timeout")).scalar_one() == "10s"
