"""What all schemas share."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from core.domain.identifiers import PREFIXES
from core.domain.money import MAX_AMOUNT

_SCHEMAS: dict[Any, dict[str, Any]] = {}


class Body(BaseModel):
    """A JSON body: exact types, no unknown fields, values never shown in a repr."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


class Parameters(BaseModel):
    """Query or path parameters: texts, read into their types; unknown ones are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    @classmethod
    def model_json_schema(cls, *args: Any, **options: Any) -> dict[str, Any]:
        # flask-openapi3 asks for the schema on every request; pydantic builds it anew each time.
        asked = (cls, args, tuple(sorted(options.items())))
        if asked not in _SCHEMAS:
            _SCHEMAS[asked] = super().model_json_schema(*args, **options)
        return _SCHEMAS[asked]


class Shown(BaseModel):
    """An answer's shape, for the document."""

    model_config = ConfigDict(extra="forbid")


def _whole_number(value: Any) -> Any:
    """Digits only: what pydantic takes besides ("1_0", "+5", "5.0") is not in our document."""
    if isinstance(value, str):
        if not (value.isascii() and value.isdigit() and len(value) <= 10):
            raise ValueError("must be a whole number")
        return int(value)
    return value


def id_pattern(kind: str) -> str:
    return rf"^{PREFIXES[kind]}_[0-7][0-9a-hjkmnp-tv-z]{{25}}$"


QueryNumber = Annotated[int, BeforeValidator(_whole_number)]
Amount = Annotated[
    int, Field(ge=1, le=MAX_AMOUNT, description="In the currency's minor unit: 5000 is 50.00 USD, or 5000 JPY.")
]
