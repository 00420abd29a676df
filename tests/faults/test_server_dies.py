"""``kill -9`` of the signaling server in the middle of a session: channels live on, nodes come back by themselves."""

import contextlib
import random
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from mpcnode import status
from tests.helpers.processes import Child, Processes, processes
from tests.helpers.terminal import Terminal, terminal

pytestmark = [pytest.mark.process, pytest.mark.webrtc]

PROPOSE = ("create-wallet", "--threshold", "2", "--total", "3", "--name")


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[Processes]:
    async with processes(tmp_path) as made:
        yield made


@contextlib.contextmanager
def person(world: Processes, name: str, *options: str) -> Iterator[Terminal]:
    """A node whose user sits at a terminal: what it is asked holds a session up for as long as a test wants."""
    home = ("--home", str(world.home(name)), "--passphrase-file", str(world.passphrase_file), "--server", world.url)
    with terminal("register", "--peer-id", name, "--loopback", *home, *options) as opened:
        opened.expect("registered")
        yield opened


def lasting_port() -> int:
    """Give a free port that stays free while no server has it: below those that the kernel gives to connections."""
    for port in random.sample(range(20_000, 32_000), 100):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port is free")


async def kill(server: Child, *children: Child) -> int:
    """Kill the server, wait until everybody knows, and give its port."""
    port = int(server.processes.url.rsplit(":", maxsplit=1)[-1])
    server.strike(signal.SIGKILL)
    assert await server.ends() == -signal.SIGKILL
    for child in children:
        await child.says(status.Disconnected)
    return port


async def came_back(child: Child) -> None:
    await child.until(lambda: len(child.of(status.Registered)) > 1)


async def test_a_session_over_open_channels_finishes_and_everybody_comes_back(world: Processes) -> None:
    server = await world.serve(lasting_port())
    cli3 = world.register("cli3")
    with person(world, "cli2", "--accept", "auto") as cli2:
        await cli3.says(status.Registered)
        cli1 = world.node("cli1", *PROPOSE, "first")
        cli2.expect("[n] different")
        cli2.expect("> ")
        port = await kill(server, cli1, cli3)
        cli2.type("y\n")
        assert await cli1.ends() == 0, cli1.talk
        assert (await cli3.says(status.SessionEnded)).error is None
        cli2.expect("wallet first is active")  # with it, the others are contacts
        await world.serve(port)
        await came_back(cli3)
        cli2.expect("registered")
        cli1 = world.node("cli1", *PROPOSE, "second")  # they are verified contacts now: no words are compared
        assert await cli1.ends() == 0, cli1.talk
        cli2.expect("wallet second is active")
    for name in ("cli1", "cli3"):
        assert {(wallet.name, wallet.state) for wallet in world.wallets(name)} == {
            ("first", "active"),
            ("second", "active"),
        }


async def test_before_there_are_channels_the_session_ends_and_blames_nobody(world: Processes) -> None:
    server = await world.serve(lasting_port())
    cli3 = world.register("cli3")
    with person(world, "cli2") as cli2:
        await cli3.says(status.Registered)
        # Long enough for a busy machine to ask cli2 and to lose its server meanwhile: the wait itself ends the session.
        cli1 = world.node("cli1", *PROPOSE, "first", "--answer-seconds", "12")
        cli2.expect("Take part?")
        cli2.expect("> ")
        await kill(server, cli1, cli3)
        cli2.type("y\n")
        assert await cli1.ends() == 5, cli1.talk
        assert (cli1.error.code, cli1.error.culprits) == ("server_unreachable", ())
        ended = (await cli3.says(status.SessionEnded)).error
        assert ended is not None
        assert (ended.exit_code, ended.culprits) == (5, ())
    for name in ("cli1", "cli2", "cli3"):
        assert world.wallets(name) == []


@pytest.mark.slow
async def test_a_server_that_is_back_in_time_is_no_hindrance(world: Processes) -> None:
    server = await world.serve(lasting_port())
    cli3 = world.register("cli3")
    with person(world, "cli2", "--yes") as cli2:
        await cli3.says(status.Registered)
        cli1 = world.node("cli1", *PROPOSE, "first")
        cli2.expect("Take part?")
        cli2.expect("> ")
        port = await kill(server, cli1, cli3)
        await world.serve(port)
        cli2.type("y\n")
        assert await cli1.ends() == 0, cli1.talk
    assert [wallet.state for wallet in world.wallets("cli2")] == ["active"]
