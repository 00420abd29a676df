"""Commands that are nodes of their own, one after the other: each is a new life of the same name, and none waits."""

import time
from pathlib import Path

import pytest

from mpcnode import status
from mpcnode.control.lines import Result
from tests.helpers.processes import Child, Processes, processes

pytestmark = [pytest.mark.process, pytest.mark.webrtc]

PROPOSE = ("create-wallet", "--threshold", "2", "--total", "2", "--name", "treasury", "--with", "cli2")
IN_A_ROW = 6
WAITED = 15.0
"""Seconds: less than a command takes whose proposal or hello nobody heard at first (20 to answer), and more than a busy
machine takes to sign."""


def sign(world: Processes, message: str) -> Child:
    node = ("--json", "--loopback", "--peer-id", "cli1", "--server", world.url)
    keys = ("--home", str(world.home("cli1")), "--passphrase-file", str(world.passphrase_file))
    return world.start("cli1", "sign", "--wallet", "treasury", "--message", message, *node, *keys)


async def sign_in_a_row(world: Processes, times: int) -> list[float]:
    """Sign that many times six times with a node that stays; give the seconds of each command."""
    took = []
    stays = world.register("cli2")
    await stays.says(status.Registered)
    made = world.node("cli1", *PROPOSE)
    assert await made.ends() == 0, made.talk
    for number in range(times * IN_A_ROW):
        began = time.monotonic()
        command = sign(world, f"number {number}")
        assert await command.ends() == 0, f"{number}: {command.talk}"
        took.append(time.monotonic() - began)
        (result,) = command.of(Result)
        assert result.signature is not None
        assert result.signature.signers == ("cli1", "cli2")
        assert len(command.of(status.SessionEnded)) == 1, f"{number}: it was asked for again: {command.talk}"
        assert not command.of(status.Warned), f"{number}: {command.talk}"
    asked = stays.of(status.SessionEnded)
    assert not [one.error for one in asked if one.error is not None]
    assert len(asked) == times * IN_A_ROW + 1
    return took


async def test_of_six_commands_in_a_row_none_waits(tmp_path: Path) -> None:
    async with processes(tmp_path) as world:
        await world.serve()
        assert max(await sign_in_a_row(world, 1)) < WAITED


@pytest.mark.slow
async def test_of_six_commands_in_a_row_fifty_times_none_waits(tmp_path: Path) -> None:
    async with processes(tmp_path) as world:
        await world.serve()
        assert max(await sign_in_a_row(world, 50)) < WAITED
