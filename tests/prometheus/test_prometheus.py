"""The real Prometheus over the whole service: it reads our rules, reads every process, and its alerts fire."""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg2
import pytest
import requests
import yaml

from cli.ports import free_port
from cli.service import Service
from tests.support.alerts import ALERTS, EVERY, FILE
from tests.support.databases import plain
from tests.support.promql import Scrape, scrape
from tests.support.waiting import wait_until

DEPLOY = FILE.parent
TOKEN = "0123456789abcdef-of-monitoring"
SERIES = frozenset({"job", "instance", "__name__"})


def tool(*arguments: str) -> str:
    ended = subprocess.run(["promtool", *arguments], capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def test_promtool_accepts_what_is_shipped(tmp_path: Path) -> None:
    assert f"{len(ALERTS)} rules found" in tool("check", "rules", str(FILE))
    for name in ("alerts.yml", "prometheus.yml"):
        shutil.copy(DEPLOY / name, tmp_path)
    text = (tmp_path / "prometheus.yml").read_text()
    (tmp_path / "token").write_text(TOKEN)
    (tmp_path / "prometheus.yml").write_text(text.replace("/tmp/token", str(tmp_path / "token")))
    assert "SUCCESS" in tool("check", "config", str(tmp_path / "prometheus.yml"))


class Prometheus:
    """One that looks every second, with our rules but without their waiting times."""

    def __init__(self, directory: Path, target: str) -> None:
        rules = yaml.safe_load(FILE.read_text())
        for group in rules["groups"]:
            for rule in group["rules"]:
                rule.pop("for", None)
        (directory / "alerts.yml").write_text(yaml.safe_dump(rules))
        (directory / "token").write_text(TOKEN)
        job = {
            "job_name": "tollgate-api",
            "authorization": {"credentials_file": str(directory / "token")},
            "static_configs": [{"targets": [target]}],
        }
        config = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": ["alerts.yml"],
            "scrape_configs": [job],
        }
        (directory / "prometheus.yml").write_text(yaml.safe_dump(config))
        self.url = f"http://127.0.0.1:{free_port()}"
        argv = [
            "prometheus",
            f"--config.file={directory / 'prometheus.yml'}",
            f"--storage.tsdb.path={directory / 'tsdb'}",
        ]
        argv.append(f"--web.listen-address={self.url.removeprefix('http://')}")
        self._log = (directory / "prometheus.log").open("wb")
        self.process = subprocess.Popen(argv, stdout=self._log, stderr=self._log)
        wait_until(self._ready, "Prometheus to be ready", 30, every=0.2)

    def _ready(self) -> bool:
        try:
            return requests.get(f"{self.url}/-/ready", timeout=5).ok
        except requests.ConnectionError:
            return False

    def firing(self) -> set[str]:
        told = requests.get(f"{self.url}/api/v1/alerts", timeout=10).json()["data"]["alerts"]
        return {one["labels"]["alertname"] for one in told if one["state"] == "firing"}

    def ask(self, query: str) -> list[dict[str, Any]]:
        answer = requests.get(f"{self.url}/api/v1/query", params={"query": query}, timeout=10).json()
        assert answer["status"] == "success", answer
        found: list[dict[str, Any]] = answer["data"]["result"]
        return found

    def close(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(20)
        self._log.close()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    env = {"TOLLGATE_METRICS_TOKEN": TOKEN}
    with Service(tmp_path_factory.mktemp("service"), workers=1, temporary=True, env=env) as made:
        yield made


@pytest.fixture(scope="module")
def prometheus(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    made = Prometheus(tmp_path_factory.mktemp("prometheus"), service.api_url.removeprefix("http://"))
    wait_until(lambda: made.ask("up == 1"), "the first scrape", 30, every=0.2)
    yield made
    made.close()


def pay(service: Service) -> None:
    body = {
        "amount": 5000,
        "currency": "USD",
        "payment_method": {"type": "token", "token": "pm_card_visa"},
        "return_url": "https://shop.example/back",
    }
    headers = {"Authorization": f"Bearer {service.test_key}", "Idempotency-Key": str(uuid4())}
    assert requests.post(f"{service.api_url}/v1/payments", json=body, headers=headers, timeout=20).status_code == 202


def query(service: Service, sql: str) -> None:
    connection = psycopg2.connect(plain(service.owner_database_url))
    with connection, connection.cursor() as cursor:
        cursor.execute(sql)
    connection.close()


def shown(service: Service) -> str:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    answer = requests.get(f"{service.api_url}/metrics", headers=headers, timeout=10)
    assert answer.status_code == 200
    return answer.text


def test_nothing_fires_while_all_is_well_and_workers_are_read_through_the_api(
    service: Service, prometheus: Prometheus
) -> None:
    pay(service)
    wait_until(
        lambda: prometheus.ask('tollgate_provider_calls_total{outcome="Succeeded"} > 0'),
        "a call of a worker",
        30,
        every=0.2,
    )
    wait_until(lambda: prometheus.ask('tollgate_schedule_age_seconds{schedule="sweep"}'), "a sweep", 30, every=0.2)
    assert prometheus.firing() == set()
    assert prometheus.ask('tollgate_pool_connections{pool="tollgate-worker"}')
    assert requests.get(f"{service.api_url}/metrics", timeout=10).status_code == 401


@pytest.mark.parametrize("name", list(ALERTS))
def test_our_own_evaluator_agrees(service: Service, prometheus: Prometheus, name: str) -> None:
    """Each expression, as far as one moment shows it, over the same scrape."""
    text = shown(service)
    scrapes = [Scrape(number * EVERY, scrape(0, text).samples) for number in range(3)]
    ours = {frozenset(pair for pair in labels if pair[0] not in SERIES) for labels in ALERTS[name].query(scrapes, 30)}
    theirs = {
        frozenset((label, value) for label, value in one["metric"].items() if label not in SERIES)
        for one in prometheus.ask(ALERTS[name].text)
    }
    assert ours == theirs


def test_alerts_fire_when_it_happens_and_end_with_it(service: Service, prometheus: Prometheus) -> None:
    def fires(name: str) -> None:
        wait_until(lambda: name in prometheus.firing(), f"{name} to fire", 60, every=0.3)

    service.stop_child("redis")
    fires("TollgateRedisAway")
    service.start_child("redis")
    service.stop_child("worker-1")
    pay(service)
    fires("TollgatePaymentsWait")
    query(service, "UPDATE app_clock SET shift = shift + interval '130 s'")
    fires("TollgateSweepLate")
    fires("TollgateBeatAway")
    query(service, "SELECT pause_installation('the disk was lost')")
    fires("TollgatePaused")
    query(service, "UPDATE installation SET paused_at = NULL, paused_because = NULL")
    service.start_child("worker-1")
    ended = {"TollgateRedisAway", "TollgatePaymentsWait", "TollgateSweepLate", "TollgateBeatAway", "TollgatePaused"}
    wait_until(lambda: not ended & prometheus.firing(), "all of them to end", 60, every=0.3)
    service.stop_child("postgres")
    fires("TollgateDatabaseAway")
    service.start_child("postgres")
    service.stop_child("api")
    fires("TollgateApiAway")
    service.start_child("api")
