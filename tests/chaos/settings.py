"""The settings chaos runs with: the product's own rules, only sooner."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: Seconds, or as many as the setting counts. Every relation that a rule of the product needs is kept: a renewal is
#: under half a lease, and "not found" counts ten seconds after the deadline of a call.
SHORTENED: Mapping[str, Any] = {
    "lease": 1.5,
    "lease_renewal": 0.5,
    "poll_interval": 0.3,
    "provider_deadline": 2,
    "provider_connect_timeout": 1,
    "not_found_after": 12,
    "not_found_spacing": 2,
    "lookup_delays": "0.5,1,2,5",
    "retry_delays": "0.2,0.5,1,2,5",
    "delivery_timeout": 2,
    "delivery_delays": "0.5,1,2,5,10",
    "rate_limit": "10000/second",
    "admin_rate_limit": "10000/second",
}
#: For what measures recovery: the leases of a real installation.
OWN_LEASES: Mapping[str, Any] = {"lease": 6.0, "lease_renewal": 2.0, "poll_interval": 1.0}
#: Above every load of ours, so that nothing waits for a provider's published limits.
PACING = '{"pacing": {"per_operation": 100000, "total": 100000}}'
#: Of the local providers: no limits, and a webhook's second try after half a second instead of five minutes.
SANDBOX: Mapping[str, Any] = {"rate_limit": 0, "rate_limit_total": 0, "webhook_retry_scale": 1 / 600}


def environment(settings: Mapping[str, Any]) -> dict[str, str]:
    """As a process reads them."""
    return {f"TOLLGATE_{name.upper()}": str(value) for name, value in {**SHORTENED, **settings}.items()}
