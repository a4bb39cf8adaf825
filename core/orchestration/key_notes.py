"""What is noted beside the requests: when a good API key was used, which were refused, and what people were refused.

A request only counts in memory, the same for an id that exists and for one that does not; a thread writes. So nobody
learns from the time of an answer whether an id is known, and nobody can fill the audit log: a process writes one record
a minute for each key or person that exists and each reason, and one for all others together, each with how often it
happened.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID

import sqlalchemy as sa
import structlog
from sqlalchemy.engine import Connection

from core.audit import log as audit
from core.domain.key_form import number_of
from core.orchestration import api_keys
from core.orchestration.administrators import trail
from core.orchestration.context import Core
from core.persistence.database import Scope

log = structlog.get_logger(__name__)

#: Seconds between two records of the same thing, and between two notes of one key's use.
REST = 60.0
#: Seconds after which something new is written.
PAUSE = 1.0
#: Things that are counted apart. More than these at once are counted together: keys that exist are not guessed.
MOST = 200
#: Addresses, and places where it was tried, that are told with a record.
ADDRESSES = PLACES = 5
#: Of people; what is refused at the login has words of its own.
PERSON_REFUSED = "administrator.refused"


@dataclass(frozen=True, slots=True)
class Refusal:
    """One kind of refusal, of a key or of a person.

    Without `key_id` the key was none of ours; `scope` is None for an administrator's. `person` may be NOBODY.
    """

    because: str
    key_id: str | None = None
    scope: Scope | None = None
    person: UUID | None = None
    action: str = "api_key.refused"


OTHERS = Refusal("others")


@dataclass(slots=True)
class _Count:
    times: int = 0
    addresses: list[str] = field(default_factory=list)
    places: list[str] = field(default_factory=list)
    request_id: str | None = None
    written_at: float | None = None


class KeyNotes:
    """One per process."""

    def __init__(self, core: Core, clock: Callable[[], float] = time.monotonic) -> None:
        self._core, self._clock = core, clock
        self._reset()
        os.register_at_fork(after_in_child=self._reset)

    def _reset(self) -> None:
        # A forked child inherits a lock that may be held and a thread that does not run.
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._refused: dict[Refusal, _Count] = {}
        self._used: dict[str, float] = {}
        self._fresh: set[str] = set()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None

    def used(self, key_id: str) -> None:
        """Only after the secret was right: so there are no more of them than keys."""
        now = self._clock()
        if now - self._used.get(key_id, -REST) < REST:
            return
        with self._lock:
            self._used[key_id] = now
            self._fresh.add(key_id)
            self._ensure_thread()
        self._wake.set()

    def refused(self, what: Refusal, address: str | None, request_id: str | None, place: str | None = None) -> None:
        """`place` is what was asked for; of words that are ours, since it is written down."""
        with self._lock:
            name = what if what in self._refused or len(self._refused) < MOST else OTHERS
            count = self._refused.setdefault(name, _Count())
            count.times += 1
            count.request_id = count.request_id or request_id
            _add(count.addresses, address, ADDRESSES)
            _add(count.places, place, PLACES)
            self._ensure_thread()
        self._wake.set()

    def write(self) -> None:
        """All that is due. What cannot be written now stays counted."""
        with self._writing:
            for key_id in self._take_used():
                api_keys.note_use(self._core, key_id)
            for what, count in self._take_refused():
                try:
                    with self._core.database.scoped(what.scope or audit.EVERYBODY) as connection:
                        _record(connection, what, count)
                except BaseException:
                    self._put_back(what, count)
                    raise

    def close(self) -> None:
        """Write what is counted, due or not."""
        self._used.clear()
        for count in self._refused.values():
            count.written_at = None
        self._try_to_write()

    def _take_used(self) -> list[str]:
        with self._lock:
            found, self._fresh = sorted(self._fresh), set()
        return found

    def _take_refused(self) -> list[tuple[Refusal, _Count]]:
        now, found = self._clock(), []
        with self._lock:
            for what, count in list(self._refused.items()):
                if count.written_at is not None and now - count.written_at < REST:
                    continue
                if count.times:
                    found.append((what, count))
                    self._refused[what] = _Count(written_at=now)
                else:
                    del self._refused[what]
        return found

    def _put_back(self, what: Refusal, count: _Count) -> None:
        with self._lock:
            since = self._refused.get(what, _Count())
            count.times += since.times
            count.written_at = None
            self._refused[what] = count

    def _ensure_thread(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="key-notes", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while True:
            # Once a moment while something is counted that may be due; else nothing wakes it.
            self._wake.wait(PAUSE if self._refused else None)
            self._wake.clear()
            time.sleep(PAUSE)
            self._try_to_write()

    def _try_to_write(self) -> None:
        try:
            self.write()
        except sa.exc.SQLAlchemyError as error:
            log.warning("key_notes_not_written", exc_info=error)
        except Exception:
            # The thread must outlive a mistake: without it no use and no refusal is noted at all.
            log.exception("key_notes_not_written")


def _add(told: list[str], one: str | None, most: int) -> None:
    if one is not None and one not in told and len(told) < most:
        told.append(one)


def _record(connection: Connection, what: Refusal, count: _Count) -> None:
    details: dict[str, object] = {"times": count.times, "addresses": count.addresses}
    if count.places:
        details["at"] = count.places
    if what.person is not None:
        kind, subject, word = "administrator", what.person, "why"
        actor = "nobody" if what.person == trail.NOBODY else trail.actor(what.person)
    else:
        kind, subject, word = "api_key", UUID(int=0) if what.key_id is None else number_of(what.key_id), "because"
        # Whoever has only the id of a key is not its holder.
        actor = "unknown" if what.key_id is None or what.because == "wrong_secret" else f"key:{what.key_id}"
    if what.key_id is not None:
        details["key"] = what.key_id
    audit.record(
        connection,
        scope=what.scope or audit.EVERYBODY,
        actor=actor,
        action=what.action,
        subject_kind=kind,
        subject_id=subject,
        cause="request",
        request_id=count.request_id,
        from_address=count.addresses[0] if count.addresses else None,
        details={word: what.because, **details},
    )
