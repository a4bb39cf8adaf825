"""Alembic's entry: runs the revisions on the connection handed in by `migrate.py`, or on MIGRATION_DATABASE_URL."""

from __future__ import annotations

import os

from alembic import context
from sqlalchemy.engine import Connection

from core.persistence.database import create_engine


def _run(connection: Connection) -> None:
    context.configure(connection=connection, transaction_per_migration=False)
    with context.begin_transaction():
        context.run_migrations()


handed_in = context.config.attributes.get("connection")
if handed_in is not None:
    _run(handed_in)
else:
    engine = create_engine(os.environ["MIGRATION_DATABASE_URL"], pool_size=1, application="tollgate-migrate")
    with engine.connect() as own:
        _run(own)
