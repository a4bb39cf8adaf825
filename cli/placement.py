"""Where the embedded servers keep their programs and data, and under which account they run.

Postgres refuses to run as root. Started by root it runs under an account without rights, which can enter
neither a closed home nor a closed temporary folder: then programs and data get a folder outside. No right of
any existing folder is ever changed and no account is made.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pwd
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cli.errors import Refused
from cli.files import write_private

#: Accounts made for servers, the best first; both exist on every Linux and macOS or are simply passed over.
ACCOUNTS = ("postgres", "_postgres", "nobody")
#: Where a folder outside closed parents may stand; only the last may be emptied by a restart of the machine.
OUTSIDE = (Path("/var/lib"), Path("/usr/local/var"), Path("/var/tmp"), Path(tempfile.gettempdir()))  # noqa: S108


class PlacementFailed(Refused):
    """No fitting folder or account; the text says what to do."""


@dataclass(frozen=True)
class Account:
    """Whom a server runs as; `user` and `group` are None for ourselves."""

    name: str
    user: int | None
    group: int | None


@dataclass(frozen=True)
class Placement:
    """`data` is the parent of the servers' data folders, `outside` the data directory or not."""

    data: Path
    account: Account
    outside: bool

    def folder(self, name: str) -> Path:
        """The server's own data folder, made if missing, which it alone may enter."""
        path = self.data / name
        if not path.exists():
            path.mkdir(mode=0o700)
            self.give(path)
        return path

    def give(self, path: Path) -> None:
        if self.account.user is not None and self.account.group is not None:
            os.chown(path, self.account.user, self.account.group)

    def remove(self) -> None:
        """Deletes the folder outside the data directory, data included."""
        if self.outside:
            shutil.rmtree(self.data, ignore_errors=True)


def place(directory: Path, *, temporary: bool = False) -> Placement:
    """Decides once for a data directory and remembers it there.

    What is `temporary` goes to the system's temporary folder if it cannot stay.

    Raises:
        PlacementFailed: as root, if there is no account to step down to or no folder that it can enter.
    """
    if os.geteuid() != 0:
        return Placement(directory, Account(_own_name(), None, None), outside=False)
    record = directory / "location.json"
    with contextlib.suppress(FileNotFoundError):
        return _read(record, directory)
    account = _account()
    inside = can_pass(directory / "below", account)
    data = directory if inside else _make_outside(directory, account, temporary)
    write_private(record, json.dumps({"data": str(data), "account": account.name}) + "\n")
    return Placement(data, account, outside=not inside)


def programs(source: Path, account: Account) -> Path:
    """The folder of a server's programs that the account can run: the installed one, or a copy of it outside.

    The copy is made once and shared by all installations that use the same programs.

    Raises:
        PlacementFailed: they are not installed, or the account can run them nowhere.
    """
    if not source.is_dir():
        raise PlacementFailed(
            "the embedded Postgres and Redis are not installed here: set DATABASE_URL, MIGRATION_DATABASE_URL and "
            "REDIS_URL to servers of your own, or run `make install` in a clone (elsewhere: install tollgate[embedded])"
        )
    if account.user is None or all(can_enter(path, account) for path in _samples(source)):
        return source
    print_of_source = hashlib.sha256(f"{source}\0{source.stat().st_mtime_ns}".encode()).hexdigest()[:12]
    for parent in _outside_for(account):
        target = parent / f"tollgate-programs-{print_of_source}"
        if target.exists() and target.stat().st_uid == 0:
            return target
        with contextlib.suppress(OSError):
            return _copy(source, target)
    raise PlacementFailed(f"the account {account.name} cannot run {source}, and a copy has no place")


def can_pass(path: Path, account: Account) -> bool:
    """Whether the account may pass every folder above `path`."""
    return account.user is None or all(_permits(folder, account, 0o1) for folder in path.resolve().parents)


def can_enter(path: Path, account: Account) -> bool:
    """Whether the account may also read what stands at `path`, or list and pass it."""
    return account.user is None or (can_pass(path, account) and _permits(path.resolve(), account, 0o5))


def _permits(path: Path, account: Account, wanted: int) -> bool:
    status = path.stat()
    if status.st_uid == account.user:
        shift = 6
    elif status.st_gid == account.group:
        shift = 3
    else:
        shift = 0
    if not path.is_dir() and not status.st_mode & 0o111:
        wanted = 0o4  # neither a folder nor a program
    return (status.st_mode >> shift) & wanted == wanted


def _own_name() -> str:
    with contextlib.suppress(KeyError):
        return pwd.getpwuid(os.geteuid()).pw_name
    return str(os.geteuid())


def _account(names: tuple[str, ...] = ACCOUNTS) -> Account:
    for name in names:
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            if entry.pw_uid != 0:
                return Account(name, entry.pw_uid, entry.pw_gid)
    raise PlacementFailed(f"Postgres does not run as root, and there is no account {', '.join(names)}")


def _read(record: Path, directory: Path) -> Placement:
    kept = json.loads(record.read_text(encoding="utf-8"))
    data = Path(kept["data"])
    if not data.is_dir():
        raise PlacementFailed(
            f"the data of {directory} was kept in {data}, which is gone; put it back, "
            f"or remove {directory} to begin anew"
        )
    return Placement(data, _account((kept["account"],)), outside=data != directory)


def _outside_for(account: Account, *, temporary: bool = False) -> Iterator[Path]:
    for parent in OUTSIDE[-1:] + OUTSIDE if temporary else OUTSIDE:
        if parent.is_dir() and os.access(parent, os.W_OK) and can_pass(parent / "below", account):
            yield parent


def _make_outside(directory: Path, account: Account, temporary: bool) -> Path:
    name = f"tollgate-{hashlib.sha256(os.fsencode(directory.resolve())).hexdigest()[:12]}"
    for parent in _outside_for(account, temporary=temporary):
        with contextlib.suppress(OSError):
            # A fresh name each time: a folder somebody else put there is never taken for ours.
            path = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=parent))
            path.chmod(0o711)
            write_private(path / "belongs-to", f"{directory.resolve()}\n")
            return path
    raise PlacementFailed(
        f"the account {account.name} can enter neither {directory} nor {', '.join(map(str, OUTSIDE))}; "
        "run tollgate as a user other than root, or name a --data-dir that everybody can pass"
    )


def _samples(source: Path) -> Iterator[Path]:
    """What tells whether the account can use all the rest, the modes of an installation being alike."""
    yield source
    yield from source.iterdir()


def _copy(source: Path, target: Path) -> Path:
    """Copies what a server needs, readable by everybody; a half-made copy is never seen under its name."""
    beside = Path(tempfile.mkdtemp(prefix=f"{target.name}.", dir=target.parent))
    try:
        for_building = shutil.ignore_patterns("*.a", "pkgconfig", "include")
        shutil.copytree(source, beside, symlinks=True, ignore=for_building, dirs_exist_ok=True)
        for folder, _, files in os.walk(beside):
            Path(folder).chmod(0o755)
            for path in (Path(folder, file) for file in files):
                if not path.is_symlink():
                    path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)
        with contextlib.suppress(OSError):  # somebody else's copy of the same was first
            beside.rename(target)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return target
