"""What a record holds, and what two of them say a row was and is."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from psycopg2 import errorcodes

from core.audit import log
from core.domain.identifiers import new_id
from core.persistence.database import Database, Scope, open_database
from tests.support.databases import Urls

SHOP = Scope(uuid4(), "test")


@pytest.fixture(scope="module")
def api(database: Urls) -> Database:
    return open_database(database.api, 2, "tests")


def test_it_says_who_did_what_from_where_and_for_which_job(api: Database) -> None:
    subject, job = new_id(), new_id()
    with api.scoped(SHOP) as connection:
        log.record(
            connection,
            scope=SHOP,
            actor="key:abc",
            action="route.activated",
            subject_kind="route",
            subject_id=subject,
            request_id="req_1",
            job_id=job,
            from_address="203.0.113.7",
            **log.changes({"status": "draft", "note": "a"}, {"status": "active", "note": "a"}, "status", "note"),
        )
    with api.scoped(SHOP) as connection:
        query = sa.text("SELECT * FROM audit_log WHERE subject_id = :id")
        row = connection.execute(query, {"id": subject}).mappings().one()
    assert (row["actor"], row["request_id"], row["job_id"], row["from_address"]) == (
        "key:abc",
        "req_1",
        job,
        "203.0.113.7",
    )
    assert (row["before"], row["after"], row["details"]) == ({"status": "draft"}, {"status": "active"}, {})


def test_what_is_of_no_merchant_is_written_under_the_installations_scope(api: Database) -> None:
    told: dict[str, Any] = {"actor": "nobody", "action": "login.refused", "subject_kind": "administrator"}
    told["subject_id"] = new_id()
    with api.scoped(log.EVERYBODY) as connection:
        log.record(connection, scope=log.EVERYBODY, **told)
    with pytest.raises(sa.exc.DBAPIError) as caught, api.unscoped() as connection:
        log.record(connection, scope=log.EVERYBODY, **told)
    assert getattr(caught.value.orig, "pgcode", None) == errorcodes.INSUFFICIENT_PRIVILEGE


def test_changes_hold_what_differs_and_nothing_else() -> None:
    before = {"a": 1, "b": UUID(int=1), "c": ["x"], "secret": "old"}
    after = {"a": 1, "b": UUID(int=2), "c": ("x", "y"), "secret": "new"}
    assert log.changes(before, after, "a", "b", "c") == {
        "before": {"b": str(UUID(int=1)), "c": ["x"]},
        "after": {"b": str(UUID(int=2)), "c": ["x", "y"]},
    }
