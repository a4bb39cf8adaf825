"""All of the API in the command: each operation of the document has its own, and they ask a service that runs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from cli.api import asking, fields
from cli.commands import api as commands
from cli.commands.api import Operation, operations
from cli.errors import Refused
from cli.main import tollgate
from core.domain.identifiers import public_id
from core.domain.key_form import make_key
from tests.support.world import World


def every() -> list[tuple[str, Operation]]:
    return [(tag, one) for tag, room in operations().items() for one in room.values()]


def test_every_operation_of_the_document_has_its_command() -> None:
    document = commands.document()
    told = {(m, path) for path, item in document["paths"].items() for m in item}
    context = click.Context(commands.api)
    found = set()
    for tag in commands.api.list_commands(context):  # type: ignore[attr-defined]
        room = commands.api.get_command(context, tag)  # type: ignore[attr-defined]
        assert isinstance(room, click.Group)
        assert room.help
        for name in room.commands:
            operation = operations()[tag][name]
            found.add((operation.method, operation.path))
    assert found == told
    assert len(found) > 90


@pytest.mark.parametrize(("tag", "operation"), every(), ids=lambda one: one if isinstance(one, str) else one.name)
def test_a_command_has_all_its_operation_takes(tag: str, operation: Operation) -> None:
    made = commands.command(operation)
    names = [name for one in made.params for name in (*one.opts, *one.secondary_opts)]
    assert len(names) == len(set(names)), "two options of one name"
    arguments = [one.human_readable_name.lower() for one in made.params if isinstance(one, click.Argument)]
    assert arguments == [one["name"] for one in operation.parameters("path")]
    required = {name for one in made.params if one.required and isinstance(one, click.Option) for name in one.opts}
    for one in operation.parameters("query"):
        option = f"--{one['name'].replace('_', '-')}"
        assert option in names
        assert (option in required) == one.get("required", False)
    for header, option in (("Idempotency-Key", "--idempotency-key"), ("Prefer", "--wait")):
        assert (option in names) >= operation.takes(header)
    assert ("--data" in names) == (operation.content is not None)
    assert ("--key-file" in names) == (operation.door != "public")
    assert not {"--key", "--api-key"} & set(names), "a key is never an argument"
    help_text = made.get_help(click.Context(made))
    assert f"{operation.method.upper()} {operation.path}" in help_text.replace("\n", " ").replace("  ", " ")


SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "amount": {"type": "integer"},
        "rate": {"anyOf": [{"type": "number"}, {"type": "null"}]},
        "name": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "on": {"type": "boolean"},
        "inner": {"$ref": "#/components/schemas/Inner"},
        "list": {"type": "array", "items": {"type": "string"}},
        "metadata": {"type": "object", "additionalProperties": {"type": "string"}},
        "secret": {"type": "string", "format": "password", "writeOnly": True},
        "maybe_secret": {"anyOf": [{"type": "string", "format": "password"}, {"type": "null"}]},
    },
}
DOCUMENT = {
    "components": {"schemas": {"Inner": {"properties": {"deep": {"type": "integer"}, "id": {"type": "string"}}}}}
}


class TestFields:
    @pytest.mark.parametrize(
        ("given", "body"),
        [
            ("amount=5000", {"amount": 5000}),
            ("amount=much", {"amount": "much"}),  # the service says what is wrong with it
            ("rate=0.5", {"rate": 0.5}),
            ("rate=null", {"rate": None}),
            ("name=42", {"name": "42"}),
            ("name=null", {"name": None}),
            ("name=a=b", {"name": "a=b"}),
            ("name=", {"name": ""}),
            ("on=true", {"on": True}),
            ("on=yes", {"on": "yes"}),
            ("inner.deep=3", {"inner": {"deep": 3}}),
            ("inner.id=3", {"inner": {"id": "3"}}),
            ('list=["a"]', {"list": ["a"]}),
            ("metadata.order=7", {"metadata": {"order": "7"}}),
            ("colour=red", {"colour": "red"}),
        ],
    )
    def test_values_have_the_type_of_the_document(self, given: str, body: Any) -> None:
        assert fields.body_from(None, [given], SCHEMA, DOCUMENT) == body

    @pytest.mark.parametrize(
        ("data", "given", "sentence"),
        [
            (None, ["amount"], "NAME=VALUE"),
            (None, ["=1"], "NAME=VALUE"),
            (None, ["name=1", "name.inner=2"], "has a value already"),
            (None, ["list=[1"], "not JSON"),
            (None, ["secret=whsec_1"], "is a secret"),
            (None, ["maybe_secret=whsec_1"], "is a secret"),
            ("{", [], "not JSON"),
            ("{}", ["amount=1"], "not both"),
            ("@/nowhere", [], "cannot be read"),
        ],
    )
    def test_what_cannot_be_taken(self, data: str | None, given: list[str], sentence: str) -> None:
        with pytest.raises(Refused, match=sentence):
            fields.body_from(data, given, SCHEMA, DOCUMENT)

    def test_a_secret_of_the_real_document_is_no_argument(self) -> None:
        content = operations()["admin-accounts"]["add-provider-account"].content
        assert content is not None
        with pytest.raises(Refused, match="is a secret"):
            fields.body_from(None, ["secret_key=sk_test_1"], content, commands.document())

    def test_a_file_holds_the_body(self, tmp_path: Path) -> None:
        (tmp_path / "body").write_text('{"amount": 1}')
        assert fields.body_from(f"@{tmp_path}/body", [], SCHEMA, DOCUMENT) == {"amount": 1}


class TestService:
    KEY = make_key("test").text

    @pytest.mark.parametrize(
        ("environ", "sentence"),
        [
            ({}, "set TOLLGATE_URL"),
            ({"TOLLGATE_URL": "http://127.0.0.1:1"}, "set TOLLGATE_API_KEY"),
            ({"TOLLGATE_URL": "http://pay.example", "TOLLGATE_API_KEY": KEY}, "in clear"),
            ({"TOLLGATE_URL": "ftp://pay.example", "TOLLGATE_API_KEY": KEY}, "an address like"),
            ({"TOLLGATE_URL": "pay.example", "TOLLGATE_API_KEY": KEY}, "an address like"),
        ],
    )
    def test_is_refused(self, tmp_path: Path, environ: dict[str, str], sentence: str) -> None:
        with pytest.raises(Refused, match=sentence) as refused:
            asking.find(tmp_path, None, "merchant", environ)
        assert self.KEY not in str(refused.value)

    @pytest.mark.parametrize(
        "url", ["https://pay.example", "http://127.0.0.1:8000/", "http://localhost:8000", "http://[::1]:8000"]
    )
    def test_is_asked(self, tmp_path: Path, url: str) -> None:
        service = asking.find(tmp_path, None, "merchant", {"TOLLGATE_URL": url, "TOLLGATE_API_KEY": self.KEY})
        assert service == asking.Service(url.rstrip("/"), self.KEY)
        assert self.KEY not in repr(service)

    def test_the_keys_of_a_folder_go_to_no_other_service(self, tmp_path: Path) -> None:
        (tmp_path / "secrets.json").write_text(json.dumps({"test_key": self.KEY, "admin_key": self.KEY}))
        with pytest.raises(Refused, match="set TOLLGATE_API_KEY"):
            asking.find(tmp_path, None, "admin", {"TOLLGATE_URL": "https://pay.example"})

    def test_a_file_that_holds_no_key(self, tmp_path: Path) -> None:
        (tmp_path / "key").write_text("password\n")
        with pytest.raises(Refused, match="this is no API key"):
            asking.find(tmp_path, f"{tmp_path}/key", "merchant", {"TOLLGATE_URL": "https://pay.example"})
        (tmp_path / "key").write_text(f"{self.KEY}\n")
        found = asking.find(tmp_path, f"{tmp_path}/key", "merchant", {"TOLLGATE_URL": "https://pay.example"})
        assert found.key == self.KEY


class TestLive:
    """Against a gate over HTTP, with a worker that is stepped by hand."""

    def ask(self, world: World, *arguments: str, key: str | None = None, text: str | None = None) -> Result:
        environ = {"TOLLGATE_URL": world.url, "TOLLGATE_API_KEY": key or world.test_key}
        return CliRunner().invoke(tollgate, ["api", *arguments], env=environ, input=text)

    def test_a_payment_is_made_repeated_refunded_and_listed(self, world: World) -> None:
        body = {"amount": 700, "currency": "usd", "payment_method": {"type": "token", "token": "pm_card_visa"}}
        same = ("payments", "create-payment", "--data", "-", "--idempotency-key", "from the command")
        first, second = (self.ask(world, *same, text=json.dumps(body)) for _ in range(2))
        assert first.exit_code == 0, first.output
        assert first.stdout == second.stdout
        payment = json.loads(first.stdout)["payment"]["id"]
        world.settle()
        got = self.ask(world, "payments", "get-payment", payment)
        assert json.loads(got.stdout)["status"] == "succeeded"
        back = self.ask(world, "refunds", "refund-payment", payment, "--set", "amount=200")
        assert json.loads(back.stdout)["refund"]["amount"] == 200
        world.settle()
        listed = self.ask(world, "refunds", "list-refunds", "--status", "succeeded", "--payment", payment)
        assert [one["amount"] for one in json.loads(listed.stdout)["data"]] == [200]

    def test_what_the_service_refuses_is_said_and_ends_with_one(self, world: World) -> None:
        refused = self.ask(world, "payments", "create-payment", "--set", "amount=0", "--set", "colour=red")
        assert isinstance(refused.exception, Refused)
        told = str(refused.exception)
        assert "(422 validation_failed)" in told
        assert "  amount: " in told
        assert "  colour: " in told
        assert "request req_" in told
        strange = self.ask(world, "payments", "list-payments", key=make_key("test").text)
        assert "unknown, revoked or expired (401 unauthorized)" in str(strange.exception)
        away = CliRunner().invoke(
            tollgate,
            ["api", "payments", "list-payments"],
            env={"TOLLGATE_URL": "http://127.0.0.1:1", "TOLLGATE_API_KEY": world.test_key},
        )
        assert "does not answer" in str(away.exception)

    def test_an_id_cannot_lead_elsewhere(self, world: World) -> None:
        for name in ("../../healthz", "..%2f..%2fhealthz", "a?b=c", "a/b"):
            assert isinstance(self.ask(world, "payments", "get-payment", name).exception, Refused)

    def test_administrators_ask_too(self, world: World) -> None:
        admin, home = world.make_key("admin"), public_id("merchant", world.merchant_id)
        made = self.ask(world, "admin-keys", "create-api-key", home, "--mode", "test", "--set", "name=made", key=admin)
        key = json.loads(made.stdout)["key"]
        assert self.ask(world, "payments", "list-payments", key=key).exit_code == 0
        report = ("admin-reports", "report-payments", home, "--mode", "test", "--format", "csv")
        days = ("--since", "2026-01-01", "--until", "2026-01-02")
        assert self.ask(world, *report, *days, key=admin).stdout.startswith("currency")
        missing = self.ask(world, "admin-jobs", "list-jobs", home, key=admin)
        assert (missing.exit_code, "--mode" in missing.output) == (2, True)

    def test_what_needs_no_key(self, world: World) -> None:
        assert "tollgate_requests_total" in self.ask(world, "health", "show-metrics").stdout
        forged = self.ask(world, "webhooks", "receive", "stripe", "acc_1", "--data", "{}")
        assert "404" in str(forged.exception)
