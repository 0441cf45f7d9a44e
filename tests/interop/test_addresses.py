"""Who gets the mail for an address, in a whole running home: from the lists to the mailbox."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from tests.support.private_home import HOST, PrivateHome, why_not

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(why_not() is not None, reason=str(why_not())),
]

USERS = ("aku", "kamu", "dia")


@contextmanager
def running_home(files: Mapping[str, str], passwd: tuple[str, ...] = ()) -> Iterator[PrivateHome]:
    """Give a running home with three users and these files.

    If there are names in `passwd`, the assignments come from qmail-pw2u.
    """
    with PrivateHome(*USERS) as home:
        for name, text in files.items():
            home.write(name, text)
        if passwd:
            assign(home, passwd)
        home.start()
        yield home


def assign(home: PrivateHome, names: tuple[str, ...]) -> None:
    """Make users/assign of a password file with `alias` and these names, and users/cdb of it."""
    ids = f"{home.account.pw_uid}:{home.account.pw_gid}"
    lines = [f"alias:x:{ids}::{home.path}/alias:/bin/sh\n"]
    lines += [f"{name}:x:{ids}::{home.path}/home/{name}:/bin/sh\n" for name in names]
    made = home.run("qmail-pw2u", text="".join(lines).encode())
    assert (made.returncode, made.stderr) == (0, b"")
    home.write("users/assign", made.stdout.decode())
    assert home.run("qmail-newu").returncode == 0


def deliver(home: PrivateHome, *addresses: str) -> None:
    """Send a letter to each address, and wait until all are delivered or refused."""
    for address in addresses:
        # From nobody: what is refused goes to the postmaster.
        home.inject(b"Subject: x\n\n", "-f", "", address)
    home.wait_until_empty()


def received(home: PrivateHome, user: str) -> list[str]:
    """Return the addresses that letters in the Maildir of a user were delivered to."""
    found = [
        re.search(rb"^Delivered-To: (.+)$", message, re.MULTILINE)[1].decode()
        for message in home.mail(user)
        if b"\nSubject: x\n" in message
    ]
    return sorted(address.removesuffix("@" + HOST) for address in found)


def refused(home: PrivateHome) -> list[str]:
    """Return the addresses that the log has failures for."""
    log = home.log()
    recipients = dict(re.findall(r"starting delivery (\d+): msg \d+ to local (\S+)", log))
    return sorted(
        recipients[number].removesuffix("@" + HOST)
        for number in re.findall(r"delivery (\d+): failure: ", log)
    )


def test_include_and_exclude_decide_who_has_a_mailbox() -> None:
    lists = {"users/include": "alias\naku\nkamu\n", "users/exclude": "kamu\n"}
    with running_home(lists, passwd=USERS) as home:
        deliver(home, "aku", "kamu", "dia")

        assert (received(home, "aku"), refused(home)) == (["aku"], ["dia", "kamu"])


def test_mailnames_are_the_only_names_of_a_user() -> None:
    lists = {"users/mailnames": "aku:uncle:Uncle.Bob\n"}
    with running_home(lists, passwd=USERS) as home:
        home.write("home/aku/.qmail-default", "./Maildir/\n")
        deliver(home, "uncle", "UNCLE.bob", "uncle-ext", "aku")

        assert received(home, "aku") == ["UNCLE.bob", "uncle", "uncle-ext"]
        assert refused(home) == ["aku"]


def test_a_subuser_has_the_extensions_of_a_user_to_itself() -> None:
    lists = {
        "users/subusers": "sales:aku:shop:\n",
        "home/aku/.qmail-shop": "./Maildir/\n",
        "home/aku/.qmail-shop-default": "./Maildir/\n",
    }
    with running_home(lists, passwd=USERS) as home:
        deliver(home, "sales", "sales-today", "aku-shop")

        assert received(home, "aku") == ["aku-shop", "sales", "sales-today"]


def test_appended_lines_assign_as_all_others() -> None:
    with PrivateHome(*USERS) as home:
        ids = f"{home.account.pw_uid}:{home.account.pw_gid}"
        folder = f"{home.path}/home/kamu"
        home.write("users/append", f"=box:kamu:{ids}:{folder}:::\n+b-:kamu:{ids}:{folder}:-:b-:\n")
        home.write("home/kamu/.qmail-b-default", "./Maildir/\n")
        assign(home, USERS)
        home.start()
        deliver(home, "box", "b-one", "BOX", "boxes")

        assert received(home, "kamu") == ["BOX", "b-one", "box"]
        assert refused(home) == ["boxes"]


def test_the_longest_name_of_users_assign_wins_and_alias_has_the_rest() -> None:
    files = {
        "home/aku/.qmail-default": "./Maildir/\n",
        "alias/.qmail-default": "&dia\n",
    }
    with running_home(files, passwd=("aku", "aku-two", "dia")) as home:
        deliver(home, "aku-one", "aku-two-x", "nobody")

        # There is no folder for aku-two, so qmail-pw2u leaves it out.
        assert received(home, "aku") == ["aku-one", "aku-two-x"]
        assert received(home, "dia") == ["dia"]


def test_virtual_domains_are_users_with_an_extension() -> None:
    files = {
        "control/virtualdomains": (
            "virt.example:aku\n.sub.example:aku-sub\njoe@one.example:kamu\n:dia-all\nnot.example:\n"
        ),
        "home/aku/.qmail-default": "./Maildir/\n",
        "home/kamu/.qmail-joe": "./Maildir/\n",
        "home/dia/.qmail-all-default": "./Maildir/\n",
    }
    with running_home(files) as home:
        deliver(
            *(home, "a@virt.example", "b@x.sub.example", "joe@one.example", "eve@one.example"),
            "A.B@Virt.Example",
        )

        assert received(home, "aku") == [
            *("aku-A.B@Virt.Example", "aku-a@virt.example", "aku-sub-b@x.sub.example")
        ]
        assert received(home, "kamu") == ["kamu-joe@one.example"]
        assert received(home, "dia") == ["dia-all-eve@one.example"]


def test_an_exception_from_a_virtual_domain_is_remote() -> None:
    with running_home({"control/virtualdomains": ":dia\nnot.example:\n"}) as home:
        home.inject(b"Subject: x\n\n", "-f", "", "eve@not.example")
        home.wait_until_logged("to remote eve@not.example\n")
        assert "to local" not in home.log()


@pytest.mark.parametrize(
    ("address", "user"),
    [
        (f"kamu%{HOST}@relay.example", "kamu"),
        (f"kamu%{HOST}%relay.example@RELAY.example", "kamu"),
        ("who%virt.example@relay.example", "aku"),
    ],
)
def test_the_percent_hack_sends_on_where_it_is_allowed(address: str, user: str) -> None:
    files = {
        "control/percenthack": "relay.example\n",
        "control/locals": f"{HOST}\nrelay.example\n",
        "control/virtualdomains": "virt.example:aku\n",
        "home/aku/.qmail-who": "./Maildir/\n",
    }
    with running_home(files) as home:
        deliver(home, address)

        assert len(received(home, user)) == 1


def test_a_percent_sign_is_an_ordinary_byte_elsewhere() -> None:
    files = {"home/aku/.qmail-a%b": "./Maildir/\n", "control/percenthack": "relay.example\n"}
    with running_home(files) as home:
        deliver(home, "aku-a%b")

        assert received(home, "aku") == ["aku-a%b"]
