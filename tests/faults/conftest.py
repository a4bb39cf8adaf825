"""The whole service as `tollgate up` starts it, to be hurt."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import psycopg2
import psycopg2.extras
import pytest
import requests

from cli.service import Service
from core.domain.identifiers import parse_id
from tests.support.databases import plain
from tests.support.waiting import wait_until

FINAL = ("succeeded", "failed", "canceled")


class Patient:
    """A running service and what one needs to see of it."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.reports: list[tuple[str, dict[str, Any]]] = []

    def query(self, sql: str, *values: Any) -> list[dict[str, Any]]:
        connection = psycopg2.connect(plain(self.service.owner_database_url))
        try:
            with connection.cursor(cursor_factory=psycopg2.extras.RealDictCursor) as cursor:
                cursor.execute(sql, values)
                return [dict(row) for row in cursor.fetchall()]
        finally:
            connection.close()

    def sandbox(self, **settings: Any) -> None:
        for url in self.service.sandbox_urls.values():
            requests.post(f"{url}/_sandbox/settings", json=settings, timeout=10).raise_for_status()

    def open_count(self, payments: list[str]) -> int:
        ids = [str(parse_id("payment", one)) for one in payments]
        found = self.query(
            "SELECT count(*) AS n FROM payments WHERE id = ANY(%s::uuid[]) AND status <> ALL(%s)", ids, list(FINAL)
        )
        return int(found[0]["n"])

    def open_jobs(self) -> int:
        query = "SELECT count(*) AS n FROM jobs WHERE lane = 'payments' AND status IN ('queued', 'running')"
        return int(self.query(query)[0]["n"])

    def lease_losses(self) -> int:
        return int(self.query("SELECT coalesce(sum(lease_losses), 0) AS n FROM jobs")[0]["n"])

    def oldest_waiting(self) -> float:
        """Seconds the longest-waiting due payment job has been due."""
        found = self.query(
            "SELECT coalesce(max(extract(epoch FROM app_now() - run_after)), 0) AS age FROM jobs "
            "WHERE lane = 'payments' AND status = 'queued' AND run_after <= app_now()"
        )
        return float(found[0]["age"])

    def assert_ended_once(self, payments: list[str], seconds: float) -> None:
        """Every accepted payment succeeded, and the provider holds exactly one charge for each."""
        wait_until(lambda: self.open_count(payments) == 0, "every payment to end", seconds, every=0.2)
        charges: dict[str, int] = {}
        url = self.service.sandbox_urls["stripe"]
        for one in requests.get(f"{url}/_sandbox/ledger", timeout=30).json()["charges"]:
            mark = (one["metadata"] or {}).get("tollgate_payment")
            if one["status"] == "succeeded":
                charges[mark] = charges.get(mark, 0) + 1
        wrong = {payment: charges.get(payment, 0) for payment in payments if charges.get(payment, 0) != 1}
        assert wrong == {}
        ids = [str(parse_id("payment", one)) for one in payments]
        statuses = self.query("SELECT status, count(*) AS n FROM payments WHERE id = ANY(%s::uuid[]) GROUP BY 1", ids)
        assert [(row["status"], row["n"]) for row in statuses] == [("succeeded", len(payments))]


def as_uuid(payment: str) -> UUID:
    return parse_id("payment", payment)


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Patient]:
    found: list[Patient] = []

    def report(event: str, details: dict[str, Any]) -> None:
        if found:
            found[0].reports.append((event, details))

    service = Service(tmp_path_factory.mktemp("faults"), workers=2, report=report, temporary=True)
    service.start()
    made = Patient(service)
    found.append(made)
    made.sandbox(rate_limit=0, rate_limit_total=0)
    connection = psycopg2.connect(plain(service.owner_database_url))
    with connection, connection.cursor() as cursor:
        pacing = '{"pacing": {"per_operation": 1000, "total": 1000}}'
        cursor.execute("UPDATE provider_accounts SET settings = %s", (pacing,))
    connection.close()
    yield made
    service.stop()
