"""tcpclient, tcp-env, and the small programs that converse."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from tests.support import network
from tests.support.dns_stub import ADDRESS, SERVER_FAILURE, Table, dns_server
from tests.support.tcpserver import TcpServer, running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.process

TIMEOUT = 30


def run(launchers: str, *arguments: str, typed: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [f"{launchers}/{arguments[0]}", *arguments[1:]],
        input=typed,
        capture_output=True,
        timeout=TIMEOUT,
        env={"PATH": f"{launchers}:{os.defpath}"},
        check=False,
    )


@contextmanager
def server_that_says(
    answer: bytes, heard: list[bytes], until: bytes = b"", port: int = 0
) -> Iterator[str]:
    """Serve one connection: hear until `until` has come, answer, hang up."""
    with socket.create_server(("127.0.0.1", port)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                data = b""
                while until not in data:
                    data += connection.recv(1000)
                heard.append(data)
                connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield str(listener.getsockname()[1])
        thread.join(TIMEOUT)


def free_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return str(listener.getsockname()[1])


def test_the_program_reads_at_6_and_writes_at_7(launchers: str) -> None:
    heard: list[bytes] = []
    script = "echo question >&7; read answer <&6; echo got $answer; exit 9"

    with server_that_says(b"answer\n", heard, b"\n") as port:
        answer = run(launchers, "tcpclient", "-RHl0", "0", port, "sh", "-c", script)

    assert (answer.returncode, answer.stdout, answer.stderr) == (9, b"got answer\n", b"")
    assert heard == [b"question\n"]


def test_the_program_sees_the_connection_in_its_environment(launchers: str) -> None:
    with server_that_says(b"", []) as port:
        answer = run(launchers, "tcpclient", "-RHlme", "-i", "127.0.0.3", "127.0.0.1", port, "env")

    lines = answer.stdout.decode().splitlines()
    assert {"PROTO=TCP", "TCPREMOTEIP=127.0.0.1", f"TCPREMOTEPORT={port}"} <= set(lines)
    assert {"TCPLOCALIP=127.0.0.3", "TCPLOCALHOST=me"} <= set(lines)


def test_addresses_are_tried_one_after_the_other(launchers: str) -> None:
    with server_that_says(b"here\n", []) as port:
        answer = run(
            launchers, "tcpclient", "-vRHl0", "127.0.0.2.127.0.0.1", port, "sh", "-c", "cat <&6"
        )

    assert answer.stdout == b"here\n"
    assert answer.stderr.decode().splitlines() == [
        f"tcpclient: unable to connect to 127.0.0.2 port {port}: connection refused",
        f"tcpclient: connected to 127.0.0.1 port {port}",
    ]


@pytest.mark.parametrize("option", ["-RHl0", "-qRHl0"])
def test_nobody_there_ends_with_111(launchers: str, option: str) -> None:
    port = free_port()

    answer = run(launchers, "tcpclient", option, "127.0.0.1", port, "true")

    text = f"tcpclient: unable to connect to 127.0.0.1 port {port}: connection refused\n"
    assert answer.returncode == 111
    assert answer.stderr.decode() == ("" if "q" in option else text)


def test_an_address_that_does_not_answer_is_left_in_time(launchers: str) -> None:
    # A listener whose queue is full answers no more.
    with socket.socket() as listener, socket.socket() as first, socket.socket() as second:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for connection in (first, second):
            connection.settimeout(0)
            connection.connect_ex(listener.getsockname())
        port = str(listener.getsockname()[1])

        answer = run(launchers, "tcpclient", "-RHl0", "-T1+0", "0", port, "true")

    text = f"tcpclient: unable to connect to 127.0.0.1 port {port}: timed out\n"
    assert (answer.returncode, answer.stderr.decode()) == (111, text)


def test_mconnect_carries_lines(launchers: str) -> None:
    heard: list[bytes] = []

    with server_that_says(b"220 hello\r\n", heard, b"two\r\n") as port:
        answer = run(launchers, "mconnect", "127.0.0.1", port, typed=b"one\ntwo\n")

    assert heard == [b"one\r\ntwo\r\n"]
    assert (answer.returncode, answer.stdout) == (0, b"220 hello\r\n")


def test_http_prints_the_body(launchers: str) -> None:
    heard: list[bytes] = []
    response = b"HTTP/1.0 200 OK\r\nX: y\r\n\r\nbody\r\nmore"

    with server_that_says(response, heard, b"\r\n\r\n") as port:
        answer = run(launchers, "http@", "127.0.0.1", "a/page", port)

    assert heard == [f"GET /a/page HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()]
    assert answer.stdout == b"body\nmore\n"


@pytest.mark.root
@pytest.mark.skipif(network.why_not() is not None, reason=str(network.why_not()))
@pytest.mark.parametrize(
    ("command", "port", "question"),
    [
        (["date@", "127.0.0.1"], 13, b""),
        (["who@", "127.0.0.1"], 11, b""),
        (["finger@", "127.0.0.1", "joe"], 79, b"joe\r\n"),
    ],
)
def test_a_small_question_is_asked_at_its_port_and_the_answer_made_visible(
    launchers: str, command: list[str], port: int, question: bytes
) -> None:
    heard: list[bytes] = []
    with network.network_of_our_own():
        with server_that_says(b"at \x1b[2J\r\nnoon\r\n", heard, question, port):
            answer = run(launchers, *command)
        alone = run(launchers, *command)

    assert (answer.returncode, answer.stdout, answer.stderr) == (0, b"at ^[[2J\nnoon\n", b"")
    assert heard == [question]
    # It was the exit code of a pipe's last program, and is for scripts.
    assert (alone.returncode, alone.stdout) == (0, b"")
    assert alone.stderr.startswith(b"tcpclient: unable to connect to 127.0.0.1 port ")


def test_tcpcat_prints_what_comes(launchers: str) -> None:
    data = bytes(range(256)) * 1000

    with server_that_says(data, []) as port:
        answer = run(launchers, "tcpcat", "127.0.0.1", port)

    assert (answer.returncode, answer.stdout) == (0, data)


# From inetd: the connection is descriptor 0, and nothing is in the environment.


@pytest.fixture
def silent_dns() -> Iterator[str]:
    if os.getuid() != 0:
        pytest.skip("needs root: DNSCACHEIP has no port but 53")
    table: Table = {("1.0.0.127.in-addr.arpa.", "PTR"): [SERVER_FAILURE]}
    with dns_server(table):
        yield ADDRESS


@pytest.mark.root
@pytest.mark.parametrize("family", ["127.0.0.1", "::1"])
def test_tcp_env_finds_the_connection_on_descriptor_0(
    launchers: str, family: str, silent_dns: str
) -> None:
    try:
        listener = socket.create_server(
            (family, 0), family=socket.AF_INET6 if ":" in family else socket.AF_INET
        )
    except OSError:
        pytest.skip("needs IPv6")
    with listener, socket.create_connection(listener.getsockname()[:2]) as client:
        connection, _ = listener.accept()
        with connection:
            subprocess.run(
                [f"{launchers}/tcp-env", "-R", "env"],
                stdin=connection,
                stdout=connection,
                env={"PATH": os.defpath, "DNSCACHEIP": silent_dns, "TCPREMOTEINFO": "old"},
                timeout=TIMEOUT,
                check=True,
            )
            own, peer = connection.getsockname(), connection.getpeername()
        said = dict(line.split("=", 1) for line in client.makefile().read().splitlines())

    assert said["PROTO"] == ("TCP6" if ":" in family else "TCP")
    assert (said["TCPLOCALIP"], said["TCPLOCALPORT"]) == (own[0], str(own[1]))
    assert (said["TCPREMOTEIP"], said["TCPREMOTEPORT"]) == (peer[0], str(peer[1]))
    # Nobody can tell the name of 127.0.0.1; the original says so in its place.
    assert said.get("TCPREMOTEHOST") == (None if ":" in family else "softdnserror")
    assert "TCPREMOTEINFO" not in said


# rblsmtpd in front of an application, in process.


def test_rblsmtpd_refuses_before_the_server_behind_it(launchers: str, tmp_path: Path) -> None:
    rules = b'127.0.0.1:allow,RBLSMTPD="-go away"\n127.0.0.2:allow,RBLSMTPD=""\n'
    path = f"{tmp_path}/rules.cdb"
    subprocess.run([f"{launchers}/tcprules", path, f"{path}.tmp"], input=rules, check=True)
    with running(TcpServer(f"{launchers}/tcpserver", tmp_path)) as server:
        server.start(["-RHl0", "-x", path], ["rblsmtpd", "-r", "rbl.test", "delcr"])

        refused = server.ask(b"RCPT TO:<a>\r\nQUIT\r\n")
        with server.connect(source="127.0.0.2") as connection:
            connection.sendall(b"hi\r\n")
            passed = connection.recv(100)
        (number,) = [line.split()[2] for line in server.lines() if "ok" in line][:1]

    assert refused.split(b"\r\n")[1] == b"553 go away"
    assert passed == b"hi\n"
    assert f"rblsmtpd: 127.0.0.1 pid {number}: 553 go away" in server.lines()


def test_rblsmtpd_as_a_command_hands_an_accepted_client_to_the_program(launchers: str) -> None:
    answer = run(launchers, "rblsmtpd", "-t5", sys.executable, "-c", "print('in')")

    assert answer.stdout == b"in\n"
