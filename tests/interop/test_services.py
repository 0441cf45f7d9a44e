"""The services of a running home, spoken to by Python's own clients."""

from __future__ import annotations

import contextlib
import json
import os
import poplib
import signal
import smtplib
import socket
import ssl
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from tests.support.private_home import HOST, NO_SERVICES, QMAILCTL, PrivateHome, lives, why_not

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(why_not() is not None, reason=str(why_not())),
]

NAMES = ("smtp", "submission", "smtps", "pop3", "pop3s")
ANYWHERE = tuple(f"--listen={name}=127.0.0.1:0" for name in NAMES)
LETTER = b"Subject: hello\r\n\r\nfrom afar\r\n"
PASSWORD = "correct horse"


@pytest.fixture(scope="module")
def home() -> Iterator[PrivateHome]:
    """Give a running home with aku, who has a password."""
    with PrivateHome("aku") as home:
        set_password(home)
        home.start("--json", *ANYWHERE)
        yield home


@pytest.fixture
def unstarted() -> Iterator[PrivateHome]:
    with PrivateHome("aku") as home:
        yield home


def set_password(home: PrivateHome) -> None:
    answer = home.run("qmailctl", "user", "passwd", "aku", text=PASSWORD.encode() + b"\n")
    assert answer.returncode == 0, answer.stderr


def ports(home: PrivateHome) -> dict[str, int]:
    first, _, _ = home.log().partition("\n")
    return {name: place["port"] for name, place in json.loads(first)["services"].items()}


def believing(home: PrivateHome) -> ssl.SSLContext:
    """Return the context of a client that knows the home's own certificate and no other."""
    return ssl.create_default_context(cafile=f"{home.path}/control/servercert.pem")


def smtp(home: PrivateHome, name: str = "smtp") -> smtplib.SMTP:
    return smtplib.SMTP("127.0.0.1", ports(home)[name], "client.example.net", timeout=20)


def wait_for_letter(home: PrivateHome, count: int) -> bytes:
    home.wait(lambda: len(home.mail("aku")) > count, "the letter did not arrive")
    home.wait_until_empty()
    return max(home.mail("aku"), key=lambda letter: b"from afar" in letter)


def test_the_first_line_says_what_listens_where(home: PrivateHome) -> None:
    first = json.loads(home.log().partition("\n")[0])

    assert first["home"] == home.path
    assert list(first["services"]) == list(NAMES)
    assert {place["host"] for place in first["services"].values()} == {"127.0.0.1"}
    assert len({place["port"] for place in first["services"].values()} - {0}) == len(NAMES)


def test_a_letter_by_smtp_arrives(home: PrivateHome) -> None:
    home.remove_mail("aku")
    with smtp(home) as client:
        client.sendmail("sue@far.example.net", [f"aku@{HOST}"], LETTER)

    letter = wait_for_letter(home, 0)

    assert letter.endswith(b"Subject: hello\n\nfrom afar\n")
    assert b"Received: from unknown (HELO client.example.net) (127.0.0.1)\n" in letter


def test_who_does_not_exist_is_refused_with_550(home: PrivateHome) -> None:
    with smtp(home) as client:
        client.helo()
        client.mail("sue@far.example.net")

        assert client.rcpt(f"nobody@{HOST}") == (
            550,
            b"sorry, no mailbox here by that name. (#5.1.1)",
        )
        assert client.rcpt(f"aku@{HOST}") == (250, b"ok")


def test_mail_for_elsewhere_is_refused_to_strangers_and_taken_from_users(
    home: PrivateHome,
) -> None:
    with smtp(home) as client:
        client.helo()
        client.mail(f"aku@{HOST}")
        assert client.rcpt("ann@far.example.net")[0] == 553
    with smtp(home) as client:
        client.starttls(context=believing(home))
        client.ehlo()
        assert "auth" not in client.esmtp_features  # that is for submission
    with smtp(home, "submission") as client:
        client._host = HOST  # noqa: SLF001  the name that the certificate must have
        client.starttls(context=believing(home))
        client.login("aku", PASSWORD)
        client.mail(f"aku@{HOST}")
        assert client.rcpt("ann@far.example.net") == (250, b"ok")


def test_submission_begins_in_the_clear_and_asks_for_a_password(home: PrivateHome) -> None:
    with smtp(home, "submission") as client:
        client.ehlo()
        assert "auth" not in client.esmtp_features
        client.starttls(context=believing(home))
        client.ehlo()
        assert client.mail(f"aku@{HOST}")[0] == 530
        with pytest.raises(smtplib.SMTPAuthenticationError):
            client.login("aku", "wrong")
        client.login("aku", PASSWORD)
        assert client.mail(f"aku@{HOST}") == (250, b"ok")


def test_smtps_speaks_tls_from_the_start(home: PrivateHome) -> None:
    home.remove_mail("aku")
    port = ports(home)["smtps"]
    with smtplib.SMTP_SSL("127.0.0.1", port, context=believing(home), timeout=20) as client:
        client.login("aku", PASSWORD)
        client.sendmail(f"aku@{HOST}", [f"aku@{HOST}"], LETTER)

    letter = wait_for_letter(home, 0)

    assert b"with ESMTPSA" in letter


@pytest.mark.parametrize("way", ["pop3", "stls", "pop3s"])
def test_mail_can_be_read_by_pop3(home: PrivateHome, way: str) -> None:
    home.remove_mail("aku")
    home.inject(b"to: aku\n\nfrom afar\n")
    wait_for_letter(home, 0)

    client = pop3(home, way)
    client.user("aku")
    client.pass_(PASSWORD)
    _, lines, _ = client.retr(1)
    client.dele(1)
    client.quit()

    assert b"from afar" in lines
    home.wait(lambda: not home.mail("aku"), "the letter is still there")


def pop3(home: PrivateHome, way: str) -> poplib.POP3:
    if way == "pop3s":
        port = ports(home)[way]
        return poplib.POP3_SSL("127.0.0.1", port, timeout=20, context=believing(home))
    client = poplib.POP3("127.0.0.1", ports(home)["pop3"], timeout=20)
    if way == "stls":
        client.host = HOST  # the name that the certificate must have
        client.stls(context=believing(home))
    return client


# Starting and stopping.


def test_without_json_a_line_for_each_service_comes_first(unstarted: PrivateHome) -> None:
    unstarted.start(*NO_SERVICES, "--listen=smtp=127.0.0.1:0", "--listen=smtps=[::1]:0")

    first, second, *_ = unstarted.log().splitlines()

    assert first.startswith("qmailctl: smtp listens on 127.0.0.1:")
    assert second.startswith("qmailctl: smtps listens on [::1]:")
    assert "submission listens" not in unstarted.log()
    assert unstarted.stop() == 0


def test_an_occupied_port_is_named_in_one_line_and_all_is_stopped(unstarted: PrivateHome) -> None:
    with socket.create_server(("127.0.0.1", 0)) as occupant:
        port = occupant.getsockname()[1]
        place = f"--listen=smtps=127.0.0.1:{port}"
        server = unstarted.start_another(unstarted.log_path, *ANYWHERE, place)

        assert server.wait(20) == 111

    assert unstarted.log() == (
        f"qmailctl: fatal: smtps cannot listen on 127.0.0.1:{port}: address already used: "
        "name another place, any free port (--listen smtps=127.0.0.1:0) "
        "or none (--listen smtps=off)\n"
    )
    unstarted.start()  # nothing is in the way
    assert unstarted.stop() == 0


def test_two_services_cannot_be_in_one_place(unstarted: PrivateHome) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        place = f"127.0.0.1:{free.getsockname()[1]}"
    options = (f"--listen=smtp={place}", f"--listen=smtps={place}")

    server = unstarted.start_another(unstarted.log_path, *NO_SERVICES, *options)

    assert server.wait(20) == 111
    assert f"cannot listen on {place}: tcpserver ended with code 111: name" in unstarted.log()


def test_a_service_that_does_not_exist_is_a_wrong_command_line(unstarted: PrivateHome) -> None:
    server = unstarted.start_another(unstarted.log_path, "--listen=imap=127.0.0.1:0")

    assert server.wait(20) == 100
    assert unstarted.log() == (
        "qmailctl: fatal: no service imap: there are smtp, submission, smtps, pop3, pop3s\n"
    )


def test_a_service_manager_hears_when_mail_is_taken_and_when_no_more(
    unstarted: PrivateHome,
) -> None:
    path = f"{unstarted.top}/notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(path)
        os.chmod(path, 0o777)
        manager.settimeout(20)
        unstarted.start("--json", *ANYWHERE, NOTIFY_SOCKET=path)

        assert manager.recv(100) == b"READY=1"
        with smtp(unstarted) as client:
            assert client.helo()[0] == 250
        assert unstarted.stop() == 0
        assert manager.recv(100) == b"STOPPING=1"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_leaves_nothing_even_if_clients_are_connected(
    unstarted: PrivateHome, number: signal.Signals
) -> None:
    unstarted.start("--json", *ANYWHERE)
    pids = unstarted.family()

    with smtp(unstarted) as client:
        client.helo()
        os.kill(unstarted.pid, number)
        unstarted.wait_until_gone(pids)
        with contextlib.suppress(smtplib.SMTPServerDisconnected):
            client.noop()

    assert unstarted.stop() == 0
    assert len(pids) >= 12
    for port in ports(unstarted).values():
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))


def test_a_server_that_dies_comes_back_to_its_place(unstarted: PrivateHome) -> None:
    unstarted.start("--json", *ANYWHERE)
    port = ports(unstarted)["smtp"]

    unstarted.kill(f"tcpserver 127.0.0.1 {port}")

    unstarted.wait_until_logged("qmailctl: starting the tcpserver of smtp again\n")
    unstarted.wait(lambda: answers(port), "smtp did not come back")
    assert "qmailctl: the tcpserver of smtp was killed by SIGKILL\n" in unstarted.log()
    assert unstarted.stop() == 0


def answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
            return connection.recv(4) == b"220 "
    except OSError:
        return False


def test_a_server_that_cannot_come_back_makes_no_storm(unstarted: PrivateHome) -> None:
    unstarted.start("--json", *ANYWHERE)
    port = ports(unstarted)["smtp"]
    os.unlink(f"{unstarted.path}/bin/tcpserver")
    unstarted.write("bin/tcpserver", "#!/bin/sh\nexit 1\n")
    os.chmod(f"{unstarted.path}/bin/tcpserver", 0o755)

    unstarted.kill(f"tcpserver 127.0.0.1 {port}")

    unstarted.wait_until_logged("the tcpserver of smtp ended with code 1\n", times=2)
    time.sleep(2.5)
    assert unstarted.log().count("starting the tcpserver of smtp again") == 2
    home_still_works = unstarted.run("qmail-inject", text=b"to: aku\n\nhello\n")
    assert home_still_works.returncode == 0
    assert unstarted.stop() == 0


def test_the_servers_are_gone_if_the_first_process_is_killed(unstarted: PrivateHome) -> None:
    unstarted.start("--json", *ANYWHERE)
    pids = unstarted.family()

    os.kill(unstarted.pid, signal.SIGKILL)

    unstarted.wait(lambda: not any(map(lives, pids)), "processes were left behind")
    assert not unstarted.runs()


def test_where_the_usual_ports_are_is_in_the_help() -> None:
    answer = subprocess.run(
        [sys.executable, "-c", QMAILCTL, "run", "--help"],
        capture_output=True,
        check=True,
        env={**os.environ, "COLUMNS": "200"},
    )

    assert b"NAME=HOST:PORT" in answer.stdout
