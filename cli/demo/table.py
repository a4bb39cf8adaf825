"""What the demo prints: a line a step as it happens, the books side by side, and the verdict."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from cli.demo.ledger import Line
from cli.demo.steps import Step

#: Widths of the steps' titles and statuses: no line is longer than 120 with them.
TITLE, WAY = 43, 45
#: Heading and field of the sums that are compared.
_COMPARED = (("taken", "received"), ("given back", "refunded"), ("disputed", "withheld"), ("held", "held"))


def make_console() -> Console:
    # A narrow terminal wraps a line; rich would cut what the table says.
    return Console(highlight=False, width=max(Console().width, 120))


def tell_heading(console: Console) -> None:
    heading = f"{'#':>2}  {'step':<{TITLE}}  {'statuses':<{WAY}}  {'time':>9}"
    console.print(f"\n{heading}", style="bold", soft_wrap=True)


def tell_step(console: Console, number: int, step: Step) -> None:
    """As it happens: the tour takes half a minute."""
    verdict = "as expected" if step.passed else "NOT as expected"
    way = " → ".join(step.statuses)
    line = f"{number:>2}  {step.title:<{TITLE}}  {way:<{WAY}}  {step.milliseconds:>6} ms  {verdict}"
    console.print(line, style=None if step.passed else "red", soft_wrap=True, markup=False)
    if not step.passed:
        console.print(f"    {step.wrong}", style="red", soft_wrap=True, markup=False)


def sum_up(console: Console, steps: list[Step], lines: list[Line], delivered: int, forged: int) -> bool:
    """True if all is well. `delivered`: payments whose events all arrived; `forged`: deliveries badly signed."""
    console.print()
    console.print(_books(lines))
    signed = delivered == len(lines) and forged == 0
    console.print(f"Events delivered to the merchant with a valid signature: {delivered} of {len(lines)} payments")
    results = [step.passed for step in steps] + [line.agrees for line in lines] + [signed]
    console.print(f"\n{sum(results)} of {len(results)} as expected", style="bold", soft_wrap=True)
    return all(results)


def _books(lines: list[Line]) -> Table:
    title = "Our books (left) beside the providers' ledgers (right), in minor units"
    table = Table(title=title, box=None, title_justify="left")
    for heading in ("payment", "provider", *(heading for heading, _ in _COMPARED), "charges", ""):
        table.add_column(heading, justify="left" if heading in ("payment", "provider", "") else "right", no_wrap=True)
    for line in lines:
        sums = [f"{getattr(line.ours, name)} : {getattr(line.theirs, name)}" for _, name in _COMPARED]
        verdict = "equal" if line.agrees else "DIFFERENT"
        table.add_row(line.payment, line.provider, *sums, str(line.charges), verdict)
    return table
