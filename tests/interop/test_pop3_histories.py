"""Whatever readers, a sender and a killed server do to mailboxes, a simple model explains it."""

from __future__ import annotations

import asyncio
import os
import random
import sys
from typing import TYPE_CHECKING

import pytest
from tests.support.pop3_histories import live_through
from tests.support.pop3_model import Mailbox, Unexplained
from tests.support.pop3_slots import slots
from tests.support.private_home import why_not

if TYPE_CHECKING:
    from collections.abc import Callable

HISTORIES = 2000
SLOTS = 3


@pytest.mark.process
@pytest.mark.skipif(why_not() is not None, reason=str(why_not()))
@pytest.mark.timeout(600)
def test_every_history_is_explained_by_a_simple_model() -> None:
    first = int(os.environ.get("SEED", random.randrange(10**9)))
    count = int(os.environ.get("HISTORIES", HISTORIES))
    sys.stdout.write(f"SEED={first} HISTORIES={count}\n")  # pytest shows it if the test fails

    with slots(SLOTS) as made:
        asyncio.run(live_through(made, list(range(first, first + count))))

    # There was something to explain.
    assert sum(slot.messages for slot in made) > count / 2
    assert sum(slot.sessions for slot in made) > count / 2
    assert count < 1000 or sum(slot.kills for slot in made) > 0
    assert all(not box.coming and not box.present for s in made for box in s.mailboxes.values())


def mailbox() -> Mailbox:
    """Return the mailbox of somebody who has seen and fetched one message, a."""
    made = Mailbox("aku")
    made.accept("a")
    made.name("1", "a")
    made.see(["a"])
    made.fetch("a", b"text")
    return made


def test_what_was_accepted_may_come_late_but_only_once() -> None:
    box = mailbox()
    box.accept("b")

    box.see(["a"])
    box.see(["a", "b"])

    with pytest.raises(Unexplained, match="aku has lost"):
        box.see(["a"])


def test_what_was_deleted_with_ok_must_be_gone() -> None:
    box = mailbox()
    box.quit({"a"}, well=True)

    with pytest.raises(Unexplained, match="aku is shown"):
        box.see(["a"])
    with pytest.raises(Unexplained, match="which is deleted"):
        box.fetch("a", b"text")


@pytest.mark.parametrize("seen", [["a"], []])
def test_a_quit_that_a_kill_cut_short_is_decided_by_the_next_look(seen: list[str]) -> None:
    box = mailbox()
    box.quit_unheard({"a"})
    box.all_were_killed()

    box.see(seen)

    with pytest.raises(Unexplained):
        box.see([] if seen else ["a"])


def test_a_quit_that_may_still_be_obeyed_explains_both_and_no_return() -> None:
    box = mailbox()
    box.quit_unheard({"a"})

    box.see(["a"])
    box.see([])

    with pytest.raises(Unexplained):
        box.see(["a"])


@pytest.mark.parametrize(
    ("lie", "text"),
    [
        (lambda box: box.see([]), "aku has lost"),
        (lambda box: box.see(["a", "b"]), "aku is shown"),
        (lambda box: box.fetch("a", b"other"), "has changed"),
        (lambda box: box.fetch("a", None), "cannot fetch"),
        (lambda box: box.name("2", "a"), "was 1 and is 2"),
        (lambda box: box.name("1", "b"), "was a and is b"),
        (lambda box: box.quit({"a"}, well=False), "could not delete"),
    ],
)
def test_the_model_does_not_explain_everything(lie: Callable[[Mailbox], None], text: str) -> None:
    with pytest.raises(Unexplained, match=text):
        lie(mailbox())
