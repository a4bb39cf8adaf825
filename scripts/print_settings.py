"""Prints the table of settings for docs/operations.md, from the settings themselves."""

from __future__ import annotations

import sys
from pathlib import Path

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from core.environment import variables
from core.setting_values import Unit
from core.settings import Settings

#: What `tollgate up` and our processes tell each other; nobody sets these by hand.
INTERNAL = ("sandbox", "ready_file", "drain_file")

#: Read by commands alone, which hand each process its own.
OF_COMMANDS = (
    "| `MIGRATION_DATABASE_URL` |  |  | the owner's; for `tollgate migrate`, `up` and the operator's commands only |",
    "| `WORKER_DATABASE_URL` |  |  | the worker's login, where one command makes or starts both |",
)


#: Defaults that are another setting's.
_MADE_FROM = {
    "broker_url": "`REDIS_URL`",
    "merchant_rate_limit": "twice `TOLLGATE_RATE_LIMIT`",
    "route_rate_limit": "`TOLLGATE_RATE_LIMIT`",
}


def shown(value: object) -> str:
    """A default as one would type it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ",".join(map(shown, value))
    return f"{value:.15g}" if isinstance(value, float) else str(value)


def _default(name: str, field: FieldInfo) -> str:
    if name in ("database_url", "key_file"):
        return "required"
    if name in _MADE_FROM:
        return _MADE_FROM[name]
    return "" if field.default in (None, (), PydanticUndefined) else f"`{shown(field.default)}`"


def _unit(field: FieldInfo) -> str:
    return next((one.name for one in field.metadata if isinstance(one, Unit)), "")


def table() -> str:
    """Markdown, one row a setting in the order of the code."""
    lines = ["| variable | default | unit | |", "| --- | --- | --- | --- |"]
    for variable, (name, field) in zip(variables(Settings), Settings.model_fields.items(), strict=True):
        if name not in INTERNAL:
            lines.append(f"| `{variable}` | {_default(name, field)} | {_unit(field)} | {field.description} |")
        if name == "database_url":
            lines += OF_COMMANDS
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.write(table() + "\n")
