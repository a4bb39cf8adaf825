"""What Paystack can do, declared."""

from __future__ import annotations

from core.providers.base import Capabilities
from core.providers.paystack.currencies import CURRENCIES

CAPABILITIES = Capabilities(
    methods=frozenset({"redirect", "saved"}),
    currencies=CURRENCIES,
    manual_capture_methods=frozenset({"redirect", "saved"}),
    partial_capture=True,
    void=True,  # a hold is released
    close_unfinished=False,  # a page cannot be closed: it is left to be abandoned, and watched
    refund=True,
    partial_refund=True,
    multiple_refunds=True,
    failure_webhooks=False,
    resend_window_seconds=None,  # a second initialize with one reference is refused, a second refund refunds
    not_found_lookups=2,
    unknown_review_seconds=72 * 3600,  # as long as Paystack repeats its webhooks in live mode
    customer_email_for=frozenset({"redirect"}),
    manual_capture_currencies=frozenset({"ZAR"}),  # preauthorization is for South African merchants
    save_methods=frozenset({"redirect"}),  # a card is saved by paying, never by itself
    off_session=True,
    customer_objects=False,  # the e-mail address ties a card to its customer
    disputes=frozenset({"read", "evidence", "accept"}),
    evidence_together=frozenset({"customer_email", "customer_name", "customer_phone", "service_details"}),
    changes=True,
    statement=True,
)
