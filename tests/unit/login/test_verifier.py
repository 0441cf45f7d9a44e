from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import crypt_r
import pytest
from tests.support.logins import LoginHome

from pyqmail.errors import TransientFailure
from pyqmail.login import guesses
from pyqmail.login.guesses import MAX_OF_ADDRESS
from pyqmail.login.scram import ITERATIONS, make_keys
from pyqmail.login.verifier import Verifier, is_ours
from pyqmail.protocol.checkpassword import Credentials

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

HASH = crypt_r.crypt("secret", crypt_r.METHOD_MD5)
OURS = (b"checkpassword", b"true")
ENVIRON = {b"TCPREMOTEIP": b"192.0.2.7"}


@dataclass
class Claim:
    """What an engine of SASL gives."""

    login: bytes
    password: bytes = b""
    challenge: bytes = b"<1@x>"
    digest: bytes = b""


@pytest.fixture(autouse=True)
def _no_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guesses, "MIN_DELAY", 0)


@pytest.fixture
def home(tmp_path: Path) -> LoginHome:
    made = LoginHome(tmp_path)
    made.users(f"joe:{HASH}:{{PLAIN}}secret", f"lost:{HASH}")
    return made


def is_right(
    home: LoginHome, password: bytes, name: bytes = b"joe", command: Sequence[bytes] = OURS
) -> bool:
    environ = {**ENVIRON, b"PATH": os.defpath.encode()}
    return asyncio.run(Verifier(home.path, command, environ).verify_password(Claim(name, password)))


def test_our_own_looks_in_process(home: LoginHome) -> None:
    assert is_right(home, b"secret")
    assert not is_right(home, b"wrong")
    assert not is_right(home, b"secret", b"nobody-here")


def test_who_cannot_be_judged_is_told_to_try_later(home: LoginHome) -> None:
    with pytest.raises(TransientFailure):
        is_right(home, b"secret", b"lost")


def test_guessing_is_stopped_in_process(home: LoginHome) -> None:
    for _ in range(MAX_OF_ADDRESS):
        assert not is_right(home, b"wrong")

    with pytest.raises(TransientFailure):
        is_right(home, b"secret")


@pytest.mark.process
def test_guessing_is_stopped_for_somebody_elses_program_too(home: LoginHome) -> None:
    accepting, refusing = [b"sh", b"-c", b"exit 0"], [b"sh", b"-c", b"exit 1"]
    assert is_right(home, b"x", command=accepting)
    for _ in range(MAX_OF_ADDRESS):
        assert not is_right(home, b"x", command=refusing)

    with pytest.raises(TransientFailure):
        is_right(home, b"x", command=accepting)


@pytest.mark.process
def test_a_program_in_trouble_is_no_answer_and_no_guess(home: LoginHome) -> None:
    for _ in range(2 * MAX_OF_ADDRESS):
        with pytest.raises(TransientFailure):
            is_right(home, b"x", command=[b"sh", b"-c", b"exit 111"])

    assert is_right(home, b"secret")


@pytest.mark.process
def test_an_answer_to_a_challenge_reaches_the_program(home: LoginHome, tmp_path: Path) -> None:
    command = [b"sh", b"-c", b"cat <&3 >%b/fd3" % os.fsencode(tmp_path)]
    verifier = Verifier(home.path, command, {b"PATH": os.defpath.encode()})

    assert asyncio.run(verifier.check(Credentials(b"joe", b"digest", b"<1@x>")))
    assert (tmp_path / "fd3").read_bytes() == b"joe\0digest\0<1@x>\0"


@pytest.mark.process
def test_somebody_elses_program_can_check_digests(home: LoginHome, tmp_path: Path) -> None:
    command = [b"sh", b"-c", b"cat <&3 >%b/fd3" % os.fsencode(tmp_path)]
    environ = {b"PATH": os.defpath.encode()}
    verifier = Verifier(home.path, command, environ, checks_digests=True)

    assert verifier.mechanisms == (b"CRAM-MD5", b"PLAIN", b"LOGIN")
    assert asyncio.run(verifier.verify_digest(Claim(b"joe", digest=b"abcd")))
    assert (tmp_path / "fd3").read_bytes() == b"joe\0<1@x>\0abcd\0"


def digest_of(secret: bytes) -> bytes:
    return hmac.new(secret, b"<1@x>", hashlib.md5).hexdigest().encode()


def test_a_digest_is_compared_with_what_the_secret_gives(home: LoginHome) -> None:
    verifier = Verifier(home.path, OURS, ENVIRON)

    def fits(name: bytes, secret: bytes) -> bool:
        return asyncio.run(verifier.verify_digest(Claim(name, digest=digest_of(secret))))

    assert fits(b"joe", b"secret")
    assert not fits(b"joe", b"wrong")
    assert not fits(b"nobody-here", b"")
    assert not fits(b"lost", b"")


def test_the_keys_of_a_user_are_his(home: LoginHome) -> None:
    keys = make_keys(b"secret")
    home.users("joe:{SCRAM-SHA-256}" + keys.encode().decode())

    assert asyncio.run(Verifier(home.path, OURS, ENVIRON).find_keys(b"joe")) == keys


def test_the_keys_of_nobody_look_like_a_users_and_stay_the_same(home: LoginHome) -> None:
    def keys_of(name: bytes) -> object:
        return asyncio.run(Verifier(home.path, OURS, ENVIRON).find_keys(name))

    keys = asyncio.run(Verifier(home.path, OURS, ENVIRON).find_keys(b"nobody-here"))
    real = make_keys(b"secret")

    assert keys == keys_of(b"nobody-here") == keys_of(b"Nobody-Here")
    assert keys != keys_of(b"another")
    assert [len(part) for part in (keys.salt, keys.stored_key, keys.server_key)] == [
        len(part) for part in (real.salt, real.stored_key, real.server_key)
    ]
    assert keys.iterations == ITERATIONS


def test_a_refused_exchange_counts_as_a_guess(home: LoginHome) -> None:
    async def refuse() -> None:
        verifier = Verifier(home.path, OURS, ENVIRON)
        for _ in range(MAX_OF_ADDRESS):
            await verifier.note_refusal(b"joe")

    asyncio.run(refuse())

    with pytest.raises(TransientFailure):
        is_right(home, b"secret")


@pytest.mark.parametrize(
    "command", [[b"checkpassword", b"other"], [b"sh"], [b"/bin/vchkpw", b"true"]]
)
def test_what_is_executed_can_only_be_handed_a_password(
    home: LoginHome, command: list[bytes]
) -> None:
    home.users("joe:{PLAIN}secret")

    assert Verifier(home.path, command, {}).mechanisms == (b"PLAIN", b"LOGIN")
    assert b"CRAM-MD5" in Verifier(home.path, OURS, {}).mechanisms


def test_ours_is_known_by_the_link_to_its_launcher(tmp_path: Path) -> None:
    for name in ("ours", "theirs", "none"):
        (tmp_path / name).mkdir()
    (tmp_path / "ours" / "checkpassword").symlink_to("pyqmail")
    (tmp_path / "theirs" / "checkpassword").write_text("#!/bin/sh\n")
    ours, theirs, none = (os.fsencode(tmp_path / name) for name in ("ours", "theirs", "none"))

    def found(*folders: bytes) -> bool:
        return is_ours(b"checkpassword", {b"PATH": b":".join(folders)})

    assert found(none, ours, theirs)
    assert not found(none, theirs, ours)
    assert found(none)
    assert is_ours(ours + b"/checkpassword", {})
    assert not is_ours(theirs + b"/checkpassword", {})
    assert not is_ours(b"vchkpw", {b"PATH": ours})
