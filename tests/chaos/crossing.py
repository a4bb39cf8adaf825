"""The literal table of crash points and operations: which pairs exist."""

from __future__ import annotations

from tests.chaos.operations import (
    PAYSTACK_CARD,
    STRIPE_CARD,
    WINS,
    Operation,
    asks,
    by_page,
    by_token,
    compares,
    customer,
    disputed,
    fails_over,
    in_turn,
    is_asked_about_once,
    is_compared,
    is_forgotten,
    is_saved,
    is_sealed,
    is_told,
    one_dispute,
    page_is_open,
    pays,
    pays_with_saved,
    renames,
    saved,
    saved_at_paystack,
    saves,
    seals,
    stands,
    support_asks,
    time_passes,
    until,
)

ACCEPT = ("accept.written", "accept.committed", "accept.hinted")
JOB = ("job.claimed", "job.announcing", "job.announced", "call.sending", "call.answered", "job.settling", "job.settled")
INBOX = ("inbox.verified", "inbox.stored", "inbox.hinted", "inbox.applying", "inbox.applied")
DELIVERY = ("delivery.prepared", "delivery.posted", "delivery.recording", "delivery.recorded")
SENT = (*ACCEPT, *JOB)
#: Announced; only the dead process knew whether it was sent.
UNSURE = ("job.announced", "call.sending")

_HOLD = {"amount": 90000, "currency": "ZAR", "capture": "manual"}
_HELD_AT_STRIPE = by_token("authorized", capture="manual")
_HELD_AT_PAYSTACK = in_turn(by_page("paystack", **_HOLD), pays(PAYSTACK_CARD), until("authorized"))
_PAID_AT_PAYSTACK = in_turn(by_page("paystack"), pays(PAYSTACK_CARD), until("succeeded"))
_CAPTURE, _CANCEL = asks("/v1/payments/{payment}/capture", {}), asks("/v1/payments/{payment}/cancel")
_REFUND_AT_PAYSTACK = asks("/v1/payments/{payment}/refunds", {"amount": 20000})
_PAID = stands("succeeded", charged=1, taken=1000)

#: Every operation there is. A test holds the kinds and points to those of the core, and a run fails when a process
#: reaches a pair that no row has.
OPERATIONS: tuple[Operation, ...] = (
    # Money, each operation at each provider.
    Operation("create by token, Stripe", "create_payment", SENT, by_token(), _PAID),
    Operation("create by page, Stripe", "create_payment", SENT, by_page("stripe"), _PAID, follow=pays(STRIPE_CARD)),
    Operation(
        name="create by page, Paystack",
        kind="create_payment",
        points=SENT,
        act=by_page("paystack"),
        follow=pays(PAYSTACK_CARD),
        check=stands("succeeded", charged=1, taken=500000),
    ),
    Operation(
        name="create by saved card, Paystack",
        kind="create_payment",
        points=JOB,
        prepare=saved_at_paystack,
        act=pays_with_saved,
        check=stands("succeeded", charged=1, taken=120000),
    ),
    Operation(
        name="capture, Stripe",
        kind="capture_payment",
        points=SENT,
        prepare=_HELD_AT_STRIPE,
        act=_CAPTURE,
        check=stands("succeeded", charged=1, held=0, taken=1000),
    ),
    Operation(
        name="capture, Paystack",
        kind="capture_payment",
        points=SENT,
        prepare=_HELD_AT_PAYSTACK,
        act=_CAPTURE,
        check=stands("succeeded", charged=1, held=0, taken=90000),
    ),
    Operation(
        name="void, Stripe",
        kind="cancel_payment",
        points=SENT,
        prepare=_HELD_AT_STRIPE,
        act=_CANCEL,
        check=stands("canceled", charged=0, held=0),
    ),
    Operation(
        name="void, Paystack",
        kind="cancel_payment",
        points=SENT,
        prepare=_HELD_AT_PAYSTACK,
        act=_CANCEL,
        check=stands("canceled", charged=0, held=0),
    ),
    Operation(
        name="refund, Stripe",
        kind="refund_payment",
        points=SENT,
        prepare=by_token("succeeded"),
        act=asks("/v1/payments/{payment}/refunds", {"amount": 400}),
        check=stands("succeeded", charged=1, refunds=(400,)),
    ),
    Operation(
        name="refund, Paystack",
        kind="refund_payment",
        points=tuple(point for point in SENT if point not in UNSURE),
        prepare=_PAID_AT_PAYSTACK,
        act=_REFUND_AT_PAYSTACK,
        check=stands("succeeded", charged=1, refunds=(20000,)),
        alone=True,
    ),
    # It may have been sent, and Paystack knows no key: it is never sent again, and a person is asked.
    Operation(
        name="refund perhaps sent, Paystack",
        kind="refund_payment",
        points=UNSURE,
        prepare=_PAID_AT_PAYSTACK,
        act=_REFUND_AT_PAYSTACK,
        check=stands("succeeded", charged=1, refunds=()),
        review="refund_unconfirmed",
        alone=True,
    ),
    # A declined capture leaves an intent payable, which a job of its own closes.
    Operation(
        name="close after a decline, Stripe",
        kind="close_payment",
        points=JOB,
        prepare=by_token("authorized", "pm_card_captureDeclined", capture="manual"),
        act=_CAPTURE,
        check=stands("failed", charged=0, held=0, waiting=0),
        alone=True,
    ),
    # One job that calls twice: it makes the customer, then charges and keeps the card.
    Operation("save: the customer, Stripe", "create_payment", SENT, saves, is_saved, customer, alone=True),
    Operation(
        name="save: the charge, Stripe",
        kind="create_payment",
        points=("call.sending", "call.answered", "job.settling", "job.settled"),
        prepare=customer,
        act=saves,
        check=is_saved,
        nth=2,
        alone=True,
    ),
    # Telling a provider about people.
    Operation("customer told, Stripe", "push_customer", JOB, renames, is_told, saved),
    Operation(
        name="method forgotten, Stripe",
        kind="forget_method",
        points=JOB,
        prepare=saved,
        act=asks("/v1/payment_methods/{method}", method="DELETE"),
        check=is_forgotten,
    ),
    # Disputes.
    Operation(
        name="dispute answered, Stripe",
        kind="send_evidence",
        points=SENT,
        prepare=disputed,
        act=asks("/v1/disputes/{dispute}/evidence", WINS),
        check=one_dispute("under_review", "won", answered=True),
    ),
    Operation(
        name="dispute accepted, Stripe",
        kind="accept_dispute",
        points=SENT,
        prepare=disputed,
        act=asks("/v1/disputes/{dispute}/accept"),
        check=one_dispute("lost"),
    ),
    Operation(
        name="dispute read, Stripe",
        kind="sync_dispute",
        points=JOB,
        act=by_token(token="pm_card_createDispute"),
        check=one_dispute("needs_response"),
        alone=True,
    ),
    # Looks that nobody asked for, or somebody did.
    Operation(
        name="read back, Stripe",
        kind="sync_payment",
        points=SENT,
        prepare=_HELD_AT_STRIPE,
        act=asks("/v1/payments/{payment}/sync"),
        check=stands("authorized", charged=0, held=1),
        alone=True,
    ),
    Operation(
        name="asked about by support, Stripe",
        kind="sync_payment",
        points=ACCEPT,
        prepare=by_token("succeeded"),
        act=support_asks,
        check=is_asked_about_once,
        alone=True,
    ),
    Operation(
        name="page expired, Paystack",
        kind="expire_payment",
        points=JOB,
        prepare=in_turn(by_page("paystack"), page_is_open),
        act=time_passes,
        check=stands("canceled", charged=0, held=0),
        alone=True,
        moves_time=True,
    ),
    # In and out.
    Operation(
        name="webhook, Stripe",
        kind="process_webhook",
        points=("job.claimed", *INBOX),
        prepare=in_turn(by_page("stripe"), page_is_open),
        act=pays(STRIPE_CARD),
        check=_PAID,
        alone=True,
    ),
    Operation(
        name="webhook, Paystack",
        kind="process_webhook",
        points=("job.claimed", *INBOX),
        prepare=in_turn(by_page("paystack"), page_is_open),
        act=pays(PAYSTACK_CARD),
        check=stands("succeeded", charged=1, taken=500000),
        alone=True,
    ),
    Operation(
        name="create by page, failing over",
        kind="create_payment",
        points=JOB,
        act=fails_over,
        follow=pays(PAYSTACK_CARD),
        check=stands("succeeded", charged=1, taken=1000),
        nth=2,
        alone=True,
    ),
    Operation(
        name="books compared",
        kind="reconcile",
        points=("job.claimed", "job.announcing", "job.announced", "job.settling", "job.settled"),
        prepare=by_token("succeeded"),
        act=compares,
        check=is_compared,
        alone=True,
    ),
    Operation(
        name="audit log sealed",
        kind="seal",
        points=("seal.written", "seal.committed", "seal.anchored"),
        prepare=by_token("succeeded"),
        act=seals,
        check=is_sealed,
        alone=True,
    ),
    Operation("delivery", "deliver_event", ("job.claimed", *DELIVERY), by_token(), _PAID, alone=True),
)
