"""A system home: made by root, looked at, put right, completed."""

from __future__ import annotations

import grp
import os
import pwd
import stat
import subprocess
from typing import TYPE_CHECKING

import pytest
import trustme
from tests.support.system_home import HOST, PREFIX, SystemHome, why_not

from pyqmail.control.roles import FAMILY, GROUPS
from pyqmail.home import checking, system_checking
from pyqmail.home.findings import mend

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.process,
    pytest.mark.root,
    pytest.mark.skipif(why_not() is not None, reason=str(why_not())),
    pytest.mark.xdist_group("system home"),
]

# qmail's hier.c and INSTALL: path, owner, group, mode.
OF_THE_ORIGINAL = (
    (".", "root", "qmail", 0o755),
    ("control", "root", "qmail", 0o755),
    ("users", "root", "qmail", 0o755),
    ("bin", "root", "qmail", 0o755),
    ("boot", "root", "qmail", 0o755),
    ("doc", "root", "qmail", 0o755),
    ("man", "root", "qmail", 0o755),
    ("man/man8", "root", "qmail", 0o755),
    ("man/cat5", "root", "qmail", 0o755),
    ("boot/home", "root", "qmail", 0o755),
    ("boot/binm3+df", "root", "qmail", 0o755),
    ("alias", "alias", "qmail", 0o2755),
    ("queue", "qmailq", "qmail", 0o750),
    ("queue/pid", "qmailq", "qmail", 0o700),
    ("queue/intd", "qmailq", "qmail", 0o700),
    ("queue/todo", "qmailq", "qmail", 0o750),
    ("queue/mess", "qmailq", "qmail", 0o750),
    ("queue/mess/22", "qmailq", "qmail", 0o750),
    ("queue/info/0", "qmails", "qmail", 0o700),
    ("queue/local/7", "qmails", "qmail", 0o700),
    ("queue/remote/13", "qmails", "qmail", 0o700),
    ("queue/bounce", "qmails", "qmail", 0o700),
    ("queue/lock", "qmailq", "qmail", 0o750),
    ("queue/lock/sendmutex", "qmails", "qmail", 0o600),
    ("queue/lock/tcpto", "qmailr", "qmail", 0o644),
    ("queue/lock/trigger", "qmails", "qmail", 0o622),
)


@pytest.fixture(scope="module")
def home() -> Iterator[SystemHome]:
    with SystemHome("aku") as home:
        yield home


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing that is found hang on the machine; test_machine_checking.py looks at that."""
    monkeypatch.setattr(checking, "check_machine", lambda *_, **__: ())
    # Where a checkout lies, and whose it is, is not the home's business.
    monkeypatch.setattr(system_checking, "library_folders", lambda: ["/usr/lib"])


def findings(home: SystemHome, *, fix: bool = False, level: str = "error") -> set[tuple[str, str]]:
    """Return place and text of what is found; after it was mended, if that is asked for."""
    found = checking.check_home(home.path)
    for _ in range(2 if fix else 0):
        mend(found)
        found = checking.check_home(home.path)
    return {(each.place, each.text) for each in found if each.level == level}


def state_of(home: SystemHome, name: str) -> tuple[str, str, int]:
    status = os.lstat(f"{home.path}/{name}")
    user, group = pwd.getpwuid(status.st_uid).pw_name, grp.getgrgid(status.st_gid).gr_name
    mode = stat.S_IMODE(status.st_mode)
    return user.removeprefix(PREFIX), group.removeprefix(PREFIX), mode


def test_the_accounts_and_groups_of_the_original_are_made(home: SystemHome) -> None:
    groups = {name: grp.getgrnam(PREFIX + name).gr_gid for name in GROUPS}

    for role, group in FAMILY.items():
        account = home.account(role)
        assert account.pw_gid == groups[group], role
        assert account.pw_dir == (f"{home.path}/alias" if role == "alias" else home.path)
        assert account.pw_shell.endswith(("nologin", "false"))
        assert account.pw_uid != 0


@pytest.mark.parametrize(("name", "owner", "group", "mode"), OF_THE_ORIGINAL)
def test_owner_group_and_mode_are_those_of_the_original(
    home: SystemHome, name: str, owner: str, group: str, mode: int
) -> None:
    assert state_of(home, name) == (owner, group, mode)


def test_it_says_what_it_made_and_what_comes_next(home: SystemHome) -> None:
    lines = home.said.splitlines()

    assert f"made account or group {PREFIX}qmailq" in lines
    assert f"made account or group {PREFIX}nofiles" in lines
    assert lines[-2] == f"{home.path} is the system's home for {HOST}."
    assert lines[-1].startswith(f"Next: {home.path}/bin/qmailctl check")


def test_nothing_is_set_uid(home: SystemHome) -> None:
    files = [f"{folder}/{name}" for folder, _, names in os.walk(home.path) for name in names]

    assert len(files) > 50
    assert not [path for path in files if os.lstat(path).st_mode & (stat.S_ISUID | stat.S_ISGID)]


def test_check_finds_no_error_in_a_new_home(home: SystemHome) -> None:
    assert findings(home) == set()


def test_a_second_setup_keeps_numbers_controls_and_mail(home: SystemHome) -> None:
    numbers = {role: home.account(role).pw_uid for role in FAMILY}
    home.write("control/locals", "mine.example.org\n")

    done = home.setup()

    assert (done.returncode, done.stderr) == (0, "")
    assert "made account" not in done.stdout
    assert {role: home.account(role).pw_uid for role in FAMILY} == numbers
    with open(f"{home.path}/control/locals", encoding="ascii") as file:
        assert file.read() == "mine.example.org\n"
    home.write("control/locals", f"{HOST}\n")


@pytest.mark.parametrize(
    ("name", "spoil", "found"),
    [
        ("queue/info", lambda path: os.chown(path, 0, -1), "has the wrong owner"),
        ("queue/mess/3", lambda path: os.chown(path, -1, 0), "has the wrong group"),
        ("queue/lock/trigger", lambda path: os.chmod(path, 0o666), "has the wrong mode"),
        ("alias", lambda path: os.chmod(path, 0o755), "has the wrong mode"),
        ("queue/bounce", os.rmdir, "does not exist"),
        ("queue/lock/tcpto", os.unlink, "does not exist"),
        ("queue/lock/trigger", os.unlink, "does not exist"),
        ("man/cat7", os.rmdir, "does not exist"),
        ("boot/proc", lambda path: os.chmod(path, 0o777), "has the wrong mode"),
        ("control/me", lambda path: os.chmod(path, 0o600), "cannot be read by"),
    ],
)
def test_what_is_wrong_is_named_and_mended(
    home: SystemHome, name: str, spoil: object, found: str
) -> None:
    before = state_of(home, name)
    spoil(f"{home.path}/{name}")

    (place, text), *_ = sorted(findings(home))
    assert (place, text.startswith(found)) == (name, True), text

    assert findings(home, fix=True) == set()
    after = state_of(home, name)
    assert after == before or name == "control/me"
    assert after[2] == before[2]


@pytest.mark.parametrize("name", ["smtproutes_auth", "clientcert.pem"])
def test_a_secret_of_qmail_remote_is_given_to_it_and_to_nobody_else(
    home: SystemHome, name: str
) -> None:
    pem = trustme.CA().issue_cert(HOST).private_key_and_cert_chain_pem.bytes().decode()
    home.write(f"control/{name}", pem if name.endswith(".pem") else "relay joe secret\n")
    os.chmod(f"{home.path}/control/{name}", 0o600)
    try:
        before = {place for place, _ in findings(home)}

        after = findings(home, fix=True)

        assert (before, after) == ({f"control/{name}"}, set())
        assert state_of(home, f"control/{name}") == ("qmailr", "qmail", 0o600)
    finally:
        os.unlink(f"{home.path}/control/{name}")


def test_a_folder_in_the_place_of_a_file_is_left_to_people(home: SystemHome) -> None:
    path = f"{home.path}/queue/lock/tcpto"
    os.unlink(path)
    os.mkdir(path)

    found = findings(home, fix=True)

    assert found == {
        ("queue/lock/tcpto", "has the wrong type: it is a folder, and should be a file")
    }
    os.rmdir(path)
    findings(home, fix=True)


def test_mending_follows_no_link_that_an_account_of_the_queue_has_put_there(
    home: SystemHome,
) -> None:
    victim = f"{home.top}/victim"
    os.mkdir(victim, 0o700)
    os.rename(f"{home.path}/queue/info/5", f"{home.path}/queue/info/5.old")
    os.symlink(victim, f"{home.path}/queue/info/5")

    found = findings(home, fix=True)

    assert ("queue/info/5", "has the wrong type: it is a link, and should be a folder") in found
    assert (os.stat(victim).st_uid, stat.S_IMODE(os.stat(victim).st_mode)) == (0, 0o700)
    os.unlink(f"{home.path}/queue/info/5")
    os.rename(f"{home.path}/queue/info/5.old", f"{home.path}/queue/info/5")


def test_files_of_a_queue_that_have_other_numbers_are_given_to_their_accounts(
    home: SystemHome,
) -> None:
    for name in ("mess/2/25", "info/2/25"):
        with open(f"{home.path}/queue/{name}", "w", encoding="ascii") as file:
            file.write("Fann@example.org\0")
        os.chown(f"{home.path}/queue/{name}", 12345, 12345)
    with open(f"{home.path}/queue/intd/26", "w", encoding="ascii") as file:
        file.write("u1\0p1\0Fann@example.org\0\0")
    os.link(f"{home.path}/queue/intd/26", f"{home.path}/queue/todo/26")

    found = {place for place, _ in findings(home)}
    left = findings(home, fix=True)

    assert found == {"queue/mess", "queue/info", "queue/intd", "queue/todo"}
    assert left == set()
    assert state_of(home, "queue/mess/2/25") == ("qmailq", "qmail", 0o644)
    assert state_of(home, "queue/info/2/25") == ("qmails", "qmail", 0o600)
    assert state_of(home, "queue/todo/26") == ("qmailq", "qmail", 0o644)
    for name in ("mess/2/25", "info/2/25", "todo/26", "intd/26"):
        os.unlink(f"{home.path}/queue/{name}")


def test_a_missing_account_is_named_and_made(home: SystemHome) -> None:
    name = f"{PREFIX}qmailp"
    subprocess.run(["userdel", name], check=True, capture_output=True)

    assert (name, "is missing from the accounts and groups of this machine") in findings(home)

    assert findings(home, fix=True) == set()
    assert home.account("qmailp").pw_gid == grp.getgrnam(f"{PREFIX}nofiles").gr_gid


def test_a_certificate_is_given_to_the_daemons_and_kept_from_others(home: SystemHome) -> None:
    warnings = findings(home, level="warning")
    assert (
        "control/servercert.pem",
        "is missing, so neither TLS nor AUTH is offered: write key and certificate into it",
    ) in warnings
    home.write("control/servercert.pem", "x")
    os.chmod(f"{home.path}/control/servercert.pem", 0o600)

    assert any("cannot be read by" in text for _, text in findings(home))

    findings(home, fix=True)
    assert state_of(home, "control/servercert.pem") == ("root", "nofiles", 0o640)
    os.unlink(f"{home.path}/control/servercert.pem")


def test_the_command_mends_and_says_what_it_did(home: SystemHome) -> None:
    os.chmod(f"{home.path}/queue/todo", 0o700)

    done = home.run("qmailctl", "check", "--fix")

    mended = "queue/todo: mended: it has the wrong mode: 0700, and not 0750\n"
    assert (done.stderr, done.returncode) == (mended, 0), done.stdout
    assert "queue/todo" not in done.stdout


def test_an_ordinary_user_is_told_what_he_may_not_see(home: SystemHome) -> None:
    done = home.run("qmailctl", "check", user="aku")

    assert "cannot be looked at: run this as root" in done.stdout
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--prefix", "other"], "a home keeps the accounts it began with"),
        (["--user", "daemon"], "--user is for private ones"),
        (["--home", "/etc"], "/etc is not empty, and no home of qmail"),
    ],
)
def test_what_cannot_be_is_refused(home: SystemHome, arguments: list[str], text: str) -> None:
    done = home.setup(*arguments)

    assert done.returncode == 100
    assert text in done.stderr


def test_an_ordinary_user_cannot_make_one(home: SystemHome) -> None:
    done = home.run("qmailctl", "setup", "--system", "--host", HOST, user="aku")

    assert done.returncode == 100
    assert "run this as root" in done.stderr


def test_programs_of_another_qmail_stay_and_are_named(home: SystemHome) -> None:
    path = f"{home.path}/bin/qmail-getpw"
    os.unlink(path)
    with open(path, "w", encoding="ascii") as file:
        file.write("the original\n")

    done = home.setup()

    assert f"not ours in {home.path}/bin, and left as they are: qmail-getpw;" in done.stdout
    with open(path, encoding="ascii") as file:
        assert file.read() == "the original\n"
    os.unlink(path)
    assert home.setup().returncode == 0
    assert os.readlink(path) == "pyqmail"


def test_sendmail_of_the_machine_becomes_ours_and_theirs_again(home: SystemHome) -> None:
    # Only in a name space of its own, where /usr is a copy that can be changed.
    script = f"""
        set -e
        mkdir {home.top}/usr && mount -t tmpfs none {home.top}/usr
        mkdir {home.top}/usr/changes {home.top}/usr/work
        mount -t overlay none /usr \
            -o lowerdir=/usr,upperdir={home.top}/usr/changes,workdir={home.top}/usr/work
        rm -f /usr/sbin/sendmail
        echo theirs > /usr/sbin/sendmail
        {home.path}/bin/qmailctl setup --sendmail && readlink /usr/sbin/sendmail &&
        {home.path}/bin/qmailctl setup --sendmail --undo && cat /usr/sbin/sendmail
    """
    before = os.path.lexists("/usr/lib/sendmail")

    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script],
        check=False,
        capture_output=True,
        text=True,
        env=home.environ(),
    )

    lines = done.stdout.splitlines()
    assert f"{home.path}/bin/sendmail" in lines, done.stderr
    assert lines[-1] == "theirs"
    assert os.path.lexists("/usr/lib/sendmail") == before


def test_what_is_uninstalled_leaves_mail_queue_and_what_people_wrote(home: SystemHome) -> None:
    home.write("boot/mine", "#!/bin/sh\n")
    with open(f"{home.path}/queue/mess/0/23", "w", encoding="ascii") as file:
        file.write("a letter\n")

    done = home.run("qmailctl", "setup", "--uninstall")

    assert (done.returncode, done.stderr) == (0, "")
    left = set(os.listdir(home.path))
    assert (
        {"alias", "boot", "control", "queue", "users"}
        <= left
        <= {
            *(
                "alias",
                "boot",
                "control",
                "queue",
                "users",
                "supervise",
                "services",
                "tcp.smtp",
                "rc",
            )
        }
    )
    assert os.listdir(f"{home.path}/boot") == ["mine"]
    assert os.path.exists(f"{home.path}/queue/mess/0/23")
    assert f"userdel {PREFIX}qmailq" in done.stdout

    os.unlink(f"{home.path}/boot/mine")
    os.unlink(f"{home.path}/queue/mess/0/23")
    assert home.setup().returncode == 0
    assert findings(home) == set()
