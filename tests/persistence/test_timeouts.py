"""Every connection ends by itself when a statement, a lock, a stopped process or a vanished machine holds it up."""

from __future__ import annotations

from collections.abc import Callable

import psycopg2
import pytest
import sqlalchemy as sa
from psycopg2 import errorcodes
from sqlalchemy.engine import Connection

from core.persistence.database import CLIENT_SETTINGS, SERVER_SETTINGS, Database, create_engine, open_database
from tests.support.databases import Urls

Open = Callable[[str], Database]
#: As the processes open them (context.py, polling.py), and as the commands do (migrate.py, cli/checks).
WAYS: dict[str, Open] = {
    "process": lambda url: open_database(url, 1, "tollgate-test"),
    "command": lambda url: Database(create_engine(url, 1, "tollgate-test")),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("role", ["api", "worker", "owner"])
def test_a_live_connection_has_them(database: Urls, way: str, role: str) -> None:
    opened = WAYS[way](getattr(database, role))
    try:
        with opened.unscoped() as connection:
            told = {name: _show(connection, name) for name in SERVER_SETTINGS}
            driver = connection.connection.driver_connection
            assert isinstance(driver, psycopg2.extensions.connection)
            parameters = driver.get_dsn_parameters()
    finally:
        opened.engine.dispose()
    assert told == {name: value for name, (value, _) in SERVER_SETTINGS.items()}
    assert {name: int(parameters[name]) for name in CLIENT_SETTINGS} == dict(CLIENT_SETTINGS)


def _show(connection: Connection, name: str) -> str:
    return str(connection.execute(sa.text(f"SHOW {name}")).scalar_one())


def test_a_lock_is_not_waited_for_for_ever(database: Urls) -> None:
    holding, waiting = (WAYS["process"](database.worker) for _ in range(2))
    try:
        with holding.unscoped() as connection:
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(1)"))
            with pytest.raises(sa.exc.OperationalError) as caught:
                _lock_briefly(waiting)
        assert getattr(caught.value.orig, "pgcode", None) == errorcodes.LOCK_NOT_AVAILABLE
        with waiting.unscoped() as other:
            assert _show(other, "lock_timeout") == SERVER_SETTINGS["lock_timeout"][0], "it was for one transaction"
    finally:
        holding.engine.dispose()
        waiting.engine.dispose()


def _lock_briefly(database: Database) -> None:
    with database.unscoped() as connection:
        connection.execute(sa.text("SET LOCAL lock_timeout = '50ms'"))
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(1)"))
