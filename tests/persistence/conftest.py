"""A database seen by its three roles, with rows of two merchants in both modes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

import pytest
from sqlalchemy.engine import Engine

from core.persistence.database import Database, Scope, create_engine
from tests.persistence import rows
from tests.support.databases import Urls


@dataclass(frozen=True)
class Roles:
    owner: Engine
    api: Database
    worker: Database


@pytest.fixture(scope="module")
def roles(database: Urls) -> Iterator[Roles]:
    engines = {name: create_engine(getattr(database, name), 2) for name in ("owner", "api", "worker")}
    yield Roles(engines["owner"], Database(engines["api"]), Database(engines["worker"]))
    for engine in engines.values():
        engine.dispose()


@pytest.fixture(scope="module")
def written(roles: Roles) -> dict[Scope, dict[str, UUID | str]]:
    """Whose rows there are: {scope: {table: id}}."""
    with roles.owner.begin() as connection:
        merchants = [rows.make_merchant(connection) for _ in range(2)]
        scopes = [Scope(merchant, mode) for merchant in merchants for mode in ("test", "live")]
        return {scope: rows.fill(connection, scope) for scope in scopes}
