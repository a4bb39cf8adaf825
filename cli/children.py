"""How each process of Tollgate is run: its arguments, its environment, and what shows that it is ready."""

from __future__ import annotations

import http.client
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from cli.ports import HOST
from cli.processes import Spec
from core.metrics import SHARED
from core.settings import Settings

#: The tree the packages lie in: Python puts it on the path of `-m`, wherever the command was typed.
ROOT = Path(__file__).resolve().parent.parent

#: What an api process has for what is in flight, and a worker for its last commits, before they are killed.
API_STOP, WORKER_STOP = 15.0, 5.0
LANES = ("payments", "webhooks", "deliveries", "maintenance")


@dataclass(frozen=True)
class Context:
    """What all of them need: their logs' and files' folder, the common environment."""

    directory: Path
    env: Mapping[str, str]

    @property
    def metrics(self) -> Path:
        return self.directory / "metrics"

    def log(self, name: str) -> Path:
        return self.directory / "logs" / f"{name}.log"

    def seconds(self, setting: str) -> float:
        """A setting as the child will read it."""
        return float(self.env.get(f"TOLLGATE_{setting.upper()}") or Settings.model_fields[setting].default)


def python(module: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", module, *arguments]


def api(context: Context, port: int, database_url: str) -> Spec:
    """The gate; ready once it reaches its dependencies."""
    # What all processes of this machine count meets here and is read through the api; an earlier start's is over.
    shutil.rmtree(context.metrics, ignore_errors=True)
    context.metrics.mkdir(mode=0o700)
    own = {"DATABASE_URL": database_url, SHARED: str(context.metrics)}
    # No balancer asks whether it is ready; an operator who puts one in front says otherwise.
    drain = context.env.get("TOLLGATE_DRAIN") or "0"
    own["TOLLGATE_DRAIN"] = drain
    return Spec(
        name="api",
        argv=python("api.serve", "--host", HOST, "--port", str(port)),
        env={**context.env, **own},
        cwd=ROOT,
        log=context.log("api"),
        ready=answers(port, "/readyz"),
        ready_timeout=60.0,
        stop_timeout=float(drain) + API_STOP,
    )


def worker(context: Context, number: int, database_url: str) -> Spec:
    """One of the processes that carry jobs out; ready once its pool and its poller run."""
    name = f"worker-{number}"
    ready_file = context.directory / f"{name}.ready"
    options = ["-P", "threads", "-c", "4", "-n", f"worker{number}@%h", "-Q", ",".join(LANES)]
    context.metrics.mkdir(mode=0o700, exist_ok=True)
    options += ["--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "INFO"]
    own = {"DATABASE_URL": database_url, "TOLLGATE_READY_FILE": str(ready_file), SHARED: str(context.metrics)}
    return Spec(
        name=name,
        group="workers",
        argv=python("celery", "-q", "-A", "workers.celery_app:app", "worker", *options),
        env={**context.env, **own},
        cwd=ROOT,
        log=context.log(name),
        ready=ready_file.exists,
        ready_file=ready_file,
        ready_timeout=60.0,
        stop_timeout=context.seconds("provider_deadline") + WORKER_STOP,
    )


def beat(context: Context, database_url: str) -> Spec:
    """The clock of the scheduled tasks. It has nothing to be ready for: a late tick harms nobody."""
    schedule = str(context.directory / "beat-schedule")
    options = ["--schedule", schedule, "--pidfile", "", "--loglevel", "WARNING"]
    return Spec(
        name="beat",
        argv=python("celery", "-q", "-A", "workers.celery_app:app", "beat", *options),
        env={**context.env, "DATABASE_URL": database_url},
        cwd=ROOT,
        log=context.log("beat"),
        ready=lambda: True,
        stop_timeout=5.0,
    )


def sandbox(context: Context, provider: str, port: int) -> Spec:
    """A local provider with a ledger of its own. It gets none of our secrets."""
    data = context.directory / "sandbox" / provider
    hidden = ("DATABASE_URL", "REDIS_URL", "BROKER_URL", "TOLLGATE_KEY_FILE")
    return Spec(
        name=f"sandbox-{provider}",
        group="sandbox",
        argv=python("sandbox", provider, "--port", str(port), "--data-dir", str(data)),
        env={name: value for name, value in context.env.items() if name not in hidden},
        cwd=ROOT,
        log=context.log(f"sandbox-{provider}"),
        ready=answers(port, "/_sandbox/health"),
        stop_timeout=5.0,
    )


def answers(port: int, path: str) -> Callable[[], bool]:
    """A probe: does a GET on loopback give 200? No proxy of the environment comes between."""

    def probe() -> bool:
        connection = http.client.HTTPConnection(HOST, port, timeout=5)
        try:
            connection.request("GET", path)
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    return probe
