from __future__ import annotations

import pytest

from pyqmail.message.envelope import Envelope, PackedPaths, expand_verp


@pytest.mark.parametrize(
    ("reverse_path", "forward_path", "expanded"),
    [
        (b"list-@host-@[]", b"box@rhost", b"list-box=rhost@host"),
        (b"list-@host-@[]", b"a@b@rhost", b"list-a@b=rhost@host"),
        (b"a@b@host-@[]", b"box@rhost", b"a@bbox=rhost@host"),
        (b"list-@host-@[]", b"box", b"list-@host-@[]"),
        (b"list-@[]", b"box@rhost", b"list-@[]"),
        (b"joe@host", b"box@rhost", b"joe@host"),
        (b"", b"box@rhost", b""),
        (b"#@[]", b"box@rhost", b"#@[]"),
    ],
)
def test_only_a_complete_verp_path_is_expanded(
    reverse_path: bytes, forward_path: bytes, expanded: bytes
) -> None:
    assert expand_verp(reverse_path, forward_path) == expanded


def test_an_envelope_is_a_value() -> None:
    envelope = Envelope(b"a@b", [b"c@d"])

    assert envelope == Envelope(b"a@b", (b"c@d",))
    assert hash(envelope) == hash(Envelope(b"a@b", (b"c@d",)))
    assert envelope != Envelope(b"a@b", [])
    assert envelope != b"a@b"
    assert repr(envelope) == "Envelope(b'a@b', (b'c@d',))"


def test_packed_paths_come_back_in_order_and_end_at_a_nul() -> None:
    paths = [b"box%d@host" % number for number in range(2500)]
    packed = PackedPaths()
    for path in (b"", b"a\0b", *paths):
        packed.append(path)

    assert list(packed) == [b"", b"a", *paths]
