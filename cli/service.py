"""The whole of Tollgate on one machine: `tollgate up`, the demo and the tests start it through this class."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

from pydantic import TypeAdapter

from cli import children as parts
from cli import databases, leftovers
from cli.embedded import PORT_TRIES, open_directory, port_was_taken, servers
from cli.embedded_postgres import EmbeddedPostgres
from cli.embedded_redis import EmbeddedRedis
from cli.indexes import build_beside
from cli.lock import DirectoryLock
from cli.migrating import migrate
from cli.ports import HOST, Ports, obstacle
from cli.processes import ChildFailed, Spec
from cli.secrets_file import ANCHOR_FILE, Secrets, key_file
from cli.seed import Seeded, seed_development
from cli.supervisor import Supervisor
from cli.target import core_session
from cli.via import Via, straight, through

PROVIDERS = ("stripe", "paystack")
#: Addresses that a test run or the demo must not take from the person's own environment.
ADDRESSES = (*databases.NAMES, "REDIS_URL", "BROKER_URL")
ANCHOR = "TOLLGATE_ANCHOR_FILE"
PRIVATE_TARGETS = "TOLLGATE_ALLOW_PRIVATE_WEBHOOK_TARGETS"


def _quiet(*_: object) -> None:
    """Reports nothing."""


class Service:
    """Not started by its construction; `start` and `stop` belong to one thread, the rest to any.

    `port` 0 takes a free one; `workers` is the number of worker processes, by default one a core; `environ` is
    where addresses and settings are looked up (by default the process's own, without addresses), `env` adds
    settings to it. `report` takes what happens to children, `progress` sentences for a person. A `temporary` one
    keeps nothing outside `data_dir` when it has stopped. `via` is where its processes find each other; probes,
    migrations and what this class tells its caller go straight.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        port: int = 0,
        workers: int | None = None,
        sandbox: bool = True,
        environ: Mapping[str, str] | None = None,
        env: Mapping[str, str] | None = None,
        report: Callable[[str, dict[str, Any]], None] = _quiet,
        progress: Callable[[str], None] = _quiet,
        temporary: bool = False,
        via: Via = straight,
    ) -> None:
        own = {name: value for name, value in os.environ.items() if name not in ADDRESSES}
        self._environ = {**(own if environ is None else environ), **(env or {})}
        self._port, self._sandbox, self._temporary = port, sandbox, temporary
        self._workers = workers or os.cpu_count() or 1
        self._report, self._say, self._via = report, progress, via
        self.data_dir = Path(os.path.abspath(data_dir))
        self.api_url = self.redis_url = ""
        self.sandbox_urls: dict[str, str] = {}
        self.seeded = Seeded(test_key="", admin_key="")
        self._databases = databases.Databases("", "", "")
        self._postgres: EmbeddedPostgres | None = None
        self._redis: EmbeddedRedis | None = None
        self._supervisor: Supervisor | None = None
        self._lock: DirectoryLock | None = None
        self._cancelled = False

    # What a started service is asked for

    @property
    def test_key(self) -> str:
        return self.seeded.test_key

    @property
    def admin_key(self) -> str:
        return self.seeded.admin_key

    @property
    def database_url(self) -> str:
        """The api's login, held to one merchant at a time."""
        return self._databases.api

    @property
    def worker_database_url(self) -> str:
        return self._databases.worker

    @property
    def owner_database_url(self) -> str:
        """The owner of the tables, who migrates."""
        return self._databases.owner

    @property
    def key_file(self) -> Path:
        named = self._environ.get("TOLLGATE_KEY_FILE")
        return Path(named) if named else key_file(self.data_dir)

    @property
    def children(self) -> dict[str, int]:
        """The process ids of the running children by name, in the order of their start."""
        return self._running().pids

    def kill(self, name: str, number: int) -> None:
        """Sends a child a signal; the supervisor restarts it if it dies."""
        self._running().signal(name, number)

    def stop_child(self, name: str) -> None:
        """Ends a child and leaves it down."""
        self._running().stop_child(name)
        self._record()

    def start_child(self, name: str) -> None:
        """Starts a stopped child where it was and returns when it is ready."""
        self._running().start_child(name)
        self._record()

    def restart(self, name: str) -> None:
        self._running().restart_child(name)
        self._record()

    def flush_redis(self) -> None:
        """Empties the embedded Redis."""
        if self._redis is None:
            raise ChildFailed("the Redis in use is not ours to empty")
        client = self._redis.client()
        try:
            client.flushall()
        finally:
            client.close()

    # Start and stop

    def start(self) -> None:
        """Returns when every part is ready.

        Raises:
            Refused: its text says what to do; nothing runs then. AlreadyRunning is one of its kinds.
            MigrationRefused, SQLAlchemyError: a database of the environment does not serve.
        """
        directory = open_directory(self.data_dir)
        self._lock = DirectoryLock(directory)
        self._lock.take(on_wait=lambda: self._progress("Waiting for what the last run left behind"))
        try:
            left = leftovers.clear(directory / "children.json")
            if left:
                self._report("leftovers_ended", {"children": left})
            self._supervisor = Supervisor(self._note, keep_open=[self._lock.descriptor])
            if self._cancelled:
                self._supervisor.cancelled.set()
            self._start_parts(directory)
        except BaseException:
            self.stop()
            raise

    def cancel(self) -> None:
        """Makes a start that is under way fail soon; from any thread or a signal handler."""
        self._cancelled = True
        if self._supervisor is not None:
            self._supervisor.cancelled.set()

    def hurry(self) -> None:
        """Makes a stop that is under way kill what it waits for."""
        if self._supervisor is not None:
            self._supervisor.hurry.set()

    def stop(self) -> None:
        """Ends all children in reverse order; does nothing if none runs."""
        if self._supervisor is not None:
            self._supervisor.stop()
            self._supervisor = None
            (self.data_dir / "children.json").unlink(missing_ok=True)
            if self._temporary and self._postgres is not None:
                self._postgres.placement.remove()
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def __enter__(self) -> Service:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _progress(self, sentence: str) -> None:
        """For the person at this terminal, and for one who asks from another (`tollgate doctor`)."""
        if self._lock is not None and self._lock.held:
            self._lock.tell({"starting": sentence})
        self._say(sentence)

    def _start_parts(self, directory: Path) -> None:
        secrets, ports = Secrets(directory), Ports(directory / "ports.json")
        if self._port and (why := obstacle(self._port)):
            raise ChildFailed(f"port {self._port} {why} with --port (0: any)")
        self._start_servers(directory, ports, secrets)
        self._migrate()
        context = parts.Context(directory, self.environment())
        if self._sandbox:
            self._start_sandbox(context, ports)
        api_port = self._port or ports.get("api")
        self.api_url = f"http://{HOST}:{api_port}"
        context = parts.Context(directory, self.environment())
        self._progress("Preparing keys and accounts")
        with core_session(self._databases.owner, self.redis_url, self.key_file) as core:
            self.seeded = seed_development(core, secrets, self.api_url, self.sandbox_urls, self._via)
        self._start_processes(context, api_port)
        if self._lock is not None:
            private = TypeAdapter(bool).validate_python(context.env.get(PRIVATE_TARGETS, "0"))
            self._lock.tell({"api": self.api_url, "private_webhook_targets": private})
        build_beside(self._databases.owner, self._quietly)

    def _quietly(self, sentence: str) -> None:
        """Nothing is said of what ended because the service did."""
        if self._supervisor is not None:
            self._say(sentence)

    def _start_servers(self, directory: Path, ports: Ports, secrets: Secrets) -> None:
        named = databases.external(self._environ, secrets)
        self.redis_url = self._environ.get("REDIS_URL", "")
        if named is None or not self.redis_url:
            postgres, redis = servers(directory, ports, secrets, temporary=self._temporary)
        if named is None:
            self._progress("Starting Postgres")
            self._postgres = postgres
            self._start_on_port("postgres", ports, postgres.spec)
            postgres.prepare()
        self._databases = named or databases.embedded(postgres, secrets)
        if not self.redis_url:
            self._progress("Starting Redis (Valkey)")
            self._redis = redis
            self._start_on_port("redis", ports, redis.spec)
            self.redis_url = redis.url

    def _migrate(self) -> None:
        self._progress("Migrating the database")
        migrate(self._databases)

    def _start_sandbox(self, context: parts.Context, ports: Ports) -> None:
        self._progress("Starting the local Stripe and Paystack")
        for provider in PROVIDERS:
            make = partial(self._sandbox_spec, context, ports, provider)
            self._start_on_port(provider, ports, make)
            self.sandbox_urls[provider] = f"http://{HOST}:{ports.last(provider)}"

    def _sandbox_spec(self, context: parts.Context, ports: Ports, provider: str) -> Spec:
        return parts.sandbox(context, provider, ports.get(provider))

    def _start_processes(self, context: parts.Context, api_port: int) -> None:
        self._progress("Starting the API, the workers and the schedule")
        gate, worker = (through(self._via, "postgres", url) for url in (self._databases.api, self._databases.worker))
        specs = [parts.api(context, api_port, gate)]
        specs += [parts.worker(context, number, worker) for number in range(1, self._workers + 1)]
        self._running().start_all([*specs, parts.beat(context, worker)])
        self._record()

    def _start_on_port(self, name: str, ports: Ports, make: Callable[[], Spec]) -> None:
        """Starts a server on the port it had; on another one if somebody took that in the same moment."""
        for attempt in range(PORT_TRIES):
            if self._cancelled:
                raise ChildFailed("stopped while starting")
            spec = make()
            try:
                self._running().start(spec)
                break
            except ChildFailed:
                if attempt == PORT_TRIES - 1 or not port_was_taken(spec):
                    raise
                ports.get(name, renew=True)
        self._record()

    def environment(self) -> dict[str, str]:
        """What every process gets; each is given its own DATABASE_URL, and none the owner's."""
        env = {name: value for name, value in self._environ.items() if name not in ADDRESSES}
        redis = through(self._via, "redis", self.redis_url)
        env |= {"PYTHONUNBUFFERED": "1", "REDIS_URL": redis, "TOLLGATE_KEY_FILE": str(self.key_file)}
        env[ANCHOR] = env.get(ANCHOR) or str(self.data_dir / ANCHOR_FILE)
        if self._environ.get("BROKER_URL"):
            env["BROKER_URL"] = self._environ["BROKER_URL"]
        if self._sandbox:
            env["TOLLGATE_SANDBOX"] = "1"
            # The endpoints of a trial listen on this machine; an operator who says otherwise is obeyed.
            env[PRIVATE_TARGETS] = env.get(PRIVATE_TARGETS) or "1"
        return env

    def _note(self, event: str, details: dict[str, Any]) -> None:
        # Recorded first, so that who reads of a restart finds the new process; told even if the disk is full.
        try:
            self._record()
        finally:
            self._report(event, details)

    def _record(self) -> None:
        if self._supervisor is not None:
            leftovers.record(self.data_dir / "children.json", self._supervisor.pids)

    def _running(self) -> Supervisor:
        if self._supervisor is None:
            raise ChildFailed("the service does not run")
        return self._supervisor
