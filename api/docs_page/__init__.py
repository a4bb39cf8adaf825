"""The document and a page to browse it; everything comes from this server, nothing from elsewhere."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path

from flask import Blueprint, Response, send_from_directory
from flask_openapi3.openapi import OpenAPI

from api.openapi import complete
from api.policy import Policy, demands

_PUBLIC = demands(Policy("public"))
_SWAGGER = Path(str(resources.files("flask_openapi3_swagger"))) / "templates" / "swagger"
_FILES = frozenset({"css/swagger-ui.css", "js/swagger-ui-bundle.js"})
#: The page's scripts are files of ours, so none is allowed inline; Swagger sets styles on elements.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def _page(name: str, content_type: str) -> Response:
    text = resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
    return Response(text, content_type=content_type, headers={"Content-Security-Policy": POLICY})


def install(app: OpenAPI) -> None:
    """Call it after every other route is registered, so that the document holds them all."""
    docs = Blueprint("docs", __name__)
    document = json.dumps(complete(app), ensure_ascii=False, separators=(",", ":"))

    @docs.get("/openapi.json")
    @_PUBLIC
    def show_document() -> Response:
        return Response(document, mimetype="application/json")

    @docs.get("/docs")
    @_PUBLIC
    def show_page() -> Response:
        return _page("page.html", "text/html; charset=utf-8")

    @docs.get("/docs/start.js")
    @_PUBLIC
    def show_script() -> Response:
        return _page("start.js", "text/javascript; charset=utf-8")

    @docs.get("/docs/swagger/<path:name>")
    @_PUBLIC
    def show_swagger(name: str) -> Response:
        return send_from_directory(_SWAGGER, name if name in _FILES else "missing", max_age=3600)

    app.register_blueprint(docs)
