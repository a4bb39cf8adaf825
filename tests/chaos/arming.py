"""The folder in which a test arms crash points, and finds out which of them a process has died at."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

from core.points import POINTS
from tests.support.waiting import wait_until

PLANT = Path(__file__).parent / "plant"


class Crashes:
    """One folder for all processes of a stage; `plant/sitecustomize.py` reads it in each of them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        for name in ("armed", "fired", "visits", "seen"):
            (directory / name).mkdir(parents=True, exist_ok=True)
        self._numbers = itertools.count(1)

    def arm(self, point: str, kind: str = "*", nth: int = 1) -> str:
        """The nth visit of `point` by a job of `kind` (fnmatch) kills its process; returns the order's name."""
        if point not in POINTS:
            raise ValueError(f"{point} is no crash point; they are: {', '.join(POINTS)}")
        name = f"{point}~{next(self._numbers)}"
        # Written beside and moved, so that no process reads half of it.
        draft = self.directory / name
        draft.write_text(json.dumps({"point": point, "kind": kind, "nth": nth}), encoding="utf-8")
        draft.rename(self.directory / "armed" / name)
        return name

    def disarm(self, name: str | None = None) -> list[str]:
        """The orders that had not been met; all, or the named one."""
        left = []
        for file in self.directory.joinpath("armed").iterdir():
            if name is None or file.name == name:
                file.unlink(missing_ok=True)
                left.append(file.name)
        return left

    def fired(self) -> list[dict[str, Any]]:
        """{"name", "point", "kind", "pid", "at"} of every death, in order."""
        found = [_death(one) for one in self.directory.joinpath("fired").iterdir()]
        return sorted((one for one in found if one is not None), key=lambda one: one["at"])

    def seen(self) -> set[tuple[str, str]]:
        """Every (point, kind) that any process has reached so far."""
        pairs = (one.name.split(",") for one in self.directory.joinpath("seen").iterdir())
        return {(point, kind) for point, kind in pairs}

    def wait(self, name: str, seconds: float) -> dict[str, Any]:
        """The death that an order led to. Raises AssertionError if there is none within `seconds`."""

        def look() -> dict[str, Any] | None:
            return next((one for one in self.fired() if one["name"] == name), None)

        return wait_until(look, f"a process to die at {name}", seconds, every=0.02)


def _death(file: Path) -> dict[str, Any] | None:
    """What a dying process wrote. Another one of its threads may have ended it in the middle of that."""
    try:
        told: dict[str, Any] = json.loads(file.read_text(encoding="utf-8") or "{}")
        at = file.stat().st_ctime
    except (FileNotFoundError, ValueError):
        return None  # moved or written in this moment: the next look finds it
    name = file.name.removesuffix(".dying")
    return {"name": name, "point": name.split("~")[0], "kind": "", "pid": None, "at": at, **told}
