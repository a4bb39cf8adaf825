"""A world of a test's own that can be restored."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from cli.embedded import Embedded
from tests.orchestration.restoring import Restorable
from tests.support import databases
from tests.support.databases import Urls
from tests.support.sandboxes import Sandbox
from tests.support.world import World


@pytest.fixture
def place(embedded: Embedded, template: str, sandboxes: dict[str, Sandbox], tmp_path: Path) -> Iterator[Restorable]:
    name = f"test_{uuid4().hex}"
    urls: Urls = databases.create(embedded, name, template)
    world = World(urls, embedded.redis_url, sandboxes, anchor_file=tmp_path / "anchor.json")
    yield Restorable(world, embedded, name)
    world.close()
    databases.drop(embedded, name)
