"""Runs one scenario: the whole system as root, and all the mail that came of it."""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import shutil
import signal
import subprocess
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from tests.differential.replay import trees
from tests.differential.replay.homes import SPLIT, ScratchHome
from tests.differential.replay.normal_log import NormalLog, with_uid_words
from tests.differential.replay.strangers import ScriptedServer
from tests.differential.replay.words import NormalForm, fill, filled_bytes
from tests.support.accounts import USERS, empty_home, home_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

WAIT = 60  # seconds for a step that waits; most wait for less than one
INTERVAL = 0.02  # seconds between two looks
STOP = 20  # seconds for a clean stop


def run(scenario: Mapping[str, Any], bin_folder: str) -> dict[str, Any]:
    """Run a scenario in a scratch home of its own; return its outcome in normal form."""
    with ExitStack() as stack:
        system = WholeSystem(scenario, bin_folder, stack)
        start = time.time()
        system.start()
        for step in scenario["steps"]:
            system.obey(step)
        system.stop()
        places = {f"{system.scratch.home}/bin": "{BIN}", system.scratch.home: "{QMAILHOME}"}
        return system.outcome(NormalForm(start, time.time(), places))


class WholeSystem:
    """One running system: its home, the users' homes, its processes and its log."""

    def __init__(self, scenario: Mapping[str, Any], bin_folder: str, stack: ExitStack) -> None:
        self.scenario = scenario
        self.scratch = ScratchHome(bin_folder)
        stack.callback(self.scratch.remove)
        self.scratch.make_queue()
        self.server: ScriptedServer | None = None
        self.words = {**self.scratch.words(), "PORT": "0"}
        if "server" in scenario:
            self.server = ScriptedServer(scenario["server"])
            stack.callback(self.server.stop)
            self.words["PORT"] = str(self.server.port)
        self.failed: list[str] = []
        self._process: subprocess.Popen[bytes] | None = None
        stack.callback(self._kill)
        self._log_path = f"{self.scratch.top}/log"
        self._environ = {
            "PATH": f"{bin_folder}:/usr/local/bin:/usr/bin:/bin",
            "TZ": "UTC",
            "QMAILHOME": self.scratch.home,
        }
        self._lay()

    def _lay(self) -> None:
        # What is compared has the original's bytes.
        trees.lay(f"{self.scratch.home}/control/bounceformat", "qsbmf\n", self.words)
        for top in ("control", "users"):
            for name, kind in (self.scenario.get(top) or {}).items():
                trees.lay(f"{self.scratch.home}/{top}/{name}", kind, self.words)
        self._lay_home("alias", self.scenario.get("alias") or {})
        for name in USERS:
            self._lay_home(name, self.scenario["homes"].get(name) or {})
        if self.scenario.get("assign"):
            subprocess.run([self._program("qmail-newu")], env=self._environ, check=True)

    def _lay_home(self, name: str, files: Mapping[str, Any]) -> None:
        home, entry = empty_home(name), pwd.getpwnam(name)
        for path, kind in files.items():
            if path == "":  # the home itself
                os.chmod(home, int(kind["mode"], 8))
            else:
                trees.lay(f"{home}/{path}", kind, self.words)
        trees.hand_over(home, entry.pw_uid, entry.pw_gid)

    def _program(self, name: str) -> str:
        return f"{self.scratch.bin}/{name}"

    def start(self) -> None:
        """Start the system, and return when it has written its first line."""
        written = len(self._log())
        with open(self._log_path, "ab") as log:
            self._process = subprocess.Popen(
                [self._program("qmail-start"), self.scenario.get("default", "./Mailbox")],
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                start_new_session=True,
            )
        self._wait(lambda: "status:" in self._log()[written:], "the system did not start")

    def stop(self) -> None:
        """Stop the system as TERM does."""
        try:
            self._process.terminate()
            self._process.wait(STOP)
        except subprocess.TimeoutExpired:
            self.failed.append("the system did not stop at SIGTERM")

    def _kill(self) -> None:
        if self._process is not None and self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def obey(self, step: Mapping[str, Any]) -> None:
        """Do one step."""
        match step["do"]:
            case "inject":
                self._inject(step)
            case "queue":
                self._queue(step)
            case "idle":
                self._wait(self._is_idle, "the queue did not become idle")
            case "log":
                text, times = step["text"], step.get("times", 1)
                self._wait(lambda: self._log().count(text) >= times, f"the log lacks: {text}")
            case "signal":
                self._process.send_signal(getattr(signal, f"SIG{step['name']}"))
            case "sleep":
                time.sleep(step["seconds"])
            case "write":
                path, entry = f"{home_of(step['user'])}/{step['name']}", pwd.getpwnam(step["user"])
                trees.lay(path, step["text"], self.words)
                os.chown(path, entry.pw_uid, entry.pw_gid)
            case "control":
                path = f"{self.scratch.home}/control/{step['name']}"
                trees.lay(path, step["text"], self.words)
            case "restart":
                self.stop()
                self.start()
            case unknown:
                raise AssertionError(f"nobody here obeys the step {unknown}")

    def _inject(self, step: Mapping[str, Any]) -> None:
        name = step.get("program", "qmail-inject")
        argv = [fill(argument, self.words) for argument in step.get("argv", [])]
        environ = {"USER": "mv1", "QMAILHOST": "mail.example.org", **step.get("env", {})}
        answer = subprocess.run(
            [self._program(name), *argv],
            input=filled_bytes(step.get("stdin", ""), {}),
            env={**self._environ, **environ},
            cwd="/",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        if answer.returncode:
            self.failed.append(f"{name} exited {answer.returncode}: {answer.stdout!r}")

    def _queue(self, step: Mapping[str, Any]) -> None:
        reader, writer = os.pipe()
        os.write(writer, step["envelope"].encode("latin-1"))
        os.close(writer)
        with os.fdopen(reader) as envelope:
            answer = subprocess.run(
                [self._program("qmail-queue")],
                input=step["stdin"].encode("latin-1"),
                stdout=envelope,
                env=self._environ,
                cwd="/",
                check=False,
            )
        if answer.returncode:
            self.failed.append(f"qmail-queue exited {answer.returncode}")

    def _wait(self, enough: Callable[[], bool], complaint: str) -> None:
        end = time.monotonic() + WAIT
        while not enough():
            if time.monotonic() > end or self._process.poll() is not None:
                self.failed.append(f"{complaint}; the log:\n{self._log()}")
                return
            time.sleep(INTERVAL)

    def _log(self) -> str:
        if not os.path.exists(self._log_path):
            return ""
        with open(self._log_path, encoding="latin-1", newline="") as file:
            return file.read()

    def _is_idle(self) -> bool:
        folders = ["todo", *(f"info/{number}" for number in range(SPLIT))]
        waiting = sum(len(os.listdir(f"{self.scratch.home}/queue/{name}")) for name in folders)
        return waiting == 0 and self._messages() == 0

    def _messages(self) -> int:
        return sum(len(files) for _, _, files in os.walk(f"{self.scratch.home}/queue/mess"))

    def outcome(self, normal: NormalForm) -> dict[str, Any]:
        """Return log, mail, what is left, and what the server saw."""
        log = NormalLog(normal)
        for line in self._log().splitlines():
            log.add(line)
        result = {"log": log.messages, "mail": self._mail(normal), "left": self._messages()}
        if self.server:
            self.server.stop()
            result["server"] = [normal.text(with_uid_words(line)) for line in self.server.seen]
        if self.failed:
            result["failed"] = self.failed
        return result

    def _mail(self, normal: NormalForm) -> dict[str, Any]:
        found = {}
        for name in ("alias", *USERS) if self.scenario.get("alias") else USERS:
            laid = self.scenario["alias"] if name == "alias" else self.scenario["homes"].get(name)
            known = set(laid or {}) - set(self.scenario.get("watch", []))
            for path, entry in trees.changes({}, trees.look(home_of(name)), normal).items():
                if (
                    entry.get("type") != "dir"
                    and not path.startswith(".qmail")
                    and path not in known
                ):
                    text = sorted_mailbox(sorted_bounce(with_uid_words(entry.get("text", ""))))
                    found[f"{name}/{path}"] = {"mode": entry["mode"], "text": text}
        return found


def sorted_bounce(text: str) -> str:
    """Put the paragraphs of a bounce in order; they come as the deliveries ended."""

    def in_order(match: re.Match[str]) -> str:
        paragraphs = re.split(r"(?<=\n\n)(?=<[^\n]*>:\n)", match[2])
        return match[1] + "".join(sorted(paragraphs)) + match[3]

    before = r"(Sorry it didn't work out\.\n\n|but the bounce bounced!\n\n)"
    return re.sub(rf"(?s){before}(.*?)(--- Below this line)", in_order, text)


def sorted_mailbox(text: str) -> str:
    """Put the messages of an mbox in order, or the lines of notes that programs wrote."""
    if text.startswith("From "):
        return "".join(sorted(re.split(r"(?m)(?<=\n\n)(?=^From [^\n]*\{CTIME\}$)", text)))
    if "\n\n" not in text:
        return "".join(sorted(text.splitlines(keepends=True)))
    return text


def why_not(bin_folder: str, scenario: Mapping[str, Any]) -> str | None:
    """Return why the scenario cannot run here; None if it can."""
    programs = ["qmail-start", "qmail-send", "qmail-lspawn", "qmail-inject", "qmail-queue"]
    if "server" in scenario:
        programs.append("qmail-remote")
    missing = [name for name in programs if not os.path.lexists(f"{bin_folder}/{name}")]
    if missing:
        return f"there is no {' '.join(missing)} yet"
    if shutil.which("sh") is None:
        return "needs a shell"
    return None
