"""A Postgres of the bench's own: started in haste to be filled, and as the product starts it to be measured."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from cli.embedded import servers
from cli.embedded_postgres import EmbeddedPostgres
from cli.ports import Ports
from cli.processes import Child, Guard
from cli.secrets_file import Secrets

#: For filling alone: nothing of this is on while anything is measured.
HASTE = {
    "fsync": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "full_page_writes": "off",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "1h",
    "autovacuum": "off",
    "maintenance_work_mem": "768MB",
    "max_parallel_maintenance_workers": "0",
}


class Server:
    """One data folder; `running` starts Postgres on it for the length of a block."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        directory.chmod(0o711)
        made, _ = servers(directory, Ports(directory / "ports.json"), Secrets(directory), temporary=True)
        # Placed like a temporary one, which goes when we go; run with the settings of one that stays.
        self.postgres: EmbeddedPostgres = replace(made, temporary=False)

    @contextmanager
    def running(self, *, hasty: bool) -> Iterator[EmbeddedPostgres]:
        spec = self.postgres.spec()
        settings = HASTE if hasty else {}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        guard = Guard()
        child = Child(replace(spec, argv=[*spec.argv, *options], stop_timeout=300.0), guard)
        child.start()
        try:
            child.wait_ready()
            self.postgres.prepare()
            yield self.postgres
        finally:
            child.stop()
            guard.close()

    def remove(self) -> None:
        self.postgres.placement.remove()
        shutil.rmtree(self.directory, ignore_errors=True)
