"""Programs that start once for each message or recipient import little: they must start fast."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from tests.support.launchers import PACKAGE, program_names
from tests.support.per_message import ARGUMENTS, ENVIRONMENT, PER_CONNECTION, PER_MESSAGE

pytestmark = pytest.mark.process

# Each costs more than a tenth of the budget of 25 ms.
EXPENSIVE = (
    "argparse asyncio collections contextlib dataclasses email enum functools inspect logging "
    "pathlib re selectors shutil signal socket ssl subprocess tempfile typing"
)

LIST_MODULES = """
import os, sys
sys.path.append({source!r})
sys.argv = [{name!r}, *{arguments!r}]
def report():
    os.write(2, b"\\nMODULES " + " ".join(sys.modules).encode() + b"\\n")
def end(code, end=os._exit):
    report()
    end(code)
os._exit = end
from pyqmail.programs.run import launch
launch({home!r})
"""


@pytest.mark.parametrize(
    "name", [name for name in (*PER_MESSAGE, *PER_CONNECTION) if name in program_names()]
)
def test_a_program_of_every_message_imports_nothing_expensive(
    name: str, tmp_path: os.PathLike[str]
) -> None:
    modules = modules_after_a_run(name, os.fspath(tmp_path))

    assert "pyqmail.programs.run" in modules
    assert sorted(modules & set(EXPENSIVE.split())) == []


def modules_after_a_run(name: str, home: str) -> set[str]:
    """Run a program where it finds nothing, as far as it gets; return what it loaded."""
    program = LIST_MODULES.format(
        source=os.path.dirname(PACKAGE), name=name, arguments=ARGUMENTS.get(name, []), home=home
    )
    environ = {"PATH": os.defpath, "QMAILHOME": home, "QMAILQUEUE": "/bin/false", **ENVIRONMENT}
    answer = subprocess.run(
        [sys.executable, "-IS", "-c", program],
        input=b"to: aku@example.org\n\nhello\n",
        env=environ,
        cwd=home,
        capture_output=True,
        timeout=30,
        check=False,
    )
    _, mark, listed = answer.stderr.rpartition(b"\nMODULES ")
    assert mark, f"{name} did not end as a program does: {answer.stderr!r}"
    return set(listed.decode().split())
