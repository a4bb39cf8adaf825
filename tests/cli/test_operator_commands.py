"""Keys, accounts and payments as an operator handles them on a running installation."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
import sqlalchemy as sa

from cli.checks import providers
from cli.checks.finding import Situation
from cli.placement import place
from cli.target import find
from core.domain.identifiers import new_id, parse_id
from core.persistence.tables import provider_accounts
from tests.cli.running import Up


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    folder: Path = tmp_path_factory.mktemp("operator")
    started = Up(folder, "--workers", "1")
    try:
        started.ready()
        yield started
    finally:
        started.end()
        place(folder / "data").remove()


def answer(up: Up, *arguments: str, text: str | None = None) -> Any:
    done = up.command(*arguments, "--json", text=text)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def merchant(up: Up) -> str:
    return str(answer(up, "accounts", "list")[0]["merchant"])


def test_key_is_shown_once_works_and_is_revoked(up: Up, merchant: str) -> None:
    made = answer(up, "keys", "create", "--kind", "test", "--merchant", merchant, "--name", "shop")
    assert up.call("GET", "/v1/payments", key=made["key"])[0] == 200
    listed = up.command("keys", "list")
    assert made["id"] in listed.stdout
    assert made["key"] not in listed.stdout
    assert up.command("keys", "revoke", made["id"]).returncode == 0
    assert up.call("GET", "/v1/payments", key=made["key"])[0] == 401


def test_key_of_few_scopes_may_do_little(up: Up, merchant: str) -> None:
    options = ("--kind", "test", "--merchant", merchant, "--name", "reader", "--scope", "payments:read")
    made = answer(up, "keys", "create", *options, "--days", "1")
    assert up.call("GET", "/v1/payments", key=made["key"])[0] == 200
    assert up.call("GET", "/v1/refunds", key=made["key"])[0] == 403


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--kind", "test", "--name", "x"), "belongs to a merchant"),
        (("--kind", "test", "--name", "x", "--merchant", "nobody"), "begins with mer_"),
        (("--kind", "admin", "--name", "x", "--scope", "all"), "unknown scopes: all"),
    ],
)
def test_wrong_key_is_refused_with_a_sentence(up: Up, arguments: tuple[str, ...], sentence: str) -> None:
    done = up.command("keys", "create", *arguments)
    assert done.returncode == 1
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_unknown_key_cannot_be_revoked(up: Up) -> None:
    assert "there is no key nothing" in up.command("keys", "revoke", "nothing").stderr


def test_account_is_checked_at_the_provider_and_never_shows_its_secrets(up: Up) -> None:
    options = ("--provider", "stripe", "--mode", "test", "--name", "Second", "--new-merchant", "Other shop")
    base = ("--api-base", up.details["sandbox"]["stripe"])
    secrets = {"secret_key": "sk_test_unknown_to_the_provider"}
    done = up.command("accounts", "add", *options, *base, "--stdin", text=json.dumps(secrets))
    assert done.returncode == 1
    assert "sk_test_unknown" not in done.stdout + done.stderr
    listed = answer(up, "accounts", "list")
    assert {row["provider"] for row in listed} == {"stripe", "paystack"}
    kept = json.loads((up.cwd / "data" / "secrets.json").read_text())["sandbox_stripe"]
    assert kept not in json.dumps(listed)


def test_an_account_that_is_refused_leaves_no_merchant_behind(up: Up) -> None:
    """So that the same command, put right, makes the merchant once."""
    base = ("--provider", "stripe", "--mode", "test", "--api-base", up.details["sandbox"]["stripe"], "--stdin")
    command = ("accounts", "add", *base, "--name", "Third", "--new-merchant", "Third shop")
    wrong, right = "sk_test_nobody", "sk_test_third"
    key = {"secret_key": right}
    requests.post(f"{up.details['sandbox']['stripe']}/_sandbox/accounts", json=key, timeout=10).raise_for_status()
    assert up.command(*command, text=json.dumps({"secret_key": wrong})).returncode == 1
    assert merchants_called(up, "Third shop") == 0
    assert answer(up, *command, text=json.dumps(key))["id"].startswith("acc_")
    assert merchants_called(up, "Third shop") == 1


@contextmanager
def owner(up: Up) -> Iterator[sa.Connection]:
    engine = sa.create_engine(up.details["migration_database_url"].replace("://", "+psycopg2://", 1))
    with engine.begin() as connection:
        yield connection
    engine.dispose()


def merchants_called(up: Up, name: str) -> int:
    with owner(up) as connection:
        query = sa.text("SELECT count(*) FROM merchants WHERE name = :name")
        return int(connection.execute(query, {"name": name}).scalar_one())


def test_a_suspended_account_is_listed_with_the_reason(up: Up) -> None:
    suspended = "UPDATE provider_accounts SET status = :status, suspended_reason = :reason WHERE id = :id"
    account = {"id": parse_id("provider_account", up.details["accounts"]["paystack"])}
    with owner(up) as connection:
        connection.execute(sa.text(suspended), {"status": "suspended", "reason": "The key was revoked", **account})
    try:
        assert "The key was revoked" in up.command("accounts", "list").stdout
    finally:
        with owner(up) as connection:
            connection.execute(sa.text(suspended), {"status": "enabled", "reason": None, **account})


def test_account_again_is_updated(up: Up, merchant: str) -> None:
    kept = json.loads((up.cwd / "data" / "secrets.json").read_text())
    secrets = {"secret_key": f"sk_test_{kept['sandbox_stripe']}", "webhook_secret": "whsec_other"}
    options = ("--provider", "stripe", "--mode", "test", "--name", "Renamed", "--merchant", merchant)
    base = ("--api-base", up.details["sandbox"]["stripe"])
    saved = answer(up, "accounts", "add", *options, *base, "--stdin", text=json.dumps(secrets))
    assert saved["id"] == up.details["accounts"]["stripe"]
    assert "Renamed" in up.command("accounts", "list").stdout


def test_doctor_warns_of_private_targets_beside_a_live_account(up: Up, merchant: str) -> None:
    data = up.cwd / "data"
    row = {
        "id": new_id(),
        "merchant_id": parse_id("merchant", merchant),
        "mode": "live",
        "provider": "stripe",
        "name": "Live",
        "identity": "acct_live",
        "status": "enabled",
        "priority": 100,
        "credentials_sealed": b"sealed",
        "webhook_secrets_sealed": b"sealed",
        "settings": {},
    }
    engine = sa.create_engine(up.details["migration_database_url"].replace("://", "+psycopg2://", 1))
    with engine.begin() as connection:
        connection.execute(provider_accounts.insert().values(row))
    try:
        # The first finding alone: the next ones would knock at the provider's own address.
        found = next(providers.check(Situation(data, {}, find(data, {}, keep=False))))
        assert (found.subject, found.verdict) == ("Webhook targets", "warning")
    finally:
        with engine.begin() as connection:
            connection.execute(provider_accounts.delete().where(provider_accounts.c.id == row["id"]))
        engine.dispose()


@pytest.mark.parametrize("text", ["", "sk_test_x", '["sk_test_x"]', '{"password": "sk_test_x"}', "{}"])
def test_unreadable_secrets_are_refused_without_showing_them(up: Up, merchant: str, text: str) -> None:
    options = ("--provider", "stripe", "--mode", "test", "--name", "x", "--merchant", merchant, "--stdin")
    done = up.command("accounts", "add", *options, text=text)
    assert done.returncode == 1
    assert "sk_test_x" not in done.stderr
    assert "Traceback" not in done.stderr


def test_timeline_of_a_payment(up: Up) -> None:
    payment = up.pay("shown")
    done = up.command("payments", "show", payment["id"])
    assert done.returncode == 0, done.stderr
    assert payment["id"] in done.stdout
    assert "Sent a charge of 50.00 USD to stripe" in done.stdout
    assert "50.00 USD (5000)" in done.stdout
    assert payment["created_at"] in done.stdout
    kinds = [entry["kind"] for entry in answer(up, "payments", "show", payment["id"])["timeline"]]
    assert kinds[0] == "request.accepted"


def test_declined_payment_says_whose_it_is_and_why_it_failed(up: Up) -> None:
    body = {
        "amount": 1234567,
        "currency": "JPY",
        "reference": "[order] 7",
        "payment_method": {"type": "token", "token": "pm_card_chargeDeclinedInsufficientFunds"},
    }
    _, made = up.call("POST", "/v1/payments", body, Idempotency_Key="declined", Prefer="wait=30")
    payment = made["payment"]
    assert payment["status"] == "failed"
    shown = up.command("payments", "show", payment["id"]).stdout
    assert "[order] 7" in shown
    assert "1,234,567 JPY (1234567)" in shown
    assert payment["decline"]["code"] in shown.split("what happened")[0]


@pytest.mark.parametrize("name", ["pay_", "nonsense", "pay_00000000000000000000000000"])
def test_unknown_payment_is_refused(up: Up, name: str) -> None:
    done = up.command("payments", "show", name)
    assert done.returncode == 1
    assert done.stderr.startswith("tollgate: ")


def test_key_file_is_made_once(up: Up) -> None:
    path = up.cwd / "keys.json"
    assert up.command("keys", "make-file", str(path)).returncode == 0
    before = path.read_text()
    assert path.stat().st_mode & 0o077 == 0
    assert up.command("keys", "make-file", str(path)).returncode == 1
    assert path.read_text() == before


def test_an_account_is_drained_tuned_and_its_webhook_secret_rotated(up: Up) -> None:
    account, why = up.details["accounts"]["stripe"], ("--reason", "planned", "--actor", "ada")
    assert answer(up, "accounts", "drain", account, *why)["status"] == "draining"
    assert answer(up, "accounts", "enable", account, *why)["status"] == "enabled"
    assert answer(up, "accounts", "set", account, "--exclusive", "--pace", "90", *why)["settings"]["exclusive"] is True
    assert answer(up, "accounts", "set", account, "--shared", *why)["settings"]["exclusive"] is False
    secret = "whsec_0123456789abcdef0123456789abcdef"
    options = ("--webhook-secret-only", "--stdin", "--json", *why)
    done = up.command("accounts", "rotate", account, *options, text=json.dumps({"webhook_secret": secret}))
    assert done.returncode == 0, done.stderr
    assert secret not in done.stdout + done.stderr
    assert answer(up, "accounts", "show", account)["open_work"].keys() == {
        "payments",
        "transactions",
        "refunds",
        "disputes",
    }
    twice = up.command("accounts", "enable", account, *why)
    assert (twice.returncode, "enabled already" in twice.stderr) == (1, True)
    assert up.command("accounts", "show", "acc_1").returncode == 1
