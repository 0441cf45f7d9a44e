"""What is unusually large is handled in bounded memory; `bench/run bounds` measures more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.commands import Commands

pytestmark = pytest.mark.process

SIZE = 1_000_000  # bytes of a header section
MEMORY = 90_000_000  # bytes of address space; 35 MB of it are the interpreter


@pytest.mark.parametrize(
    "part",
    [b"A: b\n", b" \n", b"ab,", b"ab ", b"()", b'"A B" <a@b.c>,\n\t'],
)
def test_a_header_section_of_megabytes_needs_little_memory(commands: Commands, part: bytes) -> None:
    message = b"To: x " + part * (SIZE // len(part)) + b"\n\n"

    done = commands.run("qmail-inject", message=message, memory=MEMORY)

    assert (done.returncode, done.stderr) == (0, b"")
    assert len(commands.queued()) == 1


def test_a_hundred_thousand_recipients_keep_their_order(commands: Commands) -> None:
    paths = [b"u%d@example.org" % number for number in range(100_000)]

    done = commands.run("qmail-inject", message=b"To: " + b", ".join(paths) + b"\n", memory=MEMORY)

    assert done.returncode == 0
    ((_, envelope),) = commands.queued()
    assert envelope.split(b"\0T")[1:] == [*paths[:0:-1], paths[0] + b"\0\0"]


def test_ten_thousand_forward_lines_make_one_message(commands: Commands, tmp_path: Path) -> None:
    lines = [f"&u{number}@example.org" for number in range(10_000)]
    (tmp_path / "home").mkdir(mode=0o755)
    (tmp_path / "home" / ".qmail").write_text("\n".join(lines))

    done = commands.run(
        *(
            "qmail-local",
            "joe",
            f"{tmp_path}/home",
            "joe",
            "",
            "",
            "example.org",
            "s@x",
            "./Mailbox",
        ),
        memory=MEMORY,
    )

    assert done.stdout.splitlines()[0] == b"did 0+10000+0"
    ((_, envelope),) = commands.queued()
    assert envelope.count(b"\0T") == len(lines)
