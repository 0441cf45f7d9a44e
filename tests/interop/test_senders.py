"""Programs that send mail through whatever `sendmail` is send it through ours."""

from __future__ import annotations

import subprocess
from email import message_from_bytes, policy
from typing import TYPE_CHECKING, cast

import pytest
from tests.support.peers import PATIENCE, require
from tests.support.private_home import PrivateHome, why_not

if TYPE_CHECKING:
    from collections.abc import Iterator
    from email.message import EmailMessage

pytestmark = [
    pytest.mark.peer,
    pytest.mark.process,
    pytest.mark.skipif(why_not() is not None, reason=str(why_not())),
]

TO = "kamu@mail.example.org"
PATCH = """\
From 0123456789012345678901234567890123456789 Mon Sep 17 00:00:00 2001
From: Aku <aku@mail.example.org>
Date: Wed, 1 Jan 2025 00:00:00 +0000
Subject: [PATCH] Mend the roof

From where it leaks.
---
 roof | 1 +
 1 file changed, 1 insertion(+)

diff --git a/roof b/roof
new file mode 100644
index 0000000..e69de29
--- /dev/null
+++ b/roof
@@ -0,0 +1 @@
+tile
--
2.39.5
"""


@pytest.fixture(scope="module")
def running() -> Iterator[PrivateHome]:
    """Give a home with the users aku and kamu that runs."""
    with PrivateHome("aku", "kamu") as home:
        home.start()
        yield home


@pytest.fixture
def home(running: PrivateHome) -> PrivateHome:
    """Give the running home with no mail in it."""
    running.wait_until_empty()
    for user in ("aku", "kamu"):
        running.remove_mail(user)
    return running


def send(home: PrivateHome, argv: list[str], text: str = "", **environ: str) -> None:
    """Run a program as aku, with `text` on its standard input; it must succeed."""
    done = subprocess.run(
        argv,
        input=text.encode(),
        capture_output=True,
        timeout=PATIENCE,
        check=False,
        **home.options(HOME=home.home_of("aku"), **environ),
    )
    assert done.returncode == 0, (done.stdout + done.stderr).decode()


def received(home: PrivateHome, user: str = "kamu") -> EmailMessage:
    """Return the only message that has come to `user`."""
    home.wait(lambda: bool(home.mail(user)), "nothing arrives")
    (message,) = home.mail(user)
    return cast("EmailMessage", message_from_bytes(message, policy=policy.default))


def body_of(message: EmailMessage) -> str:
    return cast("str", message.get_content())


def test_s_nail_sends(home: PrivateHome) -> None:
    argv = [require("s-nail", "s-nail"), "-:/", "-S", f"mta={home.path}/bin/sendmail"]
    send(
        home,
        [*argv, "-r", "aku@mail.example.org", "-s", "hello there", TO],
        "From me.\n.\nTo you.\n",
    )

    message = received(home)

    assert message["Return-Path"] == "<aku@mail.example.org>"
    assert message["Subject"] == "hello there"
    assert body_of(message) == "From me.\n.\nTo you.\n"


def test_a_script_that_mails_its_findings_reaches_its_user(home: PrivateHome) -> None:
    mail = require("s-nail", "s-nail")
    options = f"-:/ -S mta={home.path}/bin/sendmail"
    send(home, ["/bin/sh", "-c", f'printf "a\\nb\\n" | {mail} {options} -s "Security Events" kamu'])

    message = received(home)

    assert message["To"] == TO
    assert (message["Subject"], body_of(message)) == ("Security Events", "a\nb\n")


def test_mutt_sends_to_each_recipient_and_hides_who_gets_a_blind_copy(home: PrivateHome) -> None:
    argv = [require("mutt", "mutt"), "-n", "-F", "/dev/null"]
    argv += ["-e", f'set sendmail="{home.path}/bin/sendmail -oem -oi"']
    argv += ["-e", "set from=aku@mail.example.org use_envelope_from=yes copy=no"]
    send(
        home,
        [*argv, "-s", "hêllo", "-b", "aku@mail.example.org", "--", TO],
        "wörld\n",
        LC_ALL="C.UTF-8",
    )

    message = received(home)

    assert message["Return-Path"] == "<aku@mail.example.org>"
    assert (message["Subject"], body_of(message)) == ("hêllo", "wörld\n")
    blind = received(home, "aku")
    assert blind["Bcc"] is None
    assert blind["To"] == TO


@pytest.mark.parametrize("option", ["--smtp-server={}", "--sendmail-cmd={} -i"])
def test_git_send_email_sends_a_patch(home: PrivateHome, option: str) -> None:
    git = require("git", "git")
    require("/usr/lib/git-core/git-send-email", "git-email")
    patch = f"{home.top}/0001-roof.patch"
    with open(patch, "w", encoding="ascii") as file:
        file.write(PATCH)
    argv = [git, "send-email", "--quiet", "--confirm=never", "--suppress-cc=all", "--no-validate"]
    argv += ["--from=Aku <aku@mail.example.org>", f"--to={TO}", "--cc=aku"]
    who = {f"GIT_{role}_NAME": "Aku" for role in ("AUTHOR", "COMMITTER")}
    who |= {f"GIT_{role}_EMAIL": "aku@mail.example.org" for role in ("AUTHOR", "COMMITTER")}

    send(home, [*argv, option.format(f"{home.path}/bin/sendmail"), patch], **who)

    message = received(home)
    assert message["Subject"] == "[PATCH] Mend the roof"
    assert message["Return-Path"] == "<aku@mail.example.org>"
    assert body_of(message).startswith("From where it leaks.\n---\n")
    assert received(home, "aku")["Message-Id"] == message["Message-Id"]


def test_php_sends_with_its_own_default_command(home: PrivateHome) -> None:
    code = (
        "exit(mail($argv[1], 'From PHP', \"one\\n.\\ntwo\\n\","
        " ['From' => 'aku@mail.example.org', 'Bcc' => 'aku'], '-fkamu') ? 0 : 1);"
    )
    argv = [require("php", "php-cli"), "-n", "-d", f"sendmail_path={home.path}/bin/sendmail -t -i"]
    # PHP 8 ends header lines with CRLF unless told otherwise, and every qmail takes the CR
    # for a part of the line; see sendmail(8).
    argv += ["-d", "mail.mixed_lf_and_crlf=1"]

    send(home, [*argv, "-r", code, "--", TO])

    message = received(home)
    assert message["Return-Path"] == f"<{TO}>"
    assert (message["From"], message["Bcc"]) == ("aku@mail.example.org", None)
    assert body_of(message) == "one\n.\ntwo\n\n"  # PHP adds a line end
    assert received(home, "aku")["Subject"] == "From PHP"


def test_what_cron_has_to_say_reaches_the_owner_of_the_table(home: PrivateHome) -> None:
    # The command of Debian's cron, and the message it writes.
    argv = ["sendmail", "-FCronDaemon", "-i", "-B8BITMIME", "-oem", "kamu"]
    text = (
        "From: root (Cron Daemon)\nTo: kamu\nSubject: Cron <kamu@host> date\n"
        "MIME-Version: 1.0\nContent-Type: text/plain; charset=UTF-8\n"
        "Content-Transfer-Encoding: 8bit\nX-Cron-Env: <SHELL=/bin/sh>\n\n.\nWörld\n"
    )

    send(home, [f"{home.path}/bin/{argv[0]}", *argv[1:]], text, USER="root")

    message = received(home)
    assert message["From"] == "root@mail.example.org"
    assert message["To"] == TO
    assert body_of(message) == ".\nWörld\n"
