"""The keys rotated under load and an older database put back: `python -m tests.chaos drills`."""

from __future__ import annotations

from tests.chaos.cases import run as run_cases
from tests.chaos.cases.table import DRILLS
from tests.chaos.report import Options, Report


def run(options: Options) -> Report:
    return run_cases(options, part="drills", table=DRILLS)
