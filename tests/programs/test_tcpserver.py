"""tcpserver as an administrator meets it: options, limits, the log, signals."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.support.launchers import PACKAGE
from tests.support.tcpserver import PATIENCE, TcpServer, normal, read_all, running

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.process

QUIET = ["-RHl0"]  # ask nobody


@pytest.fixture
def server(launchers: str, tmp_path: Path) -> Iterator[TcpServer]:
    # An end that fails to start has nothing to stop.
    made = TcpServer(f"{launchers}/tcpserver", tmp_path)
    yield made
    if hasattr(made, "process"):
        made.stop()


def write_rules(launchers: str, folder: Path, rules: bytes) -> str:
    path = f"{folder}/rules.cdb"
    argv = [f"{launchers}/tcprules", path, f"{folder}/rules.tmp"]
    subprocess.run(argv, input=rules, check=True)
    return path


def complaint(launchers: str, *arguments: str) -> tuple[int, bytes]:
    answer = subprocess.run(
        [f"{launchers}/tcpserver", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    return answer.returncode, answer.stderr


# Programs of anybody.


def test_a_program_gets_the_connection_as_descriptors_0_and_1(server: TcpServer) -> None:
    server.start(QUIET, ["sh", "-c", "read line; echo you said $line"])

    assert server.ask(b"hello\n") == b"you said hello\n"


def test_a_program_sees_the_connection_in_its_environment(server: TcpServer) -> None:
    server.start(QUIET, ["env"])

    with server.connect() as connection:
        variables = dict(line.split(b"=", 1) for line in read_all(connection).splitlines())
        own_port = connection.getsockname()[1]

    shown = {name: value for name, value in variables.items() if name.startswith((b"TCP", b"PRO"))}
    assert shown == {
        b"PROTO": b"TCP",
        b"TCPLOCALHOST": b"0",
        b"TCPLOCALIP": b"127.0.0.1",
        b"TCPLOCALPORT": b"%d" % server.port,
        b"TCPREMOTEIP": b"127.0.0.1",
        b"TCPREMOTEPORT": b"%d" % own_port,
    }


def test_how_a_program_ended_is_in_the_log(server: TcpServer) -> None:
    server.start(QUIET, ["sh", "-c", "read what; eval $what"])

    server.ask(b"exit 3\n")
    server.ask(b"kill -9 $$\n")
    lines = server.wait_until_logged("end", 2)

    ends = [line for line in normal(lines, server) if "end" in line]
    assert ends == ["tcpserver: end {PID} status 768", "tcpserver: end {PID} status 9"]


def test_the_number_in_the_log_is_the_process_number(server: TcpServer) -> None:
    server.start(QUIET, ["sh", "-c", "echo $$"])

    pid = int(server.ask())

    assert f"tcpserver: pid {pid} from 127.0.0.1" in server.lines()


def test_a_program_that_is_not_there_drops_the_connection(server: TcpServer) -> None:
    server.start(QUIET, ["/nonexistent"])

    server.ask()
    lines = normal(server.wait_until_logged("end"), server)

    assert lines[3:] == [
        "tcpserver: ok {PID} 0:127.0.0.1:{PORT} :127.0.0.1::{REMOTEPORT}",
        "tcpserver: warning: dropping connection, unable to run /nonexistent: file does not exist",
        "tcpserver: end {PID} status 28416",
        *lines[6:],
    ]


def test_a_program_has_no_descriptor_but_its_own(server: TcpServer) -> None:
    server.start(QUIET, ["sh", "-c", "exec ls /proc/self/fd"])

    # 3 is the folder that ls reads.
    assert server.ask().split() == [b"0", b"1", b"2", b"3"]


def test_a_program_has_the_default_signals(server: TcpServer) -> None:
    server.start(QUIET, ["grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status"])

    masks = [int(line.split()[1], 16) for line in server.ask().splitlines()]

    ordinary = 2**31 - 1  # the C library's posix_spawn ignores two of its own, 32 and 33
    assert [mask & ordinary for mask in masks] == [0, 0]


# Applications.


def test_an_application_needs_no_process(server: TcpServer) -> None:
    server.start(QUIET, ["addcr"])

    with server.connect() as first, server.connect() as second:
        for connection in (first, second):
            connection.sendall(b"a\n")
            assert connection.recv(100) == b"a\r\n"
        workers = server.processes()

    assert len(workers) == 1


def test_a_chain_of_ours_is_one_application(server: TcpServer) -> None:
    server.start(QUIET, ["recordio", "fixcrio", "delcr"])

    assert server.ask(b"a\nb") == b"a\r\nb"
    lines = server.wait_until_logged(r"> \[EOF\]")

    spoken = [line for line in normal(lines, server) if line.startswith("{PID}")]
    assert spoken == [
        "{PID} < a ",
        "{PID} < b+",
        "{PID} > a\r ",
        "{PID} > b+",
        "{PID} < [EOF]",
        "{PID} > [EOF]",
    ]


def test_a_chain_that_leads_to_a_program_of_others_ends_in_a_process(server: TcpServer) -> None:
    server.start(QUIET, ["recordio", "sh", "-c", "read line; echo $line $line; exit 7"])

    assert server.ask(b"ho\nmore") == b"ho ho\n"
    lines = normal(server.wait_until_logged("end"), server)

    assert "{PID} > ho ho " in lines
    assert "tcpserver: end {PID} status 1792" in lines


def test_somebody_elses_program_of_the_same_name_is_executed(
    launchers: str, tmp_path: Path
) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "addcr").write_text("#!/bin/sh\necho mine\n")
    (tmp_path / "bin" / "addcr").chmod(0o755)
    path = f"{tmp_path}/bin:{launchers}:{os.defpath}"

    with running(TcpServer(f"{launchers}/tcpserver", tmp_path, {"PATH": path})) as server:
        server.start(QUIET, ["addcr"])

        assert server.ask(b"x\n") == b"mine\n"


def test_wrong_usage_of_an_application_is_told_at_the_start(launchers: str) -> None:
    code, text = complaint(launchers, *QUIET, "127.0.0.1", "0", f"{launchers}/recordio")

    assert (code, text) == (
        100,
        b"tcpserver: fatal: recordio: usage: recordio program [ arg ... ]\n",
    )


# Rules.


def test_rules_decide_and_set_variables(server: TcpServer, launchers: str, tmp_path: Path) -> None:
    rules = b'127.0.0.2:deny\n127.0.0.3:allow,COLOUR="blue",TCPREMOTEIP="1.2.3.4"\n:allow\n'
    path = write_rules(launchers, tmp_path, rules)
    server.start([*QUIET, "-x", path], ["sh", "-c", "echo $COLOUR $TCPREMOTEIP"])

    said = []
    for source in ("127.0.0.1", "127.0.0.2", "127.0.0.3"):
        with server.connect(source=source) as connection:
            said.append(read_all(connection))

    assert said == [b"127.0.0.1\n", b"", b"blue 1.2.3.4\n"]
    denied = [line for line in server.wait_until_logged("deny") if "deny" in line]
    assert normal(denied, server) == [
        "tcpserver: deny {PID} 0:127.0.0.1:{PORT} :127.0.0.2::{REMOTEPORT}"
    ]


def test_rules_count_from_the_moment_they_are_replaced(
    server: TcpServer, launchers: str, tmp_path: Path
) -> None:
    path = write_rules(launchers, tmp_path, b":allow\n")
    server.start([*QUIET, "-x", path], ["echo", "in"])
    before = server.ask()

    write_rules(launchers, tmp_path, b":deny\n")

    assert (before, server.ask()) == (b"in\n", b"")


def test_rules_that_cannot_be_read_let_nobody_in(server: TcpServer, tmp_path: Path) -> None:
    server.start([*QUIET, "-x", f"{tmp_path}/none.cdb"], ["echo", "in"])

    assert server.ask() == b""
    text = f"dropping connection, unable to read {tmp_path}/none.cdb: file does not exist"
    assert f"tcpserver: warning: {text}" in server.wait_until_logged("warning")


def test_rules_that_are_not_there_let_everybody_in_if_they_may(
    server: TcpServer, tmp_path: Path
) -> None:
    server.start([*QUIET, "-X", "-x", f"{tmp_path}/none.cdb"], ["echo", "in"])

    assert server.ask() == b"in\n"


# Limits.


def test_no_more_are_served_than_the_limit(server: TcpServer) -> None:
    server.start([*QUIET, "-c", "2"], ["addcr"])
    first, second, third = (server.connect() for _ in range(3))
    third.sendall(b"x\n")
    third.settimeout(0.5)

    with pytest.raises(TimeoutError):
        third.recv(1)
    first.close()
    third.settimeout(PATIENCE)

    assert third.recv(10) == b"x\r\n"
    assert not [line for line in server.lines() if "status: 3/2" in line]
    second.close()
    third.close()


def test_one_address_cannot_take_all(server: TcpServer) -> None:
    server.start([*QUIET, "-C", "1"], ["addcr"])

    with server.connect(), server.connect() as refused, server.connect(source="127.0.0.2") as other:
        other.sendall(b"x\n")

        assert read_all(refused) == b""
        assert other.recv(10) == b"x\r\n"
    assert "tcpserver: refuse 127.0.0.1: too many connections from there" in server.lines()


def test_workers_share_the_socket_and_the_limit(server: TcpServer) -> None:
    server.start([*QUIET, "-c", "6", "--workers", "3"], ["addcr"])

    connections = [server.connect() for _ in range(6)]
    for connection in connections:
        connection.sendall(b"x\n")
        assert connection.recv(10) == b"x\r\n"

    assert len(server.processes()) == 3
    assert "tcpserver: status: 6/6" in server.lines()
    numbers = [line.split()[2] for line in server.lines() if " pid " in line]
    assert len(set(numbers)) == 6
    for connection in connections:
        connection.close()


def test_a_worker_that_dies_is_replaced(server: TcpServer) -> None:
    server.start(QUIET, ["addcr"])
    worker = server.worker()

    os.kill(worker, signal.SIGKILL)
    server.wait_until_logged("worker .* ended with status 9")

    assert server.ask(b"x\n") == b"x\r\n"


# The socket.


def test_a_banner_comes_before_everything(server: TcpServer, tmp_path: Path) -> None:
    server.start([*QUIET, "-B", "hello\r\n", "-x", f"{tmp_path}/none.cdb"], ["echo", "in"])

    assert server.ask() == b"hello\r\n"


def test_it_listens_for_both_families_at_0(server: TcpServer) -> None:
    if not socket.has_dualstack_ipv6():
        pytest.skip("needs IPv6")
    server.start(QUIET, ["sh", "-c", "echo $PROTO $TCPREMOTEIP $TCPLOCALIP $TCP6REMOTEIP"], "0")

    assert server.ask() == b"TCP 127.0.0.1 127.0.0.1\n"
    assert server.ask(host="::1") == b"TCP6 ::1 ::1 ::1\n"
    six = normal(server.wait_until_logged("ok", 2), server)
    assert "tcpserver: ok {PID} 0:::1:{PORT} :::1::{REMOTEPORT}" in six


def test_rules_know_ipv6(server: TcpServer, launchers: str, tmp_path: Path) -> None:
    if not socket.has_dualstack_ipv6():
        pytest.skip("needs IPv6")
    path = write_rules(launchers, tmp_path, b'::1:allow,A="exact"\n:deny\n')
    server.start([*QUIET, "-x", path], ["sh", "-c", "echo $A"], "::1")

    assert server.ask(host="::1") == b"exact\n"


@pytest.mark.root
def test_root_becomes_another_user_before_anybody_connects(server: TcpServer) -> None:
    if os.getuid() != 0:
        pytest.skip("needs root")
    server.start([*QUIET, "-u", "65534", "-g", "65533"], ["sh", "-c", "id -u; id -g; id -G"])

    assert server.ask() == b"65534\n65533\n65533\n"


def test_a_name_that_is_no_user_does_not_mean_root(launchers: str) -> None:
    code, text = complaint(launchers, "-u", "no-such-user", "127.0.0.1", "0", "true")

    assert (code, text) == (
        100,
        b"tcpserver: fatal: option u needs a number: no-such-user\n",
    )


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["-z"], 100, b"tcpserver: illegal option -- z\ntcpserver: usage: tcpserver [ -1"),
        (["127.0.0.1", "0"], 100, b"tcpserver: usage: tcpserver [ -1"),
        (["-q", "127.0.0.1"], 100, b""),
        (["127.0.0.1", "22x", "true"], 111, b"tcpserver: fatal: unable to figure out port number"),
        (["127.0.0.1", "no-service", "true"], 111, b"tcpserver: fatal: unable to figure out port"),
        (["nosuch.invalid", "0", "true"], 111, b"tcpserver: fatal: "),
        (["192.0.2.99", "0", "true"], 111, b"tcpserver: fatal: unable to bind: address not avail"),
        (["-q", "192.0.2.99", "0", "true"], 111, b""),
        (["-c", "0", "0", "0", "true"], 100, b"tcpserver: fatal: option c needs a number of at"),
        (["-c", "4x", "0", "0", "true"], 100, b"tcpserver: fatal: option c needs a number of at"),
    ],
)
def test_what_cannot_be_is_told_and_ends(
    launchers: str, arguments: list[str], code: int, text: bytes
) -> None:
    ended, said = complaint(launchers, *arguments)

    assert ended == code
    assert said.startswith(text)
    assert text or not said


# The end.


def test_term_ends_it_at_once_and_leaves_open_sessions(server: TcpServer) -> None:
    server.start(QUIET, ["addcr"])
    with server.connect() as connection:
        connection.sendall(b"x\n")
        assert connection.recv(10) == b"x\r\n"

        server.process.terminate()

        assert server.process.wait(PATIENCE) == 0
        with pytest.raises(ConnectionRefusedError):
            server.connect()
        connection.sendall(b"y\n")
        assert connection.recv(10) == b"y\r\n"
    assert_nobody_is_left(server)


def test_the_port_is_free_as_soon_as_it_has_ended(server: TcpServer, launchers: str) -> None:
    server.start(QUIET, ["addcr"])
    with server.connect() as connection:
        connection.sendall(b"x\n")
        connection.recv(10)
        server.process.terminate()
        server.process.wait(PATIENCE)

        code, text = complaint_of_short_run(launchers, str(server.port))

    assert (code, text) == (0, b"")


def complaint_of_short_run(launchers: str, port: str) -> tuple[int, bytes]:
    argv = ["timeout", "-s", "TERM", "-k", "9", "--preserve-status", "1"]
    answer = subprocess.run(
        [*argv, f"{launchers}/tcpserver", *QUIET, "127.0.0.1", port, "true"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    return answer.returncode, answer.stderr


def test_an_interrupt_from_the_terminal_ends_everything(server: TcpServer) -> None:
    server.start(QUIET, ["addcr"])
    with server.connect() as connection:
        connection.sendall(b"x\n")
        connection.recv(10)

        os.killpg(server.process.pid, signal.SIGINT)

        assert server.process.wait(PATIENCE) == -signal.SIGINT
        assert read_all(connection) == b""
    assert_nobody_is_left(server)
    assert not [line for line in server.lines() if "Traceback" in line]


def test_it_needs_neither_uvloop_nor_any_other_library(launchers: str, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    own = tmp_path / "bin" / "pyqmail"
    text = (Path(launchers) / "pyqmail").read_text()
    source = os.path.dirname(PACKAGE)
    own.write_text(re.sub(r"sys.path \+= .*", f"sys.path += [{source!r}]", text))
    own.chmod(0o755)
    for name in ("tcpserver", "delcr", "recordio"):
        (tmp_path / "bin" / name).symlink_to("pyqmail")

    with running(TcpServer(f"{tmp_path}/bin/tcpserver", tmp_path)) as bare:
        bare.start(QUIET, ["recordio", "delcr"])

        assert bare.ask(b"a\r\nb") == b"a\nb"
        bare.process.terminate()
        assert bare.process.wait(PATIENCE) == 0


def test_workers_do_not_outlive_a_server_that_was_killed(server: TcpServer) -> None:
    server.start(QUIET, ["addcr"])
    assert server.ask(b"x\n") == b"x\r\n"

    server.process.kill()

    assert_nobody_is_left(server)


def assert_nobody_is_left(server: TcpServer) -> None:
    deadline = time.monotonic() + PATIENCE
    while server.processes():
        assert time.monotonic() < deadline, server.processes()
        time.sleep(0.02)
