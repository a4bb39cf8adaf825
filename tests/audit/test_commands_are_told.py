"""Every command that changes something leaves a record with the operator's name; one that no table knows fails."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import click
import pytest
from click.testing import CliRunner

from cli.main import COMMANDS, tollgate
from core.orchestration import accounts, installation
from core.providers.base import AccountIdentity
from tests.audit.desk import WHY, Desk
from tests.support.world import World

REASON = ("--reason", WHY["reason"])
#: What only reads, or acts on a file and no installation.
READS = frozenset(
    name.strip()
    for name in """
    doctor; keys list; keys identify; keys make-file; admin list; admin sessions; admin code; accounts list;
    accounts show; accounts health; routes list; routes show; routes validate; routes explain; payments show; jobs list;
    jobs show; inbox list; inbox show; reconcile list; reconcile show; payouts list; payouts show; payouts export;
    reports payments; reports settlements; audit public-key; audit verify; audit list; audit check; findings list;
    findings show; sealing status
    """.split(";")
)
#: What others show: a schema that changes is told by `cli.migrating`, the next two start all the rest, and the last
#: waits for the runs that `reconcile run` begins.
ELSEWHERE = frozenset({"migrate", "up", "demo", "reconcile verify"})


@dataclass
class Till:
    """The operator at the machine."""

    desk: Desk
    folder: Path

    def run(self, *arguments: str, text: str | None = None) -> str:
        world = self.desk.world
        env = {
            "DATABASE_URL": world.urls.api,
            "WORKER_DATABASE_URL": world.urls.worker,
            "MIGRATION_DATABASE_URL": world.urls.owner,
            "REDIS_URL": world.settings.redis_url,
            "TOLLGATE_KEY_FILE": str(self.folder / "keys.json"),
        }
        done = CliRunner().invoke(tollgate, [*arguments, "--data-dir", str(self.folder)], env=env, input=text)
        assert done.exit_code == 0, (done.output, done.exception)
        return done.stdout

    def file(self) -> str:
        path = self.folder / f"{uuid4().hex}.json"
        path.write_text(json.dumps(self.desk.definition()["definition"]))
        return str(path)

    def person(self) -> str:
        name = f"ada-{uuid4().hex[:8]}"
        self.run("admin", "create", name, "--temporary")
        return name

    def window(self) -> list[str]:
        body = self.desk.run_body()
        since, until = (body[name][:19] for name in ("since", "until"))
        return [
            "--account",
            body["provider_account"],
            "--kind",
            "two_way",
            "--no-wait",
            "--since",
            since,
            "--until",
            until,
        ]


Act = Callable[[Till], Any]
_SECRETS = {"secret_key": "sk_test_of_the_walk", "publishable_key": "pk_test_x", "webhook_secret": "whsec_of_the_walk"}


def _of_account(verb: str, *more: str) -> Act:
    return lambda t: t.run("accounts", verb, t.desk.account(), *REASON, *more)


def _enabled(till: Till) -> None:
    account = till.desk.account()
    till.run("accounts", "drain", account, *REASON)
    till.run("accounts", "enable", account, *REASON)


def _rolled_back(till: Till) -> None:
    first = till.desk.active()
    till.desk.active()
    till.run("routes", "rollback", *REASON, "--mode", "test", "--merchant", till.desk.shop_id(), "--to", str(first))


def _resumed(till: Till) -> None:
    with till.desk.world.owner.begin() as connection:
        connection.exec_driver_sql("SELECT pause_installation('the walk')")
    till.run("resume", *REASON, "--yes")


ACTS: Mapping[str, Act] = {
    "keys create": lambda t: t.run("keys", "create", "--kind", "test", "--merchant", t.desk.shop_id(), "--name", "x"),
    "keys rotate": lambda t: t.run("keys", "rotate", t.desk.key("test")),
    "keys expire": lambda t: t.run("keys", "expire", t.desk.key("test"), "--in", "24h"),
    "keys revoke": lambda t: t.run("keys", "revoke", t.desk.key("test")),
    "admin create": lambda t: t.person(),
    "admin role": lambda t: t.run("admin", "role", t.person(), "admin"),
    "admin disable": lambda t: t.run("admin", "disable", t.person()),
    "admin enable": lambda t: (lambda who: (t.run("admin", "disable", who), t.run("admin", "enable", who)))(t.person()),
    "admin reset-password": lambda t: t.run("admin", "reset-password", t.person(), "--temporary"),
    "admin reset-code": lambda t: t.run("admin", "reset-code", t.person()),
    "admin end-sessions": lambda t: t.run("admin", "end-sessions", t.person()),
    "accounts add": lambda t: t.run(
        *"accounts add --provider stripe --mode test --name walk --stdin --merchant".split(),
        t.desk.shop_id(),
        text=json.dumps(_SECRETS),
    ),
    "accounts enable": _enabled,
    "accounts drain": _of_account("drain"),
    "accounts disable": _of_account("disable"),
    "accounts rotate": lambda t: t.run(
        *("accounts", "rotate", t.desk.account(), *REASON, "--webhook-secret-only", "--stdin"),
        text=json.dumps({"webhook_secret": "whsec_of_the_walk"}),
    ),
    "accounts set": _of_account("set", "--priority", "9"),
    "routes draft": lambda t: t.run(
        "routes", "draft", t.file(), *REASON, "--mode", "test", "--merchant", t.desk.shop_id()
    ),
    "routes activate": lambda t: t.run(
        *("routes", "activate", str(t.desk.route()), *REASON, "--mode", "test", "--merchant", t.desk.shop_id())
    ),
    "routes rollback": _rolled_back,
    "resume": _resumed,
    "jobs requeue": lambda t: t.run("jobs", "requeue", t.desk.job("needs_review"), *REASON),
    "jobs resolve": lambda t: t.run(
        "jobs", "resolve", t.desk.job("needs_review"), *REASON, "--as", "not-executed", "--yes-i-checked"
    ),
    "jobs cancel": lambda t: t.run("jobs", "cancel", t.desk.job("queued"), *REASON),
    "inbox replay": lambda t: (t.desk.payment(), t.run("inbox", "replay", t.desk.inbox_event(), *REASON)),
    "reconcile run": lambda t: t.run("reconcile", "run", *t.window()),
    "audit export": lambda t: t.run("audit", "export", "--last", "3"),
    "findings assign": lambda t: t.run("findings", "assign", t.desk.finding(), *REASON, "--to", "ada"),
    "findings resolve": lambda t: t.run("findings", "resolve", t.desk.finding(), *REASON, "--as", "done"),
    "sealing add": lambda t: t.run("sealing", "add", "kek"),
    "sealing drop": lambda t: (t.run("sealing", "add", "kek"), t.run("sealing", "drop", "kek", "2")),
    # The last: from here on the world's own keys are old ones.
    "sealing rotate": lambda t: (t.run("sealing", "add", "kek"), t.run("sealing", "rotate", "kek", "--detach")),
}


@pytest.fixture
def till(world: World, tmp_path: Path) -> Till:
    file = tmp_path / "keys.json"
    file.write_text(world.key_text)
    file.chmod(0o600)
    return Till(Desk(world, world.make_key("admin")), tmp_path)


def commands() -> Iterator[str]:
    def walk(command: click.Command, name: str) -> Iterator[str]:
        if isinstance(command, click.Group):
            for word, inner in command.commands.items():
                yield from walk(inner, f"{name} {word}")
        else:
            yield name

    for name, (module, _) in COMMANDS.items():
        yield from walk(getattr(importlib.import_module(module), name), name)


def test_the_tables_hold_every_command() -> None:
    assert sorted(commands()) == sorted([*ACTS, *READS, *ELSEWHERE]), "say here what it changes, or that it reads"


@pytest.mark.parametrize("command", ACTS)
def test_it_leaves_a_record_with_the_operators_name(till: Till, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounts, "identify", lambda core, mode, account: AccountIdentity(f"acct_{uuid4().hex}", mode))
    before = till.desk.world.one("SELECT coalesce(max(number), 0) AS number FROM audit_log")["number"]
    ACTS[command](till)
    query = (
        "SELECT actor, action FROM audit_log WHERE number > :before AND actor <> 'cli:system' "
        "AND (actor LIKE 'cli:%' OR actor LIKE 'person:%')"
    )
    assert till.desk.world.rows(query, before=before), "nothing says who did it"
    assert installation.examine(till.desk.world.admin).because is None
