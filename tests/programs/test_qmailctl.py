"""qmailctl: setup, user, check, queue. `run` is in test_qmailctl_run.py."""

from __future__ import annotations

import errno
import json
import os
import pty
import subprocess
import termios
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.children import NOBODY, as_ordinary_user
from tests.support.places import ordinary_place
from tests.support.private_home import why_not

from pyqmail.home.setup import setup
from pyqmail.login.sources import find_login
from pyqmail.queue import layout

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(why_not() is not None, reason=str(why_not())),
]

Done = subprocess.CompletedProcess[str]


class Qmailctl:
    """Runs qmailctl as an ordinary user, or as who calls."""

    def __init__(self, launchers: str, place: Path) -> None:
        self.argv = [f"{launchers}/qmailctl"]
        self.place = place
        self.home = place / "home"

    def options(self, environ: dict[str, str], *, as_root: bool) -> dict[str, Any]:
        variables = {"PATH": os.defpath, "QMAILHOME": str(self.home)}
        options: dict[str, Any] = {"env": variables | environ, "cwd": "/"}
        if os.getuid() == 0 and not as_root:
            options |= {"user": NOBODY, "group": NOBODY, "extra_groups": []}
        return options

    def __call__(
        self, *arguments: str, as_root: bool = False, text: str = "", **environ: str
    ) -> Done:
        done = subprocess.run(
            [*self.argv, *arguments],
            input=text,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            **self.options(environ, as_root=as_root),
        )
        assert "Traceback" not in done.stderr
        return done

    def on_a_terminal(self, *arguments: str) -> str:
        """Return what people see."""
        ours, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, (24, 200))
        with subprocess.Popen(
            [*self.argv, *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            **self.options({"TERM": "xterm", "NO_COLOR": "1"}, as_root=False),
        ):
            os.close(theirs)
            seen = _read_terminal(ours)
        return seen.decode()


def _read_terminal(descriptor: int) -> bytes:
    pieces = []
    with open(descriptor, "rb", buffering=0) as terminal:
        try:
            while piece := terminal.read(4096):
                pieces.append(piece)
        except OSError as error:  # Linux's way to say that the other end is closed
            if error.errno != errno.EIO:
                raise
    return b"".join(pieces)


@pytest.fixture
def unmade(launchers: str) -> Iterator[Qmailctl]:
    """Give qmailctl for a home that is not there yet."""
    with ordinary_place() as place:
        yield Qmailctl(launchers, place)


@pytest.fixture
def qmailctl(unmade: Qmailctl) -> Qmailctl:
    """Give qmailctl for a home that is made."""
    as_ordinary_user(lambda: setup(str(unmade.home), b"mail.example.org", None, ()).name)
    return unmade


def queue_message(home: Path, number: int, reverse_path: bytes) -> None:
    """Put a message into the queue that is preprocessed and waits."""
    queue = home / "queue"
    for path, text in (
        (layout.message_path(number), b"x" * 246),
        (layout.info_path(number), b"F" + reverse_path + b"\0"),
    ):
        (queue / path).write_bytes(text)
        os.utime(queue / path, (1735873506, 1735873506))
        os.chown(queue / path, home.stat().st_uid, -1)


# The command line.


def test_without_a_command_it_shows_what_there_is(unmade: Qmailctl) -> None:
    asked, silent = unmade("--help"), unmade()

    assert (asked.returncode, silent.returncode) == (0, 100)
    for command in ("setup", "run", "check", "user", "queue"):
        assert command in asked.stdout
        assert command in silent.stdout


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["nonsense"], "No such command 'nonsense'"),
        (["user", "add"], "Missing argument 'NAME'"),
        (["setup"], "Missing option '--host'"),
        (["check", "--nonsense"], "No such option"),
    ],
)
def test_a_command_line_that_is_wrong_ends_with_100(
    unmade: Qmailctl, arguments: list[str], text: str
) -> None:
    done = unmade(*arguments)

    assert (done.returncode, done.stdout) == (100, "")
    assert text in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [["user", "add", "aku"], ["user", "list"], ["run"], ["check"], ["queue", "list"]],
)
def test_a_home_that_is_not_there_is_told_of(unmade: Qmailctl, arguments: list[str]) -> None:
    done = unmade(*arguments)

    assert (done.returncode, done.stdout) == (100, "")
    assert done.stderr == (
        f"qmailctl: fatal: there is no home {unmade.home}: "
        f"make one with qmailctl setup --home {unmade.home}\n"
    )


def test_a_home_without_a_path_is_not_the_working_directory(unmade: Qmailctl) -> None:
    done = unmade("setup", "--host", "mail.example.org", "--home", "")

    assert (done.returncode, done.stderr) == (
        100,
        "qmailctl: fatal: the path of the home is empty\n",
    )


# setup


def test_setup_makes_a_home_and_says_what_comes_next(unmade: Qmailctl) -> None:
    done = unmade("setup", "--host", "mail.example.org", "--home", str(unmade.home), QMAILHOME="/x")

    owner = "nobody" if os.getuid() == 0 else ""
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{unmade.home} is a home of {owner}")
    command = f"{unmade.home}/bin/qmailctl"
    assert done.stdout.endswith(f"Next: {command} user add NAME; {command} run\n")
    assert os.readlink(unmade.home / "bin" / "qmail-inject") == "pyqmail"
    assert unmade("check").stdout == ""


def test_setup_where_nothing_can_be_made_names_the_folder(unmade: Qmailctl) -> None:
    done = unmade("setup", "--host", "mail.example.org", "--home", f"{unmade.place}/a/b")

    assert (done.returncode, done.stderr) == (
        111,
        f"qmailctl: fatal: {unmade.place}/a/b: No such file or directory\n",
    )


def test_a_link_is_not_made_a_home(unmade: Qmailctl) -> None:
    (unmade.place / "folder").mkdir()
    (unmade.place / "link").symlink_to("folder")

    done = unmade("setup", "--host", "mail.example.org", "--home", f"{unmade.place}/link")

    assert (done.returncode, done.stderr) == (
        100,
        f"qmailctl: fatal: {unmade.place}/link is a link: name the folder it leads to\n",
    )
    assert list((unmade.place / "folder").iterdir()) == []


def test_by_whatever_path_a_home_is_named_its_users_are_the_same(qmailctl: Qmailctl) -> None:
    (qmailctl.place / "link").symlink_to("home")

    qmailctl("user", "add", "aku", "--home", f"{qmailctl.place}/link")

    assert qmailctl("user", "list").stdout == f"aku\t{qmailctl.home}/home/aku\n"


@pytest.mark.root
@pytest.mark.skipif(os.getuid() != 0, reason="needs root, as sudo does")
def test_a_home_made_with_sudo_belongs_to_who_asked(unmade: Qmailctl) -> None:
    os.chmod(unmade.place, 0o777)

    done = unmade("setup", "--host", "mail.example.org", as_root=True, SUDO_USER="daemon")

    assert done.stdout.startswith(f"{unmade.home} is a home of daemon for mail.example.org.\n")
    assert unmade.home.stat().st_uid == 1


# user


def test_a_user_is_added_listed_and_removed(qmailctl: Qmailctl) -> None:
    folder = f"{qmailctl.home}/home/aku"

    added, listed = qmailctl("user", "add", "aku"), qmailctl("user", "list")
    as_json, removed = qmailctl("user", "list", "--json"), qmailctl("user", "remove", "aku")

    assert added.stdout == f"Mail for aku goes to {folder}/Maildir.\n"
    assert listed.stdout == f"aku\t{folder}\n"
    assert json.loads(as_json.stdout) == [{"name": "aku", "folder": folder}]
    assert removed.stdout == f"Mail for aku bounces from now on; {folder} stays.\n"
    assert qmailctl("user", "list", "--json").stdout == "[]\n"
    assert os.path.isdir(folder)


def test_a_user_can_be_removed_with_all_his_mail(qmailctl: Qmailctl) -> None:
    qmailctl("user", "add", "aku")

    done = qmailctl("user", "remove", "aku", "--with-mail")

    assert done.stdout.endswith("/home/aku is deleted.\n")
    assert not (qmailctl.home / "home" / "aku").exists()


def test_a_user_of_a_virtual_domain_is_added_listed_and_removed(qmailctl: Qmailctl) -> None:
    name = "budi@virtual.example.org"
    folder = f"{qmailctl.home}/domains/virtual.example.org/budi"

    added, again = (qmailctl("user", "add", name, "--json") for _ in range(2))
    plain = qmailctl("user", "add", name.upper().replace("BUDI", "budi"))
    listed = qmailctl("user", "list")
    removed = qmailctl("user", "remove", name, "--with-domain", "--with-mail")

    assert json.loads(added.stdout) == {"name": name, "folder": folder, "new": True}
    assert json.loads(again.stdout) == {"name": name, "folder": folder, "new": False}
    assert plain.stdout == f"Mail for {name} goes already to {folder}/Maildir.\n"
    assert listed.stdout == f"{name}\t{folder}\n"
    assert removed.stdout == (
        f"Mail for virtual.example.org is not taken any more; {folder} is deleted.\n"
    )
    assert qmailctl("user", "list", "--json").stdout == "[]\n"


def test_passwords_are_set_and_taken_away_as_scripts_want_it(qmailctl: Qmailctl) -> None:
    name = "budi@virtual.example.org"
    qmailctl("user", "add", name)

    given = qmailctl("user", "passwd", name, "--json", text="secret\n")
    taken = qmailctl("user", "passwd", name, "--json", "--remove")
    unknown = qmailctl("user", "passwd", "ani@virtual.example.org", "--json", text="secret\n")

    assert json.loads(given.stdout) == {"name": name, "password": True}
    assert json.loads(taken.stdout) == {"name": name, "password": False}
    assert (unknown.returncode, unknown.stdout) == (100, "")
    assert unknown.stderr == "qmailctl: fatal: there is no user ani@virtual.example.org\n"


def test_in_a_private_home_mail_is_nobodys_but_the_owners(qmailctl: Qmailctl) -> None:
    done = qmailctl("user", "add", "aku", "--account", "vmail")

    assert (done.returncode, done.stdout) == (100, "")
    assert "--account is for system homes" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["add", "Aku"], "not a name for a user: Aku: use lower-case letters, digits and -_.+"),
        (["add", "../aku"], "not a name for a user: ../aku"),
        (["remove", "aku"], "there is no user aku"),
    ],
)
def test_what_cannot_be_a_user_is_refused(
    qmailctl: Qmailctl, arguments: list[str], text: str
) -> None:
    done = qmailctl("user", *arguments)

    assert (done.returncode, done.stderr) == (100, f"qmailctl: fatal: {text}\n")


def test_a_name_need_not_be_text(qmailctl: Qmailctl) -> None:
    added = qmailctl("user", "add", os.fsdecode(b"a\xff"))

    assert (added.returncode, added.stderr) == (0, "")
    assert qmailctl("user", "list").stdout.startswith("a\\xff\t")
    assert (qmailctl.home / "home" / os.fsdecode(b"a\xff")).is_dir()


def test_a_broken_line_is_named_with_file_and_number(qmailctl: Qmailctl) -> None:
    (qmailctl.home / "users" / "assign").write_text("=a:b:1:2:/:::\n+c:d\n.\n")

    done = qmailctl("user", "list")

    assert (done.returncode, done.stderr) == (
        111,
        "qmailctl: fatal: users/assign line 2: fewer than seven colons\n",
    )


@pytest.mark.root
@pytest.mark.skipif(os.getuid() != 0, reason="needs root, who becomes the owner of a home")
def test_what_root_adds_belongs_to_the_owner_of_the_home(qmailctl: Qmailctl) -> None:
    qmailctl("user", "add", "aku", as_root=True)

    top = qmailctl.home / "home" / "aku"
    assert {path.stat().st_uid for path in [top, *top.rglob("*")]} == {NOBODY}


# check


def test_check_finds_nothing_in_a_new_home(launchers: str, unmade: Qmailctl) -> None:
    assert launchers
    unmade("setup", "--host", "mail.example.org")

    done = unmade("check")

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_check_names_file_and_line_and_ends_with_100(qmailctl: Qmailctl) -> None:
    (qmailctl.home / "control" / "databytes").write_text("lots\n")

    plain, as_json = qmailctl("check"), qmailctl("check", "--json")

    assert plain.returncode == as_json.returncode == 100
    assert plain.stdout == "error\tcontrol/databytes line 1\tnot a number: lots\n"
    assert json.loads(as_json.stdout) == [
        {"level": "error", "place": "control/databytes line 1", "text": "not a number: lots"}
    ]


def test_check_ends_with_0_if_nothing_is_worse_than_odd(qmailctl: Qmailctl) -> None:
    (qmailctl.home / "alias" / ".qmail-root").unlink()

    done = qmailctl("check")

    assert done.returncode == 0
    assert done.stdout == "warning\talias/.qmail-root\tis missing: mail to root bounces\n"


# queue


def test_the_queue_is_listed(qmailctl: Qmailctl) -> None:
    queue_message(qmailctl.home, 53, b"aku@example.org")

    plain, as_json = qmailctl("queue", "list"), qmailctl("queue", "list", "--json")

    assert plain.stdout == "53\t3 Jan 2025 03:05:06 -0000\t246\taku@example.org\t\n"
    assert json.loads(as_json.stdout) == [
        {
            "number": 53,
            "date": "3 Jan 2025 03:05:06 -0000",
            "size": 246,
            "sender": "aku@example.org",
            "state": "",
        }
    ]


def test_what_was_accepted_while_nothing_runs_is_listed_too(qmailctl: Qmailctl) -> None:
    queue = qmailctl.home / "queue"
    queue_message(qmailctl.home, 53, b"")
    (queue / layout.info_path(53)).unlink()
    (queue / "todo" / "53").write_bytes(b"u7\0p9\0Fann@example.org\0Taku\0")
    os.utime(queue / "todo" / "53", (1735873506, 1735873506))

    done = qmailctl("queue", "list")

    assert done.stdout == "53\t3 Jan 2025 03:05:06 -0000\t246\tann@example.org\tnew\n"


def test_a_sender_cannot_write_on_the_terminal(qmailctl: Qmailctl) -> None:
    queue_message(qmailctl.home, 53, b"[bold]a[/b]\x1b[2J\t\xff@example.org")

    plain, seen = qmailctl("queue", "list"), qmailctl.on_a_terminal("queue", "list")

    shown = r"[bold]a[/b]\x1b[2J\t\xff@example.org"
    assert plain.stdout.split("\t")[3] == shown
    assert shown in seen


def test_people_see_a_table_or_that_there_is_nothing(qmailctl: Qmailctl) -> None:
    nothing = qmailctl.on_a_terminal("queue", "list")
    queue_message(qmailctl.home, 53, b"aku@example.org")

    table = qmailctl.on_a_terminal("queue", "list")

    assert nothing == "No message waits.\r\n"
    assert "number" in table
    assert "aku@example.org" in table


def test_a_message_that_cannot_be_read_hides_no_other(qmailctl: Qmailctl) -> None:
    queue_message(qmailctl.home, 53, b"aku@example.org")
    queue_message(qmailctl.home, 54, b"kamu@example.org")
    (qmailctl.home / "queue" / layout.message_path(53)).unlink()

    lines = sorted(qmailctl("queue", "list").stdout.splitlines())

    assert lines[0] == "53\t\t\t\ttrouble: file does not exist"
    assert lines[1].startswith("54\t")


@pytest.mark.root
@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to be a stranger to the home")
def test_a_stranger_is_told_who_may_look_at_the_queue(qmailctl: Qmailctl) -> None:
    stranger = {"user": 1, "group": 1, "extra_groups": [], "cwd": "/"}
    environ = {"PATH": os.defpath, "QMAILHOME": str(qmailctl.home)}

    listed = subprocess.run(
        [*qmailctl.argv, "queue", "list"],
        capture_output=True,
        check=False,
        env=environ,
        **stranger,
    )
    checked = subprocess.run(
        [*qmailctl.argv, "check"], capture_output=True, check=False, env=environ, **stranger
    )

    assert listed.returncode == 100
    assert listed.stderr.decode() == (
        f"qmailctl: fatal: {qmailctl.home}/queue is not for everybody: "
        "run this as nobody or as root\n"
    )
    assert (
        checked.stdout == b"warning\tqueue\tcannot be looked at: run this as root or as the owner\n"
    )


def test_a_home_without_a_queue_is_told_of(qmailctl: Qmailctl) -> None:
    (qmailctl.home / "queue").rename(qmailctl.home / "elsewhere")

    done = qmailctl("queue", "list")

    assert (done.returncode, done.stderr) == (
        100,
        f"qmailctl: fatal: there is no {qmailctl.home}/queue: run qmailctl setup\n",
    )


def may_log_in(qmailctl: Qmailctl, name: bytes, password: bytes) -> bool:
    return as_ordinary_user(lambda: find_login(str(qmailctl.home), name, password) is not None)


def test_a_password_lets_its_user_in_until_it_is_taken_away(qmailctl: Qmailctl) -> None:
    qmailctl("user", "add", "joe")

    done = qmailctl("user", "passwd", "joe", text="secret\n")

    assert done.stdout == "joe can log in with the new password.\n"
    assert may_log_in(qmailctl, b"joe", b"secret")
    assert "secret" not in (qmailctl.home / "users" / "passwd").read_text()
    assert qmailctl("user", "passwd", "joe", "--remove").returncode == 0
    assert not may_log_in(qmailctl, b"joe", b"secret")
    assert qmailctl("user", "passwd", "joe", "--remove").returncode == 100


def test_a_user_can_be_added_with_a_password_and_takes_it_along(qmailctl: Qmailctl) -> None:
    assert qmailctl("user", "add", "joe", "--password", text="secret").returncode == 0
    assert may_log_in(qmailctl, b"joe", b"secret")

    qmailctl("user", "remove", "joe")

    assert (qmailctl.home / "users" / "passwd").read_text() == ""


@pytest.mark.parametrize(
    ("options", "scram", "plain"),
    [([], True, False), (["--no-scram"], False, False), (["--plain"], True, True)],
)
def test_what_is_kept_of_a_password_can_be_chosen(
    qmailctl: Qmailctl, options: list[str], *, scram: bool, plain: bool
) -> None:
    qmailctl("user", "add", "joe")

    qmailctl("user", "passwd", "joe", *options, text="secret\n")

    line = (qmailctl.home / "users" / "passwd").read_text()
    assert line.startswith("joe:$argon2id$")
    assert ("{SCRAM-SHA-256}" in line) == scram
    assert ("{PLAIN}secret" in line) == plain
    assert may_log_in(qmailctl, b"joe", b"secret")


@pytest.mark.parametrize(
    ("name", "password"), [("joe", ""), ("joe", "x" * 256), ("joe", "a\rb"), ("ann", "secret")]
)
def test_a_password_that_would_let_nobody_in_is_refused(
    qmailctl: Qmailctl, name: str, password: str
) -> None:
    qmailctl("user", "add", "joe")

    done = qmailctl("user", "passwd", name, text=password)

    assert done.returncode in (100, 111)
    assert done.stderr.startswith("qmailctl: fatal: ")
    assert not (qmailctl.home / "users" / "passwd").exists()


def test_check_looks_at_passwords(qmailctl: Qmailctl) -> None:
    passwd = qmailctl.home / "users" / "passwd"
    qmailctl("user", "add", "joe", "--password", text="secret")
    good = passwd.read_text()

    def found() -> str:
        answer = json.loads(qmailctl("check", "--json").stdout)
        return "".join(each["text"] for each in answer if each["place"].startswith("users/passwd"))

    assert found() == ""
    passwd.write_text(good + "ann:oops\n")
    assert "nobody knows" in found()
    passwd.write_text(good.replace("joe", "ann"))
    assert "not in users/assign" in found()
    passwd.chmod(0o644)
    assert "chmod o=" in found()


# autoconfig


def test_autoconfig_writes_files_and_prints_records(qmailctl: Qmailctl) -> None:
    folder = qmailctl.place / "web"
    as_ordinary_user(folder.mkdir)
    qmailctl("user", "add", "budi@virtual.example.org")

    plain = qmailctl("autoconfig", str(folder), "--web", "www.example.org")
    as_json = json.loads(
        qmailctl("autoconfig", str(folder), "--json", "--domain", "mail.example.org").stdout
    )

    name = f"{folder}/virtual.example.org/autodiscover/autodiscover.xml"
    assert f"; {name}\n" in plain.stdout
    assert "_pop3s._tcp.virtual.example.org. IN SRV 0 1 2995 mail.example.org.\n" in plain.stdout
    assert "autoconfig.mail.example.org. IN CNAME www.example.org.\n" in plain.stdout
    assert os.path.isfile(name)
    assert all(os.path.isfile(name) for name in as_json["files"])
    assert as_json["records"][-1] == {
        "name": "autodiscover.mail.example.org.",
        "type": "CNAME",
        "data": "mail.example.org.",
    }


def test_autoconfig_for_a_domain_of_nobody_ends_with_100(qmailctl: Qmailctl) -> None:
    done = qmailctl("autoconfig", str(qmailctl.place), "--domain", "far.example.net")

    assert (done.returncode, done.stdout) == (100, "")
    assert done.stderr == "qmailctl: fatal: nobody has mail in the domain far.example.net\n"
