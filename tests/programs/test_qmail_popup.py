"""POP3 under our tcpserver: who is let in, as whom, and what he sees. See qmail-popup(8)."""

from __future__ import annotations

import base64
import os
import poplib
import re
import select
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import pytest
from scramp import ScramClient
from tests.support.pop3 import OLD, PASSWORD, PopServer, login_commands
from tests.support.tcpserver import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

pytestmark = [pytest.mark.process, pytest.mark.xdist_group("pop3 under tcpserver")]

MESSAGE = b"Subject: one\n\n.dot\nend"
AS_SENT = [b"Subject: one", b"", b".dot", b"end", b""]
FAILED = "authorization failed"
BEFORE = {"TOP", "UIDL", "PIPELINING", "RESP-CODES", "AUTH-RESP-CODE", "EXPIRE", "UTF8"}
BEFORE |= {"IMPLEMENTATION"}


@pytest.fixture(scope="module")
def shared(launchers: str) -> Iterator[PopServer]:
    """Give a server with TLS and two workers."""
    with PopServer(launchers, tls=True, options=("--workers", "2")) as server:
        yield server


@pytest.fixture
def server(shared: PopServer) -> PopServer:
    """Give the same with an empty Maildir, and no failures remembered."""
    for path in shared.maildir.glob("*/*"):
        path.unlink()
    shared.forget_guesses()
    return shared


def log_in(client: poplib.POP3) -> poplib.POP3:
    client.user("joe")
    client.pass_(PASSWORD.decode())
    return client


def received(lines: Sequence[bytes]) -> int:
    return sum(len(line) + 2 for line in lines)


# What a client sees.


@pytest.mark.parametrize("starts_tls", [False, True])
def test_a_client_reads_deletes_and_leaves(server: PopServer, *, starts_tls: bool) -> None:
    server.deliver("1.a.host", MESSAGE)
    server.deliver("2.b.host", b"Subject: two\n\n")

    with server.client() as client:
        if starts_tls:
            client.stls(server.context)
        log_in(client)
        _, lines, _ = client.retr(1)
        sizes = [int(line.split()[1]) for line in client.list()[1]]
        total = client.stat()
        client.dele(1)
        left = client.stat()
        client.quit()

    assert lines == AS_SENT
    assert sizes == [received(AS_SENT), received([b"Subject: two", b"", b""])]
    assert (total, left) == ((2, sum(sizes)), (1, sizes[1]))
    assert server.wait_for_files(["cur/2.b.host:2,"]) == ["cur/2.b.host:2,"]


def test_tls_can_be_there_from_the_start(launchers: str) -> None:
    with PopServer(launchers, tls=True, variables={"POP3S": ""}) as server:
        server.deliver("1.a.host", MESSAGE)
        with server.client(secure=True) as client:
            assert "STLS" not in client.capa()
            assert log_in(client).retr(1)[1] == AS_SENT


def test_capabilities_are_what_is_true_at_that_moment(server: PopServer) -> None:
    with server.client() as client:
        assert client.capa().keys() == BEFORE | {"STLS", "USER", "SASL"}
        assert client.capa()["SASL"] == ["SCRAM-SHA-256", "PLAIN"]
        client.stls(server.context)
        assert client.capa().keys() == BEFORE | {"USER", "SASL"}
        log_in(client)
        assert client.capa().keys() == BEFORE


def test_commands_may_be_sent_all_at_once(server: PopServer) -> None:
    server.deliver("1.a.host", b"x\n")

    said = server.ask(login_commands() + b"STAT\r\nUIDL\r\nRETR 1\r\nQUIT\r\n")

    greeting, rest = said.split(b"\r\n", 1)
    assert re.fullmatch(rb"\+OK <\d+\.\d+@mail\.example\.org>", greeting)
    assert rest == (
        b"+OK \r\n+OK \r\n+OK 1 5\r\n+OK \r\n1 1.a.host\r\n.\r\n+OK \r\nx\r\n\r\n.\r\n+OK \r\n"
    )


def test_no_two_sessions_have_the_same_challenge(server: PopServer) -> None:
    greetings = {server.ask(b"QUIT\r\n") for _ in range(10)}

    assert len(greetings) == 10


def test_mail_shows_at_once_but_not_in_a_session_that_has_begun(server: PopServer) -> None:
    with server.session() as client:
        server.deliver("1.a.host", b"x\n", when=int(time.time()))
        assert client.stat() == (0, 0)
        client.quit()
    with server.session() as client:
        assert client.stat() == (1, 5)


def test_who_breaks_off_deletes_nothing(server: PopServer) -> None:
    server.deliver("1.a.host", b"x\n")

    assert server.ask(login_commands() + b"DELE 1\r\n").endswith(b"+OK \r\n" * 3)

    assert server.files() == ["new/1.a.host"]


def test_two_sessions_at_once_do_each_what_they_were_told(server: PopServer) -> None:
    for number in (1, 2, 3):
        server.deliver(f"{number}.a.host", b"x\n")
    with server.session() as one, server.session() as other:
        one.dele(1)
        other.dele(3)
        one.quit()
        assert len(other.retr(2)[1]) == 2  # it was moved meanwhile
        other.quit()

    assert server.wait_for_files(["cur/2.a.host:2,"]) == ["cur/2.a.host:2,"]


def test_without_extensions_everything_is_as_ever(launchers: str) -> None:
    with PopServer(launchers, variables={"POP3EXTENSIONS": "0"}) as server:
        server.deliver("1.a.host", MESSAGE)

        said = server.ask(b"CAPA\r\n" + login_commands() + b"CAPA\r\nLIST\r\nQUIT\r\n")

    assert b"-ERR authorization first\r\n" in said
    assert said.endswith(b"-ERR unimplemented\r\n+OK \r\n1 %d\r\n.\r\n+OK \r\n" % len(MESSAGE))


# Who is let in.


def sasl_plain(password: bytes) -> bytes:
    return base64.b64encode(b"\0joe\0" + password)


def test_plain_with_the_response_at_once_or_later(server: PopServer) -> None:
    response = sasl_plain(PASSWORD)

    assert server.ask(b"AUTH PLAIN " + response + b"\r\nSTAT\r\n").endswith(b"+OK \r\n+OK 0 0\r\n")
    assert server.ask(b"AUTH PLAIN\r\n" + response + b"\r\nSTAT\r\n").endswith(
        b"\r\n+ \r\n+OK \r\n+OK 0 0\r\n"
    )
    assert server.ask(b"AUTH PLAIN " + sasl_plain(b"wrong") + b"\r\n").endswith(
        b"-ERR authorization failed\r\n"
    )


def scram(client: poplib.POP3, password: str, name: str = "joe") -> bytes:
    """Log in by SCRAM-SHA-256; return the last answer. Fails if the server cannot prove itself."""
    exchange = ScramClient(["SCRAM-SHA-256"], name, password)
    challenge = shortcmd(client, "AUTH SCRAM-SHA-256 " + encoded(exchange.get_client_first()))
    exchange.set_server_first(base64.b64decode(challenge[2:]).decode())
    challenge = shortcmd(client, encoded(exchange.get_client_final()))
    exchange.set_server_final(base64.b64decode(challenge[2:]).decode())
    return shortcmd(client, "")


def shortcmd(client: poplib.POP3, line: str) -> bytes:
    client.sock.sendall(line.encode() + b"\r\n")
    answer = client.file.readline()
    if answer.startswith(b"-ERR"):
        raise poplib.error_proto(answer)
    return answer


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def test_scram_shows_both_sides_that_the_other_knows_the_password(server: PopServer) -> None:
    server.deliver("1.a.host", b"x\n")
    with server.client() as client:
        assert scram(client, PASSWORD.decode()) == b"+OK \r\n"
        assert client.stat() == (1, 5)
        client.quit()

    assert server.wait_for_files(["cur/1.a.host:2,"]) == ["cur/1.a.host:2,"]


@pytest.mark.parametrize("name", ["joe", "nobody-here"])
def test_scram_tells_nobody_who_exists(server: PopServer, name: str) -> None:
    with server.client() as client, pytest.raises(poplib.error_proto, match=FAILED):
        scram(client, "wrong", name)


def test_an_exchange_that_is_cancelled_is_no_login(server: PopServer) -> None:
    with server.client() as client:
        first = ScramClient(["SCRAM-SHA-256"], "joe", "x").get_client_first()
        assert shortcmd(client, "AUTH SCRAM-SHA-256 " + encoded(first)).startswith(b"+ ")
        with pytest.raises(poplib.error_proto, match="cancelled"):
            shortcmd(client, "*")
        log_in(client)
        assert client.stat() == (0, 0)


def test_a_mechanism_that_does_not_work_for_everybody_is_not_there(launchers: str) -> None:
    with PopServer(launchers) as server:
        server.set_password(PASSWORD, only_hashed=True)
        with server.client() as client:
            assert client.capa()["SASL"] == ["PLAIN"]
            with pytest.raises(poplib.error_proto, match="no such mechanism"):
                shortcmd(client, "AUTH SCRAM-SHA-256")


def test_apop_works_where_the_password_itself_is_kept(server: PopServer) -> None:
    with server.client() as client:
        assert client.apop("joe", PASSWORD.decode()) == b"+OK "
    with server.client() as client, pytest.raises(poplib.error_proto, match=FAILED):
        client.apop("joe", "wrong")


def test_where_passwords_must_be_secure_they_are_taken_in_tls_only(launchers: str) -> None:
    with PopServer(launchers, tls=True) as server:
        server.home.control("popsecure", "1\n")
        with server.client() as client:
            assert "USER" not in client.capa()
            assert client.capa()["SASL"] == ["SCRAM-SHA-256"]
            with pytest.raises(poplib.error_proto, match="say STLS first"):
                client.user("joe")
            client.stls(server.context)
            log_in(client)
        with server.client() as client:  # APOP says no password
            assert client.apop("joe", PASSWORD.decode()) == b"+OK "


def test_the_same_holds_for_the_command(launchers: str, tmp_path: Path) -> None:
    (tmp_path / "control").mkdir()
    (tmp_path / "control" / "popsecure").write_text("1\n")
    answer = subprocess.run(
        [f"{launchers}/qmail-popup", "host", "/bin/true"],
        input=login_commands(),
        env={"QMAILHOME": str(tmp_path)},
        stdout=subprocess.PIPE,
        check=False,
    )

    assert answer.stdout.count(b"-ERR no passwords in the clear here") == 2


# As whom.


def processes_of(server: PopServer) -> dict[str, str]:
    """Return the user of each kind of process."""
    listing = subprocess.run(
        ["ps", "-o", "user:20=,args=", "-s", str(server.tcpserver.process.pid)],
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    users = {}
    for line in listing.stdout.splitlines():
        user, _, arguments = line.strip().partition(" ")
        users[arguments.strip().partition(" 127")[0]] = user
    return users


@pytest.mark.root
@pytest.mark.skipif(os.getuid() != 0, reason="needs root: processes become other users")
def test_the_front_is_qmaild_the_porter_root_and_the_session_the_user(server: PopServer) -> None:
    with server.session():
        users = processes_of(server)

    assert users == {
        "tcpserver": "qmaild",
        "qmail-popup: keeper": "root",
        "qmail-popup: porter": "root",
        "qmail-pop3d joe": str(server.home.uid),
    }


@pytest.mark.root
@pytest.mark.skipif(os.getuid() != 0, reason="needs root: processes become other users")
def test_who_says_a_user_means_every_process(launchers: str) -> None:
    chain = ["sh", "-c", "cat <&3 >/dev/null; id -u"]
    with PopServer(launchers, chain=chain, options=("-u", "4321", "-g", "4321")) as server:
        users = processes_of(server)
        said = server.ask(login_commands())

    assert set(users.values()) == {"4321"}
    assert said.endswith(b"+OK \r\n4321\n")


def session_pids(server: PopServer) -> list[int]:
    """Return the sessions that are open."""
    found = []
    for pid in server.tcpserver.processes():
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            if file.read().startswith(b"qmail-pop3d"):
                found.append(pid)
    return found


def wait_for_sessions(server: PopServer, number: int) -> list[int]:
    deadline = time.monotonic() + PATIENCE
    while len(pids := session_pids(server)) != number:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return pids


@pytest.mark.root
@pytest.mark.skipif(os.getuid() != 0, reason="needs root: processes become other users")
def test_a_session_cannot_get_its_rights_back_and_has_nothing_of_others(server: PopServer) -> None:
    with server.session():
        (pid,) = wait_for_sessions(server, 1)
        with open(f"/proc/{pid}/status", encoding="ascii") as file:
            status = dict(line.rstrip("\n").split(":\t", 1) for line in file)
        open_files = {
            os.readlink(f"/proc/{pid}/fd/{name}").partition(":")[0]
            for name in os.listdir(f"/proc/{pid}/fd")
        }

    assert status["Uid"].split() == [str(server.home.uid)] * 4
    assert status["Gid"].split() == [str(server.home.gid)] * 4
    assert status["Groups"].split() == [str(server.home.gid)]
    assert int(status["CapEff"], 16) == 0
    log = server.tcpserver.log_path
    assert open_files <= {"/dev/null", "socket", "pipe", "/memfd", str(log)}


def test_a_session_that_crashes_touches_no_other(server: PopServer) -> None:
    server.deliver("1.a.host", b"x\n")
    with server.session() as one:
        (victim,) = wait_for_sessions(server, 1)
        with server.session() as other:
            os.kill(victim, signal.SIGSEGV)
            assert one.file.readline() == b"-ERR aack, child crashed\r\n"
            assert other.stat() == (1, 5)
    with server.session() as client:
        assert client.stat() == (1, 5)


def test_a_porter_that_dies_is_replaced_and_keeps_nobody_from_his_mail(launchers: str) -> None:
    with PopServer(launchers) as server, server.session() as client:
        kill(server, b"qmail-popup: porter")

        assert client.stat() == (0, 0)
        with server.session() as another:
            assert another.stat() == (0, 0)


def kill(server: PopServer, title: bytes) -> None:
    """Kill a process of the server; return when it has ended, and so hears nobody any more."""
    pid = pid_of(server, title)
    watched = os.pidfd_open(pid)
    try:
        os.kill(pid, signal.SIGKILL)
        ended, _, _ = select.select([watched], [], [], PATIENCE)
    finally:
        os.close(watched)
    assert ended


def pid_of(server: PopServer, title: bytes) -> int:
    for pid in server.tcpserver.processes():
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            if file.read().startswith(title):
                return pid
    raise AssertionError(title)


def test_without_a_porter_clients_are_told_and_so_is_the_log(launchers: str) -> None:
    with PopServer(launchers) as server:
        for title in (b"qmail-popup: keeper", b"qmail-popup: porter"):
            kill(server, title)

        said = server.ask(login_commands())

        assert said.endswith(b"-ERR unable to check the password\r\n")
        assert server.tcpserver.wait_until_logged("restart this service")


def test_when_the_server_stops_open_sessions_go_on_and_nothing_is_left(launchers: str) -> None:
    with PopServer(launchers) as server:
        server.deliver("1.a.host", b"x\n")
        with server.session() as client:
            server.tcpserver.process.terminate()
            assert server.tcpserver.process.wait(PATIENCE) == 0
            with pytest.raises(ConnectionRefusedError):
                server.connect()
            assert client.stat() == (1, 5)
            client.quit()
        deadline = time.monotonic() + PATIENCE
        while left := server.tcpserver.processes():
            assert time.monotonic() < deadline, left
            time.sleep(0.02)
        assert server.files() == ["cur/1.a.host:2,"]


# Programs of others.


def test_another_program_behind_our_checkpassword_is_executed(launchers: str) -> None:
    chain = ["checkpassword", "sh", "-c", 'echo "$USER $POP3EXTENSIONS $TCPREMOTEIP"; pwd; exit 3']
    with PopServer(launchers, chain=chain) as server:
        said = server.ask(login_commands())

        assert said.endswith(
            b"joe 1 127.0.0.1\n%b\n-ERR authorization failed\r\n" % os.fsencode(server.home.joe)
        )


def test_our_session_behind_another_checkpassword_has_extensions_too(launchers: str) -> None:
    become = "setpriv --reuid 4321 --regid 4321 --clear-groups" if os.getuid() == 0 else ""
    script = f'cat <&3 >/dev/null; cd "$QMAILHOME/home/joe"; exec {become} qmail-pop3d Maildir'
    with PopServer(launchers, chain=["sh", "-c", script]) as server:
        server.deliver("1.a.host", b"x\n")

        said = server.ask(login_commands() + b"CAPA\r\nSTAT\r\n")

    assert b"\r\nUIDL\r\n" in said
    assert said.endswith(b"+OK 1 5\r\n")


# Much.


def test_a_large_message_takes_no_memory(server: PopServer) -> None:
    size = 256 << 20
    path = server.deliver("1.a.host", b"Subject: large\n\n", when=OLD)
    os.truncate(path, size)
    with server.session() as client:
        (pid,) = wait_for_sessions(server, 1)
        announced = client.stat()[1]
        client.sock.sendall(b"RETR 1\r\n")
        got = 0
        while got < size:
            got += len(client.sock.recv(1 << 20))
        peak = peak_of(pid)

    assert announced == size + 2 + 4
    assert peak < 64 << 20


def peak_of(pid: int) -> int:
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        (line,) = (line for line in file if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024
