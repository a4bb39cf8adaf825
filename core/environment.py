"""Settings from the environment: all that is wrong is said at once, and no value that may be a secret."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import TypeVar

from pydantic import BaseModel, ValidationError

Model = TypeVar("Model", bound=BaseModel)

PREFIX = "TOLLGATE_"
#: Read by the command `tollgate` or by the compose file, and by no process.
ELSEWHERE = frozenset(
    "TOLLGATE_DATA_DIR TOLLGATE_SECRET_KEY TOLLGATE_PUBLISHABLE_KEY TOLLGATE_WEBHOOK_SECRET TOLLGATE_UID".split()
)
#: Kubernetes puts such names into every container when a service is called tollgate or tollgate-api.
_OF_A_SERVICE = re.compile(r"TOLLGATE_(\w+_)?(SERVICE_(HOST|PORT\w*)|PORT(_\d+_(TCP|UDP)(_(PROTO|PORT|ADDR))?)?)")


class WrongSettings(Exception):
    """The text has a line for each wrong setting and no secret."""


def variables(model: type[BaseModel]) -> dict[str, str]:
    """Names in the environment, each with the key under which the model takes its value."""
    aliases = {field: info.validation_alias for field, info in model.model_fields.items()}
    named = {field: alias for field, alias in aliases.items() if isinstance(alias, str)}
    return {named.get(field, f"{PREFIX}{field.upper()}"): named.get(field, field) for field in model.model_fields}


def read(model: type[Model], environ: Mapping[str, str]) -> Model:
    """An empty value counts as none. Raises WrongSettings naming every missing, wrong or unknown setting."""
    known = variables(model)
    wrong = list(unknown(environ, known))
    set_ones = {name.upper(): value for name, value in environ.items() if value}
    try:
        found = model.model_validate({key: set_ones[name] for name, key in known.items() if name in set_ones})
    except ValidationError as error:
        wrong += _lines(error, {key: name for name, key in known.items()})
    if wrong:
        raise WrongSettings("these settings of the environment are wrong:\n  " + "\n  ".join(wrong))
    return found


def unknown(environ: Mapping[str, str], names: Iterable[str]) -> Iterator[str]:
    """A line for each name with our prefix that is not among `names` and that nothing reads."""
    # Compared without the prefix, which would make everything look alike.
    known = {name.removeprefix(PREFIX): name for name in (*names, *ELSEWHERE)}
    for name in sorted(environ):
        told = name.upper()
        if not told.startswith(PREFIX) or told in known.values() or _OF_A_SERVICE.fullmatch(told):
            continue
        near = get_close_matches(told.removeprefix(PREFIX), known, 1)
        advice = f"did you mean {known[near[0]]}?" if near else "docs/operations.md lists them"
        yield f"{name}: there is no such setting; {advice}"


def _lines(error: ValidationError, names: Mapping[str, str]) -> Iterator[str]:
    for one in error.errors(include_url=False):
        message = one["msg"].removeprefix("Value error, ")
        if not one["loc"]:
            yield from message.split("; ")
            continue
        place = str(one["loc"][0])
        name = names.get(place, place)
        if one["type"] == "missing":
            yield f"{name}: is not set"
        elif one["type"] != "default_factory_not_called":  # what it would be made from is wrong and named
            # Said in words of what is expected; what was given may be a password in the wrong place.
            yield f"{name}: {message[0].lower()}{message[1:]}"
