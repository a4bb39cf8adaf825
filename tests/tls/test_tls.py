"""`verify-full` and `rediss`, against Debian's Postgres and Redis, with an authority of our own.

The wrong name, the wrong authority and plain words are refused with a sentence that says which. `make tls`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg2
import pytest
import sqlalchemy as sa

from api.limits import RateLimits
from cli.ports import free_port
from core.persistence.database import create_engine
from core.settings import Settings
from core.startup import addresses, servers
from tests.support.waiting import wait_until
from tests.tls.authority import Authority
from tests.tls.postgres import Postgres

REDIS = "/usr/bin/redis-server"


@dataclass
class Ground:
    """Both servers have a certificate for `localhost` and for no other name."""

    postgres: Postgres
    redis_port: int
    ours: Path
    strangers: Path

    def redis_url(self, host: str = "localhost", scheme: str = "rediss") -> str:
        return f"{scheme}://:kept-safe@{host}:{self.redis_port}/0"

    def settings(self, redis_url: str | None = None, ca_file: Path | None = None) -> Settings:
        return Settings.model_validate(
            {
                "DATABASE_URL": self.postgres.url(sslmode="verify-full", sslrootcert=self.ours),
                "REDIS_URL": redis_url or self.redis_url(),
                "redis_ca_file": ca_file or self.ours,
            }
        )


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    folder = tmp_path_factory.mktemp("tls")
    ours, strangers = Authority(folder, "ours"), Authority(folder, "strangers")
    certificate, key = ours.sign("localhost")
    postgres, port = Postgres(certificate, key), free_port()
    configuration = (
        f"bind 127.0.0.1\nport 0\ntls-port {port}\ntls-cert-file {certificate}\ntls-key-file {key}\n"
        f'tls-ca-cert-file {ours.file}\ntls-auth-clients no\nrequirepass kept-safe\nsave ""\n'
        f"maxmemory-policy noeviction\ndir {folder}\nlogfile {folder}/redis.log\n"
    )
    # On standard input: a password has no place in an argument list.
    process = subprocess.Popen([REDIS, "-"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    assert process.stdin is not None
    process.stdin.write(configuration.encode())
    process.stdin.close()
    made = Ground(postgres, port, ours.file, strangers.file)
    wait_until(lambda: RateLimits(made.settings()).redis_answers(), "Redis to answer", 20)
    yield made
    process.terminate()
    process.wait(20)
    postgres.close()


def fault(url: str) -> str:
    """What our own engine is told."""
    engine = create_engine(url, 1, "tests")
    try:
        with pytest.raises(sa.exc.OperationalError) as refused:
            engine.connect()
        return servers.reason(refused.value)
    finally:
        engine.dispose()


def test_postgres_is_spoken_to_over_tls(ground: Ground) -> None:
    engine = create_engine(ground.postgres.url(sslmode="verify-full", sslrootcert=ground.ours), 1, "tests")
    with engine.connect() as connection:
        version, bits = connection.execute(
            sa.text("SELECT version, bits FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
        ).one()
    engine.dispose()
    assert version in ("TLSv1.2", "TLSv1.3")
    assert bits >= 128


def test_another_name_is_refused(ground: Ground) -> None:
    told = fault(ground.postgres.url("127.0.0.1", sslmode="verify-full", sslrootcert=ground.ours))
    assert 'server certificate for "localhost"' in told
    assert 'does not match host name "127.0.0.1"' in told


def test_another_authority_is_refused(ground: Ground) -> None:
    told = fault(ground.postgres.url(sslmode="verify-full", sslrootcert=ground.strangers))
    assert "certificate verify failed" in told


def test_an_authority_whose_file_is_missing_is_refused(ground: Ground) -> None:
    told = fault(ground.postgres.url(sslmode="verify-full", sslrootcert="/nowhere/ca.crt"))
    assert 'root certificate file "/nowhere/ca.crt" does not exist' in told


def test_plain_words_are_refused_by_the_server(ground: Ground) -> None:
    assert "no encryption" in fault(ground.postgres.url(sslmode="disable"))


def test_the_start_says_why_and_shows_no_password(ground: Ground) -> None:
    for url in (
        ground.postgres.url("127.0.0.1", sslmode="verify-full", sslrootcert=ground.ours),
        ground.postgres.url(sslmode="verify-full", sslrootcert=ground.strangers),
        ground.postgres.url(sslmode="disable"),
    ):
        with pytest.raises(servers.Away) as away:
            list(servers.postgres(url, "api"))
        assert str(away.value)
        assert ground.postgres.password not in str(away.value)


def test_over_a_network_anything_less_is_refused_at_the_start(ground: Ground) -> None:
    for mode, refused in (("disable", True), ("prefer", True), ("require", False), ("verify-full", False)):
        settings = ground.settings().model_copy(
            update={"database_url": f"postgresql://api:kept-safe@db.example/tollgate?sslmode={mode}"}
        )
        remarks = [one for one in addresses.look(settings, {}) if one.text.startswith("DATABASE_URL")]
        assert any(one.refuses for one in remarks) is refused, mode
        if refused:
            assert "add ?sslmode=verify-full" in remarks[0].text


def test_redis_is_spoken_to_over_tls(ground: Ground) -> None:
    assert RateLimits(ground.settings()).redis_answers()
    assert servers.eviction_policy(ground.settings().redis_url) == "noeviction"


@pytest.mark.parametrize("case", ["name", "authority", "plain"])
def test_redis_is_refused_with_a_sentence(ground: Ground, case: str) -> None:
    settings, told = {
        "name": (ground.settings(ground.redis_url("127.0.0.1")), "certificate verify failed"),
        "authority": (ground.settings(ca_file=ground.strangers), "certificate verify failed"),
        "plain": (ground.settings(ground.redis_url(scheme="redis")), "REDIS_URL: Redis cannot be asked"),
    }[case]
    assert not RateLimits(settings).redis_answers()
    (remark,) = servers.eviction("REDIS_URL", settings.redis_url)
    assert told in remark.text
    assert "kept-safe" not in remark.text


def test_a_command_migrates_over_it(ground: Ground, tmp_path: Path) -> None:
    """The whole schema over `verify-full`; with another authority not a table."""

    def migrate(authority: Path) -> subprocess.CompletedProcess[str]:
        def login(name: str) -> str:
            plain = ground.postgres.url(sslmode="verify-full", sslrootcert=authority)
            return plain.replace(f"owner:{ground.postgres.password}", f"{name}:kept-safe-{name}")

        env = {
            "PATH": os.environ["PATH"],
            "MIGRATION_DATABASE_URL": ground.postgres.url(sslmode="verify-full", sslrootcert=authority),
            "DATABASE_URL": login("tollgate_api"),
            "WORKER_DATABASE_URL": login("tollgate_worker"),
            "TOLLGATE_DATA_DIR": str(tmp_path / "data"),
        }
        program = Path(sys.executable).with_name("tollgate")
        return subprocess.run([program, "migrate"], env=env, capture_output=True, text=True, check=False)

    refused = migrate(ground.strangers)
    assert refused.returncode != 0
    assert "certificate verify failed" in refused.stdout + refused.stderr
    done = migrate(ground.ours)
    assert done.returncode == 0, done.stderr
    with psycopg2.connect(ground.postgres.url(sslmode="require")) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM payments")
    connection.close()
