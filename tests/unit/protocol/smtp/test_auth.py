from __future__ import annotations

import hashlib
import hmac
from base64 import b64encode
from hashlib import pbkdf2_hmac

import pytest
from scramp import ScramClient
from tests.support.scram import keys_of

from pyqmail.protocol.smtp import auth
from pyqmail.protocol.smtp.auth import (
    AuthenticationRefused,
    Challenge,
    CramMd5,
    DigestClaim,
    KeysWanted,
    Login,
    MalformedResponse,
    PasswordClaim,
    Plain,
    Proven,
    ScramSha256,
    new_exchange,
)

KEYS = keys_of("secret")


def test_plain_says_all_at_once() -> None:
    assert Plain().begin(b"\0joe\0secret") == PasswordClaim(b"joe", b"secret")
    assert Plain().begin(b"joe\0joe\0secret") == PasswordClaim(b"joe", b"secret")
    assert Plain().begin(None) == Challenge(b"")


@pytest.mark.parametrize(
    "response",
    [
        b"",
        b"joe",
        b"\0joe",
        b"\0\0",
        b"\0joe\0",
        b"\0\0secret",
        b"\0joe\0secret\0",
        b"\0\0joe\0secret",
    ],
)
def test_plain_has_exactly_three_parts_and_none_but_the_first_is_empty(response: bytes) -> None:
    with pytest.raises(MalformedResponse):
        Plain().begin(response)


def test_nobody_acts_for_another() -> None:
    with pytest.raises(AuthenticationRefused):
        Plain().begin(b"root\0joe\0secret")


def test_login_asks_twice() -> None:
    exchange = Login()

    assert exchange.begin(None) == Challenge(b"Username:")
    assert exchange.receive(b"joe") == Challenge(b"Password:")
    assert exchange.receive(b"secret") == PasswordClaim(b"joe", b"secret")


def test_login_takes_the_name_at_once() -> None:
    exchange = Login()

    assert exchange.begin(b"joe") == Challenge(b"Password:")
    assert exchange.receive(b"secret") == PasswordClaim(b"joe", b"secret")


@pytest.mark.parametrize(
    ("login", "password"),
    [(b"", b"x"), (b"joe", b""), (b"j\0", b"x"), (b"joe", b"x\0y"), (b"j\n", b"x")],
)
def test_login_takes_no_empty_part_and_no_nul(login: bytes, password: bytes) -> None:
    exchange = Login()
    exchange.begin(login)

    with pytest.raises(MalformedResponse):
        exchange.receive(password)


def test_cram_md5_claims_a_digest() -> None:
    # The example of RFC 2195 §2.
    challenge = b"<1896.697170952@postoffice.reston.mci.net>"
    digest = b"b913a602c7eda7a495b4e6e7334d3890"
    exchange = CramMd5(challenge)

    assert exchange.begin(None) == Challenge(challenge)
    assert exchange.receive(b"tim " + digest) == DigestClaim(b"tim", challenge, digest)
    assert hmac.new(b"tanstaaftanstaaf", challenge, hashlib.md5).hexdigest().encode() == digest


@pytest.mark.parametrize(
    "response", [b"", b"tim", b"tim ", b" " + b"a" * 32, b"tim " + b"A" * 32, b"t\0m " + b"a" * 32]
)
def test_cram_md5_is_a_name_and_a_digest(response: bytes) -> None:
    exchange = CramMd5(b"<x>")
    exchange.begin(None)

    with pytest.raises(MalformedResponse):
        exchange.receive(response)


def test_cram_md5_cannot_be_answered_before_it_is_asked() -> None:
    with pytest.raises(MalformedResponse):
        CramMd5(b"<x>").begin(b"tim " + b"a" * 32)


def scram(password: str) -> tuple[ScramSha256, ScramClient, bytes]:
    """Return both sides, and the last message of the client."""
    client = ScramClient(["SCRAM-SHA-256"], "joe", password)
    exchange = ScramSha256("chance")
    assert exchange.begin(None) == Challenge(b"")
    assert exchange.receive(client.get_client_first().encode()) == KeysWanted(b"joe")
    challenge = exchange.take_keys(KEYS)
    assert isinstance(challenge, Challenge)
    client.set_server_first(challenge.data.decode())
    return exchange, client, client.get_client_final().encode()


def test_scram_proves_both_sides() -> None:
    exchange, client, final = scram("secret")

    challenge = exchange.receive(final)

    assert isinstance(challenge, Challenge)
    client.set_server_final(challenge.data.decode())
    assert exchange.receive(b"") == Proven(b"joe")


def test_to_our_proof_the_client_has_nothing_to_say() -> None:
    exchange, _, final = scram("secret")
    exchange.receive(final)

    with pytest.raises(MalformedResponse):
        exchange.receive(b"x")


def test_scram_refuses_another_password() -> None:
    exchange, _, final = scram("guess")

    with pytest.raises(AuthenticationRefused):
        exchange.receive(final)


@pytest.mark.parametrize(
    "message",
    [b"", b"n,,", b"n,,n=joe", b"n,,n=,r=x", b"n,,r=x,n=joe", b"\xff,,n=joe,r=x", b"n,,n=j\0,r=x"],
)
def test_scram_begins_with_a_name_and_a_nonce(message: bytes) -> None:
    with pytest.raises(MalformedResponse):
        ScramSha256("chance").begin(message)


def test_scram_lets_nobody_act_for_another() -> None:
    with pytest.raises(AuthenticationRefused):
        ScramSha256("chance").begin(b"n,a=root,n=joe,r=x")


def test_scram_names_may_hold_commas() -> None:
    assert ScramSha256("chance").begin(b"n,,n=a=2Cb=3Dc,r=x") == KeysWanted(b"a,b=c")


def test_scram_knows_a_client_that_names_himself_twice() -> None:
    exchange = ScramSha256("chance")
    assert exchange.begin(b"n,a=joe,n=joe,r=x") == KeysWanted(b"joe")
    challenge = exchange.take_keys(KEYS)
    assert isinstance(challenge, Challenge)
    unproven = b"c=" + b64encode(b"n,a=joe,") + b",r=xchance"
    spoken = b",".join((b"n=joe,r=x", challenge.data, unproven))
    salted = pbkdf2_hmac("sha256", b"secret", KEYS.salt, KEYS.iterations)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    signature = hmac.digest(KEYS.stored_key, spoken, "sha256")
    proof = bytes(a ^ b for a, b in zip(client_key, signature, strict=True))

    answer = exchange.receive(unproven + b",p=" + b64encode(proof))

    assert isinstance(answer, Challenge)
    assert exchange.receive(b"") == Proven(b"joe")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"r=", b"r=x"),
        (b"c=", b"c=x"),
        (b",p=", b",m=1,p="),
        (b",p=", b",p=!"),
        (b",p=", b",p=AAAA"),
        (b",p=", b",q="),
    ],
)
def test_scram_wants_to_hear_its_own_nonce_and_a_whole_proof(old: bytes, new: bytes) -> None:
    exchange, _, final = scram("secret")

    with pytest.raises(AuthenticationRefused):
        exchange.receive(final.replace(old, new))


def test_a_client_that_wants_channel_binding_is_refused() -> None:
    with pytest.raises(AuthenticationRefused):
        ScramSha256("chance").begin(b"p=tls-unique,,n=joe,r=x")


@pytest.mark.parametrize("mechanism", [b"PLAIN", b"LOGIN", b"CRAM-MD5", b"SCRAM-SHA-256"])
def test_each_mechanism_has_an_exchange(mechanism: bytes) -> None:
    assert new_exchange(mechanism, b"mail.example.org", "chance", 0) is not None


def test_other_mechanisms_have_none() -> None:
    assert new_exchange(b"XOAUTH2", b"mail.example.org", "chance", 0) is None


def test_a_challenge_names_the_host_and_holds_the_chance() -> None:
    exchange = new_exchange(b"CRAM-MD5", b"mail.example.org", "chance", 17)

    assert exchange is not None
    assert exchange.begin(None) == Challenge(b"<chance.17@mail.example.org>")
    assert auth.MAX_LOGIN < 1000
