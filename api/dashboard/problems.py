"""An error as a page: what happened, that nothing was done, and what to do now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import urlencode, urlsplit

from flask import Response, g, request

from api.dashboard import door, frame
from api.errors import CODES, ConfirmNeeded, LoginNeeded
from api.policy import PAGES
from core.domain.errors import FieldError

#: Status -> what a person does next.
_ADVICE: Mapping[int, str] = {
    400: "Go back and send the form again.",
    401: "Log in, then open the page again.",
    403: "Your role does not reach this far. Whoever has the role admin can give you another one.",
    404: "Check the merchant and the mode in the address: what belongs to another is not shown.",
    405: "Open the page from the menu.",
    409: "Somebody or something was quicker. Go back, load the page anew and decide on what it says now.",
    413: "Send less.",
    415: "Open the page from the menu and use its form.",
    422: "Go back, correct it, and send it again.",
    429: "Wait a moment, then try again.",
    500: "Give whoever runs the installation the id below; it leads to the log.",
    503: "Wait a moment, then try again.",
}
_FORGED = (
    "Open the page from here and use its form. A form that has been open for long belongs to a session that is over."
)
#: Where a half-finished login goes on.
_NEXT_STEP: Mapping[str | None, str] = {"code": "/code", "enrol": "/enrol", "choose": "/account/password"}


def tell(status: int, code: str, detail: str, errors: Sequence[FieldError], headers: Mapping[str, str]) -> Response:
    """What `errors.problem` is for machines."""
    error = g.get("problem")
    if isinstance(error, LoginNeeded) and request.method in ("GET", "HEAD"):
        return _via(_NEXT_STEP.get(error.stage, "/login"))
    if isinstance(error, ConfirmNeeded):
        return _via("/confirm")
    values = {
        "title": CODES[code][1] if code in CODES else "The request was refused",
        "status_code": status,
        "detail": detail,
        "errors": errors,
        "advice": _FORGED if code == "form_forged" else _ADVICE.get(status, _ADVICE[500]),
        "request_id": g.get("request_id"),
        "before": _before(),
    }
    here = frame.frame_values()["here"]
    if here is None or status >= 500:  # the frame asks the database, too
        answer = frame.render_bare("problem.html", status, **values)
    else:
        answer = frame.render("problem.html", here, status, **values)
    for name, value in headers.items():
        if name != "WWW-Authenticate":
            answer.headers[name] = value
    return answer


def _via(step: str) -> Response:
    """To a page that leads back to where one wanted to go."""
    return frame.go(f"{PAGES}{step}?{urlencode({'next': _here()}, safe='/')}")


def _here() -> str:
    """Where to return to: this page, or the one that a form was on."""
    if request.method in ("GET", "HEAD"):
        query = request.query_string.decode("ascii", "ignore")
        return door.inside(f"{request.path}?{query}" if query else request.path)
    return _before()


def _before() -> str:
    """The page before this one, if it was ours."""
    referer = request.headers.get("Referer", "")
    if not door.is_ours(referer):
        return PAGES
    parts = urlsplit(referer)
    return door.inside(f"{parts.path}?{parts.query}" if parts.query else parts.path)
