"""Ids on their way to a hint: a lone one at once, many together, and never anyone waiting."""

from __future__ import annotations

import threading
from uuid import UUID, uuid4

from tests.support.waiting import wait_until
from workers.gather import BATCH, ROOM, Gatherer


class Hand:
    """Takes what is handed on, and can be held up."""

    def __init__(self) -> None:
        self.batches: list[tuple[str, list[UUID]]] = []
        self.open = threading.Event()
        self.open.set()

    def __call__(self, lane: str, ids: list[UUID]) -> None:
        self.batches.append((lane, ids))
        assert self.open.wait(10)

    def ids(self) -> list[UUID]:
        return [job for _, ids in list(self.batches) for job in ids]


def test_a_lone_id_is_handed_on() -> None:
    hand = Hand()
    gatherer = Gatherer("test", hand, 0.003)
    job = uuid4()
    assert gatherer.offer("payments", [job]) == 0
    wait_until(lambda: hand.batches, "the id")
    assert hand.batches == [("payments", [job])]
    gatherer.close()


def test_many_travel_together_a_lane_at_a_time_and_in_order() -> None:
    hand = Hand()
    hand.open.clear()
    gatherer = Gatherer("test", hand, 0.003)
    gatherer.offer("payments", [uuid4()])
    wait_until(lambda: hand.batches, "the first")
    waiting = {lane: [uuid4() for _ in range(BATCH + 20)] for lane in ("payments", "deliveries")}
    for pair in zip(waiting["payments"], waiting["deliveries"], strict=True):
        gatherer.offer("payments", [pair[0]])
        gatherer.offer("deliveries", [pair[1]])
    hand.open.set()
    gatherer.close()
    later = hand.batches[1:]
    assert [(lane, len(ids)) for lane, ids in later] == [
        ("payments", BATCH), ("deliveries", BATCH), ("payments", 20), ("deliveries", 20),
    ]  # fmt: skip
    for lane, ids in waiting.items():
        assert [job for its_lane, batch in later if its_lane == lane for job in batch] == ids


def test_what_has_no_room_is_dropped_and_counted() -> None:
    hand = Hand()
    hand.open.clear()
    gatherer = Gatherer("test", hand, 0.003)
    gatherer.offer("payments", [uuid4()])
    wait_until(lambda: hand.batches, "the first")
    assert gatherer.offer("payments", [uuid4() for _ in range(ROOM + 7)]) == 7
    assert gatherer.offer("payments", [uuid4()]) == 1
    hand.open.set()
    wait_until(lambda: len(hand.ids()) == ROOM + 1, "the rest")
    assert gatherer.offer("payments", [uuid4()]) == 0
    gatherer.close()


def test_closing_hands_on_what_waits_and_takes_no_more() -> None:
    hand = Hand()
    gatherer = Gatherer("test", hand, 0.003)
    jobs = [uuid4() for _ in range(3)]
    for job in jobs:
        gatherer.offer("payments", [job])
    gatherer.close()
    assert hand.ids() == jobs
    assert gatherer.offer("payments", [uuid4()]) == 1


def test_a_hand_that_drops_things_does_not_end_it() -> None:
    taken: list[UUID] = []

    def clumsy(lane: str, ids: list[UUID]) -> None:
        taken.extend(ids)
        raise RuntimeError("dropped")

    gatherer = Gatherer("test", clumsy, 0.003)
    for number in (1, 2):
        gatherer.offer("payments", [uuid4()])
        wait_until(lambda number=number: len(taken) == number, "the id")  # type: ignore[misc]
    gatherer.close()
