"""Loaded by each Python process of a profiled run (it is first on PYTHONPATH): counts where time goes.

Python imports a module of this name by itself. Every piece of work handed to a pool of threads, and every request, runs
under cProfile with the thread's own processor time as its clock; the sums are written every second.
"""

from __future__ import annotations

import cProfile
import json
import os
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

_profiles: list[cProfile.Profile] = []
_local = threading.local()
_units = 0


def _profiled(work: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    global _units
    profile = getattr(_local, "profile", None)
    if profile is None:
        profile = _local.profile = cProfile.Profile(time.thread_time, builtins=True)
        _profiles.append(profile)
    elif getattr(_local, "on", False):
        return work(*arguments, **named)
    _units += 1
    _local.on = True
    profile.enable()
    try:
        return work(*arguments, **named)
    finally:
        profile.disable()
        _local.on = False


def _write(folder: str) -> None:
    while True:
        time.sleep(1.0)
        sums: dict[tuple[str, str], list[float]] = defaultdict(lambda: [0, 0.0, 0.0])
        for profile in list(_profiles):
            for entry in profile.getstats():
                code = entry.code
                place = ("", code) if isinstance(code, str) else (code.co_filename, code.co_name)
                found = sums[place]
                found[0] += entry.callcount
                found[1] += entry.inlinetime
                found[2] += entry.totaltime
        shown = {"argv": sys.orig_argv, "units": _units, "cpu": time.process_time()}
        shown["stats"] = [[*place, *values] for place, values in sums.items()]
        target = Path(folder) / f"{os.getpid()}.json"
        partial = target.with_suffix(".new")
        partial.write_text(json.dumps(shown))
        partial.replace(target)


def _install(folder: str) -> None:
    from concurrent.futures import thread

    run = thread._WorkItem.run
    thread._WorkItem.run = lambda self: _profiled(run, self)
    if not any("celery" in part for part in sys.orig_argv):
        import flask

        serve = flask.Flask.__call__
        flask.Flask.__call__ = lambda self, *arguments: _profiled(serve, self, *arguments)
    # The server forks its workers, and a thread does not come along.
    os.register_at_fork(after_in_child=lambda: _start(folder))
    _start(folder)


def _start(folder: str) -> None:
    _profiles.clear()
    threading.Thread(target=_write, args=(folder,), daemon=True).start()


if os.environ.get("BENCH_PROFILE"):
    _install(os.environ["BENCH_PROFILE"])
