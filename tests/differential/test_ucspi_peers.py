"""The same input for Debian's ucspi-tcp and for ours: the same output, log and exit code."""

from __future__ import annotations

import os
import random
import re
import socket
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import pytest
from tests.support.dns_stub import ADDRESS, SERVER_FAILURE, dns_server
from tests.support.tcpserver import TcpServer, normal, read_all, running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.process, pytest.mark.peer]

ORIGINALS = "/usr/bin"
QUIET = ["-RHl0"]


@pytest.fixture(autouse=True)
def _need_the_originals() -> None:
    if not os.path.exists(f"{ORIGINALS}/tcprulescheck"):
        pytest.skip("needs the original programs (Debian: ucspi-tcp)")


@pytest.fixture
def name_server() -> Iterator[None]:
    """Answer on the port that the original's resolver asks."""
    if os.getuid() != 0:
        pytest.skip("needs root: the original asks port 53 only")
    with dns_server(TABLE):
        yield


LISTED, VOUCHED, LONG = "7.2.0.192", "8.2.0.192", "9.2.0.192"
TABLE = {
    ("1.0.0.127.in-addr.arpa.", "PTR"): ["Host_1.Example.NET."],
    ("2.0.0.127.in-addr.arpa.", "PTR"): [r"od\032d\.name.example.net.", "second.example.net."],
    ("3.0.0.127.in-addr.arpa.", "PTR"): [SERVER_FAILURE],
    ("4.0.0.127.in-addr.arpa.", "PTR"): [("x" * 60 + ".") * 3 + "example."],
    ("host_1.example.net.", "A"): ["192.0.2.1", "127.0.0.1"],
    (f"{LISTED}.deny.test.", "TXT"): ['"listed here: http://deny.test/?" "7"'],
    (f"{LONG}.deny.test.", "TXT"): [f'"{"long " * 50}"', '"\\009tab"'],
    (f"{VOUCHED}.good.test.", "A"): ["127.0.0.2"],
    (f"{VOUCHED}.deny.test.", "TXT"): ['"listed, but vouched for"'],
    (f"{LISTED}.broken.test.", "TXT"): [SERVER_FAILURE],
    (f"{LISTED}.broken.test.", "A"): [SERVER_FAILURE],
}


# tcprules, tcprulescheck.


def rules_text(choice: random.Random) -> bytes:
    """Return rules as somebody in a hurry might write them."""
    parts = [
        *(b"1.2.3. 1.2. 10.0.0.1 10.0.0.2-5 10.1-2. -4. 4- =.example.net = joe@1.2.3.4".split()),
        *(b'joe@=h.example.net # : : , =" allow deny ,A="x" ,B="y z" ,C=qvq , \n'.split(b" ")),
        *(b"10.0.0.300 10.0.0.9-3 1.2.3.4-400 a-b \0 \xe4 \t".split(b" ")),
    ]
    lines = []
    for _ in range(choice.randint(0, 6)):
        if choice.random() < 0.8:
            line = choice.choice(parts[:10]) + b":" + choice.choice([b"allow", b"deny"])
            line += b"".join(choice.choices([b',A="x"', b",B='y z'", b",C=qvq", b""], k=2))
        else:
            line = b"".join(choice.choices(parts, k=4))
        lines.append(line + choice.choice([b"\n", b" \n", b"\t\n"]))
    return b"".join(lines)


def compiled(bin_folder: str, text: bytes, folder: Path) -> tuple[int, bytes, bytes]:
    path = folder / "rules.cdb"
    path.unlink(missing_ok=True)
    answer = subprocess.run(
        [f"{bin_folder}/tcprules", path, folder / "rules.tmp"],
        input=text,
        capture_output=True,
        check=False,
    )
    return answer.returncode, answer.stderr, path.read_bytes() if path.exists() else b""


@pytest.mark.parametrize("seed", range(40))
def test_rules_compile_to_the_same_bytes_and_decide_the_same(
    seed: int, bin_folder: str, tmp_path: Path
) -> None:
    choice = random.Random(seed)
    text = rules_text(choice)

    theirs, ours = (compiled(each, text, tmp_path) for each in (ORIGINALS, bin_folder))

    assert ours == theirs, text
    if theirs[0] == 0:
        assert_decisions_agree(choice, bin_folder, tmp_path / "rules.cdb")


def assert_decisions_agree(choice: random.Random, bin_folder: str, path: Path) -> None:
    for _ in range(3):
        environ = {
            "TCPREMOTEIP": choice.choice(["1.2.3.4", "10.0.0.3", "10.1.9.9", "9.9.9.9", ""]),
            "TCPREMOTEHOST": choice.choice(["h.example.net", "x.h.example.net", "", "other"]),
            "TCPREMOTEINFO": choice.choice(["joe", "", "ann"]),
        }
        for name in list(environ):
            if choice.random() < 0.3:
                del environ[name]
        said = [
            subprocess.run(
                [f"{each}/tcprulescheck", path], env=environ, capture_output=True, check=True
            ).stdout
            for each in (ORIGINALS, bin_folder)
        ]
        assert said[1] == said[0], environ


# tcpserver.


def both(
    bin_folder: str,
    folder: Path,
    options: list[str],
    chain: list[str],
    visits: list[tuple[str, bytes]],
) -> tuple[list[list[str]], list[list[bytes]]]:
    """Return the logs and the answers of theirs and ours for the same visits, one by one."""
    logs, answers = [], []
    for each in (ORIGINALS, bin_folder):
        environ = {"DNSCACHEIP": ADDRESS, "PATH": f"{bin_folder}:{os.defpath}"}
        with running(TcpServer(f"{each}/tcpserver", folder, environ)) as server:
            server.start(options, chain)
            said = []
            for number, (source, data) in enumerate(visits, 1):
                with server.connect(source=source) as connection:
                    port = connection.getsockname()[1]
                    connection.sendall(data)
                    connection.shutdown(socket.SHUT_WR)
                    said.append(read_all(connection).replace(b"%d" % port, b"{REMOTEPORT}"))
                server.wait_until_logged(" end ", number)
                server.wait_until_logged("status: 0/", number + 1)
            logs.append(normal(server.lines(), server))
            own = b"%d" % server.port
            answers.append([answer.replace(own, b"{PORT}") for answer in said])
    return logs, answers


SHOW = ["sh", "-c", "cat >/dev/null; env | grep -E '^(TCP|PROTO|X)' | sort; exit 3"]


@pytest.mark.parametrize(
    "options",
    [
        ["-RHl0"],
        ["-RHlmail:with%colon"],
        ["-RHl" + "n" * 100],
        ["-RHl" + "n" * 99],
        ["-RHl0", "-B", "hello %s"],
        ["-RHl0", "-c1"],
        ["-RHl0", "-D", "-o", "-b", "5"],
    ],
    ids=" ".join,
)
def test_the_log_and_the_environment_are_the_same(
    options: list[str], bin_folder: str, tmp_path: Path
) -> None:
    visits = [("127.0.0.1", b"x"), ("127.0.0.7", b"")]

    logs, answers = both(bin_folder, tmp_path, options, SHOW, visits)

    assert logs[1] == logs[0]
    assert answers[1] == answers[0]


@pytest.mark.parametrize(
    "program", [["/nonexistent"], ["/etc"], ["no-such-name"], ["sh", "-c", "kill -9 $$"], ["true"]]
)
def test_the_log_says_the_same_about_a_program(
    program: list[str], bin_folder: str, tmp_path: Path
) -> None:
    logs, _ = both(bin_folder, tmp_path, QUIET, program, [("127.0.0.1", b"")])

    assert logs[1] == logs[0]


def test_rules_have_the_same_consequences(bin_folder: str, tmp_path: Path) -> None:
    rules = b'127.0.0.2:deny\n127.0.0.3:allow,X="y",TCPREMOTEIP="z",X2=""\n127.0.0.4-5:deny,X="y"\n'
    compiled(bin_folder, rules, tmp_path)
    visits = [(f"127.0.0.{number}", b"") for number in range(1, 7)]

    options = [*QUIET, "-x", f"{tmp_path}/rules.cdb"]
    logs, answers = both(bin_folder, tmp_path, options, SHOW, visits)

    assert logs[1] == logs[0]
    assert answers[1] == answers[0]


@pytest.mark.parametrize("broken", ["none.cdb", "short"])
def test_broken_rules_have_the_same_consequences(
    broken: str, bin_folder: str, tmp_path: Path
) -> None:
    (tmp_path / "short").write_bytes(b"short")
    for options in (["-x"], ["-X", "-x"]):
        arguments = [*QUIET, *options, f"{tmp_path}/{broken}"]
        logs, answers = both(bin_folder, tmp_path, arguments, SHOW, [("127.0.0.1", b"")])

        assert logs[1] == logs[0]
        assert answers[1] == answers[0]


@pytest.mark.root
@pytest.mark.parametrize("options", [["-R"], ["-Rp"], ["-Rl0"], ["-RH"]])
@pytest.mark.usefixtures("name_server")
def test_names_are_looked_up_the_same(options: list[str], bin_folder: str, tmp_path: Path) -> None:
    visits = [(f"127.0.0.{number}", b"") for number in (1, 2, 4, 5)]

    logs, answers = both(bin_folder, tmp_path, options, SHOW, visits)

    assert logs[1] == logs[0]
    assert answers[1] == answers[0]


IDENT_REPLIES = [
    b"%s : USERID : UNIX : joe\r\n",
    b"%s:USERID:OTHER:a : b c\r\n",
    b"%s : ERROR : NO-USER\r\n",
    b"rubbish\r\n",
    b"%s : USERID : UNIX : " + b"j" * 300 + b"\r\n",
    b"no end",
    b"",
]


@contextmanager
def ident_server(reply: bytes) -> Iterator[list[bytes]]:
    """Answer on port 113 of every loopback address."""
    asked: list[bytes] = []
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", 113))
        listener.listen()

        def serve() -> None:
            for _ in range(2):
                connection, _peer = listener.accept()
                with connection:
                    asked.append(connection.recv(1000))
                    connection.sendall(reply.replace(b"%s", asked[-1].strip()))

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield asked
        thread.join(5)


@pytest.mark.root
@pytest.mark.xdist_group("port 113")
@pytest.mark.parametrize("reply", IDENT_REPLIES)
def test_the_user_at_the_other_end_is_read_the_same(
    reply: bytes, bin_folder: str, tmp_path: Path
) -> None:
    if os.getuid() != 0:
        pytest.skip("needs root: ident is at port 113")
    with ident_server(reply) as asked:
        logs, answers = both(bin_folder, tmp_path, ["-Hl0", "-t5"], SHOW, [("127.0.0.1", b"")])

    assert logs[1] == logs[0]
    assert answers[1] == answers[0]
    assert all(re.fullmatch(rb"\d+ , \d+\r\n", question) for question in asked)


# rblsmtpd.

LISTS = [
    ["-r", "deny.test"],
    ["-b", "-r", "deny.test"],
    ["-r", "other.test", "-b", "-r", "deny.test"],
    ["-a", "good.test", "-r", "deny.test"],
    ["-r", "deny.test", "-a", "good.test"],
    ["-r", "broken.test", "-b", "-r", "deny.test"],
    ["-c", "-r", "broken.test", "-r", "deny.test"],
    ["-a", "broken.test", "-b", "-r", "deny.test"],
    ["-c", "-a", "broken.test", "-b", "-r", "deny.test"],
    ["-t", "0", "-r", "deny.test"],
    ["-a", "good.test"],
]
SESSION = (
    b"EHLO x\r\nMAIL FROM:<a>\r\nmail\nRCPT TO:<b>\r\nDATA\r\nNOOP\r\n\r\nMAILX\r\nrset x\r\n"
    b" HELO\r\nQUIT x\r\nNOOP\r\n"
)


CLIENTS = ("7", "8", "9", "10")


def refusal(folder: str, options: list[str], client: str) -> tuple[int, bytes, bytes]:
    """Return exit code, what the client hears, and the log of one session."""
    environ = {"DNSCACHEIP": ADDRESS, "TCPREMOTEIP": f"192.0.2.{client}", "PATH": os.defpath}
    process = subprocess.Popen(
        [f"{folder}/rblsmtpd", *options, "sh", "-c", "echo the program; exit 4"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environ,
    )
    out, err = process.communicate(SESSION)
    return process.returncode, out, err.replace(b" pid %d:" % process.pid, b" pid {PID}:")


@pytest.mark.root
@pytest.mark.usefixtures("name_server")
def test_lists_refuse_the_same_clients_with_the_same_words(bin_folder: str) -> None:
    cases = [(options, client) for options in LISTS for client in CLIENTS]

    # All at once: where a list does not answer, the original waits eleven seconds.
    with ThreadPoolExecutor(len(cases)) as pool:
        waiting = pool.map(lambda case: refusal(ORIGINALS, *case), cases)
        ours = [refusal(bin_folder, *case) for case in cases]
        theirs = list(waiting)

    differing = [
        case for case, *both in zip(cases, theirs, ours, strict=True) if both[0] != both[1]
    ]
    assert differing == []


# Clients.

RESPONSE = b"HTTP/1.0 200 OK\r\nX: y\r\n\r\nbody\r\n\r\n \x01\xff\r\x00z\r\nlast"
SHOW_CLIENT = [
    "sh",
    "-c",
    "env | grep -E '^(TCP|PROTO)' | sed 's/^TCPLOCALPORT=.*/TCPLOCALPORT/' | sort; cat <&6; exit 4",
]


@pytest.fixture(scope="module")
def web_server() -> Iterator[str]:
    """Answer every connection with the same response, once a line has come or a second is over."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _peer = listener.accept()
                except OSError:
                    return
                with connection, suppress(OSError):
                    connection.settimeout(0.2)
                    with suppress(TimeoutError):
                        connection.recv(1000)
                    connection.sendall(RESPONSE)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield str(listener.getsockname()[1])
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(5)


@pytest.mark.parametrize(
    "command",
    [
        "http@ 127.0.0.1 page PORT",
        "http@ 127.0.0.1 page 1",
        "tcpcat 127.0.0.1 PORT",
        "tcpcat 127.0.0.1 1",
        "mconnect 127.0.0.1 PORT",
        "mconnect 0 1",
        "mconnect 0 no-service",
        "tcpclient -RHl0 0 PORT",
        "tcpclient -vRHlname -i 127.0.0.8 127.0.0.1 PORT",
        "tcpclient -v -T2+3 -RHl0 127.0.0.2.127.0.0.1 PORT",
        "tcpclient -qRHl0 127.0.0.1 1",
        "tcpclient -RHl0 127.0.0.1 1",
        "tcpclient -z",
        "tcpclient -RHl0 -i 192.0.2.77 0 PORT",
        "tcpclient -RHl0 -i 1.2.3 0 PORT",
        "tcpclient 0 PORT",
    ],
)
def test_a_client_says_and_does_the_same(command: str, bin_folder: str, web_server: str) -> None:
    name, *arguments = command.replace("PORT", web_server).split()
    if name == "tcpclient" and command != "tcpclient 0 PORT":
        arguments += SHOW_CLIENT

    outcomes = []
    for each in (ORIGINALS, bin_folder):
        answer = subprocess.run(
            [f"{each}/{name}", *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env={"PATH": os.defpath, "DNSCACHEIP": ADDRESS},
            timeout=60,
            check=False,
        )
        outcomes.append((answer.returncode, answer.stdout, answer.stderr))

    assert outcomes[1] == outcomes[0]


# Filters.


@pytest.mark.parametrize("name", ["recordio", "fixcrio"])
@pytest.mark.parametrize("seed", range(6))
def test_what_passes_a_filter_is_the_same(name: str, seed: int, bin_folder: str) -> None:
    choice = random.Random(seed)
    data = bytes(choice.choices(b"\r\nab", k=choice.choice([0, 1, 50, 300, 5000])))
    outcomes = []
    for each in (ORIGINALS, bin_folder):
        process = subprocess.Popen(
            [f"{each}/{name}", "sh", "-c", "cat; exit 5"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        out, err = process.communicate(data)
        lines = err.replace(b"%d " % process.pid, b"{PID} ").split(b"\n")
        inward = [line for line in lines if line.startswith(b"{PID} <")]
        outcomes.append((process.returncode, out, inward, len(lines) > 1))

    assert outcomes[1] == outcomes[0]


@pytest.mark.parametrize("name", ["addcr", "delcr"])
def test_a_filter_says_nothing_of_a_full_disk(name: str, bin_folder: str) -> None:
    outcomes = []
    for each in (ORIGINALS, bin_folder):
        with open("/dev/full", "wb") as full:
            answer = subprocess.run(
                [f"{each}/{name}"], input=b"x\n", stdout=full, stderr=subprocess.PIPE, check=False
            )
        outcomes.append((answer.returncode, answer.stderr))

    assert outcomes == [(111, b"")] * 2


@pytest.mark.parametrize("name", ["addcr", "delcr"])
def test_a_filter_makes_the_same_of_every_mixture(name: str, bin_folder: str) -> None:
    data = bytes(random.Random(name).choices(b"\r\nab", k=200_000))

    made = [
        subprocess.run([f"{each}/{name}"], input=data, capture_output=True, check=True).stdout
        for each in (ORIGINALS, bin_folder)
    ]

    assert made[1] == made[0]
