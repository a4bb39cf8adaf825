"""Webhook API: what providers call. Verified on the raw bytes, stored, answered; never limited."""

from __future__ import annotations

from flask import Response, request

from api.answers import ok, row_id
from api.errors import ForgedWebhook, NoSuchReceiver
from api.guard import read_whole
from api.policy import Policy
from api.routing import room, route
from api.schemas.webhooks import Received, WebhookPath
from api.state import gate
from core import metrics
from core.domain.errors import Forged, NotFoundError
from core.orchestration import receiving
from core.providers.registry import PROVIDERS

webhooks = room("webhooks", __name__, "What providers tell us.")

_RECEIVE = Policy("public", body="raw", codes=("webhook_forged", "not_found"))


@route(webhooks, "post", "/webhooks/<provider>/<account_id>", _RECEIVE, {200: Received})
def receive(path: WebhookPath) -> Response:
    """Take a provider's event

    200 means stored, or stored before. Signed by the provider; no API key. Nothing of a forged one is kept but a count.
    """
    headers = {name.lower(): value for name, value in request.headers.items()}
    try:
        if path.provider not in PROVIDERS:
            raise NotFoundError("there is no such provider")
        account_id = row_id("provider_account", path.account_id)
        outcome = receiving.receive(gate().core, path.provider, account_id, headers, read_whole())
        metrics.WEBHOOKS.labels(path.provider, outcome).inc()
    except Forged:
        metrics.WEBHOOKS.labels(path.provider, "forged").inc()
        raise ForgedWebhook("the signature does not verify") from None
    except NotFoundError:
        metrics.WEBHOOKS.labels(path.provider if path.provider in PROVIDERS else "(none)", "unknown").inc()
        raise NoSuchReceiver("no provider account has this address; see `tollgate accounts list`") from None
    return ok({"received": True})
