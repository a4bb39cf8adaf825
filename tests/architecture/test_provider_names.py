"""Nobody outside a provider's package knows a provider, by its name or by an import; nor does one know another."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.providers.registry import PROVIDERS
from tests.providers.bank_transfer import BankTransfer

ROOT = Path(__file__).resolve().parents[2]
NAMES = frozenset({*PROVIDERS, BankTransfer.name})
#: The two local doubles that `tollgate up` starts, the tour through them, and the reading of their ledgers.
LOCAL = (ROOT / "cli/service.py", ROOT / "cli/demo", ROOT / "core/invariants/theirs.py")
REGISTRY = ROOT / "core/providers/registry.py"


def _own() -> dict[str, Path]:
    return {name: ROOT / kind.__module__.replace(".", "/") for name, kind in PROVIDERS.items()}


def _inside(file: Path, rooms: tuple[Path, ...]) -> bool:
    return any(file == one or one in file.parents for one in rooms)


def _words(tree: ast.AST) -> Iterator[str]:
    """The texts of a module; what the API's description shows as an example decides nothing."""
    shown = {id(part) for node in ast.walk(tree) if isinstance(node, ast.keyword) and node.arg == "examples"
             for part in ast.walk(node.value)}  # fmt: skip
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in shown:
            yield node.value


def _known(source: str) -> set[str]:
    return NAMES & set(_words(ast.parse(source)))


def _imported(source: str) -> set[str]:
    """The providers whose packages are imported."""
    nodes = list(ast.walk(ast.parse(source)))
    names = [f"{node.module}.{one.name}" for node in nodes if isinstance(node, ast.ImportFrom) for one in node.names]
    names += [one.name for node in nodes if isinstance(node, ast.Import) for one in node.names]
    packages = {name: kind.__module__ for name, kind in PROVIDERS.items()}
    return {name for name, module in packages.items() if any(f"{one}.".startswith(f"{module}.") for one in names)}


def _sources() -> Iterator[Path]:
    for room in ("api", "workers", "core", "cli"):
        yield from (ROOT / room).rglob("*.py")


def test_no_provider_is_known_by_name_outside_the_registry() -> None:
    """Else a third one would need more than its package, a line of the registry, its samples and its settings."""
    apart = (*_own().values(), *LOCAL)
    found = [
        str(file.relative_to(ROOT)) for file in _sources() if not _inside(file, apart) and _known(file.read_text())
    ]
    assert found == []


def test_only_the_registry_and_the_package_itself_import_a_provider() -> None:
    found = []
    for file in _sources():
        here = {name for name, package in _own().items() if _inside(file, (package,))}
        if file != REGISTRY and (others := _imported(file.read_text()) - here):
            found.append((str(file.relative_to(ROOT)), others))
    assert found == []


@pytest.mark.parametrize("name", sorted(NAMES))
def test_the_reading_finds_a_name(name: str) -> None:
    assert _known(f"if account.provider == {name!r}:\n    pass") == {name}


@pytest.mark.parametrize("name", sorted(PROVIDERS))
def test_the_reading_finds_an_import(name: str) -> None:
    module = PROVIDERS[name].__module__
    for source in (f"import {module}", f"from {module} import x", f"from {module}.outcomes import x"):
        assert _imported(source) == {name}
    above, _, last = module.rpartition(".")
    assert _imported(f"from {above} import {last}") == {name}
