"""Providers: what each can do, as its package declares it."""

from __future__ import annotations

from flask import Response

from api.answers import ok
from api.policy import Policy
from api.routing import room, route
from api.schemas.parameters import NoQuery
from api.schemas.providers import Providers
from core.providers.base import Capabilities
from core.providers.registry import PROVIDERS

providers = room("providers", __name__, "What can carry a payment.")

_READ = Policy("merchant", "payments:read", codes=("validation_failed",))


@route(providers, "get", "/v1/providers", _READ, {200: Providers})
def list_providers(query: NoQuery) -> Response:
    """List the providers and their capabilities"""
    shown = [_shown(name, kind.capabilities) for name, kind in sorted(PROVIDERS.items())]
    return ok({"data": shown})


def _shown(name: str, able: Capabilities) -> dict[str, object]:
    return {
        "name": name,
        "methods": sorted(able.methods),
        "manual_capture": sorted(able.manual_capture_methods),
        "manual_capture_currencies": _sorted(able.manual_capture_currencies),
        "partial_capture": able.partial_capture,
        "void": able.void,
        "close_unfinished": able.close_unfinished,
        "refund": able.refund,
        "partial_refund": able.partial_refund,
        "multiple_refunds": able.multiple_refunds,
        "save_methods": sorted(able.save_methods),
        "off_session": able.off_session,
        "disputes": sorted(able.disputes),
        "evidence_together": sorted(able.evidence_together),
        "failure_webhooks": able.failure_webhooks,
        "changes": able.changes,
        "statement": able.statement,
        "customer_email_for": sorted(able.customer_email_for),
        "return_url_for": sorted(able.return_url_for),
        "currencies": {
            code: {"minimum": limit.minimum, "maximum": limit.maximum, "step": limit.step}
            for code, limit in sorted(able.currencies.items())
        },
    }


def _sorted(names: frozenset[str] | None) -> list[str] | None:
    return None if names is None else sorted(names)
