"""Writes into the documents' links to functions the line on which each stands now."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = (
    "ARCHITECTURE.md",
    "docs/decisions.md",
    "docs/operations.md",
    "docs/runbook.md",
    "docs/security.md",
    "CONTRIBUTING.md",
)
#: [`room.name`](path/to/file.py#L12): the last part of the name is what the file defines.
LINK = re.compile(r"\[`([A-Za-z_][\w.]*(?<!\.py))`\]\(([\w./-]+\.py)(?:#L(\d+))?\)")


def line_of(source: Path, name: str) -> int | None:
    """Where a function, class or constant is defined; in migrations, where the word first stands."""
    text = source.read_text(encoding="utf-8")
    for node in ast.walk(ast.parse(text)):
        if name in _defined(node):
            return int(node.lineno)  # type: ignore[attr-defined]
    if "migrations" in source.parts:
        lines = enumerate(text.splitlines(), 1)
        return next((number for number, line in lines if re.search(rf"\b{name}\b", line)), None)
    return None


def _defined(node: ast.AST) -> tuple[str, ...]:
    match node:
        case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
            return (name,)
        case ast.Assign(targets=targets):
            return tuple(target.id for target in targets if isinstance(target, ast.Name))
        case ast.AnnAssign(target=ast.Name(id=name)):
            return (name,)
    return ()


def links(document: Path) -> Iterator[tuple[str, Path, int | None]]:
    """(name, file, line) of every link to something defined in a file."""
    for name, path, line in LINK.findall(document.read_text(encoding="utf-8")):
        yield name.rpartition(".")[2], (document.parent / path).resolve(), int(line) if line else None


def renewed(document: Path) -> str:
    def replace(found: re.Match[str]) -> str:
        name, path, _ = found.groups()
        line = line_of((document.parent / path).resolve(), name.rpartition(".")[2])
        if line is None:
            raise SystemExit(f"{document.relative_to(ROOT)}: {path} does not define {name}")
        return f"[`{name}`]({path}#L{line})"

    return LINK.sub(replace, document.read_text(encoding="utf-8"))


if __name__ == "__main__":
    for name in DOCUMENTS:
        changed = renewed(ROOT / name)
        if changed != (ROOT / name).read_text(encoding="utf-8"):
            (ROOT / name).write_text(changed, encoding="utf-8")
            sys.stdout.write(f"renewed {name}\n")
