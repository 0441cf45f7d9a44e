"""qmailctl check and autoconfig."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest
from tests.support.children import as_ordinary_user
from tests.support.private_home import why_not

if TYPE_CHECKING:
    from tests.support.qmailctl import Qmailctl

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(why_not() is not None, reason=str(why_not())),
]


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
