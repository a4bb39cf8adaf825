"""What Stripe can do, declared."""

from __future__ import annotations

from core.providers.base import Capabilities, Pacing
from core.providers.stripe.currencies import CURRENCIES

CAPABILITIES = Capabilities(
    methods=frozenset({"token", "redirect", "saved"}),
    currencies=CURRENCIES,
    manual_capture_methods=frozenset({"token", "redirect", "saved"}),
    partial_capture=True,
    void=True,
    close_unfinished=True,
    refund=True,
    partial_refund=True,
    multiple_refunds=True,
    failure_webhooks=True,
    # Keys are kept for at least 24 h (docs.stripe.com/api/idempotent_requests); an hour of it is ours.
    resend_window_seconds=23 * 3600,
    not_found_lookups=1,  # lists by creation time are read after write; only search is behind
    unknown_review_seconds=24 * 3600,
    return_url_for=frozenset({"redirect"}),
    save_methods=frozenset({"token", "redirect"}),
    off_session=True,
    customer_objects=True,
    disputes=frozenset({"read", "evidence", "accept"}),
    changes=True,
    statement=True,
    # docs.stripe.com/rate-limits
    pacing=Pacing(per_operation=25, total_test=25, total_live=100),
)
