"""The command ``mpcnode sign``, and a running node in another thread that signs as a test says."""

import asyncio
import hashlib
import json
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from mpcnode import status
from mpcnode.cli import app as cli
from mpcnode.commands import Sign
from mpcnode.control.server import ControlServer
from mpcnode.node import Node
from mpcnode.readings.registry import signed_bytes
from tests.helpers.control import ignore
from tests.helpers.fake_node import Emit, FakeNode

SUITE = "FROST-ED25519-SHA512-v1"

Signs = Callable[[Sign, Emit], Awaitable[status.SignatureView]]


def signature_of(message: bytes) -> str:
    """What stands for a signature: 64 bytes that say of what."""
    return hashlib.sha512(message).hexdigest()


def signed(command: Sign, *signers: str, failures: tuple[status.ErrorView, ...] = ()) -> status.SignatureView:
    """What a node gives for ``command``."""
    return status.SignatureView(
        wallet_id="ab" * 16,
        name=command.wallet,
        suite=command.suite or SUITE,
        public_key="cd" * 32,
        messages=tuple(message.hex() for message in command.contents),
        signed=tuple(signed_bytes(command.reading, content).hex() for content in command.contents),
        signatures=tuple(map(signature_of, command.contents)),
        signers=signers or ("cli1", "cli2"),
        failures=failures,
    )


async def _sign_at_once(command: Sign, emit: Emit) -> status.SignatureView:
    del emit
    return signed(command)


@dataclass
class Answering:
    """A node that runs, as far as ``mpcnode sign`` can see."""

    home: Path
    signs: Signs = _sign_at_once
    commands: list[Sign] = field(default_factory=list)
    """What it was asked for."""


class _SigningNode(FakeNode):
    def __init__(self, does: Answering) -> None:
        super().__init__(does.home)
        self._does = does

    async def sign(self, command: Sign, *, emit: Emit | None = None) -> status.SignatureView:
        self._does.commands.append(command)
        return await self._does.signs(command, emit or ignore)


@contextmanager
def answering(home: Path) -> Iterator[Answering]:
    """A node that runs under ``home`` and signs as it is told to."""
    made = Answering(home)
    with serving(_SigningNode(made), home):
        yield made


@contextmanager
def serving(node: Node, home: Path) -> Iterator[None]:
    """Have ``node`` run under ``home`` in a thread of its own, so that the command has the main one as always."""
    ready, loop, stop = threading.Event(), asyncio.new_event_loop(), asyncio.Event()

    async def run() -> None:
        async with ControlServer(node, home, emit=ignore) as served:
            served.node_started()
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(run()))
    thread.start()
    try:
        assert ready.wait(30)
        yield
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(30)
        loop.run_until_complete(loop.shutdown_asyncgens())  # connections that were aborted last are closed by it
        loop.close()


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    talk: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The objects of ``--json``."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def signatures(self) -> list[str]:
        """What it printed for people."""
        return [line.split()[1] for line in self.out.splitlines() if line.startswith("signature ")]


class SignCommand:
    """``mpcnode sign --wallet treasury`` under a home, in this process."""

    def __init__(self, home: Path, capfd: pytest.CaptureFixture[str]) -> None:
        self.home = home
        self._capfd = capfd

    def __call__(self, *arguments: str, wallet: str = "treasury") -> Ended:
        return run_command(self._capfd, "sign", "--wallet", wallet, "--home", str(self.home), *arguments)


def run_command(capfd: pytest.CaptureFixture[str], *arguments: str) -> Ended:
    """Run a command in this process; nothing that it prints controls a terminal."""
    capfd.readouterr()
    code = cli._run(list(arguments))
    captured = capfd.readouterr()
    for text in (captured.out, captured.err):
        assert "\x1b" not in text
        assert "\u202e" not in text
    assert "bug in mpcnode" not in captured.err
    return Ended(code, captured.out, captured.err)
