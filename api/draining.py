"""Whether this server was told to stop: one file tells it to all of its processes, however they were started."""

from __future__ import annotations

from pathlib import Path


class Draining:
    """`file` exists once the server is on its way out; None for one that nobody drains."""

    def __init__(self, file: Path | None) -> None:
        self._file = file

    def __call__(self) -> bool:
        return self._file is not None and self._file.exists()
