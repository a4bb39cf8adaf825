"""No table that decides about money is missed by `make mutate`, whatever its shape and name."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


def _loaded(file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, file.stem, module)
        spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def tables() -> ModuleType:
    return _loaded(ROOT / "scripts/mutate_tables.py")


def _seen(tables: ModuleType, directory: Path, source: str) -> list[str]:
    file = directory / "examined.py"
    file.write_text(source)
    return [name for name, _ in tables._constants(_loaded(file))]


@pytest.mark.parametrize(
    "source",
    [
        '_STATES = {"paid": 1}',
        'states: dict[str, int] = {"paid": 1}',
        'OPEN = ("pending", "processing")',
        'open_ones = ["pending", "processing"]',
        'OPEN = frozenset({"pending"})',
        "BROKEN = (ValueError, KeyError)",
    ],
)
def test_a_table_is_seen(tables: ModuleType, tmp_path: Path, source: str) -> None:
    assert _seen(tables, tmp_path, source) == [source.split(":")[0].split(" ")[0]]
    table = tables.Table("table", getattr(_loaded(tmp_path / "examined.py"), _seen(tables, tmp_path, source)[0]))
    assert list(tables.flips(table))


@pytest.mark.parametrize(
    "source",
    [
        '_PAIRS = (("paid", 1), ("void", 2))',
        '_PAIRS = (("paid", 1),)',
        'pairs = [("paid", 1), ["void", 2]]',
        'ROWS = ({"state": "paid"},)',
        'class Reader:\n    STATES = {"paid": 1}',
    ],
)
def test_rows_that_cannot_be_flipped_are_refused(tables: ModuleType, tmp_path: Path, source: str) -> None:
    with pytest.raises(SystemExit, match=r"write them as a dict|let it stand in the module"):
        _seen(tables, tmp_path, source)


@pytest.mark.parametrize("source", ['__all__ = ["a", "b"]', 'NAME = "x"', "LIMIT = 3", "class Reader:\n    name = 'x'"])
def test_what_is_no_table_is_left_alone(tables: ModuleType, tmp_path: Path, source: str) -> None:
    assert _seen(tables, tmp_path, source) == []
