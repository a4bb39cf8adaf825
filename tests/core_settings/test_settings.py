"""Settings: read from the environment once, whole, and never shown with a password."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from pydantic import ValidationError

from core.environment import ELSEWHERE, WrongSettings, variables
from core.settings import Settings, load_settings

URL = "postgresql://tollgate_api:hunter2@127.0.0.1/tollgate"


def refusal(**environ: str) -> list[str]:
    """The lines of what the environment is refused with."""
    with pytest.raises(WrongSettings) as caught:
        load_settings({"DATABASE_URL": URL, **environ})
    return [line.strip() for line in str(caught.value).splitlines()[1:]]


def test_without_a_database_nothing_starts() -> None:
    with pytest.raises(WrongSettings, match="DATABASE_URL: is not set"):
        load_settings({})
    with pytest.raises(
        WrongSettings, match="TOLLGATE_DATABASE_URL: there is no such setting; did you mean DATABASE_URL"
    ):
        load_settings({"TOLLGATE_DATABASE_URL": URL})  # the address has the name every host knows, and no other


def test_names_and_units() -> None:
    settings = load_settings(
        {
            "DATABASE_URL": URL,
            "REDIS_URL": "rediss://redis.example/1",
            "TOLLGATE_LEASE": "7.5",
            "TOLLGATE_CLAIM_BATCH": "10",
            "TOLLGATE_SYNC_DELAYS": "1,2.5,60",
            "TOLLGATE_ALLOW_PRIVATE_WEBHOOK_TARGETS": "true",
            "TOLLGATE_LOG_LEVEL": "warning",
            "TOLLGATE_RATE_LIMIT": "",  # as a compose file passes on what is not set
        }
    )
    assert (settings.database_url, settings.redis_url) == (URL, "rediss://redis.example/1")
    assert (settings.lease, settings.claim_batch, settings.sync_delays) == (7.5, 10, (1.0, 2.5, 60.0))
    assert (settings.allow_private_webhook_targets, settings.log_level) == (True, "WARNING")
    assert (settings.rate_limit, settings.route_rate_limit) == ("100/second,200",) * 2
    assert settings.merchant_rate_limit == "200/second,400"


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("TOLLGATE_LEASE", "soon", "valid number"),
        ("TOLLGATE_LEASE", "inf", "finite"),
        ("TOLLGATE_CLAIM_BATCH", "1.5", "valid integer"),
        ("TOLLGATE_DATABASE_POOL", "0", "greater than or equal to 2"),
        ("TOLLGATE_API_THREADS", "0", "greater than or equal to 1"),
        ("TOLLGATE_PROVIDER_DEADLINE", "-1", "greater than 0"),
        ("TOLLGATE_SYNC_DELAYS", "1,two", "such as 5,30,120"),
        ("TOLLGATE_SYNC_DELAYS", ",", "such as 5,30,120"),
        ("TOLLGATE_RETRY_DELAYS", "1,0", "above 0"),
        ("TOLLGATE_RETRY_DELAYS", "1,inf", "at most"),
        ("TOLLGATE_LOOKUP_DELAYS", "30,5", "shorter than the one before"),
        ("TOLLGATE_RATE_LIMIT", "many", "such as 100/second"),
        ("TOLLGATE_LOG_LEVEL", "LOUD", "'DEBUG'"),
        ("TOLLGATE_ALLOW_PRIVATE_WEBHOOK_TARGETS", "perhaps", "valid boolean"),
        ("DATABASE_URL", "mysql://root@127.0.0.1/x", "postgresql://"),
        ("REDIS_URL", "127.0.0.1:6379", "rediss://"),
        ("BROKER_URL", "kafka://127.0.0.1", "amqps://"),
    ],
)
def test_what_cannot_be_used_is_named(name: str, value: str, said: str) -> None:
    lines = [line for line in refusal(**{name: value}) if line.startswith(f"{name}: ")]
    assert len(lines) == 1
    assert said in lines[0]


def test_all_that_is_wrong_is_said_at_once() -> None:
    found = refusal(TOLLGATE_LEASE="long", TOLLGATE_API_THREADS="none", TOLLGATE_LEESE="3", REDIS_URL="redis//x")
    assert [line.partition(":")[0] for line in found] == [
        "TOLLGATE_LEESE",
        "REDIS_URL",
        "TOLLGATE_API_THREADS",
        "TOLLGATE_LEASE",
    ]


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"TOLLGATE_LEASE": "4"}, "TOLLGATE_LEASE_RENEWAL"),
        ({"TOLLGATE_PROVIDER_DEADLINE": "31"}, "TOLLGATE_NOT_FOUND_AFTER"),
        ({"TOLLGATE_LEASE": "11"}, "TOLLGATE_NOT_FOUND_AFTER"),
        ({"TOLLGATE_PROVIDER_CONNECT_TIMEOUT": "31"}, "TOLLGATE_PROVIDER_CONNECT_TIMEOUT"),
    ],
)
def test_what_does_not_fit_together_is_named(changed: dict[str, str], named: str) -> None:
    (line,) = refusal(**changed)
    assert line.startswith(named)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("TOLLGATE_LEASES", "TOLLGATE_LEASE"), ("TOLLGATE_API_THREAD", "TOLLGATE_API_THREADS"),
     ("TOLLGATE_REDIS_URL", "REDIS_URL"), ("tollgate_loglevel", "TOLLGATE_LOG_LEVEL")],
)  # fmt: skip
def test_a_mistyped_name_is_refused_with_the_nearest_right_one(typed: str, meant: str) -> None:
    assert refusal(**{typed: "1"}) == [f"{typed}: there is no such setting; did you mean {meant}?"]


def test_names_of_others_are_left_alone() -> None:
    others = dict.fromkeys(ELSEWHERE, "x") | {
        # What Kubernetes sets in every container when a service is called tollgate or tollgate-api.
        "TOLLGATE_PORT": "tcp://10.0.0.1:80",
        "TOLLGATE_PORT_80_TCP_ADDR": "10.0.0.1",
        "TOLLGATE_API_SERVICE_HOST": "10.0.0.1",
        "TOLLGATE_API_SERVICE_PORT_HTTP": "80",
    }
    assert load_settings({"DATABASE_URL": URL, **others}).lease == 6


def test_addresses_hold_passwords_and_are_not_shown() -> None:
    addresses = {"REDIS_URL": "redis://:hunter2@127.0.0.1", "BROKER_URL": "amqp://a:hunter2@127.0.0.1//"}
    settings = load_settings({"DATABASE_URL": URL, **addresses})
    assert "hunter2" not in repr(settings) + str(settings)


@pytest.mark.parametrize("name", sorted(name for name in variables(Settings) if not name.endswith("_FILE")))
def test_no_refusal_shows_what_was_given(name: str) -> None:
    with pytest.raises(WrongSettings, match=name) as caught:
        load_settings({"DATABASE_URL": URL, name: "hunter2://hunter2:hunter2@hunter2:hunter2"})
    assert "hunter2" not in str(caught.value)


def test_the_broker_is_redis_unless_another_is_named() -> None:
    given = {"DATABASE_URL": URL, "REDIS_URL": "redis://127.0.0.1:7000/3"}
    assert load_settings(given).broker_url == "redis://127.0.0.1:7000/3"
    assert load_settings({**given, "BROKER_URL": "amqp://127.0.0.1//"}).broker_url == "amqp://127.0.0.1//"


def test_every_client_of_redis_is_told_whom_to_trust() -> None:
    given = {"DATABASE_URL": URL, "TOLLGATE_REDIS_CA_FILE": "/etc/our ca.pem"}
    settings = load_settings({**given, "REDIS_URL": "rediss://a:6390/0"})
    assert settings.redis_url == settings.broker_url == "rediss://a:6390/0?ssl_ca_certs=/etc/our%20ca.pem"
    named = "rediss://a:6390/0?ssl_ca_certs=/other.pem"
    assert load_settings({**given, "REDIS_URL": named}).redis_url == named
    assert load_settings({**given, "REDIS_URL": "redis://a:6390/0"}).redis_url == "redis://a:6390/0"


def test_nobody_changes_them_later() -> None:
    settings = load_settings({"DATABASE_URL": URL})
    with pytest.raises(ValidationError, match="frozen"):
        settings.lease = 1.0  # type: ignore[misc]


def test_every_setting_says_its_reason() -> None:
    assert [
        name for name, field in Settings.model_fields.items() if not re.search(r"\w \w", field.description or "")
    ] == []


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
        assert settings.not_found_after >= settings.provider_deadline + max(10, settings.lease)
        assert (settings.not_found_spacing, settings.refund_absent_spacing) == (60, 600)

    def test_pages(self, settings: Settings) -> None:
        assert (settings.redirect_ttl, settings.redirect_watch) == (86400, 7 * 86400)

    def test_a_frozen_account_leaves_places_free(self, settings: Settings) -> None:
        assert settings.calls_per_account < settings.executor_threads

    @pytest.mark.parametrize("name", ["lookup_delays", "retry_delays", "sync_delays", "delivery_delays"])
    def test_delays_grow(self, settings: Settings, name: str) -> None:
        delays = getattr(settings, name)
        assert all(before < after for before, after in pairwise(delays))
