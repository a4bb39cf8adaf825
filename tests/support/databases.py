"""A migrated database per test module, copied from a template made once per test process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg2
from sqlalchemy.engine import make_url

from cli.embedded import Embedded
from core.persistence import later_indexes
from core.persistence.migrate import migrate


def plain(url: str, database: str | None = None, user: str | None = None, password: str | None = None) -> str:
    """The url as psycopg2 reads it, with parts replaced."""
    parsed = make_url(url).set(drivername="postgresql")
    if database is not None:
        parsed = parsed.set(database=database)
    if user is not None:
        parsed = parsed.set(username=user, password=password)
    return parsed.render_as_string(hide_password=False)


@contextmanager
def superuser(embedded: Embedded) -> Iterator[psycopg2.extensions.cursor]:
    connection = psycopg2.connect(plain(embedded.superuser_url, "postgres"))
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            yield cursor
    finally:
        connection.close()


@dataclass(frozen=True)
class Urls:
    """One database, seen by each role."""

    owner: str
    api: str
    worker: str


def urls(embedded: Embedded, name: str) -> Urls:
    owner = plain(embedded.postgres_url, name)
    api = plain(owner, user="tollgate_api", password="api-of-the-tests")
    worker = plain(owner, user="tollgate_worker", password="worker-of-the-tests")
    return Urls(owner, api, worker)


def create(embedded: Embedded, name: str, template: str | None = None) -> Urls:
    owner = make_url(embedded.postgres_url).username
    with superuser(embedded) as cursor:
        # Copied as files, a third of the work of going through the log: nothing here has to survive a crash.
        copied = f' TEMPLATE "{template}" STRATEGY file_copy' if template else ""
        cursor.execute(f'CREATE DATABASE "{name}" OWNER "{owner}"{copied}')
        if template is None:
            cursor.execute(f'GRANT ALL ON DATABASE "{name}" TO "{owner}"')
    return urls(embedded, name)


def drop(embedded: Embedded, name: str) -> None:
    with superuser(embedded) as cursor:
        cursor.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def make_template(embedded: Embedded) -> str:
    found = create(embedded, "template_tollgate")
    migrate(found.owner, found.api, found.worker)
    later_indexes.build(found.owner)
    return "template_tollgate"
