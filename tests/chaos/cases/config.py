"""What a process must refuse to start with, and says so."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping

import redis

from cli.children import ROOT
from core.domain.errors import RequestRefused
from core.domain.identifiers import parse_id
from core.orchestration import accounts
from core.persistence.database import Scope
from tests.chaos.cases import alerting
from tests.chaos.cases.case import Case, Ground, expect
from tests.chaos.cases.others import owner_core

#: A refused start ends within so many seconds.
REFUSED_WITHIN = 60.0


def _start(ground: Ground, module: str, changes: Mapping[str, str | None]) -> str:
    """What a process says that must not start. The other settings are those of the running service."""
    service = ground.stage.service
    env = {**os.environ, **service.environment()}
    env["DATABASE_URL"] = service.database_url if module == "api.serve" else service.worker_database_url
    for name, value in changes.items():
        if value is None:
            env.pop(name, None)
        else:
            env[name] = value
    argv = [sys.executable, "-m", "api.serve", "--host", "127.0.0.1", "--port", "0"]
    if module != "api.serve":
        argv = [
            sys.executable,
            "-m",
            "celery",
            "-q",
            "-A",
            "workers.celery_app:app",
            "worker",
            "-P",
            "threads",
            "-c",
            "1",
        ]
    try:
        ended = subprocess.run(argv, env=env, cwd=ROOT, capture_output=True, text=True, timeout=REFUSED_WITHIN)
    except subprocess.TimeoutExpired:
        return "it started"
    expect(ended.returncode != 0, f"it ended without an error: {ended.stderr[-300:]}")
    return ended.stderr + ended.stdout


def _refused(ground: Ground, module: str, changes: Mapping[str, str | None], *words: str) -> None:
    said = _start(ground, module, changes)
    ground.hurt("config.wrong")
    for word in words:
        expect(word in said, f"{module} with {sorted(changes)}: {word!r} is not in {said[-400:]!r}")
    for value in changes.values():
        expect(not value or "secret" not in value or value not in said, "a secret is in the sentence")


def settings(ground: Ground) -> None:
    """No keys, keys that are none, an example's password, no TLS, debug, an unknown name, what does not fit."""
    service = ground.stage.service
    foreign = "postgresql://tollgate_api:secretsecret@10.1.2.3/db?connect_timeout=1"
    bad = ground.stage.directory / "not-a-key-file"
    bad.write_text("nonsense")
    bad.chmod(0o600)
    wrong: tuple[tuple[str, dict[str, str | None], str], ...] = (
        ("api.serve", {"TOLLGATE_KEY_FILE": None}, "TOLLGATE_KEY_FILE"),
        ("worker", {"TOLLGATE_KEY_FILE": str(bad)}, "TOLLGATE_KEY_FILE"),
        ("api.serve", {"DATABASE_URL": None}, "DATABASE_URL"),
        ("api.serve", {"DATABASE_URL": foreign}, "sslmode"),
        ("api.serve", {"FLASK_DEBUG": "1"}, "FLASK_DEBUG"),
        ("api.serve", {"TOLLGATE_LEASE": "nonsense"}, "TOLLGATE_LEASE"),
        ("worker", {"TOLLGATE_NOT_FOUND_AFTER": "1"}, "TOLLGATE_NOT_FOUND_AFTER"),
        ("api.serve", {"TOLLGATE_NO_SUCH_SETTING": "1"}, "TOLLGATE_NO_SUCH_SETTING"),
        ("worker", {"DATABASE_URL": service.database_url}, "API's login"),
        ("api.serve", {"DATABASE_URL": service.owner_database_url}, "DATABASE_URL"),
    )
    for module, changes, word in wrong:
        _refused(ground, module, changes, word)


@contextlib.contextmanager
def _revision(ground: Ground, name: str) -> Iterator[None]:
    (kept,) = ground.stage.query("SELECT version_num FROM alembic_version")
    (oldest,) = ground.stage.query("SELECT oldest_program FROM installation")
    ground.stage.query("UPDATE alembic_version SET version_num = %s", name)
    # A newer schema says which programs may run on it: here none that we know.
    ground.stage.query("UPDATE installation SET oldest_program = %s", name if name > kept["version_num"] else "0004")
    try:
        yield
    finally:
        ground.stage.query("UPDATE alembic_version SET version_num = %s", kept["version_num"])
        ground.stage.query("UPDATE installation SET oldest_program = %s", oldest["oldest_program"])


def schema(ground: Ground) -> None:
    for name, word in (("0001", "tollgate migrate"), ("9999", "newer")):
        with _revision(ground, name):
            for module in ("api.serve", "worker"):
                _refused(ground, module, {}, word)


def eviction(ground: Ground) -> None:
    client = redis.Redis.from_url(ground.stage.service.redis_url)
    client.config_set("maxmemory-policy", "allkeys-lru")
    try:
        for module in ("api.serve", "worker"):
            _refused(ground, module, {}, "noeviction")
    finally:
        client.config_set("maxmemory-policy", "noeviction")
        client.close()


def modes(ground: Ground) -> None:
    """Test credentials for live payments, and live ones for test payments, are not taken."""
    merchant = parse_id("merchant", ground.stage.service.seeded.merchant)
    with owner_core(ground.stage) as core:
        for mode, key in (("live", "sk_test_"), ("test", "sk_live_")):
            credentials = {"secret_key": f"{key}{'0' * 24}", "publishable_key": f"pk{key[2:]}{'0' * 24}"}
            base = None if mode == "live" else ground.stage.service.sandbox_urls["stripe"]
            new = accounts.NewAccount(
                provider="stripe", name="wrong", credentials=credentials, webhook_secrets=["whsec_" + "0" * 24],
                api_base=base,
            )  # fmt: skip
            refused = None
            try:
                accounts.save_provider_account(core, Scope(merchant, mode), new, "cli:test")
            except RequestRefused as error:
                refused = error
            expect(refused is not None, f"{key}… was taken for {mode} mode")
            ground.hurt("config.mode")


def readiness(ground: Ground) -> None:
    """Red with a reason while Postgres is away, degraded without Redis, green again."""
    ground.proxy("postgres").refuse()
    try:
        red = ground.stage.request("GET", "/readyz")
        expect(red.status_code == 503 and "database" in red.text, f"{red.status_code} {red.text}")
        expect(red.headers.get("Retry-After"), "no Retry-After")
    finally:
        ground.proxy("postgres").heal()
    ground.proxy("redis").refuse()
    try:
        degraded = ground.stage.request("GET", "/readyz")
        expect(degraded.status_code == 200 and degraded.json()["status"] == "degraded", degraded.text)
    finally:
        ground.proxy("redis").heal()
    ground.since()
    ground.all_alive()


def skewed(ground: Ground) -> None:
    """A machine whose clock is two minutes off: neither process starts. Some seconds: they start, and it is told."""
    for seconds in ("120", "-120"):
        for module in ("api.serve", "worker"):
            _refused(ground, module, {"CHAOS_CLOCK": seconds}, "clock", "NTP")
    told = alerting.doctor(ground.stage, {"CHAOS_CLOCK": "120"})
    expect(told["Clock"] == "failed", f"doctor said {told['Clock']}")
    expect(alerting.doctor(ground.stage, {"CHAOS_CLOCK": "8"})["Clock"] == "warning", "8 s are worth no word")


CASES = (
    Case("40a", "config", "missing, wrong and unsafe settings", "refused with a sentence", 10, settings),
    Case("40b", "config", "schema older or newer than the program", "refused", 4, schema),
    Case("40c", "config", "Redis that may drop what it holds", "refused", 2, eviction),
    Case("40d", "config", "test keys in live mode, live in test", "refused", 2, modes),
    Case("40e", "config", "readiness while Postgres or Redis is away", "red, degraded, green", 2, readiness),
    Case("40f", "config", "a machine's clock that is off", "refused beyond 60 s, told beyond 5", 4, skewed),
)  # fmt: skip
