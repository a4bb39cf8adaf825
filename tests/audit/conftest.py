"""A log of a test's own, written to by both running roles, and tampered with by who can do anything."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import psycopg2
import pytest

from cli.embedded import Embedded
from core.audit import log, sealing, seals
from core.audit.heads import Head, head_of
from core.audit.sealing import Sealed
from core.audit.signing import Ed25519Signer
from core.audit.verifying import Verified, verify
from core.domain.identifiers import new_id
from core.persistence.database import Database, Scope, open_database
from core.persistence.queries import audit as rows
from tests.support import databases
from tests.support.databases import Urls

SHOP = Scope(uuid4(), "test")


@dataclass
class Book:
    """One installation's log. `signer` is its own key."""

    urls: Urls
    superuser: str
    owner: Database
    worker: Database
    api: Database
    signer: Ed25519Signer

    def write(self, count: int = 1, action: str = "test.done") -> None:
        for _ in range(count):
            with self.api.scoped(SHOP) as connection:
                record(connection, action)

    def seal(self, most: int = sealing.MOST) -> Sealed:
        return sealing.seal(self.worker, self.signer, most=most)

    def verify(self, head: Head | None = None, **options: Any) -> Verified:
        return verify(self.owner, [self.signer.public_key], head, **options)

    def head(self) -> Head:
        with self.owner.unscoped() as connection:
            last = seals.last(connection)
            assert last is not None
            return head_of(rows.installation(connection), last)

    def numbers(self) -> list[int]:
        with self.owner.unscoped() as connection:
            return list(connection.exec_driver_sql("SELECT number FROM audit_log ORDER BY number").scalars())

    def tamper(self, *statements: str) -> None:
        """As a superuser past every trigger."""
        connection = psycopg2.connect(self.superuser)
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute("SET session_replication_role = replica")
                for statement in statements:
                    cursor.execute(statement)
                    assert cursor.rowcount != 0, f"nothing was tampered with: {statement}"
        finally:
            connection.close()


def record(connection: Any, action: str = "test.done") -> None:
    told = {"amount": 1.5, "words": 'ä "quoted" \\ {…}', "list": [1, None, True]}
    log.record(
        connection, scope=SHOP, actor="key:abc", action=action, subject_kind="test", subject_id=new_id(), details=told
    )


@pytest.fixture
def book(embedded: Embedded, template: str) -> Iterator[Book]:
    name = f"test_{uuid4().hex}"
    urls = databases.create(embedded, name, template)
    opened = {role: open_database(getattr(urls, role), 12, "tests") for role in ("owner", "worker", "api")}
    yield Book(urls, databases.plain(embedded.superuser_url, name), **opened, signer=Ed25519Signer(bytes(range(32))))
    for database in opened.values():
        database.engine.dispose()
    databases.drop(embedded, name)
