"""Where the time of a payment goes: `python -m bench --profile`.

Two looks at a light load: which statements reach Postgres and how long each takes there, and in which parts of the code
the workers and the API spend their processor time. Both slow down what they watch: shares count, not sums.
"""

from __future__ import annotations

import json
import re
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bench import generator
from bench.end_to_end import Say, wait_for
from bench.generator import ROOT
from bench.stack import Stack
from bench.subjects import Ours

RATE, SECONDS = 30.0, 8.0

#: The first that fits names the part. Paths of packages, then of ours.
PARTS = (
    ("sqlalchemy", "SQLAlchemy"),
    ("psycopg2", "psycopg2"),
    ("stripe", "stripe package"),
    ("urllib3", "HTTP to the provider"),
    ("http/client", "HTTP to the provider"),
    ("email/", "HTTP to the provider"),
    ("core/providers", "core/providers"),
    ("pydantic", "pydantic"),
    ("flask", "Flask and Werkzeug"),
    ("werkzeug", "Flask and Werkzeug"),
    ("structlog", "logging"),
    ("logging/", "logging"),
    ("cryptography", "encryption"),
    ("core/persistence/vault", "encryption"),
    ("kombu", "Celery and kombu"),
    ("celery", "Celery and kombu"),
    ("redis", "redis client"),
    ("api/limits", "limits"),
    ("api/buckets", "limits"),
    ("json/", "JSON"),
    ("core/persistence", "core/persistence"),
    ("core/orchestration", "core/orchestration"),
    ("core/", "core, the rest"),
    ("workers/", "workers"),
    ("api/", "api"),
)
BUILTIN = (("psycopg2", "psycopg2"), ("_sqlalchemy", "SQLAlchemy"), ("socket", "sockets"), ("_json", "JSON"))

_DURATION = re.compile(r"^(?P<who>[^|]*)\|LOG: +duration: (?P<ms>[0-9.]+) ms  statement: (?P<text>.*)$")
_LITERALS = (
    (re.compile(r"'(?:[^']|'')*'(?:::\w+(?:\[\])?)?"), "?"),
    (re.compile(r"\b\d+(?:\.\d+)?\b"), "?"),
    (re.compile(r"\s+"), " "),
    (re.compile(r"(?:ARRAY\[[^\]]*\]|\(\?(?:, \?)+\))(?:, \(\?(?:, \?)+\))*"), "(…)"),
)


def run(say: Say) -> str:
    """Markdown of both looks."""
    with tempfile.TemporaryDirectory(prefix="tollgate-profile-") as folder:
        env = {"PYTHONPATH": str(ROOT / "bench" / "hook"), "BENCH_PROFILE": folder}
        with Stack() as stack:
            say("statements: a light load with Postgres' log of all statements")
            ours = Ours(stack)
            ours.start()
            statements = _statements(ours)
        with Stack(env) as stack:
            say("code: the same load under cProfile")
            ours = Ours(stack)
            ours.start()
            _load(ours)
            code = _code(Path(folder))
    return f"{statements}\n\n{code}\n"


def _load(ours: Ours) -> int:
    generator.run(ours.url, ours.payments(30), seconds=1.0, rate=RATE)
    wait_for(ours.settled)
    report = generator.run(ours.url, ours.payments(int(RATE * SECONDS) + 1), seconds=SECONDS, rate=RATE)
    wait_for(ours.settled)
    time.sleep(1.5)  # what the hook writes comes every second
    return report.good


def _statements(ours: Ours) -> str:
    stack = ours.stack
    generator.run(ours.url, ours.payments(60), seconds=2.0, rate=RATE)
    wait_for(ours.settled)
    for setting in ("log_min_duration_statement = 0", "log_line_prefix = '%a|'"):
        stack.sql(f"ALTER SYSTEM SET {setting}", superuser=True)
    stack.sql("SELECT pg_reload_conf()", superuser=True)
    time.sleep(0.5)
    log = stack.directory / "logs" / "postgres.log"
    start = log.stat().st_size
    tables = _tables(stack)
    report = generator.run(ours.url, ours.payments(int(RATE * SECONDS) + 1), seconds=SECONDS, rate=RATE)
    time.sleep(2.0)
    with log.open("rb") as file:
        file.seek(start)
        lines = file.read().decode(errors="replace").splitlines()
    changed = {name: values - tables.get(name, 0) for name, values in _tables(stack).items()}
    return _shown_statements(lines, report.good) + "\n\n" + _shown_tables(changed, report.good)


def _tables(stack: Stack) -> dict[str, int]:
    """Rows read by scans of whole tables, of all time."""
    found = stack.sql("SELECT relname, coalesce(seq_tup_read, 0) FROM pg_stat_user_tables")
    return {name: int(read) for name, read in found}


def _shown_tables(read: dict[str, int], payments: int) -> str:
    most = sorted(read.items(), key=lambda item: -item[1])[:8]
    shown = ", ".join(f"{name} {rows / payments:.1f}" for name, rows in most if rows)
    return f"Rows read a payment by scans of whole tables (the looks of the bench among them): {shown or 'none'}."


def normal(text: str) -> str:
    """A statement without its values."""
    for pattern, instead in _LITERALS:
        text = pattern.sub(instead, text)
    return text.strip()


def _shown_statements(lines: Iterable[str], payments: int) -> str:
    sums: dict[tuple[str, str], list[float]] = defaultdict(lambda: [0, 0.0])
    whole: list[str] = []
    for line in lines:
        # A statement over several lines goes on with a tab.
        if line.startswith("\t") and whole:
            whole[-1] += " " + line.strip()
        else:
            whole.append(line)
    for line in whole:
        if match := _DURATION.match(line):
            found = sums[(match["who"], normal(match["text"]))]
            found[0] += 1
            found[1] += float(match["ms"])
    by_who: dict[str, list[float]] = defaultdict(lambda: [0, 0.0])
    for (who, _), (count, spent) in sums.items():
        by_who[who][0] += count
        by_who[who][1] += spent
    text = ["Statements that reach Postgres, a payment (at a light load; `COMMIT` waits for the disk):", ""]
    text += ["| from | statements | ms |", "| --- | --- | --- |"]
    text += [
        f"| {who or 'other'} | {count / payments:.1f} | {spent / payments:.2f} |"
        for who, (count, spent) in by_who.items()
    ]
    text += ["", "| from | statement | times | ms each | ms a payment |", "| --- | --- | --- | --- | --- |"]
    for (who, words), (count, spent) in sorted(sums.items(), key=lambda item: -item[1][1])[:40]:
        shown = words[:150].replace("|", "\\|")
        text.append(f"| {who} | `{shown}` | {count / payments:.2f} | {spent / count:.2f} | {spent / payments:.2f} |")
    return "\n".join(text)


def part_of(path: str, name: str) -> str:
    """The part of the system that a function belongs to."""
    for fragment, part in PARTS if path else BUILTIN:
        if fragment in (path or name):
            return part
    return "built in" if not path else "standard library and the rest"


def _code(folder: Path) -> str:
    kinds: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for file in folder.glob("*.json"):
        found = json.loads(file.read_text())
        if found["units"] and not {"beat", "sandbox"} & set(found["argv"]):
            kinds["workers" if "worker" in found["argv"] else "api"].append(found)
    return "\n\n".join(_shown_code(kind, found) for kind, found in sorted(kinds.items()))


def _shown_code(kind: str, processes: list[dict[str, Any]]) -> str:
    parts: dict[str, float] = defaultdict(float)
    functions: dict[tuple[str, str], list[float]] = defaultdict(lambda: [0, 0.0])
    for process in processes:
        for path, name, calls, own, _ in process["stats"]:
            # Of a path only what lies below the packages or the tree counts, not where the tree lies.
            short = path.split("site-packages/")[-1].removeprefix(f"{ROOT}/").split("python3.11/")[-1]
            parts[part_of(short, name)] += own
            functions[(short, name)][0] += calls
            functions[(short, name)][1] += own
    whole = sum(parts.values()) or 1.0
    text = [f"Processor time in the {kind}, {whole:.1f} s under the profiler:", "", "| part | share |", "| --- | --- |"]
    text += [f"| {part} | {spent / whole:.0%} |" for part, spent in sorted(parts.items(), key=lambda item: -item[1])]
    text += ["", "| function | calls | share |", "| --- | --- | --- |"]
    for (path, name), (calls, own) in sorted(functions.items(), key=lambda item: -item[1][1])[:25]:
        text.append(f"| `{path} {name}` | {calls:.0f} | {own / whole:.1%} |")
    return "\n".join(text)
