"""The node's end of the control socket."""

import asyncio
import contextlib
import itertools
import logging
from collections.abc import Callable, Coroutine
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from mpcnode import status
from mpcnode.commands import Command, CreateWallet, ListPeers, ListWallets, Pair, Refresh, Sign
from mpcnode.control import place
from mpcnode.control.lines import (
    MAX_REQUEST,
    Answer,
    Candidates,
    Failed,
    Line,
    Question,
    Result,
    StartedWith,
    decode_request,
    encode_line,
    error_of,
)
from mpcnode.errors import DecodeError, Interrupted, MpcError, Refused, UsageError
from mpcnode.node import Node
from mpcnode.types import PeerId, parse_peer_id

T = TypeVar("T")

_log = logging.getLogger(__name__)

MAX_CLIENTS: Final = 16
MAX_UNREAD: Final = 1024 * 1024
"""Bytes a client may leave unread before it counts as gone."""
COMMAND_DEADLINE: Final = 10.0
"""Seconds a client has to say what it wants."""
STOPPED: Final = "the user of the command stopped this session; the node runs on"
"""Why a session ends whose command is gone; the cancellation carries it."""
CLOSE_DEADLINE: Final = 2.0
"""Seconds a client has to read the end."""


class ControlServer:
    """Carries out what clients ask of ``node``; an async context manager, entered while the home's lock is held.

    Commands that come before ``node_started`` wait for it: a home unlocks in about a second, and users may give a
    command right after they started the node.

    Args:
        node: the node.
        home: its home.
        emit: takes the events of every command, which go to its client too, so a node shows all that it does.
    """

    def __init__(self, node: Node, home: Path, *, emit: Callable[[status.Event], None]) -> None:
        self._started = asyncio.Event()
        self._node = node
        self._emit = emit
        self._home = home
        self._clients: set[asyncio.Task[None]] = set()
        self._open = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        # Ctrl-C may come at any await: what stands on the stack is undone even when this method is never left.
        async with contextlib.AsyncExitStack() as opening:
            listener, _ = place.open_socket(self._home)
            opening.callback(place.remove_socket, self._home)
            opening.callback(listener.close)
            server = await asyncio.start_unix_server(
                self._accept, sock=listener, limit=MAX_REQUEST, start_serving=False
            )
            opening.push_async_callback(self._end, server)
            await server.start_serving()
            self._open = opening.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._open.aclose()

    async def _end(self, server: asyncio.Server) -> None:
        server.close()
        for task in self._clients:
            task.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)
        await server.wait_closed()

    def node_started(self) -> None:
        """From now on the node carries out commands."""
        self._started.set()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        crowded = len(self._clients) >= MAX_CLIENTS
        task = asyncio.ensure_future(
            _Client(self._node, self._emit, self._started, reader, writer).serve(crowded=crowded)
        )
        self._clients.add(task)
        task.add_done_callback(lambda task: self._forget(task, writer))

    def _forget(self, task: asyncio.Task[None], writer: asyncio.StreamWriter) -> None:
        self._clients.discard(task)
        writer.transport.abort()  # a task cancelled before its first step has closed nothing
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("a control client ended with a defect", exc_info=error)


class _Client:
    """One connection: one command, and the questions it raises."""

    def __init__(
        self,
        node: Node,
        emit: Callable[[status.Event], None],
        started: asyncio.Event,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._node = node
        self._emit = emit
        self._started = started
        self._reader = reader
        self._writer = writer
        self._ids = itertools.count(1)
        self._questions: dict[int, asyncio.Future[Answer]] = {}

    async def serve(self, *, crowded: bool) -> None:
        try:
            if not place.is_same_user(self._writer.get_extra_info("socket")):
                _log.warning("another user's process tried the control socket")
                return
            try:
                if crowded:
                    raise UsageError(f"more than {MAX_CLIENTS} commands at a time", hint="let one of them finish first")
                given, command = await self._read_command()
                await self._started.wait()
                _check_started_with(given, self._node)
                self._send(await self._carry_out(command))
            except MpcError as error:
                self._send(Failed(status.error_view(error)))
            except asyncio.CancelledError:
                stopped = Interrupted(
                    "the node under this home was stopped", hint="start it again with `mpcnode register`"
                )
                self._send(Failed(status.error_view(stopped)))
                raise
            await self._hear_out()
        except (_Gone, ConnectionError):
            _log.info("a control client went away")
        finally:
            await self._close()

    async def _read_command(self) -> tuple[StartedWith, Command]:
        given = StartedWith()
        try:
            async with asyncio.timeout(COMMAND_DEADLINE):
                request = decode_request(await self._read_line())
                if isinstance(request, StartedWith):
                    given, request = request, decode_request(await self._read_line())
        except DecodeError as error:
            raise UsageError("not a command of this version", hint="use the mpcnode that runs the node") from error
        except TimeoutError as error:
            raise _Gone from error
        if isinstance(request, Answer | StartedWith):
            raise UsageError("this is not a command", hint="use the mpcnode that runs the node")
        return given, request

    async def _carry_out(self, command: Command) -> Result:
        match command:
            case CreateWallet():
                making = self._node.create_wallet(command, user=self, emit=self._tell)
                return Result(wallet=await self._while_listening(making))
            case Refresh():
                refreshing = self._node.refresh(command, user=self, emit=self._tell)
                return Result(wallet=await self._while_listening(refreshing))
            case Sign():
                signing = self._node.sign(command, emit=self._tell)
                return Result(signature=await self._while_listening(signing))
            case Pair():
                # The code is for whoever asked for it: the node's own screen and log are others' to read.
                pairing = self._node.pair(command, emit=self._send)
                return Result(contact=await self._while_listening(pairing))
            case ListPeers():
                await self._node.greet()
                return Result(peers=self._node.peers())
            case ListWallets():
                wallets = self._node.wallets()
                return Result(
                    wallets=tuple(one for one in wallets if isinstance(one, status.WalletView)),
                    unreadable=tuple(one for one in wallets if isinstance(one, status.ErrorView)),
                )

    async def _while_listening(self, making: Coroutine[Any, Any, T]) -> T:
        """Do the work; the client answers its questions, and cancels it by going away."""
        work = asyncio.ensure_future(making)
        listen = asyncio.ensure_future(self._listen())
        try:
            await asyncio.wait({work, listen}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                await listen  # raises: it never ends otherwise
            return await work
        finally:
            # The node runs on: who is told of the end must not think that it stopped.
            gone = listen.done() and not listen.cancelled() and isinstance(listen.exception(), _Gone)
            work.cancel(STOPPED if gone else None)
            listen.cancel()
            await asyncio.gather(work, listen, return_exceptions=True)

    async def _listen(self) -> None:
        while True:
            try:
                answer = decode_request(await self._read_line())
            except DecodeError as error:
                raise UsageError("not an answer") from error
            if not isinstance(answer, Answer):
                raise UsageError("one command at a time", hint="open a connection for each")
            question = self._questions.pop(answer.id, None)
            # An answer may come after its question has lost its meaning; that is not a mistake of the user.
            if question is not None and not question.done():
                question.set_result(answer)

    async def _read_line(self) -> bytes:
        try:
            line = await self._reader.readline()
        except ValueError as error:  # asyncio's word for a line longer than the limit
            raise UsageError(f"a line is at most {MAX_REQUEST} bytes") from error
        if not line.endswith(b"\n"):
            raise _Gone
        return line

    # ---- the user at the other end (node.User) ----

    async def approve(self, proposal: status.Proposed) -> bool:
        """Ask the client's user."""
        return await self._ask_yes_or_no(proposal)

    async def confirm_words(self, words: status.SafetyWords) -> bool:
        """Ask the client's user."""
        return await self._ask_yes_or_no(words)

    async def choose_peers(self, candidates: tuple[status.PeerView, ...], count: int) -> tuple[PeerId, ...]:
        """Ask the client's user."""
        value = (await self._ask(Candidates(candidates, count))).value
        if not isinstance(value, tuple) or len(set(value)) != count:
            raise Refused(f"the choice is not {count} of the peers")
        try:
            return tuple(parse_peer_id(name) for name in value)
        except ValueError as error:
            raise UsageError(f"a peer that was chosen does not exist: {error}", hint="choose of those shown") from None

    async def _ask_yes_or_no(self, about: status.Proposed | status.SafetyWords) -> bool:
        return (await self._ask(about)).value is True

    async def _ask(self, about: status.Proposed | status.SafetyWords | Candidates) -> Answer:
        number = next(self._ids)
        self._questions[number] = asyncio.get_running_loop().create_future()
        self._send(Question(number, about))
        try:
            answer = await self._questions[number]
        finally:
            self._questions.pop(number, None)
        if answer.error is not None:
            raise error_of(answer.error)
        return answer

    # ---- writing ----

    def _tell(self, event: status.Event) -> None:
        self._emit(event)
        self._send(event)

    def _send(self, line: Line) -> None:
        if self._writer.transport.get_write_buffer_size() > MAX_UNREAD:
            self._writer.transport.abort()  # the reader sees the end, and the command is called off
        elif not self._writer.is_closing():
            self._writer.write(encode_line(line))

    async def _hear_out(self) -> None:
        """Read and drop what the client still says: a socket closed over unread bytes takes our last line from it."""
        with contextlib.suppress(TimeoutError):
            self._writer.write_eof()
            async with asyncio.timeout(CLOSE_DEADLINE):
                while await self._reader.read(MAX_REQUEST):
                    pass

    async def _close(self) -> None:
        with contextlib.suppress(ConnectionError, TimeoutError):
            self._writer.close()
            async with asyncio.timeout(CLOSE_DEADLINE):
                await self._writer.wait_closed()
        self._writer.transport.abort()


def _check_started_with(given: StartedWith, node: Node) -> None:
    """Check that the running node is as a command's options say: none of them may be ignored.

    Raises:
        UsageError: it is not.
    """
    config = node.config
    urls = tuple(url for server in config.ice_servers for url in server.urls)
    differs = {
        "--server": given.server is not None and given.server != config.server,
        "--peer-id": given.peer_id is not None and given.peer_id != node.peer_id,
        "--room": given.room is not None and given.room != config.room,
        "--contacts-only": given.contacts_only and not config.options.contacts_only,
        "--ice-server": bool(given.ice_servers) and given.ice_servers != urls,
        "--loopback": given.loopback and not config.loopback,
        "--address": bool(given.addresses) and given.addresses != config.addresses,
        "--ca-file": given.ca_file is not None and given.ca_file != str(config.ca_file),
        "--link-seconds": given.link_time is not None
        and given.link_time != round(config.mesh_timeouts.all_tries * 1000),
        "--round-seconds": given.round_time is not None and given.round_time != round(config.timeouts.round * 1000),
    }
    options = [option for option, wrong in differs.items() if wrong]
    if options:
        raise UsageError(
            f"the node that runs under this home was started with another {' and '.join(options)}",
            hint="leave it out, or stop that node and start it with `mpcnode register` and these options",
        )


class _Gone(Exception):
    """The client went away."""
