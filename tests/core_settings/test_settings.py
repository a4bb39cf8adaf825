"""Settings: read from the environment once, whole, and never shown with a password."""

from __future__ import annotations

import os
from itertools import pairwise

import pytest
from pydantic import ValidationError

from core.settings import Settings, load_settings

URL = "postgresql://tollgate_api:hunter2@127.0.0.1/tollgate"


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("TOLLGATE_") or name in ("DATABASE_URL", "REDIS_URL")]:
        monkeypatch.delenv(name)


def test_without_a_database_nothing_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValidationError, match="DATABASE_URL"):
        load_settings()
    monkeypatch.setenv("TOLLGATE_DATABASE_URL", URL)  # the address has the name every host knows, and no other
    with pytest.raises(ValidationError, match="DATABASE_URL"):
        load_settings()


def test_names_and_units(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {
        "DATABASE_URL": URL,
        "REDIS_URL": "rediss://redis.example/1",
        "TOLLGATE_LEASE": "7.5",
        "TOLLGATE_CLAIM_BATCH": "10",
        "TOLLGATE_SYNC_DELAYS": "1,2.5,60",
        "TOLLGATE_ALLOW_PRIVATE_WEBHOOK_TARGETS": "true",
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    settings = load_settings()
    assert (settings.database_url, settings.redis_url) == (URL, "rediss://redis.example/1")
    assert (settings.lease, settings.claim_batch, settings.sync_delays) == (7.5, 10, (1.0, 2.5, 60.0))
    assert settings.allow_private_webhook_targets


@pytest.mark.parametrize(
    ("name", "value"),
    [("LEASE", "soon"), ("CLAIM_BATCH", "1.5"), ("SYNC_DELAYS", "1,two"), ("ALLOW_PRIVATE_WEBHOOK_TARGETS", "perhaps")],
)
def test_what_cannot_be_read_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv("DATABASE_URL", URL)
    monkeypatch.setenv(f"TOLLGATE_{name}", value)
    with pytest.raises(ValidationError, match=name.lower()):
        load_settings()


def test_addresses_hold_passwords_and_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", URL)
    monkeypatch.setenv("REDIS_URL", "redis://:hunter2@127.0.0.1")
    settings = load_settings()
    assert "hunter2" not in repr(settings) + str(settings)


def test_nobody_changes_them_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", URL)
    settings = load_settings()
    with pytest.raises(ValidationError, match="frozen"):
        settings.lease = 1.0


class TestPromises:
    """Numbers that the design promises, and what has to hold between them."""

    @pytest.fixture
    def settings(self) -> Settings:
        return Settings.model_validate({"DATABASE_URL": URL})

    def test_leases(self, settings: Settings) -> None:
        assert (settings.lease, settings.lease_renewal) == (6, 2)
        assert settings.lease + 2 * settings.poll_interval < 10, "a dead worker's jobs are taken over within 10 s"

    def test_look_ups(self, settings: Settings) -> None:
        assert settings.lookup_delays == (5, 30, 120, 600, 3600, 21600)
        assert settings.not_found_after >= settings.provider_deadline + 10
        assert (settings.not_found_spacing, settings.refund_absent_spacing) == (60, 600)

    def test_pages(self, settings: Settings) -> None:
        assert (settings.redirect_ttl, settings.redirect_watch) == (86400, 7 * 86400)

    @pytest.mark.parametrize("name", ["lookup_delays", "retry_delays", "sync_delays", "delivery_delays"])
    def test_delays_grow(self, settings: Settings, name: str) -> None:
        delays = getattr(settings, name)
        assert all(before < after for before, after in pairwise(delays))
