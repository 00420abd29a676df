"""Run a scenario: one signaling server, one process a node, every step in turn, and nothing left behind."""

import asyncio
import secrets
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar

from mpcnode import status
from mpcnode.control.client import ControlClient
from mpcnode.control.lines import Line, Serving
from mpcnode.errors import MpcError
from mpcnode.scenario.faults import Faults
from mpcnode.scenario.model import NodeOptions, Scenario, Step
from mpcnode.scenario.process import Process
from mpcnode.scenario.report import NodeWallet, ScenarioReport, StepReport
from mpcnode.scenario.steps import carry_out
from mpcnode.types import PeerId

T = TypeVar("T")

START_DEADLINE: Final = 60.0
"""Seconds a process has to be up; many start at once on a small machine, and each derives its key first."""
EXPECTATION_NOT_MET: Final = 1


class World:
    """The processes of one run.

    Args:
        scenario: what is run.
        directory: where homes and output go.
    """

    def __init__(self, scenario: Scenario, directory: Path) -> None:
        self.scenario = scenario
        self.nodes: dict[str, Process] = {}
        self.peer_ids: dict[str, PeerId] = {name: PeerId(name) for name in scenario.nodes}
        self.words: dict[tuple[str, str], tuple[str, ...]] = {}
        """(node, wallet id) -> the safety words it showed when it made the wallet."""
        self._directory = directory
        self._server = Process("server", directory)
        self._url = ""

    async def open(self) -> None:
        """Start the server, then every node at once.

        Raises:
            MpcError: one did not start.
        """
        for name, text in (("right", secrets.token_hex(16)), ("wrong", secrets.token_hex(16))):
            file = self._directory / f"passphrase-{name}"
            file.touch(mode=0o600)
            file.write_text(text)
        await self._server.start("serve", "--port", "0", "--json", "--stop-with-stdin")
        serving = await self._server.wait_for(_serving, deadline=START_DEADLINE)
        self._url = f"ws://{serving.host}:{serving.port}"
        starts = (self.start(name, faults=options.faults) for name, options in self.scenario.nodes.items())
        results = await asyncio.gather(*starts, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result

    async def start(
        self,
        name: str,
        *,
        passphrase: str = "right",  # noqa: S107 -- says which, and is none
        accept: str | None = None,
        faults: Faults | None = None,
    ) -> None:
        """Start a node and wait until it is registered.

        Args:
            name: which.
            passphrase: the ``right`` or the ``wrong`` one.
            accept: what it accepts; None: as the scenario says of the node.
            faults: of this process.

        Raises:
            MpcError: why it is not.
        """
        process = self.nodes[name] = Process(name, self._directory)
        process.on_line = lambda line: self._remember(name, line)
        await process.start(*self._arguments(name, passphrase, accept), faults=faults)
        await process.wait_for(_registered, deadline=START_DEADLINE)

    def home(self, name: str) -> Path:
        """The node's home."""
        return self._directory / name

    async def client(self, name: str) -> ControlClient | None:
        """A way to give the node a command; None where it does not run."""
        return await ControlClient.connect(self.home(name))

    async def wallets(self, name: str) -> tuple[status.WalletView, ...]:
        """The wallets of a node; none where it does not run or answer."""
        process = self.nodes.get(name)
        client = await self.client(name) if process is not None and process.running and not process.paused else None
        if client is None:
            return ()
        async with client:
            return tuple(one for one in await client.wallets() if isinstance(one, status.WalletView))

    @property
    def unprintable(self) -> str | None:
        """Which process wrote what a terminal might obey; None as it should be."""
        wrote = ((one.name, one.unprintable) for one in (self._server, *self.nodes.values()))
        return next((f"{name} wrote what a terminal might obey: {line}" for name, line in wrote if line), None)

    async def close(self) -> None:
        """Stop every process; none is left when this returns, however it returns."""
        try:
            await asyncio.gather(*(node.stop() for node in self.nodes.values()), return_exceptions=True)
        finally:
            await self._server.stop()

    def _arguments(self, name: str, passphrase: str, accept: str | None) -> Iterator[str]:
        options = self.scenario.nodes.get(name, NodeOptions())
        timeouts = self.scenario.timeouts
        yield from ("register", "--json", "--yes", "--loopback", "--stop-with-stdin", "--kdf", "interactive")
        yield from ("--home", str(self.home(name)), "--server", self._url, "--peer-id", self.peer_ids[name])
        yield from ("--passphrase-file", str(self._directory / f"passphrase-{passphrase}"))
        yield from ("--accept", accept or options.accept, "--room", options.room)
        yield from ("--answer-seconds", f"{timeouts.answer:g}", "--round-seconds", f"{timeouts.round:g}")
        if options.contacts_only:
            yield "--contacts-only"

    def _remember(self, name: str, line: Line) -> None:
        if isinstance(line, status.SessionEnded) and line.wallet is not None:
            self.words[name, line.wallet.wallet_id] = line.words


async def run_scenario(
    scenario: Scenario, *, keep: Path | None = None, on_step: Callable[[StepReport], None] = lambda _: None
) -> ScenarioReport:
    """Run ``scenario``; it ends at the first step that does not end as written.

    Args:
        scenario: what to run.
        keep: where homes and output are to stay; by default they go away with the run.
        on_step: told how each step ended.
    """
    begun = time.monotonic()
    steps: list[StepReport] = []
    problem: str | None = None
    wallets: tuple[NodeWallet, ...] = ()
    exit_code = 0
    with _directory(keep) as directory:
        world = World(scenario, directory)
        try:
            await world.open()
            exit_code = await _run_steps(world, steps, on_step)
            wallets = await _held(world)
        except MpcError as error:
            problem, exit_code = error.message, error.exit_code
        finally:
            await world.close()
        if exit_code == 0:
            problem, exit_code = _look_at_output(world)
    return ScenarioReport(
        file=scenario.file,
        title=scenario.title,
        ok=exit_code == 0,
        exit_code=exit_code,
        seconds=round(time.monotonic() - begun, 3),
        steps=tuple(steps),
        wallets=wallets,
        problem=problem,
    )


async def _run_steps(world: World, done: list[StepReport], on_step: Callable[[StepReport], None]) -> int:
    for step in world.scenario.steps:
        report, exit_code = await _run_step(world, step)
        done.append(report)
        on_step(report)
        if exit_code:
            return exit_code
    return 0


def _look_at_output(world: World) -> tuple[str | None, int]:
    problem = world.unprintable
    return problem, 0 if problem is None else EXPECTATION_NOT_MET


async def _run_step(world: World, step: Step) -> tuple[StepReport, int]:
    begun = time.monotonic()
    outcome = await carry_out(world, step)
    report = StepReport(
        number=step.number,
        verb=step.action.verb,
        node=step.node,
        seconds=round(time.monotonic() - begun, 3),
        problem=outcome.problem,
        ended=outcome.ended,
        signed=outcome.signed,
    )
    if report.ok:
        return report, 0
    if outcome.ended is not None and step.expect.error is None and outcome.ended.exit_code > 0:
        return report, outcome.ended.exit_code
    return report, EXPECTATION_NOT_MET


async def _held(world: World) -> tuple[NodeWallet, ...]:
    return tuple(
        [
            NodeWallet(node=name, wallet=wallet, words=world.words.get((name, wallet.wallet_id), ()))
            for name in world.nodes
            for wallet in await world.wallets(name)
        ]
    )


@contextmanager
def _directory(keep: Path | None) -> Iterator[Path]:
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="mpcnode-run-") as made:
            yield Path(made)
    else:
        keep.mkdir(mode=0o700, parents=True, exist_ok=True)
        yield Path(tempfile.mkdtemp(prefix="run-", dir=keep))


def _serving(line: Line) -> Serving | None:
    return line if isinstance(line, Serving) else None


def _registered(line: Line) -> status.Registered | None:
    return line if isinstance(line, status.Registered) else None
