"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path

import click

data_dir = click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".tollgate"),
    envvar="TOLLGATE_DATA_DIR",
    show_default=True,
    help="Where the installation keeps its data and secrets.",
)
