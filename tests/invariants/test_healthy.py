"""Where nothing is wrong, nothing is said."""

from __future__ import annotations

from core.invariants import check
from tests.invariants.healthy import broken, fill
from tests.support.world import World


def test_a_healthy_shop_breaks_nothing(world: World) -> None:
    fill(world)
    assert broken(world) == []
    assert check(world.admin.database) == []
