"""A command's end of the control socket."""

import asyncio
import contextlib
import socket
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from mpcnode import status
from mpcnode.control import place
from mpcnode.control.lines import (
    MAX_REPLY,
    Answer,
    Candidates,
    Command,
    CreateWalletArguments,
    CreateWalletCommand,
    Failed,
    Line,
    PeersCommand,
    Question,
    Result,
    Serving,
    SignArguments,
    SignCommand,
    WalletsCommand,
    decode_line,
    encode_line,
    error_of,
)
from mpcnode.errors import DecodeError, Interrupted, MpcError, PeerIncompatible

if TYPE_CHECKING:  # a client of a running node must not load what only a node needs
    from mpcnode.node import User

_SAME_VERSION: Final = "use the mpcnode that runs the node"

ANSWER_DEADLINE: Final = 10.0
"""Seconds for what a node answers at once."""


class ControlClient:
    """A running node, as the commands under its home see it; an async context manager, good for one command."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def connect(cls, home: Path) -> "ControlClient | None":
        """Connect to the node that runs under ``home``; None where none runs."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(connection, str(place.find_socket(home)))
            if place.is_same_user(connection):
                return cls(*await asyncio.open_unix_connection(sock=connection, limit=MAX_REPLY))
        except OSError:  # nobody there, or what a dead node left
            connection.close()
            return None
        connection.close()  # somebody else's process listens where a node of ours did
        return None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(ConnectionError):
            self._writer.close()
            await self._writer.wait_closed()

    async def peers(self) -> tuple[status.PeerView, ...]:
        """Who is in the node's room."""
        return (await self._quickly(PeersCommand())).peers

    async def wallets(self) -> tuple[status.WalletView | status.ErrorView, ...]:
        """The node's wallets, and an error for each file that cannot be read."""
        result = await self._quickly(WalletsCommand())
        return (*result.wallets, *result.unreadable)

    async def create_wallet(
        self, arguments: CreateWalletArguments, *, user: "User", emit: Callable[[status.Event], None]
    ) -> status.WalletView:
        """Have the node make a wallet; its questions come to ``user`` and its events to ``emit``.

        Raises:
            MpcError: what the node says went wrong.
            Interrupted: the node was stopped.
        """
        self._writer.write(encode_line(CreateWalletCommand(arguments)))
        result = await self._until_result(user=user, emit=emit)
        if result.wallet is None:
            raise PeerIncompatible("the running node answered without a wallet", hint=_SAME_VERSION)
        return result.wallet

    async def sign(
        self, arguments: SignArguments, *, user: "User", emit: Callable[[status.Event], None]
    ) -> status.SignatureView:
        """Have the node sign together with others.

        Raises:
            MpcError: what the node says went wrong.
            Interrupted: the node was stopped.
        """
        self._writer.write(encode_line(SignCommand(arguments)))
        result = await self._until_result(user=user, emit=emit)
        if result.signature is None:
            raise PeerIncompatible("the running node answered without a signature", hint=_SAME_VERSION)
        return result.signature

    async def _quickly(self, command: Command) -> Result:
        self._writer.write(encode_line(command))
        try:
            async with asyncio.timeout(ANSWER_DEADLINE):
                return await self._until_result()
        except TimeoutError as error:
            raise Interrupted("the node under this home does not answer", hint="stop it and try again") from error

    async def _until_result(
        self, *, user: "User | None" = None, emit: Callable[[status.Event], None] = lambda _: None
    ) -> Result:
        asked: set[asyncio.Task[None]] = set()
        try:
            while True:
                match line := await self._read():
                    case Result():
                        return line
                    case Failed():
                        raise error_of(line.error)
                    case Question():
                        if user is not None:
                            asked.add(asyncio.ensure_future(self._answer(line, user)))
                    case Serving():
                        pass
                    case _:
                        emit(line)
        finally:
            # A question that is still open when the command ends has lost its meaning.
            for task in asked:
                task.cancel()
            await asyncio.gather(*asked, return_exceptions=True)

    async def _answer(self, question: Question, user: "User") -> None:
        try:
            answer = Answer(question.id, value=await _ask(user, question.about))
        except MpcError as error:
            answer = Answer(question.id, error=status.error_view(error))
        with contextlib.suppress(ConnectionError):
            self._writer.write(encode_line(answer))

    async def _read(self) -> Line:
        try:
            line = await self._reader.readline()
            if line:
                return decode_line(line)
        except (DecodeError, ValueError) as error:  # ValueError: asyncio's word for a line longer than the limit
            message = "the running node says what this command does not know"
            raise PeerIncompatible(message, hint=_SAME_VERSION) from error
        except ConnectionError:
            pass
        raise Interrupted("the node under this home stopped", hint="see what it said where it ran")


async def _ask(user: "User", about: status.Proposed | status.SafetyWords | Candidates) -> bool | tuple[str, ...]:
    match about:
        case status.Proposed():
            return await user.approve(about)
        case status.SafetyWords():
            return await user.confirm_words(about)
        case Candidates():
            return await user.choose_peers(about.peers, about.count)
