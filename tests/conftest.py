"""What all tests share: how long a case may take, and the last line of a run."""

from __future__ import annotations

import pytest
from hypothesis import settings

# A case has no time limit of its own: machines differ, and the whole test has one.
settings.register_profile("whatever the machine", deadline=None)
settings.load_profile("whatever the machine")


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """End with one plain line that a script can read."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or hasattr(config, "workerinput"):
        return
    counts = {name: len(reporter.stats.get(name, [])) for name in ("passed", "failed", "error")}
    failed = counts["failed"] + counts["error"]
    skipped = len(reporter.stats.get("skipped", []))
    print(f"{counts['passed']} passed, {failed} failed, {skipped} skipped")  # noqa: T201  the report
