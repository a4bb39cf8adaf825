"""Letting a large installation go on: everything it ever held is looked through, which no time-out may cut off."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.orchestration import installation, restored
from tests.support.world import World


def test_no_statement_time_out_ends_what_goes_through_every_transaction(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, str] = {}

    def looking(name: str) -> Callable[[Connection], Any]:
        inner = getattr(restored, name)

        def look(connection: Connection) -> Any:
            seen[name] = connection.execute(sa.text("SHOW statement_timeout")).scalar_one()
            return inner(connection)

        return look

    for name in ("count_open", "doubt_open"):
        monkeypatch.setattr(restored, name, looking(name))
    with world.owner.begin() as connection:
        connection.execute(sa.text("SELECT pause_installation('an older copy')"))
    installation.examine(world.admin)
    assert seen == {"count_open": "0"}
    installation.resume(world.admin, "ada", "looked at")
    assert seen == {"count_open": "0", "doubt_open": "0"}
