"""Reads form-encoded parameters as Stripe does: brackets, both list forms, and its refusals."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

from ..ledger import Json
from .errors import StripeError

Reader = Callable[[str, Any], Any]
Spec = dict[str, Reader]

_BRACKETS = re.compile(r"\[([^\[\]]*)\]")


def decode(text: str) -> Json:
    """Nested values out of `a[b]=1&list[]=x&list[0]=y`."""
    result: Json = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        head, bracket, _ = name.partition("[")
        if not bracket:
            result[name] = value
            continue
        _put(result, [head, *_BRACKETS.findall(name)], value)
    return {name: _lists(value) for name, value in result.items()}


def _put(holder: Json, path: list[str], value: str) -> None:
    for step in path[:-1]:
        inner = holder.get(step or str(len(holder)))
        if not isinstance(inner, dict):
            inner = holder[step or str(len(holder))] = {}
        holder = inner
    holder[path[-1] or str(len(holder))] = value


def _lists(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if value and all(name.isdigit() for name in value):
        return [_lists(value[name]) for name in sorted(value, key=int)]
    return {name: _lists(inner) for name, inner in value.items()}


def read(params: Json, spec: Spec, prefix: str = "") -> Json:
    """The parameters with their types; refuses names that `spec` does not know."""
    unknown = [name for name in params if name not in spec]
    if unknown:
        names = ", ".join(_named(prefix, name) for name in unknown)
        plural = "s" if len(unknown) > 1 else ""
        raise StripeError(
            400,
            f"Received unknown parameter{plural}: {names}",
            code="parameter_unknown",
            param=_named(prefix, unknown[0]),
        )
    return {name: spec[name](_named(prefix, name), value) for name, value in params.items()}


def need(params: Json, *names: str) -> None:
    for name in names:
        if params.get(name) is None:
            raise StripeError(400, f"Missing required param: {name}.", code="parameter_missing", param=name)


def _named(prefix: str, name: str) -> str:
    return f"{prefix}[{name}]" if prefix else name


def _invalid(message: str, name: str, code: str | None = None) -> StripeError:
    return StripeError(400, message, code=code, param=name)


def _refuse_empty(name: str, value: Any) -> None:
    if value == "":
        raise _invalid(
            f"You passed an empty string for '{name}'. We assume empty values are an attempt to unset a parameter;"
            f" however '{name}' cannot be unset. You should remove '{name}' from your request or supply a"
            " non-empty value.",
            name,
            "parameter_invalid_empty",
        )


def integer(name: str, value: Any) -> int:
    _refuse_empty(name, value)
    if not isinstance(value, str) or not re.fullmatch(r"-?\d{1,18}", value):
        raise _invalid(f"Invalid integer: {value}", name, "parameter_invalid_integer")
    return int(value)


def positive(name: str, value: Any) -> int:
    number = integer(name, value)
    if number < 1:
        raise _invalid("This value must be greater than or equal to 1.", name, "parameter_invalid_integer")
    return number


def boolean(name: str, value: Any) -> bool:
    _refuse_empty(name, value)
    if value not in ("true", "false"):
        raise _invalid(f"Invalid boolean: {value}", name)
    return bool(value == "true")


def text(name: str, value: Any) -> str | None:
    """A string; the empty one unsets the parameter."""
    if not isinstance(value, str):
        raise _invalid(f"Invalid string: {value}", name)
    if "\x00" in value:
        raise _invalid("Invalid string: null bytes are not allowed", name)
    if len(value) > 5000:
        raise _invalid(
            f"Invalid string: {value[:20]}...; must be at most 5000 characters", name, "parameter_invalid_string"
        )
    return value or None


def limited(longest: int) -> Reader:
    """A string of at most so many characters; the empty one unsets the parameter."""

    def read_limited(name: str, value: Any) -> str | None:
        if isinstance(value, str) and len(value) <= longest:
            return value or None
        message = f"Invalid string: must be at most {longest} characters"
        raise _invalid(message, name, "parameter_invalid_string")

    return read_limited


def url(name: str, value: Any) -> str | None:
    address = text(name, value)
    if address is not None and not re.fullmatch(r"https?://[^\s/]\S*", address):
        raise _invalid("Not a valid URL", name, "url_invalid")
    return address


def choice(*allowed: str) -> Reader:
    def read_choice(name: str, value: Any) -> str:
        _refuse_empty(name, value)
        if value not in allowed:
            listed = ", ".join(allowed[:-1]) + f", or {allowed[-1]}" if len(allowed) > 1 else allowed[0]
            raise _invalid(f"Invalid {name}: must be one of {listed}", name)
        return str(value)

    return read_choice


def anything(name: str, value: Any) -> Any:
    """A parameter that is taken and has no effect here."""
    return value


def texts(name: str, value: Any) -> list[str]:
    if value == "":
        return []
    if not isinstance(value, list):
        raise _invalid("Invalid array", name)
    return [str(item) for item in value]


def metadata(name: str, value: Any) -> Json:
    """Up to 50 keys of 40 characters with values of 500 (docs.stripe.com/api/metadata)."""
    if value == "":
        return {}
    if not isinstance(value, dict):
        raise _invalid("Invalid hash", name)
    if len(value) > 50:
        raise _invalid("Metadata can have up to 50 keys", name)
    for key, text_value in value.items():
        if len(key) > 40:
            raise _invalid(
                f"Metadata keys can have up to 40 characters, but you passed in a key that is {len(key)}"
                f" characters. Invalid key: {key}",
                name,
            )
        if not isinstance(text_value, str) or len(text_value) > 500:
            raise _invalid(
                "Metadata values can have up to 500 characters, but you passed in a value that is"
                f" {len(str(text_value))} characters. Invalid value: {str(text_value)[:40]}",
                name,
            )
    return dict(value)


def mapping(spec: Spec) -> Reader:
    def read_mapping(name: str, value: Any) -> Json:
        if not isinstance(value, dict):
            raise _invalid("Invalid object", name)
        return read(value, spec, name)

    return read_mapping


def merged(old: Json, new: Json) -> Json:
    """Metadata after an update: an empty value removes its key."""
    return {key: value for key, value in (old | new).items() if value != ""}


LIST: Spec = {
    "limit": positive,
    "starting_after": text,
    "ending_before": text,
    "expand": texts,
    "created": anything,
}
