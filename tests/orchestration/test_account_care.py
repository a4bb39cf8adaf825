"""Provider accounts in use: rotated with overlap, drained, disabled only without open work, tuned."""

from __future__ import annotations

import secrets
from typing import Any
from uuid import UUID

import pytest

from core.domain.errors import NotFoundError, RequestRefused, StateConflict
from core.domain.identifiers import new_id
from core.orchestration import account_care, accounts
from core.orchestration.review import Person
from core.persistence.database import Scope
from core.persistence.vault import Place
from tests.orchestration import by_hand
from tests.orchestration.test_accounts import count, new_account, save, stored
from tests.support.world import World

ADA = Person("cli:ada", "ticket 7: planned")


@pytest.fixture
def scope(world: World) -> Scope:
    return Scope(accounts.create_merchant(world.admin, "Another shop"), "test")


@pytest.fixture
def account(world: World, scope: Scope) -> UUID:
    return save(world, scope, new_account(world))


def opened(world: World, scope: Scope, account_id: UUID, column: str) -> Any:
    with world.worker.transaction(scope) as connection:
        key = world.worker.vault.merchant_key(connection, scope)
        return key.open_json(Place("provider_accounts", column, account_id), stored(world, account_id)[column])


def actions(world: World, account_id: UUID) -> list[str]:
    query = "SELECT action FROM audit_log WHERE subject_id = :id ORDER BY number"
    return [row["action"] for row in world.rows(query, id=account_id)]


class TestStatus:
    def test_drained_then_disabled_then_enabled_each_in_the_audit_log(
        self, world: World, scope: Scope, account: UUID
    ) -> None:
        for to in ("draining", "disabled", "enabled"):
            assert account_care.set_status(world.admin, scope, account, to, ADA)["status"] == to
        assert actions(world, account)[1:] == [f"provider_account.{to}" for to in ("draining", "disabled", "enabled")]

    def test_one_with_open_work_is_drained_only(self, world: World) -> None:
        stripe = world.accounts["stripe"]
        by_hand.keep_webhooks_back(world)
        held = world.create(capture="manual", provider="stripe")
        world.work()
        with pytest.raises(StateConflict, match="1 payments"):
            account_care.set_status(world.admin, world.scope, stripe, "disabled", ADA)
        assert stored(world, stripe)["status"] == "enabled"

        account_care.set_status(world.admin, world.scope, stripe, "draining", ADA)
        refused = world.post("/v1/payments", world.payment_body(provider="stripe"))
        assert refused.status_code == 422
        assert "draining" in refused.text
        assert world.post(f"/v1/payments/{held['id']}/capture", {}).status_code == 202
        world.work()
        assert world.payment(held["id"])["status"] == "succeeded", "what was begun there is finished there"
        account_care.set_status(world.admin, world.scope, stripe, "disabled", ADA)
        account_care.set_status(world.admin, world.scope, stripe, "enabled", ADA)

    def test_steps_that_are_not_there(self, world: World, scope: Scope, account: UUID) -> None:
        with pytest.raises(StateConflict, match="enabled already"):
            account_care.set_status(world.admin, scope, account, "enabled", ADA)
        with world.owner.begin() as connection:
            connection.exec_driver_sql(
                "UPDATE provider_accounts SET status = 'suspended' WHERE id = %s", (str(account),)
            )
        with pytest.raises(StateConflict, match="accounts rotate"):
            account_care.set_status(world.admin, scope, account, "enabled", ADA)
        with pytest.raises(NotFoundError):
            account_care.set_status(world.admin, scope, new_id(), "draining", ADA)
        with pytest.raises(NotFoundError):
            account_care.set_status(world.admin, world.scope, account, "draining", ADA)


class TestRotation:
    def test_new_key_is_used_and_old_webhook_secret_verifies_on(
        self, world: World, scope: Scope, account: UUID
    ) -> None:
        old = opened(world, scope, account, "webhook_secrets_sealed")[0]["secret"]
        key = opened(world, scope, account, "credentials_sealed")["secret_key"]
        signing = f"whsec_{secrets.token_hex(16)}"
        account_care.rotate(world.admin, scope, account, {"secret_key": key}, [signing], ADA)
        kept = opened(world, scope, account, "webhook_secrets_sealed")
        assert [one["secret"] for one in kept] == [signing, old]
        assert [one["until"] is None for one in kept] == [True, False]
        assert actions(world, account)[-1] == "provider_account.rotated"
        world.advance(73 * 3600)
        account_care.rotate(world.admin, scope, account, {}, [f"whsec_{secrets.token_hex(16)}"], ADA)
        assert old not in str(opened(world, scope, account, "webhook_secrets_sealed"))

    def test_the_credentials_of_another_account_change_nothing(self, world: World, scope: Scope, account: UUID) -> None:
        other, before = new_account(world), dict(stored(world, account))
        with pytest.raises(RequestRefused, match="another account") as caught:
            account_care.rotate(world.admin, scope, account, dict(other.credentials), [], ADA)
        assert caught.value.code == "other_account"
        assert other.credentials["secret_key"] not in str(caught.value)
        assert dict(stored(world, account)) == before
        assert count(world) == count(world)

    def test_those_of_the_other_mode_or_unknown_ones_change_nothing(
        self, world: World, scope: Scope, account: UUID
    ) -> None:
        before = dict(stored(world, account))
        for key in (f"sk_live_{secrets.token_hex(16)}", f"sk_test_{secrets.token_hex(16)}"):
            with pytest.raises(RequestRefused):
                account_care.rotate(world.admin, scope, account, {"secret_key": key}, [], ADA)
        with pytest.raises(RequestRefused, match="give new credentials"):
            account_care.rotate(world.admin, scope, account, {}, [], ADA)
        assert dict(stored(world, account)) == before


class TestTuning:
    def test_what_is_given_is_changed_and_said(self, world: World, scope: Scope, account: UUID) -> None:
        settings = {"exclusive": True, "pacing": {"total": 50}}
        found = account_care.tune(world.admin, scope, account, ADA, name="Main EU", priority=5, settings=settings)
        assert (found["name"], found["priority"], found["settings"]) == ("Main EU", 5, settings)
        account_care.tune(world.admin, scope, account, ADA, name="Main EU")
        assert actions(world, account).count("provider_account.changed") == 1, "nothing changed, nothing told"

    @pytest.mark.parametrize(
        "settings", [{"exclusive": 1}, {"pacing": 5}, {"pacing": {"total": -1}}, {"pacing": {"x": 1}}, {"other": True}]
    )
    def test_what_is_no_setting_is_refused(
        self, world: World, scope: Scope, account: UUID, settings: dict[str, Any]
    ) -> None:
        with pytest.raises(RequestRefused) as caught:
            account_care.tune(world.admin, scope, account, ADA, settings=settings)
        assert caught.value.errors[0].field.startswith("settings.")


def test_a_webhook_secret_alone_ends_no_suspension(world: World, scope: Scope, account: UUID) -> None:
    with world.owner.begin() as connection:
        suspended = "UPDATE provider_accounts SET status = 'suspended', suspended_reason = 'refused' WHERE id = %s"
        connection.exec_driver_sql(suspended, (str(account),))
    found = account_care.rotate(world.admin, scope, account, {}, [f"whsec_{secrets.token_hex(16)}"], ADA)
    assert (found["status"], found["suspended_reason"]) == ("suspended", "refused")


def test_what_changed_while_the_provider_was_asked_stays(
    world: World, scope: Scope, account: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, asked = opened(world, scope, account, "credentials_sealed")["secret_key"], accounts.identify

    def slow(*arguments: Any) -> Any:
        account_care.tune(world.admin, scope, account, ADA, name="Renamed", priority=7)
        return asked(*arguments)

    monkeypatch.setattr(accounts, "identify", slow)
    found = account_care.rotate(world.admin, scope, account, {"secret_key": key}, [], ADA)
    assert (found["name"], found["priority"]) == ("Renamed", 7)
