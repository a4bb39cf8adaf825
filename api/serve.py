"""Serves the gate with granian; told to stop it says so first, serves on for a while, and finishes what it has begun.

Run as `python -m api.serve`. SIGTERM goes to this process alone, not to its group: granian's own processes know only
how to stop at once.
"""

from __future__ import annotations

import os
import signal
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import click
import structlog
from granian.constants import Interfaces
from granian.log import LogLevels
from granian.server.mp import MPServer

from core import startup
from core.observability import configure_logging
from core.settings import Settings

log = structlog.get_logger(__name__)

#: Seconds for what is in flight when the listening sockets are closed. Waiting requests have been answered by then;
#: the rest waits for Postgres, whose locks are waited for 5 s, or for a body that never comes.
FINISH = 10
#: Between the start of a process and the end of the one it replaces after SIGHUP: it has to be ready by then.
REPLACE = 5.0


class Leaving:
    """The way out of a running server, one step a signal: red for `seconds`, then no new connections.

    SIGINT comes from a person at a terminal, who does not want to wait: it leaves the first step out.
    """

    def __init__(self, server: MPServer, file: Path, seconds: float) -> None:
        self._server, self._file, self._seconds = server, file, seconds
        self._interrupt: Callable[[], None] = server.signal_handler_interrupt
        self._pid = os.getpid()
        self._timer: threading.Timer | None = None

    def install(self) -> None:
        """To be called once granian has set its own handlers."""
        signal.signal(signal.SIGTERM, self._drain)
        signal.signal(signal.SIGINT, self._stop)

    def _drain(self, number: int, frame: FrameType | None) -> None:
        self._leave_if_forked()
        if self._timer is not None or self._seconds <= 0:
            self._stop(number, frame)
            return
        self._say()
        self._timer = threading.Timer(self._seconds, self._interrupt)
        self._timer.daemon = True
        self._timer.start()

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._leave_if_forked()
        self._say()
        self._interrupt()

    def _say(self) -> None:
        if not self._file.exists():
            self._file.touch()
            log.info("draining", seconds=self._seconds)
        # A signal to the whole group has ended the others: nobody is left to be replaced.
        self._server.respawn_failed_workers = False

    def _leave_if_forked(self) -> None:
        # A process that granian has just forked has these handlers until it sets its own.
        if os.getpid() != self._pid:
            os._exit(0)


def make_server(settings: Settings, host: str, port: int) -> MPServer:
    return MPServer(
        "api.app:create_app",
        address=host,
        port=port,
        interface=Interfaces.WSGI,
        factory=True,
        workers=settings.api_processes,
        blocking_threads=settings.api_threads,
        websockets=False,
        respawn_failed_workers=True,
        respawn_interval=REPLACE,
        # Without a limit one that hangs would keep the whole from stopping.
        workers_kill_timeout=FINISH,
        log_level=LogLevels.warning,
    )


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8000, show_default=True, help="Port to listen on; several servers may share it.")
def main(host: str, port: int) -> None:
    """Serve the gate until SIGTERM or SIGINT."""
    settings = startup.settings_or_exit()
    configure_logging(settings.log_level, "api")
    # Asked here too, so that a refusal is said once; a process that ends is started again and again.
    startup.check_or_exit(settings, "api", forks=True)
    with tempfile.TemporaryDirectory(prefix="tollgate-api-") as directory:
        file = Path(directory) / "draining"
        os.environ["TOLLGATE_DRAIN_FILE"] = str(file)
        server = make_server(settings, host, port)
        server.on_startup(Leaving(server, file, settings.drain).install)
        server.serve()


if __name__ == "__main__":
    main()
