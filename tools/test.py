"""./test: every check and every test; `--fast` runs what takes seconds."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

from environment import CHECKOUT, can_use_apt, install_packages, prepare, step

PEERS = os.path.join(CHECKOUT, "tools", "peers.txt")

# Each runs from .venv/bin, and says what is wrong when it fails.
CHECKS = (
    ("format", ["ruff", "format", "--check", "--quiet"]),
    ("lint", ["ruff", "check", "--quiet"]),
    ("types", ["mypy", "--no-error-summary"]),
    ("import contracts", ["lint-imports", "--no-cache"]),
    ("spelling", ["codespell"]),
)
DOCUMENTATION = (
    (
        "web pages",
        ["sphinx-build", "-W", "--keep-going", "-q", "-b", "html", "docs", "docs/_build/html"],
    ),
    (
        "man pages",
        ["sphinx-build", "-W", "--keep-going", "-q", "-b", "man", "docs", "docs/_build/man"],
    ),
)
FAST = ["-m", "not process and not root and not peer"]


def main() -> None:
    """Run the checks, then pytest; exit 0 only if all of them pass."""
    arguments = sys.argv[1:]
    fast = "--fast" in arguments
    arguments = [argument for argument in arguments if argument != "--fast"]
    os.chdir(CHECKOUT)
    os.umask(0o022)
    folder = os.path.dirname(prepare(os.path.join(CHECKOUT, ".venv"), ["test", "docs"]))
    if not fast:
        provide_peers()
    failures = [
        name
        for name, argv in (*CHECKS, *(() if fast else DOCUMENTATION))
        if not passes(name, argv, folder)
    ]
    code = run_pytest(folder, [*(FAST if fast else []), *arguments])
    if failures:
        print(f"failed besides the tests: {', '.join(failures)}", file=sys.stderr)
    sys.exit(code or bool(failures))


def provide_peers() -> None:
    """Install the Debian packages that tests need, or say that they may be missing."""
    with open(PEERS, encoding="utf-8") as file:
        names = [line.split()[0] for line in file if line.strip() and not line.startswith("#")]
    if shutil.which("dpkg-query") is None:
        print("· not a Debian machine: tests that need a missing program will be skipped by name")
        return
    missing = [name for name in names if not is_installed(name)]
    if missing and can_use_apt():
        install_packages(missing)
    elif missing:
        print(f"· not installed (root would): {' '.join(missing)}; their tests are skipped by name")


def is_installed(package: str) -> bool:
    """Ask whether a Debian package is installed."""
    argv = ["dpkg-query", "--show", "--showformat=${db:Status-Status}", package]
    answer = subprocess.run(argv, check=False, capture_output=True, text=True)
    return answer.stdout == "installed"


def passes(name: str, argv: list[str], folder: str) -> bool:
    """Run one check; its output is shown if it fails."""
    with step(f"{name}: {' '.join(argv[:2])}"):
        answer = subprocess.run(
            [os.path.join(folder, argv[0]), *argv[1:]],
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    if answer.returncode != 0:
        print(answer.stdout)
    return answer.returncode == 0


def run_pytest(folder: str, arguments: list[str]) -> int:
    """Run pytest on both cores; return its exit code."""
    pytest = [os.path.join(folder, "python"), "-m", "pytest"]
    print(f"· tests: pytest {' '.join(arguments)}", flush=True)
    return subprocess.run(
        [*pytest, "-n", "2", "--dist", "loadgroup", *arguments], check=False
    ).returncode


if __name__ == "__main__":
    main()
