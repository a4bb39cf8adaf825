"""A gate over a real database: one server a session, one migrated database a session, a merchant a test."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator, Sequence

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy.engine import make_url

from api.app import build_app
from cli.embedded import start_embedded
from core.orchestration import accounts, api_keys
from core.orchestration.context import Core
from core.persistence.database import Database, Scope, create_engine
from core.persistence.migrate import migrate
from core.persistence.vault import Vault, new_keys, parse_keys
from tests.api.support import Databases, Merchant, Woken, add_account, settings_for


@pytest.fixture(scope="session")
def server_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An owner's address at a running Postgres: the one named, or one of our own."""
    named = os.environ.get("TOLLGATE_TEST_DATABASE_URL")
    if named:
        yield named
        return
    with start_embedded(tmp_path_factory.mktemp("gate")) as embedded:
        yield embedded.superuser_url


@pytest.fixture(scope="session")
def databases(server_url: str) -> Iterator[Databases]:
    name = f"gate_{secrets.token_hex(4)}"
    server = make_url(server_url).set(drivername="postgresql+psycopg2")
    admin = sa.create_engine(server, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    made = server.set(database=name)

    def login(role: str) -> str:
        return made.set(username=f"{name}_{role}", password="of-the-tests").render_as_string(hide_password=False)

    found = Databases(made.render_as_string(hide_password=False), login("api"), login("worker"))
    migrate(found.owner, found.api, found.worker)
    yield found
    with admin.connect() as connection:
        connection.execute(sa.text(f"DROP DATABASE {name} WITH (FORCE)"))
        connection.execute(sa.text(f"DROP ROLE {name}_api, {name}_worker"))
    admin.dispose()


@pytest.fixture(scope="session")
def vault() -> Vault:
    return Vault(parse_keys(new_keys()))


@pytest.fixture(scope="session")
def owner(databases: Databases, vault: Vault) -> Iterator[Core]:
    """For what operators do."""
    engine = create_engine(databases.owner, 2, "tests")
    yield Core(settings_for(databases.owner), Database(engine), vault)
    engine.dispose()


@pytest.fixture(scope="session")
def worker(databases: Databases, vault: Vault) -> Iterator[Core]:
    """For what workers do."""
    engine = create_engine(databases.worker, 2, "tests")
    yield Core(settings_for(databases.worker), Database(engine), vault)
    engine.dispose()


@pytest.fixture(scope="session")
def woken() -> Woken:
    return Woken()


@pytest.fixture(scope="session")
def core(databases: Databases, vault: Vault, woken: Woken) -> Iterator[Core]:
    """The gate's own: it sees what the api role may see."""
    engine = create_engine(databases.api, 8, "tests")
    yield Core(settings_for(databases.api), Database(engine), vault, woken)
    engine.dispose()


@pytest.fixture(scope="session")
def app(core: Core) -> Flask:
    return build_app(core)


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
    return make_merchant()


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
