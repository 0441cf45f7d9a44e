"""A system home that is started: by csh as the tutorials say, by qmailctl, by Debian's svscan."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
from typing import TYPE_CHECKING

import pytest
from tests.support.system_home import HOST, PREFIX, SystemHome, why_not

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.process,
    pytest.mark.root,
    pytest.mark.skipif(why_not() is not None, reason=str(why_not())),
    pytest.mark.xdist_group("system home: boot"),
]

# What `ps ax` shows in the tutorials, and whose each process is.
USERS = {
    "qmail-send": "qmails",
    "qmail-lspawn": "root",
    "qmail-rspawn": "qmailr",
    "qmail-clean": "qmailq",
    "qmail-queued": "qmailq",
}


@pytest.fixture(scope="module")
def home() -> Iterator[SystemHome]:
    with SystemHome("aku") as home:
        use_port(home, free_port())
        yield home


@pytest.fixture(autouse=True)
def clean(home: SystemHome) -> Iterator[None]:
    yield
    home.kill_all()
    shutil.rmtree(f"{home.path}/rc", ignore_errors=True)
    if os.path.exists(f"{home.path}/rc"):
        os.unlink(f"{home.path}/rc")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def use_port(home: SystemHome, port: int) -> None:
    """Let the network service be at another port, as an administrator would."""
    path = f"{home.path}/supervise/qmail-smtpd/run"
    with open(path, encoding="utf-8") as file:
        text = file.read()
    assert " 0 smtp qmail-smtpd" in text
    with open(path, "w", encoding="utf-8") as file:
        file.write(text.replace(" 0 smtp qmail-smtpd", f" 127.0.0.1 {port} qmail-smtpd"))
    home.port = port


def users_of(home: SystemHome) -> dict[str, str]:
    """Return the user of each process, by its title."""
    found = {}
    for title, pids in home.processes().items():
        uid = os.stat(f"/proc/{pids[0]}").st_uid
        name = os.path.basename(title.removesuffix(":"))
        found[name] = pwd.getpwuid(uid).pw_name.removeprefix(PREFIX)
    return found


def runs(home: SystemHome) -> bool:
    return USERS.items() <= users_of(home).items()


def letters(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def ctl(home: SystemHome, *arguments: str) -> str:
    done = home.run("qmailctl", *arguments)
    assert done.returncode == 0, (arguments, done.stdout, done.stderr)
    return done.stdout


def greeting(home: SystemHome) -> str:
    try:
        with socket.create_connection(("127.0.0.1", home.port), timeout=20) as connection:
            return connection.recv(512).decode()
    except ConnectionRefusedError:
        return ""


@pytest.mark.peer
@pytest.mark.skipif(shutil.which("csh") is None, reason="needs csh")
def test_csh_starts_rc_as_the_tutorials_say(home: SystemHome) -> None:
    mailbox, name = f"{home.home_of('aku')}/Mailbox", f"{PREFIX}aku"
    shutil.copy(f"{home.path}/boot/home", f"{home.path}/rc")
    command = ["csh", "-cf", f"{home.path}/rc &"]

    nowhere = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
    subprocess.run(command, check=True, env=home.environ(), cwd="/", **nowhere)
    home.wait(lambda: runs(home), f"not all runs: {users_of(home)}")

    home.wait(lambda: "splogger" in users_of(home), "nothing logs")
    assert users_of(home)["splogger"] == "qmaill"
    titles = {home.title_of(pid) for pids in home.processes().values() for pid in pids}
    assert {"qmail-lspawn ./Mailbox", "splogger qmail", "qmail-send"} <= titles
    for address in (name, "sembarangan"):
        assert home.run("qmail-inject", text=f"to: {address}\n\nhalo\n", user="aku").returncode == 0
    home.wait(lambda: f"Delivered-To: {name}@{HOST}" in letters(mailbox), "no letter came")
    home.wait(lambda: "no mailbox here by that name" in letters(mailbox), "no bounce came")
    assert pwd.getpwuid(os.stat(mailbox).st_uid).pw_name == name
    ctl(home, "stop")


def test_rc_may_be_a_folder_of_scripts(home: SystemHome) -> None:
    os.mkdir(f"{home.path}/rc")
    for name in ("home", "proc"):
        shutil.copy(f"{home.path}/boot/{name}", f"{home.path}/rc/{name}")

    ctl(home, "start")

    home.wait(lambda: "splogger" in users_of(home), "the script of the folder was not used")
    ctl(home, "stop")
    assert "qmail-send" not in home.processes()


def test_the_commands_of_the_well_known_script(home: SystemHome) -> None:
    assert ctl(home, "start").splitlines() == ["Starting qmail", "  qmail-send", "  qmail-smtpd"]
    home.wait(lambda: runs(home), f"not all runs: {users_of(home)}")

    home.wait(lambda: greeting(home).startswith(f"220 {HOST}"), "nobody greets")
    assert users_of(home)["tcpserver"] == "qmaild"
    assert {os.stat(f"/proc/{pid}").st_uid for pid in home.processes()["splogger"]} == {
        home.account("qmaill").pw_uid
    }
    assert "qmail-send: up (pid " in ctl(home, "stat")
    assert "messages in queue: 0" in ctl(home, "stat")
    assert "messages in queue: 0" in ctl(home, "queue")
    assert ctl(home, "queue", "list") == ""
    assert ctl(home, "start").splitlines()[1:] == [
        "  qmail-send runs already",
        "  qmail-smtpd runs already",
    ]
    for command in ("doqueue", "alrm", "flush", "reload", "hup"):
        assert "signal to qmail-send" in ctl(home, command)
    before = home.processes()["qmail-send"]
    assert ctl(home, "restart").count("* ") == 4
    home.wait(lambda: runs(home), f"not all runs: {users_of(home)}")
    assert home.processes()["qmail-send"] != before
    assert "Reloaded" in ctl(home, "cdb")
    assert "doqueue" in ctl(home, "help")

    ctl(home, "stop")

    home.wait(lambda: not home.processes(), f"these go on: {home.processes()}")
    assert "qmail-send: down" in ctl(home, "stat")
    assert home.run("qmailctl", "doqueue").returncode == 100


def test_a_pause_keeps_letters_and_a_stop_ends_it(home: SystemHome) -> None:
    path = f"{home.home_of('aku')}/Mailbox"
    ctl(home, "start")
    ctl(home, "pause")
    home.run("qmail-inject", f"{PREFIX}aku", text="subject: paused\n\nx\n", user="aku")

    assert "subject: paused" not in letters(path)
    ctl(home, "cont")
    home.wait(lambda: "subject: paused" in letters(path), "no letter came")

    ctl(home, "pause")
    ctl(home, "stop")
    home.wait(lambda: not home.processes(), f"these go on: {home.processes()}")


def status_of(pid: int) -> dict[str, str]:
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
        fields = (line.rstrip("\n").partition(":\t") for line in file)
        return {name: value for name, _, value in fields}


def test_what_a_process_has_given_up_it_cannot_get_back(home: SystemHome) -> None:
    ctl(home, "start")
    home.wait(lambda: runs(home), f"not all runs: {users_of(home)}")

    for title, role in USERS.items():
        for pid in home.processes()[title]:
            # qmail-queued gives up what is left before it listens, the others before they greet.
            home.wait(lambda pid=pid: "Cap" in str(status_of(pid)), "it is gone")
            status, uid = status_of(pid), os.stat(f"/proc/{pid}").st_uid
            qmail = str(home.account("qmailq").pw_gid)
            assert set(status["Uid"].split()) == {str(uid)}, title
            assert set(status["Gid"].split()) == {qmail}, title
            assert status["Groups"].split() == [qmail], title
            if role != "root":
                assert int(status["CapPrm"], 16) == int(status["CapEff"], 16) == 0, title
            # What users' .qmail files run may be set-uid: not in the line of qmail-lspawn.
            wanted = "0" if title == "qmail-lspawn" else "1"
            home.wait(lambda pid=pid, wanted=wanted: status_of(pid)["NoNewPrivs"] == wanted, title)
    ctl(home, "stop")


def test_the_program_of_a_user_may_be_set_uid(home: SystemHome) -> None:
    path = f"{home.home_of('aku')}/.qmail-rights"
    with open(path, "w", encoding="ascii") as file:
        file.write("|grep NoNewPrivs /proc/self/status > rights; id > who; ulimit -c > core\n")
    os.chown(path, home.account("aku").pw_uid, home.account("aku").pw_gid)
    ctl(home, "start")

    home.run("qmail-inject", f"{PREFIX}aku-rights", text="\n", user="aku")

    folder = home.home_of("aku")
    home.wait(lambda: letters(f"{folder}/core") != "", "it did not run")
    assert letters(f"{folder}/rights").split() == ["NoNewPrivs:", "0"]
    assert f"({PREFIX}aku)" in letters(f"{folder}/who")
    assert "qmail" not in letters(f"{folder}/who").replace(PREFIX, "", 9).partition("groups=")[2]
    ctl(home, "stop")


def test_an_ordinary_user_is_told_to_be_root(home: SystemHome) -> None:
    done = home.run("qmailctl", "stop", user="aku")

    assert (done.returncode, "run this as root" in done.stderr) == (100, True)


@pytest.mark.peer
@pytest.mark.skipif(shutil.which("svscan") is None, reason="needs daemontools")
def test_svscan_runs_the_services_and_qmailctl_tells_supervise(home: SystemHome) -> None:
    service = f"{home.top}/service"
    os.mkdir(service)
    for name in ("qmail-send", "qmail-smtpd"):
        os.symlink(f"{home.path}/supervise/{name}", f"{service}/{name}")
    with subprocess.Popen(["svscan", service], env=home.environ(), start_new_session=True) as scan:
        try:
            home.wait(lambda: runs(home), f"not all runs: {users_of(home)}")
            home.wait(lambda: "multilog" in users_of(home), "nothing is logged")
            assert users_of(home)["multilog"] == "qmaill"
            log = f"{home.path}/supervise/qmail-send/log/main/current"
            home.wait(lambda: "status: local 0/10 remote 0/20" in letters(log), "no log")
            home.wait(lambda: "up (pid" in ctl(home, "stat"), "it is not up")

            ctl(home, "stop")
            assert "qmail-send: down" in ctl(home, "stat")
            assert "qmail-send" not in home.processes()

            ctl(home, "start")
            home.wait(lambda: runs(home), f"not all runs: {users_of(home)}")
            ctl(home, "doqueue")
            ctl(home, "pause")
            home.wait(lambda: "paused" in ctl(home, "stat"), "it is not paused")
            ctl(home, "cont")
            ctl(home, "stop")
        finally:
            os.killpg(scan.pid, signal.SIGKILL)
    home.kill_all()
    shutil.rmtree(service)


def test_the_scripts_and_units_name_this_home(home: SystemHome) -> None:
    for name in ("openrc/qmail", "init.d/qmail"):
        path = f"{home.path}/services/{name}"
        subprocess.run(["sh", "-n", path], check=True)
        assert f"{home.path}/bin/qmailctl" in letters(path)
    for name in ("qmail-send", "qmail-smtpd"):
        unit = letters(f"{home.path}/services/systemd/{name}.service")
        assert f"ExecStart={home.path}/supervise/{name}/run" in unit


def test_the_init_script_starts_and_stops(home: SystemHome) -> None:
    script = f"{home.path}/services/init.d/qmail"
    for verb, code in (("start", 0), ("status", 0), ("nonsense", 100), ("stop", 0)):
        done = subprocess.run([script, verb], env=home.environ(), check=False, capture_output=True)
        assert done.returncode == code, (verb, done)
    home.wait(lambda: not home.processes(), f"these go on: {home.processes()}")


@pytest.mark.peer
@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_finds_nothing_wrong_with_the_units(home: SystemHome) -> None:
    units = [
        f"{home.path}/services/systemd/{name}.service" for name in ("qmail-send", "qmail-smtpd")
    ]

    done = subprocess.run(
        ["systemd-analyze", "verify", *units], check=False, capture_output=True, text=True
    )

    assert home.path not in done.stderr
