"""Which account carries a payment: the versions of a merchant's routes, and how the accounts' health has changed."""

from __future__ import annotations

import sqlalchemy as sa

from core.persistence.tables.base import created, identifier, json, link, metadata, small, tenant, text, when

routes = sa.Table(
    "routes",
    metadata,
    identifier(),
    *tenant(),
    small("version"),
    text("status", False),
    json("definition", False),
    text("note"),
    text("created_by", False),
    created(),
    created("updated_at"),
    text("activated_by"),
    when("activated_at"),
)

health_changes = sa.Table(
    "health_changes",
    metadata,
    identifier(),
    *tenant(),
    link("provider_account_id", False),
    text("operation", False),
    text("from_state", False),
    text("to_state", False),
    json("details", False),
    created(),
)
