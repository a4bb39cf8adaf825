"""Postgres: reached as each login, with the rights it should have and no more, at the newest schema, in time."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import psycopg2
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from cli.checks.finding import Finding, Situation, failed, ok, skipped, warning
from cli.databases import Databases
from core.persistence import later_indexes
from core.persistence.database import CLIENT_SETTINGS, SERVER_OPTIONS, create_engine
from core.persistence.migrate import current_revision, newest_revision
from core.startup import clock

OLDEST = 150000

_FACTS = """
SELECT current_setting('server_version_num')::int, current_setting('server_version'), rolsuper, rolbypassrls,
       current_setting('synchronous_commit'), extract(epoch FROM clock_timestamp())::float8
FROM pg_roles WHERE rolname = current_user
"""


def check(situation: Situation) -> Iterator[Finding]:
    if situation.target is None:
        yield skipped("Postgres", situation.why)
        return
    addresses = situation.target.databases
    for name, url in (("api", addresses.api), ("worker", addresses.worker)):
        yield from _login(name, url)
    yield _schema(addresses)


def _login(name: str, url: str) -> Iterator[Finding]:
    subject = f"Postgres as {name}"
    try:
        facts, sent, received = _facts(url)
    except psycopg2.Error as error:
        advice = "check that the server runs and the address is right; `tollgate migrate` makes the logins"
        yield failed(subject, str(error).strip().splitlines()[0], advice)
        return
    number, version, superuser, bypass, commit, there = facts
    if superuser or bypass:
        advice = "name a user without these rights: nothing keeps merchants apart otherwise"
        yield failed(subject, "it is a superuser or passes row-level security", advice)
    elif number < OLDEST:
        yield failed(subject, f"version {version}", "use Postgres 15 or newer")
    else:
        yield ok(subject, f"version {version}, an ordinary user")
    if name == "api":
        yield from _server(commit)
        yield _clock(there, sent, received)


def _facts(url: str) -> tuple[tuple[int, str, bool, bool, str, float], float, float]:
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    with contextlib.closing(psycopg2.connect(plain, options=SERVER_OPTIONS, **CLIENT_SETTINGS)) as connection:
        sent = clock.machine_time()
        with connection.cursor() as cursor:
            cursor.execute(_FACTS)
            row = cursor.fetchone()
    if row is None:
        raise psycopg2.OperationalError("the server does not know its own user")
    return row, sent, clock.machine_time()


def _server(commit: str) -> Iterator[Finding]:
    if commit in ("off", "local"):
        advice = "set synchronous_commit = on: a payment that was answered 202 must survive a crash"
        yield failed("Postgres commit", f"synchronous_commit is {commit}", advice)


def _clock(there: float, sent: float, received: float) -> Finding:
    ahead = clock.offset(sent, there, received)
    said, advice = f"{clock.words(ahead)} the database's", "synchronise both (NTP): signatures depend on them"
    if abs(ahead) > clock.UNSAFE:
        return failed("Clock", said, advice)
    if abs(ahead) > clock.WORTH_A_WORD:
        return warning("Clock", said, advice)
    return ok("Clock", "agrees with the database's")


def _schema(addresses: Databases) -> Finding:
    engine = create_engine(addresses.owner, 1, "tollgate-doctor")
    try:
        with engine.connect() as connection:
            found = current_revision(connection)
            missing = later_indexes.missing(connection)
    except SQLAlchemyError as error:
        text = str(getattr(error, "orig", error)).strip().splitlines()[0]
        return warning("Schema", f"not read: {text}", "set MIGRATION_DATABASE_URL to the owner's address")
    finally:
        engine.dispose()
    newest = newest_revision()
    if found != newest:
        return failed("Schema", f"at {found or 'nothing'}, this version needs {newest}", "run `tollgate migrate`")
    if missing:
        return warning("Schema", f"indexes are missing: {', '.join(missing)}", "run `tollgate migrate`; nothing stops")
    return ok("Schema", f"at {found}, the newest")
