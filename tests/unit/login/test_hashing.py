from __future__ import annotations

import crypt_r
import pytest

from pyqmail.login.hashing import hash_password, is_password_of

ROUNDS = {"BLOWFISH": 16, "SHA256": 1000, "SHA512": 1000}  # as few as they take
MD5 = b"$1$saltsalt$qjXMvbEw8oaL.CzflDtaK/"  # of "password"


def test_a_password_fits_its_own_hash_and_no_other() -> None:
    hashed = hash_password(b"pass\xffword")

    assert hashed.startswith(b"$argon2id$")
    assert is_password_of(hashed, b"pass\xffword")
    assert not is_password_of(hashed, b"password")
    assert not is_password_of(hashed, b"")


def test_the_same_password_is_not_kept_the_same_way_twice() -> None:
    assert hash_password(b"password") != hash_password(b"password")


@pytest.mark.parametrize("method", crypt_r.methods, ids=str)
def test_whatever_the_machine_uses_is_understood(method: crypt_r._Method) -> None:
    salt = crypt_r.mksalt(method, rounds=ROUNDS.get(method.name))
    hashed = crypt_r.crypt("pässword", salt).encode()

    assert is_password_of(hashed, "pässword".encode())
    assert not is_password_of(hashed, b"password")


@pytest.mark.parametrize(
    "hashed",
    [
        b"",
        b"*",
        b"!",
        b"!!",
        b"*0",
        b"x",
        b"!" + MD5,
        b"$nobody$knows",
        b"$argon2id$v=19$",
        b"\xff",
    ],
)
@pytest.mark.parametrize("password", [b"", b"password", b"*", b"a\0b", b"\xff"])
def test_what_is_no_hash_was_made_of_no_password(hashed: bytes, password: bytes) -> None:
    assert not is_password_of(hashed, password)
