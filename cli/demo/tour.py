"""The steps of the tour: each makes a payment, and says what it saw and what it should have seen."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from cli.demo import aftermath, books, cards, deadlines, pages, repeats, saved
from cli.demo.client import Surprise
from cli.demo.steps import Act, Scene, Step

#: In this order: a refund and a second charge need what an earlier step has left.
STEPS: Sequence[tuple[str, Act]] = (
    ("Stripe: card paid", cards.paid),
    ("Stripe: held, part captured, part refunded", cards.captured),
    ("Stripe: card that needs authentication", cards.authenticated),
    ("Stripe: card declined", cards.declined),
    ("Paystack: NGN paid on its page", pages.paid),
    ("Paystack: refund", pages.refunded),
    ("The same request twice, one idempotency key", repeats.repeated),
    ("The provider times out after it has charged", repeats.timed_out),
    ("Stripe: paid, and the card saved", saved.saved_at_stripe),
    ("Stripe: saved card, the customer away", saved.charged_at_stripe),
    ("Paystack: paid on its page, the card saved", saved.saved_at_paystack),
    ("Paystack: saved card, the customer away", saved.charged_at_paystack),
    ("Paystack: ZAR held, a part captured", pages.held),
    ("Stripe: disputed, answered and won", aftermath.disputed),
    ("Stripe: a refund that fails later", aftermath.refund_failed),
    ("Stripe: authentication abandoned", deadlines.abandoned),
    ("Paystack: paid after the deadline, refunded", deadlines.paid_too_late),
    ("Stripe takes no connection: Paystack's page", books.failed_over),
    ("Stripe's answer lost: no other page is made", books.stayed),
    ("Routed by a rule with weights, explained", books.routed),
    ("Webhooks lost, found by reconciliation", books.found_again),
    ("Refunded at the dashboard: finding, decided", books.decided),
    ("Days later: payouts matched line by line", books.paid_out),
)


def run(scene: Scene, steps: Sequence[tuple[str, Act]] = STEPS) -> Iterator[Step]:
    """One after the other, each told when it is done; trouble in one does not end the tour."""
    for title, act in steps:
        step = Step(title)
        started = time.monotonic()
        try:
            act(scene, step)
            if step.payment is not None and not step.statuses:
                step.statuses = scene.shop.steps(step.payment)
        except (Surprise, OSError, KeyError, TypeError) as error:
            step.trouble = f"{type(error).__name__}: {error}"
        step.milliseconds = round((time.monotonic() - started) * 1000)
        yield step
