"""Real api processes, and Debian's nginx in front of them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator

import pytest

from cli import children
from cli.embedded import Embedded
from cli.ports import free_port
from tests.slow_clients.proxy import Proxy
from tests.support.waiting import wait_until
from tests.support.worker import write_keys
from tests.support.world import World


@pytest.fixture(scope="module")
def api_port(world: World, embedded: Embedded, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Two real api processes."""
    folder = tmp_path_factory.mktemp("api")
    env = {
        **os.environ,
        "REDIS_URL": embedded.redis_url,
        "TOLLGATE_KEY_FILE": str(write_keys(world, folder / "keys.json")),
        "TOLLGATE_TRUSTED_PROXIES": "127.0.0.1",
        "TOLLGATE_RATE_LIMIT": "10000/second",
    }
    port = free_port()
    spec = children.api(children.Context(directory=folder, env=env), port, world.urls.api)
    with (folder / "api.log").open("wb") as log:
        process = subprocess.Popen(spec.argv, env=dict(spec.env), cwd=spec.cwd, stdout=log, stderr=log)
        try:
            wait_until(lambda: spec.ready() or process.poll(), "the api to be ready", 60)
            yield port
        finally:
            process.terminate()
            process.wait(30)


@pytest.fixture(scope="module")
def proxy(api_port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    made = Proxy(tmp_path_factory.mktemp("nginx"), api_port)
    yield made
    made.close()
