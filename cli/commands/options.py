"""Options that several commands share."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click

data_dir = click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".tollgate"),
    envvar="TOLLGATE_DATA_DIR",
    show_default=True,
    help="Where the installation keeps its data and secrets.",
)


class Span(click.ParamType[float]):
    """A span of time as `90m`, `24h` or `7d`, in seconds."""

    name = "span"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        found = re.fullmatch(r"([1-9][0-9]{0,5})([mhd])", str(value))
        if found is None:
            self.fail(f"{value!r} is no span of time; write 90m, 24h or 7d", param, ctx)
        return float(found[1]) * {"m": 60, "h": 3600, "d": 86400}[found[2]]
