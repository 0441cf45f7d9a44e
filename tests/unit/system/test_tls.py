from __future__ import annotations

import asyncio
import errno
import os
import ssl
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from tests.support.certificates import Authority

from pyqmail.system.tls import CertificateError, Certificates, SecurableStream

if TYPE_CHECKING:
    from pathlib import Path


class Wire:
    """One direction, cut into small pieces."""

    def __init__(self) -> None:
        self._pieces: asyncio.Queue[bytes] = asyncio.Queue()

    def put(self, data: bytes, size: int) -> None:
        for start in range(0, len(data), size):
            self._pieces.put_nowait(data[start : start + size])

    def end(self) -> None:
        self._pieces.put_nowait(b"")

    async def get(self) -> bytes:
        return await self._pieces.get()


class End:
    """A stream over two wires."""

    def __init__(self, inward: Wire, outward: Wire, size: int) -> None:
        self._inward, self._outward, self._size = inward, outward, size

    async def read(self) -> bytes:
        return await self._inward.get()

    async def write(self, data: bytes) -> None:
        self._outward.put(data, self._size)


class TlsClient:
    """A client that is not ours: OpenSSL over memory."""

    def __init__(self, stream: End, context: ssl.SSLContext) -> None:
        self._stream = stream
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname="127.0.0.1")

    async def call(self, name: str, *arguments: object) -> object:
        while True:
            try:
                result = getattr(self._tls, name)(*arguments)
            except ssl.SSLWantReadError:
                await self._stream.write(self._outgoing.read())
                self._incoming.write(await self._stream.read())
            else:
                await self._stream.write(self._outgoing.read())
                return result


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture
def certificates(tmp_path: Path, authority: Authority) -> Certificates:
    authority.issue(tmp_path)
    return Certificates(str(tmp_path / "servercert.pem"))


@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_bytes_go_both_ways_however_they_are_cut(
    certificates: Certificates, authority: Authority, size: int
) -> None:
    async def talk() -> tuple[bytes, object, bytes]:
        to_server, to_client = Wire(), Wire()
        server = SecurableStream(End(to_server, to_client, size))
        client = TlsClient(End(to_client, to_server, size), authority.context())
        context = certificates.context()
        assert context is not None
        await asyncio.gather(server.start_tls(context), client.call("do_handshake"))
        await client.call("write", b"x" * 40_000)
        heard = b""
        while len(heard) < 40_000:
            heard += await server.read()
        await server.write(b"y" * 1000)
        said = await client.call("read", 2000)
        to_server.end()
        return heard, said, await server.read()

    heard, said, end = asyncio.run(talk())

    assert heard == b"x" * 40_000
    assert said == b"y" * 1000
    assert end == b""


def test_what_came_before_is_read_first(certificates: Certificates, authority: Authority) -> None:
    async def talk() -> bytes:
        to_server, to_client = Wire(), Wire()
        client = TlsClient(End(to_client, to_server, 100_000), authority.context())
        hand = asyncio.create_task(client.call("do_handshake"))
        hello = await to_server.get()
        server = SecurableStream(End(to_server, to_client, 100_000), hello)
        context = certificates.context()
        assert context is not None
        await asyncio.gather(server.start_tls(context), hand)
        await client.call("write", b"x")
        return await server.read()

    assert asyncio.run(talk()) == b"x"


@pytest.mark.parametrize("garbage", [b"EHLO x\r\n", b"\x16\x03\x01\0\x02\1\1", b""])
def test_a_client_that_speaks_no_tls_is_an_error(
    certificates: Certificates, garbage: bytes
) -> None:
    async def talk() -> None:
        to_server, to_client = Wire(), Wire()
        to_server.put(garbage, 100)
        to_server.end()
        context = certificates.context()
        assert context is not None
        await SecurableStream(End(to_server, to_client, 100)).start_tls(context)

    with pytest.raises(ssl.SSLError):
        asyncio.run(talk())


def test_before_tls_bytes_pass_as_they_are() -> None:
    async def talk() -> tuple[bytes, bytes, bytes]:
        to_server, to_client = Wire(), Wire()
        stream = SecurableStream(End(to_server, to_client, 100), b"early")
        to_server.put(b"late", 100)
        await stream.write(b"said")
        await stream.end_tls()
        return await stream.read(), await stream.read(), await to_client.get()

    assert asyncio.run(talk()) == (b"early", b"late", b"said")


def test_a_certificate_is_read_again_when_it_has_changed(
    tmp_path: Path, authority: Authority
) -> None:
    path = tmp_path / "servercert.pem"
    certificates = Certificates(str(path))
    assert certificates.context() is None
    authority.issue(tmp_path)
    first = certificates.context()
    assert certificates.context() is first

    authority.issue(tmp_path, "other.example.org")
    os.utime(path, ns=(1, 1))

    assert first is not None
    assert certificates.context() not in (None, first)
    assert certificates.context("AES256-GCM-SHA384") is not certificates.context()


@pytest.mark.parametrize("text", ["", "no certificate"])
def test_a_file_that_is_no_certificate_is_an_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "servercert.pem").write_text(text)

    with pytest.raises(CertificateError):
        Certificates(str(tmp_path / "servercert.pem")).context()


def test_ciphers_that_nobody_knows_are_an_error(certificates: Certificates) -> None:
    with pytest.raises(CertificateError):
        certificates.context("rot13")


def test_nothing_older_than_1_2_is_spoken(certificates: Certificates) -> None:
    context = certificates.context()

    assert context is not None
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize(
    ("days", "told"), [(30, []), (-1, ["certificate has expired"]), (100, ["not yet valid"])]
)
def test_a_certificate_that_clients_must_refuse_is_told_of_once(
    tmp_path: Path, authority: Authority, days: int, told: list[str]
) -> None:
    authority.issue(tmp_path, end=datetime.now(UTC) + timedelta(days=days))
    heard: list[str] = []
    certificates = Certificates(str(tmp_path / "servercert.pem"), heard.append)

    for _ in range(2):
        assert certificates.context() is not None

    assert len(heard) == len(told)
    assert all(text in heard[0] for text in told)


def test_a_certificate_that_is_out_of_date_is_told_of_again_each_day(
    tmp_path: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority.issue(tmp_path, end=datetime.now(UTC) - timedelta(days=1))
    heard: list[str] = []
    certificates = Certificates(str(tmp_path / "servercert.pem"), heard.append)
    now = time.time()

    for day in (0, 0, 1, 1):
        monkeypatch.setattr(time, "time", lambda day=day: now + 86400 * day)
        certificates.context()

    assert len(heard) == 2


def test_a_certificate_that_may_not_be_read_says_so_in_words_of_the_system(
    certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_arguments: object, **_more: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", refuse)

    with pytest.raises(CertificateError, match=r"\APermission denied\Z"):
        certificates.context()
