"""TLS to Redis, the broker and Postgres: spoken when the address says so, and only with who is trusted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest
import redis
import sqlalchemy as sa

from api.limits import RateLimits
from cli.embedded import Embedded
from core.orchestration.pacing import SharedPacer, Slot
from core.persistence.database import create_engine
from core.settings import Settings
from core.startup.servers import eviction
from tests.support.broker import Broker
from tests.support.certificates import contexts
from tests.support.databases import Urls
from tests.support.relay import Relay
from tests.support.waiting import wait_until
from tests.support.worker import WorkerProcess
from tests.support.world import World
from workers.configuration import make_app
from workers.hints import Hints

POSTGRES = "postgresql://api:kept-safe@127.0.0.1/db"


@dataclass
class Guarded:
    """A Redis behind TLS; `ca_file` is who signed its certificate."""

    broker: Broker
    url: str
    ca_file: Path

    def settings(self, **changes: object) -> Settings:
        return Settings.model_validate(
            {"DATABASE_URL": POSTGRES, "REDIS_URL": self.url, "redis_ca_file": self.ca_file, **changes}
        )


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    folder = tmp_path_factory.mktemp("tls")
    server, _ = contexts(folder, "localhost")
    # The name in the certificate, which the address `127.0.0.1` would not be.
    broker = Broker()
    relay = Relay(broker.port, server)
    yield Guarded(broker, f"rediss://localhost:{relay.port}/0", folder / "localhost.pem")
    relay.close()
    broker.close()


def test_limits_and_pacing_speak_it(guarded: Guarded) -> None:
    settings = guarded.settings()
    assert RateLimits(settings).redis_answers()
    slot = Slot(f"tollgate-test:{uuid4()}", 10.0, 0.0)
    # The second process knows of the first one's call: they met in Redis.
    assert SharedPacer(settings.redis_url).pause([slot]) == 0
    assert SharedPacer(settings.redis_url).pause([slot]) > 1


def test_hints_go_through_it(guarded: Guarded) -> None:
    hints = Hints(guarded.settings())
    try:
        job = uuid4()
        hints.wake("deliveries", [job])
        wait_until(lambda: guarded.broker.messages("deliveries"), "the hint to arrive")
        assert guarded.broker.messages("deliveries") == [["deliveries", [str(job)]]]
    finally:
        hints.close()
        guarded.broker.client.flushall()


def test_a_worker_takes_hints_from_it(guarded: Guarded, world: World, tmp_path: Path) -> None:
    worker = WorkerProcess(world, tmp_path, guarded.url, redis_ca_file=guarded.ca_file, poll_interval=30)
    hints = Hints(guarded.settings())
    try:
        wait_until(
            lambda: guarded.broker.client.execute_command("CLIENT", "LIST").count(b"cmd=brpop") > 0, "it to listen"
        )
        guarded.broker.client.config_resetstat()
        hints.wake("payments", [uuid4()])
        wait_until(lambda: hints_taken(guarded), "the hint to be taken")
        assert worker.events("hint_refused") == []
        assert worker.alive
    finally:
        hints.close()
        worker.close()


def hints_taken(guarded: Guarded) -> bool:
    """One was pushed, and none waits."""
    stats = guarded.broker.client.info("commandstats")
    return "cmdstat_lpush" in stats and guarded.broker.messages("payments") == []


def test_who_is_not_trusted_is_not_spoken_to(guarded: Guarded) -> None:
    settings = guarded.settings(redis_ca_file=None)
    (told,) = eviction("REDIS_URL", settings.redis_url)
    assert not told.refuses
    assert "certificate verify failed" in told.text
    assert not RateLimits(settings).redis_answers()
    connection = make_app(settings).connection_for_write()
    with pytest.raises(Exception, match="certificate verify failed"):
        connection.ensure_connection(max_retries=1, interval_start=0, interval_step=0)
    connection.release()


def test_another_name_is_not_trusted(guarded: Guarded) -> None:
    url = guarded.url.replace("localhost", "127.0.0.1")
    (told,) = eviction("REDIS_URL", guarded.settings(REDIS_URL=url).redis_url)
    assert "certificate verify failed" in told.text


def test_plain_words_get_no_answer(guarded: Guarded) -> None:
    url = guarded.url.replace("rediss://", "redis://")
    client = redis.Redis.from_url(url, socket_timeout=2)
    with client, pytest.raises(redis.RedisError):
        client.ping()


def test_postgres_is_spoken_to_over_tls_or_not_at_all(database: Urls, embedded: Embedded) -> None:
    """The embedded server speaks none: that the driver insists shows that the address's words reach it."""
    engine = create_engine(f"{database.api}?sslmode=verify-full&sslrootcert=/nowhere/ca.pem", 1)
    with pytest.raises(sa.exc.OperationalError, match=r"does not support SSL|root certificate file .* does not exist"):
        engine.connect()
    engine.dispose()
    engine = create_engine(f"{database.api}?sslmode=require", 1)
    with pytest.raises(sa.exc.OperationalError, match="does not support SSL, but SSL was required"):
        engine.connect()
    engine.dispose()
