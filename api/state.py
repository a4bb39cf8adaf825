"""What a running gate holds, reachable from the app that holds it."""

from __future__ import annotations

from dataclasses import dataclass

from flask import Flask, current_app, g

from api.concurrency import Places
from api.draining import Draining
from api.limits import RateLimits
from api.waiting import WaitingRoom
from core.orchestration import figures
from core.orchestration.administrators.login import Logins
from core.orchestration.context import Caller, Core
from core.orchestration.installation import Watch
from core.orchestration.key_notes import KeyNotes

_NAME = "tollgate"


@dataclass(frozen=True, slots=True)
class Gate:
    """One per app."""

    core: Core
    limits: RateLimits
    places: Places
    waiting: WaitingRoom
    draining: Draining
    pause: Watch
    figures: figures.Watch
    key_notes: KeyNotes
    logins: Logins


def attach(app: Flask, gate: Gate) -> None:
    app.extensions[_NAME] = gate


def gate() -> Gate:
    found: Gate = current_app.extensions[_NAME]
    return found


def caller() -> Caller:
    """Who asks, for routes of merchants. Only set behind a policy that demands a merchant's key."""
    found: Caller = g.caller
    return found
