"""Prints the README's table of what each provider can do, from what the providers' packages declare."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping

from core.providers.base import Capabilities
from core.providers.registry import PROVIDERS

#: So many currencies are named; more are counted.
FEW = 12


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _names(values: Iterable[str]) -> str:
    return ", ".join(sorted(values)) or "no"


def _currencies(able: Capabilities) -> str:
    return _names(able.currencies) if len(able.currencies) <= FEW else str(len(able.currencies))


def _hours(seconds: int | None) -> str:
    return "never" if seconds is None else f"for {seconds // 3600} h"


def _holds(able: Capabilities) -> str:
    only = able.manual_capture_currencies
    return _names(able.manual_capture_methods) + (f" ({_names(only)})" if only is not None else "")


def _needs(able: Capabilities) -> str:
    needed = [f"customer.email ({_names(able.customer_email_for)})"] if able.customer_email_for else []
    needed += [f"return_url ({_names(able.return_url_for)})"] if able.return_url_for else []
    return ", ".join(needed) or "nothing more"


ROWS: Mapping[str, Callable[[Capabilities], str]] = {
    "payment methods": lambda able: _names(able.methods),
    "currencies": _currencies,
    "needs beside amount and method": _needs,
    "authorize first, capture later": _holds,
    "capture a part · release a hold": lambda able: f"{_yes(able.partial_capture)} · {_yes(able.void)}",
    "end a payment the customer has not finished": lambda able: _yes(able.close_unfinished),
    "refund · a part · several times": lambda able: " · ".join(
        map(_yes, (able.refund, able.partial_refund, able.multiple_refunds))
    ),
    "save a method while paying": lambda able: _names(able.save_methods),
    "charge it while the customer is away": lambda able: _yes(able.off_session),
    "disputes": lambda able: _names(able.disputes),
    "evidence given together or not at all": lambda able: _names(able.evidence_together),
    "failures come by webhook": lambda able: _yes(able.failure_webhooks),
    "list what webhooks missed · fees and payouts": lambda able: f"{_yes(able.changes)} · {_yes(able.statement)}",
    "the same request may be sent again": lambda able: _hours(able.resend_window_seconds),
    "look-ups before “not found” counts": lambda able: str(able.not_found_lookups),
    "an unknown outcome goes to a person after": lambda able: f"{able.unknown_review_seconds // 3600} h",
}


def table() -> str:
    """Markdown, one column a provider in the order of the registry."""
    able = {name: kind.capabilities for name, kind in PROVIDERS.items()}
    lines = [["", *able], ["---"] * (len(able) + 1)]
    lines += [[title, *(show(one) for one in able.values())] for title, show in ROWS.items()]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


if __name__ == "__main__":
    sys.stdout.write(table() + "\n")
