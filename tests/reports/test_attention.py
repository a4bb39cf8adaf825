"""What needs a person is counted of one merchant and mode, and only while it does."""

from __future__ import annotations

import pytest

from core.domain.identifiers import new_id
from core.orchestration import accounts
from core.persistence.database import Scope
from core.reports import attention
from tests.support.world import World

_OWN = "%(id)s, %(merchant)s, %(mode)s"
#: What makes each count one more, and what makes it one less again.
_MAKE = {
    "review": (
        f"INSERT INTO jobs (id, merchant_id, mode, kind, lane, status) VALUES ({_OWN}, 'sync_payment', 'payments', "
        "'needs_review')",
        "UPDATE jobs SET status = 'failed' WHERE id = %(id)s",
    ),
    "undelivered": (
        "INSERT INTO jobs (id, merchant_id, mode, kind, lane, status, attempts) "
        f"VALUES ({_OWN}, 'deliver_event', 'deliveries', 'queued', 1)",
        "UPDATE jobs SET attempts = 0 WHERE id = %(id)s",
    ),
    "findings_high": (
        "INSERT INTO findings (id, merchant_id, mode, kind, dedupe_key, status, severity) "
        f"VALUES ({_OWN}, 'internal_error', 'a', 'open', 'high')",
        "UPDATE findings SET status = 'resolved' WHERE id = %(id)s",
    ),
    "findings_other": (
        "INSERT INTO findings (id, merchant_id, mode, kind, dedupe_key, status, severity) "
        f"VALUES ({_OWN}, 'refund_not_ours', 'b', 'open', 'low')",
        "UPDATE findings SET status = 'resolved' WHERE id = %(id)s",
    ),
    "suspended": (
        "INSERT INTO provider_accounts (id, merchant_id, mode, provider, name, identity, status, "
        f"credentials_sealed, webhook_secrets_sealed) VALUES ({_OWN}, 'stripe', 'a', 'x', 'suspended', '', '')",
        "UPDATE provider_accounts SET status = 'enabled' WHERE id = %(id)s",
    ),
    "parked": (
        "INSERT INTO inbox_events (id, merchant_id, mode, provider, provider_account_id, dedupe_key, kind, "
        f"status) VALUES ({_OWN}, 'stripe', (SELECT id FROM provider_accounts LIMIT 1), 'evt', 'x', 'parked')",
        "UPDATE inbox_events SET status = 'applied' WHERE id = %(id)s",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", list(_MAKE))
def test_counted_while_it_waits_and_of_one_merchant_and_mode(world: World, name: str) -> None:
    scope = Scope(accounts.create_merchant(world.admin, "Shop"), "live")
    values = {"id": str(new_id()), "merchant": str(scope.merchant_id), "mode": scope.mode}
    assert attention.needed(world.api, scope).counts[name] == 0
    with world.owner.begin() as connection:
        connection.exec_driver_sql(_MAKE[name][0], values)
    found = attention.needed(world.api, scope)
    assert {one for one, number in found.counts.items() if number} == {name}
    assert (found.oldest is not None) == (name == "findings_high")
    for other in (Scope(scope.merchant_id, "test"), Scope(new_id(), "live")):
        # Also where every row can be seen: the statement itself asks whose they are.
        assert not any(attention.needed(world.admin, other).counts.values())
    with world.owner.begin() as connection:
        connection.exec_driver_sql(_MAKE[name][1], values)
    assert not any(attention.needed(world.api, scope).counts.values())
