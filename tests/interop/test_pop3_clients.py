"""POP3 clients that others wrote fetch what lies in a Maildir, byte for byte."""

from __future__ import annotations

import os
import poplib
import shutil
import ssl
import subprocess
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.peers import PATIENCE, require, run_in_terminal
from tests.support.pop3_doors import PLAIN, POP3S, STLS, Door, fill, pop3_server
from tests.support.private_home import PrivateHome, why_not

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = [
    pytest.mark.peer,
    pytest.mark.process,
    pytest.mark.skipif(why_not() is not None, reason=str(why_not())),
]

USERS = ("aku", "budi@virtual.example.org")
PASSWORD = "correct horse"

HEADER = b"From: ann@far.example.net\nTo: aku@mail.example.org\nSubject: %s\n"
BODIES = {
    "dots": b".\n..\n.dot\nend\n",
    "empty": b"",
    "long": (b"x" * 998 + b"\n") * 200,  # what clients may expect at most: RFC 5322 §2.1.1
    "bytes": "Grüße\n".encode() + bytes(range(128, 256)) + b"\ttab\n",
    "From": b"From the start\n>From here\n",
}
MESSAGES = {
    f"{number}.m.host": HEADER % name.encode() + b"\n" + body
    for number, (name, body) in enumerate(BODIES.items(), 1)
}


class Place:
    """A home whose POP3 has a door for each way, and a folder for a client."""

    def __init__(self, home: PrivateHome, ports: dict[str, int]) -> None:
        self.home = home
        self._ports = ports

    @property
    def folder(self) -> str:
        return f"{self.home.top}/client"

    def door(self, transport: str, user: str) -> Door:
        certificate = f"{self.home.path}/control/servercert.pem"
        return Door(transport, self._ports[transport], certificate, user, PASSWORD)

    def maildir(self, user: str) -> str:
        local, _, domain = user.partition("@")
        below = f"domains/{domain}/{local}" if domain else f"home/{local}"
        return f"{self.home.path}/{below}/Maildir"

    def files(self, user: str) -> list[str]:
        maildir = self.maildir(user)
        return sorted(os.listdir(f"{maildir}/new") + os.listdir(f"{maildir}/cur"))

    def options(self) -> dict[str, Any]:
        """Return what makes `subprocess` run a client as an ordinary user, in its folder."""
        made: dict[str, Any] = self.home.options(HOME=self.folder, LC_ALL="C.UTF-8", TERM="xterm")
        made["env"].pop("PYTHONPATH")
        made["env"]["PATH"] = os.defpath
        return made | {"cwd": self.folder}

    def run(self, *argv: str, text: bytes | None = None) -> bytes:
        """Run a client, which must succeed; return its output."""
        done = subprocess.run(
            argv, input=text, capture_output=True, timeout=PATIENCE, check=False, **self.options()
        )
        assert done.returncode == 0, (argv, done.stdout[-2000:], done.stderr[-2000:])
        return done.stdout

    def write(self, name: str, text: str) -> str:
        """Write a file with secrets into the client's folder; return its path."""
        path = f"{self.folder}/{name}"
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, 0o700)
        if os.getuid() == 0:
            os.chown(path, self.home.account.pw_uid, self.home.account.pw_gid)
        return path

    def make_folder(self, *names: str) -> str:
        path = self.folder
        for name in ("", *names):
            path = f"{self.folder}/{name}" if name else path
            os.makedirs(path, mode=0o700, exist_ok=True)
            if os.getuid() == 0:
                os.chown(path, self.home.account.pw_uid, self.home.account.pw_gid)
        return path


@pytest.fixture(scope="module")
def running_place() -> Iterator[Place]:
    with PrivateHome() as home, ExitStack() as stack:
        for user in USERS:
            answer = home.run(
                "qmailctl", "user", "add", user, "--password", text=f"{PASSWORD}\n".encode()
            )
            assert answer.returncode == 0, answer.stderr
        port = stack.enter_context(pop3_server(home, "pop3")).port
        secure = stack.enter_context(pop3_server(home, "pop3s", POP3S="")).port
        yield Place(home, {PLAIN: port, STLS: port, POP3S: secure})


@pytest.fixture
def place(running_place: Place) -> Iterator[Place]:
    for user in USERS:
        fill(running_place.home, running_place.maildir(user), MESSAGES)
    running_place.make_folder()
    yield running_place
    shutil.rmtree(running_place.folder)


# The clients. Each returns the messages that it has fetched, in any order.


def poplib_client(place: Place, door: Door) -> list[bytes]:
    believing = ssl.create_default_context(cafile=door.certificate)
    client: poplib.POP3
    if door.transport == POP3S:
        client = poplib.POP3_SSL("localhost", door.port, timeout=PATIENCE, context=believing)
    else:
        client = poplib.POP3("localhost", door.port, timeout=PATIENCE)
    try:
        if door.transport == STLS:
            client.stls(context=believing)
        client.user(door.user)
        client.pass_(door.password)
        found = [client.retr(number)[1] for number in range(1, client.stat()[0] + 1)]
        client.quit()
    finally:
        client.close()
    assert place
    return [b"".join(line + b"\n" for line in lines) for lines in found]


def curl_client(place: Place, door: Door) -> list[bytes]:
    curl = [require("curl", "curl"), "--silent", "--show-error", "--user"]
    curl += [f"{door.user}:{door.password}", "--cacert", door.certificate]
    curl += ["--ssl-reqd"] if door.transport == STLS else []
    scheme = "pop3s" if door.transport == POP3S else "pop3"
    url = f"{scheme}://localhost:{door.port}/"
    listing = place.run(*curl, url).split(b"\r\n")[:-1]
    return [
        place.run(*curl, url + line.split()[0].decode()).replace(b"\r\n", b"\n") for line in listing
    ]


def fetchmail_client(place: Place, door: Door, more: str = "keep fetchall") -> list[bytes]:
    folder = place.make_folder("fetched")
    security = {
        PLAIN: "sslproto ''",
        STLS: "sslproto 'tls1.2+' sslcertck",
        POP3S: "ssl sslcertck",
    }[door.transport]
    rc = (
        f"set invisible\npoll localhost service {door.port} protocol pop3 uidl\n"
        f"  user '{door.user}' password '{door.password}' {security}\n"
        f"  sslcertfile '{door.certificate}' {more}\n"
        f"  mda \"sh -c 'cat >$(mktemp {folder}/XXXXXX)'\"\n"
    )
    path = place.write("fetchmailrc", rc)
    done = subprocess.run(
        [require("fetchmail", "fetchmail"), "--nodetach", "-f", path],
        capture_output=True,
        timeout=PATIENCE,
        check=False,
        **place.options(),
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr  # 1: there was no mail
    found = [read(f"{folder}/{name}") for name in os.listdir(folder)]
    shutil.rmtree(folder)
    return [without_fields(text, b"Status:", b"X-UIDL:") for text in found]


def getmail_client(place: Place, door: Door, more: str = "read_all = true") -> list[bytes]:
    maildir = place.make_folder("got", "got/new", "got/cur", "got/tmp").removesuffix("/tmp")
    state = place.make_folder("state")
    kind = "SimplePOP3SSLRetriever" if door.transport == POP3S else "SimplePOP3Retriever"
    rc = (
        f"[retriever]\ntype = {kind}\nserver = localhost\nport = {door.port}\n"
        f"username = {door.user}\npassword = {door.password}\n"
        + (f"ca_certs = {door.certificate}\n" if door.transport == POP3S else "")
        + f"[destination]\ntype = Maildir\npath = {maildir}/\n"
        f"[options]\ndelivered_to = false\nreceived = false\n{more}\n"
    )
    path = place.write("getmailrc", rc)
    place.run(require("getmail", "getmail6"), "--getmaildir", state, "--rcfile", path)
    found = [read(f"{maildir}/new/{name}") for name in os.listdir(f"{maildir}/new")]
    shutil.rmtree(maildir)
    return [without_fields(text, b"Return-Path:") for text in found]


def mutt_client(place: Place, door: Door) -> list[bytes]:
    mailbox = place.make_folder("read", "read/new", "read/cur", "read/tmp").removesuffix("/tmp")
    scheme = "pops" if door.transport == POP3S else "pop"
    settings = (
        f"set folder='{place.folder}' quit=yes wait_key=no confirmappend=no copy=no\n"
        f"set pop_user='{door.user}' pop_pass='{door.password}'\n"
        f"set pop_authenticators='user' pop_delete=no certificate_file='{door.certificate}'\n"
        f"set ssl_starttls={'yes' if door.transport == STLS else 'no'}\n"
        f"set ssl_force_tls={'no' if door.transport == PLAIN else 'yes'} mark_old=no\n"
    )
    # Mutt believes those certificates only that this user has accepted.
    rc = place.write("muttrc", settings)
    keys = f"push '<tag-pattern>~A<enter><tag-prefix><copy-message>{mailbox}/<enter><exit>'"
    address = f"{scheme}://localhost:{door.port}/"
    argv = [require("mutt", "mutt"), "-n", "-F", rc, "-f", address, "-e", keys]
    code, shown = run_in_terminal(argv, place.options())
    assert code == 0, shown
    names = [
        f"{mailbox}/{kind}/{name}"
        for kind in ("new", "cur")
        for name in os.listdir(f"{mailbox}/{kind}")
    ]
    found = [read(name) for name in names]
    assert len(found) == len(MESSAGES), shown
    shutil.rmtree(mailbox)
    return [without_fields(text, b"Status:", b"Content-Length:", b"Lines:") for text in found]


def openssl_client(place: Place, door: Door) -> list[bytes]:
    openssl = [require("openssl", "openssl"), "s_client", "-quiet", "-verify_return_error"]
    openssl += ["-CAfile", door.certificate, "-connect", f"localhost:{door.port}", "-crlf"]
    openssl += ["-starttls", "pop3"] if door.transport == STLS else []
    retrievals = "".join(f"RETR {number}\n" for number in range(1, len(MESSAGES) + 1))
    said = f"USER {door.user}\nPASS {door.password}\n{retrievals}QUIT\n"
    answer = place.run(*openssl, text=said.encode())
    pieces = answer.partition(b"+OK")[2].split(b"\r\n.\r\n")[:-1]
    texts = [piece[piece.rindex(b"+OK") :].partition(b"\r\n")[2] + b"\r\n" for piece in pieces]
    return [text.replace(b"\r\n", b"\n").replace(b"\n..", b"\n.") for text in texts]


def read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def text_of(message: bytes) -> bytes:
    # Behind every message qmail-pop3d sends an empty line, as ever.
    return message.rstrip(b"\n")


def without_fields(text: bytes, *names: bytes) -> bytes:
    """Return a message without header fields that a client has added."""
    header, empty, body = text.partition(b"\n\n")
    lines = [line for line in header.split(b"\n") if not line.startswith(names)]
    return b"\n".join(lines) + empty + body


ALL = (PLAIN, STLS, POP3S)
CLIENTS: dict[str, tuple[Callable[[Place, Door], list[bytes]], tuple[str, ...]]] = {
    "poplib": (poplib_client, ALL),
    "curl": (curl_client, ALL),
    "fetchmail": (fetchmail_client, ALL),
    "getmail": (getmail_client, (PLAIN, POP3S)),  # it knows no STLS
    "mutt": (mutt_client, ALL),
    "openssl": (openssl_client, (STLS, POP3S)),
}
WAYS = [(name, transport) for name, (_, ways) in CLIENTS.items() for transport in ways]


@pytest.mark.parametrize(("name", "transport"), WAYS)
@pytest.mark.parametrize("user", USERS)
def test_a_client_fetches_every_message_as_it_is(
    place: Place, name: str, transport: str, user: str
) -> None:
    client = CLIENTS[name][0]

    found = client(place, place.door(transport, user))

    assert sorted(map(text_of, found)) == sorted(map(text_of, MESSAGES.values()))
    assert [file.partition(":")[0] for file in place.files(user)] == sorted(MESSAGES)


@pytest.mark.parametrize(
    ("client", "keeping", "deleting"),
    [
        (fetchmail_client, "keep", "nokeep fetchall"),
        (getmail_client, "read_all = false\ndelete = false", "read_all = true\ndelete = true"),
    ],
)
def test_a_client_fetches_once_what_it_leaves_and_deletes_what_it_takes(
    place: Place, client: Callable[[Place, Door, str], list[bytes]], keeping: str, deleting: str
) -> None:
    door = place.door(PLAIN, "aku")

    counts = [len(client(place, door, keeping)) for _ in range(2)]
    left = len(place.files("aku"))
    taken = client(place, door, deleting)

    assert counts == [len(MESSAGES), 0]
    assert left == len(MESSAGES)
    assert len(taken) == len(MESSAGES)
    assert place.files("aku") == []


@pytest.mark.parametrize("transport", ALL)
def test_a_client_with_the_wrong_password_gets_nothing(place: Place, transport: str) -> None:
    right = place.door(transport, "aku")
    wrong = Door(transport, right.port, right.certificate, "aku", "wrong")

    with pytest.raises(poplib.error_proto, match="authorization failed"):
        poplib_client(place, wrong)
