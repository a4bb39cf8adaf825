"""What an operator would be told while a case goes on: the alerts that fire, and what `tollgate doctor` finds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import requests

from tests.chaos.cases.case import expect
from tests.chaos.stage import Stage
from tests.support.alerts import firing


def shown(stage: Stage) -> str | None:
    """What Prometheus would read at this moment; None if nobody answers."""
    try:
        answer = requests.get(f"{stage.service.api_url}/metrics", timeout=10)
    except requests.RequestException:
        return None
    expect(answer.status_code == 200, f"/metrics answered {answer.status_code}")
    return answer.text


def fires(stage: Stage, name: str, before: str | None) -> bool:
    """Would the alert of deploy/alerts.yml go off if things stay as they are now, after `before`?"""
    return name in firing([before, before], shown(stage), only=name)


def doctor(stage: Stage, changes: Mapping[str, str]) -> dict[str, str]:
    """The verdict of each check, beside the running service."""
    env = {**os.environ, **stage.service.environment(), "TOLLGATE_DATA_DIR": str(stage.service.data_dir), **changes}
    for name in ("DATABASE_URL", "REDIS_URL", "BROKER_URL", "TOLLGATE_KEY_FILE"):
        env.pop(name, None)
    program = Path(sys.executable).with_name("tollgate")
    ended = subprocess.run([program, "doctor", "--json"], env=env, capture_output=True, text=True, timeout=120)
    rows: list[dict[str, str]] = json.loads(ended.stdout)
    return {row["subject"]: row["verdict"] for row in rows}
