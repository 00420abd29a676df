"""A terminal that is stopped or changes its size holds up nothing, and shows what there is."""

import os
import signal
import termios
from pathlib import Path

import pytest

from tests.helpers.surroundings import CHECKOUT, Surroundings, shell, until
from tests.helpers.terminal import DEADLINE, terminal

pytestmark = [pytest.mark.process, pytest.mark.slow]

STOP, GO_ON = "\x13", "\x11"
"""Ctrl-S and Ctrl-Q."""


@pytest.mark.parametrize(("name", "size"), [("live", (80, 24)), ("plain", None)])
def test_a_terminal_stopped_by_ctrl_s_holds_up_no_session_and_shows_what_it_missed(
    place: Surroundings, name: str, size: tuple[int, int] | None
) -> None:
    room = ("--room", f"stopped-{name}")
    shown = place.node("cli7", "register", "--accept", "auto", "--yes", "-v", *room)
    with terminal(*shown, size=size) as stopped:
        until(lambda: "cli7" in shell([*place.node("cli8", "peers", "--json"), *room]).out, "cli7 did not come")
        stopped.type(STOP)
        while stopped._more(0.5):
            pass
        before = len(stopped.shown)
        made = shell(
            [*place.node("cli8", "create-wallet", "-t", "2", "-n", "2", "--name", name, "--yes", "--json"), *room]
        )
        made.says(0, '"state":"active"')
        assert [one for one in made.lines() if one["event"] == "link" and one["state"] == "rebuilding"] == []
        signed = shell([*place.node("cli8", "sign", "--wallet", name, "-m", "hello", "--json"), *room])
        signed.says(0, '"signatures"')
        assert not stopped._more(0.5)
        assert len(stopped.shown) == before  # it was stopped all the while
        stopped.type(GO_ON)
        stopped.expect(f"wallet {name} is active")
        stopped.type(STOP)
        os.kill(stopped.process.pid, signal.SIGTERM)
        assert stopped.process.wait(DEADLINE) == 130  # it ends too, although nobody reads its last words


def test_a_terminal_that_changes_its_size_is_drawn_anew(tmp_path: Path) -> None:
    """Nothing happens in the session meanwhile."""
    script = tmp_path / "shows.py"
    script.write_text(SHOWS.format(checkout=str(CHECKOUT)))
    with terminal(size=(100, 24), program=(str(script),)) as shown:
        shown.expect("waiting for")
        before = shown.seen()
        assert max(map(len, before)) > 60, before
        shown.emulator.screen.resize(24, 60)
        termios.tcsetwinsize(shown._ours, (24, 60))
        os.kill(shown.process.pid, signal.SIGWINCH)
        shown.expect("waiting for")
        rows = shown.seen()
        assert all(len(row) <= 60 for row in rows)
        assert sum("proposed by alice" in row for row in rows) == 1, rows
        assert sum("unverified" in row for row in rows) == 1, rows


SHOWS = """
import asyncio, sys
sys.path.insert(0, {checkout!r})
from mpcnode import status
from mpcnode.cli.terminal.output import open_output
from tests.helpers.statuses import SESSION, proposed

async def main():
    with open_output(json=False) as output:
        output.event(proposed("alice", "bob"))
        output.event(status.Progress(SESSION, "sharing", ("bob",), 1_800_000_000_000))
        await asyncio.sleep(60)

asyncio.run(main())
"""
