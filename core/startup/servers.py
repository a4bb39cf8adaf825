"""What the servers say of themselves: that Redis drops nothing, who we are to Postgres, at which revision it is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import redis
import sqlalchemy as sa
from redis.backoff import NoBackoff
from redis.retry import Retry
from sqlalchemy.engine import Connection

from core.persistence.database import create_engine
from core.persistence.key_sources import KeySource
from core.persistence.revisions import read_oldest_program, read_revision, schema_fault
from core.startup import clock, sealing
from core.startup.remark import Remark, known

#: Groups of rights that `tollgate migrate` makes.
API_RIGHTS = "tollgate_api_rights"
WORKER_RIGHTS = "tollgate_worker_rights"
#: Seconds; a start does not wait for a frozen Redis.
_PATIENCE = 2.0

_TIME = sa.text("SELECT extract(epoch FROM clock_timestamp())")
_FACTS = sa.text(
    "SELECT rolsuper, rolbypassrls, "
    "COALESCE(pg_has_role(current_user, (SELECT relowner FROM pg_class WHERE oid = to_regclass('public.payments')), "
    "'USAGE'), false) AS owns, "
    "to_regrole(:api) IS NOT NULL AND pg_has_role(current_user, to_regrole(:api)::oid, 'USAGE') AS is_api, "
    "to_regrole(:worker) IS NOT NULL AND pg_has_role(current_user, to_regrole(:worker)::oid, 'USAGE') AS is_worker "
    "FROM pg_roles WHERE rolname = current_user"
)


class Away(Exception):
    """The server could not be asked; the text is its client's own."""


def eviction(name: str, url: str) -> Iterator[Remark]:
    """Anything but `noeviction` refuses; that it cannot be asked does not, since Tollgate works without Redis."""
    try:
        policy = eviction_policy(url)
    except (redis.RedisError, OSError, ValueError) as error:
        yield known(f"{name}: Redis cannot be asked ({reason(error)}); work is picked up by polling until it can")
        return
    if policy is None:
        yield known(f"{name}: Redis does not tell its maxmemory-policy; make sure that it is noeviction")
    elif policy != "noeviction":
        yield Remark(
            f"{name}: Redis may drop what it holds (maxmemory-policy is {policy}): set it to noeviction, so that "
            "a full server says so instead of losing hints and limits"
        )


def eviction_policy(url: str) -> str | None:
    """None where the server does not tell. Raises redis.RedisError, OSError, ValueError."""
    once = Retry(NoBackoff(), 0)
    client = redis.Redis.from_url(
        url, socket_timeout=_PATIENCE, socket_connect_timeout=_PATIENCE, retry=once, decode_responses=True
    )
    try:
        found = client.info("memory").get("maxmemory_policy")
    except redis.ResponseError:
        return None
    finally:
        client.close()
    return None if found is None else str(found)


def postgres(url: str, role: Literal["api", "worker"], keys: KeySource | None = None) -> Iterator[Remark]:
    """`keys` are compared with what the database knows of them, once its schema fits. Raises Away."""
    try:
        engine = create_engine(url, 1, "tollgate-start")
    except (sa.exc.ArgumentError, ValueError):
        yield Remark("DATABASE_URL: an address like postgresql://user:password@host/database is expected")
        return
    try:
        with engine.connect() as connection:
            yield from _who_we_are(connection, role)
            yield from _clock(connection)
            fault = schema_fault(read_revision(connection), read_oldest_program(connection))
            if fault is not None:
                yield Remark(f"DATABASE_URL: {fault}")
            elif keys is not None:
                yield from sealing.look(connection, keys, role)
                connection.commit()
    except sa.exc.ProgrammingError as error:
        yield Remark(f"DATABASE_URL: {reason(error)}; `tollgate migrate` gives each login its rights")
    except sa.exc.SQLAlchemyError as error:
        raise Away(reason(error)) from None
    finally:
        engine.dispose()


def _clock(connection: Connection) -> Iterator[Remark]:
    sent = clock.machine_time()
    there = float(connection.execute(_TIME).scalar_one())
    ahead = clock.offset(sent, there, clock.machine_time())
    said = f"this machine's clock is {clock.words(ahead)} the database's: synchronise both (NTP)"
    if abs(ahead) > clock.UNSAFE:
        yield Remark(f"{said}; signatures of webhooks would be refused, ours and the providers'")
    elif abs(ahead) > clock.WORTH_A_WORD:
        yield known(said)


def _who_we_are(connection: Connection, role: Literal["api", "worker"]) -> Iterator[Remark]:
    facts = connection.execute(_FACTS, {"api": API_RIGHTS, "worker": WORKER_RIGHTS}).one()
    make_one = "name the login that `tollgate migrate` makes for it"
    if facts.rolsuper or facts.rolbypassrls:
        yield Remark(f"DATABASE_URL: its user is a superuser or passes row-level security: {make_one}")
    elif facts.owns:
        yield Remark(f"DATABASE_URL: its user owns the tables, so nothing keeps merchants apart: {make_one}")
    elif role == "api" and facts.is_worker:
        yield Remark(f"DATABASE_URL: this is the worker's login, which sees every merchant: {make_one}")
    elif role == "worker" and facts.is_api and not facts.is_worker:
        yield Remark(f"DATABASE_URL: this is the API's login, which cannot take jobs: {make_one}")


def reason(error: BaseException) -> str:
    """The first line of what the client says. libpq and redis-py name hosts and users there, never a password."""
    text = str(getattr(error, "orig", error)).strip()
    return text.splitlines()[0].strip() if text else type(error).__name__
