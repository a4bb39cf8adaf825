"""The forty cases of lost and doubled payments against real processes: `python -m tests.chaos cases`."""

from tests.chaos.cases.runner import run

__all__ = ["run"]
