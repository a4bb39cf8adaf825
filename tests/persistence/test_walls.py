"""Row-level security and rights: what a query that forgets its filter cannot see, and nobody can change."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from psycopg2 import errorcodes
from sqlalchemy.engine import Connection, Engine

from core.persistence.database import Database, Scope
from tests.persistence.conftest import Roles

Written = dict[Scope, dict[str, UUID | str]]

#: Every table with merchant and mode.
WALLED = (
    "data_keys api_keys provider_accounts customers payments refunds transactions disputes jobs idempotency_keys "
    "inbox_events webhook_endpoints findings bodies events deliveries audit_log payment_methods provider_customers "
    "erasures routes health_changes reconciliation_runs statement_lines payouts daily_figures report_days"
).split()
#: What each running role may do, whole: S(elect) I(nsert) U(pdate); nothing else, and DELETE never. A small letter:
#: in some columns only.
RIGHTS = {
    "administrator_devices": ("SIU", ""),
    "administrator_sessions": ("SIU", ""),
    "administrator_spare_codes": ("SIU", ""),
    "administrators": ("SIU", ""),
    "alembic_version": ("S", "S"),
    "api_keys": ("S", ""),
    "app_clock": ("S", "S"),
    "audit_log": ("Si", "Si"),
    "audit_seals": ("S", "SI"),
    "bodies": ("SIu", "SIu"),
    "customers": ("SIU", "SIU"),
    "daily_figures": ("S", "SIU"),
    "data_keys": ("SI", "SIu"),
    "deliveries": ("S", "SI"),
    "detached_partitions": ("", ""),
    "disputes": ("SU", "SIU"),
    "erasures": ("SIU", "SIU"),
    "events": ("SIu", "SIu"),
    "findings": ("SIU", "SIU"),
    "forged_webhooks": ("", ""),
    "health_changes": ("SI", "SI"),
    "idempotency_keys": ("SIU", "SIu"),
    "inbox_events": ("SIU", "SIU"),
    "installation": ("S", "S"),
    "installation_keys": ("SI", "Su"),
    "jobs": ("SIU", "SIU"),
    "key_rotations": ("S", "SIU"),
    "merchants": ("Siu", "S"),
    "payment_methods": ("SIU", "SIU"),
    "payments": ("SIU", "SIU"),
    "payouts": ("S", "SIU"),
    "provider_accounts": ("SIU", "SU"),
    "provider_customers": ("SIU", "SIU"),
    "reconciliation_runs": ("SIU", "SIU"),
    "refunds": ("SIU", "SIU"),
    "report_days": ("SIU", "SIU"),
    "retention_progress": ("", ""),
    "schedule_runs": ("", "SIU"),
    "routes": ("SIU", "S"),
    "sealing_keys": ("S", "SIU"),
    "statement_lines": ("S", "SIU"),
    "transactions": ("SIU", "SIU"),
    "unknown_words": ("S", "SIU"),
    "webhook_endpoints": ("SIU", "SIU"),
}
_PRIVILEGES = {"S": "SELECT", "I": "INSERT", "U": "UPDATE", "D": "DELETE", "T": "TRUNCATE"}
_BY_COLUMN = ("SELECT", "INSERT", "UPDATE")
_WHOLE = sa.text("SELECT has_table_privilege(:role, :table, :privilege)")
_SOME = sa.text("SELECT has_any_column_privilege(:role, :table, :privilege)")
_TABLES = sa.text(
    "SELECT c.relname AS name, c.relispartition AS part FROM pg_class c "
    "WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') ORDER BY 1"
)
_OWNED = "SELECT DISTINCT merchant_id, mode FROM {}"


@contextmanager
def refused(code: str = errorcodes.INSUFFICIENT_PRIVILEGE) -> Iterator[None]:
    with pytest.raises(sa.exc.DBAPIError) as caught:
        yield
    assert getattr(caught.value.orig, "pgcode", None) == code, caught.value


def seen(connection: Connection, table: str) -> set[Scope]:
    return {Scope(merchant, mode) for merchant, mode in connection.exec_driver_sql(_OWNED.format(table))}


def with_right(letter: str) -> list[tuple[str, str]]:
    """(role, table) of the walled tables in which a role may do this."""
    roles = enumerate(("api", "worker"))
    return [(role, table) for place, role in roles for table in WALLED if letter in RIGHTS[table][place]]


def visible_to(role: int) -> list[str]:
    return [table for table in WALLED if "S" in RIGHTS[table][role]]


def test_every_table_with_merchant_and_mode_is_walled(roles: Roles) -> None:
    columns = "SELECT table_name FROM information_schema.columns WHERE table_schema = 'public' AND column_name = {!r}"
    with roles.owner.connect() as connection:
        owned = [set(connection.exec_driver_sql(columns.format(name)).scalars()) for name in ("merchant_id", "mode")]
        parts = {row.name for row in connection.execute(_TABLES) if row.part}
        walled = sa.text("SELECT relname FROM pg_class WHERE relrowsecurity")
        policies = sa.text("SELECT tablename, count(*) AS n, min(cmd) AS cmd FROM pg_policies GROUP BY 1")
        assert (owned[0] & owned[1]) - parts == set(WALLED) == set(connection.execute(walled).scalars())
        assert {(row.tablename, row.n, row.cmd) for row in connection.execute(policies)} == {
            (table, 2, "ALL") for table in WALLED
        }


@pytest.mark.parametrize("table", visible_to(0))
def test_the_gate_sees_one_merchant_and_mode_even_without_a_filter(roles: Roles, written: Written, table: str) -> None:
    for scope in written:
        with roles.api.scoped(scope) as connection:
            assert seen(connection, table) == {scope}


@pytest.mark.parametrize("table", visible_to(0))
def test_the_gate_sees_nothing_without_a_scope(roles: Roles, written: Written, table: str) -> None:
    with roles.api.unscoped() as connection:
        assert seen(connection, table) == set()


@pytest.mark.parametrize("table", visible_to(1))
def test_a_worker_sees_all_until_it_takes_a_scope(roles: Roles, written: Written, table: str) -> None:
    with roles.worker.unscoped() as connection:
        assert seen(connection, table) == set(written)
    for scope in written:
        with roles.worker.scoped(scope) as connection:
            assert seen(connection, table) == {scope}


@pytest.mark.parametrize("half", ["merchant_id", "mode"])
def test_half_a_scope_shows_nothing(roles: Roles, written: Written, half: str) -> None:
    scope = next(iter(written))
    value = str(scope.merchant_id) if half == "merchant_id" else scope.mode
    for database in (roles.api, roles.worker):
        with database.unscoped() as connection:
            connection.execute(
                sa.text("SELECT set_config(:name, :value, true)"), {"name": f"tollgate.{half}", "value": value}
            )
            expected = set(written) if database is roles.worker and half == "mode" else set()
            assert seen(connection, "payments") == expected


def test_a_scope_ends_with_its_transaction(roles: Roles, written: Written) -> None:
    scope = next(iter(written))
    for _ in range(3):  # whichever pooled connection comes next
        with roles.api.scoped(scope) as connection:
            assert seen(connection, "payments") == {scope}
        with roles.api.unscoped() as connection:
            assert seen(connection, "payments") == set()


class TestWriting:
    @pytest.mark.parametrize("role", ["api", "worker"])
    def test_a_row_for_another_is_refused(self, roles: Roles, written: Written, role: str) -> None:
        database: Database = getattr(roles, role)
        one, *others = written
        for other in others:
            with refused(), database.scoped(one) as connection:
                connection.exec_driver_sql(
                    "INSERT INTO findings (id, merchant_id, mode, kind, dedupe_key, status) "
                    "VALUES (%s, %s, %s, 'x', 'planted', 'open')",
                    (str(uuid4()), str(other.merchant_id), other.mode),
                )

    @pytest.mark.parametrize(
        ("role", "table"),
        [
            (role, table)
            for place, role in enumerate(("api", "worker"))
            for table in WALLED
            if "U" in RIGHTS[table][place]
        ],
    )
    def test_a_change_that_forgets_its_filter_touches_ones_own(
        self, roles: Roles, written: Written, role: str, table: str
    ) -> None:
        database: Database = getattr(roles, role)
        for scope in written:
            with roles.owner.connect() as connection:
                own = sa.text(f"SELECT count(*) FROM {table} WHERE merchant_id = :merchant AND mode = :mode")
                expected = connection.execute(own, {"merchant": scope.merchant_id, "mode": scope.mode}).scalar_one()
            with database.scoped(scope) as connection:
                changed = connection.exec_driver_sql(f"UPDATE {table} SET mode = mode")
                assert changed.rowcount == expected > 0

    @pytest.mark.parametrize(
        ("role", "table"),
        [
            (role, table)
            for place, role in enumerate(("api", "worker"))
            for table in WALLED
            if "I" in RIGHTS[table][place].upper()
        ],
    )
    def test_no_row_is_put_into_anothers_place(self, roles: Roles, written: Written, role: str, table: str) -> None:
        """A copy of my row with another's merchant: refused by the wall before anything else is looked at."""
        database: Database = getattr(roles, role)
        one, other = list(written)[:2]
        with roles.owner.connect() as connection:
            columns = (
                "SELECT column_name FROM information_schema.columns WHERE table_name = %s AND is_generated = 'NEVER' "
                "AND has_column_privilege(%s, table_name, column_name, 'INSERT')"
            )
            names = list(connection.exec_driver_sql(columns, (table, f"tollgate_{role}")).scalars())
            assert {"merchant_id", "mode"} <= set(names)
        theirs = {"merchant_id": f"'{other.merchant_id}'", "mode": f"'{other.mode}'"}
        values = ", ".join(theirs.get(name, name) for name in names)
        with refused(), database.scoped(one) as connection:
            connection.exec_driver_sql(f"INSERT INTO {table} ({', '.join(names)}) SELECT {values} FROM {table} LIMIT 1")

    @pytest.mark.parametrize("role", ["api", "worker"])
    def test_another_ones_rows_are_neither_changed_nor_given_away(
        self, roles: Roles, written: Written, role: str
    ) -> None:
        database: Database = getattr(roles, role)
        one, *others = written
        with database.scoped(one) as connection:
            for other in others:
                theirs = (str(written[other]["payments"]),)
                changed = connection.exec_driver_sql("UPDATE payments SET description = 'x' WHERE id = %s", theirs)
                assert changed.rowcount == 0
        with refused(), database.scoped(one) as connection:
            mine, other = str(written[one]["payments"]), others[0]
            connection.exec_driver_sql(
                "UPDATE payments SET merchant_id = %s, mode = %s WHERE id = %s",
                (str(other.merchant_id), other.mode, mine),
            )


class TestRights:
    def test_are_these_and_no_others(self, roles: Roles) -> None:
        with roles.owner.connect() as connection:
            names = [row.name for row in connection.execute(_TABLES) if not row.part]
            found = {name: tuple(_granted(connection, role, name) for role in ("api", "worker")) for name in names}
        assert found == RIGHTS

    def test_partitions_have_no_door_of_their_own(self, roles: Roles) -> None:
        """A query on a partition would pass by the walls of its parent."""
        with roles.owner.connect() as connection:
            parts = [row.name for row in connection.execute(_TABLES) if row.part]
            assert len(parts) > 4 * 6
            assert {_granted(connection, role, part) for role in ("api", "worker") for part in parts} == {""}

    def test_neither_role_can_get_past_the_walls(self, roles: Roles) -> None:
        with roles.owner.connect() as connection:
            query = sa.text(
                "SELECT r.rolname, r.rolsuper, r.rolbypassrls, r.rolcreaterole, pg_has_role(r.oid, d.datdba, 'MEMBER') "
                "FROM pg_roles r, pg_database d WHERE d.datname = current_database() "
                "AND r.rolname IN ('tollgate_api', 'tollgate_worker')"
            )
            found = [tuple(row) for row in connection.execute(query)]
        assert sorted(found) == [(name, False, False, False, False) for name in ("tollgate_api", "tollgate_worker")]

    def test_functions(self, roles: Roles) -> None:
        """What runs before a merchant is known is the gate's; partitions are the worker's."""
        calls = {
            "find_api_key('x')": "api",
            "note_api_key_use('x')": "api",
            "hold_api_key('x')": "api",
            "list_admin_keys()": "api",
            "find_webhook_account(gen_random_uuid())": "api",
            "count_forged_webhook(gen_random_uuid())": "api",
            "ensure_partitions(6)": "worker",
            "detach_oldest_partition('events', 600)": "worker",
            "drop_detached_partition(36500)": "worker",
            "delete_ended_jobs(36500, 1)": "worker",
            "delete_resolved_findings(36500, 1)": "worker",
            "delete_forged_counts(36500)": "worker",
        }
        for call, owner in calls.items():
            for role in ("api", "worker"):
                database: Database = getattr(roles, role)
                if role == owner:
                    with database.unscoped() as connection:
                        connection.exec_driver_sql(f"SELECT * FROM {call}")
                else:
                    with refused(), database.unscoped() as connection:
                        connection.exec_driver_sql(f"SELECT * FROM {call}")

    @pytest.mark.parametrize("role", ["api", "worker"])
    def test_anybody_may_pause_the_installation_and_only_the_owner_lets_it_go_on(self, roles: Roles, role: str) -> None:
        database: Database = getattr(roles, role)
        with database.unscoped() as connection:
            asked = [
                connection.exec_driver_sql(f"SELECT pause_installation('{reason}')").scalar_one() for reason in "ab"
            ]
            assert asked == [True, False], "the first reason stays"
            found = connection.exec_driver_sql("SELECT paused_because, paused_at <= app_now() FROM installation").one()
            assert tuple(found) == ("a", True)
        with refused(), database.unscoped() as connection:
            connection.exec_driver_sql("UPDATE installation SET paused_at = NULL, paused_because = NULL")
        with roles.owner.begin() as connection:
            connection.exec_driver_sql("UPDATE installation SET paused_at = NULL, paused_because = NULL")

    def test_nobody_but_the_owner_moves_the_time(self, roles: Roles) -> None:
        for database in (roles.api, roles.worker):
            with refused(), database.unscoped() as connection:
                connection.exec_driver_sql("UPDATE app_clock SET shift = interval '1 day'")


class TestApiKeys:
    def test_an_administrators_key_is_nobodys_to_read(self, roles: Roles, written: Written) -> None:
        with roles.owner.begin() as connection:
            connection.exec_driver_sql(
                "INSERT INTO api_keys (id, kind, name, prefix, secret_hash, scopes) "
                "VALUES ('admin1', 'admin', 'key', 'tg_admin_', decode(repeat('00', 32), 'hex'), '{}')"
            )
        query = "SELECT count(*) FROM api_keys WHERE kind = 'admin'"
        with roles.api.unscoped() as connection:
            assert connection.exec_driver_sql(query).scalar_one() == 0
        with roles.api.scoped(next(iter(written))) as connection:
            assert connection.exec_driver_sql(query).scalar_one() == 0

    def test_one_is_found_by_its_whole_id_only(self, roles: Roles, written: Written) -> None:
        scope = next(iter(written))
        with roles.api.unscoped() as connection:
            found = connection.execute(sa.text("SELECT * FROM find_api_key(:id)"), {"id": written[scope]["api_keys"]})
            assert [(row.merchant_id, row.mode) for row in found] == [(scope.merchant_id, scope.mode)]
            for text in ("%", "", "' OR true --"):
                assert connection.execute(sa.text("SELECT * FROM find_api_key(:id)"), {"id": text}).all() == []


def _granted(connection: Connection, role: str, table: str) -> str:
    found = ""
    for letter, privilege in _PRIVILEGES.items():
        given = {"role": f"tollgate_{role}", "table": table, "privilege": privilege}
        if connection.execute(_WHOLE, given).scalar_one():
            found += letter
        elif privilege in _BY_COLUMN and connection.execute(_SOME, given).scalar_one():
            found += letter.lower()
    return found


class TestAuditLog:
    CHANGES = ("UPDATE {} SET actor = 'x'", "DELETE FROM {}", "TRUNCATE {}")

    @pytest.mark.parametrize("change", CHANGES)
    @pytest.mark.parametrize("role", ["api", "worker"])
    def test_running_roles_only_add(self, roles: Roles, written: Written, role: str, change: str) -> None:
        database: Database = getattr(roles, role)
        for scope in written:
            with refused(), database.scoped(scope) as connection:
                connection.exec_driver_sql(change.format("audit_log"))

    @pytest.mark.parametrize("role", ["api", "worker"])
    def test_running_roles_do_not_choose_a_records_number(self, roles: Roles, written: Written, role: str) -> None:
        """Far ahead, it would blind the check that a database is an older copy; far back, it would never be sealed."""
        database: Database = getattr(roles, role)
        with roles.owner.connect() as connection:
            query = (
                "SELECT column_name FROM information_schema.columns WHERE table_name = 'audit_log' "
                "AND NOT has_column_privilege(%s, table_name, column_name, 'INSERT')"
            )
            assert list(connection.exec_driver_sql(query, (f"tollgate_{role}",)).scalars()) == ["number"]
        one = next(iter(written))
        names = "id, merchant_id, mode, actor, action, subject_kind, subject_id"
        values = f"gen_random_uuid(), '{one.merchant_id}', '{one.mode}', 'a', 'b', 'c', gen_random_uuid()"
        with database.scoped(one) as connection:
            connection.exec_driver_sql(f"INSERT INTO audit_log ({names}) VALUES ({values})")
        with refused(), database.scoped(one) as connection:
            connection.exec_driver_sql(f"INSERT INTO audit_log ({names}, number) VALUES ({values}, 1000000)")
        for change in ("setval('audit_number', 1000000)", "pg_catalog.setval('audit_number', 1, false)"):
            with refused(), database.unscoped() as connection:
                connection.exec_driver_sql(f"SELECT {change}")

    @pytest.mark.parametrize("change", CHANGES)
    def test_even_the_owner_is_refused(self, roles: Roles, written: Written, change: str) -> None:
        before = _count(roles.owner)
        with roles.owner.connect() as connection:
            partition = connection.exec_driver_sql(
                "SELECT tableoid::regclass::text FROM audit_log LIMIT 1"
            ).scalar_one()
        for name in ("audit_log", partition):
            with refused(), roles.owner.begin() as connection:
                connection.exec_driver_sql(change.format(name))
        assert _count(roles.owner) == before

    def test_a_later_partition_is_as_closed(self, roles: Roles) -> None:
        merchant = uuid4()
        with roles.owner.begin() as connection:
            connection.exec_driver_sql("SELECT ensure_partitions(30)")
            made = connection.exec_driver_sql(
                "INSERT INTO audit_log (id, merchant_id, mode, actor, action, subject_kind, subject_id, created_at) "
                "VALUES (%s, %s, 'test', 'a', 'b', 'c', %s, app_now() + interval '28 months') "
                "RETURNING tableoid::regclass::text",
                (str(uuid4()), str(merchant), str(merchant)),
            ).scalar_one()
        for change in self.CHANGES:
            for name in ("audit_log", made):
                with refused(), roles.owner.begin() as connection:
                    connection.exec_driver_sql(change.format(name))


def _count(owner: Engine) -> int:
    with owner.connect() as connection:
        return int(connection.exec_driver_sql("SELECT count(*) FROM audit_log").scalar_one())


def test_every_walled_table_was_tried_with_rows_in_it(written: Written) -> None:
    assert all(set(made) == set(WALLED) for made in written.values())
