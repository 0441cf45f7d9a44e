"""./run: a private home in ./var, the whole server in it, a conversation, three letters."""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

from account import choose_account, choose_place, options_for
from conversation import choose_places, converse, port_of
from environment import call, step
from letters import (
    LOG_OF_A_BOUNCE,
    LOG_OF_A_DELIVERY,
    LOG_OF_A_LETTER_BY_SMTP,
    Surprise,
    check_bounce,
    check_letter,
    check_letter_by_smtp,
    check_mbox_entry,
    check_text,
    long_body,
)
from server import Server

if TYPE_CHECKING:
    from collections.abc import Callable

HOST = "mail.example.org"
SHOWN = 14  # lines of a long mailbox


def main() -> None:
    """Say what is done while it is done; exit 0 only if the letters arrived as they should."""
    parser = argparse.ArgumentParser(prog="./run", description=__doc__)
    parser.add_argument("--once", action="store_true", help="end when the letters have arrived")
    arguments = parser.parse_args()
    os.umask(0o022)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    house = House()
    server = house.start()
    code = 0
    try:
        receive_by_smtp(house, server)
        send_letters(house, server)
        if not arguments.once:
            print(f"\nThe server stays up; its home is {house.home}. Ctrl-C stops it.")
            code = server.wait_for_end()
    except Surprise as surprise:
        print(f"\n{surprise}", file=sys.stderr)
        code = 1
    except KeyboardInterrupt:
        print()
    print("· stopping the server")
    sys.exit(server.stop() or code)


class House:
    """The home, its two users, and the account that runs it."""

    def __init__(self) -> None:
        account = choose_account()
        self.python, self.home = choose_place(account)
        self.uid = account.pw_uid
        self.host = HOST
        path = f"{self.home}/bin:{os.environ.get('PATH', os.defpath)}"
        self._options = {
            "cwd": self.home,
            "env": {"PATH": path, "USER": "aku", "QMAILHOME": self.home, "TZ": "UTC"},
            **options_for(account),
        }
        print(f"· the home is {self.home}, run by account {account.pw_name}")
        self._qmailctl = [f"{os.path.dirname(self.python)}/qmailctl"]
        self._make()

    def _make(self) -> None:
        # Completes a home that is there already, and points its launchers to this installation.
        with step(f"qmailctl setup --home {self.home} --host {HOST}"):
            self.call("setup", "--home", self.home, "--host", HOST)
        for name in ("aku", "kamu"):
            if not os.path.exists(f"{self.home}/home/{name}"):
                with step(f"qmailctl user add {name} --home {self.home}"):
                    self.call("user", "add", name, "--home", self.home)
        with open(f"{self.home}/home/kamu/.qmail", "w", encoding="ascii") as file:
            file.write("./Mailbox\n")
        os.chown(f"{self.home}/home/kamu/.qmail", self.uid, -1)

    def call(self, *arguments: str) -> None:
        """Run `qmailctl` with these arguments."""
        call([*self._qmailctl, *arguments], stdout=subprocess.DEVNULL, **self._options)

    def start(self) -> Server:
        """Start `qmailctl run`, and return when the server says that it is ready."""
        arguments = ["run", "--home", self.home, "--json", *choose_places()]
        print(f"· qmailctl {' '.join(arguments)}")
        server = Server([*self._qmailctl, *arguments], **self._options)
        try:
            server.wait(lambda lines: any(line.startswith("status:") for line in lines), "a status")
        except Surprise as surprise:
            server.stop()
            sys.exit(str(surprise))
        server.wait_until_quiet()
        return server

    def inject(self, letter: bytes) -> None:
        """Send a letter as a user would."""
        call([f"{self.home}/bin/qmail-inject"], input=letter, **self._options)

    def new_files(self, before: set[str]) -> str:
        """Return the text of the one file that came into aku's Maildir since `before`."""
        names = set(os.listdir(self.maildir)) - before
        if len(names) != 1:
            raise Surprise(f"{self.maildir} should have one new file, but has {sorted(names)}")
        with open(f"{self.maildir}/{names.pop()}", encoding="latin-1", newline="") as file:
            return file.read()

    @property
    def maildir(self) -> str:
        """The folder where aku's new mail lies."""
        return f"{self.home}/home/aku/Maildir/new"

    @property
    def mbox(self) -> str:
        """The file where kamu's mail lies."""
        return f"{self.home}/home/kamu/Mailbox"


def receive_by_smtp(house: House, server: Server) -> None:
    """Say to the SMTP server what the tutorials say; raise `Surprise` unless a letter arrives."""
    known = {"HOST": house.host, "UID": str(house.uid)}
    before = set(os.listdir(house.maildir))
    start = len(server.lines)
    with server.silence():
        port = port_of(server.lines[0], "smtp")
        try:
            known["QP"] = converse(port, house.host)
        except OSError as error:
            raise Surprise(f"port {port} does not answer: {error}") from error
    server.wait(ended(start, messages=1), "the end of the message")
    log = server.log(start)
    check_text(LOG_OF_A_LETTER_BY_SMTP, log, "the log of the conversation", NAME="aku", **known)
    letter = house.new_files(before)
    show(house.maildir, letter)
    check_letter_by_smtp(letter, **known)


def ended(start: int, messages: int) -> Callable[[list[str]], bool]:
    """Return what asks whether, since line `start` of the log, so many messages have ended."""
    return lambda lines: sum(line.startswith("end msg") for line in lines[start:]) >= messages


def send_letters(house: House, server: Server) -> None:
    """Send the three letters; raise `Surprise` unless each arrives as it should."""
    known = {"HOST": house.host, "UID": str(house.uid)}

    before = set(os.listdir(house.maildir))
    log = send(house, server, b"to: aku\n", ends=1)
    check_text(LOG_OF_A_DELIVERY, log, "the log of the first letter", NAME="aku", **known)
    letter = house.new_files(before)
    show(house.maildir, letter)
    check_letter(letter, **known)

    before = set(os.listdir(house.maildir))
    log = send(house, server, b"to: sembarangan\n", ends=2)
    check_text(LOG_OF_A_BOUNCE, log, "the log of the second letter", **known)
    bounce = house.new_files(before)
    show(house.maildir, bounce)
    check_bounce(bounce, **known)

    length = os.path.getsize(house.mbox) if os.path.exists(house.mbox) else 0
    body = long_body()
    log = send(house, server, b"to: kamu\n\n" + body, ends=1)
    check_text(LOG_OF_A_DELIVERY, log, "the log of the third letter", NAME="kamu", **known)
    with open(house.mbox, "rb") as file:
        file.seek(length)
        entry = file.read()
    show(house.mbox, entry.decode("latin-1"))
    check_mbox_entry(entry, body, **known)
    print("\nAll three letters arrived as they should.")


def send(house: House, server: Server, letter: bytes, ends: int) -> str:
    """Send one letter; return what the log says until the `ends`th message has ended."""
    start = len(server.lines)
    command = f"{house.home}/bin/qmail-inject"
    header, _, body = letter.decode("latin-1").partition("\n")
    typed = f"(echo {header}; cat long-letter)" if body else f"echo {header}"
    print(f"\n$ {typed} | {shlex.quote(command)}")
    house.inject(letter)
    server.wait(ended(start, ends), "the end of the message")
    return server.log(start)


def show(place: str, text: str) -> None:
    """Print a mailbox, the first lines of it if it is long."""
    lines = text.splitlines()
    print(f"  in {place}:")
    for line in lines[:SHOWN] if len(lines) > 4 * SHOWN else lines:
        print(f"  | {line}")
    if len(lines) > 4 * SHOWN:
        print(f"  | … {len(text):,} bytes in all")


if __name__ == "__main__":
    main()
