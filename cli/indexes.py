"""The indexes that come after the schema, built beside a service that runs."""

from __future__ import annotations

import threading
from collections.abc import Callable

from sqlalchemy.exc import SQLAlchemyError

from core.persistence import later_indexes

#: Seconds that a start waits for them: on a new database they are there at once.
_AT_ONCE = 3.0


def build_beside(owner_url: str, say: Callable[[str], None]) -> None:
    """Returns when they are built, or soon: on a large database they take minutes, for which nobody waits.

    The thread ends with its process or its server, and the next start goes on.
    """

    def build() -> None:
        try:
            later_indexes.build(owner_url)
        except later_indexes.IndexNotBuilt as error:
            say(str(error))
        except SQLAlchemyError as error:
            say(f"Indexes were not built ({type(error).__name__}); `tollgate migrate` builds them")

    thread = threading.Thread(target=build, name="indexes", daemon=True)
    thread.start()
    thread.join(_AT_ONCE)
