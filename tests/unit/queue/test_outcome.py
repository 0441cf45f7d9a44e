from __future__ import annotations

import pytest

from pyqmail.errors import PermanentFailure, TransientFailure
from pyqmail.queue.outcome import failure_of


@pytest.mark.parametrize(
    ("code", "kind", "text"),
    [
        (11, PermanentFailure, b"envelope address too long for qq (#5.1.3)"),
        (115, PermanentFailure, b"envelope address too long for qq (#5.1.3)"),
        (31, PermanentFailure, b"mail server permanently rejected message (#5.3.0)"),
        (12, PermanentFailure, b"qq permanent problem (#5.3.0)"),
        (40, PermanentFailure, b"qq permanent problem (#5.3.0)"),
        (41, TransientFailure, b"qq temporary problem (#4.3.0)"),
        (10, TransientFailure, b"qq temporary problem (#4.3.0)"),
        (51, TransientFailure, b"qq out of memory (#4.3.0)"),
        (53, TransientFailure, b"qq write error or disk full (#4.3.0)"),
        (54, TransientFailure, b"qq read error (#4.3.0)"),
        (66, TransientFailure, b"qq trouble creating files in queue (#4.3.0)"),
        (74, TransientFailure, b"communication with mail server failed (#4.4.2)"),
        (91, TransientFailure, b"qq internal bug (#4.3.0)"),
        (120, TransientFailure, b"unable to exec qq (#4.3.0)"),
        (111, TransientFailure, b"qq temporary problem (#4.3.0)"),
    ],
)
def test_an_exit_code_has_its_text(code: int, kind: type, text: bytes) -> None:
    failure = failure_of(code)

    assert (type(failure), failure.text) == (kind, text)


@pytest.mark.parametrize(
    ("text", "kind", "expected"),
    [
        (b"Dno (#5.7.1)", PermanentFailure, b"no (#5.7.1)"),
        (b"Zlater (#4.7.1)", TransientFailure, b"later (#4.7.1)"),
        (b"Dx", TransientFailure, b"qq temporary problem (#4.3.0)"),
        (b"", TransientFailure, b"qq temporary problem (#4.3.0)"),
    ],
)
def test_a_text_of_its_own_needs_code_82(text: bytes, kind: type, expected: bytes) -> None:
    failure = failure_of(82, text)

    assert (type(failure), failure.text) == (kind, expected)
    assert failure_of(81, text).text == b"qq internal bug (#4.3.0)"
