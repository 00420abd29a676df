"""Two real nodes with a wallet, and commands under a node's home as processes of their own."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast

import msgspec

from mpcnode.control.server import ControlServer
from mpcnode.mesh.mesh import Mesh
from mpcnode.mesh.pool import OnLink
from mpcnode.mesh.transport import Local
from mpcnode.types import IdentityKey, PeerId, SessionId
from tests.helpers.cheat import CheatingMesh, Rule
from tests.helpers.nodes import DEADLINE, TREASURY3, Nodes, Running, making, soon
from tests.helpers.table import Human
from tests.helpers.terminal import clean_environment


@asynccontextmanager
async def treasury(place: Nodes, ben: Human | None = None, **config: Any) -> AsyncIterator[tuple[Running, Running]]:
    """Ana and ben with a wallet of two, and ana's control socket; what was said until then is forgotten."""
    ana, other = await place.start("ana"), await place.start("ben", ben, **config)
    for one in (ana, other):
        await one.knows("ana", "ben")
    await soon(making(ana, msgspec.structs.replace(TREASURY3, total=2)))
    await other.end_of_session()
    for one in (ana, other):
        one.events.clear()
    async with ControlServer(ana.node, ana.config.home, emit=ana._emit) as control:
        control.node_started()
        yield ana, other


@dataclass(frozen=True)
class Ended:
    """How a process ended."""

    code: int
    lines: list[dict[str, Any]]
    talk: str

    @property
    def error(self) -> tuple[int, str, list[str], list[str]]:
        """Exit code, kind, culprits and suspects of the error it printed, which is how it ended."""
        error = self.lines[-1]["error"]
        assert error["exit_code"] == self.code
        return self.code, error["code"], error.get("culprits", []), error.get("suspects", [])


class Command:
    """A command under a node's home, as a process that prints JSON."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, node: Running, command: str, *arguments: str) -> "Command":
        return cls(
            await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", "mpcnode", command, "--home", str(node.config.home), "--json", *arguments),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=clean_environment(),
            )
        )

    async def ends(self) -> Ended:
        try:
            async with asyncio.timeout(DEADLINE):
                out, talk = await self._process.communicate()
        finally:
            if self._process.returncode is None:
                self._process.kill()
                await self._process.wait()
        assert self._process.returncode is not None
        for text in (out.decode(), talk.decode()):
            assert "\x1b" not in text
            assert "\u202e" not in text
        return Ended(self._process.returncode, [json.loads(line) for line in out.splitlines()], talk.decode())

    def strike(self, number: signal.Signals) -> None:
        self._process.send_signal(number)


def cheat(node: Running, rule: Rule) -> None:
    """From here on ``rule`` changes what a node's sessions say, also on the meshes it has open."""
    pool = node.node._parts.services.pool
    honest = pool._make

    def make(local: Local, mesh_id: SessionId, roster: Mapping[PeerId, IdentityKey], on_link: OnLink) -> Mesh:
        return cast("Mesh", CheatingMesh(honest(local, mesh_id, roster, on_link), [rule]))

    pool._make = make
    for shared in pool._meshes.values():
        shared.mesh = cast("Mesh", CheatingMesh(shared.mesh, [rule]))
