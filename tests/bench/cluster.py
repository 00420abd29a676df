"""A signaling server and nodes, each a process of its own, over real WebRTC on the loopback address."""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from mpcnode import status
from mpcnode.commands import CreateWallet, Sign
from mpcnode.control.client import ControlClient
from mpcnode.types import PeerId, SuiteId
from tests.bench.child import DEADLINE, Child, Line, free_names


class Nobody:
    """Nobody to ask; nodes of a benchmark run with ``--yes``."""

    async def approve(self, proposal: status.Proposed) -> bool:
        raise AssertionError(proposal)

    async def confirm_words(self, words: status.SafetyWords) -> bool:
        raise AssertionError(words)

    async def choose_peers(self, candidates: tuple[status.PeerView, ...], count: int) -> tuple[PeerId, ...]:
        raise AssertionError((candidates, count))


@dataclass(frozen=True, slots=True)
class Session:
    """One key generation, as every node's clock saw it.

    Args:
        lines: each node's lines of this session.
        wallet: what came of it.
    """

    lines: dict[str, list[Line]]
    wallet: status.WalletView

    def began(self, phase: str) -> list[float]:
        """When each node came into ``phase`` for the first time."""
        return [
            next(line["at"] for line in lines if line.get("event") == "progress" and line["phase"] == phase)
            for lines in self.lines.values()
        ]

    @property
    def mesh_seconds(self) -> float:
        """From the first node that knew all answers to the last that heard every ``mesh_ready``."""
        return float(max(line["at"] for line in self._mesh) - min(line["began"] for line in self._mesh))

    @property
    def mesh_cpu(self) -> float:
        """Processor time of the nodes for it, their mean."""
        return float(sum(line["spent"] for line in self._mesh) / len(self.lines))

    @property
    def _mesh(self) -> list[Line]:
        return [next(line for line in lines if line.get("mark") == "mesh") for lines in self.lines.values()]

    @property
    def seconds(self) -> float:
        end = max(lines[-1]["at"] for lines in self.lines.values())
        return float(end - min(lines[0]["at"] for lines in self.lines.values()))


@dataclass(frozen=True, slots=True)
class Signing:
    """One command to sign.

    Args:
        seconds: from the command to its result, as the one that gave it saw them.
        phases: what each of its sessions spent in which phase, as the proposer saw it.
        view: the signatures.
    """

    seconds: float
    phases: Sequence[Mapping[str, float]]
    view: status.SignatureView


@dataclass(frozen=True, slots=True)
class Cluster:
    """Registered nodes, all of which take part in whatever is proposed."""

    directory: Path
    url: str
    server: Child
    nodes: dict[str, Child]

    @property
    def passphrase(self) -> Path:
        return self.directory / "passphrase"

    def options(self, name: str, *, kdf: str = "interactive") -> Sequence[str]:
        """The options of a node of this cluster."""
        return [
            *("--json", "--yes", "--loopback", "--server", self.url, "--peer-id", name, "--kdf", kdf),
            *("--home", str(self.directory / name), "--passphrase-file", str(self.passphrase)),
        ]

    async def create_wallet(self, name: str, threshold: int, nodes: Sequence[str] = ()) -> Session:
        """Have the first of ``nodes`` (by default all) make a wallet with the others."""
        names = list(nodes or self.nodes)
        starts = {node: len(self.nodes[node].lines) for node in names}
        client = await ControlClient.connect(self.directory / names[0])
        assert client is not None
        others = tuple(map(PeerId, names[1:]))
        command = CreateWallet(
            threshold=threshold, total=len(names), name=name, with_peers=others, wait=int(DEADLINE * 1000)
        )
        async with client, asyncio.timeout(DEADLINE):
            wallet = await client.create_wallet(command, user=Nobody(), emit=lambda _: None)
        for node in names:
            end = await self.nodes[node].wait_for(lambda line: line.get("event") == "session_ended", start=starts[node])
            assert end.get("error") is None, (node, end)
        return Session({node: session_lines(self.nodes[node].lines[starts[node] :]) for node in names}, wallet)

    async def sign(
        self, wallet: str, messages: Sequence[bytes], *, suite: SuiteId | None = None, others: Sequence[str] = ()
    ) -> Signing:
        """Have the first node sign with ``others``, by default the first that accept."""
        client = await ControlClient.connect(self.directory / next(iter(self.nodes)))
        assert client is not None
        events: list[status.Event] = []
        command = Sign(
            wallet=wallet,
            contents=tuple(messages),
            reading="hex",
            suite=suite,
            with_peers=tuple(map(PeerId, others)),
        )
        async with client, asyncio.timeout(DEADLINE * 5):
            began = time.monotonic()
            view = await client.sign(command, user=Nobody(), emit=events.append)
            seconds = time.monotonic() - began
        ended = [event for event in events if isinstance(event, status.SessionEnded)]
        assert not any(event.error for event in ended), ended
        return Signing(seconds, [event.seconds for event in ended], view)


def session_lines(lines: Sequence[Line]) -> list[Line]:
    return [line for line in lines if "session_id" in line]


@asynccontextmanager
async def cluster(total: int, *more: str) -> AsyncIterator[Cluster]:
    """Run a server and ``total`` nodes, with ``more`` options, for as long as the block lasts."""
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mpcnode-bench-")))
        (directory / "passphrase").write_text("of a throw-away home")
        server = await stack.enter_async_context(
            Child.python("tests.bench.stamped", "serve", "--port", "0", "--json", "--stop-with-stdin")
        )
        port = (await server.wait_for(lambda line: line.get("event") == "serving"))["port"]
        running = Cluster(directory, f"ws://127.0.0.1:{port}", server, {})
        for name in free_names("node", total):
            command = ("register", "--accept", "auto", "--stop-with-stdin", *more, *running.options(name))
            running.nodes[name] = await stack.enter_async_context(Child.python("tests.bench.stamped", *command))
        for child in running.nodes.values():
            await child.wait_for(lambda line: line.get("event") == "registered")
        await _everybody_sees_everybody(running)
        yield running


async def _everybody_sees_everybody(running: Cluster) -> None:
    for child in running.nodes.values():
        await child.wait_for(lambda line: line.get("event") == "peers" and len(line["peers"]) == len(running.nodes))
