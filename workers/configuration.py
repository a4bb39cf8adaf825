"""Celery's settings, each with its reason, as measured against the bugs of the released versions."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from celery import Celery
from kombu import Queue

from core.settings import Settings

#: One queue a lane, so that a slow merchant endpoint never stands before money.
LANES = ("payments", "webhooks", "deliveries", "maintenance")
WAKE = "tollgate.wake"
RUN_SCHEDULED = "tollgate.run_scheduled"
#: Seconds after which a hint tells nothing new: every worker has polled many times by then.
HINT_EXPIRES = 30

#: A publish must never wait for a dead broker. Without these four zeros it blocks 6 s even with retry=False.
_NO_RETRIES: dict[str, Any] = {"max_retries": 0, "interval_start": 0, "interval_step": 0, "interval_max": 0}
#: kombu passes None for the time-outs that redis-py would have; a frozen Redis would then hold us for ever.
_REDIS: dict[str, Any] = {
    "socket_timeout": 2,
    "socket_connect_timeout": 2,
    "socket_keepalive": True,
    "health_check_interval": 10,
    "retry_on_timeout": False,
    "global_keyprefix": "tollgate:",
}


#: RabbitMQ says when it is full, and a frozen one answers nothing: neither may hold a publisher or a worker's end.
_AMQP: dict[str, Any] = {"read_timeout": 2, "write_timeout": 2}
#: Seconds between signs of life: a worker notices within three that its RabbitMQ or the way to it is gone.
_HEARTBEAT = 10
#: Hints that RabbitMQ keeps a lane while no worker takes any; Postgres knows their jobs.
_MOST_WAITING = 10_000


def transport_settings(broker_url: str, ca_file: Path | None = None) -> dict[str, Any]:
    """Redis needs its time-outs said and its reader guarded, RabbitMQ its time-outs and heartbeats.

    `ca_file`: who signed the broker's certificate, if no public authority did.
    """
    encrypted = _encrypted(broker_url, ca_file)
    if broker_url.startswith(("redis://", "rediss://")):
        return {
            "broker_transport": "workers.transport:Transport",
            "broker_transport_options": {**_NO_RETRIES, **_REDIS},
            "worker_disable_prefetch": True,
            **encrypted,
        }
    if broker_url.startswith(("amqp://", "amqps://")):
        return {
            "broker_transport_options": {**_NO_RETRIES, **_AMQP},
            "broker_heartbeat": _HEARTBEAT,
            "broker_heartbeat_checkrate": 3,
            # Nothing goes to a disk for a hint.
            "task_default_delivery_mode": "transient",
            **encrypted,
        }
    sentinel = _REDIS if broker_url.startswith("sentinel://") else {}
    return {"broker_transport_options": {**_NO_RETRIES, **sentinel}, **encrypted}


def _encrypted(broker_url: str, ca_file: Path | None) -> dict[str, Any]:
    """Said here, since kombu speaks plain TCP to a `rediss://` of a transport it does not know by name, and asks the
    broker of an `amqps://` for no name. An address may still say more (`?ssl_certfile=…`)."""
    parts = urlsplit(broker_url)
    authority = None if ca_file is None else str(ca_file)
    match parts.scheme:
        case "rediss":
            return {"broker_use_ssl": {"ssl_cert_reqs": ssl.CERT_REQUIRED, "ssl_ca_certs": authority}}
        case "amqps":
            named = {"cert_reqs": ssl.CERT_REQUIRED, "ca_certs": authority, "server_hostname": parts.hostname}
            return {"broker_use_ssl": named}
    return {}


def queues() -> list[Queue]:
    """Without acknowledgements: a hint may be lost, and a worker that has something to restore can die of it
    when the broker drops (restore_unacked on a closed client, still there in kombu 5.7.0).

    RabbitMQ keeps the bounds; to Redis they say nothing.
    """
    bounds: dict[str, Any] = {"message_ttl": HINT_EXPIRES, "max_length": _MOST_WAITING}
    return [Queue(lane, routing_key=lane, no_ack=True, **bounds) for lane in LANES]


def make_app(settings: Settings) -> Celery:
    """A Celery application that publishes and consumes hints. It connects to nothing yet."""
    app = Celery("tollgate", set_as_current=False)
    app.conf.update(
        broker_url=settings.broker_url,
        **transport_settings(settings.broker_url, settings.redis_ca_file),
        # For ever: the worker works from Postgres meanwhile.
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_connection_timeout=2,
        task_queues=queues(),
        task_default_queue="maintenance",
        task_create_missing_queues=False,
        task_serializer="json",
        accept_content=["json"],
        # Results are rows in Postgres; a backend would be a second truth.
        task_ignore_result=True,
        result_backend=None,
        # Acknowledged early: a lost hint is cheap, a message that kills worker after worker is not.
        task_acks_late=False,
        task_publish_retry=False,
        worker_prefetch_multiplier=1,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        # Nobody may steer workers through the broker, and nothing subscribes to their events.
        worker_enable_remote_control=False,
        worker_send_task_events=False,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        # Kept in memory: intervals are seconds, so a file would only add a way to break.
        beat_scheduler="celery.beat:Scheduler",
        enable_utc=True,
        timezone="UTC",
    )
    return app
