"""The secrets of one installation, in files of its data directory that its owner alone may read."""

from __future__ import annotations

import base64
import contextlib
import json
import secrets
from pathlib import Path
from typing import Any

from cli.errors import Refused
from cli.files import write_private

KEY_FILE = "keys.json"
#: Beside the data, and not restored with it: what this machine knows of its database.
ANCHOR_FILE = "anchor.json"


class Secrets:
    """Passwords and keys by name (`secrets.json`), made when first asked for and the same ever after."""

    def __init__(self, directory: Path, *, keep: bool = True) -> None:
        """Reads what is there. New ones are written to `directory`, which must exist, unless `keep` is false.

        Raises:
            Refused: the file is no JSON object, so it was damaged; nothing is made anew then.
        """
        self._file = directory / "secrets.json"
        self._keep = keep
        self._values: dict[str, Any] = {}
        with contextlib.suppress(FileNotFoundError):
            try:
                self._values = dict(json.loads(self._file.read_text(encoding="utf-8")))
            except (TypeError, ValueError) as error:
                raise Refused(f"{self._file} is damaged: {error}") from None

    def password(self, name: str) -> str:
        """48 hexadecimal digits, which need no quoting in a URL, a configuration file or SQL."""
        if name not in self._values:
            self.put(name, secrets.token_hex(24))
        return str(self._values[name])

    def get(self, name: str) -> Any:
        """What was put under `name`, or None."""
        return self._values.get(name)

    def put(self, name: str, value: Any) -> None:
        self._values[name] = value
        if self._keep:
            write_private(self._file, json.dumps(self._values, indent=1) + "\n")


def key_file(directory: Path) -> Path:
    """The file of the encryption keys (TOLLGATE_KEY_FILE), made at the first call.

    `kek` holds key-encryption keys by version, `current` is the version that wraps new keys; `index_keys` and
    `current_index` the same for the blind index of e-mail addresses; each is 32 random bytes in base64. Losing this
    file loses what they seal.
    """
    path = directory / KEY_FILE
    if not path.exists():
        keys = {"kek": {"1": _random_key()}, "current": 1, "index_keys": {"1": _random_key()}, "current_index": 1}
        write_private(path, json.dumps(keys, indent=1) + "\n")
    return path


def _random_key() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode()
