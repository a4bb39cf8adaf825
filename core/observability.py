"""One JSON line a log event on standard error, with allow-listed fields: no bodies, no headers, no people."""

from __future__ import annotations

import json
import logging
import os
import sys
import traceback
from collections.abc import Mapping, MutableMapping
from types import TracebackType
from typing import Any

import structlog

#: What may be logged. A field that is not named here is dropped and its name listed under `dropped`.
ALLOWED = frozenset(
    "event level timestamp process pid logger component version name message dropped error_type where "
    "request_id client method route status http_status duration_ms key_id actor mode code reason "
    "merchant_id payment_id transaction_id refund_id dispute_id job_id event_id endpoint_id inbox_id account_id "
    "delivery_id customer_id payment_method_id "
    "provider operation kind lane worker outcome from_status to_status attempt attempts fence lag "
    "count size depth queued taken found done failed skipped limit delay seconds interval waited "
    "schedule task child port host signal exit_code revision strategy replayed".split()
)
#: Third parties' sentences are cut here: long ones are dumps.
_MAX_TEXT = 500
_MAX_FRAMES = 25

_ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]


def describe(error: BaseException) -> dict[str, Any]:
    """Type and places of an exception, without its message: drivers put row values and addresses in there."""
    frames = traceback.extract_tb(error.__traceback__)[-_MAX_FRAMES:]
    return {
        "error_type": f"{type(error).__module__}.{type(error).__qualname__}",
        "where": [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames],
    }


def _open_exception(logger: Any, name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    found = event.pop("exc_info", None)
    if found is True:
        found = sys.exc_info()
    if isinstance(found, tuple):
        found = found[1]
    if isinstance(found, BaseException):
        event.update(describe(found))
    return event


def _allow_listed(logger: Any, name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    dropped = sorted(field for field in event if field not in ALLOWED and not field.startswith("_"))
    for field in dropped:
        del event[field]
    if dropped:
        event["dropped"] = dropped
    if isinstance(event.get("event"), str):
        event["event"] = event["event"][:_MAX_TEXT]
    return event


def _to_json(value: Mapping[str, Any], **options: Any) -> str:
    return json.dumps(value, default=str, separators=(",", ":"))


def configure_logging(level: str, process: str) -> None:
    """Set structlog and the standard library's logging up for a process named `process`; call it once.

    `level` is a name of the standard library. Other packages are heard from WARNING on.
    """
    # The real one: Celery and test runners put something else in the place of sys.stderr.
    stream = sys.__stderr__ or sys.stderr
    number = logging.getLevelNamesMapping().get(level.upper(), logging.INFO)

    def named(logger: Any, name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event["process"], event["pid"] = process, os.getpid()
        return event

    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        named,
        _open_exception,
        _allow_listed,
    ]
    renderer = structlog.processors.JSONRenderer(serializer=_to_json)
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(file=stream),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(number, logging.WARNING))
