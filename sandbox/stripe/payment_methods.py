"""Payment methods: what a test token became."""

from __future__ import annotations

from ..http import Call
from ..ledger import Json
from . import params
from .errors import missing
from .objects import expanded


def retrieve(call: Call) -> Json:
    given = params.read(call.params, {"expand": params.texts})
    method = call.desk.get("payment_method", call.args[0])
    if method is None:
        raise missing("PaymentMethod", call.args[0], "payment_method")
    return expanded(call.desk, method, given.get("expand"))
