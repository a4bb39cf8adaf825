"""Run with the older program's tree on the path: starts its whole service, and ends with its input.

Arguments: data directory, port of the api, port at which the providers are told to find the api. Each line of the
input names a child to stop; answers are lines of JSON.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from cli.service import Service


def main(data: str, port: str, hooks: str) -> None:
    def via(part: str, own: int) -> int:
        return int(hooks) if part == "api" else own

    settings = {"TOLLGATE_DRAIN": "1", "TOLLGATE_RATE_LIMIT": "10000/second"}
    with Service(Path(data), port=int(port), workers=1, env=settings, temporary=True, via=via) as service:
        tell(
            {
                "environment": service.environment(),
                "test_key": service.test_key,
                "databases": [service.owner_database_url, service.database_url, service.worker_database_url],
                "sandbox_urls": service.sandbox_urls,
            }
        )
        for line in sys.stdin:
            service.stop_child(line.strip())
            tell({"stopped": line.strip()})


def tell(answer: object) -> None:
    sys.stdout.write(f"{json.dumps(answer)}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
