"""Options as the original's programs read them: subgetopt(3), not getopt(3).

Options end at the first argument that does not begin with `-`, at `--…`
(which is dropped) or at a lone `-` (which is kept). Flags may be bundled; an
option with a value takes the rest of its word, else the next one.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

UNKNOWN = b"?"


class Options:
    """Iterate over (letter, value); `rest` is what follows the options.

    `accepted` lists the letters, each followed by `:` if it takes a value, or
    by `::` if its value can only be the rest of its word. A letter that is not
    in it, or has no value, is said on descriptor 2 and comes out as UNKNOWN; the
    caller decides whether it goes on. `words` are options that the original does
    not have: `--WORD VALUE` or `--WORD=VALUE`.
    """

    def __init__(
        self,
        program: str,
        arguments: Sequence[bytes],
        accepted: bytes,
        words: Sequence[bytes] = (),
    ) -> None:
        self.rest = list(arguments)
        self._program = program.encode()
        self._accepted = accepted
        self._words = words

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        while self.rest and self.rest[0][:1] == b"-" and self.rest[0] != b"-":
            word = self.rest.pop(0)
            if word.startswith(b"--"):
                name, equals, value = word[2:].partition(b"=")
                if name not in self._words or not (equals or self.rest):
                    return
                yield name, value if equals else self.rest.pop(0)
                continue
            yield from self._word(word[1:])

    def _word(self, letters: bytes) -> Iterator[tuple[bytes, bytes]]:
        while letters:
            letter, letters = letters[:1], letters[1:]
            found = self._accepted.find(letter) if letter != b":" else -1
            if found < 0:
                yield self._complain(b"illegal option", letter)
            elif self._accepted[found + 1 : found + 2] != b":":
                yield letter, b""
            elif self._accepted[found + 2 : found + 3] == b":":
                yield letter, letters
                return
            elif letters or self.rest:
                yield letter, letters or self.rest.pop(0)
                return
            else:
                yield self._complain(b"option requires an argument", letter)

    def _complain(self, problem: bytes, letter: bytes) -> tuple[bytes, bytes]:
        os.write(2, self._program + b": " + problem + b" -- " + letter + b"\n")
        return UNKNOWN, letter
