"""What the gate can answer besides success: one table of errors and codes, and their problem+json form."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
import structlog
from flask import Flask, Response, current_app, g, request
from psycopg2 import errorcodes
from werkzeug.exceptions import HTTPException, MethodNotAllowed
from werkzeug.routing import RequestRedirect

from api.policy import is_page
from core.domain import errors as core_errors
from core.domain.errors import FieldError, TollgateError
from core.domain.representations import timestamp

log = structlog.get_logger()

#: Seconds a client should wait when nothing could be stored: a database that restarts is back by then.
RETRY_AFTER = 2
#: The same where a person has to look first.
RETRY_PAUSED = 60


class MalformedRequest(TollgateError):
    """The request cannot be read at all."""

    code = "malformed_json"


class Unauthorized(TollgateError):
    code = "unauthorized"


class Forbidden(TollgateError):
    code = "scope_missing"


class LoginNeeded(TollgateError):
    """A page of the dashboard wants to know who is there. `stage`: how far this browser has come, None for nowhere."""

    code = "login_required"

    def __init__(self, detail: str, stage: str | None = None) -> None:
        super().__init__(detail)
        self.stage = stage


class ConfirmNeeded(TollgateError):
    """What is asked for is dangerous, and the last time that the person showed who they are is long ago."""

    code = "confirmation_required"


class NotAllowed(TollgateError):
    code = "method_not_allowed"


class LengthRequired(TollgateError):
    code = "length_required"


class TooLarge(TollgateError):
    code = "body_too_large"


class WrongContentType(TollgateError):
    code = "unsupported_media_type"


class InvalidFields(TollgateError):
    """Readable, but a field cannot be taken as it is."""

    code = "validation_failed"


class RateLimited(TollgateError):
    """`retry_after` in whole seconds."""

    code = "rate_limited"

    def __init__(self, detail: str, retry_after: int, headers: Mapping[str, str]) -> None:
        super().__init__(detail)
        self.retry_after = retry_after
        self.headers = headers


class NoSuchReceiver(TollgateError):
    """No provider account takes webhooks at this address."""

    code = "not_found"


class ForgedWebhook(TollgateError):
    code = "webhook_forged"


class Unexpected(TollgateError):
    code = "internal_error"


#: Error class -> HTTP status. The only place where the two meet.
STATUS: Mapping[type[TollgateError], int] = {
    MalformedRequest: 400,
    Unauthorized: 401,
    ForgedWebhook: 401,
    core_errors.LoginRefused: 401,
    core_errors.TooManyTries: 429,
    core_errors.LoginClosed: 503,
    LoginNeeded: 401,
    ConfirmNeeded: 401,
    Forbidden: 403,
    core_errors.GrantRefused: 403,
    core_errors.NotFoundError: 404,
    NoSuchReceiver: 404,
    NotAllowed: 405,
    core_errors.StateConflict: 409,
    core_errors.OutcomeUnknown: 409,
    core_errors.IdempotencyInUse: 409,
    LengthRequired: 411,
    TooLarge: 413,
    WrongContentType: 415,
    InvalidFields: 422,
    core_errors.RequestRefused: 422,
    core_errors.CapabilityUnsupported: 422,
    core_errors.IdempotencyMismatch: 422,
    RateLimited: 429,
    Unexpected: 500,
    core_errors.Unavailable: 503,
    core_errors.Paused: 503,
}

#: Code -> (status, title). Codes are stable; clients branch on them.
CODES: Mapping[str, tuple[int, str]] = {
    "malformed_json": (400, "The body is not readable JSON"),
    "body_not_object": (400, "The body is not a JSON object"),
    "duplicate_json_key": (400, "A JSON key occurs twice"),
    "json_too_deep": (400, "The JSON is nested too deeply or holds too many values"),
    "idempotency_key_missing": (400, "The Idempotency-Key header is missing"),
    "idempotency_key_invalid": (400, "The Idempotency-Key header is not usable"),
    "malformed_request": (400, "The request is not readable"),
    "unauthorized": (401, "No valid API key"),
    "webhook_forged": (401, "The signature does not verify"),
    "login_refused": (401, "That is not right"),
    "login_throttled": (429, "Too many tries"),
    "login_closed": (503, "Logging in is closed"),
    "login_required": (401, "Nobody is logged in"),
    "confirmation_required": (401, "Say again who you are"),
    "form_forged": (403, "The form was not sent from here"),
    "role_missing": (403, "Your role may not do this"),
    "scope_missing": (403, "The API key may not do this"),
    "key_kind": (403, "This kind of API key does not open this address"),
    "not_found": (404, "There is no such thing"),
    "method_not_allowed": (405, "The address does not know this method"),
    "state_conflict": (409, "The state does not allow it"),
    "customer_in_use": (409, "A payment of the customer is under way"),
    "customer_erased": (409, "The customer of this key was deleted"),
    "nothing_to_refund": (409, "There is nothing to give back"),
    "payment_disputed": (409, "The payment is disputed"),
    "run_in_progress": (409, "A run of this kind is under way"),
    "account_in_use": (409, "The provider account has open work"),
    "operation_in_progress": (409, "Another operation on the payment is under way"),
    "no_endpoint": (409, "No webhook endpoint asks for this kind of event"),
    "outcome_unknown": (409, "What the provider did is not known yet"),
    "idempotency_key_in_use": (409, "A request with this key is still being stored"),
    "length_required": (411, "The body has no length"),
    "body_too_large": (413, "The body is too large"),
    "unsupported_media_type": (415, "The body is not declared as JSON"),
    "validation_failed": (422, "Some fields are not valid"),
    "card_number_refused": (422, "A card number is not taken here"),
    "capability_unsupported": (422, "No provider can do what is asked"),
    "amount_too_large": (422, "The amount is more than there is"),
    "provider_misconfigured": (422, "The provider refuses our credentials"),
    "other_account": (422, "The credentials belong to another account"),
    "no_provider_account": (422, "No provider account is set up"),
    "idempotency_key_reused": (422, "The Idempotency-Key was used with another request"),
    "rate_limited": (429, "Too many requests"),
    "internal_error": (500, "Something went wrong on our side"),
    "unavailable": (503, "Nothing could be stored; try again"),
    "erasure_not_remembered": (503, "The erasure is made here, and not written down outside the database"),
    "paused": (503, "The service is paused until its operator lets it go on"),
}


#: One sentence for all that is not there: unknown, malformed, another kind's, merchant's or mode's.
_NOT_FOUND = "there is nothing with this id for this API key and its mode"

#: Under this name the app holds what makes a page of an error.
TELLS_PEOPLE = "tollgate_problem_page"


def status_of(error: TollgateError) -> int:
    for kind in type(error).__mro__:
        if kind in STATUS:
            return STATUS[kind]
    return 500


def to_json(value: Any) -> str:
    """In the order the fields were written, which is the order people read them in."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def problem(
    status: int,
    code: str,
    detail: str,
    errors: Sequence[FieldError] = (),
    headers: Mapping[str, str] | None = None,
    **more: str,
) -> Response:
    """An RFC 9457 answer. `detail` and messages name fields and never repeat values.

    Several accounts may refuse for one reason, which is told once. Browsers in the dashboard are told by a page.
    """
    if is_page(request.path):
        tell: Callable[..., Response] = current_app.extensions[TELLS_PEOPLE]
        return tell(status, code, detail, tuple(dict.fromkeys(errors)), headers or {})
    body: dict[str, Any] = {
        "type": f"urn:tollgate:error:{code}",
        "title": CODES[code][1] if code in CODES else "The request was refused",
        "status": status,
        "detail": detail,
        "code": code,
        "errors": [{"field": one.field, "message": one.message} for one in dict.fromkeys(errors)],
        "request_id": g.get("request_id"),
        **more,
    }
    answer = Response(to_json(body), status=status, mimetype="application/problem+json")
    for name, value in (headers or {}).items():
        answer.headers[name] = value
    return answer


def _told(error: TollgateError) -> Response:
    status = status_of(error)
    headers: dict[str, str] = {}
    more: dict[str, str] = {}
    g.problem = error
    match error:
        case Unauthorized():
            headers["WWW-Authenticate"] = 'Bearer realm="tollgate"'
        case RateLimited():
            headers = {"Retry-After": str(error.retry_after), **error.headers}
        case core_errors.TooManyTries():
            headers["Retry-After"] = str(error.retry_after)
        case core_errors.Unavailable():
            headers["Retry-After"] = str(RETRY_AFTER)
        case core_errors.Paused():
            headers["Retry-After"] = str(RETRY_PAUSED)
        case core_errors.IdempotencyInUse():
            headers["Retry-After"] = "1"
        case core_errors.OutcomeUnknown(next_look_up=when, retry_after=seconds) if when is not None:
            headers["Retry-After"] = str(seconds)
            more["next_look_up"] = str(timestamp(when))
    g.problem_code = error.code
    detail = _NOT_FOUND if isinstance(error, core_errors.NotFoundError) else error.detail
    return problem(status, error.code, detail, error.errors, headers, **more)


#: Werkzeug's own exceptions in our words; anything else becomes `malformed_request`.
_HTTP: Mapping[int, tuple[str, str]] = {
    404: ("not_found", "there is nothing at this address"),
    405: ("method_not_allowed", "this address does not take this method; see the Allow header"),
    411: ("length_required", "send a Content-Length header"),
    413: ("body_too_large", "the body is larger than allowed"),
    415: ("unsupported_media_type", "send the body as application/json"),
}


def _framework(error: HTTPException) -> Any:
    if isinstance(error, RequestRedirect):
        return error
    code, detail = _HTTP.get(error.code or 500, ("malformed_request", "the request could not be read"))
    headers = {"Allow": ", ".join(sorted(error.valid_methods or ()))} if isinstance(error, MethodNotAllowed) else {}
    g.problem_code = code
    status = error.code or 500
    return problem(status if status in _HTTP else 400, code, detail, headers=headers)


def _database(error: sa.exc.SQLAlchemyError) -> Response:
    """A database that is away, full or restarting: nothing was stored, so the client may try again."""
    if is_outage(error):
        log.warning("database unavailable", exc_info=error)
        canceled = getattr(getattr(error, "orig", None), "pgcode", None) == errorcodes.QUERY_CANCELED
        return _told(core_errors.Unavailable(_TOO_LONG if canceled else _AWAY))
    return _unexpected(error)


_AWAY = "the database cannot be reached; nothing was stored, try again"
_TOO_LONG = (
    "the database did not answer in time; nothing was stored: try again, and where a list was asked for, ask for less "
    "(a shorter time, another filter)"
)

#: Classes of SQLSTATE that pass by themselves: connection, resources, operator intervention, rolled back. So does a
#: server that may not be written to: a standby that is about to be promoted.
_PASSING = ("08", "53", "57", "40", "55")


def is_outage(error: BaseException) -> bool:
    if isinstance(error, sa.exc.TimeoutError):
        return True
    if not isinstance(error, sa.exc.DBAPIError):
        return False
    code = getattr(error.orig, "pgcode", None)
    if code is None:
        return error.connection_invalidated or isinstance(error, sa.exc.OperationalError | sa.exc.InterfaceError)
    return str(code)[:2] in _PASSING or code == errorcodes.READ_ONLY_SQL_TRANSACTION


def _unexpected(error: Exception) -> Response:
    log.error("unexpected error", exc_info=error)
    return _told(Unexpected("something went wrong on our side; give support the request_id"))


def install(app: Flask) -> None:
    """Every way out of the app that is not a success is a problem."""
    app.register_error_handler(TollgateError, _told)
    app.register_error_handler(HTTPException, _framework)
    app.register_error_handler(sa.exc.SQLAlchemyError, _database)
    app.register_error_handler(Exception, _unexpected)
