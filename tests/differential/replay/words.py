"""The words in braces of a vector: filled in before a run, put back after it.

A vector is text with one character a byte. What differs from run to run stands
in it as `{HOME}`, `{NOW+5}` or `{UID:mv1}`; `NormalForm` turns the times,
process numbers and paths of an outcome into such words again.
"""

from __future__ import annotations

import calendar
import pwd
import re
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
DAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
MONTH = "|".join(MONTHS)
DAY = "|".join(DAYS)

TO_FILL = re.compile(r"\{(?:(NOW)([+-]\d+)|(UID|GID|HOMEOF):([\w-]+)|(HOME|QMAILHOME|BIN|PORT))\}")

DATE = re.compile(rf"\b(\d{{1,2}}) ({MONTH}) (\d{{4}}) (\d\d):(\d\d):(\d\d) ([+-])(\d\d)(\d\d)\b")
CTIME = re.compile(rf"\b(?:{DAY}) ({MONTH}) ([ \d]\d) (\d\d):(\d\d):(\d\d) (\d{{4}})\b")
STAMP = re.compile(r"\b(\d{14})\.\d+(?:\.\w+)?\.qmail@")
SECONDS = re.compile(r"(?<![0-9A-Za-z])(\d{10})(?!\d)")

# Where a process number stands is known by what stands beside it.
PROCESS_NUMBERS = (
    (re.compile(r"\{TIME\}\.\d+"), "{TIME}.{PID}"),
    (re.compile(r"\b\d+\.\{TIME\}@"), "{PID}.{TIME}@"),
    (re.compile(r"\bqp \d+"), "qp {PID}"),
    (re.compile(r"\bpid \d+: (?=[45]\d\d )"), "pid {PID}: "),
    (re.compile(r"^\d+ (?=[<>] )", re.MULTILINE), "{PID} "),  # recordio(1)
    (re.compile(r"\(qmail \d+ invoked"), "(qmail {PID} invoked"),
    # The length of a netstring in which one stands.
    (re.compile(r"\b\d+:(?=Kok \{TIME\} qp \{PID\})"), "{N}:"),
)
WITH_SMTP = re.compile(r"(\n  by \S* with )E?SMTPS?A?(; )")


def fill(text: str, words: Mapping[str, str]) -> str:
    """Replace the words in braces by what they mean in this run."""

    def meaning(match: re.Match[str]) -> str:
        now, seconds, of_account, account, word = match.groups()
        if now:
            return str(int(time.time()) + int(seconds))
        if of_account:
            entry = pwd.getpwnam(account)
            values = {"UID": entry.pw_uid, "GID": entry.pw_gid, "HOMEOF": entry.pw_dir}
            return str(values[of_account])
        return words[word]

    return TO_FILL.sub(meaning, text)


def filled_bytes(text: str, words: Mapping[str, str]) -> bytes:
    """Return the bytes that a vector's text stands for in this run."""
    return fill(text, words).encode("latin-1")


def uid_word(uid: int) -> str:
    """Return the word for a user number."""
    try:
        return f"{{UID:{pwd.getpwuid(uid).pw_name}}}"
    except KeyError:
        return "{UID}"


class NormalForm:
    """Puts the words back into what a run gave.

    A time becomes a word only if it lies within the run: a date that came in
    with the input must come out as it was.
    """

    def __init__(
        self, start: float, end: float, places: Mapping[str, str], ago: int | None = None
    ) -> None:
        self._earliest, self._latest = int(start) - 2, int(end) + 2
        self._places = sorted(places.items(), key=lambda place: -len(place[0]))
        self._ago = ago

    def text(self, text: str) -> str:
        """Return `text` with its words put back."""
        for path, word in self._places:
            text = text.replace(path, word)
        text = DATE.sub(self._date, text)
        text = CTIME.sub(self._ctime, text)
        text = STAMP.sub(self._stamp, text)
        text = SECONDS.sub(self._seconds, text)
        for pattern, word in PROCESS_NUMBERS:
            text = pattern.sub(word, text)
        text = WITH_SMTP.sub(r"\1{SMTP}\2", text)
        if self._ago is not None:
            text = re.sub(r"\b(\d+) seconds", self._seconds_ago, text)
        return text

    def bytes(self, data: bytes) -> str:
        """Return `data` as a vector's text, with its words put back."""
        return self.text(data.decode("latin-1"))

    def outcome(self, value: Any) -> Any:
        """Put the words back in every text of a nested value."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self.outcome(item) for item in value]
        if isinstance(value, dict):
            return {key: self.outcome(item) for key, item in value.items()}
        return value

    def file_name(self, name: str) -> str:
        """Return a path, with the name of a Maildir's file as a word."""

        def word(match: re.Match[str]) -> str:
            return match[1] + "{MAILFILE}" if self._within(int(match[2])) else match[0]

        return re.sub(r"((?:^|/)(?:tmp|new|cur)/)(\d{10})\.[^/]*", word, name)

    def _within(self, seconds: int) -> bool:
        return self._earliest <= seconds <= self._latest

    def _date(self, match: re.Match[str]) -> str:
        day, month, year, hour, minute, second, sign, hours, minutes = match.groups()
        parts = (int(year), MONTHS.index(month) + 1, int(day), int(hour), int(minute), int(second))
        try:
            local = calendar.timegm(parts)
        except ValueError:  # 31 Feb
            return match[0]
        east = (int(hours) * 60 + int(minutes)) * 60 * (1 if sign == "+" else -1)
        return f"{{DATE {sign}{hours}{minutes}}}" if self._within(local - east) else match[0]

    def _ctime(self, match: re.Match[str]) -> str:
        month, day, hour, minute, second, year = match.groups()
        parts = (int(year), MONTHS.index(month) + 1, int(day), int(hour), int(minute), int(second))
        return "{CTIME}" if self._within(calendar.timegm(parts)) else match[0]

    def _stamp(self, match: re.Match[str]) -> str:
        try:
            seconds = calendar.timegm(time.strptime(match[1], "%Y%m%d%H%M%S"))
        except ValueError:
            return match[0]
        return "{STAMP}.{PID}.qmail@" if self._within(seconds) else match[0]

    def _seconds(self, match: re.Match[str]) -> str:
        return "{TIME}" if self._within(int(match[1])) else match[0]

    def _seconds_ago(self, match: re.Match[str]) -> str:
        late = int(match[1]) - self._ago
        return "{AGO} seconds" if 0 <= late <= 30 else match[0]
