"""Random histories of readers, a sender and a server that is killed, told to a model.

A slot is a POP3 server of its own and users of its own, so that the histories of several slots
can happen at the same time. The steps of a history follow from its seed.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.support.pop3_model import Mailbox, Unexplained

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.tcpserver import TcpServer

PATIENCE = 60  # seconds; on a busy machine everything takes long
PASSWORD = "x"
MAX_CONNECTIONS = 3

# What may come next, and how often.
STEPS = {
    "deliver": 24.0,
    "log in": 20.0,
    "fetch": 18.0,
    "delete": 18.0,
    "list": 5.0,
    "reset": 3.0,
    "quit": 10.0,
    "quit, leave": 3.0,
    "drop": 7.0,
    "quit, kill": 0.3,
    "kill": 0.3,
}


@dataclass
class Connection:
    """One session. `shown` has the messages in the order of their numbers, with their `sizes`."""

    mailbox: Mailbox
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    shown: list[str] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    deleted: set[str] = field(default_factory=set)

    async def say(self, *commands: str) -> None:
        """Send commands without waiting for answers."""
        self.writer.write("".join(f"{command}\r\n" for command in commands).encode())
        await self.writer.drain()

    async def answer(self) -> bytes:
        """Return the next line that comes."""
        line = await asyncio.wait_for(self.reader.readline(), PATIENCE)
        if not line.endswith(b"\r\n"):
            raise Unexplained(f"{self.mailbox.user}: the server hung up after {line!r}")
        return line

    async def is_well(self) -> bool:
        """Return whether the next answer is +OK."""
        return (await self.answer()).startswith(b"+OK")

    async def must_be_well(self) -> None:
        """Wait for the answer +OK."""
        answer = await self.answer()
        if not answer.startswith(b"+OK"):
            raise Unexplained(f"{self.mailbox.user} is told {answer!r}")

    async def lines(self) -> list[bytes]:
        """Return the lines behind an answer, as they were before dots were put before them."""
        lines = []
        while (line := await self.answer()) != b".\r\n":
            lines.append(line.removeprefix(b"."))
        return lines

    async def ask(self, command: str) -> list[bytes]:
        """Return what a command gives, which must be allowed."""
        await self.say(command)
        await self.must_be_well()
        return await self.lines()


class Slot:
    """`users` and their server; `restart` kills it with all that it has started, and starts it."""

    def __init__(
        self, users: list[str], smtp_port: int, server: TcpServer, restart: Callable[[], None]
    ) -> None:
        self.mailboxes = {user: Mailbox(user) for user in users}
        self.kills = self.sessions = self.messages = 0
        self._smtp_port = smtp_port
        self._server = server
        self._restart = restart
        self._smtp: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Return a connection to the server."""
        self.sessions += 1
        return await asyncio.open_connection("127.0.0.1", self._server.port)

    async def kill(self) -> None:
        """Kill the server with SIGKILL, and start it again."""
        self.kills += 1
        await asyncio.to_thread(self._restart)
        for mailbox in self.mailboxes.values():
            mailbox.all_were_killed()

    async def deliver(self, user: str, message: str, text: str) -> None:
        """Send a message by SMTP, and return when it was accepted."""
        self.messages += 1
        address = user if "@" in user else f"{user}@mail.example.org"
        stuffed = text.replace("\r\n.", "\r\n..")
        await self._converse("MAIL FROM:<ann@far.example.net>", "250")
        await self._converse(f"RCPT TO:<{address}>", "250")
        await self._converse("DATA", "354")
        await self._converse(f"Subject: {message}\r\n{stuffed}.", "250")
        self.mailboxes[user].accept(message)

    async def _converse(self, said: str, wanted: str) -> None:
        if self._smtp is None:
            self._smtp = await asyncio.open_connection("127.0.0.1", self._smtp_port)
            await self._smtp[0].readline()
            await self._converse("HELO client", "250")
        reader, writer = self._smtp
        writer.write(f"{said}\r\n".encode())
        answer = await asyncio.wait_for(reader.readline(), PATIENCE)
        assert answer.startswith(wanted.encode()), (said, answer)

    async def close(self) -> None:
        """Hang up."""
        if self._smtp is not None:
            self._smtp[1].close()
            with contextlib.suppress(OSError):
                await self._smtp[1].wait_closed()


class History:
    """One history: `run()` it. Raises Unexplained; `steps` says then what has happened."""

    def __init__(self, slot: Slot, seed: int) -> None:
        self.seed = seed
        self.steps: list[str] = []
        self._slot = slot
        self._random = random.Random(seed)
        self._connections: list[Connection] = []
        self._sent: dict[str, bytes] = {}
        users = list(slot.mailboxes)
        self._users = self._random.sample(users, self._random.randint(1, len(users)))

    async def run(self) -> None:
        """Live through it, look at everything in the end, and leave nothing."""
        try:
            for _ in range(self._random.randint(3, 14)):
                (step,) = self._random.choices(list(STEPS), list(STEPS.values()))
                await self._take(step)
            while self._connections:
                await self._take(self._random.choice(("quit", "drop", "quit, leave")))
            for user in self._users:
                await self._look_at_all(user)
        finally:
            for connection in self._connections:
                connection.writer.transport.abort()

    async def _take(self, step: str) -> None:
        match step:
            case "deliver":
                await self._deliver()
            case "log in":
                if len(self._connections) < MAX_CONNECTIONS:
                    self._connections.append(await self._log_in(self._random.choice(self._users)))
            case "kill":
                self.steps.append("kill")
                await self._kill()
            case _ if self._connections:
                connection = self._random.choice(self._connections)
                self.steps.append(f"{step} {connection.mailbox.user}")
                await self._go_on(step, connection)

    async def _go_on(self, step: str, connection: Connection) -> None:
        match step:
            case "fetch" if connection.shown:
                await self._fetch(connection, self._random.choice(connection.shown))
            case "delete" if connection.shown:
                await self._delete(connection, self._random.choice(connection.shown))
            case "list":
                await self._list(connection)
            case "reset":
                await connection.say("RSET")
                await connection.must_be_well()
                connection.deleted.clear()
            case "quit":
                await self._quit(connection)
            case "quit, leave":
                await connection.say("QUIT")
                connection.mailbox.quit_unheard(connection.deleted)
                await self._leave(connection)
            case "drop":
                await self._leave(connection)
            case "quit, kill":
                await connection.say("QUIT")
                connection.mailbox.quit_unheard(connection.deleted)
                await self._kill()

    async def _deliver(self) -> None:
        user = self._random.choice(self._users)
        message = f"{self.seed}-{len(self._sent)}"
        words = ("", ".", "..", "word ")
        lines = [self._random.choice(words) + message for _ in range(self._random.randint(0, 5))]
        text = "".join(f"\r\n{line}" for line in lines) + "\r\n"
        self.steps.append(f"deliver {message} to {user}")
        self._sent[message] = text.encode()
        await self._slot.deliver(user, message, text)

    async def _log_in(self, user: str) -> Connection:
        """Begin a session, and learn what it shows."""
        mailbox = self._slot.mailboxes[user]
        connection = Connection(mailbox, *await self._slot.connect())
        try:
            await self._introduce(connection)
        except BaseException:
            connection.writer.transport.abort()
            raise
        return connection

    async def _introduce(self, connection: Connection) -> None:
        mailbox = connection.mailbox
        name, password = f"USER {mailbox.user}", f"PASS {PASSWORD}"
        if self._random.random() < 0.5:  # all at once
            await connection.say(name, password, "UIDL", "LIST")
            for _ in range(4):
                await connection.must_be_well()
            uids = await connection.lines()
            await connection.must_be_well()
        else:
            await connection.must_be_well()
            for command in (name, password):
                await connection.say(command)
                await connection.must_be_well()
            uids = await connection.ask("UIDL")
            await connection.say("LIST")
            await connection.must_be_well()
        connection.sizes = [int(line.split()[1]) for line in await connection.lines()]
        for number, line in enumerate(uids, 1):
            connection.shown.append(await self._name(connection, number, line.split()[1].decode()))
        self.steps.append(f"log in {mailbox.user}: {connection.shown}")
        if len(set(connection.shown)) != len(uids) or len(connection.sizes) != len(uids):
            raise Unexplained(f"{mailbox.user}: {uids} are not {connection.sizes}")
        mailbox.see(connection.shown)

    async def _name(self, connection: Connection, number: int, uid: str) -> str:
        """Return which message a unique id is."""
        mailbox = connection.mailbox
        if uid not in mailbox.names:
            header = await connection.ask(f"TOP {number} 0")
            (subject,) = (line for line in header if line.startswith(b"Subject: "))
            mailbox.name(uid, subject.decode().split()[1])
        return mailbox.names[uid]

    async def _fetch(self, connection: Connection, message: str) -> None:
        mailbox = connection.mailbox
        number = connection.shown.index(message)
        await connection.say(f"RETR {number + 1}")
        if not await connection.is_well():
            if message not in connection.deleted:
                mailbox.fetch(message, None)
            return
        text = b"".join(await connection.lines())
        if message in connection.deleted:
            raise Unexplained(f"{mailbox.user} is given {message} in spite of DELE")
        if len(text) != connection.sizes[number]:
            raise Unexplained(f"{message} has {len(text)} bytes, not {connection.sizes[number]}")
        wanted = f"\r\nSubject: {message}\r\n".encode() + self._sent[message]
        # Behind every message qmail-pop3d sends an empty line, as ever.
        if not text.endswith(wanted + b"\r\n"):
            raise Unexplained(f"{message} was sent as {wanted!r} and is {text!r}")
        mailbox.fetch(message, text)

    async def _delete(self, connection: Connection, message: str) -> None:
        await connection.say(f"DELE {connection.shown.index(message) + 1}")
        if await connection.is_well() == (message in connection.deleted):
            raise Unexplained(f"DELE of {message}, deleted: {connection.deleted}")
        connection.deleted.add(message)

    async def _list(self, connection: Connection) -> None:
        numbers = [int(line.split()[0]) for line in await connection.ask("LIST")]
        shown = [connection.shown[number - 1] for number in numbers]
        if shown != [name for name in connection.shown if name not in connection.deleted]:
            raise Unexplained(f"{connection.mailbox.user} is shown {shown} now")

    async def _quit(self, connection: Connection) -> None:
        await connection.say("QUIT")
        well = await connection.is_well()
        connection.mailbox.quit(connection.deleted, well=well)
        await self._leave(connection)

    async def _leave(self, connection: Connection) -> None:
        self._connections.remove(connection)
        if self._random.random() < 0.5:
            connection.writer.transport.abort()
        else:
            connection.writer.close()
            with contextlib.suppress(OSError):
                await connection.writer.wait_closed()

    async def _kill(self) -> None:
        await self._slot.kill()
        for connection in [*self._connections]:
            await self._leave(connection)

    async def _look_at_all(self, user: str) -> None:
        """Wait until all that was accepted is there; look at it, and delete it."""
        mailbox = self._slot.mailboxes[user]
        end = time.monotonic() + PATIENCE
        while mailbox.coming or mailbox.present or mailbox.doubtful or mailbox.endangered:
            if time.monotonic() > end:
                raise Unexplained(f"{user} has not got {mailbox.coming}: {mailbox}")
            connection = await self._log_in(user)
            self._connections.append(connection)
            for message in connection.shown:
                await self._fetch(connection, message)
                await self._delete(connection, message)
            await self._quit(connection)
            if mailbox.coming:
                await asyncio.sleep(0.05)


async def live_through(slots: list[Slot], seeds: list[int]) -> None:
    """Let the histories of these seeds happen, one at a time in each slot.

    What cannot be explained ends all, with the seed and the steps.
    """
    waiting = iter(seeds)

    async def fill(slot: Slot) -> None:
        for seed in waiting:
            history = History(slot, seed)
            try:
                await history.run()
            except (AssertionError, OSError, TimeoutError, ValueError) as error:
                steps = "\n".join(history.steps)
                raise Unexplained(f"seed {seed}: {error!r}\n{steps}") from error

    try:
        async with asyncio.TaskGroup() as tasks:
            for slot in slots:
                tasks.create_task(fill(slot))
    finally:
        for slot in slots:
            await slot.close()
