from __future__ import annotations

import os
import ssl
from typing import TYPE_CHECKING

import pytest

from pyqmail.home.certificate import PATH, days_left, make_certificate, write_certificate

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "control").mkdir()
    (tmp_path / "control" / "me").write_text("mail.example.org\n")
    return tmp_path


def shake_hands(pem: bytes, path: Path, name: str) -> str | None:
    """Return the version of TLS that a strict client speaks that believes `pem` only."""
    path.write_bytes(pem)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(path)
    client = ssl.create_default_context(cafile=path)
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(down, up, server_hostname=name)
    theirs = server.wrap_bio(up, down, server_side=True)
    for _ in range(4):
        for end in (ours, theirs):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return ours.version()


@pytest.mark.parametrize("name", ["mail.example.org", "localhost", "127.0.0.1", "::1"])
def test_clients_believe_it_for_the_host_and_for_loopback(tmp_path: Path, name: str) -> None:
    pem = make_certificate("mail.example.org")

    assert shake_hands(pem, tmp_path / "cert.pem", name) == "TLSv1.3"


def test_clients_do_not_believe_it_for_another_host(tmp_path: Path) -> None:
    pem = make_certificate("mail.example.org")

    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(pem, tmp_path / "cert.pem", "example.org")


def test_it_is_valid_for_ten_years_and_for_its_owner_only(home: Path) -> None:
    write_certificate(str(home))

    path = home / PATH
    assert os.stat(path).st_mode & 0o777 == 0o600
    assert days_left(str(path)) == 3649


def test_what_is_there_stays(home: Path) -> None:
    (home / PATH).write_text("mine")

    write_certificate(str(home))

    assert (home / PATH).read_text() == "mine"


@pytest.mark.parametrize(
    "me", [b"", b"\n", b"\xe9t\xe9.example\n", b"a" * 63 + b"." + b"b_c." * 40 + b"org\n"]
)
def test_any_name_of_the_host_will_do(home: Path, me: bytes) -> None:
    (home / "control" / "me").write_bytes(me)

    write_certificate(str(home))

    assert days_left(str(home / PATH)) > 3000
