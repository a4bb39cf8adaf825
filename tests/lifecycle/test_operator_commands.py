"""Keys, accounts and payments as an operator handles them on a running installation."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
import sqlalchemy as sa

from cli.checks import providers
from cli.checks.finding import Situation
from cli.target import find
from core.domain.identifiers import new_id, parse_id
from core.domain.key_form import checksum, make_key
from core.persistence.tables import provider_accounts
from tests.support.running import Up


@pytest.fixture(scope="module")
def merchant(up: Up) -> str:
    return str(up.answer("accounts", "list")[0]["merchant"])


def test_key_is_shown_once_works_and_is_revoked(up: Up, merchant: str) -> None:
    made = up.answer("keys", "create", "--kind", "test", "--merchant", merchant, "--name", "shop")
    assert up.call("GET", "/v1/payments", key=made["key"])[0] == 200
    listed = up.command("keys", "list")
    assert made["id"] in listed.stdout
    assert made["key"] not in listed.stdout
    assert up.command("keys", "revoke", made["id"]).returncode == 0
    assert up.call("GET", "/v1/payments", key=made["key"])[0] == 401


def test_key_of_few_scopes_may_do_little(up: Up, merchant: str) -> None:
    options = ("--kind", "test", "--merchant", merchant, "--name", "reader", "--scope", "payments:read")
    made = up.answer("keys", "create", *options, "--days", "1")
    assert up.call("GET", "/v1/payments", key=made["key"])[0] == 200
    assert up.call("GET", "/v1/refunds", key=made["key"])[0] == 403


def test_an_admin_key_of_a_role_may_do_what_the_role_may(up: Up, merchant: str) -> None:
    made = up.answer("keys", "create", "--kind", "admin", "--name", "desk", "--role", "viewer")
    home = f"/admin/v1/merchants/{merchant}"
    assert up.call("GET", f"{home}/jobs?mode=test", key=made["key"])[0] == 200
    body = {"kind": "two_way", "provider_account": "pa_1", "since": "2026-01-01T00:00:00Z"}
    assert up.call("POST", f"{home}/reconciliation/runs?mode=test", body, key=made["key"])[0] == 403


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--kind", "test", "--name", "x"), "belongs to a merchant"),
        (("--kind", "test", "--name", "x", "--merchant", "nobody"), "begins with mer_"),
        (("--kind", "admin", "--name", "x", "--scope", "all"), "unknown scopes: all"),
        (("--kind", "admin", "--name", "x", "--scope", "payments:*"), "unknown scopes: payments:*"),
        (("--kind", "test", "--name", "x", "--role", "support"), "--role is for an admin key"),
        (("--kind", "admin", "--name", "x", "--role", "support", "--scope", "admin:read"), "instead of --scope"),
    ],
)
def test_wrong_key_is_refused_with_a_sentence(up: Up, arguments: tuple[str, ...], sentence: str) -> None:
    done = up.command("keys", "create", *arguments)
    assert done.returncode == 1
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_key_is_rotated_with_an_overlap_and_ends(up: Up, merchant: str) -> None:
    old = up.answer("keys", "create", "--kind", "test", "--merchant", merchant, "--name", "shop", "--days", "9")
    new = up.answer("keys", "rotate", old["id"], "--overlap", "2h", "--reason", "leaked")
    assert [up.call("GET", "/v1/payments", key=one["key"])[0] for one in (old, new)] == [200, 200]
    again = up.command("keys", "rotate", old["id"])
    assert again.returncode == 1
    assert f"was rotated to {new['id']} already" in again.stderr
    assert up.answer("keys", "expire", new["id"], "--in", "1h")["state"] == "active"
    assert "ends earlier" in up.command("keys", "expire", new["id"], "--in", "2h").stderr
    assert up.answer("keys", "revoke", old["id"], "--reason", "seen in a log")["ended_by"].startswith("cli:")
    rows = {one["id"]: one for one in up.answer("keys", "list")}
    assert (rows[old["id"]]["state"], rows[new["id"]]["state"]) == ("revoked", "active")
    assert rows[new["id"]]["replaces"] == old["id"]


class TestIdentify:
    def test_a_leaked_key_is_found_in_a_text_and_not_repeated(self, up: Up, merchant: str) -> None:
        made = up.answer("keys", "create", "--kind", "test", "--merchant", merchant, "--name", "leaky")
        stranger, body = make_key("live"), f"tg_test_{made['id']}_{'a' * 43}"
        spoilt = made["key"][:-1] + ("a" if made["key"][-1] != "a" else "b")
        other = body + checksum(body)
        text = f"export KEY={made['key']}\n{stranger.text}\n{spoilt} {other} tg_test_{made['id']}_…\n"
        done = up.command("keys", "identify", text=text)
        assert done.returncode == 0, done.stderr
        assert f"tollgate keys revoke {made['id']}" in done.stdout
        assert f"“leaky”, of {merchant}, test mode: active, never used" in done.stdout
        for secret in (made["key"], spoilt, other, stranger.text):
            assert secret.rpartition("_")[2] not in done.stdout + done.stderr
        found = up.answer("keys", "identify", text=text)
        assert [(one["match"], one["checksum"]) for one in found] == [
            ("key", True),
            ("unknown", True),
            ("mistyped", False),
            ("other_secret", True),
            ("prefix", None),
        ]
        assert up.command("keys", "revoke", made["id"]).returncode == 0
        assert up.answer("keys", "identify", text=made["key"])[0]["key"]["state"] == "revoked"

    def test_a_text_without_keys_is_said_to_hold_none(self, up: Up) -> None:
        done = up.command("keys", "identify", text="nothing here, not even tg_test_short")
        assert done.returncode == 1
        assert "holds nothing with the form of a key" in done.stderr


def test_the_api_is_asked_with_the_keys_of_the_folder_whose_service_runs(up: Up, merchant: str) -> None:
    made = up.command("api", "payments", "create-payment", "--wait", "20", *PAYMENT)
    assert made.returncode == 0, made.stderr
    assert made.stderr.startswith("Idempotency-Key: ")
    payment = json.loads(made.stdout)["payment"]
    assert payment["status"] == "succeeded"
    found = up.command("api", "admin-payments", "get-payment-of-merchant", merchant, payment["id"], "--mode", "test")
    assert json.loads(found.stdout)["id"] == payment["id"]
    missing = up.command("api", "payments", "get-payment", "pay_1")
    assert (missing.returncode, missing.stdout) == (1, "")
    assert "there is nothing with this id" in missing.stderr


PAYMENT = tuple(
    part
    for field in ("amount=700", "currency=usd", "payment_method.type=token", "payment_method.token=pm_card_visa")
    for part in ("--set", field)
)


def test_unknown_key_cannot_be_revoked(up: Up) -> None:
    assert "there is no key nothing" in up.command("keys", "revoke", "nothing").stderr


def test_account_is_checked_at_the_provider_and_never_shows_its_secrets(up: Up) -> None:
    options = ("--provider", "stripe", "--mode", "test", "--name", "Second", "--new-merchant", "Other shop")
    base = ("--api-base", up.details["sandbox"]["stripe"])
    secrets = {"secret_key": "sk_test_unknown_to_the_provider"}
    done = up.command("accounts", "add", *options, *base, "--stdin", text=json.dumps(secrets))
    assert done.returncode == 1
    assert "sk_test_unknown" not in done.stdout + done.stderr
    listed = up.answer("accounts", "list")
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
    assert up.answer(*command, text=json.dumps(key))["id"].startswith("acc_")
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
    saved = up.answer("accounts", "add", *options, *base, "--stdin", text=json.dumps(secrets))
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
    entries = up.answer("payments", "show", payment["id"])["timeline"]
    assert entries[0]["kind"] == "request.accepted"
    [route] = [entry for entry in entries if entry["kind"] == "route.decided"]
    words = " ".join(done.stdout.split())
    assert route["details"]["in_words"]
    assert all(" ".join(sentence.split()) in words for sentence in route["details"]["in_words"])
    assert f"({payment['provider_account']})" in words, "the account by its name"


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
    assert up.answer("accounts", "drain", account, *why)["status"] == "draining"
    assert up.answer("accounts", "enable", account, *why)["status"] == "enabled"
    assert up.answer("accounts", "set", account, "--exclusive", "--pace", "90", *why)["settings"]["exclusive"] is True
    assert up.answer("accounts", "set", account, "--shared", *why)["settings"]["exclusive"] is False
    secret = "whsec_0123456789abcdef0123456789abcdef"
    options = ("--webhook-secret-only", "--stdin", "--json", *why)
    done = up.command("accounts", "rotate", account, *options, text=json.dumps({"webhook_secret": secret}))
    assert done.returncode == 0, done.stderr
    assert secret not in done.stdout + done.stderr
    assert up.answer("accounts", "show", account)["open_work"].keys() == {
        "payments",
        "transactions",
        "refunds",
        "disputes",
    }
    twice = up.command("accounts", "enable", account, *why)
    assert (twice.returncode, "enabled already" in twice.stderr) == (1, True)
    assert up.command("accounts", "show", "acc_1").returncode == 1


def test_a_route_is_drafted_explained_activated_and_rolled_back(up: Up, merchant: str, tmp_path: Path) -> None:
    of = ("--merchant", merchant)
    listed = [
        row for row in up.answer("accounts", "list") if row["merchant"] == merchant and row["status"] == "enabled"
    ]
    by_provider = {row["provider"]: row["id"] for row in listed}
    rule = {"name": "naira", "when": {"currency": ["NGN"]}, "then": {"accounts": [by_provider["paystack"]]}}
    definition = {"rules": [rule], "default": {"then": {"accounts": [by_provider["stripe"]]}}}
    file = tmp_path / "route.json"
    file.write_text(json.dumps(definition))
    because = ("--reason", "a test")

    assert up.answer("routes", "validate", str(file), *of) == {"valid": True, "errors": [], "warnings": []}
    made = up.answer("routes", "draft", str(file), *of, *because, "--note", "naira to Paystack")
    assert (made["version"], made["status"]) == (1, "draft")
    said = up.command("routes", "explain", *of, "--version", "1", "--currency", "ngn", "--amount", "500000")
    assert "Rule naira of route version 1 applies." in said.stdout
    assert "(stripe) is left out: rule naira of route version 1 does not name it." in said.stdout
    assert up.answer("routes", "activate", "1", *of, *because)["status"] == "active"
    again = up.command("routes", "activate", "1", *of, *because)
    assert (again.returncode, "active already" in again.stderr) == (1, True)
    shown = up.command("routes", "list", *of)
    assert "naira to Paystack" in shown.stdout
    assert up.answer("routes", "show", *of)["definition"] == definition
    assert up.answer("routes", "rollback", *of, *because) == {"retired": 1, "active": None}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "is not the JSON of a definition"),
        ('{"rules": [], "rules": []}', "names 'rules' twice"),
        (
            '{"default": {"then": {"accounts": ["acc_00000000000000000000000000"]}}}',
            "no account of this merchant and mode",
        ),
        (
            '{"default": {"then": {"weights": {"acc_00000000000000000000000000": 7}}}}',
            "add up to 7, and must add up to 100",
        ),
        ('{"rules": [{"name": "r", "when": {"amount": {"min": 2, "max": 1}}}]}', "no amount lies between them"),
    ],
)
def test_a_wrong_route_is_refused_with_its_place(up: Up, merchant: str, text: str, sentence: str) -> None:
    of = ("--merchant", merchant)
    drafted = up.command("routes", "draft", "-", *of, "--reason", "a test", text=text)
    assert drafted.returncode == 1
    assert sentence in drafted.stderr
    assert "Traceback" not in drafted.stderr
    checked = up.command("routes", "validate", "-", *of, text=text)
    assert checked.returncode == 1
    assert sentence in checked.stdout + checked.stderr


def test_how_an_account_stands(up: Up) -> None:
    account = up.answer("accounts", "list")[0]["id"]
    found = up.answer("accounts", "health", account)
    assert (found["account"], found["status"]) == (account, "enabled")
    assert f"{account} is enabled." in up.command("accounts", "health", account).stdout
