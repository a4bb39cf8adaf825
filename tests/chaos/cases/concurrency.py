"""Many at once over one thing: one wins, the others are told so, and all books agree."""

from __future__ import annotations

import functools
from collections import Counter
from typing import Any

import requests

from core.domain.identifiers import public_id
from core.orchestration import accounts, api_keys
from core.persistence.database import Scope
from tests.chaos.cases import forging
from tests.chaos.cases.case import Case, Ground, expect, fresh
from tests.chaos.cases.others import owner_core
from tests.chaos.stage import TOKEN
from tests.support.waiting import wait_until

AT_ONCE, REFUNDS, ROUNDS = 100, 50, 6
#: Refunds of one payment are sent one after the other: a few that fit show as much as many.
SMALL_AND_LARGE = (400, 1900)


def _post(
    ground: Ground, path: str, body: Any, key: str, headers: dict[str, str] | None = None, api_key: str | None = None
) -> requests.Response:
    return ground.stage.request("POST", path, body, idempotency=key, timeout=60, headers=headers, key=api_key)


def one_key(ground: Ground) -> None:
    key, reference = fresh("case-35"), fresh("case-35")
    body = {**TOKEN, "reference": reference}
    answers = ground.at_once([functools.partial(_post, ground, "/v1/payments", body, key)] * AT_ONCE)
    ground.hurt("request.repeated", AT_ONCE - 1)
    expect(Counter(one.status_code for one in answers) == {202: AT_ONCE}, f"{Counter(a.status_code for a in answers)}")
    expect(len({one.text for one in answers}) == 1, "the answers differ")
    expect(ground.count("payments WHERE reference = %s", reference) == 1, "more than one payment")
    payment = answers[0].json()["payment"]["id"]
    expect(len(ground.jobs(payment, "create_payment")) == 1, "more than one job")
    ground.paid_once(payment)


def one_key_through_a_death(ground: Ground) -> None:
    """The same while the api's processes die between commit and answer."""
    key, reference = fresh("case-35b"), fresh("case-35b")
    body = {**TOKEN, "reference": reference}
    for point in ("accept.written", "accept.committed", "accept.hinted"):
        ground.stage.arm(point, "create_payment")
    insist = functools.partial(ground.stage.insist, "/v1/payments", body, idempotency=key)
    answers = ground.at_once([insist] * 30)
    left = ground.stage.disarm()
    expect(len(left) <= 2, "no process died")
    ground.since()
    expect({one.status_code for one in answers} == {202}, "a client was refused")
    expect(len({one.json()["payment"]["id"] for one in answers}) == 1, "one key made two payments")
    expect(ground.count("payments WHERE reference = %s", reference) == 1, "more than one payment")
    ground.paid_once(answers[0].json()["payment"]["id"])


def other_bodies(ground: Ground) -> None:
    key = fresh("case-35c")
    bodies = [{**TOKEN, "amount": 5000}, {**TOKEN, "amount": 6000}] * 15
    answers = ground.at_once([functools.partial(_post, ground, "/v1/payments", body, key) for body in bodies])
    won = {one.json()["payment"]["amount"] for one in answers if one.status_code == 202}
    expect(len(won) == 1, f"{len(won)} bodies were accepted under one key")
    for body, answer in zip(bodies, answers, strict=True):
        expected = 202 if body["amount"] in won else 422
        expect(answer.status_code == expected, f"{answer.status_code} instead of {expected}")
    ground.hurt("request.other_body", 15)
    rest = next(one for one in answers if one.status_code == 202).json()["payment"]["id"]
    ground.paid_once(rest)


def two_tenants(ground: Ground) -> None:
    key = fresh("case-35d")
    with owner_core(ground.stage) as core:
        other = accounts.create_merchant(core, "Another shop")
        api_key = api_keys.create(core, kind="test", merchant_id=other, name="theirs").text
        account = accounts.NewAccount(
            provider="stripe", name="theirs", credentials=_another_account(ground),
            webhook_secrets=["whsec_of_another_shop"], api_base=ground.stage.service.sandbox_urls["stripe"],
        )  # fmt: skip
        accounts.save_provider_account(core, Scope(other, "test"), account, "cli:test")
    keys = [ground.stage.service.test_key, api_key]
    calls = [functools.partial(_post, ground, "/v1/payments", TOKEN, key, None, one) for one in keys * 10]
    answers = ground.at_once(calls)
    expect({one.status_code for one in answers} == {202}, f"{Counter(a.status_code for a in answers)}")
    mine, theirs = ({one.json()["payment"]["id"] for one in answers[start::2]} for start in (0, 1))
    expect((len(mine), len(theirs), len(mine | theirs)) == (1, 1, 2), "a key of one merchant met another's")
    ground.hurt("request.same_key", 18)
    ground.paid_once(mine.pop())
    path = f"/v1/payments/{theirs.pop()}"

    def paid() -> bool:
        return bool(ground.stage.request("GET", path, key=api_key).json()["status"] == "succeeded")

    wait_until(paid, "the other merchant's payment", 20, every=0.1)


def _another_account(ground: Ground) -> dict[str, str]:
    secret = f"sk_test_{ground.rng.randbytes(16).hex()}"
    ground.stage.sandbox("stripe", "accounts", {"secret_key": secret})
    return {"secret_key": secret, "publishable_key": f"pk_test_{ground.rng.randbytes(16).hex()}"}


def odd_keys(ground: Ground) -> None:
    for key, status in (("k" * 256, 400), ("", 400), ('"', 400), ("k\u00e9y", 400)):
        headers = {"Idempotency-Key": key.encode("latin-1")}
        answer = _post(ground, "/v1/payments", TOKEN, "unused", headers)  # type: ignore[arg-type]
        expect(answer.status_code == status, f"{key[:12]!r} was told {answer.status_code}")
        ground.hurt("request.odd_key")
    word = fresh("quoted")
    bare, quoted = (_post(ground, "/v1/payments", TOKEN, one) for one in (word, f'"{word}"'))
    expect({bare.status_code, quoted.status_code} == {202}, "a quoted key was refused")
    expect(bare.json()["payment"]["id"] == quoted.json()["payment"]["id"], "quoted and bare are two keys")
    longest = _post(ground, "/v1/payments", TOKEN, "k" * 222 + fresh("")[-33:])
    expect(longest.status_code == 202, "255 characters were refused")
    for one in (bare, longest):
        ground.paid_once(one.json()["payment"]["id"])


def closing(ground: Ground) -> None:
    """Capture against cancel, and ten captures: one wins, and the provider's ledger says the same."""
    for number in range(ROUNDS):
        payment = ground.stage.pay(capture="manual")["id"]
        ground.ended(payment, "authorized")
        path = f"/v1/payments/{payment}"
        doors = [f"{path}/capture", f"{path}/cancel"][:: 1 if number % 2 else -1]
        answers = ground.at_once([functools.partial(_post, ground, door, {}, fresh("close")) for door in doors])
        ground.hurt("request.closing")
        expect(sorted(a.status_code for a in answers) == [202, 409], f"{[a.status_code for a in answers]}")
        winner = doors[[answer.status_code for answer in answers].index(202)]
        expected = ("succeeded", 1000) if winner.endswith("capture") else ("canceled", 0)
        found = ground.ended(payment, expected[0])
        (charge,) = ground.stage.charges("stripe", payment)
        expect(found["amount_captured"] == charge["amount_captured"] == expected[1], "the books disagree")
    payment = ground.stage.pay(capture="manual")["id"]
    ground.ended(payment, "authorized")
    door = f"/v1/payments/{payment}/capture"
    calls = [functools.partial(_post, ground, door, {"amount": 100 + n}, fresh("capture")) for n in range(10)]
    answers = ground.at_once(calls)
    ground.hurt("request.capture", 9)
    counted = Counter(answer.status_code for answer in answers)
    expect(counted == {202: 1, 409: 9}, f"ten captures were told {dict(counted)}")
    found = ground.ended(payment, "succeeded")
    (charge,) = ground.stage.charges("stripe", payment)
    expect(charge["amount_captured"] == found["amount_captured"] in range(100, 110), "the books disagree")


def refunds(ground: Ground) -> None:
    payment = ground.stage.pay(amount=5000)["id"]
    ground.ended(payment, "succeeded")
    path = f"/v1/payments/{payment}/refunds"
    asked = [ground.rng.randint(*SMALL_AND_LARGE) for _ in range(REFUNDS)]
    calls = [functools.partial(ground.stage.insist, path, {"amount": amount}) for amount in asked]
    answers = ground.at_once(calls)
    ground.hurt("request.refund", REFUNDS)
    taken = sum(one.json()["refund"]["amount"] for one in answers if one.status_code == 202)
    refused = {one.status_code for one in answers} - {202}
    expect(refused <= {409, 422}, f"refused with {refused}")
    expect(taken <= 5000, f"{taken} of 5000 was promised back")
    expect(taken > 5000 - SMALL_AND_LARGE[1], f"only {taken} of 5000 was taken: somebody was refused who fits in")

    def settled() -> bool:
        return not ground.count("refunds WHERE status = 'processing'")

    wait_until(settled, "every refund to end", 60, every=0.2)
    (charge,) = ground.stage.charges("stripe", payment)
    back = ground.stage.payment(payment)["amount_refunded"]
    expect(charge["amount_refunded"] == back == taken, f"ledger {charge['amount_refunded']}, ours {back}, told {taken}")


def all_roads(ground: Ground) -> None:
    """The event, the merchant's poll and the look-up of a lost answer come to one payment at the same moment."""
    for number in range(ROUNDS):
        with ground.without_webhooks("stripe"):
            ground.stage.fault("stripe", operation="payment_intents.create", effect="timeout_after")
            payment = ground.stage.pay()["id"]
            wait_until(lambda one=payment: ground.stage.charges("stripe", one), "the charge")  # type: ignore[misc]
            (charge,) = ground.stage.charges("stripe", payment)
            mark = public_id("transaction", _uuid(ground.transactions(payment)[0]["id"]))
            claim = {"id": charge.get("payment_intent") or charge["id"], "metadata": {"tollgate_transaction": mark}}
            bodies = forging.stripe_events(ground.stage, mark, "payment_intent.succeeded")
            expect(bodies, f"no event about {claim}")
            ground.stage.pause(1.8 + 0.1 * number)
            sync = functools.partial(ground.stage.insist, f"/v1/payments/{payment}/sync")
            calls = [functools.partial(forging.deliver, ground.stage, bodies[0])] * 4 + [sync] * 4
            for answer in ground.at_once(calls):
                expect(answer.status_code in (200, 202, 409), f"{answer.status_code} {answer.text[:200]}")
            ground.since()
            ground.paid_once(payment)
        told = ground.stage.request("GET", f"/v1/events?payment={payment}&limit=100").json()["data"]
        kinds = [one["type"] for one in told if one["type"] == "payment.succeeded"]
        expect(len(kinds) == 1, f"the merchant was told {len(kinds)} times")


def _uuid(value: Any) -> Any:
    from uuid import UUID

    return UUID(str(value))


CASES = (
    Case("35a", "concurrency", "one key 100 times at once", "1 payment, 1 charge, 100 answers", 99, one_key),
    Case("35b", "concurrency", "the same while api processes die", "1 payment, 1 charge", 1, one_key_through_a_death),
    Case("35c", "concurrency", "one key, two bodies", "one body wins, the other 422", 15, other_bodies),
    Case("35d", "concurrency", "one key of two merchants", "independent", 18, two_tenants, "apart"),
    Case("35e", "concurrency", "keys too long, empty, quoted, not ASCII", "400, or the same key", 4, odd_keys),
    Case("36a", "concurrency", "capture against cancel, ten captures", "one wins, 409", 15, closing),
    Case("36b", "concurrency", "50 refunds over the captured sum", "never over", REFUNDS, refunds),
    Case("36c", "concurrency", "event against poll against look-up", "one success, told once", ROUNDS, all_roads),
)  # fmt: skip
