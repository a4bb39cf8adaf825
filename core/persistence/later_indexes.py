"""Indexes that are built beside traffic once the schema is up to date: no write stops for one, and no road needs one.

A migration is one transaction, in which an index would stop every write to its table for half a minute a million rows.
"""

from __future__ import annotations

from collections.abc import Mapping

import psycopg2
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.persistence.database import create_engine

#: Name -> what it is on, with what it is for. Each is of a list or an errand of people; the roads have theirs from the
#: migrations.
INDEXES: Mapping[str, str] = {
    # A merchant's jobs, newest first: forty of one would be looked for among another's millions.
    "jobs_list": "ON jobs (merchant_id, mode, id)",
    # Those that ended badly are few among many.
    "jobs_ended": "ON jobs (merchant_id, mode, status, id) WHERE status IN ('failed', 'canceled')",
    "inbox_list": "ON inbox_events (merchant_id, mode, id)",
    # The events of an hour, to replay them: they come in the order of time, so that a few pages of index do.
    "inbox_received": "ON inbox_events USING brin (received_at) WITH (pages_per_range = 32, autosummarize = on)",
    # Answers that may name whoever is erased.
    "idempotency_payment": "ON idempotency_keys (payment_id) WHERE payment_id IS NOT NULL",
    # Was this told before, and ended by a person?
    "findings_known": "ON findings (merchant_id, mode, kind, dedupe_key)",
    # What keeps an account from being disabled.
    "transactions_account_open": "ON transactions (provider_account_id) "
    "WHERE status IN ('sent', 'pending', 'requires_action', 'unknown')",
    "payments_account_open": "ON payments (provider_account_id) "
    "WHERE status IN ('processing', 'requires_action', 'authorized')",
    # Does anything still hang on a version of a key?
    "data_keys_version": "ON data_keys (kek_version)",
    "customers_index_version": "ON customers (index_key_version)",
    "refunds_open": "ON refunds (payment_id) WHERE status IN ('processing', 'requires_action')",
}

#: Any fixed number. Asked for without waiting: who waited in a transaction would be waited for by the build.
_LOCK = 8_106_771_351
#: How long transactions that were there before are waited for, a backup's for example.
_PATIENCE = "30min"
_STANDING = sa.text(
    "SELECT c.relname, i.indisvalid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid "
    "WHERE c.relnamespace = 'public'::regnamespace AND c.relname = ANY(:names)"
)


class IndexNotBuilt(Exception):
    """The message says which, why, and what to do."""


def missing(connection: Connection) -> list[str]:
    """Names of those that are not there, or were given up half-way."""
    found = {row.relname: row.indisvalid for row in connection.execute(_STANDING, {"names": list(INDEXES)})}
    return [name for name in INDEXES if not found.get(name, False)]


def build(owner_url: str) -> list[str]:
    """Build what is missing and return its names; nothing where another process is at it. Can be killed and repeated.

    Raises IndexNotBuilt, and SQLAlchemy's errors when Postgres cannot be reached.
    """
    engine = create_engine(owner_url, pool_size=1, application="tollgate-migrate")
    try:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            wanted = missing(connection)
            if not wanted or not connection.execute(sa.text(f"SELECT pg_try_advisory_lock({_LOCK})")).scalar_one():
                return []
            connection.exec_driver_sql(f"SET statement_timeout = 0; SET lock_timeout = '{_PATIENCE}'")
            for name in wanted:
                _build(connection, name)
            return wanted
    finally:
        engine.dispose()


def _build(connection: Connection, name: str) -> None:
    try:
        # What a killed build has left is written to and never read.
        connection.exec_driver_sql(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
        connection.exec_driver_sql(f"CREATE INDEX CONCURRENTLY {name} {INDEXES[name]}")
    except sa.exc.DBAPIError as error:
        if isinstance(error.orig, psycopg2.errors.LockNotAvailable):
            why = f"a transaction has been open for {_PATIENCE}"
        else:
            why = str(getattr(error.orig, "pgerror", None) or type(error.orig).__name__).strip()
        raise IndexNotBuilt(
            f"the schema is up to date, but the index {name} was not built: {why}. Everything works, some lists are "
            "slow; run `tollgate migrate` again"
        ) from None
