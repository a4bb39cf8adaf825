"""Pages of other origins that may read the API from a browser: none, unless the operator names them one by one."""

from __future__ import annotations

from collections.abc import Sequence

from flask import Flask, Response, request

_PREFIXES = ("/v1/", "/admin/v1/")
_METHODS = "GET, POST, PATCH, DELETE"
_SENT = "Authorization, Content-Type, Idempotency-Key, Prefer, X-Request-Id"
_SHOWN = "Location, Idempotent-Replayed, Preference-Applied, RateLimit, RateLimit-Policy, Retry-After, X-Request-Id"
#: Seconds for which a browser need not ask again. Chromium's own bound.
_KEPT = "7200"


def install(app: Flask, origins: Sequence[str]) -> None:
    """Cookies are never allowed: who asks shows a key. What is no API address, such as the dashboard, tells nobody."""
    if not origins:
        return
    allowed = frozenset(origins)

    def preflight() -> Response | None:
        """Asked by the browser in front of the request itself; there is no key yet."""
        if request.method != "OPTIONS" or not _of_the_api() or _origin() not in allowed:
            return None
        if "Access-Control-Request-Method" not in request.headers:
            return None
        answer = Response(status=204)
        answer.headers["Access-Control-Allow-Methods"] = _METHODS
        answer.headers["Access-Control-Allow-Headers"] = _SENT
        answer.headers["Access-Control-Max-Age"] = _KEPT
        return answer

    def tell(answer: Response) -> Response:
        if _of_the_api():
            # Else a cache would hand one origin's answer to another.
            answer.vary.add("Origin")
            if _origin() in allowed:
                answer.headers["Access-Control-Allow-Origin"] = _origin()
                answer.headers["Access-Control-Expose-Headers"] = _SHOWN
        return answer

    app.before_request(preflight)
    app.after_request(tell)


def _origin() -> str:
    return request.headers.get("Origin", "")


def _of_the_api() -> bool:
    return request.path.startswith(_PREFIXES)
