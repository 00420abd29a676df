"""What holds for every test: no property fails for a slow machine, modules are compiled once, CI skips nothing."""

import os
import sys
from collections.abc import Generator
from typing import Final

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("mpcnode", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("mpcnode")

# Where the environment forbids compiled modules, every worker would rewrite every test again, and each of the some
# hundred processes that tests start would compile the whole package: a third of a process's start, two minutes in all.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

CANNOT_BE_INSTALLED: Final = (
    "MPCNODE_VECTORS",
    "need root",
    "needs root",
    "cannot be made here",
    "capabilities",
    "files are allowed",
)
"""Parts of the reasons for a skip that hold in CI too: what is missing is no package."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail what is skipped in CI for want of a program: ``make ci-tools`` installs it there."""
    report = yield
    if report.skipped and os.environ.get("CI") == "true":
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if not any(part in reason for part in CANNOT_BE_INSTALLED):
            report.outcome = "failed"
            report.longrepr = f"CI installs what its tests need, and this one was skipped. {reason}"
    return report
