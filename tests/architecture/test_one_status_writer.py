"""Only `status_manager.py` writes a status of money, only `jobs.py` one of a job: read from the code itself."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MONEY = frozenset({"payments", "transactions", "refunds", "disputes"})
WRITERS = {"core/orchestration/status_manager.py": MONEY, "core/orchestration/jobs.py": frozenset({"jobs"})}
SQL_WRITE = re.compile(
    r"(?:UPDATE\s+|INSERT\s+INTO\s+)(payments|transactions|refunds|disputes|jobs)\b(.*)", re.I | re.S
)


def _sources() -> list[Path]:
    folders = ("api", "core", "workers", "cli")
    return [path for folder in folders for path in (ROOT / folder).rglob("*.py") if "migrations" not in path.parts]


def _called_on(call: ast.Call) -> str | None:
    """The table a Core statement is built on: `payments.update().where(…).values(…)` -> payments."""
    node: ast.expr = call.func
    while True:
        if isinstance(node, ast.Attribute):
            if node.attr in ("update", "insert"):
                return ast.unparse(node.value)
            node = node.value
        elif isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name) and node.func.id in ("insert", "update") and node.args:
                return ast.unparse(node.args[0])
            node = node.func
        else:
            return None


def _writes(source: str) -> Iterator[tuple[str, int]]:
    """(table, line) of every statement in the source that sets a status."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "values":
            table = _called_on(node)
            if table and any(keyword.arg == "status" for keyword in node.keywords):
                yield table.rpartition(".")[2], node.lineno
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            found = SQL_WRITE.search(node.value)
            if found and re.search(r"\bstatus\b", found.group(2).split("WHERE")[0], re.I):
                yield found.group(1).lower(), node.lineno


@pytest.mark.parametrize("path", _sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_status_is_written_in_one_place(path: Path) -> None:
    name = str(path.relative_to(ROOT))
    allowed = WRITERS.get(name, frozenset())
    guarded = MONEY | {"jobs"}
    found = [(table, line) for table, line in _writes(path.read_text()) if table in guarded and table not in allowed]
    assert found == []


@pytest.mark.parametrize(
    "source",
    [
        "connection.execute(payments.update().where(x).values(status='failed'))",
        "connection.execute(tables.jobs.insert().values(status='queued'))",
        "insert(refunds).values(id=1, status='succeeded').on_conflict_do_nothing()",
        "sa.text(\"UPDATE transactions SET status = 'unknown' WHERE id = 1\")",
    ],
)
def test_the_reading_finds_a_write(source: str) -> None:
    assert list(_writes(source))
