"""What an installation begins with, made once and completed by later versions."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from cli.secrets_file import Secrets
from cli.seed import seed_development
from core.domain import scopes
from core.orchestration import api_keys
from tests.support.world import World


def test_a_key_of_an_earlier_version_gets_one_with_all_scopes_beside_it(world: World, tmp_path: Path) -> None:
    secrets = Secrets(tmp_path)
    first = seed_development(world.admin, secrets, "http://127.0.0.1:1", {})
    earlier = scopes.USUAL - {"customers:read", "customers:write"}
    with world.owner.begin() as connection:
        named = {"scopes": sorted(earlier), "prefix": "_".join(first.test_key.split("_")[:3])}
        changed = connection.execute(sa.text("UPDATE api_keys SET scopes = :scopes WHERE prefix = :prefix"), named)
        assert changed.rowcount == 1

    second = seed_development(world.admin, secrets, "http://127.0.0.1:1", {})
    assert second.test_key != first.test_key
    assert second.merchant == first.merchant
    holder = api_keys.authenticate(world.admin, second.test_key)
    assert holder is not None
    assert holder.scopes == scopes.USUAL
    old = api_keys.authenticate(world.admin, first.test_key)
    assert old is not None
    assert old.scopes == earlier

    assert seed_development(world.admin, secrets, "http://127.0.0.1:1", {}) == second
