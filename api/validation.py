"""Pydantic's findings in our words: the field, and what to do, never the value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

from pydantic import ValidationError

from api.errors import InvalidFields
from core.domain.errors import FieldError

#: Fields whose schema is a choice: pydantic puts the name of the choice behind the field's.
_CHOICES = frozenset({"payment_method", "customer"})
_LONGEST_NAME = 80

#: Pydantic's error type -> sentence; {…} are filled from the rule, never from the input.
_SENTENCES: Mapping[str, str] = {
    "missing": "is required",
    "extra_forbidden": "is not a known field",
    "string_type": "must be a text",
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "must have at most {max_length} characters",
    "string_pattern_mismatch": "does not have the right form",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "int_parsing": "must be a whole number",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "bool_type": "must be true or false",
    "literal_error": "must be one of {expected}",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "list_type": "must be a list",
    "too_long": "must have at most {max_length} entries",
    "too_short": "must have at least {min_length} entries",
    "union_tag_invalid": "must name one of {expected_tags} as its type",
    "union_tag_not_found": "must be an object with a type",
}


def _field(location: tuple[int | str, ...]) -> str:
    parts = list(location)
    if len(parts) > 1 and parts[0] in _CHOICES:
        del parts[1]
    if parts and parts[-1] == "[key]":
        parts = parts[:-2]
    text = ""
    for part in parts:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part[:_LONGEST_NAME]}" if text else part[:_LONGEST_NAME]
    return text or "(body)"


def _sentence(kind: str, context: Mapping[str, Any]) -> str:
    if kind == "value_error":
        return str(context["error"])
    return _SENTENCES.get(kind, "is not valid").format_map(context)


def refuse(error: ValidationError) -> NoReturn:
    """Raises InvalidFields with one entry a field."""
    found = [
        FieldError(_field(one["loc"]), _sentence(one["type"], one.get("ctx", {})))
        for one in error.errors(include_url=False, include_input=False)
    ]
    raise InvalidFields("some fields are missing, unknown or not valid", errors=found)
