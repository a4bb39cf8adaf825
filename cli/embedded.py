"""Postgres and Valkey together, started without the rest of the service (tests do so, once a session)."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from types import TracebackType

from cli.embedded_postgres import EmbeddedPostgres
from cli.embedded_redis import EmbeddedRedis
from cli.placement import PlacementFailed, place
from cli.ports import Ports
from cli.processes import Child, ChildFailed, Guard, Spec
from cli.secrets_file import Secrets

#: Another process may take the free port we found before the server binds it.
PORT_TRIES = 5


def open_directory(directory: Path) -> Path:
    """Makes the data directory if need be, for its owner (as root: to pass, for the servers' account).

    Raises:
        PlacementFailed: it cannot be made, or belongs to another user; nothing was changed then.
    """
    directory = Path(os.path.abspath(directory))
    try:
        directory.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700, parents=True, exist_ok=True)
        status = directory.stat()
    except OSError as error:
        raise PlacementFailed(
            f"{directory} cannot be used ({error.strerror}); name a --data-dir that this user may make and write"
        ) from None
    if status.st_uid != os.geteuid():
        raise PlacementFailed(
            f"{directory} belongs to the user {_name_of(directory)}, not to the one that runs this command; "
            "run it as that user or name another --data-dir"
        )
    return directory


def servers(
    directory: Path, ports: Ports, secrets: Secrets, *, temporary: bool = False
) -> tuple[EmbeddedPostgres, EmbeddedRedis]:
    """Both servers of a data directory, not started."""
    placement, logs = place(directory, temporary=temporary), directory / "logs"
    postgres = EmbeddedPostgres(
        placement=placement,
        log=logs / "postgres.log",
        ports=ports,
        superuser_password=secrets.password("postgres_superuser"),
        owner_password=secrets.password("postgres_owner"),
        temporary=temporary,
    )
    redis = EmbeddedRedis(placement=placement, log=logs / "redis.log", ports=ports, password=secrets.password("redis"))
    return postgres, redis


class Embedded:
    """A running pair; `stop` ends both, and with `temporary` removes what lies outside the data directory."""

    def __init__(self, directory: Path, *, temporary: bool = False) -> None:
        self.directory = open_directory(directory)
        self._ports = Ports(self.directory / "ports.json")
        secrets = Secrets(self.directory)
        self.postgres, self.redis = servers(self.directory, self._ports, secrets, temporary=temporary)
        self._temporary = temporary
        self._guard: Guard | None = None
        self._children: dict[str, Child] = {}

    @property
    def postgres_url(self) -> str:
        """The owner's URL, for SQLAlchemy; not a superuser."""
        return self.postgres.url

    @property
    def superuser_url(self) -> str:
        return self.postgres.superuser_url

    @property
    def redis_url(self) -> str:
        return self.redis.url

    def start(self) -> None:
        """Returns when both answer.

        Raises:
            ChildFailed: one of them did not start; none runs then.
        """
        self._guard = Guard()
        try:
            self.start_redis()
            self.start_postgres()
            self.postgres.prepare()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        for name in ("postgres", "redis"):
            child = self._children.pop(name, None)
            if child is not None:
                child.stop()
        if self._guard is not None:
            self._guard.close()
            self._guard = None
        if self._temporary:
            self.postgres.placement.remove()

    def start_postgres(self) -> None:
        """Starts it (again), on the same port if it had one."""
        self._start(self.postgres)

    def stop_postgres(self) -> None:
        self._children["postgres"].stop()

    def kill_postgres(self) -> None:
        """Ends it as a crash would; `start_postgres` recovers."""
        self._children["postgres"].kill()

    def start_redis(self) -> None:
        """Starts it (again), on the same port if it had one, with what its append-only file kept."""
        self._start(self.redis)

    def stop_redis(self) -> None:
        self._children["redis"].stop()

    def kill_redis(self) -> None:
        self._children["redis"].kill()

    def restart_redis(self) -> None:
        self.stop_redis()
        self.start_redis()

    def flush_redis(self) -> None:
        with contextlib.closing(self.redis.client()) as client:
            client.flushall()

    def __enter__(self) -> Embedded:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _start(self, server: EmbeddedPostgres | EmbeddedRedis) -> None:
        if self._guard is None:
            raise ChildFailed("the servers were stopped")
        spec = server.spec()
        known = spec.name in self._children
        for attempt in range(PORT_TRIES):
            child = Child(spec, self._guard)
            self._children[spec.name] = child
            child.start()
            try:
                child.wait_ready()
                return
            except ChildFailed:
                child.kill()
                if known or attempt == PORT_TRIES - 1 or not port_was_taken(spec):
                    raise
            self._ports.get(spec.name, renew=True)
            spec = server.spec()


def start_embedded(data_dir: Path, *, temporary: bool = True) -> Embedded:
    """Starts Postgres and Valkey in `data_dir` and returns when both answer, in about a second.

    With `temporary` (a test run's) data is not synced to disk, and is removed at `stop` where it lies
    outside `data_dir`.
    """
    embedded = Embedded(data_dir, temporary=temporary)
    embedded.start()
    return embedded


def port_was_taken(spec: Spec) -> bool:
    """Whether the log ends with the complaint that somebody else listens on the port."""
    try:
        return "ddress already in use" in spec.log.read_text(encoding="utf-8", errors="replace")[-2000:]
    except OSError:
        return False


def _name_of(path: Path) -> str:
    with contextlib.suppress(KeyError):
        return path.owner()
    return str(path.stat().st_uid)
