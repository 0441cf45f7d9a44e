"""Dates as mail writes them (RFC 5322 §3.3), from Unix seconds.

The arithmetic is here because the time and datetime modules cost start-up
time, and because the quiet rooms have no clock.
"""

from __future__ import annotations

_MONTHS = (
    *(b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun"),
    *(b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"),
)
_WEEKDAYS = (b"Sun", b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat")

_DAY = 86400  # seconds
_EPOCH = 719468  # days from 1 March of the year 0 to 1 January 1970
_EPOCH_WEEKDAY = 4  # 1 January 1970 was a Thursday
_DAYS_OF_4_YEARS = 1461
_DAYS_OF_100_YEARS = 36524
_DAYS_OF_400_YEARS = 146097


def _civil(days: int) -> tuple[int, int, int]:
    """Return year, month and day of the day `days` after 1 January 1970."""
    # Years that begin in March end with the day that comes and goes, and the
    # months from March on have lengths that a straight line yields.
    era, day = divmod(days + _EPOCH, _DAYS_OF_400_YEARS)
    leap_days = day // (_DAYS_OF_4_YEARS - 1) - day // _DAYS_OF_100_YEARS
    leap_days += day // (_DAYS_OF_400_YEARS - 1)
    year = (day - leap_days) // 365
    day -= 365 * year + year // 4 - year // 100
    month = (5 * day + 2) // 153
    day -= (153 * month + 2) // 5
    new_year, month = divmod(month + 2, 12)
    return 400 * era + year + new_year, month + 1, day + 1


def _clock(seconds: int) -> bytes:
    return b"%02d:%02d:%02d" % (seconds // 3600, seconds // 60 % 60, seconds % 60)


def rfc822_date(unix: int) -> bytes:
    """Return `3 Jan 2025 04:05:06 -0000`: UTC, and nothing said about the local zone."""
    return _date_and_time(unix) + b" -0000"


def local_date(unix: int, offset: int) -> bytes:
    """Return `3 Jan 2025 05:05:06 +0100` for a zone `offset` seconds east of UTC."""
    minutes = (abs(offset) + 30) // 60
    zone = b"%c%02d%02d" % (b"-" if offset < 0 else b"+", minutes // 60, minutes % 60)
    return _date_and_time(unix + offset) + b" " + zone


def _date_and_time(unix: int) -> bytes:
    days, seconds = divmod(unix, _DAY)
    year, month, day = _civil(days)
    return b"%d %b %d %b" % (day, _MONTHS[month - 1], year, _clock(seconds))


def ctime_date(unix: int) -> bytes:
    """Return `Sat Jan 03 04:05:06 2025`, as the first line of an mbox entry has it."""
    days, seconds = divmod(unix, _DAY)
    year, month, day = _civil(days)
    weekday = _WEEKDAYS[(days + _EPOCH_WEEKDAY) % 7]
    return b"%b %b %02d %b %d" % (weekday, _MONTHS[month - 1], day, _clock(seconds), year)


def stamp(unix: int) -> bytes:
    """Return `20250103040506`, as a Message-ID has it."""
    days, seconds = divmod(unix, _DAY)
    return b"%d%02d%02d" % _civil(days) + _clock(seconds).replace(b":", b"")
