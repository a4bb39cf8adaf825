"""kombu's Redis transport, made to survive garbage in the queue and restarts of the broker."""

from __future__ import annotations

from queue import Empty
from typing import Any

import structlog
from kombu.transport import redis

log = structlog.get_logger(__name__)


def is_message(value: Any) -> bool:
    """Has the parts that kombu reads without asking."""
    if not isinstance(value, dict) or not isinstance(value.get("body"), str):
        return False
    properties, headers = value.get("properties"), value.get("headers")
    if not isinstance(properties, dict) or not isinstance(headers, dict):
        return False
    return isinstance(properties.get("delivery_tag"), str) and isinstance(properties.get("delivery_info"), dict)


class Channel(redis.Channel):
    """Treats an entry that is not JSON, or not base64 inside, as no entry at all, and acknowledges nothing."""

    def _brpop_read(self, **options: Any) -> Any:
        try:
            return super()._brpop_read(**options)  # type: ignore[misc]
        except ValueError as error:
            log.warning("message_refused", error_type=type(error).__name__)
            raise Empty from None

    def basic_ack(self, delivery_tag: str, multiple: bool = False) -> None:
        """Nothing is to be taken back: our queues are consumed with `no_ack`.

        Celery acknowledges all the same, kombu asks Redis to forget what it never kept, and on a channel that the
        broker's restart has closed that ends the process ("'NoneType' object has no attribute 'client'").
        """

    def basic_reject(self, delivery_tag: str, requeue: bool = False) -> None:
        """The same for what is refused; a hint is never put back."""


class Transport(redis.Transport):
    """Redis, TLS or not."""

    Channel = Channel

    def _deliver(self, message: Any, queue: str | None) -> None:
        if is_message(message):
            super()._deliver(message, queue)
        else:
            log.warning("message_refused", reason="not of a message's form")
