"""The world of one run: a signaling server and the nodes, as processes that are started, asked and gone at the end."""

import asyncio
import contextlib
import os
import secrets
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from mpcnode import status
from mpcnode.blame import Came, Event, judge
from mpcnode.control.client import ControlClient
from mpcnode.control.lines import Failed, Line, Serving, decode_line, error_of
from mpcnode.errors import DecodeError, MpcError, Refused, UsageError
from mpcnode.scenario.model import FAULTS_VARIABLE, Faults, NodeOptions, Scenario
from mpcnode.types import PeerId

T = TypeVar("T")

START_DEADLINE: Final = 60.0
"""Seconds a process has to be up; many start at once on a small machine, and each derives its key first."""
MAX_OUTPUT_LINE: Final = 1024 * 1024
STOP_DEADLINE: Final = 15.0
"""Seconds a process has to stop in order before it is killed."""
_TAIL: Final = 40


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
        self._pairings: list[Process] = []
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
        passphrase: str = "right",  # noqa: S107 -- says which one, and does not hold it
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

    async def command(self, name: str, command: str, *arguments: str, peer_id: str | None = None) -> "Process":
        """Start a command that is a node for as long as it takes, under a home of its own; its end is the caller's.

        Raises:
            UsageError: the node runs.
        """
        before = self.nodes.get(name)
        if before is not None and before.running:
            raise UsageError(f"{name} runs already", hint="stop it first, or have it finish")
        process = self.nodes[name] = Process(name, self._directory)
        self.peer_ids[name] = PeerId(peer_id) if peer_id is not None else self.peer_ids.get(name, PeerId(name))
        process.on_line = lambda line: self._remember(name, line)
        timeouts = self.scenario.timeouts
        options = (
            *("--yes", "--loopback", "--stop-with-stdin", "--round-seconds", f"{timeouts.round:g}"),
            *self._beginning(name, "right"),
        )
        await process.start(command, *arguments, *options)
        return process

    async def pair(self, name: str, *arguments: str) -> "Process":
        """Start a command that pairs for a node, which may run."""
        self.peer_ids.setdefault(name, PeerId(name))
        process = Process(f"{name}-pairs", self._directory)
        self._pairings.append(process)
        await process.start("pair", *arguments, *self._beginning(name, "right"))
        return process

    def home(self, name: str) -> Path:
        """The node's home."""
        return self._directory / name

    async def client(self, name: str) -> ControlClient:
        """Give a way to command the node.

        Raises:
            UsageError: it does not run.
        """
        client = await ControlClient.connect(self.home(name))
        if client is None:
            raise UsageError(f"{name} does not run", hint="start it first")
        return client

    async def wallets(self, name: str) -> tuple[status.WalletView, ...]:
        """The wallets of a node; none where it does not run or answer."""
        process = self.nodes.get(name)
        if process is None or not process.running or process.paused:
            return ()
        client = await ControlClient.connect(self.home(name))
        if client is None:
            return ()
        async with client:
            return tuple(one for one in await client.wallets() if isinstance(one, status.WalletView))

    @property
    def unprintable(self) -> str | None:
        """Say which process wrote something that a terminal might obey; None if none did."""
        wrote = ((one.name, one.unprintable) for one in (self._server, *self.nodes.values(), *self._pairings))
        return next((f"{name} wrote what a terminal might obey: {line}" for name, line in wrote if line), None)

    async def close(self) -> None:
        """Stop every process; no process is left when this returns or raises."""
        try:
            every = (*self.nodes.values(), *self._pairings)
            await asyncio.gather(*(node.stop() for node in every), return_exceptions=True)
        finally:
            await self._server.stop()

    def _arguments(self, name: str, passphrase: str, accept: str | None) -> Iterator[str]:
        options = self.scenario.nodes.get(name, NodeOptions())
        timeouts = self.scenario.timeouts
        yield from ("register", "--yes", "--loopback", "--stop-with-stdin")
        yield from self._beginning(name, passphrase)
        yield from ("--accept", accept or options.accept, "--room", options.room)
        yield from ("--answer-seconds", f"{timeouts.answer:g}", "--round-seconds", f"{timeouts.round:g}")
        if options.contacts_only:
            yield "--contacts-only"

    def _beginning(self, name: str, passphrase: str) -> Iterator[str]:
        """What every command is given."""
        yield from ("--json", "--kdf", "interactive")
        yield from ("--home", str(self.home(name)), "--server", self._url, "--peer-id", self.peer_ids[name])
        yield from ("--passphrase-file", str(self._directory / f"passphrase-{passphrase}"))

    def _remember(self, name: str, line: Line) -> None:
        if isinstance(line, status.SessionEnded) and line.wallet is not None and line.words:
            self.words[name, line.wallet.wallet_id] = line.words


class Process:
    """A running ``mpcnode``, in a process group of its own.

    Ctrl-C at the runner's terminal does not reach it: the runner stops it in order. A runner that is killed takes it
    along, in one of two ways. Standard input is a pipe from the runner, and ``--stop-with-stdin`` makes the process
    stop when it ends; and a process that stands still and could not see that is in a group which loses its last
    parent outside, to which the system sends SIGHUP and SIGCONT.

    Args:
        name: the node's name, for what is said about it.
        directory: where its output is kept.
    """

    def __init__(self, name: str, directory: Path) -> None:
        self.name = name
        self.lines: list[Line] = []
        self.on_line: Callable[[Line], None] = lambda _: None
        self.paused = False
        self.will_die = False
        """Whether it was started to die by itself."""
        self.unprintable: str | None = None
        """The first line it wrote with anything in it that a terminal might obey, spelled out."""
        self._directory = directory
        self._changed = asyncio.Condition()
        self._talk: deque[str] = deque(maxlen=_TAIL)
        self._process: asyncio.subprocess.Process | None = None
        self._listening: asyncio.Task[None] | None = None
        self._silent = False
        self._waking: asyncio.TimerHandle | None = None

    async def start(self, *arguments: str, faults: Faults | None = None) -> None:
        """Start ``mpcnode`` with ``arguments``; with ``faults`` it is started by ``mpcnode.faults``."""
        self.will_die = faults is not None and faults.dies_at is not None
        program = "mpcnode" if faults is None else "mpcnode.faults"
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", program, *arguments),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=MAX_OUTPUT_LINE,
            env=_environment(faults),
            process_group=0,
        )
        self._listening = asyncio.create_task(self._listen(self._process))

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._process is not None and self._process.returncode is None

    @property
    def exit_code(self) -> int | None:
        """How it ended; negative for a signal, None while it runs."""
        return None if self._process is None else self._process.returncode

    @property
    def was_killed(self) -> bool:
        """Whether it ended by SIGKILL, its own or somebody's."""
        return self.exit_code == -signal.SIGKILL

    @property
    def failure(self) -> MpcError:
        """Why it ended: what it said, or that it said nothing."""
        for line in reversed(self.lines):
            if isinstance(line, Failed):
                return error_of(line.error)
        talk = " / ".join(self._talk) or "nothing"
        said = f"{self.name} ended with {self.exit_code} and said no error; its last words were: {talk[-600:]!a}"
        return judge(Came.CLOCK, Event.SILENCE, said, [PeerId(self.name)])

    async def wait_for(self, wanted: Callable[[Line], T | None], *, deadline: float) -> T:
        """The first thing that ``wanted`` finds in a line, from the first line on.

        Raises:
            MpcError: the process ended without it.
            ParticipantSilent: it did not come within ``deadline`` seconds.
        """
        read = 0
        try:
            async with asyncio.timeout(deadline), self._changed:
                while True:
                    for line in self.lines[read:]:
                        if (found := wanted(line)) is not None:
                            return found
                    read = len(self.lines)
                    if self._silent:
                        raise self.failure
                    await self._changed.wait()
        except TimeoutError as error:
            said = f"{self.name} did not say what was waited for within {deadline:g} s"
            raise judge(Came.CLOCK, Event.SILENCE, said, [PeerId(self.name)]) from error

    async def wait(self, *, deadline: float) -> int:
        """Its exit code, once it and its output have ended.

        Raises:
            TimeoutError: it still runs.
        """
        assert self._process is not None
        assert self._listening is not None
        async with asyncio.timeout(deadline):
            await asyncio.shield(self._listening)
            return await self._process.wait()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to its whole group."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)

    def pause(self, seconds: float | None) -> None:
        """Have it stand still, for so many seconds or until ``resume``."""
        self.signal(signal.SIGSTOP)
        self.paused = True
        if seconds is not None:
            self._waking = asyncio.get_running_loop().call_later(seconds, self.resume)

    def resume(self) -> None:
        """Have it go on."""
        if self._waking is not None:
            self._waking.cancel()
        self.signal(signal.SIGCONT)
        self.paused = False

    async def stop(self) -> int | None:
        """Have it stop in order; kill it where it does not.

        Returns:
            Its exit code; None where it never started.
        """
        if self._process is None:
            return None
        try:
            if self.paused:
                self.resume()
            self.signal(signal.SIGTERM)
            return await self.wait(deadline=STOP_DEADLINE)
        except TimeoutError:
            pass
        finally:  # also where the runner itself is told to stop a second time
            self.signal(signal.SIGKILL)
        return await self.wait(deadline=STOP_DEADLINE)

    async def _listen(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            await asyncio.gather(self._read_lines(process.stdout), self._read_talk(process.stderr))
            await process.wait()
        finally:
            self._silent = True
            await self._tell()

    async def _read_lines(self, stdout: asyncio.StreamReader) -> None:
        with (self._directory / f"{self.name}.ndjson").open("ab") as kept:
            while data := await stdout.readline():
                kept.write(data)
                kept.flush()
                self._look_at(data)
                try:
                    line = decode_line(data)
                except DecodeError:
                    self._talk.append(f"not JSON: {data[:200]!a}")
                    continue
                self.lines.append(line)
                self.on_line(line)
                await self._tell()

    async def _read_talk(self, stderr: asyncio.StreamReader) -> None:
        with (self._directory / f"{self.name}.stderr").open("ab") as kept:
            while data := await stderr.readline():
                kept.write(data)
                self._look_at(data)
                self._talk.append(data.decode(errors="replace").rstrip())

    def _look_at(self, data: bytes) -> None:
        line = data.decode(errors="replace").rstrip("\n")
        if self.unprintable is None and not line.isprintable():
            self.unprintable = ascii(line[:200])

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()


class NobodyToAsk:
    """Refuses every question: a run has nobody to ask. ``--yes`` and ``--accept`` tell its nodes not to."""

    async def approve(self, proposal: status.Proposed) -> bool:
        """Refuse."""
        raise Refused(f"a scenario cannot be asked about the wallet {proposal.wallet!a}")

    async def confirm_words(self, words: status.SafetyWords) -> bool:
        """Refuse."""
        raise Refused(f"a scenario cannot compare the safety words of session {words.session_id}")

    async def choose_peers(self, candidates: tuple[status.PeerView, ...], count: int) -> tuple[PeerId, ...]:
        """Refuse."""
        raise Refused(f"there are {len(candidates)} peers, not {count}: name them with `with`")


def _environment(faults: Faults | None) -> Mapping[str, str]:
    # Variables that are meant for this user's own node must not reach the nodes of a run.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MPCNODE_")}
    return environment if faults is None else {**environment, FAULTS_VARIABLE: msgspec.json.encode(faults).decode()}


def _serving(line: Line) -> Serving | None:
    return line if isinstance(line, Serving) else None


def _registered(line: Line) -> status.Registered | None:
    return line if isinstance(line, status.Registered) else None
