"""The way into and out of every program.

`launch()` is what the launchers in `$QMAILHOME/bin` call: it finds the module
of the program by the name it was called by. `run()` is what the module calls:
it turns results and failures into exit codes and lines on descriptor 2.
"""

from __future__ import annotations

import os
import sys

from pyqmail.errors import TRANSIENT, Failure, PermanentFailure, TransientFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import NoReturn

DEFAULT_HOME = b"/var/qmail"

# Programs that are another program under a second name.
SECOND_NAMES = {"mailq": "sendmail", "newaliases": "sendmail", "pineq": "pinq"}


def module_of(name: str) -> str:
    """Return the module that holds the program `name`."""
    name = SECOND_NAMES.get(name, name)
    return "pyqmail.programs." + name.replace("-", "_").replace("@", "_at")


def program_names() -> list[str]:
    """Return the names of all programs, second names too."""
    folder = os.path.dirname(__file__)
    modules = [name[:-3] for name in os.listdir(folder) if _is_program(os.path.join(folder, name))]
    names = [_name_of(module) for module in modules]
    names += [second for second, first in SECOND_NAMES.items() if first in names]
    return sorted(names)


def _name_of(module: str) -> str:
    name = module.removesuffix("_at") + "@" if module.endswith("_at") else module
    return name.replace("_", "-")


def _is_program(path: str) -> bool:
    if not path.endswith(".py"):
        return False
    with open(path, encoding="utf-8") as file:
        return "\ndef main(" in file.read()


def launch(default_home: str) -> NoReturn:
    """Run the program that the launcher was called as; `default_home` is the launcher's.

    `pyqmail NAME ARGUMENT …` runs the program NAME too.
    """
    os.environ.setdefault("QMAILHOME", default_home)
    name = os.path.basename(sys.argv[0])
    if name == "pyqmail" and len(sys.argv) > 1:
        del sys.argv[0]
        name = sys.argv[0]
    module = module_of(name)
    try:
        __import__(module)
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        sys.stderr.write(f"{name}: fatal: pyqmail has no program of this name\n")
        sys.exit(TRANSIENT)
    sys.modules[module].main()
    sys.exit(0)


def run(name: str, function: Callable[[Sequence[bytes], Mapping[bytes, bytes]], int]) -> NoReturn:
    """Call `function` with arguments and environment, and end with the exit code it returns.

    A failure becomes the line `NAME: fatal: TEXT` and its own exit code.
    Whatever nobody foresaw is transient: the message waits for a repair.
    """
    arguments = [os.fsencode(argument) for argument in sys.argv[1:]]
    code = call(name, function, arguments, os.environb)
    if sys.stdout is not None:  # descriptor 1 may be closed
        sys.stdout.flush()
    if "threading" in sys.modules:
        sys.exit(code)  # threads may have something to finish
    # An interpreter that takes itself apart would cost a small program a sixth of its time.
    os._exit(code)


def call(
    name: str,
    function: Callable[[Sequence[bytes], Mapping[bytes, bytes]], int],
    arguments: Sequence[bytes],
    environ: Mapping[bytes, bytes],
) -> int:
    """Return the exit code of the program `name`, which `function` is, after its last words."""
    try:
        return function(arguments, environ)
    except Failure as failure:
        complain(name, failure.text)
        return failure.exit_code
    except Exception as error:  # noqa: BLE001  the border of the program
        complain(name, f"unexpected {type(error).__name__}: {error}".encode())
        return TRANSIENT


def home_of(environ: Mapping[bytes, bytes]) -> str:
    """Return the path of the home this program belongs to: QMAILHOME."""
    return os.fsdecode(environ.get(b"QMAILHOME", DEFAULT_HOME))


def require(environ: Mapping[bytes, bytes], name: bytes) -> bytes:
    """Return the value of a variable that must be set; qmail-command(8)."""
    value = environ.get(name)
    if value is None:
        raise PermanentFailure(name + b" not set")
    return value


def require_for_now(environ: Mapping[bytes, bytes], name: bytes) -> bytes:
    """Return the value of a variable that should be set: nobody loses mail if it is not."""
    value = environ.get(name)
    if value is None:
        raise TransientFailure(name + b" not set")
    return value


def complain(name: str, text: bytes) -> None:
    """Write the line `NAME: fatal: TEXT` on descriptor 2, in one write."""
    os.write(2, name.encode() + b": fatal: " + text + b"\n")
