"""Run: `.venv/bin/python -m bench.growth` (or `make bench-growth`)."""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy.engine import Engine

from bench.growth import fill, plans, provider, report, rows, shape
from bench.growth.fill import Filler
from bench.growth.ground import Ground, drop
from bench.growth.meter import Backends, Contender, Cost, measure
from bench.growth.report import Figure, Report, Size
from bench.growth.roads import roads
from bench.growth.server import Server
from bench.growth.shape import Span
from bench.growth.site import Road, Site
from cli.embedded_postgres import EmbeddedPostgres
from core.observability import configure_logging

#: Tables, indexes and what sorting needs beside them; and Postgres' own log of changes.
BYTES_A_PAYMENT, BYTES_BESIDE = 8500, 2_000_000_000
RESULTS = Path(__file__).resolve().parent.parent / "results"


def say(text: str) -> None:
    print(f"{datetime.now(UTC):%H:%M:%S} {text}", flush=True)


class Growth:
    """Each size in turn with the smallest, both fresh, in databases of one server that go before the next come."""

    def __init__(self, server: Server, sizes: list[int], repetitions: int, longest: float) -> None:
        self._server = server
        self._smallest, self._larger = sizes[0], sizes[1:] or sizes[:1]
        self._repetitions = repetitions
        self._longest = longest
        self._about = _run(repetitions)
        self._figures: dict[str, Figure] = {}
        self._found: list[Size] = []

    def run(self, keep: Callable[[Report], None]) -> Report:
        """`keep` is handed what is known after each size."""
        began = time.monotonic()
        for payments in self._larger:
            pair = [self._ground("smallest", self._smallest), self._ground("larger", payments)]
            self._found.append(self._fill(pair))
            os.sync()  # what filling left to be written must not hold up a measured commit
            self._measure(pair)
            figures = list(self._figures.values())
            made = Report(self._about, self._found, figures, self._smallest, time.monotonic() - began)
            keep(made)
        return made

    def _ground(self, name: str, payments: int) -> Ground:
        return Ground(f"growth_{name}", Span(payments, shape.whole_hour()))

    def _fill(self, pair: list[Ground]) -> Size:
        began = time.monotonic()
        with self._server.running(hasty=True) as postgres:
            for ground in pair:
                say(f"{ground.span.payments:,} payments: filling")
                drop(postgres, ground.name)
                ground.make(postgres)
                Filler(partial(ground.connect, postgres), ground.span, say).fill(ground.owners)
            tables = [one.table for one in rows.FILLINGS]
            found = fill.sizes(partial(pair[-1].connect, postgres), tables)
        return Size(pair[-1].span.payments, found, time.monotonic() - began)

    def _measure(self, pair: list[Ground]) -> None:
        began = time.monotonic()
        size = self._found[-1]
        say(f"{size.payments:,} payments, {size.gigabytes:.2f} GB: measuring against {self._smallest:,}")
        with self._server.running(hasty=False) as postgres, ExitStack() as stack:
            sites = [stack.enter_context(_site(ground, postgres)) for ground in pair]
            for small, large in zip(roads(sites[0].site), roads(sites[1].site), strict=True):
                self._one(small, large, sites)
            sites[1].site.run("SELECT pg_stat_force_next_flush()")
            size.unread = plans.unread_indexes(sites[1].site.run)
        size.measure_seconds = time.monotonic() - began

    def _one(self, small: Road, large: Road, sites: list[Measured]) -> None:
        figure = self._figures.setdefault(large.name, Figure(large.name, large.goal))
        both = zip((small, large), sites, strict=True)
        contenders = [Contender(one.backends, road.before, road.call) for road, one in both]
        first, second = measure(contenders, self._repetitions, self._longest)
        size = self._found[-1].payments
        figure.pairs[size] = (first, second)
        say(f"  {large.name:<42} {_told(figure, first, second)}")
        capture = _captured(large, sites[1])
        figure.trips, figure.statements = len(capture.trips), len(capture.statements)
        figure.plans = [] if figure.met else plans.explained(capture)


def _told(figure: Figure, first: Cost, second: Cost) -> str:
    error = first.error or second.error
    if error:
        return error
    cpu, wall = figure.ratio("cpu") or 0.0, figure.ratio("wall") or 0.0
    return (
        f"CPU {first.cpu:6.2f} -> {second.own_cpu:5.2f} + {second.backend_cpu:5.2f} ms, x {cpu:4.2f};"
        f"  clock {first.wall:6.2f} -> {second.wall:6.2f} ms, x {wall:4.2f}"
    )


def _captured(road: Road, measured: Measured) -> plans.Capture:
    """What one more call sends."""
    with plans.capturing(measured.engines) as capture:
        try:
            road.before()
            capture.trips.clear()
            road.call()
        except Exception as error:  # noqa: BLE001 - said with the road's figure already
            say(f"    {type(error).__name__}")
    return capture


@dataclass(frozen=True, slots=True)
class Measured:
    """A site, its server processes, and its engines with the addresses they connect to."""

    site: Site
    backends: Backends
    engines: list[tuple[Engine, str]]


@contextmanager
def _site(ground: Ground, postgres: EmbeddedPostgres) -> Iterator[Measured]:
    urls = ground.urls(postgres)
    with closing(ground.connect(postgres)) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        run = _runner(cursor)
        run("SELECT pg_stat_reset()")
        with ground.cores(urls, ground.name) as cores:
            addresses = (urls.api, urls.worker, urls.owner)
            engines = [(core.database.engine, url) for core, url in zip(cores, addresses, strict=True)]
            yield Measured(Site(ground, *cores, run), Backends(cursor, ground.name), engines)


def _runner(cursor: Any) -> Callable[..., list[Any]]:
    def run(statement: str, *values: object) -> list[Any]:
        cursor.execute(statement, values or None)
        return cursor.fetchall() if cursor.description else []

    return run


def _run(repetitions: int) -> dict[str, Any]:
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    python = f"Python {platform.python_version()}"
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "commit": commit.stdout.strip() or "unknown",
        "machine": f"{os.cpu_count()} cores, {memory:.0f} GB, {platform.system()} {platform.machine()}, {python}",
        "repetitions": repetitions,
    }


@contextmanager
def _server(directory: Path) -> Iterator[Server]:
    server = Server(directory)
    try:
        yield server
    finally:
        server.remove()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", default="10000,1000000,5000000", help="payments in the tables, smallest first")
    parser.add_argument("--repetitions", type=int, default=400, help="calls measured of each kind")
    parser.add_argument("--longest", type=float, default=12.0, help="seconds given to one kind of call")
    parser.add_argument("--directory", type=Path, default=Path("/var/tmp/tollgate-growth"), help="where the data goes")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where growth.json and growth.md go")
    wanted = parser.parse_args()
    sizes = sorted(int(one) for one in wanted.sizes.split(","))
    refusal = _refusal(wanted.directory, sizes[-1])
    if refusal:
        parser.error(refusal)
    configure_logging("ERROR", "bench")
    provider.install()
    with _server(wanted.directory) as server:
        growth = Growth(server, sizes, wanted.repetitions, wanted.longest)
        made = growth.run(lambda found: say(f"written: {report.write(found, wanted.results)[1]}"))
    print("\n" + made.as_markdown().partition("## Above")[0])
    return 1 if any(one.failed for one in made.figures) else 0


def _refusal(directory: Path, payments: int) -> str | None:
    if directory.exists():
        return f"{directory} exists; a run makes and removes its own: remove it or name another --directory"
    parent = next(one for one in directory.absolute().parents if one.exists())
    free, needed = shutil.disk_usage(parent).free, payments * BYTES_A_PAYMENT + BYTES_BESIDE
    if free < needed:
        return f"{parent} has {free / 1e9:.0f} GB free and {needed / 1e9:.0f} GB are needed; name another --directory"
    return None


if __name__ == "__main__":
    sys.exit(main())
