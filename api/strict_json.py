"""Reading a JSON body once, strictly: no doubled keys, no surprises in depth, size, numbers or characters."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from api.errors import InvalidFields, MalformedRequest
from core.domain.card_numbers import holds_card_number
from core.domain.errors import FieldError

MAX_DEPTH = 20  # our deepest schema has three levels
MAX_VALUES = 5_000  # a body of 256 kB could otherwise hold a hundred thousand
MAX_INTEGER = 2**53  # beyond it JSON numbers lose digits in other languages
_MAX_DIGITS = 30  # an integer's text; longer ones are not even converted
_MAX_NAME = 80

#: Control characters; what ends a line or turns its direction, by which a text shows something else than it says; and
#: what no encoder can write. Joiners and marks of direction, which languages need, are let through.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")


class _Doubled(ValueError):
    """A key twice in one object."""


class _TooLong(int):
    """Stands for an integer too long to be converted."""


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _Doubled
    return found


def _integer(text: str) -> int:
    return int(text) if len(text) <= _MAX_DIGITS else _TooLong(MAX_INTEGER + 1)


def _constant(text: str) -> Any:
    raise ValueError(text)


def parse_object(raw: bytes) -> dict[str, Any]:
    """Raises MalformedRequest (400) for what is not one clean object, InvalidFields (422) for what is in it."""
    if not raw.strip():
        raise MalformedRequest("the body is empty; send a JSON object", code="malformed_json")
    try:
        value = json.loads(raw.decode("utf-8"), object_pairs_hook=_pairs, parse_int=_integer, parse_constant=_constant)
    except _Doubled:
        raise MalformedRequest("an object in the body names a key twice", code="duplicate_json_key") from None
    except RecursionError:
        raise _too_deep() from None
    except ValueError:
        raise MalformedRequest("the body is not valid JSON in UTF-8") from None
    if not isinstance(value, dict):
        raise MalformedRequest("the body must be a JSON object", code="body_not_object")
    _check(value)
    return value


def _too_deep() -> MalformedRequest:
    return MalformedRequest(
        f"the body may be nested {MAX_DEPTH} levels deep and hold {MAX_VALUES} values", code="json_too_deep"
    )


def _check(body: dict[str, Any]) -> None:
    wrong: list[FieldError] = []
    for count, (field, value) in enumerate(_walk(body, "", 1)):
        if count >= MAX_VALUES:
            raise _too_deep()
        if isinstance(value, str):
            refuse_card_numbers(field, value)
            if _CONTROL.search(value):
                wrong.append(FieldError(field, "must not hold control characters"))
        elif isinstance(value, int) and abs(value) > MAX_INTEGER:
            refuse_card_numbers(field, str(abs(value)))
            wrong.append(FieldError(field, "must lie between -2^53 and 2^53"))
        elif isinstance(value, int | float):
            refuse_card_numbers(field, f"{abs(value):.0f}")
    if wrong:
        raise InvalidFields("some fields hold characters or numbers that cannot be stored", errors=wrong)


def _walk(value: Any, field: str, depth: int) -> Iterator[tuple[str, Any]]:
    """Every key and every leaf with the path of its field; a bad key is reported under its parent."""
    if depth > MAX_DEPTH:
        raise _too_deep()
    if isinstance(value, dict | list):
        yield field, None
    if isinstance(value, dict):
        for name, part in value.items():
            yield (f"{field}.(name)" if field else "(name)"), name
            yield from _walk(part, f"{field}.{name[:_MAX_NAME]}" if field else name[:_MAX_NAME], depth + 1)
    elif isinstance(value, list):
        for place, part in enumerate(value):
            yield from _walk(part, f"{field}[{place}]", depth + 1)
    else:
        yield field, value


def refuse_card_numbers(field: str, text: str) -> None:
    """Raises InvalidFields naming the field, not the value."""
    if holds_card_number(text):
        raise InvalidFields(
            "card numbers must never be sent here; send a token made by the provider's own script",
            code="card_number_refused",
            errors=[FieldError(field, "looks like a card number")],
        )


def refuse_control_characters(field: str, text: str) -> None:
    """Raises InvalidFields."""
    if _CONTROL.search(text):
        raise InvalidFields(
            f"{field} holds control characters", errors=[FieldError(field, "must not hold control characters")]
        )
