"""Vectors that we fail on purpose: id and reason. docs/deviations.md lists them too."""

from __future__ import annotations

A_DIRECTORY = "the interpreter does not start when standard input is a directory"

DEVIATIONS: dict[str, str] = {
    "inject-504": A_DIRECTORY,
    "local-340": A_DIRECTORY,
    "queue-042": A_DIRECTORY,
}
