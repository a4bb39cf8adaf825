"""Column shorthands shared by the tables."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, UUID

metadata = sa.MetaData()

UTC = sa.DateTime(timezone=True)
TEXTS = ARRAY(sa.Text)


def identifier(name: str = "id", **options: Any) -> sa.Column[Any]:
    return sa.Column(name, UUID(as_uuid=True), primary_key=name == "id", **options)


def link(name: str, nullable: bool = True) -> sa.Column[Any]:
    return sa.Column(name, UUID(as_uuid=True), nullable=nullable)


def text(name: str, nullable: bool = True, **options: Any) -> sa.Column[Any]:
    return sa.Column(name, sa.Text, nullable=nullable, **options)


def number(name: str, nullable: bool = False, **options: Any) -> sa.Column[Any]:
    return sa.Column(name, sa.BigInteger, nullable=nullable, **options)


def small(name: str, nullable: bool = False, **options: Any) -> sa.Column[Any]:
    return sa.Column(name, sa.Integer, nullable=nullable, **options)


def flag(name: str, **options: Any) -> sa.Column[Any]:
    return sa.Column(name, sa.Boolean, nullable=False, **options)


def json(name: str, nullable: bool = True) -> sa.Column[Any]:
    return sa.Column(name, JSONB(none_as_null=True), nullable=nullable)


def sealed(name: str, nullable: bool = True) -> sa.Column[Any]:
    """Ciphertext made by the vault; the plain value never reaches a statement."""
    return sa.Column(name, sa.LargeBinary, nullable=nullable)


def when(name: str, nullable: bool = True) -> sa.Column[Any]:
    return sa.Column(name, UTC, nullable=nullable)


def created(name: str = "created_at") -> sa.Column[Any]:
    """Set by the database's clock."""
    return sa.Column(name, UTC, nullable=False, server_default=sa.text("app_now()"))


def tenant() -> list[sa.Column[Any]]:
    """Merchant and mode, on every row."""
    return [link("merchant_id", nullable=False), text("mode", nullable=False)]
