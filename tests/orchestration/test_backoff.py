"""What was put back together comes back apart, and never early."""

from __future__ import annotations

import subprocess
import sys

import pytest

from core.orchestration import backoff, jobs
from core.orchestration.context import Core
from tests.support.bench import Bench
from tests.support.databases import Urls

#: A process of the product has this, whatever the tests set.
SPREAD = 0.2
DELAY = 100.0


def test_the_product_spreads_by_a_fifth() -> None:
    program = "from core.orchestration import backoff; print(backoff.SPREAD)"
    assert float(subprocess.check_output([sys.executable, "-c", program], text=True)) == SPREAD


@pytest.mark.usefixtures("spreading")
class TestSpread:
    @pytest.fixture
    def spreading(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(backoff, "SPREAD", SPREAD)

    def test_never_shorter_and_at_most_a_fifth_longer(self) -> None:
        found = [backoff.spread(DELAY) for _ in range(1000)]
        assert DELAY <= min(found) < DELAY * 1.02
        assert DELAY * 1.18 < max(found) <= DELAY * (1 + SPREAD)
        assert backoff.spread(0.0) == 0.0

    def test_jobs_put_back_together_come_back_apart(self, database: Urls) -> None:
        bench = Bench(database)

        def put_back(core: Core, job: jobs.Job) -> None:
            with core.transaction(job.scope) as connection:
                jobs.requeue(connection, job, DELAY)

        try:
            bench.add(20)
            taken = jobs.claim(bench.core.database, "payments", 20, "w", 60.0)
            for job in taken:
                put_back(bench.core, job)
            rows = bench.sql(
                "SELECT extract(epoch FROM run_after - app_now()) AS wait FROM jobs WHERE status = 'queued'"
            )
            waits = sorted(float(row["wait"]) for row in rows)
        finally:
            bench.close()
        assert len(waits) == 20
        assert waits[0] > DELAY * 0.9
        assert waits[-1] - waits[0] > DELAY * SPREAD / 4
