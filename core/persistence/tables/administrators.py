"""People who run the installation, how they log in, and the installation's own sealing keys."""

from __future__ import annotations

import sqlalchemy as sa

from core.persistence.tables.base import created, identifier, link, metadata, number, sealed, small, text, when

installation_keys = sa.Table(
    "installation_keys",
    metadata,
    identifier(),
    text("purpose", False),
    small("kek_version"),
    sealed("wrapped", False),
    created(),
)

administrators = sa.Table(
    "administrators",
    metadata,
    identifier(),
    text("name", False),
    text("role", False),
    text("password_hash", False),
    when("password_until"),
    sealed("code_sealed"),
    when("code_confirmed_at"),
    number("code_step", server_default="0"),
    text("created_by", False),
    created(),
    created("updated_at"),
    when("disabled_at"),
)

administrator_sessions = sa.Table(
    "administrator_sessions",
    metadata,
    identifier(),
    link("administrator_id", False),
    sealed("token_hash", False),
    text("stage", False),
    text("address", False),
    text("agent"),
    small("code_failures", server_default="0"),
    text("notice"),
    created(),
    created("seen_at"),
    created("confirmed_at"),
    when("expires_at", False),
    when("ended_at"),
    text("ended_because"),
)

administrator_spare_codes = sa.Table(
    "administrator_spare_codes",
    metadata,
    identifier(),
    link("administrator_id", False),
    sealed("code_hash", False),
    created(),
    when("used_at"),
)

administrator_devices = sa.Table(
    "administrator_devices",
    metadata,
    identifier(),
    link("administrator_id", False),
    sealed("token_hash", False),
    created(),
    created("seen_at"),
    when("forgotten_at"),
)
