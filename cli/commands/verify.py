"""`tollgate reconcile verify`: everything compared once, and a verdict by exit code."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cli.checks import invariants
from cli.commands import output
from cli.target import find
from core.invariants.ledger import COMPARISONS
from core.orchestration.context import Core
from core.persistence.database import Scope
from core.reconciliation.runs import Window
from core.reports import reading

#: Counts of a run that must be zero where both sides' books agree.
MUST_BE_ZERO: Mapping[str, Sequence[str]] = {
    "missed_events": (),
    "two_way": ("unknown", "differ", "missing", "unsure"),
    "statement": ("unmatched", "amount_differs"),
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """One thing that was compared, how much of it there was, and what does not agree."""

    compared: str
    looked: str
    wrong: Sequence[str]

    @property
    def ok(self) -> bool:
        return not self.wrong


def of_run(run: Mapping[str, Any]) -> Verdict:
    """`run` in its public form."""
    counts = run["counts"]
    wrong = [f"{counts[name]} {name}" for name in MUST_BE_ZERO[run["kind"]] if counts.get(name)]
    if run["status"] != "succeeded":
        wrong.append(f"the run {run['status']}: {(run['error'] or {}).get('message', '')}")
    if run["kind"] == "two_way":
        wrong += [f"{amount} {name}" for name, amount in run["sums"].items() if name.endswith(".at_stake") and amount]
    looked = ", ".join(f"{count} {name}" for name, count in sorted(counts.items())) or "nothing"
    return Verdict(f"{run['kind']} of {run['provider_account']}", looked, wrong)


def of_payouts(core: Core, scope: Scope, window: Window) -> Verdict:
    """Every payout's equation, to the minor unit."""
    days = reading.Window(window.since.date(), window.until.date())
    found = reading.settlements(core, scope, days)
    wrong = [
        f"payout {one['payout']} differs by {one['difference']} {one['currency']}"
        for one in found
        if one["status"] == "differs"
    ]
    return Verdict("payouts", f"{len(found)} payouts", wrong)


def of_ledgers(data_dir: Path) -> list[Verdict]:
    """The local providers' own ledgers beside our books; nothing where there are none."""
    target = find(data_dir)
    lines = invariants.look(target, None, ())
    found = [one.what for line in lines for one in line.violations if one.check in COMPARISONS]
    looked = next((line.looked for line in lines if line.invariant == "I5"), "")
    return [Verdict(looked, "every charge, refund and dispute", found)] if looked else []


def tell(verdicts: Sequence[Verdict], as_json: bool) -> None:
    import click

    if as_json:
        click.echo(json.dumps([{**asdict(one), "ok": one.ok} for one in verdicts]))
        return
    rows = [(one.compared, "agrees" if one.ok else "DIFFERS", one.looked, "; ".join(one.wrong)) for one in verdicts]
    output.print_table(("compared", "", "looked at", "what does not agree"), rows)
