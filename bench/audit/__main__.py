"""Run: `.venv/bin/python -m bench.audit` (or `make bench-audit`): seals and verifies on one core, Postgres included."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from bench.audit.measuring import measured
from cli.embedded import Embedded
from core.persistence.database import open_database
from core.persistence.migrate import migrate
from tests.support import databases

RESULTS = Path(__file__).resolve().parent.parent / "results"
#: What the issue asks: seconds for a million records on one core.
LONGEST = 60.0

#: Records as payments leave them, spread over their tables in the order of their numbers.
_FILL = """
INSERT INTO audit_log (id, merchant_id, mode, actor, action, subject_kind, subject_id, payment_id, from_status,
    to_status, cause, request_id, details, job_id)
SELECT gen_random_uuid(), '{merchant}', 'test', 'worker', 'payment.status_changed', 'payment', gen_random_uuid(),
    gen_random_uuid(), 'processing', 'succeeded', 'answer', 'req_01kb9t3zqnf0x8w6q2d5v7h4jm',
    jsonb_build_object('reference', 'job job_01kb9t3zqnf0x8w6q2d5v7h4jm', 'changed', ARRAY['amount_received', 'fee']),
    gen_random_uuid()
FROM generate_series(1, {count})
"""


def say(text: str) -> None:
    print(f"{datetime.now(UTC):%H:%M:%S} {text}", flush=True)


def run(servers: Embedded, template: str, count: int) -> list[dict[str, Any]]:
    urls = databases.create(servers, f"bench_{uuid4().hex}", template)
    owner = open_database(urls.owner, 2, "bench")
    merchant = uuid4()
    for _ in range(max(1, count // 50_000)):
        with owner.unscoped() as connection:
            connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
            connection.exec_driver_sql(_FILL.format(merchant=merchant, count=min(count, 50_000)).replace("%", "%%"))
    with owner.engine.connect() as connection:
        connection.exec_driver_sql("VACUUM ANALYZE audit_log")
    owner.engine.dispose()
    rows = []
    for what in ("seal", "verify"):
        here, there = multiprocessing.Pipe()
        url = urls.worker if what == "seal" else urls.owner
        process = multiprocessing.get_context("spawn").Process(target=measured, args=(url, what, count, there))
        process.start()
        there.close()
        rows.append(here.recv())
        process.join()
        say(json.dumps(rows[-1]))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.audit")
    parser.add_argument("--records", type=int, nargs="+", default=[100_000, 1_000_000])
    sizes = parser.parse_args().records
    # Whatever is started from here shares the one core: Postgres, too.
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory() as folder:
        servers = Embedded(Path(folder), temporary=True)
        servers.start()
        try:
            made = databases.create(servers, "template_bench")
            migrate(made.owner, made.api, made.worker)
            rows = [row for count in sizes for row in run(servers, "template_bench", count)]
        finally:
            servers.stop()
    RESULTS.mkdir(exist_ok=True)
    told = {"machine": platform.processor() or platform.machine(), "cores": 1, "rows": rows}
    (RESULTS / "audit.json").write_text(json.dumps(told, indent=1) + "\n")
    slow = [row for row in rows if row["what"] == "verify" and row["seconds"] > LONGEST * row["records"] / 1_000_000]
    for row in slow:
        say(f"too slow: {row}")
    raise SystemExit(1 if slow else 0)


if __name__ == "__main__":
    main()
