"""The API: take a payment, show a payment, take a webhook of Stripe."""

from __future__ import annotations

import hashlib
import os
from typing import Any, Literal
from uuid import UUID

import stripe
from flask import Blueprint, Flask, Response, jsonify, request
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from bench.plain.models import Audit, Merchant, Payment, Session, WebhookEvent
from bench.plain.tasks import charge, process_webhook


class Token(BaseModel):
    type: Literal["token"]
    token: str = Field(min_length=1, max_length=255)


class NewPayment(BaseModel):
    model_config = ConfigDict(extra="forbid")

    amount: int = Field(gt=0, le=99_999_999, strict=True)
    currency: str = Field(pattern=r"^[A-Z]{3}$")
    payment_method: Token


def shown(payment: Payment) -> dict[str, Any]:
    return {
        "id": str(payment.id),
        "amount": payment.amount,
        "currency": payment.currency,
        "status": payment.status,
        "decline_code": payment.decline_code,
        "created_at": payment.created_at.isoformat(),
    }


def problem(status: int, message: str) -> tuple[Response, int]:
    return jsonify(error=message), status


def merchant_of(session: Any) -> Merchant | None:
    key = request.headers.get("Authorization", "").removeprefix("Bearer ")
    found: Merchant | None = session.scalar(
        select(Merchant).where(Merchant.api_key_hash == hashlib.sha256(key.encode()).hexdigest())
    )
    return found


routes = Blueprint("plain", __name__)


@routes.post("/payments")
def create_payment() -> Any:
    key = request.headers.get("Idempotency-Key")
    if not key:
        return problem(400, "Idempotency-Key is missing")
    try:
        asked = NewPayment.model_validate(request.get_json())
    except ValidationError as error:
        return problem(422, str(error))
    with Session() as session:
        merchant = merchant_of(session)
        if merchant is None:
            return problem(401, "unknown API key")
        payment = Payment(
            merchant_id=merchant.id,
            idempotency_key=key,
            amount=asked.amount,
            currency=asked.currency,
            token=asked.payment_method.token,
            status="processing",
        )
        session.add(payment)
        try:
            session.flush()
        except IntegrityError:
            session.rollback()
            query = select(Payment).where(Payment.merchant_id == merchant.id, Payment.idempotency_key == key)
            return jsonify(shown(session.scalars(query).one())), 200
        session.add(Audit(payment_id=payment.id, action="created", to_status="processing"))
        answer = shown(payment)
        session.commit()
    charge.delay(answer["id"])
    return jsonify(answer), 202


@routes.get("/payments/<uuid:payment_id>")
def get_payment(payment_id: UUID) -> Any:
    with Session() as session:
        merchant = merchant_of(session)
        if merchant is None:
            return problem(401, "unknown API key")
        payment = session.get(Payment, payment_id)
        if payment is None or payment.merchant_id != merchant.id:
            return problem(404, "no such payment")
        return jsonify(shown(payment))


@routes.post("/webhooks/stripe")
def stripe_webhook() -> Any:
    try:
        event = stripe.Webhook.construct_event(
            request.get_data(), request.headers["Stripe-Signature"], os.environ["PLAIN_WEBHOOK_SECRET"]
        )
    except (ValueError, KeyError, stripe.SignatureVerificationError):
        return problem(400, "the signature does not fit")
    with Session() as session:
        session.add(WebhookEvent(id=event["id"], type=event["type"], body=request.get_json()))
        try:
            session.commit()
        except IntegrityError:
            return jsonify(received=True)
    process_webhook.delay(event["id"])
    return jsonify(received=True)


def create_app() -> Flask:
    app = Flask(__name__)
    app.register_blueprint(routes)
    return app
