"""What can be set while the sandbox runs; it starts from the command line every time."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

#: Of any number here: in milliseconds about four months.
LARGEST = 1e10


@dataclass(slots=True)
class Settings:
    """Times in milliseconds; limits in requests a second, 0 meaning none."""

    latency_ms: float = 0  # half before the provider acts and half after, as on a real road
    rate_limit: int = 0  # per endpoint; Stripe publishes 25
    rate_limit_total: int = 0  # per account over all endpoints; Stripe's test mode publishes 25
    webhooks: bool = True  # false holds them back: they wait as pending until it is true again
    webhook_delay_ms: float = 50  # a real event reaches a merchant shortly after the answer
    webhook_retry_scale: float = 1 / 60  # of the provider's own schedule: an hour becomes a minute
    settle_ms: float = 1000  # how long what happens "later" takes: refunds, fees, disputes

    def change(self, wanted: dict[str, Any]) -> None:
        """Takes over the named values; raises ValueError, changing nothing, when one is no good."""
        kinds = {field.name: field.type for field in fields(self)}
        checked = {name: _checked(name, value, kinds) for name, value in wanted.items()}
        for name, value in checked.items():
            setattr(self, name, value)

    def shown(self) -> dict[str, Any]:
        return asdict(self)


def _checked(name: str, value: Any, kinds: dict[str, Any]) -> Any:
    kind = kinds.get(name)
    if kind is None:
        raise ValueError(f"unknown setting {name}; known: {', '.join(sorted(kinds))}")
    if kind == "bool":
        if not isinstance(value, bool):
            raise ValueError(f"{name} must be true or false")
        return value
    # In this form NaN is refused, too.
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= LARGEST:
        raise ValueError(f"{name} must be a number from 0 to {LARGEST:.0f}")
    return int(value) if kind == "int" else float(value)
