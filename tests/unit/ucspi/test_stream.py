from __future__ import annotations

import asyncio
import socket
import ssl
from typing import TYPE_CHECKING, Any

import pytest

from pyqmail.ucspi.stream import SocketStream

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

uvloop = pytest.importorskip("uvloop")

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Callable[[Awaitable[Any]], Any]:
    """Run a coroutine in an event loop of each kind."""

    def run(work: Awaitable[Any]) -> Any:
        async def limited() -> Any:
            async with asyncio.timeout(20):
                try:
                    return await work
                finally:
                    await asyncio.sleep(0.05)  # what was closed is closed in the next turns

        with asyncio.Runner(loop_factory=LOOPS[request.param]) as runner:
            return runner.run(limited())

    return run


def pair(kind: type[Any] = SocketStream) -> tuple[Any, socket.socket]:
    """Return a stream and its peer, a connection of TCP that blocks."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        peer = socket.create_connection(listener.getsockname(), 20)
        connection, _ = listener.accept()
    return kind(connection), peer


def test_what_is_sent_arrives(run: Callable[[Awaitable[Any]], Any]) -> None:
    async def work() -> tuple[bytes, bytes, bytes]:
        stream, peer = pair()
        peer.sendall(b"hello")
        heard = await stream.read()
        await stream.write(b"you too")
        peer.shutdown(socket.SHUT_WR)
        end = await stream.read()
        stream.close()
        await asyncio.sleep(0)
        with peer:
            return heard, end, peer.recv(100)

    assert run(work()) == (b"hello", b"", b"you too")


def test_a_peer_that_says_no_more_still_hears_us(run: Callable[[Awaitable[Any]], Any]) -> None:
    async def work() -> bytes:
        stream, peer = pair()
        peer.shutdown(socket.SHUT_WR)
        assert await stream.read() == b""
        assert await stream.read() == b""
        await stream.write(b"bye")
        stream.close()
        with peer:
            return peer.recv(100)

    assert run(work()) == b"bye"


def test_nothing_is_taken_that_nobody_reads(run: Callable[[Awaitable[Any]], Any]) -> None:
    async def work() -> bool:
        stream, peer = pair()
        peer.sendall(b"first")
        await stream.read()
        stuck = await is_stuck(peer)
        stream.close()
        peer.close()
        return stuck

    assert run(work())


async def is_stuck(peer: socket.socket) -> bool:
    """Send until nobody takes any more."""
    peer.settimeout(0)
    for _ in range(1000):
        try:
            peer.send(b"x" * 65536)
        except BlockingIOError:
            return True
        await asyncio.sleep(0)
    return False


def test_a_write_waits_for_a_peer_that_does_not_read(
    run: Callable[[Awaitable[Any]], Any],
) -> None:
    async def work() -> int:
        stream, peer = pair()
        data = b"x" * 10_000_000
        writing = asyncio.ensure_future(stream.write(data))
        await asyncio.sleep(0.05)
        assert not writing.done()
        received = 0
        peer.settimeout(0)
        while received < len(data):
            try:
                received += len(peer.recv(1_000_000))
            except BlockingIOError:
                await asyncio.sleep(0)
        await writing
        stream.close()
        peer.close()
        return received

    assert run(work()) == 10_000_000


def test_a_peer_that_breaks_off_is_an_error(run: Callable[[Awaitable[Any]], Any]) -> None:
    async def talk(stream: SocketStream) -> None:
        for _ in range(3):
            await stream.write(b"x")
            await stream.read()

    async def work() -> None:
        stream, peer = pair()
        await stream.write(b"x")
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        peer.close()
        try:
            with pytest.raises(ConnectionError):
                await talk(stream)
        finally:
            stream.close()

    run(work())


def test_last_words_arrive_though_the_peer_still_talks(
    run: Callable[[Awaitable[Any]], Any],
) -> None:
    async def work() -> bytes:
        stream, peer = pair()
        peer.sendall(b"x")
        await stream.read()
        peer.sendall(b"x" * 100_000)
        await stream.write(b"421 no more\r\n")
        stream.close()
        await asyncio.sleep(0.05)
        with peer:
            return peer.recv(100) + peer.recv(100)

    assert run(work()) == b"421 no more\r\n"


def test_a_read_that_took_too_long_leaves_the_stream_as_it_was(
    run: Callable[[Awaitable[Any]], Any],
) -> None:
    async def work() -> bytes:
        stream, peer = pair()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await stream.read()
        peer.sendall(b"late")
        try:
            return await stream.read()
        finally:
            stream.close()
            peer.close()

    assert run(work()) == b"late"


def test_a_connection_nobody_touched_can_be_handed_over() -> None:
    stream, peer = pair()
    peer.sendall(b"whole")

    descriptor = stream.hand_over()

    assert descriptor is not None
    with socket.socket(fileno=descriptor) as connection:
        assert connection.getblocking()
        assert connection.recv(10) == b"whole"
        connection.detach()
    stream.close()
    peer.close()


def test_a_connection_that_was_read_is_not_handed_over(
    run: Callable[[Awaitable[Any]], Any],
) -> None:
    async def work() -> int | None:
        stream, peer = pair()
        peer.sendall(b"x")
        await stream.read()
        try:
            return stream.hand_over()
        finally:
            stream.close()
            peer.close()

    assert run(work()) is None


# TLS.


@pytest.fixture(scope="module")
def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    trustme = pytest.importorskip("trustme")
    authority = trustme.CA()
    server, client = (
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH),
        ssl.create_default_context(),
    )
    authority.issue_cert("mail.example.org").configure_cert(server)
    authority.configure_trust(client)
    return server, client


def secure_client(peer: socket.socket, context: ssl.SSLContext, words: bytes) -> bytes:
    with context.wrap_socket(peer, server_hostname="mail.example.org") as secure:
        secure.sendall(words)
        return secure.recv(100)


def test_tls_begins_where_both_agree(
    run: Callable[[Awaitable[Any]], Any], contexts: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    async def work() -> tuple[bytes, bytes]:
        stream, peer = pair()
        peer.sendall(b"STARTTLS\r\n")
        assert await stream.read() == b"STARTTLS\r\n"
        # The client's hello may come before anybody expects it.
        client = asyncio.get_running_loop().run_in_executor(
            None, secure_client, peer, contexts[1], b"EHLO\r\n"
        )
        await asyncio.sleep(0.1)
        await stream.write(b"")
        await stream.start_tls(contexts[0])
        heard = await stream.read()
        await stream.write(b"250 x\r\n")
        answer = await client
        stream.close()
        return heard, answer

    assert run(work()) == (b"EHLO\r\n", b"250 x\r\n")


def test_what_is_no_tls_is_an_error_and_never_read(
    run: Callable[[Awaitable[Any]], Any], contexts: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    async def work() -> bool:
        stream, peer = pair()
        peer.sendall(b"STARTTLS\r\n")
        await stream.read()
        peer.sendall(b"RCPT TO:<x>\r\n")
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await stream.start_tls(contexts[0])
        stream.close()
        peer.close()
        return True

    assert run(work())


class ObservedStream(SocketStream):
    """A stream that notes when its connection is no more."""

    gone = False

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        self.gone = True


def test_a_secure_connection_that_the_peer_ended_is_closed(
    run: Callable[[Awaitable[Any]], Any], contexts: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    async def work() -> bool:
        stream, peer = pair(ObservedStream)
        loop = asyncio.get_running_loop()
        client = loop.run_in_executor(None, secure_client, peer, contexts[1], b"QUIT\r\n")
        await stream.start_tls(contexts[0])
        await stream.write(b"221 bye\r\n")
        await client  # the end of the connection is there, and nobody has read
        await asyncio.sleep(0.1)
        stream.close()
        await asyncio.sleep(0.1)
        return stream.gone

    assert run(work())
