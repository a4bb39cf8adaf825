"""What proves that a request never left, by the classes of the exceptions alone: no network."""

from __future__ import annotations

import ssl

import pytest
import requests
import urllib3.exceptions as broken

from core.providers import transport
from core.providers.deadline import HandshakeFailed
from core.providers.transport import TransportError, never_sent

PROOF: list[BaseException] = [
    broken.NewConnectionError(None, "refused"),  # type: ignore[arg-type]
    broken.NameResolutionError("nowhere.example", None, OSError()),  # type: ignore[arg-type]
    broken.ConnectTimeoutError("no answer to a handshake"),
    HandshakeFailed("cut"),
    broken.ProxyError("no proxy", OSError()),
    ssl.SSLCertVerificationError("nobody trusts it"),
]
DOUBT: list[BaseException] = [
    broken.ReadTimeoutError(None, "", "too slow"),  # type: ignore[arg-type]
    broken.ProtocolError("closed without a word"),
    broken.SSLError("cut in the middle"),
    ssl.SSLError("cut in the middle"),
    ConnectionResetError(),
    BrokenPipeError(),
    TimeoutError(),
    requests.ConnectionError(),
    requests.ReadTimeout(),
    OSError(),
]


def _behind(cause: BaseException) -> BaseException:
    """As the libraries hand it on: the proof is two exceptions further back."""
    try:
        try:
            try:
                raise cause
            except BaseException as first:
                raise broken.MaxRetryError(None, "", first) from first  # type: ignore[arg-type]
        except broken.MaxRetryError as second:
            raise requests.ConnectionError(second) from second
    except requests.ConnectionError as found:
        return found


@pytest.mark.parametrize("cause", PROOF, ids=lambda one: type(one).__name__)
def test_these_prove_that_nothing_left(cause: BaseException) -> None:
    assert never_sent(cause)
    assert never_sent(_behind(cause))


@pytest.mark.parametrize("cause", DOUBT, ids=lambda one: type(one).__name__)
def test_these_leave_it_open(cause: BaseException) -> None:
    assert not never_sent(cause)
    assert not never_sent(_behind(cause))


def test_what_the_exchange_saw_counts_before_what_lies_behind_it() -> None:
    """A connection refused to a second try says nothing about the first, whose bytes were out."""
    error = TransportError("reset", sent=True, http_status=None, headers={})
    error.__cause__ = broken.NewConnectionError(None, "refused")  # type: ignore[arg-type]
    assert not never_sent(error)
    assert never_sent(TransportError("refused", sent=False, http_status=None, headers={}))


def test_no_other_class_is_a_proof() -> None:
    assert {one.__name__ for one in transport.NEVER_SENT} == {
        "NewConnectionError",
        "ConnectTimeoutError",
        "HandshakeFailed",
        "ProxyError",
        "SSLCertVerificationError",
    }
