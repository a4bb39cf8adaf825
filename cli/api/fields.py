"""A body from `--data` or `--set`, its values read by the types that the document gives them."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from cli.errors import Refused

Schema = Mapping[str, Any]


def parameter_type(schema: Schema) -> click.ParamType[Any]:
    """Choices where the document names them; all else is sent as it was typed, for the service to judge."""
    return click.Choice([str(one) for one in schema["enum"]]) if "enum" in schema else click.STRING


def body_from(data: str | None, given: Sequence[str], schema: Schema, document: Schema) -> Any:
    """None without a body.

    Raises:
        Refused: it cannot be read, or names a secret where others on the machine see it.
    """
    if data is not None and given:
        raise Refused("give the body with --data or with --set, not both")
    if data is not None:
        try:
            return json.loads(read_text(data))
        except ValueError as error:
            raise Refused(f"--data is not JSON: {error}") from None
    if not given:
        return None
    body: dict[str, Any] = {}
    for one in given:
        name, sign, text = one.partition("=")
        if not sign or not re.fullmatch(r"[A-Za-z_][\w-]*(\.[\w-]+)*", name):
            raise Refused("--set takes NAME=VALUE, e.g. --set amount=5000 or --set payment_method.type=token")
        _put(body, name.split("."), _value(list(_variants(schema, name.split("."), document)), name, text), name)
    return body


def read_text(data: str) -> str:
    """Of `JSON`, of `@FILE`, or of standard input for `-`. Raises Refused."""
    if data == "-":
        return sys.stdin.read()
    if not data.startswith("@"):
        return data
    try:
        return Path(data[1:]).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(f"{data[1:]} cannot be read: {error}") from None


def _put(body: dict[str, Any], path: Sequence[str], value: Any, name: str) -> None:
    for part in path[:-1]:
        inner = body.setdefault(part, {})
        if not isinstance(inner, dict):
            raise Refused(f"--set {name}: {part} has a value already")
        body = inner
    body[path[-1]] = value


def _variants(schema: Schema, path: Sequence[str], document: Schema) -> Iterator[Schema]:
    """Every schema that the document allows at a place."""
    if "$ref" in schema:
        yield from _variants(document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[-1]], path, document)
        return
    for several in ("anyOf", "oneOf", "allOf"):
        for one in schema.get(several, ()):
            yield from _variants(one, path, document)
    if not path:
        yield schema
    elif path[0] in schema.get("properties", {}):
        yield from _variants(schema["properties"][path[0]], path[1:], document)
    elif isinstance(schema.get("additionalProperties"), Mapping):
        yield from _variants(schema["additionalProperties"], path[1:], document)


def _value(variants: Sequence[Schema], name: str, text: str) -> Any:
    """A text stays one unless only another type is meant."""
    if any(one.get("format") == "password" for one in variants):
        raise Refused(f"{name} is a secret: others on this machine see arguments; use --data @FILE or --data -")
    types = {kind for one in variants for kind in _types(one)}
    if "null" in types and text == "null":
        return None
    if "integer" in types and re.fullmatch(r"-?[0-9]{1,18}", text):
        return int(text)
    if "number" in types and re.fullmatch(r"-?[0-9]{1,18}(\.[0-9]{1,18})?", text):
        return float(text)
    if "boolean" in types and text in ("true", "false"):
        return text == "true"
    if types & {"object", "array"} and text[:1] in ("{", "["):
        try:
            return json.loads(text)
        except ValueError as error:
            raise Refused(f"--set {name}: this is not JSON: {error}") from None
    return text


def _types(schema: Schema) -> set[str]:
    kinds = schema.get("type", ())
    return {kinds} if isinstance(kinds, str) else set(kinds)
