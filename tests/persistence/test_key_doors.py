"""What the gate's login can do with API keys by itself: nothing but what the doors let through, whatever asks."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.audit.log import EVERYBODY
from core.domain.identifiers import public_id
from core.persistence.database import Database, Scope
from core.persistence.queries import api_keys as rows
from tests.persistence.conftest import Roles
from tests.persistence.test_walls import refused

Written = dict[Scope, dict[str, UUID | str]]


def admin_key(roles: Roles, scopes: Sequence[str], ended: bool = False) -> str:
    """The actor's name of a key that the owner has made."""
    key_id = secrets.token_hex(8)
    with roles.owner.begin() as connection:
        statement = sa.text(
            "INSERT INTO api_keys (id, kind, name, prefix, secret_hash, scopes, revoked_at) VALUES "
            "(:id, 'admin', 'x', :prefix, :hash, :scopes, CASE WHEN :ended THEN app_now() END)"
        )
        values = {"id": key_id, "prefix": f"tg_admin_{key_id}", "hash": secrets.token_bytes(32), "ended": ended}
        connection.execute(statement, {**values, "scopes": list(scopes)})
    return f"key:{key_id}"


def issue(connection: Connection, asker: str, home: Scope | None, scopes: Sequence[str]) -> str:
    key_id = secrets.token_hex(8)
    values = {
        "id": key_id,
        "kind": "admin" if home is None else "merchant",
        "merchant_id": None if home is None else home.merchant_id,
        "mode": None if home is None else home.mode,
        "name": "new",
        "prefix": "tg_",
        "secret_hash": secrets.token_bytes(32),
        "scopes": list(scopes),
        "expires_at": None,
        "replaces": None,
        "lifetime_seconds": None,
    }
    rows.issue(connection, asker, values)
    return key_id


def count(roles: Roles) -> int:
    with roles.owner.connect() as connection:
        return int(connection.exec_driver_sql("SELECT count(*) FROM api_keys").scalar_one())


@pytest.mark.parametrize(
    ("held", "ended", "wanted"),
    [
        (["admin:read"], False, ["admin:read"]),
        (["admin:keys"], True, ["admin:keys"]),
        (["admin:keys"], False, ["admin:read"]),
        (["admin:keys", "admin:read"], False, ["admin:read", "admin:write"]),
        (["admin:keys"], False, ["admin:people", "admin:keys"]),
    ],
)
def test_nobody_grants_what_it_lacks(roles: Roles, held: list[str], ended: bool, wanted: list[str]) -> None:
    asker = admin_key(roles, held, ended)
    before = count(roles)
    with refused(), roles.api.scoped(EVERYBODY) as connection:
        issue(connection, asker, None, wanted)
    assert count(roles) == before


@pytest.mark.parametrize(
    ("role", "ended", "grants"), [("admin", False, True), ("admin", True, False), ("finance", False, False)]
)
def test_people_grant_by_their_role(roles: Roles, role: str, ended: bool, grants: bool) -> None:
    name, number = f"p{secrets.token_hex(6)}", uuid4()  # of any kind: all 128 bits count
    with roles.owner.begin() as connection:
        statement = sa.text(
            "INSERT INTO administrators (id, name, role, password_hash, created_by, disabled_at) VALUES "
            "(:id, :name, :role, 'x', 'tests', CASE WHEN :ended THEN app_now() END)"
        )
        connection.execute(statement, {"id": number, "name": name, "role": role, "ended": ended})
    actor = f"person:{public_id('administrator', number)}"
    with nullcontext() if grants else refused(), roles.api.scoped(EVERYBODY) as connection:
        assert issue(connection, actor, None, ["admin:read", "admin:keys"])


@pytest.mark.parametrize("asker", ["key:nobody", "owner", "cli:ada", "person:nobody", "key:", ""])
def test_who_is_no_administrator_grants_nothing(roles: Roles, written: Written, asker: str) -> None:
    home = next(iter(written))
    with refused(), roles.api.scoped(home) as connection:
        issue(connection, asker, home, ["payments:read"])


def test_a_merchants_key_grants_nothing(roles: Roles, written: Written) -> None:
    home = next(iter(written))
    with refused(), roles.api.scoped(home) as connection:
        issue(connection, f"key:{written[home]['api_keys']}", home, ["payments:read"])


def test_people_in_clear_need_one_who_may_see_them(roles: Roles, written: Written) -> None:
    home, lacks, has = next(iter(written)), admin_key(roles, ["admin:keys"]), ["admin:keys", "admin:reveal"]
    with refused(), roles.api.scoped(home) as connection:
        issue(connection, lacks, home, ["customers:reveal"])
    with roles.api.scoped(home) as connection:
        issue(connection, admin_key(roles, has), home, ["customers:reveal"])


def test_keys_are_made_and_ended_of_the_transactions_merchant_and_mode_only(roles: Roles, written: Written) -> None:
    asker = admin_key(roles, ["admin:write"])
    one, *others = written
    for home in (*others, None):
        with refused(), roles.api.scoped(one) as connection:
            issue(connection, asker, home, ["payments:read"] if home else ["admin:read"])
    with roles.api.scoped(one) as connection:
        for home in others:
            theirs = str(written[home]["api_keys"])
            assert rows.hold(connection, theirs) is None
            rows.end(connection, asker, theirs, revoked=True)
        assert rows.hold(connection, asker.removeprefix("key:")) is None
        rows.end(connection, asker, asker.removeprefix("key:"), revoked=True)
    with roles.owner.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM api_keys WHERE ended_by IS NOT NULL").scalar_one() == 0


def test_without_a_scope_the_doors_are_closed(roles: Roles, written: Written) -> None:
    asker, home = admin_key(roles, ["admin:write"]), next(iter(written))
    for wanted in (home, None):
        with refused(), roles.api.unscoped() as connection:
            issue(connection, asker, wanted, ["admin:read"])
    with roles.api.unscoped() as connection:
        assert rows.hold(connection, str(written[home]["api_keys"])) is None


def test_an_end_is_not_taken_back_nor_moved_to_later(roles: Roles, written: Written) -> None:
    asker, home = admin_key(roles, ["admin:keys"]), next(iter(written))
    with roles.api.scoped(home) as connection:
        made = issue(connection, asker, home, ["payments:read"])
        first = _end(connection, asker, made, "1 hour")
        assert _end(connection, asker, made, "2 hours") == first
        rows.end(connection, asker, made, revoked=True)
        revoked = rows.hold(connection, made)
        assert revoked is not None
        assert (revoked["revoked_at"] is None, revoked["expires_at"]) == (False, first)
        _end(connection, asker, made, "3 hours")
        assert rows.hold(connection, made) == revoked


def _end(connection: Connection, asker: str, key_id: str, after: str) -> Any:
    at = connection.execute(sa.text("SELECT app_now() + CAST(:after AS interval)"), {"after": after}).scalar_one()
    rows.end(connection, asker, key_id, revoked=False, ends_at=at)
    row = rows.hold(connection, key_id)
    return None if row is None else row["expires_at"]


@pytest.mark.parametrize("role", ["api", "worker"])
def test_the_table_itself_is_closed(roles: Roles, written: Written, role: str) -> None:
    database: Database = getattr(roles, role)
    home = next(iter(written))
    for statement in (
        "UPDATE api_keys SET revoked_at = NULL",
        "UPDATE api_keys SET scopes = '{admin:write}'",
        "UPDATE api_keys SET last_used_at = NULL",
        "DELETE FROM api_keys",
        "INSERT INTO api_keys (id, kind, name, prefix, secret_hash, scopes) "
        "VALUES ('a', 'admin', 'a', 'a', decode(repeat('00', 32), 'hex'), '{}')",
    ):
        with refused(), database.scoped(home) as connection:
            connection.exec_driver_sql(statement)
    with refused(), database.scoped(home) as connection:
        connection.exec_driver_sql("SELECT scopes_to_grant('key:x')")


def test_merchants_are_made_and_renamed_and_nothing_else(roles: Roles) -> None:
    new = "INSERT INTO merchants (id, name) VALUES (gen_random_uuid(), 'New') RETURNING id"
    with roles.api.unscoped() as connection:
        made = connection.exec_driver_sql(new).scalar_one()
        connection.exec_driver_sql("UPDATE merchants SET name = 'Newer' WHERE id = %s", (str(made),))
    for statement in (
        "UPDATE merchants SET id = gen_random_uuid()",
        "UPDATE merchants SET created_at = now()",
        "DELETE FROM merchants",
        "INSERT INTO merchants (id, name, created_at) VALUES (gen_random_uuid(), 'x', now())",
    ):
        with refused(), roles.api.unscoped() as connection:
            connection.exec_driver_sql(statement)
    with refused(), roles.worker.unscoped() as connection:
        connection.exec_driver_sql(new)
