"""A gate over a real database of the module's own, called without a server in between; a merchant a test."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from api.app import build_app
from core.observability import configure_logging
from core.orchestration import accounts, api_keys
from core.orchestration.context import Core
from core.persistence.database import Database, Scope, create_engine
from core.persistence.vault import Vault, new_keys, parse_keys
from tests.api.support import Merchant, Woken, add_account, settings_for
from tests.support.databases import Urls


@pytest.fixture(scope="module", autouse=True)
def logging() -> Iterator[None]:
    """Requests are logged for these tests alone: other files' threads would write between the tests' dots."""
    configure_logging("INFO", "tests")
    yield
    configure_logging("ERROR", "tests")


@pytest.fixture(scope="session")
def vault() -> Vault:
    return Vault(parse_keys(new_keys()))


@pytest.fixture(scope="module")
def owner(database: Urls, vault: Vault) -> Iterator[Core]:
    """For what operators do."""
    engine = create_engine(database.owner, 2, "tests")
    yield Core(settings_for(database.owner), Database(engine), vault)
    engine.dispose()


@pytest.fixture(scope="module")
def worker(database: Urls, vault: Vault) -> Iterator[Core]:
    """For what workers do."""
    engine = create_engine(database.worker, 2, "tests")
    yield Core(settings_for(database.worker), Database(engine), vault)
    engine.dispose()


@pytest.fixture(scope="module")
def woken() -> Woken:
    return Woken()


@pytest.fixture(scope="module")
def core(database: Urls, vault: Vault, woken: Woken) -> Iterator[Core]:
    """The gate's own: it sees what the api role may see."""
    engine = create_engine(database.api, 8, "tests")
    yield Core(settings_for(database.api), Database(engine), vault, woken)
    engine.dispose()


@pytest.fixture(scope="module")
def app(core: Core) -> Flask:
    return build_app(core)


@pytest.fixture
def make_app(core: Core) -> Callable[..., Flask]:
    """Another process of the gate, with settings of its own."""

    def make(**changes: Any) -> Flask:
        return build_app(replace(core, settings=settings_for(core.settings.database_url, **changes)))

    return make


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def make_merchant(owner: Core, client: FlaskClient) -> Callable[..., Merchant]:
    def make(mode: api_keys.Kind = "test", scopes: Sequence[str] | None = None) -> Merchant:
        merchant_id = accounts.create_merchant(owner, f"Shop {secrets.token_hex(3)}")
        scope = Scope(merchant_id, mode)
        key = api_keys.create(owner, kind=mode, merchant_id=merchant_id, name="tests", scopes=scopes)
        found = {provider: add_account(owner, scope, provider) for provider in ("stripe", "paystack")}
        return Merchant(scope, key, client, found)

    return make


@pytest.fixture
def merchant(make_merchant: Callable[..., Merchant]) -> Merchant:
    return make_merchant(scopes=sorted(api_keys.MERCHANT_SCOPES))


@pytest.fixture
def count(owner: Core) -> Callable[[Scope], dict[str, int]]:
    """How many rows a merchant has, by table: a refused request leaves none."""
    tables = ("payments", "jobs", "idempotency_keys", "audit_log", "refunds", "customers", "events", "inbox_events")

    def counted(scope: Scope) -> dict[str, int]:
        with owner.database.unscoped() as connection:
            return {
                table: connection.execute(
                    sa.text(f"SELECT count(*) FROM {table} WHERE merchant_id = :merchant"),
                    {"merchant": scope.merchant_id},
                ).scalar_one()
                for table in tables
            }

    return counted
