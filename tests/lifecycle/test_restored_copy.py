"""A copy of the database that lacks the last seconds alone: nothing is behind the anchor file, and yet it is told."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from core.orchestration import copies, installation
from core.orchestration.context import Core
from tests.lifecycle.test_restored_elsewhere import paid_on_page, refund
from tests.orchestration import by_hand
from tests.support.databases import plain
from tests.support.restoring import Restorable
from tests.support.world import World

DAY = 86400
_COPY = ("system", "timeline", "oid")


def fields(world: World) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(file_of(world).read_text())
    return found


def file_of(world: World) -> Path:
    assert world.settings.anchor_file is not None
    return world.settings.anchor_file


def change(world: World, **copy: str) -> None:
    """As if the file had been written on another copy."""
    known = fields(world)
    file_of(world).write_text(json.dumps({**known, "copy": {**known["copy"], **copy}}))


def with_synchronous_standby(core: Core) -> Core:
    return replace(core, settings=core.settings.model_copy(update={"synchronous_standby": True}))


def because(world: World) -> str:
    return str(world.one("SELECT paused_because FROM installation")["paused_because"])


def test_a_refund_at_paystack_of_the_last_seconds_is_not_sent_twice(place: Restorable) -> None:
    world = place.world
    payment = paid_on_page(world)
    refund(world, payment, 100_000)
    by_hand.keep_webhooks_back(world, "paystack")
    installation.keep_anchor(world.worker)
    kept = place.backup()
    world.settle()  # and the file is not written any more: the database is lost within ten seconds
    assert len(world.ledger("paystack")["refunds"]) == 1
    place.restore(kept)
    assert installation.look(world.worker)
    assert "another copy of the database, or a standby that took over" in because(world)
    world.settle()
    assert len(world.ledger("paystack")["refunds"]) == 1
    installation.resume(world.admin, "ada", "the disk was replaced")
    assert not installation.look(world.worker)
    installation.keep_anchor(world.worker)
    place.settle_slowly()
    world.advance(2 * DAY)
    place.settle_slowly()
    assert [one["amount"] for one in world.ledger("paystack")["refunds"]] == [100_000]
    assert not installation.look(world.worker), "said once"


def test_a_file_of_an_earlier_version_is_taken_and_completed(place: Restorable) -> None:
    world = place.world
    installation.keep_anchor(world.worker)
    whole = fields(world)
    assert sorted(whole["copy"]) == sorted(_COPY)
    file_of(world).write_text(json.dumps({name: value for name, value in whole.items() if name != "copy"}))
    assert not installation.look(world.worker)
    assert installation.keep_anchor(world.worker) == 1
    assert fields(world)["copy"] == whole["copy"]


@pytest.mark.parametrize("name", _COPY)
def test_each_of_them_tells(place: Restorable, name: str) -> None:
    world = place.world
    installation.keep_anchor(world.worker)
    change(world, **{name: "00000009"})
    told = fields(world)["copy"]
    assert installation.keep_anchor(world.worker) == 0
    assert "what was committed in the last seconds before may be lost" in because(world)
    assert fields(world)["copy"] == told, "the file goes with no copy before a person has let it go on"


def test_a_standby_with_synchronous_replication_may_take_over_and_another_copy_not(place: Restorable) -> None:
    world = place.world
    worker = with_synchronous_standby(world.worker)
    installation.keep_anchor(worker)
    ours = fields(world)["copy"]
    change(world, timeline="00000009")
    assert installation.keep_anchor(worker) == 1
    assert fields(world)["copy"] == ours
    change(world, timeline="00000009", oid="1")
    assert installation.look(worker)


def test_a_server_that_does_not_tell_is_compared_by_what_it_tells(
    place: Restorable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As hosted ones do."""
    world = place.world
    installation.keep_anchor(world.worker)
    ours = fields(world)["copy"]
    monkeypatch.setattr(copies, "_REFUSED", set())
    with psycopg2.connect(plain(place.embedded.superuser_url, place.name)) as connection:
        for function in ("pg_control_system()", "pg_walfile_name(pg_lsn)"):
            connection.cursor().execute(f"REVOKE EXECUTE ON FUNCTION {function} FROM PUBLIC")
    connection.close()
    change(world, system="1", timeline="00000009")
    assert installation.keep_anchor(world.worker) == 1
    assert fields(world)["copy"] == {"system": "1", "timeline": "00000009", "oid": ours["oid"]}
    change(world, oid="1")
    assert installation.look(world.worker)
