"""One JSON call to the bank: what came back, or what it proves that nothing readable did."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from core.domain.outcomes import NotExecuted, NotExecutedReason, Unknown
from core.providers.base import Account, CallLimits
from core.providers.transport import TransportError, exchange

Body = Mapping[str, Any]

#: What a refusal proves, by its HTTP status; every other one is an unknown outcome.
REFUSALS: Mapping[int, NotExecutedReason] = {
    400: NotExecutedReason.INVALID_REQUEST,
    401: NotExecutedReason.MISCONFIGURED,
    403: NotExecutedReason.MISCONFIGURED,
    404: NotExecutedReason.INVALID_REQUEST,
    409: NotExecutedReason.INVALID_REQUEST,
    429: NotExecutedReason.RATE_LIMITED,
}


class Client:
    """Sends for one account, once."""

    def __init__(self, account: Account, limits: CallLimits, address: str) -> None:
        self._base = (account.api_base or address).rstrip("/")
        self._key = account.credentials.get("secret_key", "")
        self._limits = limits

    def get(self, path: str, *segments: str, **query: str) -> Body | NotExecuted | Unknown:
        address = "/".join([path, *(quote(one, safe="") for one in segments)])
        return self._call("GET", f"{address}?{urlencode(query)}" if query else address, None, None)

    def post(self, path: str, key: str, body: Body) -> Body | NotExecuted | Unknown:
        return self._call("POST", path, key, json.dumps(body, sort_keys=True).encode())

    def _call(self, method: str, address: str, key: str | None, body: bytes | None) -> Body | NotExecuted | Unknown:
        headers = {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"}
        if key is not None:
            headers["Idempotency-Key"] = key
        try:
            reply = exchange(method, self._base + address, headers, body, self._limits)
        except TransportError as broken:
            if broken.sent:
                return Unknown({"cause": broken.cause})
            return NotExecuted(NotExecutedReason.CONNECTION, str(broken))
        found = read_object(reply.body)
        if 200 <= reply.status < 300 and found is not None:
            return found
        reason = REFUSALS.get(reply.status)
        error = (found or {}).get("error")
        if reason is None or not isinstance(error, dict):
            return Unknown({"http_status": reply.status})
        code, param = error.get("code"), error.get("field")
        code = code if isinstance(code, str) else None
        return NotExecuted(reason, f"the bank refused ({code})", provider_code=code, param=param)


def read_object(body: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(body, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _refuse(word: str) -> None:
    raise ValueError(f"{word} is no JSON")
