"""Rotating the sealing keys: a walk over the rows that hang on a version, resumed by whoever finds it unfinished.

A key-encryption key is rotated by wrapping the data keys anew; what they have sealed is not touched. An index key is
rotated by writing each index anew from what is sealed beside it. Meanwhile both versions are there: rows of the old one
are read, looked up and, for some moments, still written by processes that have not heard yet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal
from uuid import UUID

import sqlalchemy as sa
import structlog
from sqlalchemy.engine import Connection

from core.audit import log as audit
from core.domain.errors import StateConflict
from core.domain.identifiers import new_id
from core.domain.representations import timestamp
from core.orchestration import payment_methods, people
from core.orchestration.context import Core
from core.persistence.database import Scope, present
from core.persistence.key_sources import Kind
from core.persistence.queries import audit as audit_rows
from core.persistence.queries import sealing_keys as rows
from core.persistence.vault import DataKey
from core.startup import sealing

Row = Mapping[Any, Any]
log = structlog.get_logger()

#: Rows in one commit: held for some ten milliseconds.
BATCH = 200
#: Whose rows nobody's are: of the installation itself.
_EVERYBODY = Scope(UUID(int=0), "live")
_BEGINNING = UUID(int=0)
#: Tables by the kind of key that they hang on.
SUBJECTS = rows.SUBJECTS
#: The last look: rows that came under the old version while the walk went by.
_VERIFY = "verify"
Progress = Callable[[Mapping[str, Any]], None]
#: A walk that has little left to move reads past everything that is moved already, however long that takes.
_UNHURRIED = sa.text("SET LOCAL statement_timeout = 0")
#: What asks about all rows is quicker when it reads the table as it lies than through an index of something else.
_AS_IT_LIES = sa.text("SET LOCAL enable_seqscan = on")


def _take_time(connection: Connection) -> None:
    """For a question about every row there is, to the end of the transaction."""
    connection.execute(_UNHURRIED)
    connection.execute(_AS_IT_LIES)


@contextmanager
def changing(core: Core, verb: Literal["added", "dropped"], kind: Kind, version: int, actor: str) -> Iterator[None]:
    """Keep the record of a version that comes or goes if the block brings that about. The owner's alone."""
    with core.database.unscoped() as connection:
        audit.record(
            connection,
            scope=_EVERYBODY,
            actor=actor,
            action=f"sealing_key.{verb}",
            subject_kind="installation",
            subject_id=audit_rows.installation(connection),
            cause="person",
            details={"kind": kind, "version": version},
        )
        if verb == "dropped":
            rows.forget(connection, kind, version)
        present(connection)  # what waits is sent: a database that takes no record is known before the block
        yield


def require_free(core: Core, kind: Kind, version: int) -> None:
    """Nothing else is walking: a version that becomes current meanwhile would be walked away from again.

    Raises StateConflict.
    """
    with core.database.unscoped() as connection:
        found = rows.running(connection, kind)
    if found is not None and found["to_version"] != version:
        raise StateConflict(f"a rotation to version {found['to_version']} is under way: let it end first")


def begin(core: Core, kind: Kind, person: str) -> UUID:
    """Bring all rows to the version that is current; the one that is under way where there is one.

    Raises StateConflict where there is nothing to rotate to, or the keys at hand are not this database's.
    """
    current = core.vault.keys.versions().of(kind)[0]
    with core.database.unscoped() as connection:
        _take_time(connection)
        wrong = [remark.text for remark in sealing.look(connection, core.vault.keys, "owner") if remark.refuses]
        if wrong:
            raise StateConflict("; ".join(wrong))
        found = rows.running(connection, kind)
        if found is not None and found["to_version"] != current:
            raise StateConflict(
                f"a rotation to version {found['to_version']} is under way and {current} is current: make "
                f"{found['to_version']} current again, and let it end first"
            )
        return _begin(connection, kind, current, person) if found is None else UUID(str(found["id"]))


def _begin(connection: Connection, kind: Kind, current: int, person: str) -> UUID:
    total = rows.left(connection, kind, current)
    used = [row for row in rows.known(connection) if row["kind"] == kind and row["version"] < current]
    if total == 0 and all(row["retired_at"] is not None for row in used):
        raise StateConflict(f"everything is under version {current}: `tollgate sealing add {kind}` makes another one")
    rotation_id = new_id()
    values = {"id": rotation_id, "kind": kind, "to_version": current, "total": total, "started_by": person}
    rows.begin(connection, {**values, "subject": rows.SUBJECTS[kind][0]})
    _record(connection, "begun", person, rotation_id, {"kind": kind, "version": current, "rows": total})
    return rotation_id


def carry_on(core: Core, batches: int = 25) -> int:
    """Take up every walk that is not at its end, so many batches of each; how many rows that were. A worker's."""
    with core.database.unscoped() as connection:
        waiting = rows.all_running(connection)
    for row in waiting:
        if core.vault.keys.versions().of(row["kind"])[0] != row["to_version"]:
            log.warning("sealing_keys_behind", kind=row["kind"], revision=row["to_version"])
    return sum(_some(core, row["id"], batches) for row in waiting)


def _some(core: Core, rotation_id: UUID, batches: int) -> int:
    done = 0
    for _ in range(batches):
        moved = step(core, rotation_id)
        if not moved:
            break
        done += moved
    return done


def follow(core: Core, rotation_id: UUID, pause: Callable[[float], object], tell: Progress) -> dict[str, Any]:
    """Walk it to its end, and tell how far it is after each batch."""
    while True:
        moved = step(core, rotation_id)
        now = progress(core, rotation_id)
        tell(now)
        if now["status"] == "finished":
            return now
        if not moved:
            pause(0.5)


def progress(core: Core, rotation_id: UUID) -> dict[str, Any]:
    with core.database.unscoped() as connection:
        return shown(rows.find(connection, rotation_id))


def step(core: Core, rotation_id: UUID) -> int:
    """One batch in one commit; how many rows it moved. 0 at the end, and while another process is at it."""
    with core.database.unscoped() as connection:
        rotation = rows.lock(connection, rotation_id)
        if rotation is None:
            return 0
        connection.execute(_UNHURRIED)
        if rotation["subject"] == _VERIFY:
            return _verify(core, connection, rotation)
        found = rows.next_rows(connection, rotation["subject"], rotation["to_version"], rotation["walked_to"], BATCH)
        if found:
            _MOVE[rotation["subject"]](core, connection, rotation, found)
            moved = {"walked_to": found[-1]["id"], "done": rotation["done"] + len(found)}
            rows.keep(connection, rotation_id, moved)
        else:
            subjects = (*rows.SUBJECTS[rotation["kind"]], _VERIFY)
            following = subjects[subjects.index(rotation["subject"]) + 1]
            rows.keep(connection, rotation_id, {"subject": following, "walked_to": _BEGINNING})
            if following == _VERIFY:
                rows.retire(connection, rotation["kind"], rotation["to_version"])
        return max(1, len(found))


def _verify(core: Core, connection: Connection, rotation: Row) -> int:
    """Once every process must have heard, nothing may be left; else it is walked again."""
    age = (present(connection) - rotation["updated_at"]).total_seconds()
    if age < core.settings.rotation_settle:
        return 0
    _take_time(connection)
    if rows.is_left(connection, rotation["kind"], rotation["to_version"]):
        first = rows.SUBJECTS[rotation["kind"]][0]
        rows.keep(connection, rotation["id"], {"subject": first, "walked_to": _BEGINNING})
        return 1
    rows.keep(connection, rotation["id"], {"status": "finished", "finished_at": present(connection)})
    details = {"kind": rotation["kind"], "version": rotation["to_version"], "rows": rotation["done"]}
    _record(connection, "finished", "system", rotation["id"], details)
    log.info("keys_rotated", kind=rotation["kind"], revision=rotation["to_version"], count=rotation["done"])
    return 0


def _wrap(core: Core, connection: Connection, rotation: Row, found: Sequence[Row]) -> None:
    version = rotation["to_version"]
    wrapped = {
        row["id"]: core.vault.wrap_again(row["id"], row["kek_version"], bytes(row["wrapped"]), version) for row in found
    }
    rows.keep_wrapped(connection, rotation["subject"], version, wrapped)


def _index_customers(core: Core, connection: Connection, rotation: Row, found: Sequence[Row]) -> None:
    for row, key in _with_keys(core, connection, found, "id"):
        email = None if key is None or row["sealed"] is None else people.open_person(key, row).email
        index = None if not email else core.vault.index_at(rotation["to_version"], people.EMAIL, email)
        values = {"email_index": index, "index_key_version": rotation["to_version"]}
        rows.keep_row(connection, "customers", row["id"], values)


def _index_methods(core: Core, connection: Connection, rotation: Row, found: Sequence[Row]) -> None:
    """One that is forgotten is looked up by nobody: nothing of its token stays."""
    version = rotation["to_version"]
    for row, key in _with_keys(core, connection, found, "customer_id"):
        values: dict[str, Any] = {"token_index": b"", "fingerprint_index": None, "index_key_version": version}
        if row["status"] == "active" and key is not None:
            kept = people.open_kept(key, row)
            values = payment_methods.index_columns(core, kept["token"], kept["fingerprint"], version)
        elif row["status"] == "forgetting":
            scope = Scope(row["merchant_id"], row["mode"])
            tokens = payment_methods.tokens_of(core, connection, scope, row)
            if tokens:
                values = payment_methods.index_columns(core, tokens[0], None, version)
        rows.keep_row(connection, "payment_methods", row["id"], values)


def _with_keys(
    core: Core, connection: Connection, found: Sequence[Row], owner: str
) -> list[tuple[Row, DataKey | None]]:
    """Each row with the key of its person; None for one who was erased."""
    by_scope: dict[Scope, list[Row]] = {}
    for row in found:
        by_scope.setdefault(Scope(row["merchant_id"], row["mode"]), []).append(row)
    opened: list[tuple[Row, DataKey | None]] = []
    for scope, these in by_scope.items():
        keys = core.vault.customer_keys(connection, scope, {row[owner] for row in these})
        opened += [(row, keys.get(row[owner])) for row in these]
    return opened


_MOVE: Mapping[str, Callable[[Core, Connection, Row, Sequence[Row]], None]] = {
    "installation_keys": _wrap,
    "data_keys": _wrap,
    "customers": _index_customers,
    "payment_methods": _index_methods,
}


def status(core: Core, *, counted: bool = False) -> dict[str, Any]:
    """Versions that were ever used, and rotations; `counted` with rows by version, which only the owner sees whole."""
    versions = core.vault.keys.versions()
    with core.database.unscoped() as connection:
        if counted:
            _take_time(connection)
        found = [
            {
                "kind": row["kind"],
                "version": row["version"],
                "current": row["version"] == versions.of(row["kind"])[0],
                "at_hand": row["version"] in versions.of(row["kind"])[1],
                "first_used_at": timestamp(row["created_at"]),
                "retired_at": timestamp(row["retired_at"]),
            }
            for row in rows.known(connection)
        ]
        rotations = [shown(row) for row in rows.newest(connection)]
        counts = rows.counts(connection) if counted else {}
    return {"keys": found, "rotations": rotations, **({"rows": counts} if counted else {})}


def shown(row: Row) -> dict[str, Any]:
    return {
        "kind": row["kind"],
        "version": row["to_version"],
        "status": row["status"],
        "at": row["subject"],
        "done": row["done"],
        "total": row["total"],
        "started_by": row["started_by"],
        "started_at": timestamp(row["created_at"]),
        "finished_at": timestamp(row["finished_at"]),
    }


def _record(connection: Connection, verb: str, actor: str, rotation_id: UUID, details: Mapping[str, Any]) -> None:
    audit.record(
        connection,
        scope=_EVERYBODY,
        actor=actor,
        action=f"key_rotation.{verb}",
        subject_kind="key_rotation",
        subject_id=rotation_id,
        cause="person" if verb == "begun" else "clock",
        details=details,
    )
