"""Whole sessions in memory run in virtual time where their module says so: no deadline of theirs is ever too short."""

import asyncio
from collections.abc import Callable, Mapping

import pytest

from tests.simulation.clock import VirtualLoop

SLOW = 0.001
"""Seconds that a piece of work for a thread takes."""


def pytest_asyncio_loop_factories(item: pytest.Item) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Give the loop of a test: what is marked ``virtual_time`` has one whose time passes when nothing else happens."""
    if item.get_closest_marker("virtual_time") is not None:
        return {"virtual": lambda: VirtualLoop(lambda: SLOW)}
    return {"asyncio": asyncio.new_event_loop}
