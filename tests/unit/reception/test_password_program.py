from __future__ import annotations

import asyncio

import pytest

from pyqmail.errors import TransientFailure
from pyqmail.protocol.smtp.auth import DigestClaim, PasswordClaim
from pyqmail.reception.password_program import PasswordProgram

CLAIM = PasswordClaim(b"joe", b"secret")


class Program:
    """Ends with `code`, and keeps what it got."""

    def __init__(self, code: int) -> None:
        self.code = code
        self.got: list[bytes] = []

    async def __call__(self, fields: bytes) -> int:
        self.got.append(fields)
        return self.code


@pytest.mark.parametrize(("code", "right"), [(0, True), (1, False)])
def test_its_exit_code_is_the_answer(code: int, right: bool) -> None:  # noqa: FBT001
    program = Program(code)

    assert asyncio.run(PasswordProgram(program).verify_password(CLAIM)) == right
    assert program.got == [b"joe\0secret\0\0"]


@pytest.mark.parametrize("code", [2, 100, 111])
def test_any_other_is_no_answer(code: int) -> None:
    with pytest.raises(TransientFailure):
        asyncio.run(PasswordProgram(Program(code)).verify_password(CLAIM))


def test_more_than_512_bytes_are_no_password() -> None:
    program = Program(0)
    longest = PasswordClaim(b"joe", b"x" * 506)
    longer = PasswordClaim(b"joe", b"x" * 507)

    assert asyncio.run(PasswordProgram(program).verify_password(longest))
    assert not asyncio.run(PasswordProgram(program).verify_password(longer))
    assert [len(fields) for fields in program.got] == [512]


def test_a_digest_goes_with_its_challenge() -> None:
    program = Program(0)
    verifier = PasswordProgram(program, checks_digests=True)

    assert verifier.mechanisms == (b"CRAM-MD5", b"PLAIN", b"LOGIN")
    assert asyncio.run(verifier.verify_digest(DigestClaim(b"joe", b"<x>", b"0a")))
    assert program.got == [b"joe\0<x>\0000a\0"]


def test_it_has_no_keys() -> None:
    verifier = PasswordProgram(Program(0))

    assert b"SCRAM-SHA-256" not in verifier.mechanisms
    with pytest.raises(TransientFailure):
        asyncio.run(verifier.find_keys(b"joe"))
    asyncio.run(verifier.note_refusal(b"joe"))
