"""Has the workers run an entry of the schedule now, by the message beat would send."""

from __future__ import annotations

from collections.abc import Mapping

from kombu.exceptions import OperationalError

from cli.demo.client import Surprise
from core.settings import load_settings
from workers.configuration import make_app
from workers.schedule import beat_schedule


class Schedule:
    """`environ` is a worker's: it names the broker. Connects on first use; `close` hangs up."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._app = make_app(load_settings(environ))
        self._entries = beat_schedule()

    def run(self, name: str) -> None:
        """Returns once the message is sent, not once it is obeyed. Raises Surprise when the broker is away."""
        entry = self._entries[name]
        try:
            self._app.send_task(entry["task"], args=entry["args"], **entry["options"])
        except OperationalError as error:
            raise Surprise(f"the broker did not take a message: {error}") from None

    def close(self) -> None:
        self._app.close()
