"""`tollgate api`: all of the API, a command for each operation of the document that the program itself builds."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import click

from cli.api import asking, fields
from cli.commands import options
from cli.errors import Refused

_KEY, _WAIT = "Idempotency-Key", "Prefer"
_METHODS = ("get", "post", "patch", "delete")


@dataclass(frozen=True, slots=True)
class Operation:
    """One route of the document."""

    method: str
    path: str
    told: Mapping[str, Any]

    @property
    def name(self) -> str:
        return str(self.told["operationId"]).replace("_", "-")

    @property
    def door(self) -> str:
        scope = self.told.get("x-scope")
        return "public" if scope is None else "admin" if self.path.startswith("/admin/") else "merchant"

    def parameters(self, where: str) -> list[Mapping[str, Any]]:
        return [one for one in self.told.get("parameters", ()) if one["in"] == where]

    def takes(self, header: str) -> bool:
        return any(one["name"] == header for one in self.parameters("header"))

    @property
    def content(self) -> Mapping[str, Any] | None:
        """The schema of the body; None where none is taken, empty where any is."""
        found = self.told.get("requestBody", {}).get("content", {}).get("application/json")
        return None if found is None else found.get("schema", {})


@cache
def document() -> Mapping[str, Any]:
    from api.app import document as build  # imported late: it takes a second

    return build()


@cache
def operations() -> Mapping[str, Mapping[str, Operation]]:
    """{tag: {name: operation}}."""
    found: dict[str, dict[str, Operation]] = {}
    for path, item in document()["paths"].items():
        for method in _METHODS:
            if method in item:
                operation = Operation(method, path, item[method])
                tag = str(operation.told["tags"][0]).replace(" ", "-")
                found.setdefault(tag, {})[operation.name] = operation
    return found


class Tags(click.Group):
    """The rooms of the API by name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(operations())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        room = operations().get(cmd_name)
        if room is None:
            return None
        about = next(one["description"] for one in document()["tags"] if one["name"].replace(" ", "-") == cmd_name)
        return click.Group(cmd_name, {name: command(one) for name, one in room.items()}, help=about, short_help=about)


@click.command(cls=Tags)
def api() -> None:
    """Ask a running service over HTTP: every operation of its OpenAPI document.

    TOLLGATE_URL names it and TOLLGATE_API_KEY holds the key; without the first it is the `tollgate up` of the data
    directory, with that one's own keys. A key is never an argument: others on the machine see those.
    """


def command(operation: Operation) -> click.Command:
    summary = str(operation.told.get("summary", ""))
    about = str(operation.told.get("description", ""))
    text = "\n\n".join(part for part in (f"{summary}.", about, f"{operation.method.upper()} {operation.path}") if part)
    return click.Command(
        operation.name, params=_params(operation), callback=_callback(operation), help=text, short_help=summary
    )


def _params(operation: Operation) -> list[click.Parameter]:
    given: list[click.Parameter] = [click.Argument([f"p_{one['name']}"], metavar=one["name"].upper())
                                    for one in operation.parameters("path")]  # fmt: skip
    for one in operation.parameters("query"):
        schema = one["schema"]
        given.append(
            click.Option(
                [f"--{one['name'].replace('_', '-')}", f"q_{one['name']}"],
                type=fields.parameter_type(schema),
                required=one.get("required", False),
                help=one.get("description") or schema.get("description"),
            )
        )
    if operation.content is not None:
        given.append(click.Option(["--data"], help="The body as JSON, as @FILE, or - for standard input."))
    if operation.content:
        given.append(click.Option(["--set", "sets"], multiple=True, metavar="NAME=VALUE", help="One field; a.b=c."))
    if operation.takes(_KEY):
        given.append(click.Option(["--idempotency-key"], help="Made and printed if not given."))
    if operation.takes(_WAIT):
        given.append(click.Option(["--wait"], type=click.IntRange(1, 30), help="Seconds to wait for the job's end."))
    if operation.door != "public":
        given.append(click.Option(["--key-file"], help="A file that holds the API key; - for standard input."))
    return [*given, _data_dir()]


def _data_dir() -> click.Parameter:
    @options.data_dir
    def carrier() -> None: ...

    made: click.Parameter = carrier.__click_params__[0]  # type: ignore[attr-defined]
    return made


def _callback(operation: Operation) -> Callable[..., None]:
    def run(
        data_dir: Path,
        data: str | None = None,
        sets: tuple[str, ...] = (),
        idempotency_key: str | None = None,
        wait: int | None = None,
        key_file: str | None = None,
        **given: Any,
    ) -> None:
        if data == "-" and key_file == "-":
            raise Refused("standard input holds either the key or the body, not both")
        service = asking.find(data_dir, key_file, operation.door)
        headers: dict[str, str] = {}
        if operation.takes(_KEY):
            headers[_KEY] = idempotency_key or str(uuid4())
            if idempotency_key is None:
                click.echo(f"{_KEY}: {headers[_KEY]}", err=True)
        if wait is not None:
            headers[_WAIT] = f"wait={wait}"
        asking.tell(asking.ask(service, _question(operation, given, headers, data, sets)))

    return run


def _question(
    operation: Operation,
    given: Mapping[str, Any],
    headers: Mapping[str, str],
    data: str | None,
    sets: tuple[str, ...],
) -> asking.Question:
    path = re.sub(r"\{(\w+)\}", lambda name: quote(str(given[f"p_{name[1].lower()}"]), safe=""), operation.path)
    query = {name.removeprefix("q_"): str(value) for name, value in given.items()
             if name.startswith("q_") and value is not None}  # fmt: skip
    body, raw = None, None
    if operation.content is not None and not operation.content:
        raw = fields.read_text(data or "").encode()
    elif operation.content:
        body = fields.body_from(data, sets, operation.content, document())
        if body is None and operation.told["requestBody"].get("required"):
            raise Refused("this needs a body: give it with --set NAME=VALUE, or --data JSON, @FILE or -")
    return asking.Question(operation.method, path, query, headers, body, raw)
