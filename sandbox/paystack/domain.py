"""Which of Paystack's two worlds a key belongs to."""

from __future__ import annotations

from ..world import Desk


def domain(desk: Desk) -> str:
    """`live` or `test`; the sandbox moves no money in either."""
    return "live" if desk.account.secret_key.startswith("sk_live_") else "test"
