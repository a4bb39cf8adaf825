"""The way in: a password, then a code; each try counted before it is looked at, each end an audit record."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy.engine import Connection

from core.audit.log import EVERYBODY
from core.domain.errors import LoginClosed, LoginRefused, StateConflict, TooManyTries, Unavailable
from core.domain.identifiers import new_id
from core.orchestration.administrators import codes, passwords, sessions, trail
from core.orchestration.administrators.passwords import Places
from core.orchestration.administrators.sessions import Session
from core.orchestration.administrators.throttle import Counter, Throttle, Try
from core.orchestration.administrators.trail import NOBODY, From
from core.orchestration.context import Core
from core.orchestration.key_notes import KeyNotes, Refusal
from core.persistence.database import present
from core.persistence.queries import administrators as rows

log = structlog.get_logger()
Row = Mapping[Any, Any]

#: Wrong codes until a half-way login is over and the password is asked for again.
_MOST_CODES = 5
#: An address counts as known for so long after a login from it.
_KNOWN = timedelta(days=90)
_LONGEST_NAME = 80
_WRONG = "the name or the password is not right, or the account is closed"
_REFUSED = "administrator.login_refused"
_CONFIRMING = "administrator.confirmation_refused"
_WRONG_CODE = "the code is not right, or was used before; wait for the next one"


@dataclass(frozen=True, slots=True)
class Begun:
    """The password was right. `stage` says what comes next: `code`, or `enrol` where there is no device yet."""

    stage: str
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class In:
    """All the way. `device` is set for a browser that was not known; `spare` once, after a device was set up."""

    token: str = field(repr=False)
    device: str | None = field(repr=False, default=None)
    spare: tuple[str, ...] = field(repr=False, default=())


class Logins:
    """One a process of the gate."""

    def __init__(self, core: Core, notes: KeyNotes) -> None:
        self._core, self._notes = core, notes
        self._throttle = Throttle(core)
        self._places = Places(core.settings.api_threads)

    def give_password(self, name: str, password: str, device: str | None, come_from: From) -> Begun:
        """Raises LoginRefused, TooManyTries, LoginClosed, Unavailable."""
        name = name.strip().lower()[:_LONGEST_NAME]
        row, attempt = self._look(name, device, come_from)
        self._reserve(attempt.counters(), row, come_from)
        stored = None if row is None or row["disabled_at"] is not None else row["password_hash"]
        with self._noting(row, come_from):
            right = self._places.matches(stored, password, attempt.device is not None)
        if row is None or not right:
            raise self._refused(row, "disabled" if row is not None and stored is None else "password", come_from)
        with self._core.database.scoped(EVERYBODY) as connection:
            late = row["password_until"] is not None and row["password_until"] < present(connection)
            if not late:
                return self._begin(connection, row, password, come_from)
        raise self._refused(row, "the password given by others is too old", come_from)

    def _begin(self, connection: Connection, row: Row, password: str, come_from: From) -> Begun:
        if passwords.needs_new_hash(row["password_hash"]):
            rows.change(connection, row["id"], {"password_hash": passwords.hash_of(password)})
        stage = "enrol" if row["code_confirmed_at"] is None else "code"
        token = sessions.begin(self._core, connection, row["id"], stage, come_from)
        by = trail.actor(row["id"])
        trail.record(connection, "administrator.password_given", row["id"], by=by, come_from=come_from)
        return Begun(stage, token)

    def _look(self, name: str, device: str | None, come_from: From) -> tuple[Row | None, Try]:
        with self._core.database.unscoped() as connection:
            row = rows.by_name(connection, name)
            if row is None:
                return None, Try(name, come_from.address, None, known_address=False)
            known = device is not None and rows.knows_device(connection, row["id"], sessions.hash_of(device))
            since = present(connection) - _KNOWN
            near = bool(come_from.address) and rows.was_here(connection, row["id"], come_from.address, since)
        return row, Try(name, come_from.address, device if known else None, known_address=near)

    def _reserve(self, counters: list[Counter], row: Row | None, come_from: From) -> None:
        """One audit record a pause, however many come meanwhile. Raises TooManyTries, LoginClosed."""
        action = _CONFIRMING if counters[0].kind == "confirm" else _REFUSED
        try:
            with self._noting(row, come_from, action):
                self._throttle.reserve(counters)
        except TooManyTries as error:
            log.warning("login is slowed down", seconds=error.retry_after)
            if error.first:
                self._tell(row, "administrator.login_slowed", come_from, seconds=error.retry_after)
            raise

    @contextmanager
    def _noting(self, row: Row | None, come_from: From, action: str = _REFUSED) -> Iterator[None]:
        """Who is sent away before anything was looked at is counted by nothing else: told, folded by who it was."""
        try:
            yield
        except Unavailable as error:
            why = "closed" if isinstance(error, LoginClosed) else "busy"
            what = Refusal(why, person=NOBODY if row is None else row["id"], action=action)
            self._notes.refused(what, come_from.address or None, come_from.request_id)
            raise

    def _refused(self, row: Row | None, why: str, come_from: From) -> LoginRefused:
        """Written down with the reason; told in one sentence for all that may be wrong."""
        self._tell(row, _REFUSED, come_from, why=why if row is not None else "name")
        return LoginRefused(_WRONG)

    def _tell(self, row: Row | None, action: str, come_from: From, **details: Any) -> None:
        """Of a name that nobody bears the record holds nothing: people type passwords there."""
        number: UUID = NOBODY if row is None else row["id"]
        trail.note(self._core, action, number, "nobody" if row is None else trail.actor(number), come_from, **details)

    def give_code(self, half: Session, code: str, device: str | None, come_from: From) -> In:
        """A code or a spare code. Raises LoginRefused, TooManyTries, LoginClosed, StateConflict."""
        row, attempt = self._look(half.name, device, come_from)
        self._reserve(attempt.counters("code_"), row, come_from)
        if row is None or half.stage != "code":
            raise StateConflict("this login is not waiting for a code")
        with self._core.database.scoped(EVERYBODY) as connection:
            used = self._takes(connection, row, code)
            if used is not None:
                found = self._come_in(connection, row, half, attempt, come_from, {"by": used})
        if used is None:
            self._count_wrong_code(half, come_from)
            raise LoginRefused(_WRONG_CODE)
        self._throttle.forgive([*attempt.counters(), *attempt.counters("code_")])
        return found

    def _takes(self, connection: Connection, row: Row, code: str) -> str | None:
        if row["code_sealed"] is not None and codes.take(self._core, connection, row["id"], row["code_sealed"], code):
            return "code"
        return "spare code" if codes.use_spare(connection, row["id"], code) else None

    def _count_wrong_code(self, half: Session, come_from: From) -> None:
        with self._core.database.scoped(EVERYBODY) as connection:
            failures = rows.count_code_failure(connection, half.id)
            trail.record(
                connection, "administrator.code_refused", half.person, by=half.actor, come_from=come_from,
                details={"failures": failures},
            )  # fmt: skip
            if failures >= _MOST_CODES:
                rows.end_sessions(connection, half.person, "too many wrong codes", one=half.id)

    def _come_in(
        self, connection: Connection, row: Row, half: Session, attempt: Try, come_from: From, details: dict[str, Any]
    ) -> In:
        """A new session in place of the half one: what somebody may have planted before is worth nothing."""
        rows.end_sessions(connection, half.person, "came in", one=half.id)
        token = sessions.begin(self._core, connection, half.person, "full", come_from)
        device = None
        if attempt.device is None:
            device = secrets.token_urlsafe(32)
            values = {"id": new_id(), "administrator_id": half.person, "token_hash": sessions.hash_of(device)}
            rows.put_device(connection, values)
        told = {**details, "known_browser": device is None}
        trail.record(connection, "administrator.logged_in", row["id"], by=half.actor, come_from=come_from, details=told)
        return In(token, device)

    def enrol(self, half: Session, code: str, device: str | None, come_from: From) -> In:
        """The first code of a new device, and with it in. Raises LoginRefused, TooManyTries, StateConflict."""
        row, attempt = self._look(half.name, device, come_from)
        self._reserve(attempt.counters("code_"), row, come_from)
        with self._core.database.scoped(EVERYBODY) as connection:
            held = rows.by_id(connection, half.person, lock=True)
            if row is None or held is None or held["code_confirmed_at"] is not None or held["code_sealed"] is None:
                raise StateConflict("there is no device to be set up; log in again")
            right = codes.take(self._core, connection, half.person, held["code_sealed"], code)
            if right:
                rows.change(connection, half.person, {"code_confirmed_at": present(connection)})
                spare = codes.renew_spare(connection, half.person)
                trail.record(connection, "administrator.code_set_up", half.person, by=half.actor, come_from=come_from)
                found = self._come_in(connection, row, half, attempt, come_from, {"by": "first code"})
        if not right:
            self._count_wrong_code(half, come_from)
            raise LoginRefused(_WRONG_CODE)
        self._throttle.forgive([*attempt.counters(), *attempt.counters("code_")])
        return In(found.token, found.device, tuple(spare))

    def confirm(self, session: Session, answer: str, come_from: From) -> None:
        """Password or code again, before something dangerous. Raises LoginRefused, TooManyTries, LoginClosed."""
        counters = _of_session(session)
        with self._core.database.unscoped() as connection:
            row = rows.by_id(connection, session.person)
        self._reserve(counters, row, come_from)
        right = self._is_password(row, answer, come_from)
        with self._core.database.scoped(EVERYBODY) as connection:
            if not right and row is not None and row["code_sealed"] is not None:
                right = codes.take(self._core, connection, session.person, row["code_sealed"], answer)
            action = "administrator.confirmed" if right else _CONFIRMING
            trail.record(connection, action, session.person, by=session.actor, come_from=come_from)
            if right:
                sessions.confirm(connection, session.id)
        if not right:
            raise LoginRefused("that is neither your password nor a code that is good now")
        self._throttle.forgive(counters)

    def is_own_password(self, session: Session, password: str, come_from: From) -> bool:
        """Counted like a confirmation: whoever finds a browser open must not guess the password in it.

        Raises TooManyTries, LoginClosed, Unavailable.
        """
        counters = _of_session(session)
        with self._core.database.unscoped() as connection:
            row = rows.by_id(connection, session.person)
        self._reserve(counters, row, come_from)
        right = self._is_password(row, password, come_from)
        if right:
            self._throttle.forgive(counters)
        return right

    def _is_password(self, row: Row | None, password: str, come_from: From) -> bool:
        """Of somebody who is logged in. Raises Unavailable."""
        with self._noting(row, come_from, _CONFIRMING):
            return row is not None and self._places.matches(row["password_hash"], password, True)


def _of_session(session: Session) -> list[Counter]:
    """By the session, not the person: who holds a stolen one does not slow down those that its owner opens.

    Each takes the password and a code, so that nobody guesses more by opening many.
    """
    return [Counter("confirm", str(session.id))]


def pending_secret(core: Core, half: Session) -> str:
    """What the device to be set up is shown; the same until its first code. Raises StateConflict."""
    with core.database.scoped(EVERYBODY) as connection:
        row = rows.by_id(connection, half.person, lock=True)
        if row is None or row["code_confirmed_at"] is not None:
            raise StateConflict("there is no device to be set up; log in again")
        if row["code_sealed"] is not None:
            return codes.open_secret(core, connection, half.person, row["code_sealed"])
        secret = codes.make_secret()
        rows.change(connection, half.person, {"code_sealed": codes.seal(core, connection, half.person, secret)})
        return secret
