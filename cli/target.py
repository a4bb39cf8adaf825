"""Which installation a command means: that of the environment's addresses, else the one that runs in the folder."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli import databases
from cli.embedded import open_directory, servers
from cli.errors import Refused
from cli.lock import running
from cli.ports import Ports
from cli.secrets_file import ANCHOR_FILE, KEY_FILE, Secrets

if TYPE_CHECKING:
    from core.orchestration.context import Core


@dataclass(frozen=True)
class Target:
    """Addresses and keys of one installation; `redis_url` is empty where none is known."""

    directory: Path
    databases: databases.Databases
    redis_url: str
    key_file: Path
    embedded: bool


def anchor_file(target: Target, environ: Mapping[str, str] = os.environ) -> Path | None:
    """What the installation's workers on this machine keep; None where nobody has named one."""
    named = environ.get("TOLLGATE_ANCHOR_FILE")
    if named:
        return Path(named)
    kept = target.directory / ANCHOR_FILE
    return kept if target.embedded or kept.exists() else None


def find(data_dir: Path, environ: Mapping[str, str] = os.environ, *, keep: bool = True) -> Target:
    """Reads addresses, starts nothing. Passwords of derived logins are written down unless `keep` is false.

    Raises:
        Refused: the environment names no database, and nothing runs in the folder.
    """
    if not any(environ.get(name) for name in databases.NAMES) and running(data_dir) is None:
        raise Refused(
            f"nothing runs in {data_dir}: start it with `tollgate up`, name another --data-dir, or set DATABASE_URL"
        )
    directory = open_directory(data_dir) if keep else Path(os.path.abspath(data_dir))
    secrets, ports = Secrets(directory, keep=keep), Ports(directory / "ports.json")
    named = databases.external(environ, secrets)
    redis_url = environ.get("REDIS_URL", "")
    alive = running(directory) is not None
    if named is None or (not redis_url and alive):
        postgres, redis = servers(directory, ports, secrets)
        redis_url = redis_url or redis.url
    keys = environ.get("TOLLGATE_KEY_FILE")
    return Target(
        directory=directory,
        databases=named or databases.embedded(postgres, secrets),
        redis_url=redis_url,
        key_file=Path(keys) if keys else directory / KEY_FILE,
        embedded=named is None,
    )


@contextlib.contextmanager
def owner_core(data_dir: Path) -> Iterator[Core]:
    """Core on the owner's address, for what only the installation's owner may do.

    Raises:
        Refused: nothing to work on, or the database or the keys do not serve.
    """
    target = find(data_dir)
    with core_session(target.databases.owner, target.redis_url, target.key_file) as core:
        yield core


@contextlib.contextmanager
def telling_core(data_dir: Path) -> Iterator[Core]:
    """The same for what takes keys and people away: the anchor file of this machine hears of it at once.

    One that somebody else keeps is left to the workers, who would else be unable to read it. Raises Refused.
    """
    target = find(data_dir)
    path = anchor_file(target)
    with core_session(target.databases.owner, target.redis_url, target.key_file) as core:
        ours = path is not None and path.exists() and os.geteuid() in (0, path.stat().st_uid)
        yield with_anchor(core, path if ours else None)


def with_anchor(core: Core, path: Path | None) -> Core:
    return replace(core, settings=core.settings.model_copy(update={"anchor_file": path}))


@contextlib.contextmanager
def core_session(database_url: str, redis_url: str, keys: Path) -> Iterator[Core]:
    """Core with one connection; what it refuses becomes a sentence.

    Raises:
        Refused: whatever Tollgate, the database or the keys had against it.
    """
    from sqlalchemy.exc import SQLAlchemyError  # imported when a command needs it: it takes a while

    from core.domain.errors import TollgateError
    from core.orchestration.context import open_core
    from core.persistence.vault import KeyUnavailable
    from core.settings import Settings

    given: dict[str, Any] = {"DATABASE_URL": database_url, "REDIS_URL": redis_url or "redis://127.0.0.1:6379/0"}
    named = os.environ.get("TOLLGATE_KEYS")
    given |= {"keys": named} if named else {"key_file": keys}
    if settle := os.environ.get("TOLLGATE_ROTATION_SETTLE"):
        given["rotation_settle"] = settle
    try:
        core = open_core(Settings.model_validate(given), 1, "tollgate-cli")
    except KeyUnavailable as error:
        raise Refused(str(error)) from None
    try:
        yield core
    except TollgateError as error:
        raise Refused(str(error)) from None
    except SQLAlchemyError as error:
        raise Refused(f"the database does not serve: {str(getattr(error, 'orig', error)).strip()}") from None
    finally:
        core.database.engine.dispose()
