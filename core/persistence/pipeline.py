"""Statements that need no answer wait for the next one that does, and all travel to Postgres together.

A trip costs both sides more than most statements do, so a payment's rows are written in one. psycopg2 speaks the
simple protocol, in which one message may hold several statements and the last one's rows come back.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, cast

import psycopg2
import sqlalchemy as sa
from sqlalchemy.engine import Connection

Values = Mapping[str, Any]
#: A row by column name.
Found = dict[str, Any]

_WAITING = "waiting"
_KNOWN = "known"
_PREPARE = "PREPARE "
_PREPARED = "prepared"
#: Far more than there are; a mistake that makes every statement a new one must not fill the server's memory.
_MOST_PREPARED = 300
_PLACE = re.compile(r"%\((\w+)\)s")
#: Set on a connection that is good for one statement alone: True, then False once it is used.
ONLY_ONE = "only_one"


def install(engine: sa.Engine) -> None:
    """Let statements that SQLAlchemy sends take along what waits, and keep what they took out of its errors."""
    sa.event.listen(engine, "before_cursor_execute", _take_along, retval=True)
    sa.event.listen(engine, "handle_error", _keep_values_out)


def open_pipeline(connection: Connection, *opening: str) -> None:
    """From here on statements may wait; `opening` travels with the first that does not."""
    connection.info[_WAITING] = list(opening)
    connection.info[_KNOWN] = {}


def close_pipeline(connection: Connection) -> list[str]:
    """What still waits, in order; nothing does afterwards, and nothing is known any more."""
    connection.info.pop(_KNOWN, None)
    return cast(list[str], connection.info.pop(_WAITING, []))


def is_open(connection: Connection) -> bool:
    """Is a transaction or a glance of ours still going on?"""
    return _WAITING in connection.info or ONLY_ONE in connection.info


def prepares(statements: Sequence[str]) -> bool:
    """Would one of these have prepared something?"""
    return any(text.startswith(_PREPARE) for text in statements)


def known(connection: Connection) -> dict[str, Any]:
    """What this transaction has read along with something else, so that nobody has to ask again."""
    found: dict[str, Any] | None = connection.info.get(_KNOWN)
    return {} if found is None else found


def later(connection: Connection, sql: str, values: Values) -> None:
    """Send it with the next statement, or with the commit: an error of it is raised there.

    `sql` names its values as `%(name)s`; Postgres reads and plans it once a connection.
    """
    text = _prepared(connection, sql, values)
    waiting: list[str] | None = connection.info.get(_WAITING)
    if waiting is None:  # a connection that somebody else opened
        send(connection, text)
    else:
        waiting.append(text)


def fetch(connection: Connection, sql: str, values: Values | None = None) -> list[Found]:
    """Send what waits and this, and return its rows. Raises SQLAlchemy's errors, also for what had waited."""
    names, rows = fetch_tuples(connection, sql, values)
    return [dict(zip(names, row, strict=True)) for row in rows]


def fetch_tuples(
    connection: Connection, sql: str, values: Values | None = None
) -> tuple[Sequence[str], Sequence[Sequence[Any]]]:
    """The same as columns and rows, for a statement that names a column twice."""
    cursor = _send(connection, sql if values is None else _prepared(connection, sql, values))
    try:
        return tuple(column.name for column in cursor.description), cursor.fetchall()
    finally:
        cursor.close()


def forget_prepared(connection: Connection) -> None:
    """After an error nobody knows which statements Postgres has prepared; `DEALLOCATE ALL` goes with this."""
    connection.info.pop(_PREPARED, None)


def _prepared(connection: Connection, sql: str, values: Values) -> str:
    """The statement by the name under which this connection has prepared it, which is done on the same trip."""
    prepared: dict[str, str] = connection.info.setdefault(_PREPARED, {})
    body, names = _numbered(sql)
    prepare = ""
    if sql not in prepared:
        if len(prepared) >= _MOST_PREPARED or connection.info.get(_WAITING) is None:
            return render(connection, sql, values)
        prepare = f"{_PREPARE}tg_{len(prepared)} AS {body};\n"
    # Before the name is noted: a value that cannot be written must not leave a name that nothing stands behind.
    arguments = render(connection, _places(len(names)), [values[name] for name in names])
    name = prepared.setdefault(sql, f"tg_{len(prepared)}")
    return f"{prepare}EXECUTE {name}{arguments}"


@lru_cache(maxsize=1024)
def _numbered(sql: str) -> tuple[str, tuple[str, ...]]:
    """`%(name)s` as `$1`, as PREPARE wants it, and the names in the order of their numbers."""
    names = tuple(dict.fromkeys(_PLACE.findall(sql)))
    return _PLACE.sub(lambda place: f"${names.index(place[1]) + 1}", sql).replace("%%", "%"), names


@lru_cache(maxsize=64)
def _places(count: int) -> str:
    return f"({', '.join(['%s'] * count)})" if count else ""


def send(connection: Connection, text: str) -> int:
    """Send what waits and a rendered statement now; returns how many rows the statement touched."""
    cursor = _send(connection, text)
    count: int = cursor.rowcount
    cursor.close()
    return count


def last_word(connection: Connection, text: str) -> str:
    """Send what waits and a rendered statement now; returns what Postgres calls the end of it."""
    cursor = _send(connection, text)
    status: str = cursor.statusmessage
    cursor.close()
    return status


def _send(connection: Connection, text: str) -> Any:
    """Through the driver itself: SQLAlchemy's own way costs as much again as a small statement does."""
    _spend(connection)
    waiting: list[str] | None = connection.info.get(_WAITING)
    if waiting:
        text = ";\n".join((*waiting, text))
        waiting.clear()
    cursor = connection.connection.cursor()
    try:
        cursor.execute(text)
    except psycopg2.Error as error:
        raise _as_sqlalchemys(connection, cursor, error) from error
    return cursor


def _as_sqlalchemys(connection: Connection, cursor: Any, error: psycopg2.Error) -> sa.exc.DBAPIError:
    """The error that SQLAlchemy would have raised, without the statement: its values stand in it."""
    gone = connection.dialect.is_disconnect(error, connection.connection.dbapi_connection, cursor)  # type: ignore[arg-type]
    if gone:
        connection.invalidate(error)
    found = sa.exc.DBAPIError.instance(
        None, None, error, psycopg2.Error, hide_parameters=True, connection_invalidated=gone, dialect=connection.dialect
    )
    return cast(sa.exc.DBAPIError, found)


def render(connection: Connection, sql: str, values: Values | Sequence[Any]) -> str:
    """The statement with its values in place, quoted by psycopg2 for this connection."""
    cursor = connection.connection.cursor()
    try:
        return cast(bytes, cursor.mogrify(sql, values)).decode()
    finally:
        cursor.close()


def insert(connection: Connection, table: sa.Table, values: Values, **computed: str) -> None:
    """Write a row; nothing comes back, so every value that is needed afterwards is given.

    `computed` are columns whose value is SQL, which may name the others as `%(name)s`.
    """
    now = known(connection).get("now")
    if now is not None:
        # Else each default would ask the database's clock for itself.
        values = {**dict.fromkeys(_times(table), now), **values}
    text = _insert_text(table, tuple(values), tuple(computed.items()))
    later(connection, text, _adapted(table, values))


def update(connection: Connection, table: sa.Table, row_id: Any, values: Values, *also: str) -> None:
    """Change one row by its id. `also` are assignments in SQL, such as `count = count + 1`."""
    if values or also:
        text = _update_text(table, tuple(values), also)
        later(connection, text, {**_adapted(table, values), "row_id": row_id})


def columns_of(table: sa.Table, alias: str) -> str:
    """Every column of a table, in its order, for a SELECT that knows it by `alias`."""
    return ", ".join(f"{alias}.{name}" for name in table.columns.keys())  # noqa: SIM118 - not a dict


def split(row: Sequence[Any], *tables: sa.Table) -> list[Found]:
    """One row per table, from values that stand in the order of `columns_of` for each table in turn.

    Raises ValueError when there are more or fewer values than columns.
    """
    names = [(number, name) for number, table in enumerate(tables) for name in table.columns.keys()]  # noqa: SIM118
    found: list[Found] = [{} for _ in tables]
    for (number, name), value in zip(names, row, strict=True):
        found[number][name] = value
    return found


def json_text(value: Any) -> str | None:
    """JSON as Postgres takes it; None stays NULL."""
    if value is None:
        return None
    text = json.dumps(value, separators=(",", ":"))
    if "\\u0000" in text or "\\ud" in text:
        text = json.dumps(_storable(value), separators=(",", ":"))
    return text


def _storable(value: Any) -> Any:
    """Without NUL and halves of pairs, which Postgres keeps in no text: what others send must not stop a job."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode().replace("\0", "?")
    if isinstance(value, Mapping):
        return {_storable(name): _storable(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_storable(inner) for inner in value]
    return value


@lru_cache(maxsize=512)
def _insert_text(table: sa.Table, names: tuple[str, ...], computed: tuple[tuple[str, str], ...]) -> str:
    columns = ", ".join([*names, *(name for name, _ in computed)])
    places = ", ".join([*(f"%({name})s" for name in names), *(sql for _, sql in computed)])
    return f"INSERT INTO {table.name} ({columns}) VALUES ({places})"


@lru_cache(maxsize=512)
def _update_text(table: sa.Table, names: tuple[str, ...], also: tuple[str, ...]) -> str:
    changes = ", ".join([*(f"{name} = %({name})s" for name in names), *also])
    return f"UPDATE {table.name} SET {changes} WHERE id = %(row_id)s"


@lru_cache(maxsize=64)
def _times(table: sa.Table) -> tuple[str, ...]:
    """Columns whose default is the present."""
    return tuple(column.name for column in table.columns if "app_now" in str(getattr(column.server_default, "arg", "")))


@lru_cache(maxsize=64)
def _json_columns(table: sa.Table) -> frozenset[str]:
    return frozenset(column.name for column in table.columns if isinstance(column.type, sa.JSON))


def _adapted(table: sa.Table, values: Values) -> dict[str, Any]:
    return {name: json_text(value) if name in _json_columns(table) else value for name, value in values.items()}


def _spend(connection: Connection) -> None:
    only_one = connection.info.get(ONLY_ONE)
    if only_one is not None:
        if not only_one:
            raise RuntimeError("a glance is one statement; take a transaction for more")
        connection.info[ONLY_ONE] = False


def _take_along(
    connection: Connection, cursor: Any, statement: str, parameters: Any, context: Any, executemany: bool
) -> tuple[str, Any]:
    _spend(connection)
    waiting: list[str] | None = connection.info.get(_WAITING)
    if not waiting:
        return statement, parameters
    text = ";\n".join(waiting)
    waiting.clear()
    if executemany:
        if ONLY_ONE in connection.info:
            raise RuntimeError("a glance is one statement; its scope would not hold for several")
        cursor.execute(text)
        return statement, parameters
    if parameters or not context.no_parameters:
        text = text.replace("%", "%%")  # the driver reads the whole for the statement's own places
    return f"{text};\n{statement}", parameters


def _keep_values_out(context: Any) -> None:
    """What travelled along has its values in place; an error may say what Postgres said, never a row."""
    error = context.sqlalchemy_exception
    if isinstance(error, sa.exc.StatementError):
        error.statement = None
