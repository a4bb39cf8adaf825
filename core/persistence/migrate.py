"""`tollgate migrate`: roles, logins and the schema, behind one advisory lock."""

from __future__ import annotations

import random
import threading
from collections.abc import Sequence
from pathlib import Path

import psycopg2
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from psycopg2 import sql
from sqlalchemy.engine import Connection, Engine, make_url

from core.persistence.database import create_engine
from core.persistence.partitions import MONTHS_AHEAD
from core.persistence.revisions import read_revision, revisions, schema_fault

#: Groups hold the rights, logins are members: a login can be rotated without touching a grant.
API_RIGHTS = "tollgate_api_rights"
WORKER_RIGHTS = "tollgate_worker_rights"
#: Any fixed number; two migrations at once wait for each other on it.
_LOCK = 8_106_771_350
#: How long another migration is waited for: nobody else waits behind this lock.
_PATIENCE = "10min"
#: How long a table is waited for. Whoever comes for it meanwhile waits behind us, and gives up after 5 s himself.
_TABLE_WAIT = "2s"
#: Seconds between attempts, each lengthened by up to a fifth: those who waited behind us are served in between.
_PAUSES: Sequence[float] = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
_SPREAD = 0.2
_OPEN = "SELECT pid, application_name, xact_start, query FROM pg_stat_activity ORDER BY xact_start"
_HELD_UP = (psycopg2.errors.LockNotAvailable, psycopg2.errors.DeadlockDetected)


class MigrationRefused(Exception):
    """The migration cannot run; the message says what to do."""


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")).replace("%", "%%"))
    config.set_main_option("path_separator", "newline")
    return config


def _execute(connection: Connection, statement: sql.Composable) -> None:
    cursor = connection.connection.cursor()
    try:
        cursor.execute(statement)
    except psycopg2.errors.InsufficientPrivilege as error:
        raise MigrationRefused(
            f"the database refused: {error.diag.message_primary}; MIGRATION_DATABASE_URL must name the owner, "
            "a user with CREATEROLE who may change this database"
        ) from None
    except _HELD_UP:
        raise  # tried again
    except psycopg2.Error as error:
        # The first sentence alone: what follows may quote the statement, and that holds a password.
        raise MigrationRefused(f"the database refused: {error.diag.message_primary or type(error).__name__}") from None
    finally:
        cursor.close()


def _role_exists(connection: Connection, name: str) -> bool:
    found = connection.execute(sa.text("SELECT 1 FROM pg_roles WHERE rolname = :name"), {"name": name})
    return found.first() is not None


def _ensure_login(connection: Connection, url: str, group: str) -> None:
    parsed = make_url(url)
    name, password = parsed.username, parsed.password
    if not name:
        raise MigrationRefused("the database address of a process names no user")
    owner = connection.execute(sa.text("SELECT current_user")).scalar_one()
    if name == owner:
        raise MigrationRefused(
            f"user {name!r} owns the tables, so rows would not be walled off by merchant; "
            "give DATABASE_URL a user of its own (it is created for you)"
        )
    if not _role_exists(connection, name):
        statement = sql.SQL("CREATE ROLE {} LOGIN NOSUPERUSER NOBYPASSRLS PASSWORD {}")
        _execute(connection, statement.format(sql.Identifier(name), sql.Literal(password)))
    _execute(connection, sql.SQL("GRANT {} TO {}").format(sql.Identifier(group), sql.Identifier(name)))


def _prepare_roles(connection: Connection, api_url: str, worker_url: str) -> None:
    for group in (API_RIGHTS, WORKER_RIGHTS):
        if not _role_exists(connection, group):
            _execute(connection, sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(group)))
    _ensure_login(connection, api_url, API_RIGHTS)
    _ensure_login(connection, worker_url, WORKER_RIGHTS)


def _refuse_newer(connection: Connection) -> None:
    found = read_revision(connection)
    if found is not None and found not in revisions():
        raise MigrationRefused(str(schema_fault(found)))


def migrate(migration_url: str, api_url: str, worker_url: str, revision: str = "head") -> None:
    """Create the two running roles, their logins (named in the urls, with their passwords) and bring the
    schema to `revision`. Safe to run at any time, under load, and from several hosts at once: it is done whole or
    not at all, and tried again for about a minute where a table is in use.

    Raises MigrationRefused when a url cannot serve, the schema is newer than this code or a table never came free,
    SQLAlchemy's errors when Postgres cannot be reached.
    """
    engine = create_engine(migration_url, pool_size=1, application="tollgate-migrate")
    try:
        for pause in _PAUSES:
            if _attempt(engine, api_url, worker_url, revision):
                return
            threading.Event().wait(pause * random.uniform(1, 1 + _SPREAD))  # noqa: S311
        if not _attempt(engine, api_url, worker_url, revision):
            raise MigrationRefused(_never_free())
    finally:
        engine.dispose()


def _attempt(engine: Engine, api_url: str, worker_url: str, revision: str) -> bool:
    """Did it get every table? If not, nothing is changed and nothing held."""
    try:
        with engine.begin() as connection:
            _wait_for_others(connection)
            _refuse_newer(connection)
            _prepare_roles(connection, api_url, worker_url)
            config = _config()
            config.attributes["connection"] = connection
            command.upgrade(config, revision)
            if revision == "head":
                connection.execute(sa.text("SELECT ensure_partitions(:n)"), {"n": MONTHS_AHEAD})
    except (*_HELD_UP, sa.exc.OperationalError) as error:
        if not isinstance(getattr(error, "orig", error), _HELD_UP):
            raise
        return False
    return True


def _wait_for_others(connection: Connection) -> None:
    """Patient behind another migration, then in no time behind whoever uses a table."""
    connection.execute(sa.text(f"SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = '{_PATIENCE}'"))
    try:
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    except sa.exc.OperationalError as error:
        if not isinstance(error.orig, _HELD_UP):
            raise
        raise MigrationRefused(
            f"another `tollgate migrate` has been at work for {_PATIENCE}: let it end, then run this again"
        ) from None
    connection.execute(sa.text(f"SET LOCAL lock_timeout = '{_TABLE_WAIT}'"))


def _never_free() -> str:
    return (
        f"a table was in use at each of {len(_PAUSES) + 1} attempts and nothing is changed: end the transactions that "
        f"stay open ({_OPEN}), or choose a quieter hour, and run `tollgate migrate` again"
    )


def downgrade(migration_url: str, revision: str) -> None:
    """Take the schema back to `revision`; used by the tests of the migrations."""
    engine = create_engine(migration_url, pool_size=1, application="tollgate-migrate")
    try:
        with engine.begin() as connection:
            config = _config()
            config.attributes["connection"] = connection
            command.downgrade(config, revision)
    finally:
        engine.dispose()


def newest_revision() -> str:
    return str(ScriptDirectory.from_config(_config()).get_current_head())


def current_revision(connection: Connection) -> str | None:
    """The revision the database is at; None before the first migration."""
    return MigrationContext.configure(connection).get_current_revision()
