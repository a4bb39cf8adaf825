"""Provider accounts: identified before they are stored, sealed, one for each identity, enabled by saving anew."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import time
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
import requests

from core.domain.errors import RequestRefused
from core.domain.identifiers import public_id
from core.orchestration import accounts, provider_manager
from core.orchestration.accounts import NewAccount
from core.orchestration.context import Cause
from core.persistence.database import Scope
from core.persistence.vault import Place
from tests.support.world import World


@pytest.fixture
def scope(world: World) -> Scope:
    """A merchant of its own."""
    return Scope(accounts.create_merchant(world.admin, "Another shop"), "test")


def new_account(world: World, provider: str = "stripe", known: bool = True, **changes: Any) -> NewAccount:
    """What an operator enters, with a key the provider knows, or not."""
    key = changes.pop("key", f"sk_test_{secrets.token_hex(16)}")
    if known:
        world.sandboxes[provider].post("accounts", secret_key=key)
    made = NewAccount(
        provider=provider,
        name="Main",
        credentials={"secret_key": key},
        webhook_secrets=[f"whsec_{secrets.token_hex(16)}"],
        api_base=world.sandboxes[provider].url,
    )
    return replace(made, **changes)


def save(world: World, scope: Scope, account: NewAccount) -> UUID:
    return accounts.save_provider_account(world.admin, scope, account, "operator")


def stored(world: World, account_id: UUID) -> Any:
    return world.one("SELECT * FROM provider_accounts WHERE id = :id", id=account_id)


def count(world: World) -> int:
    return int(world.one("SELECT count(*) AS n FROM provider_accounts")["n"])


def audit(world: World, account_id: UUID) -> list[tuple[str, str]]:
    query = "SELECT action, actor FROM audit_log WHERE subject_id = :id ORDER BY number"
    return [(row["action"], row["actor"]) for row in world.rows(query, id=account_id)]


class TestIdentity:
    @pytest.mark.parametrize(("provider", "form"), [("stripe", "acct_"), ("paystack", "integration:")])
    def test_is_the_providers_own_and_kept(self, world: World, scope: Scope, provider: str, form: str) -> None:
        account = new_account(world, provider)
        row = stored(world, save(world, scope, account))
        assert row["identity"].startswith(form)
        assert (row["provider"], row["name"], row["status"], row["mode"]) == (provider, "Main", "enabled", "test")
        assert (row["merchant_id"], row["priority"]) == (scope.merchant_id, 100)

    @pytest.mark.parametrize("provider", ["stripe", "paystack"])
    def test_the_same_one_updates_its_account(self, world: World, scope: Scope, provider: str) -> None:
        account = new_account(world, provider)
        first = save(world, scope, account)
        changes: dict[str, Any] = {"name": "Renamed", "priority": 7, "settings": {"pacing": {"total": 5}}}
        again = save(world, scope, replace(account, **changes, webhook_secrets=["whsec_new"]))
        assert again == first
        row = stored(world, first)
        assert (row["name"], row["priority"], row["settings"]) == ("Renamed", 7, {"pacing": {"total": 5}})
        assert audit(world, first) == [
            ("provider_account.created", "operator"),
            ("provider_account.updated", "operator"),
        ]

    def test_settings_stay_when_none_are_given(self, world: World, scope: Scope) -> None:
        account = new_account(world, settings={"pacing": {"total": 5}})
        account_id = save(world, scope, account)
        save(world, scope, replace(account, settings=None))
        assert stored(world, account_id)["settings"] == {"pacing": {"total": 5}}

    def test_another_one_is_another_account(self, world: World, scope: Scope) -> None:
        one, other = (save(world, scope, new_account(world)) for _ in range(2))
        assert one != other
        assert stored(world, one)["identity"] != stored(world, other)["identity"]

    def test_two_merchants_may_have_the_same_one(self, world: World, scope: Scope) -> None:
        account = new_account(world)
        assert save(world, scope, account) != save(world, world.scope, account)


class TestRefusal:
    def _refused(self, world: World, scope: Scope, account: NewAccount) -> RequestRefused:
        before = count(world)
        with pytest.raises(RequestRefused) as caught:
            save(world, scope, account)
        assert count(world) == before
        said = str(caught.value.detail)
        assert not any(secret in said for secret in (*account.credentials.values(), *account.webhook_secrets) if secret)
        return caught.value

    @pytest.mark.parametrize("provider", ["stripe", "paystack"])
    def test_of_credentials_the_provider_does_not_know(self, world: World, scope: Scope, provider: str) -> None:
        refused = self._refused(world, scope, new_account(world, provider, known=False))
        assert refused.code == "provider_misconfigured"

    @pytest.mark.parametrize("key", ["", "pk_test_123", "whatever", "sk_prod_123"])
    @pytest.mark.parametrize("provider", ["stripe", "paystack"])
    def test_of_what_is_no_secret_key(self, world: World, scope: Scope, provider: str, key: str) -> None:
        refused = self._refused(world, scope, new_account(world, provider, known=False, key=key))
        assert refused.code == "provider_misconfigured"
        assert "begins with" in refused.detail

    @pytest.mark.parametrize("provider", ["stripe", "paystack"])
    def test_of_live_credentials_in_test_mode(self, world: World, scope: Scope, provider: str) -> None:
        account = new_account(world, provider, key=f"sk_live_{secrets.token_hex(16)}")
        assert "live key" in self._refused(world, scope, account).detail

    def test_of_a_live_account_somewhere_else(self, world: World, scope: Scope) -> None:
        """Real money never goes to an address somebody typed."""
        account = new_account(world, key=f"sk_live_{secrets.token_hex(16)}")
        refused = self._refused(world, Scope(scope.merchant_id, "live"), account)
        assert refused.detail == "a live account always talks to the provider's own address"

    def test_of_a_provider_nobody_knows(self, world: World, scope: Scope) -> None:
        refused = self._refused(world, scope, replace(new_account(world), provider="acme"))
        assert "paystack, stripe" in refused.detail

    def test_when_the_provider_cannot_be_reached(self, world: World, scope: Scope) -> None:
        for provider in ("stripe", "paystack"):
            account = replace(new_account(world, provider), api_base="http://127.0.0.1:9")
            assert self._refused(world, scope, account).code == "provider_misconfigured"


class TestSealing:
    def test_what_is_stored_opens_at_its_own_row_only(self, world: World, scope: Scope) -> None:
        account = new_account(world)
        account_id = save(world, scope, account)
        row = stored(world, account_id)
        with world.worker.transaction(scope) as connection:
            key = world.vault.merchant_key(connection, scope)
            opened = {
                column: key.open_json(Place("provider_accounts", column, account_id), row[column])
                for column in ("credentials_sealed", "webhook_secrets_sealed")
            }
        assert opened["credentials_sealed"] == account.credentials
        kept = [{"secret": one, "until": None} for one in account.webhook_secrets]
        assert opened["webhook_secrets_sealed"] == kept

    def test_lists_show_no_secret(self, world: World, scope: Scope) -> None:
        account = new_account(world)
        account_id = save(world, scope, account)
        (shown,) = accounts.list_accounts(world.admin, scope)
        name = public_id("provider_account", account_id)
        assert (shown["id"], shown["webhook_path"]) == (name, f"/webhooks/stripe/{name}")
        text = repr(shown) + repr(account)
        assert not any(secret in text for secret in (*account.credentials.values(), *account.webhook_secrets))
        assert not any(isinstance(value, bytes) for value in shown.values())

    def test_lists_show_this_merchants_alone(self, world: World, scope: Scope) -> None:
        save(world, scope, new_account(world))
        found = accounts.list_accounts(world.admin, world.scope)
        assert {one["provider"] for one in found} == {"stripe", "paystack"}
        assert accounts.list_accounts(world.admin, Scope(scope.merchant_id, "live")) == []


class TestRotation:
    """Events that were signed with the secret that was replaced are still on their way."""

    def _told(self, world: World, account_id: UUID, secret: str) -> int:
        body = json.dumps({"id": f"evt_{secrets.token_hex(8)}", "object": "event", "type": "balance.available"})
        stamp = int(time.time())
        signature = hmac.new(secret.encode(), f"{stamp}.{body}".encode(), hashlib.sha256).hexdigest()
        address = f"{world.url}/webhooks/stripe/{public_id('provider_account', account_id)}"
        headers = {"Stripe-Signature": f"t={stamp},v1={signature}", "Content-Type": "application/json"}
        return requests.post(address, data=body, headers=headers, timeout=10).status_code

    def test_a_replaced_webhook_secret_verifies_for_three_days_more(self, world: World, scope: Scope) -> None:
        account = replace(new_account(world), webhook_secrets=["whsec_old"])
        account_id = save(world, scope, account)
        assert save(world, scope, replace(account, webhook_secrets=["whsec_new"])) == account_id
        provider_manager.forget(world.api, account_id)
        assert [self._told(world, account_id, one) for one in ("whsec_new", "whsec_old", "whsec_other")] == [
            200,
            200,
            401,
        ]

        world.advance(accounts.ROTATION_OVERLAP + 60)
        provider_manager.forget(world.api, account_id)
        assert [self._told(world, account_id, one) for one in ("whsec_new", "whsec_old")] == [200, 401]


class TestSuspended:
    CAUSE = Cause("answer", "worker")

    def _suspend(self, world: World, scope: Scope, account_id: UUID) -> None:
        self._refuse(world, scope, self._opened(world, scope, account_id))

    def _opened(self, world: World, scope: Scope, account_id: UUID) -> provider_manager.OpenedAccount:
        with world.worker.transaction(scope) as connection:
            return provider_manager.open_account(world.worker, connection, scope, account_id)

    def _refuse(self, world: World, scope: Scope, opened: provider_manager.OpenedAccount) -> None:
        with world.worker.transaction(scope) as connection:
            provider_manager.suspend(world.worker, connection, scope, opened, "the key was refused", self.CAUSE)

    def test_is_alarmed_once(self, world: World, scope: Scope) -> None:
        account_id = save(world, scope, new_account(world))
        for _ in range(2):
            self._suspend(world, scope, account_id)
        row = stored(world, account_id)
        assert (row["status"], row["suspended_reason"]) == ("suspended", "the key was refused")
        assert audit(world, account_id)[1:] == [("provider_account.suspended", "worker")]
        query = "SELECT kind FROM findings WHERE merchant_id = :id"
        assert [one["kind"] for one in world.rows(query, id=scope.merchant_id)] == ["provider_misconfigured"]

    def test_saving_enables_it_again(self, world: World, scope: Scope) -> None:
        account = new_account(world)
        account_id = save(world, scope, account)
        self._suspend(world, scope, account_id)
        assert save(world, scope, account) == account_id
        row = stored(world, account_id)
        assert (row["status"], row["suspended_reason"]) == ("enabled", None)

    def test_a_refusal_of_what_was_replaced_meanwhile_says_nothing(self, world: World, scope: Scope) -> None:
        account = new_account(world)
        account_id = save(world, scope, account)
        old = self._opened(world, scope, account_id)
        save(world, scope, account)
        self._refuse(world, scope, old)
        assert stored(world, account_id)["status"] == "enabled"

    @pytest.mark.parametrize("status", ["draining", "disabled"])
    def test_what_a_person_chose_is_not_undone_by_saving(self, world: World, scope: Scope, status: str) -> None:
        account = new_account(world)
        account_id = save(world, scope, account)
        with world.owner.begin() as connection:
            update = "UPDATE provider_accounts SET status = %s WHERE id = %s"
            connection.exec_driver_sql(update, (status, str(account_id)))
        save(world, scope, account)
        assert stored(world, account_id)["status"] == status

    def test_a_payment_finds_nobody_until_then(self, world: World, scope: Scope) -> None:
        account = new_account(world)
        account_id = save(world, scope, account)
        key = world.make_key("test", merchant_id=scope.merchant_id)
        self._suspend(world, scope, account_id)
        refused = world.post("/v1/payments", world.payment_body(), key=key)
        assert (refused.status_code, refused.json()["code"]) == (422, "provider_misconfigured")
        assert refused.json()["errors"] == [{"field": "provider", "message": "stripe: the account is suspended"}]
        save(world, scope, account)
        taken = world.post("/v1/payments", world.payment_body(), key=key)
        assert taken.status_code == 202
        world.work()
        payment = world.get(f"/v1/payments/{taken.json()['payment']['id']}", key=key).json()
        assert payment["status"] == "succeeded"


def test_changed_credentials_are_used_at_once_where_they_were_changed(world: World, scope: Scope) -> None:
    """Other processes take them up within seconds; the one that saved must not go on with the old."""
    account = new_account(world)
    account_id = save(world, scope, account)
    with world.admin.transaction(scope) as connection:
        before = provider_manager.open_account(world.admin, connection, scope, account_id)
    save(world, scope, replace(account, settings={"pacing": {"total": 5}}))
    with world.admin.transaction(scope) as connection:
        after = provider_manager.open_account(world.admin, connection, scope, account_id)
    assert (before.settings, after.settings) == ({}, {"pacing": {"total": 5}})
