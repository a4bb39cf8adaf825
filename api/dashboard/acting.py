"""An act that is refused is told on the page it was asked from, with everything that was typed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from flask import Response, g

from api.dashboard import forms
from api.errors import InvalidFields, status_of
from core.domain.errors import FieldError, RequestRefused, StateConflict, TollgateError

#: What is told in place; everything else is a page of its own.
_IN_PLACE = (InvalidFields, RequestRefused, StateConflict)


@dataclass(frozen=True, slots=True)
class Refused:
    """Why, field by field, and what was typed, by name. Without an error it is a form that nobody has sent yet."""

    detail: str = ""
    errors: Mapping[str, str] = field(default_factory=dict)
    typed: Mapping[str, str] = field(default_factory=dict)
    act: str = ""
    status: int = 200

    def value(self, act: str, name: str, default: str = "") -> str:
        """What stands in a field: what was typed into this act's form, or what it begins with."""
        return self.typed.get(name, "") if self.act == act else default

    def error(self, act: str, name: str) -> str:
        return self.errors.get(name, "") if self.act == act else ""


NOT_YET = Refused()


def attempt(act: str, do: Callable[[], Response], show: Callable[[Refused], Response]) -> Response:
    """What `do` answers; when it refuses, the page again with the form `act` as it was sent."""
    try:
        return do()
    except _IN_PLACE as error:
        return show(refused(act, error))


def refused(act: str, error: TollgateError) -> Refused:
    errors = {one.field: one.message for one in error.errors}
    return Refused(_sentence(error.detail), errors, dict(g.form), act, status_of(error))


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def confirmed(what: str) -> None:
    """The box beside the button says that one has looked; without it nothing is done. Raises InvalidFields."""
    if forms.field("confirm") != "yes":
        message = f"tick the box first: {what}"
        raise InvalidFields("nothing was done yet", errors=[FieldError("confirm", message)])


def choice(name: str, allowed: Mapping[str, object] | tuple[str, ...], label: str) -> str:
    """One of a list. Raises InvalidFields."""
    found = forms.required(name, label)
    if found not in allowed:
        raise InvalidFields(f"{label} is not one of the list", errors=[FieldError(name, "choose one of the list")])
    return found


def filtered(name: str, allowed: Mapping[str, object] | tuple[str, ...]) -> str | None:
    """A filter of the address; what is not on its list filters nothing."""
    found = forms.asked(name)
    return found if found in allowed else None
