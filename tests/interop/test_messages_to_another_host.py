"""Messages to other hosts, which are servers on loopback."""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import signal
import time
from typing import TYPE_CHECKING

import pytest
from tests.differential.replay.strangers import ScriptedServer
from tests.support import private_home
from tests.support.dns_table import TableResolver
from tests.support.private_home import PrivateHome
from tests.support.queues import make_home
from tests.support.smtp import Server

from pyqmail.delivery.remote import FRESH, Delivery, RemoteDeliverer
from pyqmail.queue.suspension import Suspension

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.process

MESSAGES = 1000
TOGETHER = 50
ADDRESS = "127.0.0.2"
PIECES = [
    b"\n",
    b"\r\n",
    b"\r",
    b".",
    b"\n.\n",
    b"\r\n.\r\n",
    b"\r.\r\n",
    b"\0",
    b"\xff",
    b"x" * 70,
]


def random_message(chance: random.Random) -> bytes:
    pieces = chance.choices(PIECES, k=chance.randrange(60))
    junk = chance.randbytes(chance.choice([0, 10, 70_000]))
    return b"".join(pieces) + junk + b"\n"


def as_documented(message: bytes) -> bytes:
    """Return what arrives: line ends are LF again, and every other CR is a space."""
    return message.replace(b"\r\n", b"\n").replace(b"\r", b" ")


class Receiver:
    """Takes every session; `messages` is what came, by recipient."""

    def __init__(self) -> None:
        self.messages: dict[bytes, bytes] = {}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server = Server()
        writer.write(b"220 far\r\n")
        while data := await reader.read(4000):
            already = len(server.outcome.replies)
            server.feed(data)
            while server.outcome.messages:
                _, (recipient,), message = server.outcome.messages.pop()
                assert recipient not in self.messages, "each is sent once"
                self.messages[recipient] = message
            writer.write(server.outcome.replies[already:])
        writer.close()


async def send_all(home: str, messages: dict[bytes, bytes]) -> tuple[list[bytes], Receiver]:
    receiver = Receiver()
    server = await asyncio.start_server(receiver.serve, ADDRESS, 0)
    port = server.sockets[0].getsockname()[1]
    resolver = TableResolver({b"far.example": [ADDRESS]})
    deliverer = RemoteDeliverer(home, resolver, Suspension(home, 0), port)
    room = asyncio.Semaphore(TOGETHER)

    async def send(recipient: bytes, message: bytes) -> bytes:
        async with room:
            descriptor = os.memfd_create("message")
            try:
                os.pwrite(descriptor, message, 0)
                delivery = Delivery(b"far.example", b"s@x", [recipient], descriptor)
                return (await deliverer.deliver(delivery)).of_all()
            finally:
                os.close(descriptor)

    said = await asyncio.gather(*(send(*each) for each in messages.items()))
    server.close()
    return said, receiver


def test_what_arrives_is_what_was_sent(tmp_path: Path) -> None:
    home = make_home(str(tmp_path))
    os.makedirs(f"{home}/control", exist_ok=True)
    with open(f"{home}/control/me", "w", encoding="utf-8") as file:
        file.write("me.example\n")
    chance = random.Random(5)
    messages = {b"r%d@far.example" % n: random_message(chance) for n in range(MESSAGES)}

    said, receiver = asyncio.run(send_all(home, messages))

    assert {each[:3] for each in said} == {b"r\0K"}
    assert receiver.messages == {to: as_documented(text) for to, text in messages.items()}
    assert not any(re.search(rb"\r", text) for text in receiver.messages.values())


REPLIES = {
    "HELO": "250-far\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE 1000000\r\n",
    "MAIL": "250 ok\r\n",
    "RCPT": {"bob": "550 no bob\r\n", "": "250 ok\r\n"},
    "DATA": "354 go\r\n",
    ".": "250 ok\r\n",
    "QUIT": "221 bye\r\n",
}


@pytest.mark.skipif(private_home.why_not() is not None, reason=str(private_home.why_not()))
def test_a_letter_leaves_a_private_home_and_a_refused_one_comes_back() -> None:
    server = ScriptedServer({"greet": "220 far\r\n", "replies": REPLIES}, ADDRESS)
    with PrivateHome("aku") as home:
        home.write("control/smtproutes", f"far.example:{ADDRESS}:{server.port}\n")
        home.start()
        home.inject("Subject: x\n\nhallå\n".encode(), "-faku", "ann@far.example")
        home.wait_until_empty()
        home.inject(b"Subject: y\n\nhello\n", "-faku", "bob@far.example")
        home.wait(lambda: bool(home.mail("aku")), "no bounce came")
        (bounce,) = home.mail("aku")
    server.stop()

    assert re.match(r"MAIL FROM:<aku@[a-z.]+> SIZE=\d+ BODY=8BITMIME\r\n", server.seen[0])
    assert server.seen[1] == "RCPT TO:<ann@far.example>\r\n"
    assert server.seen[3].endswith("\r\n\r\nhall\xc3\xa5\r\n.\r\n")
    assert b"127.0.0.2 does not like recipient.\nRemote host said: 550 no bob\n" in bounce


def submit(home: PrivateHome, *lines: str) -> None:
    """Say an envelope to qmail-smtpd as who may relay, and give it a message."""
    said = [*lines, "DATA", "Subject: x", "", "hello", ".", "QUIT"]
    wire = "".join(line + "\r\n" for line in said).encode()
    answer = home.run("qmail-smtpd", text=wire, RELAYCLIENT="")
    assert answer.stdout.count(b"\r\n250 ok") == len(lines) + 1, answer


@pytest.mark.skipif(private_home.why_not() is not None, reason=str(private_home.why_not()))
def test_what_a_sender_wishes_goes_with_the_message_at_every_attempt() -> None:
    replies = {**REPLIES, "HELO": "250-far\r\n250 DSN\r\n", "RCPT": ["451 later\r\n", "250 ok\r\n"]}
    server = ScriptedServer({"greet": "220 far\r\n", "replies": replies}, ADDRESS)
    with PrivateHome("aku") as home:
        home.write("control/smtproutes", f"far.example:{ADDRESS}:{server.port}\n")
        home.start()
        submit(
            home,
            "MAIL FROM:<aku@mail.example.org> RET=HDRS ENVID=one",
            "RCPT TO:<ann@far.example> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;Ann@far.example",
        )
        home.wait(lambda: len(server.seen) == 2, "no first attempt")
        home.wait(lambda: "deferral" in home.log(), "no deferral")
        os.kill(home.pid, signal.SIGALRM)
        home.wait_until_empty()
        notices = home.mail("aku")
    server.stop()

    (sender,) = {line for line in server.seen if line.startswith("MAIL")}
    (recipient,) = {line for line in server.seen if line.startswith("RCPT")}
    assert sender == "MAIL FROM:<aku@mail.example.org> RET=HDRS ENVID=one\r\n"
    assert recipient == (
        "RCPT TO:<ann@far.example> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;Ann@far.example\r\n"
    )
    assert notices == []


@pytest.mark.skipif(private_home.why_not() is not None, reason=str(private_home.why_not()))
def test_where_the_next_host_obeys_no_wishes_we_say_that_it_was_relayed() -> None:
    server = ScriptedServer({"greet": "220 far\r\n", "replies": REPLIES}, ADDRESS)
    with PrivateHome("aku") as home:
        home.write("control/smtproutes", f"far.example:{ADDRESS}:{server.port}\n")
        home.start()
        submit(
            home,
            "MAIL FROM:<aku@mail.example.org>",
            "RCPT TO:<ann@far.example> NOTIFY=SUCCESS",
        )
        home.wait_until_empty()
        home.wait(lambda: bool(home.mail("aku")), "no notice came")
        (notice,) = home.mail("aku")
    server.stop()

    assert b"\nAction: relayed\n" in notice
    assert "RCPT TO:<ann@far.example>\r\n" in server.seen


def relay_through(home: PrivateHome, sender: PrivateHome, service: str, password: str) -> None:
    """Have `sender` send all its mail to the port of a service of `home`, as aku."""
    first = json.loads(home.log().partition("\n")[0])
    relay = f"127.0.0.1:{first['services'][service]['port']}"
    sender.write("control/smtproutes", f":{relay}\n")
    sender.write("control/smtproutes_auth", f"{relay} aku {password}\n")
    os.chmod(f"{sender.path}/control/smtproutes_auth", 0o600)
    with open(f"{home.path}/control/servercert.pem", encoding="ascii") as file:
        _, begin, certificate = file.read().partition("-----BEGIN CERTIFICATE-----")
    sender.write("control/serverca.pem", begin + certificate)


@pytest.mark.skipif(private_home.why_not() is not None, reason=str(private_home.why_not()))
def test_a_home_is_the_relay_of_another_that_logs_in_over_tls() -> None:
    with PrivateHome("aku") as home, PrivateHome("kamu") as sender:
        home.run("qmailctl", "user", "passwd", "aku", text=b"correct horse\n")
        home.start("--json", "--listen=submission=127.0.0.1:0")
        relay_through(home, sender, "submission", "wrong horse")
        sender.start()

        sender.inject(b"Subject: x\n\nhello\n", "-fkamu", "aku@elsewhere.example.net")
        sender.wait_until_logged("deferral: Connected_to_127.0.0.1_but_my_login_failed./")
        relay_through(home, sender, "submission", "correct horse")
        time.sleep(FRESH)  # before, what was read is not read again
        os.kill(sender.pid, signal.SIGALRM)
        sender.wait_until_empty()
        home.wait_until_logged("to remote aku@elsewhere.example.net")
        log = sender.log()

    assert log.count("success: 127.0.0.1_accepted_message./") == 1
    assert "horse" not in log
