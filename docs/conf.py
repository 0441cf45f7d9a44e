"""One source for web pages and man pages: docs/**/*.md.

A man page is docs/man/NAME.SECTION.md, and its title says `NAME(SECTION) - one line`.
"""

from __future__ import annotations

import glob
import os
import re

project = "pyqmail"
author = "the pyqmail authors"
extensions = ["myst_parser"]
exclude_patterns = ["_build"]
html_theme = "alabaster"
html_theme_options = {"description": "the qmail family in Python", "fixed_sidebar": True}
highlight_language = "none"
smartquotes = False  # a manual shows what is typed
myst_heading_anchors = 3
myst_enable_extensions = ["deflist"]

TITLE = re.compile(r"# (?P<name>\S+)\((?P<section>\d)\) - (?P<line>.+)")


def _man_page(path: str) -> tuple[str, str, str, list[str], int]:
    """Return what Sphinx wants to know of a man page; its file name and title must agree."""
    with open(path, encoding="utf-8") as file:
        title = TITLE.fullmatch(file.readline().rstrip("\n"))
    stem = os.path.basename(path).removesuffix(".md")
    if title is None or f"{title['name']}.{title['section']}" != stem:
        raise ValueError(f"{path}: the first line must be '# NAME(SECTION) - one line', as {stem}")
    return f"man/{stem}", title["name"], title["line"], [], int(title["section"])


HERE = os.path.dirname(__file__)
man_pages = [_man_page(path) for path in sorted(glob.glob(os.path.join(HERE, "man", "*.md")))]
