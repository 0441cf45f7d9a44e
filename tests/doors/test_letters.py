"""./run is content with what the original wrote, and with nothing else."""

from __future__ import annotations

import importlib.util
import os
import sys

import pytest

TOOLS = os.path.join(os.path.dirname(__file__), "..", "..", "tools")
SPEC = importlib.util.spec_from_file_location("letters", os.path.join(TOOLS, "letters.py"))
letters = importlib.util.module_from_spec(SPEC)
sys.modules["letters"] = letters
SPEC.loader.exec_module(letters)

KNOWN = {"HOST": "domain.com", "UID": "666"}

FIRST = """\
new msg 53
info msg 53: bytes 246 from <aku@domain.com> qp 20345 uid 666
starting delivery 1: msg 53 to local aku@domain.com
status: local 1/10 remote 0/20
delivery 1: success: did_1+0+0/
status: local 0/10 remote 0/20
end msg 53
"""
SECOND = """\
new msg 53
info msg 53: bytes 246 from <aku@domain.com> qp 20351 uid 666
starting delivery 2: msg 53 to local sembarangan@domain.com
status: local 1/10 remote 0/20
delivery 2: failure: Sorry,_no_mailbox_here_by_that_name._(#5.1.1)/
status: local 0/10 remote 0/20
bounce msg 53 qp 20357
end msg 53
new msg 54
info msg 54: bytes 743 from <> qp 20357 uid 666
starting delivery 3: msg 54 to local aku@domain.com
status: local 1/10 remote 0/20
delivery 3: success: did_1+0+0/
status: local 0/10 remote 0/20
end msg 54
"""
HEADER = """\
From aku@domain.com Sat Jan  4 04:05:06 2025
Return-Path: <aku@domain.com>
Delivered-To: kamu@domain.com
Received: (qmail 20345 invoked by uid 666); 4 Jan 2025 04:05:06 -0000
Date: 4 Jan 2025 04:05:06 -0000
Message-ID: <20250104040506.20344.qmail@domain.com>
From: aku@domain.com
to: kamu@domain.com

"""


def test_the_log_of_the_original_is_accepted() -> None:
    letters.check_text(letters.LOG_OF_A_DELIVERY, FIRST, "first", NAME="aku", **KNOWN)
    letters.check_text(letters.LOG_OF_A_BOUNCE, SECOND, "second", **KNOWN)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("end msg 53", "end msg 54"),
        ("from <> qp 20357", "from <> qp 20358"),
        ("local 1/10", "local 2/10"),
        ("delivery 2: failure", "delivery 3: failure"),
        ("bounce msg 53 qp 20357\n", ""),
    ],
)
def test_a_log_that_differs_is_refused(right: str, wrong: str) -> None:
    with pytest.raises(letters.Surprise):
        letters.check_text(letters.LOG_OF_A_BOUNCE, SECOND.replace(right, wrong), "log", **KNOWN)


def test_a_body_is_accepted_only_if_it_is_quoted() -> None:
    body = letters.long_body()
    quoted = body.replace(b"\nFrom ", b"\n>From ").replace(b"\n>From there", b"\n>>From there")
    quoted = quoted.replace(b"\n>>From farther", b"\n>>>From farther")
    quoted = b">" + quoted if quoted.startswith(b"From ") else quoted

    letters.check_mbox_entry(HEADER.encode() + quoted + b"\n", body, **KNOWN)
    with pytest.raises(letters.Surprise):
        letters.check_mbox_entry(HEADER.encode() + body + b"\n", body, **KNOWN)
