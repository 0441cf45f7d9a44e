from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING

from pyqmail.send import events
from pyqmail.send.hands import Hand

if TYPE_CHECKING:
    from collections.abc import Sequence


def test_actions_are_carried_out_in_order_and_told_in_batches() -> None:
    told: list[events.Event] = []
    may_begin = threading.Event()

    def work(actions: Sequence[events.Action]) -> list[events.Event]:
        may_begin.wait(30)
        return [events.RemoveDone(action.number) for action in actions]  # type: ignore[attr-defined]

    hand = Hand(work, told.extend, lambda error: told.append(events.Trouble(repr(error).encode())))
    for number in range(100):
        hand.do(events.Remove(number))
    may_begin.set()
    hand.finish()

    assert told == [events.RemoveDone(number) for number in range(100)]


def test_what_no_hand_should_meet_is_told_and_ends_it() -> None:
    told: queue.Queue[BaseException] = queue.Queue()

    def work(_actions: Sequence[events.Action]) -> list[events.Event]:
        raise SystemError

    hand = Hand(work, lambda _happened: None, told.put)
    hand.do(events.Sweep())

    assert isinstance(told.get(timeout=30), SystemError)
    hand.finish()
