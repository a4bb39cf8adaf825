"""Who may call, who pays and with what, and which provider accounts carry it."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import UUID

from core.persistence.tables.base import (
    TEXTS, created, identifier, json, link, metadata, sealed, number, small, tenant, text, when,
)  # fmt: skip

merchants = sa.Table("merchants", metadata, identifier(), text("name", False), created())

data_keys = sa.Table(
    "data_keys",
    metadata,
    identifier(),
    *tenant(),
    text("owner_kind", False),
    link("owner_id", False),
    small("kek_version"),
    sealed("wrapped", False),
    created(),
)

api_keys = sa.Table(
    "api_keys",
    metadata,
    text("id", False, primary_key=True),
    text("kind", False),
    link("merchant_id"),
    text("mode"),
    text("name", False),
    text("prefix", False),
    sa.Column("secret_hash", sa.LargeBinary, nullable=False),
    sa.Column("scopes", TEXTS, nullable=False),
    created(),
    when("expires_at"),
    when("revoked_at"),
    when("last_used_at"),
    text("created_by"),
    text("replaces"),
    text("ended_by"),
    number("lifetime_seconds", True),
)

provider_accounts = sa.Table(
    "provider_accounts",
    metadata,
    identifier(),
    *tenant(),
    text("provider", False),
    text("name", False),
    text("identity", False),
    text("status", False),
    small("priority"),
    text("api_base"),
    sealed("credentials_sealed", False),
    sealed("webhook_secrets_sealed", False),
    json("settings", False),
    text("suspended_reason"),
    created(),
    created("updated_at"),
)

customers = sa.Table(
    "customers",
    metadata,
    identifier(),
    *tenant(),
    sealed("sealed"),
    sealed("email_index"),
    small("index_key_version"),
    created(),
    when("erased_at"),
    text("reference"),
    json("metadata", False),
    created("updated_at"),
)

provider_customers = sa.Table(
    "provider_customers",
    metadata,
    sa.Column("customer_id", UUID(as_uuid=True), primary_key=True),
    sa.Column("provider_account_id", UUID(as_uuid=True), primary_key=True),
    *tenant(),
    text("provider_key", False),
    text("provider_id"),
    when("first_sent_at", False),
    created(),
    created("updated_at"),
)

payment_methods = sa.Table(
    "payment_methods",
    metadata,
    identifier(),
    *tenant(),
    link("customer_id", False),
    link("payment_id"),
    text("provider", False),
    link("provider_account_id", False),
    text("kind", False),
    text("status", False),
    sealed("sealed"),
    sealed("token_index", False),
    sealed("fingerprint_index"),
    created(),
    created("updated_at"),
    when("forgotten_at"),
    small("index_key_version", server_default=sa.text("1")),
)

erasures = sa.Table(
    "erasures",
    metadata,
    sa.Column("customer_id", UUID(as_uuid=True), primary_key=True),
    *tenant(),
    created("erased_at"),
    when("redacted_at"),
)

sealing_keys = sa.Table(
    "sealing_keys",
    metadata,
    text("kind", False, primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True),
    sealed("check_value", False),
    created(),
    when("retired_at"),
)

key_rotations = sa.Table(
    "key_rotations",
    metadata,
    identifier(),
    text("kind", False),
    small("to_version"),
    text("status", False),
    text("subject", False),
    link("walked_to", False),
    number("done"),
    number("total"),
    text("started_by", False),
    created(),
    created("updated_at"),
    when("finished_at"),
)
