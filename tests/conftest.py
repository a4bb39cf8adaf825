"""Servers once per test process, a migrated database per module, and the world that stands on both."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from argon2 import PasswordHasher

from cli.embedded import Embedded
from core.observability import configure_logging
from core.orchestration import backoff
from core.orchestration.administrators import passwords
from tests.support import databases
from tests.support.memory import folder_in_memory
from tests.support.receiver import Receiver
from tests.support.restoring import Restorable
from tests.support.sandboxes import Sandbox
from tests.support.world import World

configure_logging("ERROR", "tests")
# A tenth of a second and 64 MB for each password are the product's; `test_login.py` holds it to them.
passwords._HASHER = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
# Tests move the clock by exact steps; `test_backoff.py` shows that waits are spread everywhere else.
backoff.SPREAD = 0.0


@pytest.fixture(scope="session")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedded]:
    with folder_in_memory(tmp_path_factory.mktemp("servers")) as directory:
        servers = Embedded(directory, temporary=True)
        servers.start()
        yield servers
        servers.stop()


@pytest.fixture(scope="session")
def template(embedded: Embedded) -> str:
    return databases.make_template(embedded)


@pytest.fixture(scope="module")
def database(embedded: Embedded, template: str) -> Iterator[databases.Urls]:
    name = f"test_{uuid4().hex}"
    yield databases.create(embedded, name, template)
    databases.drop(embedded, name)


@pytest.fixture(scope="session")
def sandboxes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Sandbox]]:
    base: Path = tmp_path_factory.mktemp("sandboxes")
    started = {name: Sandbox(name, base / name) for name in ("stripe", "paystack")}
    for sandbox in started.values():
        sandbox.post("settings", rate_limit=0, rate_limit_total=0)
    yield started
    for sandbox in started.values():
        sandbox.stop()


@pytest.fixture(scope="module")
def world(embedded: Embedded, database: databases.Urls, sandboxes: dict[str, Sandbox]) -> Iterator[World]:
    made = World(database, embedded.redis_url, sandboxes)
    yield made
    made.close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A merchant's endpoint."""
    made = Receiver()
    yield made
    made.close()


@pytest.fixture
def place(embedded: Embedded, template: str, sandboxes: dict[str, Sandbox], tmp_path: Path) -> Iterator[Restorable]:
    """A world of a test's own that can be restored."""
    name = f"test_{uuid4().hex}"
    urls = databases.create(embedded, name, template)
    world = World(urls, embedded.redis_url, sandboxes, anchor_file=tmp_path / "anchor.json")
    yield Restorable(world, embedded, name)
    world.close()
    databases.drop(embedded, name)
