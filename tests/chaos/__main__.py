"""Hurts the service and says what came of it: `python -m tests.chaos PART… [--seed N] [--short] [--json FILE]`."""

from __future__ import annotations

import argparse
import importlib
import sys
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path

from tests.chaos.record import record, tested
from tests.chaos.report import Options, Report, Row, chosen_seed, say, written

#: Each module has `run(options: Options) -> Report`; it is loaded when its part is asked for.
PARTS = {
    "crash": "tests.chaos.crash",
    "cases": "tests.chaos.cases",
    "drills": "tests.chaos.drills",
    "outage": "tests.chaos.outage",
    "soak": "tests.chaos.soak",
    "sabotage": "tests.chaos.sabotage",
}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description="Faults against the whole service.")
    parser.add_argument("parts", nargs="+", choices=PARTS, metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--seed", type=int, help="replays a run; chosen and printed when not given")
    parser.add_argument("--short", action="store_true", help="three minutes of the soak instead of all of it")
    parser.add_argument("--json", type=Path, help="write rows and figures here, too")
    parser.add_argument("--only", help="run the rows whose name holds this")
    parser.add_argument("--record", type=Path, metavar="FOLDER", help="keep rows and figures there by date and commit")
    asked = parser.parse_args(arguments)
    seed = chosen_seed(asked.seed)
    commit = tested() if asked.record is not None else ("", False)
    reports: list[Report] = []
    for part in asked.parts:
        with tempfile.TemporaryDirectory(prefix=f"tollgate-chaos-{part}-", ignore_cleanup_errors=True) as scratch:
            options = Options(seed, Path(scratch), asked.short, asked.json, asked.only)
            report = _run(part, options)
        report.close()
        reports.append(report)
        if asked.json is not None:
            written(reports, asked.json)
    if asked.record is not None:
        say(f"Recorded in {record(reports, asked.record, *commit)}")
    if any(report.failed for report in reports):
        say(f"Run it again with SEED={seed}.")
    sys.exit(1 if any(report.failed for report in reports) else 0)


def _run(part: str, options: Options) -> Report:
    """A part that breaks off is a failed one, and the others are run all the same."""
    try:
        report: Report = importlib.import_module(PARTS[part]).run(options)
    except Exception as error:  # noqa: BLE001 - told in a row
        traceback.print_exc()
        report = Report(part, options.seed)
        report.add(Row("the part itself", 0, 0, None, "FAILED", f"{type(error).__name__}: {error}"))
    return report


if __name__ == "__main__":
    main()
