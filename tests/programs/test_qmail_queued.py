from __future__ import annotations

import os
import pwd
import signal
import socket
import subprocess
import tempfile
import threading
from typing import TYPE_CHECKING

import pytest
from tests.support import accounts
from tests.support.launchers import launcher_folder
from tests.support.queues import files_in
from tests.support.running_queue import (
    NOBODY,
    PATIENCE,
    private_home,
    queued,
    run_queue,
    start_queued,
    wait_until,
)

from pyqmail.control.roles import roles_of
from pyqmail.errors import PermanentFailure, TransientFailure
from pyqmail.queue import layout
from pyqmail.queue.client import QueueClient
from pyqmail.queue.frames import FrameReader, encode_frame, parse_result, socket_path
from pyqmail.system.descriptors import ShortPath, send_descriptors

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.process

LARGE = b"line of a large message\n" * 20_000


@pytest.fixture(scope="module")
def folder() -> Iterator[str]:
    with launcher_folder() as made:
        yield made


@pytest.fixture
def home() -> Iterator[str]:
    with private_home() as made:
        yield made


@pytest.fixture
def running(home: str, folder: str) -> Iterator[subprocess.Popen[bytes]]:
    with queued(home, folder) as process:
        yield process


def client(home: str) -> QueueClient:
    return QueueClient({b"QMAILHOME": os.fsencode(home)})


def connect(home: str) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(PATIENCE)
    with ShortPath(socket_path(home)) as path:
        connection.connect(path)
    return connection


def answers(connection: socket.socket, count: int) -> dict[int, int]:
    """Return the exit code for each tag."""
    reader, codes = FrameReader(), {}
    while len(codes) < count:
        data = connection.recv(65536)
        assert data, "the server hung up"
        reader.feed(data)
        while (piece := reader.next_piece()) is not None:
            codes[piece[0]] = parse_result(piece[2])[0]
    return codes


def bodies(home: str) -> list[bytes]:
    return sorted(data.split(b"\n", 1)[1] for data in files_in(home, "mess").values())


@pytest.mark.parametrize("body", [b"hello\n", LARGE])
@pytest.mark.usefixtures("running")
def test_a_client_queues_a_message(home: str, body: bytes) -> None:
    queue = client(home)
    queue.write(body)

    number = queue.commit(b"sue@x", [b"joe@y"])

    (message,) = files_in(home, "mess").values()
    start = b"Received: (qmail %d invoked by uid %d); " % (number, os.getuid())
    assert message.startswith(start)
    assert message.endswith(b"\n" + body)
    assert list(files_in(home, "todo").values()) == [
        b"u%d\0p%d\0Fsue@x\0Tjoe@y\0" % (os.getuid(), number)
    ]


@pytest.mark.usefixtures("running")
def test_a_client_hears_why_a_message_is_refused(home: str) -> None:
    queue = client(home)

    with pytest.raises(PermanentFailure) as failure:
        queue.commit(b"a" * 1003, [])

    assert failure.value.text == b"envelope address too long for qq (#5.1.3)"
    assert files_in(home) == {}


@pytest.mark.usefixtures("running")
def test_a_failed_message_is_not_queued(home: str) -> None:
    queue = client(home)
    queue.write(LARGE)
    queue.fail()

    with pytest.raises(TransientFailure) as failure:
        queue.commit(b"a", [b"b"])

    assert failure.value.text == b"qq read error (#4.3.0)"
    wait_until(lambda: files_in(home) == {})


@pytest.mark.usefixtures("running")
def test_one_connection_carries_many_messages_at_once(home: str) -> None:
    with connect(home) as connection:
        for tag in range(20):
            connection.sendall(encode_frame(tag, b"B", b"first of %d\n" % tag))
        for tag in range(20):
            connection.sendall(encode_frame(tag, b"B", b"second of %d\n" % tag))
            connection.sendall(encode_frame(tag, b"E", b"Fa\0Tb\0\0"))
        codes = answers(connection, 20)

    assert codes == dict.fromkeys(range(20), 0)
    assert bodies(home) == sorted(b"first of %d\nsecond of %d\n" % (i, i) for i in range(20))


@pytest.mark.usefixtures("running")
def test_one_refused_message_does_not_harm_the_others_of_its_connection(home: str) -> None:
    with connect(home) as connection:
        connection.sendall(encode_frame(1, b"B", b"one\n") + encode_frame(2, b"B", b"two\n"))
        connection.sendall(encode_frame(1, b"E", b"Xa\0Tb\0\0") + encode_frame(1, b"A", b""))
        connection.sendall(encode_frame(2, b"E", b"Fa\0") + encode_frame(2, b"E", b"Tb\0\0"))
        codes = answers(connection, 2)

    assert codes == {1: 91, 2: 0}
    assert bodies(home) == [b"two\n"]


@pytest.mark.usefixtures("running")
def test_a_client_that_dies_half_way_leaves_nothing(home: str) -> None:
    with connect(home) as connection:
        connection.sendall(encode_frame(1, b"B", LARGE) + encode_frame(1, b"E", b"Fa\0Tb\0"))
        wait_until(lambda: files_in(home))

    wait_until(lambda: files_in(home) == {})
    assert bodies(home) == []


@pytest.mark.usefixtures("running")
def test_an_aborted_message_leaves_nothing_and_its_tag_is_free(home: str) -> None:
    with connect(home) as connection:
        connection.sendall(encode_frame(1, b"B", LARGE) + encode_frame(1, b"A", b""))
        connection.sendall(encode_frame(1, b"B", b"new\n") + encode_frame(1, b"E", b"Fa\0\0"))

        assert answers(connection, 1) == {1: 0}
    wait_until(lambda: bodies(home) == [b"new\n"])


@pytest.mark.parametrize(
    "damage", [encode_frame(1, b"Z", b"x"), b"\0" * 9, encode_frame(1, b"D", b"")]
)
@pytest.mark.usefixtures("running")
def test_damage_is_answered_and_ends_the_connection(home: str, damage: bytes) -> None:
    with connect(home) as connection:
        connection.sendall(encode_frame(2, b"B", b"x") + damage)

        code = list(answers(connection, 1).values())
        end = connection.recv(1)

    assert (code, end) == ([81], b"")
    assert client(home).commit(b"a", [b"b"]), "others are served"


@pytest.mark.usefixtures("running")
def test_descriptors_nobody_announced_end_the_connection(home: str) -> None:
    with connect(home) as connection:
        send_descriptors(connection, encode_frame(1, b"B", b"x"), [0, 1])
        send_descriptors(connection, encode_frame(1, b"B", b"x"), [0, 1])

        assert connection.recv(1) == b""


@pytest.mark.usefixtures("running")
def test_a_slow_client_does_not_keep_others_waiting(home: str, folder: str) -> None:
    message, writer = os.pipe()
    environ = {"QMAILHOME": home}
    slow = subprocess.Popen([f"{folder}/qmail-queue"], env=environ, stdin=message, stdout=message)
    os.close(message)

    assert run_queue(folder, home, b"quick\n", b"Fa\0Tb\0\0").returncode == 0
    assert slow.poll() is None

    os.close(writer)
    assert slow.wait(PATIENCE) == 54


@pytest.mark.usefixtures("running")
def test_a_killed_qmail_queue_leaves_nothing(home: str, folder: str) -> None:
    message, writer = os.pipe()
    environ = {"QMAILHOME": home}
    victim = subprocess.Popen([f"{folder}/qmail-queue"], env=environ, stdin=message, stdout=message)
    os.close(message)
    feeder = threading.Thread(target=os.write, args=(writer, LARGE))
    feeder.start()
    feeder.join()
    wait_until(lambda: files_in(home))

    victim.kill()
    victim.wait()

    wait_until(lambda: files_in(home) == {})
    os.close(writer)
    assert bodies(home) == []


def test_a_second_daemon_says_so_and_ends(
    home: str, folder: str, running: subprocess.Popen[bytes]
) -> None:
    second = start_queued(home, folder)
    _, complaint = second.communicate(timeout=PATIENCE)

    assert second.returncode == 111
    assert b"qmail-queued: fatal: qmail-queued is already running in " in complaint
    assert running.poll() is None
    assert client(home).commit(b"a", [b"b"])


def test_the_socket_of_a_killed_daemon_is_replaced(home: str, folder: str) -> None:
    with queued(home, folder) as first:
        first.kill()
        first.wait()
    assert os.path.exists(f"{home}/run/queue.sock")

    with queued(home, folder):
        assert client(home).commit(b"a", [b"b"])


def test_term_ends_it_well(home: str, running: subprocess.Popen[bytes]) -> None:
    client(home).commit(b"a", [b"b"])

    running.send_signal(signal.SIGTERM)

    assert running.wait(PATIENCE) == 0
    assert not os.path.exists(f"{home}/run/queue.sock")


def test_an_answered_message_survives_kill(home: str, running: subprocess.Popen[bytes]) -> None:
    client(home).commit(b"a", [b"b"])

    running.kill()

    assert len(files_in(home, "todo")) == 1


@pytest.mark.usefixtures("running")
def test_in_a_private_home_the_socket_is_its_owners(home: str) -> None:
    assert os.stat(f"{home}/run/queue.sock").st_mode & 0o777 == 0o600


@pytest.mark.root
@pytest.mark.skipif(accounts.why_not() is not None, reason=str(accounts.why_not()))
def test_in_a_system_home_everybody_may_queue_and_qmailq_owns_the_files(folder: str) -> None:
    with accounts.accounts(), tempfile.TemporaryDirectory() as home:
        os.chmod(home, 0o755)
        layout.make_queue(home, roles_of(home))
        queue_owner = pwd.getpwnam("qmailq").pw_uid
        qmaild = pwd.getpwnam("qmaild").pw_uid

        with queued(home, folder):
            socket_mode = os.stat(f"{home}/run/queue.sock").st_mode & 0o777
            run_mode = os.stat(f"{home}/run").st_mode & 0o777
            codes = [
                run_queue(folder, home, b"x\n", b"Fa\0Tb\0\0", user=user, group=user).returncode
                for user in (NOBODY, qmaild)
            ]

        files = files_in(home)
        fields = sorted(data.split(b";")[0] for path, data in files.items() if "mess" in path)
        assert (codes, socket_mode, run_mode) == ([0, 0], 0o666, 0o755)
        assert {os.stat(f"{home}/queue/{path}").st_uid for path in files} == {queue_owner}
        assert b"invoked by uid 65534)" in fields[0] + fields[1]
        assert b"invoked from network)" in fields[0] + fields[1]


def test_without_it_the_owner_and_root_write_themselves(home: str) -> None:
    queue = client(home)
    queue.write(b"hello\n")

    assert queue.commit(b"a@b", [b"c@d"])

    assert bodies(home) == [b"hello\n"]
    owner = os.stat(f"{home}/queue").st_uid
    assert {os.stat(f"{home}/queue/{path}").st_uid for path in files_in(home)} == {owner}
