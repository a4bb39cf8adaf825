"""An engine on a real Postgres whose jobs do what the test says."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Engine as Connections

from core.orchestration import accounts, jobs
from core.orchestration.context import Core
from core.orchestration.jobs import Job
from core.orchestration.pacing import PrivatePacer
from core.persistence.database import Database, Scope, create_engine
from core.persistence.vault import Vault, new_keys, parse_keys
from core.settings import Settings
from tests.support.databases import Urls
from workers.configuration import LANES
from workers.engine import Engine


class Bench:
    def __init__(self, urls: Urls, lanes: Sequence[str] = LANES, **changes: Any) -> None:
        base = {"DATABASE_URL": urls.worker, "poll_interval": 0.1, "lease": 2.0, "lease_renewal": 0.3}
        self.settings = Settings.model_validate({**base, **changes})
        self.owner = create_engine(urls.owner, 2)
        self._pools: list[Connections] = [self.owner, create_engine(urls.worker, 5), create_engine(urls.worker, 3)]
        vault = Vault(parse_keys(new_keys()))
        core = Core(self.settings, Database(self._pools[1]), vault, pacer=PrivatePacer())
        admin = Core(self.settings, Database(self.owner), vault)
        self.scope = Scope(accounts.create_merchant(admin, "Shop"), "test")
        self.core = core
        self.ran: list[UUID] = []
        self.elsewhere: list[tuple[str, list[UUID]]] = []
        self.open = threading.Event()
        self.open.set()
        self.act: Callable[[Core, Job], object] = self.finish
        self.engine = Engine(core, Database(self._pools[2]), self._prepare, "bench", self._tell, lanes)

    def _tell(self, lane: str, ids: Any) -> None:
        self.elsewhere.append((lane, list(ids)))

    def _prepare(self, core: Core, claimed: Sequence[Job]) -> list[Callable[[], object]]:
        return [partial(self._run, core, job) for job in claimed]

    def _run(self, core: Core, job: Job) -> object:
        self.ran.append(job.id)
        return self.act(core, job)

    def finish(self, core: Core, job: Job) -> None:
        assert self.open.wait(20)
        with core.transaction(job.scope) as connection:
            jobs.finish(connection, job)

    def add(self, count: int = 1, kind: str = "sync_payment") -> list[UUID]:
        with self.core.database.scoped(self.scope) as connection:
            return [jobs.enqueue(connection, self.scope, kind) for _ in range(count)]

    def sql(self, text: str, **values: Any) -> list[Any]:
        with self.owner.begin() as connection:
            found = connection.execute(sa.text(text), values)
            return list(found.mappings()) if found.returns_rows else []

    def count(self, status: str) -> int:
        return int(self.sql("SELECT count(*) AS n FROM jobs WHERE status = :status", status=status)[0]["n"])

    def close(self) -> None:
        self.open.set()
        self.engine.stop(10)
        self.sql("DELETE FROM jobs")
        for pool in self._pools:
            pool.dispose()
