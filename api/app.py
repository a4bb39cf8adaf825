"""The gate as a WSGI application: every part put together, once a process."""

from __future__ import annotations

import time
from typing import Any

import structlog
from flask import Flask, Response, g, request
from flask_openapi3.openapi import OpenAPI

from api import auth, client_address, cors, docs_page, errors, guard, refusals, request_ids, validation
from api.admin.accounts import accounts
from api.admin.administrators import administrators
from api.admin.audit import audit
from api.admin.customers import customers as admin_customers
from api.admin.findings import findings
from api.admin.inbox import inbox
from api.admin.jobs import jobs as admin_jobs
from api.admin.keys import keys
from api.admin.merchants import merchants
from api.admin.payments import payments as admin_payments
from api.admin.payouts import payouts
from api.admin.reconciliation import reconciliation
from api.admin.reports import reports
from api.admin.routes import routes
from api.admin.sealing import sealing
from api.concurrency import Places
from api.customers import customers
from api.dashboard import problems
from api.dashboard.pages import dashboard
from api.disputes import disputes
from api.draining import Draining
from api.events import events
from api.health import health
from api.jobs import jobs
from api.limits import RateLimits
from api.openapi import INFO, SECURITY, complete
from api.payment_methods import payment_methods
from api.payments import payments
from api.policy import policy_of
from api.providers import providers
from api.refunds import refunds
from api.state import Gate, attach, gate
from api.waiting import WaitingRoom
from api.webhook_endpoints import webhook_endpoints
from api.webhooks import webhooks
from core import metrics, startup
from core.observability import configure_logging
from core.orchestration import figures
from core.orchestration.administrators.login import Logins
from core.orchestration.context import Core, open_core
from core.orchestration.installation import Watch, look_at_start
from core.orchestration.key_notes import KeyNotes
from core.providers.registry import PROVIDERS
from workers.hints import make_wake

log = structlog.get_logger()

_METHODS = frozenset({"GET", "HEAD", "POST", "PATCH", "PUT", "DELETE", "OPTIONS"})
_ROOMS = (
    payments,
    refunds,
    disputes,
    customers,
    payment_methods,
    jobs,
    providers,
    events,
    webhook_endpoints,
    webhooks,
    health,
    administrators,
    merchants,
    keys,
    admin_payments,
    admin_jobs,
    inbox,
    accounts,
    admin_customers,
    findings,
    payouts,
    reconciliation,
    reports,
    routes,
    audit,
    sealing,
)


#: No page of ours needs any of these, nor does what it might be made to show.
_PERMISSIONS = "camera=(), geolocation=(), microphone=(), payment=(), usb=()"
#: Files that are the same for everybody.
_CACHED = ("docs.", "dashboard.static")


def create_app() -> Flask:
    """What the web server calls in each of its processes. Ends it with a sentence where it must not start."""
    settings = startup.settings_or_exit()
    configure_logging(settings.log_level, "api")
    startup.check_or_exit(settings, "api")
    # A connection a thread: none waits for another's, and waiting requests hold none.
    core = open_core(settings, settings.api_threads, "tollgate-api", make_wake(settings))
    look_at_start(core, keep=False)
    return build_app(core)


def document() -> dict[str, Any]:
    """The OpenAPI document, without a service behind it."""
    app = _bare()
    for room in _ROOMS:
        app.register_api(room)
    return complete(app)


def _bare() -> OpenAPI:
    return OpenAPI(
        "tollgate",
        info=INFO,
        security_schemes=SECURITY,
        doc_ui=False,
        validation_error_callback=validation.refuse,
        static_folder=None,
    )


def build_app(core: Core) -> Flask:
    app = _bare()
    app.request_class = guard.GateRequest
    app.config["MAX_CONTENT_LENGTH"] = max(core.settings.max_body_bytes, core.settings.max_webhook_bytes)
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
    draining = Draining(core.settings.drain_file)
    places = Places(core.settings.api_threads)
    waiting = WaitingRoom(core.settings.api_threads, draining)
    watches = (Watch(core), figures.Watch(core.database))
    notes = KeyNotes(core)
    own = (notes, Logins(core, notes))
    attach(app, Gate(core, RateLimits(core.settings), places, waiting, draining, *watches, *own))
    # Shown as 0 from the start: of a count that appears as 1 nobody sees that it rose.
    metrics.begin(metrics.PROBLEMS, errors.CODES)
    metrics.begin(metrics.WEBHOOKS, PROVIDERS, ("stored", "duplicate", "forged", "unknown"))
    errors.install(app)
    client_address.install(app, core.settings.trusted_proxies)
    app.before_request(_begin)
    cors.install(app, core.settings.cors_origins)
    app.before_request(guard.check)
    app.after_request(_end)
    app.teardown_request(_forget)
    for room in _ROOMS:
        app.register_api(room)
    app.register_blueprint(dashboard)
    app.extensions[errors.TELLS_PEOPLE] = problems.tell
    docs_page.install(app)
    _require_policies(app)
    return app


def _require_policies(app: Flask) -> None:
    """Deny by default: a route that declares nothing would be open."""
    bare = [name for name, view in app.view_functions.items() if policy_of(view) is None]
    if bare:
        raise RuntimeError(f"routes without a policy: {', '.join(sorted(bare))}")


def _begin() -> None:
    g.started = time.perf_counter()
    g.request_id = request_ids.choose(request.headers.get(request_ids.HEADER))
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(request_id=g.request_id)


def _end(answer: Response) -> Response:
    route = request.url_rule.rule if request.url_rule is not None else "(none)"
    seconds = time.perf_counter() - g.started
    # A caller may make methods up; each would be counted for ever.
    method = request.method if request.method in _METHODS else "(other)"
    metrics.REQUESTS.labels(method, route, answer.status_code).inc()
    metrics.SECONDS.labels(method, route).observe(seconds)
    refusals.note()
    code: str | None = g.get("problem_code")
    if code is not None:
        metrics.PROBLEMS.labels(code).inc()
    if route not in ("/healthz", "/readyz", "/metrics"):
        fields: dict[str, Any] = {"code": code} if code else {}
        log.info(
            "request",
            method=method,
            route=route,
            status=answer.status_code,
            duration_ms=round(seconds * 1000, 1),
            client=client_address.current(),
            **fields,
        )
    return _secured(answer)


def _secured(answer: Response) -> Response:
    headers = answer.headers
    headers[request_ids.HEADER] = g.request_id
    headers["X-Content-Type-Options"] = "nosniff"
    headers.setdefault("Referrer-Policy", "no-referrer")
    headers.setdefault("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
    headers.setdefault("Permissions-Policy", _PERMISSIONS)
    headers["Cross-Origin-Resource-Policy"] = "same-origin"
    if not (request.endpoint or "").startswith(_CACHED):
        headers["Cache-Control"] = "no-store"
    for name, value in g.get("limits", {}).items():
        headers[name] = value
    if gate().draining():
        # Else a kept-alive connection is closed under the next request, which nobody could tell from a lost one.
        headers["Connection"] = "close"
    return answer


def _forget(error: BaseException | None) -> None:
    auth.leave_place()
    structlog.contextvars.clear_contextvars()
