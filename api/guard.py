"""What every request passes before its route runs, in this order; nothing of it touches money."""

from __future__ import annotations

from typing import Any

from flask import Request, g, request
from werkzeug.exceptions import ClientDisconnected

from api import auth, idempotency_key, strict_json
from api.dashboard import door, forms
from api.errors import InvalidFields, LengthRequired, MalformedRequest, TooLarge, WrongContentType
from api.policy import Policy, current_policy
from api.state import gate
from core.domain.errors import FieldError, Paused

_BODY_METHODS = frozenset({"POST", "PUT", "PATCH"})
_MAX_QUERY = 4_000


class GateRequest(Request):
    """Its JSON is what the guard has already read and checked."""

    def get_json(self, force: bool = False, silent: bool = False, cache: bool = True) -> Any:
        return g.body


def check() -> None:
    """Runs before every request. Raises the gate's errors."""
    policy = current_policy()
    if policy is None:
        return
    _check_length(policy)
    if policy.door != "public" or policy.body == "form":
        # First: an older copy of the database may know keys, people and sessions that were ended since.
        gate().pause.see()
    auth.admit(policy)
    _refuse_while_paused(policy)
    _check_address()
    if policy.body in ("required", "optional"):
        g.body = _read_body(policy)
    elif policy.body == "form":
        g.form = forms.read(read_whole())
        door.check_form(policy)
    elif policy.body == "none":
        _refuse_body()
        g.body = None
    if policy.key == "required" or (policy.key == "optional" and idempotency_key.HEADER in request.headers):
        g.idempotency_key = idempotency_key.read_key()


def _refuse_while_paused(policy: Policy) -> None:
    """What is read may be read, and what providers tell is kept; nothing new is begun. Raises Paused."""
    reads = policy.door == "public" or policy.while_paused or request.method in ("GET", "HEAD")
    if not reads and gate().pause.reason() is not None:
        raise Paused("the service is paused until its operator has looked at it; nothing was stored, try again later")


def _check_length(policy: Policy) -> None:
    """A body without a length would be cut off silently further down, so it is refused."""
    settings = gate().core.settings
    given = request.environ.get("CONTENT_LENGTH") or ""
    length = int(given) if given.isascii() and given.isdigit() else None
    if "Transfer-Encoding" in request.headers:
        raise LengthRequired("send the body with a Content-Length header, not in chunks")
    if length is None:
        # HTTP/1.1 says that without either header there is no body; other versions say nothing.
        silent = request.environ.get("SERVER_PROTOCOL", "").startswith("HTTP/1")
        if request.method in _BODY_METHODS and not (silent and policy.body in ("none", "optional")):
            raise LengthRequired("send a Content-Length header")
        return
    most = settings.max_webhook_bytes if policy.body == "raw" else settings.max_body_bytes
    if length > most:
        raise TooLarge(f"the body may have {most} bytes")


def _check_address() -> None:
    """Path and query hold no card numbers, no control characters and no parameter twice."""
    if request.endpoint is None or (current_policy() or Policy("public")).body == "raw":
        return
    for part in request.path.split("/"):
        strict_json.refuse_card_numbers("path", part)
    if len(request.query_string) > _MAX_QUERY:
        raise InvalidFields("the query is too long")
    for name, values in request.args.lists():
        for text in (name, *values):
            strict_json.refuse_card_numbers("query", text)
            strict_json.refuse_control_characters("query", text)
        if len(values) > 1:
            raise InvalidFields("a parameter is given twice", errors=[FieldError(name[:80], "must be given once")])


def _read_body(policy: Policy) -> dict[str, Any]:
    if not request.content_length and policy.body == "optional":
        return {}
    if request.mimetype != "application/json":
        raise WrongContentType("send the body as `Content-Type: application/json`")
    return strict_json.parse_object(read_whole())


def _refuse_body() -> None:
    """A body nobody reads would be a wish nobody hears. An empty object is no wish."""
    if request.content_length and strict_json.parse_object(read_whole()):
        raise InvalidFields("this address takes no body", errors=[FieldError("(body)", "must be left out")])


def read_whole() -> bytes:
    """The body, all of it. Raises MalformedRequest when the client went away in the middle."""
    try:
        raw = request.get_data(cache=False)
    except ClientDisconnected:
        raise MalformedRequest("the body is shorter than its Content-Length", code="malformed_request") from None
    if len(raw) != (request.content_length or 0):
        raise MalformedRequest("the body is shorter than its Content-Length", code="malformed_request")
    return raw
