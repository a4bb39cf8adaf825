"""Loaded by every Python process whose PYTHONPATH names this folder: a process dies at the point a test has armed.

`CHAOS_DIRECTORY/armed/NAME` holds {"point", "kind" (fnmatch), "nth"}; the process whose visit is the nth that fits
moves it to `fired/` and kills itself, so that exactly one dies of it. "signal" says another one than SIGKILL. Without
CHAOS_DIRECTORY it does nothing; CHAOS_CLOCK sets the machine's time forth or back, in seconds.
"""

from __future__ import annotations

import fnmatch
import json
import os
import runpy
import signal
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
#: The providers are no part of what is tested.
SPARED = "sandbox"


class Plant:
    """The hook of `core.points` in this process."""

    def __init__(self, directory: str) -> None:
        folders = (os.path.join(directory, name) for name in ("armed", "fired", "visits", "seen"))
        self.armed, self.fired, self.visits, self.seen = folders
        self.known: set[str] = set()

    def reached(self, point: str, kind: str) -> None:
        """Never raises: a folder that is gone belongs to a test that is over."""
        try:
            self.remember(f"{point},{kind}")
            names = os.listdir(self.armed)
        except OSError:
            return
        for name in names:
            if name.startswith(f"{point}~"):
                self.look(name, point, kind)

    def remember(self, visit: str) -> None:
        """Every pair of point and kind that was ever met, for whoever holds a table of them."""
        if visit not in self.known:
            self.known.add(visit)
            os.close(os.open(os.path.join(self.seen, visit), os.O_CREAT))

    def look(self, name: str, point: str, kind: str) -> None:
        try:
            with open(os.path.join(self.armed, name), encoding="utf-8") as file:
                order = json.load(file)
        except (OSError, ValueError):
            return  # taken by another process in this moment
        if fnmatch.fnmatchcase(kind, order["kind"]) and self.visit(name, order["nth"]):
            self.die(name, point, kind, order.get("signal", signal.SIGKILL))

    def visit(self, name: str, nth: int) -> bool:
        """Is this the nth visit of all processes? One after it is, too, where the nth died of another's order."""
        for number in range(1, nth):
            try:
                os.close(os.open(os.path.join(self.visits, f"{name}.{number}"), os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                continue
            return False
        return True

    def die(self, name: str, point: str, kind: str, number: int) -> None:
        told = os.path.join(self.fired, name)
        try:
            os.rename(os.path.join(self.armed, name), f"{told}.dying")
        except OSError:
            return  # disarmed in this moment
        with open(f"{told}.dying", "w", encoding="utf-8") as file:
            json.dump({"name": name, "point": point, "kind": kind, "pid": os.getpid(), "at": time.time()}, file)
        os.rename(f"{told}.dying", told)
        os.kill(os.getpid(), number)


def sabotage(name: str) -> None:
    """Takes one of Tollgate's safeguards away, to see that the tests notice."""
    file = os.path.join(os.path.dirname(HERE), "sabotage", f"{name}.py")
    runpy.run_path(file)["apply"]()


def move_clock(seconds: float) -> None:
    """This process believes that its machine is so far ahead."""
    import core.startup.clock

    core.startup.clock.machine_time = lambda: time.time() + seconds


def begin() -> None:
    directory, switched_off = os.environ.get("CHAOS_DIRECTORY"), os.environ.get("CHAOS_SABOTAGE")
    seconds = os.environ.get("CHAOS_CLOCK")
    if not directory or SPARED in sys.orig_argv:
        return
    # This module is read before Python puts the tree of `-m` on the path.
    root = os.path.dirname(os.path.dirname(os.path.dirname(HERE)))
    sys.path.insert(0, root)
    import core.points

    core.points.hook = Plant(directory).reached
    if seconds:
        move_clock(float(seconds))
    if switched_off:
        sabotage(switched_off)


begin()
