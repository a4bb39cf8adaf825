"""What `celery -A workers.celery_app:app worker` and `… beat` run."""

from __future__ import annotations

import logging
import sys
from typing import Any

from celery import signals

from core import startup
from core.observability import configure_logging
from workers import tasks
from workers.configuration import make_app
from workers.polling import EngineStep
from workers.schedule import beat_schedule

_settings = startup.settings_or_exit()
app = make_app(_settings)
app.set_current()
app.conf.beat_schedule = beat_schedule()
app.steps["worker"].add(EngineStep)
tasks.register(app)


@signals.setup_logging.connect
def _configure_logging(**_: Any) -> None:
    """Connected, so that Celery leaves logging alone; its lines could hold the arguments of a message."""
    role: startup.Role = "beat" if "beat" in sys.argv[1:] else "worker"
    configure_logging(_settings.log_level, role)
    startup.check_or_exit(_settings, role)
    # One line a broken connection is enough: these print a traceback for each attempt.
    logging.getLogger("celery.beat").setLevel(logging.ERROR)
