"""Runs one vector: a program with its input, and all that came of it."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import subprocess
import threading
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from tests.differential.replay import trees
from tests.differential.replay.homes import ScratchHome, account_entry
from tests.differential.replay.strangers import (
    NetstringServer,
    ScriptedServer,
    ending_of,
    envelope_fields,
)
from tests.differential.replay.words import NormalForm, filled_bytes
from tests.support.queue_stub import QueueStub

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    # Runs the program of a vector; returns exit code and what it wrote on descriptors 1 and 2.
    Execute = Callable[
        [Mapping[str, Any], ScratchHome, Mapping[bytes, bytes]], tuple[int | str, bytes, bytes]
    ]

NOBODY = 65534
TIMEOUT = 30  # seconds for one program
SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"

KNOWN_FIELDS = (
    "id about program argv argv0 env control users alias queue no_queue want_queue files home_mode "
    "stdin stdin_type fd1 qq_exit qq_error qq_signal pre as root needs accounts ago ignore_files "
    "only sorted quirk ehlo server expect"
)


def why_not(vector: Mapping[str, Any], bin_folder: str) -> str | None:
    """Return why the vector cannot run here; None if it can."""
    if not os.path.lexists(f"{bin_folder}/{vector['program']}"):
        return f"there is no {vector['program']} yet"
    if vector.get("root") and os.getuid() != 0:
        return "needs root"
    missing = [name for name in vector.get("needs", []) if account_entry(name) is None]
    return f"needs the accounts {' '.join(missing)}" if missing else None


def run(
    vector: Mapping[str, Any], bin_folder: str, execute: Execute | None = None
) -> dict[str, Any]:
    """Run a vector in a scratch home of its own; return its outcome in normal form.

    `execute` runs the program in another way than as a command.
    """
    unknown = vector.keys() - set(KNOWN_FIELDS.split())
    assert not unknown, f"the vector says {unknown}, which nobody here obeys"
    with ExitStack() as stack:
        scratch = ScratchHome(bin_folder)
        stack.callback(scratch.remove)
        queue = QueueStub(scratch.capture, f"{scratch.top}/captured", ending_of(vector))
        server = _server_of(vector)
        if server:
            stack.callback(server.stop)
            scratch.port = server.port
        for descriptor in _lay(vector, scratch):
            stack.callback(os.close, descriptor)
        environ = _environ(vector, scratch)
        for argv in vector.get("pre", []):
            path = shutil.which(argv[0], path=f"{bin_folder}:{SYSTEM_PATH}") or argv[0]
            subprocess.run([path, *argv[1:]], env=environ, cwd=scratch.work, check=False, **QUIET)
        before = _look(scratch)
        start = time.time()
        code, out, err = (execute or _execute)(vector, scratch, environ)
        normal = NormalForm(start, time.time(), scratch.places(), vector.get("ago"))
        outcome = _outcome(vector, scratch, normal, before, (code, out, err))
        outcome["queued"] = [
            normal.outcome({"message": message.decode("latin-1"), **envelope_fields(envelope)})
            for message, envelope in queue.received()
        ]
        if server:
            server.stop()
            outcome["server"] = [normal.text(text) for text in server.seen]
        return {field: value for field, value in outcome.items() if value or field in ALWAYS_THERE}


def _server_of(vector: Mapping[str, Any]) -> ScriptedServer | NetstringServer | None:
    """Return the server that the vector wants on loopback: QMQP has a port of its own."""
    script = vector.get("server")
    if script is None:
        return None
    return NetstringServer(script) if "port" in script else ScriptedServer(script)


ALWAYS_THERE = ("exit", "server")  # other fields that are empty are left out
QUIET = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


def _own(vector: Mapping[str, Any], top: str) -> dict[str, str]:
    """Return the files that switch off what we do on purpose and the original does not."""
    checks = top == "control" and vector["program"] == "qmail-smtpd"
    return {"recipientcheck": "0\n"} if checks else {}


def _lay(vector: Mapping[str, Any], scratch: ScratchHome) -> list[int]:
    """Lay out all files of a vector; return the descriptors that must stay open."""
    words = scratch.words()
    if "queue" in vector and not vector.get("no_queue"):
        scratch.make_queue()
    elif not vector.get("no_queue"):
        scratch.make_timeout_table()
    for top in ("control", "users", "alias", "queue"):
        for name, kind in {**_own(vector, top), **(vector.get(top) or {})}.items():
            path = f"{scratch.home}/{top}/{name}"
            if kind is None:
                trees.remove(path)
                continue
            trees.lay(path, kind, words)
            if top == "queue":
                _own_queue_file(path, name)
    owner = NOBODY if _as_nobody(vector) else None
    held = []
    for name, kind in (vector.get("files") or {}).items():
        descriptor = trees.lay(f"{scratch.work}/{name}", kind, words, owner)
        held += [] if descriptor is None else [descriptor]
    if owner is not None:
        trees.hand_over(scratch.work, NOBODY, NOBODY)
    if "home_mode" in vector:
        os.chmod(scratch.work, int(vector["home_mode"], 8))
    return held


def _own_queue_file(path: str, name: str) -> None:
    owner = account_entry("qmailq" if name.startswith(("mess", "todo")) else "qmails")
    if os.getuid() == 0 and owner:
        os.chown(path, owner.pw_uid, owner.pw_gid)


def _as_nobody(vector: Mapping[str, Any]) -> bool:
    return vector.get("as") == "nonroot" and os.getuid() == 0


def _environ(vector: Mapping[str, Any], scratch: ScratchHome) -> dict[bytes, bytes]:
    environ = {
        "PATH": f"{scratch.bin}:{SYSTEM_PATH}",
        "TZ": "UTC",
        "HOME": scratch.work,
        "QMAILHOME": scratch.home,
        "QMAILQUEUE": scratch.capture,
        **(vector.get("env") or {}),
    }
    words = scratch.words()
    return {
        name.encode("latin-1"): filled_bytes(value, words)
        for name, value in environ.items()
        if value is not None
    }


def _execute(
    vector: Mapping[str, Any], scratch: ScratchHome, environ: Mapping[bytes, bytes]
) -> tuple[int | str, bytes, bytes]:
    """Run the program; return its exit code and what it wrote on descriptors 1 and 2."""
    words = scratch.words()
    path = f"{scratch.bin}/{vector['program']}"
    argv = [filled_bytes(argument, words) for argument in vector.get("argv", [])]
    argv.insert(0, (vector.get("argv0") or path).encode("latin-1"))
    options: dict[str, Any] = {}
    if _as_nobody(vector):
        options = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
    with ExitStack() as stack:
        stdin, text = _stdin(vector, scratch, stack)
        stdout: int = subprocess.PIPE
        if "fd1" in vector:
            stdout = _pipe_with(filled_bytes(vector["fd1"], words))
            stack.callback(os.close, stdout)
        process = subprocess.Popen(
            argv,
            executable=path,
            env=environ,
            cwd=scratch.work,
            stdin=stdin,
            stdout=stdout,
            stderr=subprocess.PIPE,
            start_new_session=True,
            umask=0o022,
            **options,
        )
    try:
        out, err = process.communicate(text, timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, 9)
        out, err = process.communicate()
        return "timeout", out or b"", err
    return process.returncode, out or b"", err


def _stdin(
    vector: Mapping[str, Any], scratch: ScratchHome, stack: ExitStack
) -> tuple[int, bytes | None]:
    """Return what `Popen` and `communicate` need for the vector's input."""
    text = filled_bytes(vector.get("stdin", ""), scratch.words())
    kind = vector.get("stdin_type", "pipe")
    if kind == "pipe":
        return subprocess.PIPE, text
    path = scratch.work
    if kind == "file":
        path = f"{scratch.top}/stdin"
        with open(path, "wb") as file:
            file.write(text)
    descriptor = os.open(path, os.O_RDONLY)
    stack.callback(os.close, descriptor)
    return descriptor, None


def _pipe_with(data: bytes) -> int:
    """Return a descriptor from which `data` can be read."""
    reader, writer = os.pipe()

    def feed() -> None:
        with os.fdopen(writer, "wb") as file:
            try:
                file.write(data)
                file.flush()
            except BrokenPipeError:
                os.dup2(os.open(os.devnull, os.O_WRONLY), writer)  # close() flushes once more

    threading.Thread(target=feed, daemon=True).start()
    return reader


def _look(scratch: ScratchHome) -> dict[str, Any]:
    seen = trees.look(scratch.work)
    for name in ("control", "users", "alias"):
        seen.update(trees.look(f"{scratch.home}/{name}", f"{{QMAILHOME}}/{name}/"))
    return seen


def _outcome(
    vector: Mapping[str, Any],
    scratch: ScratchHome,
    normal: NormalForm,
    before: Mapping[str, Any],
    ended: tuple[int | str, bytes, bytes],
) -> dict[str, Any]:
    code, out, err = ended
    out = _with_account_words(out, vector.get("accounts", []))
    outcome: dict[str, Any] = {"exit": code}
    outcome["stdout"] = normal.bytes(out)
    outcome["stderr"] = normal.bytes(err)
    changed = trees.changes(before, _look(scratch), normal)
    ignored = vector.get("ignore_files", [])
    outcome["files"] = {
        name: entry
        for name, entry in changed.items()
        if not any(re.fullmatch(pattern, name) for pattern in ignored)
    }
    if "queue" in vector and vector.get("want_queue", True):
        state = scratch.queue_state(normal)
        # What a failure leaves behind is removed later: only what counts as accepted matters.
        outcome["queue"] = {"todo": state["todo"]} if code else state
    return outcome


def _with_account_words(out: bytes, accounts: list[str]) -> bytes:
    """Put words for the numbers and homes of this machine's accounts."""
    for name in accounts:
        if account_entry(name):
            entry = pwd.getpwnam(name)
            here = f"{name}\0{entry.pw_uid}\0{entry.pw_gid}\0{entry.pw_dir}\0"
            words = f"{name}\0{{UID:{name}}}\0{{GID:{name}}}\0{{HOMEOF:{name}}}\0"
            out = out.replace(here.encode(), words.encode())
    return out
