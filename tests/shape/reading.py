"""Reads the files a deployment is made from, as far as the checks of their contents need it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]


def procfile() -> dict[str, str]:
    lines = (ROOT / "Procfile").read_text(encoding="utf-8").splitlines()
    named = (line.split(":", 1) for line in lines if line and not line.startswith("#"))
    return {name: command.strip() for name, command in named}


def words(command: str, port: int = 8000) -> list[str]:
    """What the last command of a line of the Procfile becomes, as arguments."""
    return shlex.split(command.rpartition("exec ")[2].replace("${PORT:-8000}", str(port)))


def compose() -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    return read


@dataclass(frozen=True)
class Instruction:
    """One of a Dockerfile, in the stage it stands in."""

    stage: str
    name: str
    text: str

    @property
    def words(self) -> list[str]:
        """Its parts without options such as `--from=…`."""
        return [word for word in shlex.split(self.text) if not word.startswith("--")]


def dockerfile() -> list[Instruction]:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    found, stage = [], ""
    for line in re.sub(r"\\\n\s*", "", re.sub(r"^#.*\n", "", text, flags=re.M)).splitlines():
        name, _, rest = line.partition(" ")
        if name == "FROM":
            stage = rest.split(" AS ")[1]
        if name:
            found.append(Instruction(stage, name, rest))
    return found


@dataclass(frozen=True)
class Directive:
    """One line or block of nginx' configuration, with what it stands in."""

    name: str
    values: tuple[str, ...]
    inside: tuple[str, ...]


_TOKEN = re.compile(r"""\s*(?:\#[^\n]*|"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'|([{};])|([^\s{};]+))""")


def nginx(text: str) -> Iterator[Directive]:
    inside: list[str] = []
    line: list[str] = []
    for found in _TOKEN.finditer(text):
        double, single, mark, bare = found.groups()
        if mark is None:
            line += [part for part in (double, single, bare) if part is not None]
            continue
        if line:
            yield Directive(line[0], tuple(line[1:]), tuple(inside))
        if mark == "{":
            inside.append(" ".join(line))
        elif mark == "}":
            inside.pop()
        line = []
    assert not inside, "a brace is not closed"
