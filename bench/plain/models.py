"""Tables and the database session."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import JSON, BigInteger, DateTime, ForeignKey, UniqueConstraint, create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, sessionmaker

engine = create_engine(
    os.environ["PLAIN_DATABASE_URL"], pool_size=int(os.environ.get("PLAIN_POOL", "5")), max_overflow=5
)
Session = sessionmaker(engine)


def now() -> datetime:
    return datetime.now(UTC)


class Base(DeclarativeBase):
    type_annotation_map = {datetime: DateTime(timezone=True), dict[str, Any]: JSON}  # noqa: RUF012


class Merchant(Base):
    __tablename__ = "merchants"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    name: Mapped[str]
    api_key_hash: Mapped[str] = mapped_column(unique=True)
    webhook_url: Mapped[str | None]
    webhook_secret: Mapped[str | None]


class Payment(Base):
    __tablename__ = "payments"
    __table_args__ = (UniqueConstraint("merchant_id", "idempotency_key"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    merchant_id: Mapped[UUID] = mapped_column(ForeignKey("merchants.id"))
    idempotency_key: Mapped[str]
    amount: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str]
    token: Mapped[str]
    status: Mapped[str] = mapped_column(default="processing")
    stripe_id: Mapped[str | None] = mapped_column(unique=True)
    decline_code: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(default=now)
    updated_at: Mapped[datetime] = mapped_column(default=now, onupdate=now)


class Audit(Base):
    __tablename__ = "audit"

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    payment_id: Mapped[UUID] = mapped_column(ForeignKey("payments.id"), index=True)
    action: Mapped[str]
    from_status: Mapped[str | None]
    to_status: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=now)


class WebhookEvent(Base):
    __tablename__ = "webhook_events"

    id: Mapped[str] = mapped_column(primary_key=True)
    type: Mapped[str]
    body: Mapped[dict[str, Any]]
    processed_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(default=now)


def move(session: Any, payment: Payment, status: str, action: str) -> None:
    """Changes the status and writes the change down."""
    entry = Audit(payment_id=payment.id, action=action, from_status=payment.status, to_status=status)
    session.add(entry)
    payment.status = status
