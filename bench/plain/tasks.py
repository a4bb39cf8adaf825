"""The work behind the API: one Celery task a payment, one a webhook, one an event to the merchant."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from uuid import UUID, uuid4

import requests
import stripe
from celery import Celery
from celery.signals import worker_process_init
from sqlalchemy import select
from standardwebhooks import Webhook

from bench.plain.models import Merchant, Payment, Session, WebhookEvent, engine, move

celery = Celery("plain", broker=os.environ["PLAIN_BROKER_URL"])
celery.conf.update(
    task_ignore_result=True,
    task_acks_late=True,
    worker_prefetch_multiplier=1,
    broker_connection_retry_on_startup=True,
)
stripe.api_key = os.environ["PLAIN_STRIPE_KEY"]
stripe.api_base = os.environ["PLAIN_STRIPE_URL"]

STATUSES = {"succeeded": "succeeded", "requires_action": "requires_action", "canceled": "canceled"}
FINAL = ("succeeded", "failed", "canceled")


@worker_process_init.connect
def forget_connections(**_: object) -> None:
    """A forked child must not share its parent's connections."""
    engine.dispose(close=False)


@celery.task(autoretry_for=(stripe.APIConnectionError, stripe.RateLimitError), retry_backoff=True, max_retries=5)
def charge(payment_id: str) -> None:
    with Session() as session:
        payment = session.get_one(Payment, UUID(payment_id))
        if payment.status != "processing":
            return
        # Read before the call, so that no connection is held while Stripe is thinking.
        amount, currency, token = payment.amount, payment.currency, payment.token
    decline_code = stripe_id = None
    try:
        intent = stripe.PaymentIntent.create(
            amount=amount,
            currency=currency.lower(),
            payment_method=token,
            confirm=True,
            automatic_payment_methods={"enabled": True, "allow_redirects": "never"},
            metadata={"payment_id": payment_id},
            idempotency_key=payment_id,
        )
        status, stripe_id = STATUSES.get(intent.status, "processing"), intent.id
    except stripe.CardError as error:
        status, decline_code = "failed", error.code
    with Session() as session:
        payment = session.get_one(Payment, UUID(payment_id), with_for_update=True)
        if payment.status in FINAL:
            return
        payment.stripe_id, payment.decline_code = stripe_id, decline_code
        move(session, payment, status, "charged")
        merchant = session.get_one(Merchant, payment.merchant_id)
        notify = merchant.webhook_url is not None and status in FINAL
        session.commit()
    if notify:
        send_event.delay(payment_id)


@celery.task
def process_webhook(event_id: str) -> None:
    with Session() as session:
        event = session.get_one(WebhookEvent, event_id)
        if event.processed_at is not None:
            return
        event.processed_at = datetime.now(UTC)
        found = event.body["data"]["object"]
        payment_id = found.get("metadata", {}).get("payment_id")
        notify = False
        if payment_id and event.type.startswith("payment_intent."):
            payment = session.scalar(select(Payment).where(Payment.id == UUID(payment_id)).with_for_update())
            status = STATUSES.get(found["status"])
            if payment is not None and status is not None and payment.status not in (status, *FINAL):
                payment.stripe_id = found["id"]
                move(session, payment, status, event.type)
                merchant = session.get_one(Merchant, payment.merchant_id)
                notify = merchant.webhook_url is not None and status in FINAL
        session.commit()
    if notify:
        send_event.delay(payment_id)


@celery.task(autoretry_for=(requests.RequestException,), retry_backoff=5, max_retries=8)
def send_event(payment_id: str) -> None:
    with Session() as session:
        payment = session.get_one(Payment, UUID(payment_id))
        merchant = session.get_one(Merchant, payment.merchant_id)
        url, secret = str(merchant.webhook_url), str(merchant.webhook_secret)
        status = payment.status
    body = f'{{"type": "payment.{status}", "data": {{"id": "{payment_id}", "status": "{status}"}}}}'
    message, sent_at = f"msg_{uuid4().hex}", datetime.now(UTC)
    headers = {
        "Content-Type": "application/json",
        "webhook-id": message,
        "webhook-timestamp": str(int(sent_at.timestamp())),
        "webhook-signature": Webhook(secret).sign(message, sent_at, body),
    }
    requests.post(url, data=body, headers=headers, timeout=15).raise_for_status()
