"""The tables of the code are those of the database; what Postgres itself refuses; partitions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from psycopg2 import errorcodes
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import Connection

from core.domain.identifiers import new_id
from core.persistence import tables
from core.persistence.database import Scope
from core.persistence.queries.schema import missing_columns
from tests.persistence import rows
from tests.persistence.conftest import Roles

#: In the database and not in the code's tables: reached by functions only, or not ours.
ELSEWHERE = {"detached_partitions", "retention_progress", "alembic_version", "app_clock", "forged_webhooks"}
PARTITIONED = ("audit_log", "bodies", "deliveries", "events")
OPEN = ("sent", "pending", "requires_action", "unknown")
CLOSED = ("declined", "not_executed", "canceled")


@contextmanager
def refused(code: str, constraint: str | None = None) -> Iterator[None]:
    with pytest.raises(sa.exc.IntegrityError) as caught:
        yield
    error: Any = caught.value.orig
    assert (error.pgcode, error.diag.constraint_name) == (code, constraint or error.diag.constraint_name)


class TestTheCodesTables:
    def test_are_all_there_is(self, roles: Roles) -> None:
        query = (
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') "
            "AND NOT relispartition"
        )
        with roles.owner.connect() as connection:
            assert set(connection.exec_driver_sql(query).scalars()) == set(tables.metadata.tables) | ELSEWHERE

    @pytest.mark.parametrize("name", sorted(tables.metadata.tables))
    def test_equal_the_databases(self, roles: Roles, name: str) -> None:
        dialect = postgresql.dialect()
        inspector = sa.inspect(roles.owner)
        stored = {
            column["name"]: (column["type"].compile(dialect=dialect), column["nullable"])
            for column in inspector.get_columns(name)
        }
        written = {
            column.name: (column.type.compile(dialect=dialect), column.nullable)
            for column in tables.metadata.tables[name].columns
        }
        assert written == stored
        assert [column.name for column in tables.metadata.tables[name].primary_key] == inspector.get_pk_constraint(
            name
        )["constrained_columns"]

    def test_readiness_finds_what_is_missing(self, roles: Roles) -> None:
        with roles.api.unscoped() as connection:
            assert missing_columns(connection) == []
        with roles.owner.connect() as connection:
            connection.exec_driver_sql("ALTER TABLE findings RENAME resolution TO outcome")
            assert missing_columns(connection) == ["findings.resolution"]
            connection.rollback()


class Money:
    """A payment, with which the last line of defence can be tried."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.scope = Scope(rows.make_merchant(connection), "test")
        self.made = rows.fill(connection, self.scope)

    def payment(self, **values: Any) -> UUID:
        payment_id = new_id()
        owned = {"merchant_id": self.scope.merchant_id, "mode": self.scope.mode}
        self.connection.execute(
            tables.payments.insert().values(id=payment_id, **owned, **rows.payment_values(None, **values))
        )
        return payment_id

    def transaction(self, payment_id: UUID, **values: Any) -> None:
        account = self.made["provider_accounts"]
        assert isinstance(account, UUID)
        filled = rows.transaction_values(account, **{"number": new_id().int % 2**31, **values})
        owned = {"merchant_id": self.scope.merchant_id, "mode": self.scope.mode, "payment_id": payment_id}
        self.connection.execute(
            tables.transactions.insert().values(id=new_id(), **owned, amount=5000, currency="USD", **filled)
        )

    def job(self, payment_id: UUID, **values: Any) -> None:
        owned = {"merchant_id": self.scope.merchant_id, "mode": self.scope.mode, "payment_id": payment_id}
        self.connection.execute(tables.jobs.insert().values(id=new_id(), **owned, **rows.job_values(**values)))


@pytest.fixture
def money(roles: Roles) -> Iterator[Money]:
    with roles.owner.connect() as connection:
        yield Money(connection)
        connection.rollback()


class TestRefusedByPostgresItself:
    @pytest.mark.parametrize(
        ("captured", "received", "reserved"), [(5000, 0, 5001), (0, 0, 1), (0, 5000, 5001), (5000, 0, -1)]
    )
    def test_more_refunds_than_money(self, money: Money, captured: int, received: int, reserved: int) -> None:
        sums = {"amount_captured": captured, "amount_received": received, "refund_reserved": reserved}
        with refused(errorcodes.CHECK_VIOLATION, "refunds_within_captured"):
            money.payment(**sums)

    @pytest.mark.parametrize(("captured", "received", "reserved"), [(5000, 0, 5000), (0, 5000, 5000), (0, 0, 0)])
    def test_as_many_refunds_as_money(self, money: Money, captured: int, received: int, reserved: int) -> None:
        money.payment(amount_captured=captured, amount_received=received, refund_reserved=reserved)

    @pytest.mark.parametrize("second", [*OPEN, "succeeded"])
    @pytest.mark.parametrize("first", [*OPEN, "succeeded"])
    def test_a_second_charge(self, money: Money, first: str, second: str) -> None:
        payment = money.payment()
        money.transaction(payment, kind="charge", status=first)
        with refused(errorcodes.UNIQUE_VIOLATION, "transactions_one_charge"):
            money.transaction(payment, kind="authorize", status=second)

    @pytest.mark.parametrize("first", CLOSED)
    def test_a_charge_after_one_that_surely_failed_is_allowed(self, money: Money, first: str) -> None:
        payment = money.payment()
        money.transaction(payment, kind="charge", status=first)
        money.transaction(payment, kind="charge", status="sent")
        money.transaction(payment, kind="charge", status="succeeded", surplus=True)

    def test_a_second_capture_or_void_at_once(self, money: Money) -> None:
        for status in OPEN:
            payment = money.payment()
            money.transaction(payment, kind="capture", status=status)
            with (
                refused(errorcodes.UNIQUE_VIOLATION, "transactions_one_closing"),
                money.connection.begin_nested(),
            ):
                money.transaction(payment, kind="void", status="sent")

    def test_a_provider_key_used_twice(self, money: Money) -> None:
        money.transaction(money.payment(), provider_key="pay_1-charge-1")
        with refused(errorcodes.UNIQUE_VIOLATION, "transactions_provider_account_id_provider_key_key"):
            money.transaction(money.payment(), provider_key="pay_1-charge-1")

    def test_two_waiting_looks_at_one_payment(self, money: Money) -> None:
        payment = money.payment()
        money.job(payment, status="running")
        money.job(payment, status="queued")
        with refused(errorcodes.UNIQUE_VIOLATION, "jobs_one_sync"):
            money.job(payment, status="queued")

    def test_a_capture_beside_a_cancellation(self, money: Money) -> None:
        payment = money.payment()
        money.job(payment, kind="capture_payment", status="needs_review")
        with refused(errorcodes.UNIQUE_VIOLATION, "jobs_one_closing"):
            money.job(payment, kind="cancel_payment", status="queued")

    @pytest.mark.parametrize(
        "values",
        [
            {"amount": 0},
            {"amount": -1},
            {"amount": 10**12},
            {"currency": "US"},
            {"status": "paid"},
            {"amount_received": -1},
            {"amount_refunded": -1},
            {"method": "card"},
        ],
    )
    def test_a_payment_out_of_bounds(self, money: Money, values: dict[str, Any]) -> None:
        with refused(errorcodes.CHECK_VIOLATION):
            money.payment(**values)

    def test_a_live_account_with_an_address_of_its_own(self, money: Money) -> None:
        with refused(errorcodes.CHECK_VIOLATION):
            money.connection.exec_driver_sql("UPDATE provider_accounts SET mode = 'live', api_base = 'http://x'")


class TestPartitions:
    def test_last_month_this_one_and_six_ahead(self, roles: Roles) -> None:
        query = sa.text(
            "SELECT to_regclass(:table || to_char(app_now() + make_interval(months => step), '_YYYY_MM')) IS NOT NULL "
            "FROM generate_series(-1, 6) step"
        )
        with roles.owner.connect() as connection:
            for table in PARTITIONED:
                found = list(connection.execute(query, {"table": table}).scalars())
                assert found == [True] * 8, table

    def test_made_once(self, roles: Roles) -> None:
        with roles.worker.unscoped() as connection:
            assert connection.exec_driver_sql("SELECT ensure_partitions(6)").scalar_one() == 0
            assert connection.exec_driver_sql("SELECT ensure_partitions(8)").scalar_one() == 2 * len(PARTITIONED)
            assert connection.exec_driver_sql("SELECT ensure_partitions(8)").scalar_one() == 0

    def test_months_meet_without_a_gap(self, roles: Roles) -> None:
        query = (
            "SELECT pg_get_expr(c.relpartbound, c.oid) FROM pg_class c JOIN pg_inherits i ON i.inhrelid = c.oid "
            "WHERE i.inhparent = 'events'::regclass ORDER BY c.relname"
        )
        with roles.owner.connect() as connection:
            bounds = [text.split("'")[1::2] for text in connection.exec_driver_sql(query).scalars()]
        assert all(end == begin for (_, end), (begin, _) in pairwise(bounds))
