"""Vectors that we fail on purpose: id and reason. docs/deviations.md lists them too."""

from __future__ import annotations

DEVIATIONS: dict[str, str] = {}
