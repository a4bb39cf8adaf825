"""The operator beside the service: the owner's core, for keys, merchants and accounts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from cli.target import core_session
from core.orchestration.context import Core
from tests.chaos.stage import Stage


@contextmanager
def owner_core(stage: Stage) -> Iterator[Core]:
    service = stage.service
    with core_session(service.owner_database_url, service.redis_url, service.key_file) as core:
        yield core
