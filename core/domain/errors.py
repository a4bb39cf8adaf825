"""The errors core raises towards its callers; HTTP codes are chosen in `api/errors.py`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing wrong with one field; `message` says what to do and never echoes the value."""

    field: str
    message: str


class TollgateError(Exception):
    """Base of what a caller can be told. `code` is stable and documented."""

    code = "internal_error"

    def __init__(self, detail: str, *, code: str | None = None, errors: Sequence[FieldError] = ()) -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code or type(self).code
        self.errors = tuple(errors)


class RequestRefused(TollgateError):
    """The request is well formed but asks for something that cannot be (422)."""

    code = "validation_failed"


class CapabilityUnsupported(RequestRefused):
    """No provider account can do what is asked; nothing was sent (422)."""

    code = "capability_unsupported"


class NotFoundError(TollgateError):
    """No such row for this merchant and mode (404)."""

    code = "not_found"


class StateConflict(TollgateError):
    """The payment's or refund's state does not allow it (409)."""

    code = "state_conflict"


class OutcomeUnknown(StateConflict):
    """What was sent before has no known outcome yet, and is resolved first (409).

    It is asked about again at `next_look_up`, in `retry_after` whole seconds; both are None where a person decides.
    """

    code = "outcome_unknown"

    def __init__(self, detail: str, *, next_look_up: datetime | None = None, retry_after: int | None = None) -> None:
        super().__init__(detail)
        self.next_look_up, self.retry_after = next_look_up, retry_after


class IdempotencyMismatch(TollgateError):
    """The key was used with another body (422)."""

    code = "idempotency_key_reused"


class IdempotencyInUse(TollgateError):
    """A request with the same key is still being stored after a second (409)."""

    code = "idempotency_key_in_use"


class GrantRefused(TollgateError):
    """Somebody would have given more than they have (403)."""

    code = "scope_missing"


class Unavailable(TollgateError):
    """Nothing could be stored; try again (503)."""

    code = "unavailable"


class Paused(TollgateError):
    """The installation waits for a person: nothing new is taken (503)."""

    code = "paused"


class Forged(Exception):
    """A provider webhook whose signature does not verify."""


class LoginRefused(TollgateError):
    """Name, password or code are wrong; which of them is not said (401)."""

    code = "login_refused"


class TooManyTries(TollgateError):
    """Somebody tries too often to log in (429). `wait` in seconds; `first` of this pause."""

    code = "login_throttled"

    def __init__(self, wait: float, *, first: bool) -> None:
        self.retry_after = max(1, math.ceil(wait))
        super().__init__(f"too many tries; wait {self.retry_after} s, then try again")
        self.first = first


class LoginClosed(Unavailable):
    """Nobody can log in, since tries cannot be counted (503)."""

    code = "login_closed"
