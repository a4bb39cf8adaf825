"""Connections: one engine a process, short transactions, the merchant set on each of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine, make_url

#: Nothing we do in a transaction takes longer; a lock that does is a fault to be seen, not waited out.
_SERVER_OPTIONS = (
    "-c statement_timeout=10000 -c lock_timeout=5000 -c idle_in_transaction_session_timeout=15000 -c timezone=UTC"
)

_SET_SCOPE = sa.text(
    "SELECT app_now(), set_config('tollgate.merchant_id', :merchant, true), set_config('tollgate.mode', :mode, true), "
    "set_config('lock_timeout', :lock_timeout, true)"
)


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose rows a transaction may see: one merchant, one mode."""

    merchant_id: UUID
    mode: str


def driver_url(url: str) -> str:
    """SQLAlchemy 2.1 reads a bare postgresql:// as another driver; the one we ship is written out."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "postgresql" or parsed.drivername == "postgres":
        parsed = parsed.set(drivername="postgresql+psycopg2")
    return parsed.render_as_string(hide_password=False)


def create_engine(url: str, pool_size: int, application: str = "tollgate") -> Engine:
    """An engine whose connections end by themselves when the server hangs."""
    return sa.create_engine(
        driver_url(url),
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=5,
        pool_pre_ping=True,
        hide_parameters=True,  # an error names the statement, never a row's values
        connect_args={
            "options": _SERVER_OPTIONS,
            "connect_timeout": 3,
            "application_name": application,
            "keepalives_idle": 10,
            "keepalives_interval": 3,
            "keepalives_count": 3,
        },
    )


def set_scope(connection: Connection, scope: Scope, lock_timeout: float = 5.0) -> None:
    """Hold the rest of the transaction to one merchant and mode."""
    values = {
        "merchant": str(scope.merchant_id),
        "mode": scope.mode,
        "lock_timeout": f"{lock_timeout * 1000:.0f}ms",
    }
    connection.info["now"] = connection.execute(_SET_SCOPE, values).scalar_one()


def present(connection: Connection) -> datetime:
    """The database's time, read when the transaction was scoped."""
    now: datetime = connection.info["now"]
    return now


class Database:
    """Hands out transactions. Every one commits on leaving the block and rolls back on an exception."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    @contextmanager
    def scoped(self, scope: Scope, lock_timeout: float = 5.0) -> Iterator[Connection]:
        """A transaction that sees one merchant's rows of one mode (row-level security).

        `lock_timeout` in seconds: how long it waits for another's lock before Postgres ends it (55P03).
        """
        with self.engine.begin() as connection:
            set_scope(connection, scope, lock_timeout)
            yield connection

    @contextmanager
    def unscoped(self) -> Iterator[Connection]:
        """A transaction across merchants: claims and sweeps of the worker role, key look-ups of the api's."""
        with self.engine.begin() as connection:
            yield connection
