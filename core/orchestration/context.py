"""What every road is handed: settings, database, vault and the way to wake a worker."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, Protocol
from uuid import UUID

from sqlalchemy.engine import Connection

from core.audit.heads import HeadKeeper
from core.audit.signing import Signer
from core.orchestration.health import Health
from core.orchestration.pacing import Pacer, PrivatePacer, SharedPacer
from core.persistence.database import Database, Scope, open_database
from core.persistence.key_sources import open_source
from core.persistence.vault import Vault
from core.points import Commit
from core.settings import Settings

#: (lane, job ids): best effort, never waits, never raises. Workers find due jobs without it.
Wake = Callable[[str, Sequence[UUID]], None]


def no_wake(lane: str, jobs: Sequence[UUID]) -> None:
    """For processes that leave pick-up to the workers' own polling."""


def _machine_time() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Core:
    """One per process, made at its start."""

    settings: Settings
    database: Database
    vault: Vault
    wake: Wake = no_wake
    pacer: Pacer = field(default_factory=PrivatePacer)
    health: Health = field(default_factory=Health)
    # Settles outcomes with others; None settles each by itself.
    together: Together | None = None
    # Jobs of rooms above this one, by kind.
    handlers: Mapping[str, Callable[[Any, Any], None]] = field(default_factory=dict)
    # The machine's own time, for what the outside world stamps (webhook signatures); rows use the database's.
    clock: Callable[[], datetime] = _machine_time
    # Signs the seals of the audit log; None derives a key from the vault's.
    signer: Signer | None = None
    # Told of each new seal, beside the anchor file.
    head_keepers: Sequence[HeadKeeper] = ()

    @contextmanager
    def transaction(
        self, scope: Scope, lock_timeout: float = 5.0, commit: Commit | None = None
    ) -> Iterator[Connection]:
        """One merchant's transaction; jobs enqueued in it are hinted to the workers after its commit.

        `commit` names the points around that.
        """
        with self.database.scoped(scope, lock_timeout) as connection:
            hints: list[tuple[str, UUID]] = []
            connection.info["hints"] = hints
            try:
                yield connection
                if commit is not None:
                    commit.reached(commit.written)
            finally:
                if not connection.invalidated:
                    connection.info.pop("hints", None)
        if commit is not None:
            commit.reached(commit.committed)
        for lane in {lane for lane, _ in hints}:
            self.wake(lane, [job for its_lane, job in hints if its_lane == lane])
        if commit is not None:
            commit.reached(commit.hinted)


class Together(Protocol):
    """What settles outcomes that come in at the same time in one transaction."""

    def settle(self, core: Core, job: Any, step: Any, result: Any) -> Any: ...


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks. `actor` names key, worker or person for the audit log and holds no secret."""

    scope: Scope
    actor: str
    request_id: str | None = None
    scopes: frozenset[str] = frozenset()
    from_address: str | None = None  # the caller's, as far as the proxies in front are trusted


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a status changes, as the audit log keeps it."""

    kind: Literal["request", "answer", "webhook", "look_up", "clock", "person"]
    actor: str
    request_id: str | None = None
    reference: str | None = None  # the webhook or job behind it
    took_ms: int | None = None  # the call whose answer this is, in milliseconds
    from_address: str | None = None
    job_id: UUID | None = None


def open_core(settings: Settings, pool_size: int, application: str, wake: Wake = no_wake) -> Core:
    """Raises KeyUnavailable when the sealing keys cannot be read."""
    keys = open_source(settings.key_file, settings.keys)
    database = open_database(settings.database_url, pool_size, application)
    return Core(
        settings, database, Vault(keys), wake, SharedPacer(settings.redis_url), health=Health(settings.redis_url)
    )
