"""What a careless or dishonest provider would do, each with the part of the contract that finds it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from core.domain.outcomes import (
    ActionRequired,
    Canceled,
    DisputeFacts,
    Facts,
    KeptMethod,
    LookUp,
    NotExecuted,
    NotExecutedReason,
    NotFound,
    Outcome,
    Pending,
    Succeeded,
    Unknown,
)
from core.providers.base import (
    CaptureRequest,
    ChargeRef,
    CustomerRequest,
    EvidenceRequest,
    ForgetRequest,
    LookUpRequest,
    PaymentProvider,
    RefundRequest,
    StartRequest,
    StatementLine,
    VerifiedEvent,
    VoidRequest,
)
from tests.providers import (
    test_contract,
    test_contract_books,
    test_contract_holds,
    test_contract_honesty,
    test_contract_restored,
    test_contract_saved,
)
from tests.providers.driver import Driver, Inbox

pytestmark = pytest.mark.usefixtures("with_bank")


class Cheat:
    """A provider that is honest but for what its heirs change."""

    key = ""

    def __init__(self, honest: PaymentProvider) -> None:
        self._honest = honest

    def __getattr__(self, name: str) -> Any:
        return getattr(self._honest, name)


class RepeatsWhatWasAsked(Cheat):
    def look_up(self, request: LookUpRequest) -> LookUp:
        found = self._honest.look_up(request)
        if isinstance(found, Succeeded) and isinstance(request.request, StartRequest):
            return Succeeded(replace(found.facts, amount=request.request.amount))
        return found


class CallsBrokenAnswersUnexecuted(Cheat):
    def start(self, request: StartRequest) -> Outcome:
        found = self._honest.start(request)
        return NotExecuted(NotExecutedReason.CONNECTION, "try again") if isinstance(found, Unknown) else found


class SendsAgain(Cheat):
    def start(self, request: StartRequest) -> Outcome:
        found = self._honest.start(request)
        return self._honest.start(request) if isinstance(found, Unknown) else found


class PaysWhenAsked(Cheat):
    def look_up(self, request: LookUpRequest) -> LookUp:
        found = self._honest.look_up(request)
        if isinstance(found, NotFound) and isinstance(request.request, StartRequest):
            return self._honest.start(request.request)
        return found


class SendsAnotherRequest(Cheat):
    def start(self, request: StartRequest) -> Outcome:
        return self._honest.start(replace(request, provider_key=f"{request.provider_key}:{uuid4().hex}"))


class SendsAnotherBody(Cheat):
    def start(self, request: StartRequest) -> Outcome:
        return self._honest.start(replace(request, return_url=f"https://shop.example/{uuid4().hex}", method="redirect"))


class SaysSucceededEarly(Cheat):
    def start(self, request: StartRequest) -> Outcome:
        found = self._honest.start(request)
        return Succeeded(found.facts) if isinstance(found, Pending | ActionRequired) else found

    def look_up(self, request: LookUpRequest) -> LookUp:
        found = self._honest.look_up(request)
        return Succeeded(found.facts) if isinstance(found, Pending | ActionRequired) else found


class ShowsItsSecrets(Cheat):
    def start(self, request: StartRequest) -> Outcome:
        found = self._honest.start(request)
        return Unknown({"seen": self.key}) if isinstance(found, Unknown) else found


class TakesWhatItDoesNotDeclare(Cheat):
    def start(self, request: StartRequest) -> Outcome:
        """Lets the provider judge: the request leaves."""
        return self._honest.start(replace(request, currency=next(iter(self._honest.capabilities.currencies))))


def _lost(driver: Driver) -> None:
    test_contract.test_a_request_that_was_lost_is_unknown_and_then_not_found(driver, "reset_before")


CAUGHT: list[tuple[type[Cheat], Callable[[Driver], None]]] = [
    (RepeatsWhatWasAsked, test_contract.test_an_answer_with_another_amount_shows_that_amount),
    (CallsBrokenAnswersUnexecuted, lambda driver: test_contract.test_a_server_error_is_unknown(driver, 502)),
    (SendsAgain, test_contract_honesty.test_one_call_sends_what_moves_money_once),
    (PaysWhenAsked, test_contract_honesty.test_looking_up_moves_nothing),
    (PaysWhenAsked, _lost),
    (SendsAnotherRequest, test_contract.test_the_same_request_sent_twice_charges_once),
    (SendsAnotherBody, test_contract_honesty.test_the_same_request_is_sent_the_same_way),
    (SaysSucceededEarly, test_contract.test_a_failed_try_on_a_page_brings_no_money),
    (ShowsItsSecrets, test_contract.test_secrets_are_in_no_text),
    (TakesWhatItDoesNotDeclare, test_contract_honesty.test_what_is_not_declared_is_refused_and_never_sent),
]


class SaysRefundsAreDone(Cheat):
    def refund(self, request: RefundRequest) -> Outcome:
        found = self._honest.refund(request)
        return Succeeded(found.facts) if isinstance(found, Pending) else found


class FindsRefundsDone(Cheat):
    def look_up(self, request: LookUpRequest) -> LookUp:
        found = self._honest.look_up(request)
        refund = isinstance(request.request, RefundRequest)
        return Succeeded(found.facts) if refund and isinstance(found, Pending) else found


class ListsRefundsAsDone(Cheat):
    def list_refunds(self, charge: ChargeRef) -> Any:
        listed = self._honest.list_refunds(charge)
        assert isinstance(listed, list)
        return [
            replace(one, outcome=Succeeded(one.outcome.facts)) if isinstance(one.outcome, Pending) else one
            for one in listed
        ]


class ClaimsMoneyEarly(Cheat):
    def start(self, request: StartRequest) -> Outcome:
        return self._claimed(self._honest.start(request))

    def _claimed(self, found: Any) -> Any:
        if not isinstance(found, Pending | ActionRequired):
            return found
        return replace(found, facts=replace(found.facts, amount_received=500_00))


class FindsMoneyEarly(ClaimsMoneyEarly):
    def start(self, request: StartRequest) -> Outcome:
        return self._honest.start(request)

    def look_up(self, request: LookUpRequest) -> LookUp:
        return self._claimed(self._honest.look_up(request))  # type: ignore[no-any-return]


class KnowsTransactionsOnly(Cheat):
    def look_up(self, request: LookUpRequest) -> LookUp:
        return self._honest.look_up(replace(request, by_payment=False))


class TakesWhateverIsThere(Cheat):
    """After a restore it asks for nothing, and takes what it made last."""

    last = Facts()

    def start(self, request: StartRequest) -> Outcome:
        found = self._honest.start(request)
        self.last = found.facts if isinstance(found, Succeeded | ActionRequired) else self.last
        return found

    def look_up(self, request: LookUpRequest) -> LookUp:
        found = self._honest.look_up(request)
        return Succeeded(self.last) if request.by_payment and isinstance(found, NotFound | Unknown) else found


class SendsWhatIsLost(Cheat):
    def look_up(self, request: LookUpRequest) -> LookUp:
        found, sent = self._honest.look_up(request), request.request
        lost = request.by_payment and isinstance(found, NotFound)
        return self._honest.refund(sent) if lost and isinstance(sent, RefundRequest) else found


def _by_its_mark(driver: Driver) -> None:
    test_contract_restored.test_a_payment_is_found_by_its_own_mark(driver, "request")


CAUGHT += [
    (KnowsTransactionsOnly, _by_its_mark),
    (KnowsTransactionsOnly, test_contract_restored.test_a_refund_is_found_by_the_refunds_mark),
    (TakesWhateverIsThere, test_contract_restored.test_another_payments_object_is_never_taken),
    (SendsWhatIsLost, test_contract_restored.test_a_refund_is_found_by_the_refunds_mark),
    (SendsWhatIsLost, test_contract_restored.test_asking_by_the_payment_moves_nothing),
]

REFUND_DONE = test_contract_books.test_a_refund_is_told_done_only_once_it_is
CAUGHT += [
    (SaysRefundsAreDone, REFUND_DONE),
    (FindsRefundsDone, REFUND_DONE),
    (ListsRefundsAsDone, REFUND_DONE),
    (ClaimsMoneyEarly, test_contract.test_a_page_is_paid_by_the_customer),
    (FindsMoneyEarly, test_contract.test_a_page_is_paid_by_the_customer),
    (FindsMoneyEarly, test_contract.test_a_failed_try_on_a_page_brings_no_money),
]


def _held_to(driver: Driver, cheat: type[Cheat], part: Callable[[Driver], None]) -> None:
    """Passes only if the contract's own test fails by an assertion of its own."""
    honest = driver.provider

    def cheating(*args: Any, **changes: Any) -> Any:
        made = cheat(honest(*args, **changes))
        made.key = driver.secret_key
        return made

    driver.provider = cheating  # type: ignore[method-assign]
    with pytest.raises(AssertionError):
        part(driver)


@pytest.mark.parametrize(("cheat", "part"), CAUGHT, ids=lambda one: getattr(one, "__name__", "part"))
def test_a_cheat_is_caught(driver: Driver, cheat: type[Cheat], part: Callable[[Driver], None]) -> None:
    _held_to(driver, cheat, part)


class TakesTheWholeHold(Cheat):
    def capture(self, request: CaptureRequest) -> Outcome:
        return self._honest.capture(replace(request, amount=500_00))


class KeepsTheHold(Cheat):
    def void(self, request: VoidRequest) -> Outcome:
        return Succeeded(Facts(provider_id=request.provider_id))


class ForgetsNothing(Cheat):
    def forget_method(self, request: ForgetRequest) -> Succeeded:
        return Succeeded(Facts())


class KeepsUnasked(Cheat):
    def look_up(self, request: LookUpRequest) -> LookUp:
        found = self._honest.look_up(request)
        if not isinstance(found, Succeeded) or found.facts.method is not None:
            return found
        return Succeeded(replace(found.facts, method=KeptMethod("tok_1", "card", last4="4242")))


class MakesAnotherCustomer(Cheat):
    def upsert_customer(self, request: CustomerRequest) -> Any:
        if not self.capabilities.customer_objects:
            return Succeeded(Facts(provider_id=uuid4().hex))
        return self._honest.upsert_customer(replace(request, provider_key=uuid4().hex, customer_id=uuid4().hex))


class HidesARefund(Cheat):
    def list_refunds(self, charge: ChargeRef) -> Any:
        found = self._honest.list_refunds(charge)
        return found[:1] if isinstance(found, list) else found


class ForgetsFees(Cheat):
    def list_statement(self, since: datetime, until: datetime) -> Iterator[StatementLine]:
        return (replace(one, net=one.amount) for one in self._honest.list_statement(since, until))


class SaysEvidenceWasSent(Cheat):
    def send_evidence(self, request: EvidenceRequest) -> Any:
        found = self._honest.read_dispute(request.provider_id)
        return replace(found, evidence_sent=True, status="under_review") if isinstance(found, DisputeFacts) else found


def _partial(driver: Driver) -> None:
    test_contract_holds.test_a_capture_takes_what_it_says_and_that_once(driver, 120_00)


#: These cheat at what not every provider declares.
CAUGHT_WHERE_DECLARED: list[tuple[type[Cheat], str, Callable[[Driver], None]]] = [
    (TakesTheWholeHold, "manual_capture_methods", _partial),
    (KeepsTheHold, "void", test_contract_holds.test_a_hold_is_let_go_and_cannot_be_taken_then),
    (ForgetsNothing, "save_methods", test_contract_saved.test_a_forgotten_method_charges_nothing_any_more),
    (KeepsUnasked, "save_methods", test_contract_saved.test_a_payment_leaves_a_method_behind_only_when_asked),
    (MakesAnotherCustomer, "save_methods", test_contract_saved.test_one_customer_is_made_however_many_ask),
    (HidesARefund, "multiple_refunds", test_contract_books.test_the_refunds_of_a_charge_are_listed_with_our_marks),
    (ForgetsFees, "statement", test_contract_books.test_the_statement_adds_up_to_what_happened),
    (SaysEvidenceWasSent, "disputes", test_contract_books.test_evidence_is_sent_once),
]


@pytest.mark.parametrize(
    ("cheat", "declared", "part"), CAUGHT_WHERE_DECLARED, ids=lambda one: getattr(one, "__name__", "")
)
def test_a_cheat_at_what_it_declares_is_caught(
    driver: Driver, cheat: type[Cheat], declared: str, part: Callable[[Driver], None]
) -> None:
    if getattr(driver.provider().capabilities, declared):
        _held_to(driver, cheat, part)


class KeepsPagesOpen(Cheat):
    def look_up(self, request: LookUpRequest) -> LookUp:
        found = self._honest.look_up(request)
        return Pending(found.facts) if isinstance(found, Canceled) else found


class HidesARefusedKey(Cheat):
    def look_up(self, request: LookUpRequest) -> LookUp:
        found = self._honest.look_up(request)
        return replace(found, refused_key=False) if isinstance(found, Unknown) else found


class BlamesTheKey(Cheat):
    def look_up(self, request: LookUpRequest) -> LookUp:
        found = self._honest.look_up(request)
        return replace(found, refused_key=True) if isinstance(found, Unknown) else found


class TellsNoTime(Cheat):
    def read_webhook(self, event: VerifiedEvent) -> Any:
        told = self._honest.read_webhook(event)
        return [replace(one, occurred_at=None) for one in told] if isinstance(told, list) else told


class TellsItsOwnTime(Cheat):
    def read_webhook(self, event: VerifiedEvent) -> Any:
        told, wrong = self._honest.read_webhook(event), datetime(2020, 1, 1, tzinfo=UTC)
        return [replace(one, occurred_at=wrong) for one in told] if isinstance(told, list) else told


def test_a_page_kept_open_for_ever_is_caught(driver: Driver) -> None:
    """Paystack's pages never end: there is nothing to lie about."""
    if driver.provider().capabilities.close_unfinished or driver.let_pages_end():
        _held_to(driver, KeepsPagesOpen, test_contract.test_a_page_that_has_ended_is_open_no_more)


def test_money_claimed_while_it_is_on_its_way_is_caught(driver: Driver) -> None:
    if driver.on_its_way(driver.provider()) is not None:
        _held_to(driver, FindsMoneyEarly, test_contract.test_money_on_its_way_is_not_received_yet)


@pytest.mark.parametrize("cheat", [HidesARefusedKey, BlamesTheKey])
def test_a_wrong_word_about_the_key_is_caught(driver: Driver, cheat: type[Cheat]) -> None:
    _held_to(driver, cheat, test_contract.test_a_question_with_a_refused_key_says_so)


@pytest.mark.parametrize("cheat", [TellsNoTime, TellsItsOwnTime])
def test_a_wrong_time_is_caught(heard: Driver, box: Inbox, cheat: type[Cheat]) -> None:
    def part(driver: Driver) -> None:
        test_contract.test_a_delivered_webhook_is_verified_and_told_in_our_words(driver, box)

    _held_to(heard, cheat, part)
