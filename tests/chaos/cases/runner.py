"""Runs the table: each case on its stage, rest and invariants after every one."""

from __future__ import annotations

import time
import traceback
from collections.abc import Sequence
from pathlib import Path

from tests.chaos.cases.case import Case, Ground, Profile
from tests.chaos.cases.table import CASES
from tests.chaos.report import Options, Report, Row, Verdict
from tests.chaos.stage import Stage

#: Seconds in which a stage has to come to rest after a case.
REST = 60.0
#: Lines of a failure that are worth reading in a table.
MOST_LINES = 4


class Stages:
    """The stage for all cases that may share it, made when first wanted and made anew after a failure; beside it the
    stage of one case, or of a few in a row."""

    def __init__(self, options: Options, sabotage: str | None) -> None:
        self._options, self._sabotage = options, sabotage
        self._standing: dict[Profile, Stage] = {}
        self._made = 0

    def take(self, case: Case) -> Stage:
        for other in [one for one in self._standing if one not in ("shared", case.profile)]:
            self._end(other)
        if case.profile not in self._standing:
            self._standing[case.profile] = self._make(case)
        return self._standing[case.profile]

    def give_back(self, case: Case, *, spoilt: bool) -> None:
        if spoilt or case.profile == "apart":
            self._end(case.profile)

    def close(self) -> None:
        for profile in list(self._standing):
            self._end(profile)

    def _end(self, profile: Profile) -> None:
        self._standing.pop(profile).stop()

    def _make(self, case: Case) -> Stage:
        self._made += 1
        directory = self._options.scratch / f"stage-{self._made}"
        stage = Stage(directory, workers=2, settings=case.settings, seed=self._options.seed, sabotage=self._sabotage)
        stage.start()
        return stage


def run(options: Options, *, sabotage: str | None = None, part: str = "cases", table: Sequence[Case] = CASES) -> Report:
    """`options.only` picks cases by number ("7", "16") or by a part of the title."""
    report = Report(part, options.seed)
    stages = Stages(options, sabotage)
    try:
        for case in chosen(table, options.only):
            report.add(_row(case, stages, options))
    finally:
        stages.close()
    return report


def chosen(table: Sequence[Case], only: str | None) -> list[Case]:
    """All cases, or those of a number, or those whose title holds the text."""
    if only is None:
        return list(table)
    of_number = [case for case in table if only in (case.number, case.number.rstrip("abcdefgh"))]
    return of_number or [case for case in table if only in case.title]


def _row(case: Case, stages: Stages, options: Options) -> Row:
    if case.run is None:
        return Row(case.title, 0, 0, None, "not built yet", case.note)
    stage = stages.take(case)
    ground = Ground(stage)
    before, jobs = stage.faults_fired.total(), ground.count("jobs")
    failures: list[str] = []
    recovered = None
    try:
        case.run(ground)
    except Exception as error:  # noqa: BLE001 - whatever went wrong, the table goes on
        failures.append(_told(error, case))
    failures += _left_over(stage)
    try:
        stage.quiet(REST)
        recovered = None if ground.hurt_at is None else time.monotonic() - ground.hurt_at
        broken = [one for one in stage.invariants(settled=True) if one.invariant not in case.excused]
        failures += [f"{one.invariant}: {one.what} {dict(one.details)}" for one in broken]
    except Exception as error:  # noqa: BLE001 - as above
        failures.append(_told(error, case))
    fired = stage.faults_fired.total() - before + ground.counted.total()
    if fired < case.faults:
        failures.append(f"only {fired} faults happened of the {case.faults} the case is about")
    made = ground.count("jobs") - jobs
    if failures:
        kept = options.scratch.parent / f"tollgate-chaos-logs-{options.seed}" / case.title.strip().replace("/", " ")
        stage.keep_logs(kept)
        failures.append(f"must hold: {case.holds}\nlogs: {kept}")
    stages.give_back(case, spoilt=bool(failures))
    verdict: Verdict = "FAILED" if failures else "ok"
    note = "\n".join(failures) if failures else case.note
    return Row(case.title, max(0, fired), made, recovered, verdict, note)


def _left_over(stage: Stage) -> list[str]:
    """Everything is taken back; an order that was never met means that the case has tested nothing."""
    left = stage.disarm()
    for proxy in stage.proxies.values():
        proxy.heal()
    try:
        stage.clear_faults()
    except Exception as error:  # noqa: BLE001 - as above
        return [f"faults not cleared: {error}"]
    return [f"nothing ever reached {name}" for name in left]


def _told(error: Exception, case: Case) -> str:
    """The error, and where in the case it arose."""
    frames = traceback.extract_tb(error.__traceback__)
    inside = [frame for frame in frames if Path(frame.filename).parent == Path(__file__).parent]
    place = f" ({Path(inside[-1].filename).name}:{inside[-1].lineno})" if inside else ""
    lines = f"{type(error).__name__}: {error}{place}".splitlines()
    return "\n".join(lines[:MOST_LINES])
