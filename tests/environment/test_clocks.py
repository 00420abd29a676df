"""A machine whose clock is far off: both screens say by how much, and what to do."""

import sys
from pathlib import Path

import pytest

from tests.helpers.surroundings import CHECKOUT, Surroundings, running, shell, until

pytestmark = [pytest.mark.process, pytest.mark.slow]


@pytest.mark.parametrize(
    ("name", "hours", "there", "here"),
    [("fast", 3, "ahead of", "behind"), ("slow", -3, "behind", "ahead of")],
)
def test_both_screens_say_by_how_much_the_clocks_differ(
    place: Surroundings, tmp_path: Path, *, name: str, hours: int, there: str, here: str
) -> None:
    """The one machine's clock goes wrong for everything that this process asks it."""
    off = tmp_path / "off.py"
    off.write_text(CLOCK.format(checkout=str(CHECKOUT), seconds=hours * 3600))
    room = ("--room", f"clocks-{name}")
    command = place.node("cli3", "register", "--accept", "auto", "--yes", *room)
    with running(command, program=(sys.executable, str(off))) as wrong:
        until(lambda: "cli3" in shell([*place.node("cli4", "peers", "--json"), *room]).out, "cli3 did not come")
        making = place.node("cli4", "create-wallet", "-t", "2", "-n", "2", "--name", name, "--yes", *room)
        made = shell(making)
        made.says(5, f"the clock of cli3 is 3 h 0 min {there} this node's")
        assert "hint: set the clocks of both machines" in made.err
        until(lambda: f"the clock of cli4 is 3 h 0 min {here} this node's" in wrong.err.read_text(), "it says nothing")


CLOCK = """
import sys, time
sys.path.insert(0, {checkout!r})
right, right_ns = time.time, time.time_ns
time.time = lambda: right() + {seconds}
time.time_ns = lambda: right_ns() + {seconds} * 1_000_000_000
from mpcnode.__main__ import main
main()
"""
