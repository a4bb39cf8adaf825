"""Tollgate's own time in a payment: between the commit that accepted it and the commit that made it final, without
the provider's.

Postgres keeps the time of each commit (`track_commit_timestamp`), so both ends are exact and of one clock. The
provider's part is what the worker logged for the call: from the moment the client was asked until it had answered.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bench.end_to_end import Say, Step, describe, window
from bench.numbers import percentile
from bench.subjects import Ours
from core.domain.identifiers import parse_id

_TIMES = """
SELECT p.id, extract(epoch FROM pg_xact_commit_timestamp(p.xmin) - pg_xact_commit_timestamp(k.xmin)) * 1000
FROM payments p JOIN idempotency_keys k ON k.payment_id = p.id
WHERE p.created_at >= to_timestamp(%s) AND p.status = 'succeeded'
"""


def calls(logs: Path) -> dict[str, float]:
    """Milliseconds of the provider calls of each payment, from the workers' logs."""
    found: dict[str, float] = {}
    for log in sorted(logs.glob("worker-*.log*")):
        for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
            if '"provider_call"' in line and line.startswith("{"):
                entry = json.loads(line)
                key = str(parse_id("payment", entry["payment_id"]))
                found[key] = found.get(key, 0.0) + float(entry["duration_ms"])
    return found


def measure(ours: Ours, rate: float, say: Say, *, seconds: float) -> dict[str, Any]:
    begun = float(ours.stack.one("SELECT extract(epoch FROM clock_timestamp())"))
    step: Step = window(ours, rate, seconds)
    say(describe("tollgate at half load", step))
    spent = calls(ours.stack.directory / "logs")
    whole: dict[str, float] = {}
    for payment, milliseconds in ours.stack.sql(_TIMES, begun):
        if milliseconds is not None:
            whole[str(payment)] = float(milliseconds)
    own = sorted(value - spent[payment] for payment, value in whole.items() if payment in spent)
    nominal = sorted(value - ours.stack.latency_ms for value in whole.values())
    return {
        "rate": rate,
        "payments": len(own),
        "of": step.sent,
        "p50": percentile(own, 0.50),
        "p99": percentile(own, 0.99),
        "beyond_latency_p50": percentile(nominal, 0.50),
        "beyond_latency_p99": percentile(nominal, 0.99),
        "call_p50": percentile(sorted(spent[one] for one in whole if one in spent), 0.50),
        "post_p50": step.p50,
        "post_p99": step.p99,
        "cpu": step.cpu,
    }
