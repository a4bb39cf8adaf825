"""What `tollgate doctor` sees: connections that add up, lanes that nobody serves, brokers, starts, credentials."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest
import sqlalchemy as sa

from cli.checks import broker, connections, credentials, invariants, lanes, seals, start, words
from cli.checks.finding import Finding, Situation
from cli.databases import Databases
from cli.embedded import Embedded
from cli.ports import free_port
from cli.target import Target
from core.orchestration import sealing
from core.persistence.database import create_engine
from core.persistence.tables import provider_accounts
from core.persistence.vault import Place
from core.settings import Settings
from tests.support import databases
from tests.support.broker import Broker
from tests.support.worker import write_keys
from tests.support.world import World


@pytest.fixture
def situation(world: World, tmp_path: Path) -> Situation:
    logins = Databases(world.urls.owner, world.urls.api, world.urls.worker)
    keys = write_keys(world, tmp_path / "keys.json")
    target = Target(tmp_path, logins, world.settings.redis_url, keys, embedded=False)
    return Situation(tmp_path, {"PATH": os.defpath}, target)


def verdicts(findings: Iterator[Finding]) -> list[tuple[str, str]]:
    return [(finding.subject, finding.verdict) for finding in findings]


class TestConnections:
    FACTS = connections.Facts(most=100, reserved=3, others=1, leases=4)
    SETTINGS = Settings.model_validate({"DATABASE_URL": "postgresql://embedded"})

    def test_the_sum_is_shown(self) -> None:
        found = connections.add_up(self.SETTINGS, self.FACTS, servers=1, workers=2)
        assert found.verdict == "ok"
        assert found.detail.startswith("76 of 100: API 1 x 2 x 8, workers 2 x 23, people 10, ")

    def test_what_does_not_fit_names_the_numbers_that_would(self) -> None:
        found = connections.add_up(self.SETTINGS, self.FACTS, servers=2, workers=4)
        assert found.verdict == "warning"
        assert found.detail.startswith("138 of 100: ")
        assert "max_connections to 138" in found.advice
        assert "TOLLGATE_DATABASE_POOL to 10" in found.advice
        smaller = self.SETTINGS.model_copy(update={"database_pool": 10})
        assert connections.add_up(smaller, self.FACTS, servers=2, workers=4).verdict == "ok"

    def test_no_pool_helps_against_too_many_processes(self) -> None:
        found = connections.add_up(self.SETTINGS, self.FACTS, servers=10, workers=4)
        assert "TOLLGATE_DATABASE_POOL" not in found.advice

    def test_the_server_is_asked(self, situation: Situation, world: World) -> None:
        leases = create_engine(world.urls.worker, 4, "tollgate-leases")
        held = [leases.connect() for _ in range(4)]
        try:
            facts = connections._facts(world.urls.owner)
            assert facts.most == 300
            # Those of another login are seen, too.
            assert facts.leases >= 4
        finally:
            for connection in held:
                connection.close()
            leases.dispose()
        (found,) = connections.check(replace(situation, api_servers=50, workers=7))
        assert (found.verdict, "API 50 x 2 x 8, workers 7 x 23" in found.detail) == ("warning", True)


class TestLanes:
    def test_waiting_jobs_that_nobody_takes(self, situation: Situation, world: World) -> None:
        assert verdicts(lanes.check(situation)) == [("Lanes", "ok")]
        world.create()
        with world.owner.begin() as connection:
            connection.execute(
                sa.text("UPDATE jobs SET run_after = app_now() - interval '90 s' WHERE status = 'queued'")
            )
        (found,) = lanes.check(situation)
        assert found.verdict == "failed"
        assert found.detail.startswith("1 due jobs of payments wait, the oldest for 9")
        assert "-Q payments" in found.advice

    def test_a_lane_that_is_full(self, situation: Situation, world: World) -> None:
        world.create()
        with world.owner.begin() as connection:
            statement = (
                "UPDATE jobs SET status = 'running', worker = 'one', lease_until = app_now() + interval '1 h' "
                "WHERE id = (SELECT max(id::text)::uuid FROM jobs WHERE status = 'queued')"
            )
            connection.execute(sa.text(statement))
        (found,) = lanes.check(situation)
        assert (found.verdict, "1 run" in found.detail) == ("warning", True)


class TestWords:
    def test_unknown_ones_are_named_with_their_count(self, situation: Situation, world: World) -> None:
        assert verdicts(words.check(situation)) == [("Decline words", "ok")]
        with world.owner.begin() as connection:
            connection.execute(
                sa.text(
                    "INSERT INTO unknown_words (provider, kind, word, count) VALUES ('stripe', 'decline', 'odd', 7)"
                )
            )
        (found,) = words.check(situation)
        assert (found.verdict, found.detail) == ("warning", "1 unknown: stripe “odd” 7 times")


class TestBroker:
    def test_another_broker_is_looked_at(self, situation: Situation) -> None:
        other = Broker()
        try:
            named = replace(situation, environ={**situation.environ, "BROKER_URL": other.url})
            assert verdicts(broker.check(named))[-1] == ("Broker", "ok")
        finally:
            other.close()
        found = list(broker.check(named))[-1]
        assert (found.subject, found.verdict) == ("Broker", "failed")
        assert "BROKER_URL" in found.advice

    def test_rabbitmq_that_is_not_there(self, situation: Situation) -> None:
        url = f"amqp://tollgate:hunter2@127.0.0.1:{free_port()}//"
        found = list(broker.check(replace(situation, environ={**situation.environ, "BROKER_URL": url})))[-1]
        assert (found.subject, found.verdict) == ("Broker", "failed")
        assert "hunter2" not in found.detail

    def test_one_that_evicts(self, situation: Situation) -> None:
        evicting = Broker()
        try:
            evicting.client.config_set("maxmemory-policy", "allkeys-random")
            assert situation.target is not None
            target = replace(situation.target, redis_url=evicting.url)
            assert ("Redis eviction", "failed") in verdicts(broker.check(replace(situation, target=target)))
        finally:
            evicting.close()


def test_records_that_wait_too_long_for_their_seal(situation: Situation, world: World) -> None:
    world.create()
    sealing.seal(world.worker)
    assert verdicts(seals.check(situation)) == [("Audit seals", "ok")]
    world.create()
    world.advance(seals.LATE + 1)
    assert verdicts(seals.check(situation)) == [("Audit seals", "warning")]
    world.advance(seals.TOO_LATE)
    assert verdicts(seals.check(situation)) == [("Audit seals", "failed")]
    sealing.seal(world.worker)
    assert verdicts(seals.check(situation)) == [("Audit seals", "ok")]


def test_a_start_that_would_be_refused(situation: Situation) -> None:
    assert verdicts(start.check(situation)) == [("Start of api", "ok"), ("Start of worker", "ok")]
    assert situation.target is not None
    mixed = replace(situation.target.databases, api=situation.target.databases.worker)
    found = list(start.check(replace(situation, target=replace(situation.target, databases=mixed))))
    assert [(one.subject, one.verdict) for one in found] == [("Start of api", "failed"), ("Start of worker", "ok")]
    assert "the worker's login" in found[0].detail


class TestCredentials:
    def test_each_provider_names_the_account(self, situation: Situation, world: World) -> None:
        found = list(credentials.check(situation))
        assert [one.verdict for one in found] == ["ok"] * len(world.accounts)
        assert not any(secret in str(found) for secret in world.secrets.values())

    def test_a_live_key_in_test_mode(self, situation: Situation, world: World) -> None:
        # As after rows were moved by hand: saving refuses it.
        account_id, secret = world.accounts["stripe"], world.secrets["stripe"].replace("sk_test_", "sk_live_")
        with world.admin.database.unscoped() as connection:
            place = Place("provider_accounts", "credentials_sealed", account_id)
            sealed = world.vault.merchant_key(connection, world.scope).seal_json(place, {"secret_key": secret})
            named = provider_accounts.c.id == account_id
            connection.execute(provider_accounts.update().where(named).values(credentials_sealed=sealed))
        (found,) = [one for one in credentials.check(situation) if one.verdict != "ok"]
        assert found.verdict == "failed"
        assert "This is a live key of Stripe, but the account is for test mode" in found.detail
        assert secret not in str(found)


def test_an_empty_installation_has_nothing_to_check_yet(
    embedded: Embedded, template: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    name = f"test_{uuid4().hex}"
    database = databases.create(embedded, name, template)
    request.addfinalizer(lambda: databases.drop(embedded, name))
    addresses = Databases(database.owner, database.api, database.worker)
    target = Target(tmp_path, addresses, "", tmp_path / "keys.json", embedded=False)
    lines = {line.invariant: line for line in invariants.look(target, None, ())}
    assert {(lines[name].verdict, lines[name].note) for name in ("I1", "I2", "I3", "I4")} == {
        ("skipped", "nothing to check yet")
    }
    assert lines["I8"].verdict == "ok"
