"""Administrators as people: sessions, spare codes, known browsers; and sealing keys of the installation's own."""

from __future__ import annotations

from alembic import op

revision = "0010"
down_revision = "0009"

_TABLES = """
-- Keys that belong to no merchant, wrapped like those of `data_keys`; `purpose` says what one seals.
CREATE TABLE installation_keys (
    id uuid PRIMARY KEY,
    purpose text NOT NULL UNIQUE,
    kek_version integer NOT NULL,
    wrapped bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT app_now()
);

-- People who run the installation. None is ever removed: the audit log names them.
CREATE TABLE administrators (
    id uuid PRIMARY KEY,
    name text NOT NULL UNIQUE CHECK (name = lower(name) AND char_length(name) BETWEEN 2 AND 80),
    role text NOT NULL CHECK (role IN ('viewer', 'support', 'finance', 'admin')),
    password_hash text NOT NULL,
    -- A password somebody else has seen: good until then, and only to choose another.
    password_until timestamptz,
    code_sealed bytea,
    -- Null until the person has shown once that their device makes the codes.
    code_confirmed_at timestamptz,
    -- The newest time step whose code was taken: none is taken twice.
    code_step bigint NOT NULL DEFAULT 0,
    created_by text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT app_now(),
    updated_at timestamptz NOT NULL DEFAULT app_now(),
    disabled_at timestamptz
);

-- One row a login. `stage` says how far it has come: password given, code still missing; code to be set up; all.
CREATE TABLE administrator_sessions (
    id uuid PRIMARY KEY,
    administrator_id uuid NOT NULL REFERENCES administrators,
    token_hash bytea NOT NULL UNIQUE CHECK (octet_length(token_hash) = 32),
    stage text NOT NULL CHECK (stage IN ('code', 'enrol', 'full')),
    address text NOT NULL,
    agent text,
    code_failures integer NOT NULL DEFAULT 0,
    -- Said once on the next page.
    notice text,
    created_at timestamptz NOT NULL DEFAULT app_now(),
    seen_at timestamptz NOT NULL DEFAULT app_now(),
    confirmed_at timestamptz NOT NULL DEFAULT app_now(),
    expires_at timestamptz NOT NULL,
    ended_at timestamptz,
    ended_because text,
    CHECK ((ended_at IS NULL) = (ended_because IS NULL))
);
CREATE INDEX administrator_sessions_of ON administrator_sessions (administrator_id, created_at DESC);

-- What opens once in place of a code when the device is lost.
CREATE TABLE administrator_spare_codes (
    id uuid PRIMARY KEY,
    administrator_id uuid NOT NULL REFERENCES administrators,
    code_hash bytea NOT NULL CHECK (octet_length(code_hash) = 32),
    created_at timestamptz NOT NULL DEFAULT app_now(),
    used_at timestamptz,
    UNIQUE (administrator_id, code_hash)
);

-- Browsers that have logged in before: what strangers do does not slow them down.
CREATE TABLE administrator_devices (
    id uuid PRIMARY KEY,
    administrator_id uuid NOT NULL REFERENCES administrators,
    token_hash bytea NOT NULL UNIQUE CHECK (octet_length(token_hash) = 32),
    created_at timestamptz NOT NULL DEFAULT app_now(),
    seen_at timestamptz NOT NULL DEFAULT app_now(),
    forgotten_at timestamptz
);
CREATE INDEX administrator_devices_of ON administrator_devices (administrator_id);
"""

_GRANTS = """
GRANT SELECT, INSERT ON installation_keys TO tollgate_api_rights;
GRANT SELECT, INSERT, UPDATE ON administrators, administrator_sessions, administrator_spare_codes, administrator_devices
    TO tollgate_api_rights;
"""


def upgrade() -> None:
    op.execute(_TABLES)
    op.execute(_GRANTS)


def downgrade() -> None:
    op.execute(
        "DROP TABLE administrator_devices, administrator_spare_codes, administrator_sessions, administrators, "
        "installation_keys"
    )
