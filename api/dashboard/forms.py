"""Reading what a browser's form sends: strictly, each field once, as plain text."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from urllib.parse import parse_qsl

from flask import g, request

from api import strict_json
from api.errors import InvalidFields, MalformedRequest, WrongContentType
from core.domain.errors import FieldError

_MOST_FIELDS = 60
#: Never looked at for card numbers, since nothing is kept of them but a hash.
_SECRETS = frozenset({"password", "new_password", "again", "code", "csrf"})


def read(raw: bytes) -> dict[str, str]:
    """Raises MalformedRequest, InvalidFields, WrongContentType; never shows a value."""
    if request.mimetype != "application/x-www-form-urlencoded":
        raise WrongContentType("send the form as application/x-www-form-urlencoded")
    try:
        pairs = parse_qsl(
            raw.decode("ascii"), keep_blank_values=True, max_num_fields=_MOST_FIELDS, errors="strict",
            strict_parsing=bool(raw),
        )  # fmt: skip
    except ValueError:
        raise MalformedRequest("the form cannot be read", code="malformed_request") from None
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise InvalidFields("a field of the form is given twice")
    for name, value in pairs:
        for text in (name, value):
            strict_json.refuse_control_characters("form", text)
        if name not in _SECRETS:
            strict_json.refuse_card_numbers(name[:80], value)
    return fields


def field(name: str) -> str:
    """Without spaces around; empty when the form does not have it."""
    found: str = g.form.get(name, "")
    return found.strip()


def secret(name: str) -> str:
    """As it was typed."""
    found: str = g.form.get(name, "")
    return found


def required(name: str, label: str) -> str:
    """Raises InvalidFields."""
    found = field(name)
    if not found:
        raise InvalidFields(f"{label} is missing", errors=[FieldError(name, "must be filled in")])
    return found


def asked(name: str) -> str | None:
    """A parameter of the address, as a filter sends it: empty means that nobody chose."""
    return request.args.get(name, "").strip() or None


def day(name: str, text: str | None, *, end: bool = False) -> datetime | None:
    """The beginning of a day in UTC, or its end. Raises InvalidFields."""
    if text is None:
        return None
    try:
        chosen = date.fromisoformat(text)
        begins = datetime(chosen.year, chosen.month, chosen.day, tzinfo=UTC)
        return begins + timedelta(days=1) if end else begins
    except (ValueError, OverflowError):
        raise InvalidFields("that is no day", errors=[FieldError(name, "must be like 2026-11-30")]) from None
