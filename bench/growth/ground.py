"""A migrated database with its merchants, and the product's own cores on it, one connection each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg2
import sqlalchemy as sa
from sqlalchemy.engine import Engine, make_url

from bench.growth import shape
from bench.growth.fill import Owner
from bench.growth.shape import Span
from cli.embedded_postgres import OWNER, EmbeddedPostgres
from core.orchestration import accounts
from core.orchestration.accounts import NewAccount
from core.orchestration.context import Core
from core.persistence import later_indexes
from core.persistence.database import Scope, open_database
from core.persistence.migrate import migrate
from core.persistence.vault import Vault, new_keys, parse_keys
from core.settings import Settings

SIGNING = "whsec_growth"
#: No measured call waits for a provider's published limit.
_UNPACED = {"pacing": {"per_operation": 1_000_000, "total": 1_000_000}}
_PASSWORD = "growth"  # of two logins that live as long as the bench's own server


@dataclass(frozen=True, slots=True)
class Urls:
    owner: str
    api: str
    worker: str
    superuser: str


class Ground:
    """One database of one size. The vault outlives the server's restart between filling and measuring."""

    def __init__(self, name: str, span: Span) -> None:
        self.name = name
        self.span = span
        self.vault = Vault(parse_keys(new_keys()))
        self.owners: dict[str, Owner] = {}

    def urls(self, postgres: EmbeddedPostgres) -> Urls:
        def url(user: str, password: str) -> str:
            parsed = make_url(postgres.url_for(user, password, self.name)).set(drivername="postgresql")
            return parsed.render_as_string(hide_password=False)

        owner, superuser = make_url(postgres.url), make_url(postgres.superuser_url)
        return Urls(
            owner=url(OWNER, str(owner.password)),
            api=url("growth_api", _PASSWORD),
            worker=url("growth_worker", _PASSWORD),
            superuser=url(str(superuser.username), str(superuser.password)),
        )

    def make(self, postgres: EmbeddedPostgres) -> None:
        """The database, its schema, a year of partitions, merchants and accounts."""
        with closing(postgres.connect("postgres")) as connection, connection.cursor() as cursor:
            cursor.execute(f'CREATE DATABASE "{self.name}" OWNER "{OWNER}"')
        urls = self.urls(postgres)
        migrate(urls.owner, urls.api, urls.worker)
        later_indexes.build(urls.owner)
        with self.cores(urls, "growth-setup") as (_, _, admin):
            self._past_partitions(admin.database.engine)
            for name in shape.SHARES:
                self.owners[name] = self._merchant(admin, name)

    def _past_partitions(self, engine: Engine) -> None:
        """By the product's own function, told that it is another month."""
        with engine.connect() as connection:
            for months in range(shape.MONTHS, 0, -6):
                shift = sa.text("UPDATE app_clock SET shift = make_interval(months => :months)")
                connection.execute(shift, {"months": -months})
                connection.execute(sa.text("SELECT ensure_partitions(6)"))
            connection.execute(sa.text("UPDATE app_clock SET shift = interval '0'"))

    def _merchant(self, admin: Core, name: str) -> Owner:
        merchant_id = accounts.create_merchant(admin, name)
        account = NewAccount(
            provider="stripe",
            name="stripe",
            credentials={"secret_key": "sk_test_growth", "publishable_key": "pk_test_growth"},
            webhook_secrets=[SIGNING],
            settings=_UNPACED,
        )
        return Owner(merchant_id, accounts.save_provider_account(admin, Scope(merchant_id, "test"), account, "bench"))

    def scope(self, name: str) -> Scope:
        return Scope(self.owners[name].merchant_id, "test")

    def connect(self, postgres: EmbeddedPostgres) -> psycopg2.extensions.connection:
        return psycopg2.connect(self.urls(postgres).superuser)

    @contextmanager
    def cores(self, urls: Urls, application: str) -> Iterator[tuple[Core, Core, Core]]:
        """The gate's, a worker's and the owner's."""
        made: list[Core] = []
        for url in (urls.api, urls.worker, urls.owner):
            settings = Settings.model_validate({"DATABASE_URL": url, **_environment()})
            made.append(Core(settings, open_database(url, 2, application), self.vault))
        try:
            yield made[0], made[1], made[2]
        finally:
            for core in made:
                core.database.engine.dispose()


def _environment() -> Mapping[str, Any]:
    """Nothing is sent to Redis; what would be hinted is found by polling."""
    return {"REDIS_URL": "redis://127.0.0.1:1/0"}


def drop(postgres: EmbeddedPostgres, name: str) -> None:
    with closing(postgres.connect("postgres")) as connection, connection.cursor() as cursor:
        cursor.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
