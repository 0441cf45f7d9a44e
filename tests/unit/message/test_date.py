from __future__ import annotations

import pytest

from pyqmail.message.date import ctime_date, local_date, rfc822_date, stamp

NEW_YEAR_2025 = 1735873506  # Fri 3 Jan 2025 03:05:06 UTC


def test_the_day_of_a_header_date_is_not_padded() -> None:
    assert rfc822_date(NEW_YEAR_2025) == b"3 Jan 2025 03:05:06 -0000"


def test_the_day_of_an_mbox_date_is_padded_with_zero() -> None:
    assert ctime_date(NEW_YEAR_2025) == b"Fri Jan 03 03:05:06 2025"


def test_the_epoch_was_a_thursday() -> None:
    assert ctime_date(0) == b"Thu Jan 01 00:00:00 1970"


@pytest.mark.parametrize(
    ("unix", "date"),
    [
        (951782400, b"29 Feb 2000 00:00:00 -0000"),
        (951868800, b"1 Mar 2000 00:00:00 -0000"),
        (4107542399, b"28 Feb 2100 23:59:59 -0000"),
        (4107542400, b"1 Mar 2100 00:00:00 -0000"),
        (2147483648, b"19 Jan 2038 03:14:08 -0000"),
        (-1, b"31 Dec 1969 23:59:59 -0000"),
    ],
)
def test_leap_days_come_and_go_as_the_calendar_says(unix: int, date: bytes) -> None:
    assert rfc822_date(unix) == date


@pytest.mark.parametrize(
    ("offset", "date"),
    [
        (0, b"3 Jan 2025 03:05:06 +0000"),
        (3600, b"3 Jan 2025 04:05:06 +0100"),
        (19800, b"3 Jan 2025 08:35:06 +0530"),
        (-45900, b"2 Jan 2025 14:20:06 -1245"),
        (29, b"3 Jan 2025 03:05:35 +0000"),
        (-30, b"3 Jan 2025 03:04:36 -0001"),
    ],
)
def test_a_local_date_names_its_distance_from_utc_in_minutes(offset: int, date: bytes) -> None:
    assert local_date(NEW_YEAR_2025, offset) == date


def test_a_stamp_is_the_date_in_digits() -> None:
    assert stamp(NEW_YEAR_2025) == b"20250103030506"
