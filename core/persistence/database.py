"""Connections: one engine a process, short transactions, the merchant set on each of them."""

from __future__ import annotations

import select
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from psycopg2 import errorcodes
from psycopg2.extensions import TRANSACTION_STATUS_IDLE, TRANSACTION_STATUS_INERROR
from sqlalchemy.engine import Connection, Engine, make_url

from core import metrics
from core.persistence import pipeline

#: Set on the server for each session of ours, times in milliseconds where no unit stands: what, how much, why.
SERVER_SETTINGS: Mapping[str, tuple[str, str]] = {
    "statement_timeout": ("10s", "nothing we ask takes as long; what does is a fault to be seen"),
    "lock_timeout": ("5s", "a lock held longer is a fault, too: the caller is told to repeat"),
    "idle_in_transaction_session_timeout": ("15s", "a process that stopped in a transaction gives its locks back"),
    "tcp_keepalives_idle": ("10", "a client whose machine vanished is noticed: its locks go after 19 s, not 2 h"),
    "tcp_keepalives_interval": ("3", "between the questions of the line above"),
    "tcp_keepalives_count": ("3", "unanswered questions that end the session"),
    "tcp_user_timeout": ("20000", "the same (ms) while an answer is on its way to it"),
    "TimeZone": ("UTC", "months of partitions begin at midnight in UTC"),
}
SERVER_OPTIONS = " ".join(f"-c {name}={value}" for name, (value, _) in SERVER_SETTINGS.items())
#: Of our own end of each connection, as libpq names them; seconds but for the last, which is milliseconds.
CLIENT_SETTINGS: Mapping[str, Any] = {
    "connect_timeout": 3,
    "keepalives_idle": 10,
    "keepalives_interval": 3,
    "keepalives_count": 3,
    # A server whose machine vanished acknowledges nothing: the thread that waits for it is free again after this.
    "tcp_user_timeout": 20_000,
}

#: Under this name a statement that reads the time along with its rows leaves it for `present`.
_NOW = "now"
#: Seconds until somebody who waits for a connection gives up.
_PATIENCE = 5.0
#: Marks an engine whose connections need no word about it at each use.
_OWN_BEGIN = "tollgate_own_begin"
#: The name under which a pool is counted, in the engine's options.
_APPLICATION = "tollgate_application"

#: How long a transaction waits for another's lock; the connections are opened with it.
LOCK_TIMEOUT = 5.0

_BEGIN = "BEGIN"
_SET_SCOPE = (
    "SELECT set_config('tollgate.merchant_id', %(merchant)s, true), set_config('tollgate.mode', %(mode)s, true)"
)
_SET_LOCK_TIMEOUT = "SELECT set_config('lock_timeout', %(lock_timeout)s, true)"


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


#: A prepared plan is kept while a small table grows large: it must never be one that reads the table whole.
_PREPARED_OPTIONS = "-c enable_seqscan=off"
_AUTOCOMMIT: dict[str, Any] = {
    "isolation_level": "AUTOCOMMIT",
    # `Database` gives a connection back as it took it; a reset would only cost time.
    "pool_reset_on_return": None,
}


def create_engine(url: str, pool_size: int, application: str = "tollgate", *, autocommit: bool = False) -> Engine:
    """An engine whose connections end by themselves when the server hangs.

    With `autocommit` the driver opens no transactions of its own: `Database` does, on the way of another statement.
    """
    engine = sa.create_engine(
        driver_url(url),
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=_PATIENCE,
        # The newest first: few warm connections serve better than many that each forget what they did last.
        pool_use_lifo=True,
        hide_parameters=True,  # an error names the statement, never a row's values
        json_serializer=lambda value: pipeline.json_text(value) or "null",
        connect_args={
            "options": f"{SERVER_OPTIONS} {_PREPARED_OPTIONS}" if autocommit else SERVER_OPTIONS,
            "application_name": application,
            **CLIENT_SETTINGS,
        },
        execution_options={_APPLICATION: application, _OWN_BEGIN: autocommit},
        **(_AUTOCOMMIT if autocommit else {}),
    )
    sa.event.listen(engine, "checkout", _refuse_dead)
    pipeline.install(engine)
    return engine


def _refuse_dead(driver_connection: Any, record: Any, proxy: Any) -> None:
    """A connection that has something to say while nobody asked is one whose server went away: take another.

    It costs no trip, unlike asking the server; a connection that dies later fails its transaction either way.
    """
    if not _is_alive(driver_connection):
        raise sa.exc.DisconnectionError("the server closed the connection")


def _is_alive(driver_connection: Any) -> bool:
    if driver_connection is None or driver_connection.closed:
        return False
    poll = select.poll()
    poll.register(driver_connection.fileno(), select.POLLIN)
    return not poll.poll(0)


def open_database(url: str, pool_size: int, application: str) -> Database:
    """What a process works through: its own connections, at most `pool_size` of them."""
    return Database(create_engine(url, pool_size, application, autocommit=True))


def set_scope(connection: Connection, scope: Scope, lock_timeout: float = LOCK_TIMEOUT) -> None:
    """Hold the rest of the transaction to one merchant and mode."""
    pipeline.later(connection, _SET_SCOPE, {"merchant": str(scope.merchant_id), "mode": scope.mode})
    if lock_timeout != LOCK_TIMEOUT:
        pipeline.later(connection, _SET_LOCK_TIMEOUT, {"lock_timeout": f"{lock_timeout * 1000:.0f}ms"})
    pipeline.known(connection).clear()


def is_read_only(error: BaseException | None) -> bool:
    """Did a server refuse to write because it may not: a standby that is about to be promoted, or one left behind?"""
    code = getattr(error.orig, "pgcode", None) if isinstance(error, sa.exc.DBAPIError) else None
    return code == errorcodes.READ_ONLY_SQL_TRANSACTION


def present(connection: Connection) -> datetime:
    """The database's time, the same throughout a transaction."""
    known = pipeline.known(connection)
    if _NOW not in known:
        known[_NOW] = pipeline.fetch(connection, "SELECT app_now() AS now")[0]["now"]
    now: datetime = known[_NOW]
    return now


def keep_present(connection: Connection, now: datetime) -> None:
    """Remember the time that a statement has read along with its rows."""
    pipeline.known(connection)[_NOW] = now


class Database:
    """Hands out transactions. Every one commits on leaving the block and rolls back on an exception."""

    def __init__(self, engine: Engine) -> None:
        # The pool is the engine's; `BEGIN` is ours, so that it travels with the first statement.
        self.engine = engine
        options = engine.get_execution_options()
        self._own = options.get(_OWN_BEGIN, False)
        self._sending = engine if self._own else engine.execution_options(isolation_level="AUTOCOMMIT")
        # Kept open between transactions, the newest on top: taking one from SQLAlchemy costs as much as two statements.
        self._idle: deque[Connection] = deque()
        self._free = threading.BoundedSemaphore(engine.pool.size())  # type: ignore[attr-defined]
        sa.event.listen(engine, "engine_disposed", self._close_idle)
        pool = options.get(_APPLICATION, "tollgate")
        self._used = metrics.POOL_USED.labels(pool)
        if self._own:
            metrics.POOL_SIZE.labels(pool).inc(engine.pool.size())  # type: ignore[attr-defined]

    @contextmanager
    def scoped(self, scope: Scope, lock_timeout: float = LOCK_TIMEOUT) -> Iterator[Connection]:
        """A transaction that sees one merchant's rows of one mode (row-level security).

        `lock_timeout` in seconds: how long it waits for another's lock before Postgres ends it (55P03).
        """
        with self.unscoped() as connection:
            set_scope(connection, scope, lock_timeout)
            yield connection

    @contextmanager
    def unscoped(self) -> Iterator[Connection]:
        """A transaction across merchants: claims and sweeps of the worker role, key look-ups of the api's."""
        connection = self._take()
        try:
            pipeline.open_pipeline(connection, _BEGIN)
            try:
                yield connection
                _commit(connection)
            except BaseException as error:
                _roll_back(connection, error)
                raise
        finally:
            self._give_back(connection)

    @contextmanager
    def glance(self, scope: Scope | None = None) -> Iterator[Connection]:
        """For exactly one statement that reads or writes by itself: it needs no BEGIN and no COMMIT.

        A second one is refused, since the scope held for the first alone.
        """
        connection = self._take()
        try:
            pipeline.open_pipeline(connection)
            if scope is not None:
                set_scope(connection, scope)
            connection.info[pipeline.ONLY_ONE] = True
            try:
                yield connection
            except BaseException as error:
                _roll_back(connection, error)
                raise
            if connection.info.get(pipeline.ONLY_ONE):  # nothing was asked, and what was to go with it did not
                _roll_back(connection, None)
        finally:
            if not connection.invalidated:
                pipeline.close_pipeline(connection)
                connection.info.pop(pipeline.ONLY_ONE, None)
            self._give_back(connection)

    def _take(self) -> Connection:
        if not self._own:  # others may want the engine's connections too
            return self._sending.connect()
        if not self._free.acquire(timeout=_PATIENCE):
            raise sa.exc.TimeoutError(f"no connection was free for {_PATIENCE:.0f} s")
        self._used.inc()
        try:
            while self._idle:
                try:
                    connection = self._idle.pop()
                except IndexError:  # another thread was quicker
                    break
                if _is_alive(connection.connection.driver_connection):
                    return connection
                connection.invalidate()
                connection.close()
            return self._sending.connect()
        except sa.exc.InvalidRequestError as error:  # each new connection was dead again: the server is going down
            self._let_go()
            raise sa.exc.OperationalError(None, None, error) from error
        except BaseException:
            self._let_go()
            raise

    def _give_back(self, connection: Connection) -> None:
        if not self._own:
            connection.close()
            return
        try:
            if connection.invalidated or connection.closed:
                connection.close()
            elif not _is_clean(connection):
                connection.invalidate()
                connection.close()
            else:
                if connection.in_transaction():
                    connection.rollback()  # SQLAlchemy's own notion of one; nothing is sent
                self._idle.append(connection)
        finally:
            self._let_go()

    def _let_go(self) -> None:
        self._used.dec()
        self._free.release()

    def _close_idle(self, engine: Engine) -> None:
        while self._idle:
            self._idle.pop().close()


def _is_clean(connection: Connection) -> bool:
    """Outside a transaction, with nothing that waits: the driver knows without asking."""
    driver: Any = connection.connection.driver_connection
    return driver.get_transaction_status() == TRANSACTION_STATUS_IDLE and not pipeline.is_open(connection)


def _commit(connection: Connection) -> None:
    waiting = pipeline.close_pipeline(connection)
    if waiting != [_BEGIN] and pipeline.last_word(connection, ";\n".join((*waiting, "COMMIT"))) != "COMMIT":
        # An error was swallowed in the block: Postgres answers COMMIT with ROLLBACK then, and calls that success.
        raise sa.exc.InvalidRequestError("a statement of the transaction had failed; nothing of it is kept")


def _roll_back(connection: Connection, error: BaseException | None) -> None:
    """Drop what waits, and end what Postgres has begun; a connection that cannot say so is not used again.

    What a failed message was to prepare, or one that was never sent, may be prepared or not, so all of it goes.
    """
    if connection.invalidated:  # nothing of it is left, not even what waited
        return
    dropped = pipeline.close_pipeline(connection)
    if is_read_only(error):  # the next one may lead to the server that may be written to
        connection.invalidate(error)
        return
    words = []
    try:
        driver: Any = connection.connection.driver_connection
        status = driver.get_transaction_status()
        if status != TRANSACTION_STATUS_IDLE:
            words.append("ROLLBACK")
        failed = isinstance(error, sa.exc.SQLAlchemyError) or status == TRANSACTION_STATUS_INERROR
        if failed or pipeline.prepares(dropped):
            words.append("DEALLOCATE ALL")
            pipeline.forget_prepared(connection)
        if words:
            driver.cursor().execute("; ".join(words))
    except BaseException as problem:
        connection.invalidate(problem)
        if not isinstance(problem, Exception):
            raise
