"""Tables for people; whole in a pipe, where nobody can widen the window."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

#: Characters a line may have where no terminal says so; ids and keys must come through whole.
PIPE_WIDTH = 1000


def console() -> Console:
    """Standard output."""
    return Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else PIPE_WIDTH)


def print_table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Columns under headings; what does not fit is folded, never cut."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*(_shown(cell) for cell in row))
    target = console()
    with target.capture() as drawn:
        target.print(table)
    click.echo("\n".join(text.rstrip() for text in drawn.get().splitlines()))


def _shown(cell: object) -> Text:
    """As it is: brackets in a name are no markup."""
    if isinstance(cell, Text):
        return cell
    return Text("" if cell is None else str(cell))
