"""What a provider can do, declared: everything else is refused before it is sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CurrencyLimit:
    """Smallest and largest amount the provider takes, in ISO minor units; every amount is a multiple of `step`."""

    minimum: int
    maximum: int
    step: int = 1


@dataclass(frozen=True, slots=True)
class Pacing:
    """Requests a second the provider allows one account, as published; None where nothing is published."""

    per_operation: float | None
    total_test: float | None
    total_live: float | None


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a provider can do, declared; everything else is refused before it is sent."""

    methods: frozenset[str]  # "token", "redirect", "saved"
    currencies: Mapping[str, CurrencyLimit]
    manual_capture_methods: frozenset[str]  # methods that can authorize first
    partial_capture: bool
    void: bool  # may an authorization be released by us
    close_unfinished: bool  # may a payment the customer has not finished be ended by us
    refund: bool
    partial_refund: bool
    multiple_refunds: bool
    failure_webhooks: bool  # False: failures are found by asking only
    resend_window_seconds: int | None  # how long the same key replays; None: it never does, look up instead
    not_found_lookups: int  # look-ups, a minute apart, before "not found" counts
    unknown_review_seconds: int  # an outcome open longer than this goes to a person
    customer_email_for: frozenset[str] = frozenset()  # methods that need the customer's e-mail
    return_url_for: frozenset[str] = frozenset()  # methods that need a return_url
    manual_capture_currencies: frozenset[str] | None = None  # None: every currency it takes
    save_methods: frozenset[str] = frozenset()  # methods whose payment can leave a saved one behind
    off_session: bool = False  # may a saved method be charged while the customer is away
    customer_objects: bool = False  # saving needs a customer object at the provider, made before the payment
    disputes: frozenset[str] = frozenset()  # "read", "evidence", "accept"
    evidence_together: frozenset[str] = frozenset()  # of EVIDENCE_FIELDS: given together, or none of them
    changes: bool = False  # list_changes() finds what webhooks missed
    statement: bool = False  # list_statement() tells fees and payouts
    pacing: Pacing = Pacing(None, None, None)


def step_of(capabilities: Capabilities, currency: str) -> int:
    """The step, in ISO minor units, that charges, captures and refunds are to be multiples of; 1 where none is said."""
    limit = capabilities.currencies.get(currency)
    return 1 if limit is None else limit.step
