"""Refused keys are told in the audit log, and cannot fill it; a good key's last use is noted beside the requests."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from api.state import Gate
from core.orchestration import api_keys
from core.orchestration.context import Core
from core.orchestration.key_notes import MOST, OTHERS, REST, KeyNotes, Refusal
from core.persistence.queries import api_keys as rows
from tests.api.support import Merchant, code
from tests.support.waiting import wait_until


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class ByHand(KeyNotes):
    """Without its thread: the test says when it writes."""

    def _ensure_thread(self) -> None:
        pass


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def notes(core: Core, clock: Clock) -> KeyNotes:
    return ByHand(core, clock)


@pytest.fixture
def told(owner: Core) -> Callable[[], Sequence[Any]]:
    """The records of refused keys since the test began."""
    with owner.database.unscoped() as connection:
        start = connection.exec_driver_sql("SELECT coalesce(max(number), 0) FROM audit_log").scalar_one()

    def records() -> Sequence[Any]:
        query = "SELECT * FROM audit_log WHERE action = 'api_key.refused' AND number > :start ORDER BY number"
        with owner.database.unscoped() as connection:
            return connection.execute(sa.text(query), {"start": start}).all()

    return records


Told = Callable[[], Sequence[Any]]


def test_an_attacker_writes_one_record_a_minute(notes: KeyNotes, clock: Clock, told: Told) -> None:
    for number in range(1000):
        notes.refused(Refusal("unknown"), f"203.0.113.{number % 200}", f"req_{number}")
        notes.write()
    (record,) = told()
    assert record.details == {"because": "unknown", "times": 1, "addresses": ["203.0.113.0"]}
    clock.now += REST
    notes.write()
    _, record = told()
    assert record.details["times"] == 999
    assert len(record.details["addresses"]) == 5
    clock.now += REST
    notes.write()
    assert len(told()) == 2


def test_what_is_known_is_told_beside_what_is_made_up(notes: KeyNotes, merchant: Merchant, told: Told) -> None:
    """Whoever guesses cannot hide that a revoked key is being tried."""
    for _ in range(500):
        notes.refused(Refusal("unknown"), "203.0.113.1", None)
    notes.refused(Refusal("revoked", merchant.key.id, merchant.scope), "198.51.100.7", "req_1")
    notes.refused(Refusal("wrong_secret", merchant.key.id, merchant.scope), "198.51.100.8", "req_2")
    notes.write()
    found = {(row.details["because"], row.actor, row.from_address, row.merchant_id) for row in told()}
    home = merchant.scope.merchant_id
    assert ("revoked", f"key:{merchant.key.id}", "198.51.100.7", home) in found
    assert ("wrong_secret", "unknown", "198.51.100.8", home) in found
    assert len(found) == 3


def test_memory_is_bound(notes: KeyNotes, told: Told) -> None:
    for number in range(MOST + 50):
        notes.refused(Refusal(f"because {number}"), None, None)
    notes.write()
    found = {row.details["because"]: row.details["times"] for row in told()}
    assert len(found) == MOST + 1
    assert found[OTHERS.because] == 50


def test_what_could_not_be_written_stays_counted(
    notes: KeyNotes, told: Told, monkeypatch: pytest.MonkeyPatch, core: Core
) -> None:
    notes.refused(Refusal("unknown"), None, None)

    def away(*_: Any, **__: Any) -> Any:
        raise sa.exc.OperationalError("away", None, Exception())

    with monkeypatch.context() as patch:
        patch.setattr("core.audit.log.record", away)
        with pytest.raises(sa.exc.OperationalError):
            notes.write()
    notes.refused(Refusal("unknown"), None, None)
    notes.write()
    assert [row.details["times"] for row in told()] == [2]


def test_the_gate_tells_of_each_kind_of_refusal(
    app: Flask, client: FlaskClient, make_merchant: Callable[..., Merchant], owner: Core, told: Told
) -> None:
    merchant = make_merchant(scopes=["payments:read"])
    merchant.post("/v1/payments", {})
    assert code(merchant.get("/admin/v1/merchants")) == (403, "key_kind")
    stranger = api_keys.make_key("test")
    forged = f"{merchant.key.prefix}_{stranger.text.rpartition('_')[2]}"
    for text in (stranger.text, forged, "nonsense"):
        client.get("/v1/payments", headers={"Authorization": f"Bearer {text}"})
    api_keys.revoke(owner, merchant.key.id)
    merchant.get("/v1/payments")

    gate: Gate = app.extensions["tollgate"]
    gate.key_notes.close()
    found = {(row.details["because"], row.details.get("key")) for row in told()}
    ours = merchant.key.id
    assert found >= {("lacks payments:write", ours), ("other_door", ours), ("unknown", None), ("malformed", None)}
    assert ("revoked", ours) in found
    assert all(row.from_address == "127.0.0.1" for row in told())
    assert merchant.key.text.rpartition("_")[2] not in str(told())


def used(owner: Core, key_id: str) -> Any:
    with owner.database.unscoped() as connection:
        query = sa.text("SELECT last_used_at FROM api_keys WHERE id = :id")
        return connection.execute(query, {"id": key_id}).scalar_one()


def test_the_last_use_is_noted_by_the_thread(merchant: Merchant, owner: Core) -> None:
    assert used(owner, merchant.key.id) is None
    merchant.get("/v1/payments")
    wait_until(lambda: used(owner, merchant.key.id) is not None, "the use to be noted")


def test_a_guess_is_no_use_and_costs_the_same(
    merchant: Merchant, owner: Core, core: Core, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An id that exists, with another secret, is asked for and compared as one that does not, and leaves no trace."""
    stranger, forged = (api_keys.make_key("test") for _ in range(2))
    with owner.database.unscoped() as connection:
        statement = sa.text("UPDATE api_keys SET secret_hash = :hash WHERE id = :id")
        connection.execute(statement, {"hash": forged.secret_hash, "id": merchant.key.id})
    asked, compared = list[str](), list[int]()
    real_find, real_compare = rows.find, hmac.compare_digest

    def find(connection: Any, key_id: str) -> Any:
        asked.append(key_id)
        return real_find(connection, key_id)

    def compare(one: Any, other: Any) -> bool:
        compared.append(len(one))
        return real_compare(one, other)

    monkeypatch.setattr(rows, "find", find)
    monkeypatch.setattr(hmac, "compare_digest", compare)
    traces = []
    for text in (merchant.key.text, stranger.text):
        assert api_keys.authenticate(core, text) is None
        traces.append((len(asked), tuple(compared)))
        asked.clear()
        compared.clear()
    assert traces == [(1, (6, 32)), (1, (6, 32))]
    assert used(owner, merchant.key.id) is None
    with owner.database.unscoped() as connection:
        reads_only = "SELECT provolatile FROM pg_proc WHERE proname = 'find_api_key'"
        assert connection.exec_driver_sql(reads_only).scalar_one() == "s"
