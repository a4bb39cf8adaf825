"""The two messages a worker understands. Whatever else they hold is refused and harms nothing."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import structlog
from celery import Celery

from workers.configuration import LANES, RUN_SCHEDULED, WAKE
from workers.polling import running
from workers.schedule import SCHEDULE

log = structlog.get_logger(__name__)

#: We send fifty; a message with many more is not ours.
MAX_IDS = 1000


class NotAHint(ValueError):
    """The message is not one of ours."""


def read_hint(lane: Any, ids: Any) -> tuple[str, list[UUID]]:
    """Raises NotAHint."""
    if not isinstance(lane, str) or lane not in LANES:
        raise NotAHint("unknown lane")
    if not isinstance(ids, list) or not 0 < len(ids) <= MAX_IDS:
        raise NotAHint("not a list of jobs")
    try:
        return lane, [UUID(text) for text in ids]
    except (ValueError, TypeError, AttributeError):
        raise NotAHint("not a job id") from None


def wake(*arguments: Any, **named: Any) -> None:
    """(lane, job ids): claim those that are due."""
    worker = running()
    if worker is None:
        return
    try:
        if named or len(arguments) != 2:
            raise NotAHint("unknown arguments")
        lane, ids = read_hint(*arguments)
    except NotAHint as error:
        log.warning("hint_refused", reason=str(error))
        return
    worker.engine.take(lane, ids)


def run_scheduled(*arguments: Any, **named: Any) -> None:
    """(name of an entry of the schedule): run it unless another worker is at it."""
    worker = running()
    if worker is None or worker.ticks is None:
        return
    name = arguments[0] if len(arguments) == 1 and not named else None
    if not isinstance(name, str) or name not in SCHEDULE:
        log.warning("tick_refused", reason="unknown entry")
        return
    worker.ticks.run_soon(name, "beat")


def register(app: Celery) -> None:
    app.task(name=WAKE)(wake)
    app.task(name=RUN_SCHEDULED)(run_scheduled)
