"""A command's end of the control socket."""

import asyncio
import contextlib
import socket
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self, TypeVar

from mpcnode import status
from mpcnode.commands import Command, CreateWallet, ListPeers, ListWallets, Pair, Refresh, Sign
from mpcnode.control import place
from mpcnode.control.lines import (
    MAX_REPLY,
    Answer,
    Candidates,
    Failed,
    Line,
    Question,
    Result,
    Serving,
    StartedWith,
    decode_line,
    encode_line,
    error_of,
)
from mpcnode.errors import DecodeError, Interrupted, MpcError, PeerIncompatible

if TYPE_CHECKING:  # a client of a running node must not load what only a node needs
    from mpcnode.consent.approval import User

R = TypeVar("R")

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
        """Connect to the node that runs under ``home``; None where no node runs."""
        connection = place.connect(home)
        return None if connection is None else await cls.over(connection)

    @classmethod
    async def over(cls, connection: socket.socket) -> Self:
        """Speak over a connection that ``place.connect`` made."""
        return cls(*await asyncio.open_unix_connection(sock=connection, limit=MAX_REPLY))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(ConnectionError):
            self._writer.close()
            await self._writer.wait_closed()

    def expect(self, given: StartedWith) -> None:
        """Have the next command refused by a node that was started with other options than these."""
        if given != StartedWith():
            self._writer.write(encode_line(given))

    async def peers(self) -> tuple[status.PeerView, ...]:
        """Ask for the peers in the node's room."""
        return (await self._quickly(ListPeers())).peers

    async def wallets(self) -> tuple[status.WalletView | status.ErrorView, ...]:
        """Ask for the node's wallets, and an error for each file that cannot be read."""
        result = await self._quickly(ListWallets())
        return (*result.wallets, *result.unreadable)

    async def create_wallet(
        self, command: CreateWallet, *, user: "User", emit: Callable[[status.Event], None]
    ) -> status.WalletView:
        """Have the node make a wallet; its questions come to ``user`` and its events to ``emit``.

        Raises:
            MpcError: what the node says went wrong.
            Interrupted: the node was stopped.
        """
        return _there((await self._carry_out(command, user=user, emit=emit)).wallet)

    async def refresh(
        self, command: Refresh, *, user: "User", emit: Callable[[status.Event], None]
    ) -> status.WalletView:
        """Have the node refresh a wallet together with its other participants.

        Raises:
            MpcError: what the node says went wrong.
            Interrupted: the node was stopped.
        """
        return _there((await self._carry_out(command, user=user, emit=emit)).wallet)

    async def sign(self, command: Sign, *, user: "User", emit: Callable[[status.Event], None]) -> status.SignatureView:
        """Have the node sign together with others.

        Raises:
            MpcError: what the node says went wrong.
            Interrupted: the node was stopped.
        """
        return _there((await self._carry_out(command, user=user, emit=emit)).signature)

    async def pair(self, command: Pair, *, user: "User", emit: Callable[[status.Event], None]) -> status.ContactView:
        """Have the node meet somebody with a code; the code that it makes comes to ``emit``.

        Raises:
            MpcError: what the node says went wrong.
            Interrupted: the node was stopped.
        """
        return _there((await self._carry_out(command, user=user, emit=emit)).contact)

    async def _carry_out(self, command: Command, *, user: "User", emit: Callable[[status.Event], None]) -> Result:
        self._writer.write(encode_line(command))
        return await self._until_result(user=user, emit=emit)

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
            message = "the running node says something that this command does not understand"
            raise PeerIncompatible(message, hint=_SAME_VERSION) from error
        except ConnectionError:
            pass
        raise Interrupted("the node under this home stopped", hint="see what it said where it ran")


def _there(result: R | None) -> R:
    """Take what a result has to hold.

    Raises:
        PeerIncompatible: it does not.
    """
    if result is None:
        raise PeerIncompatible("the running node answered something else than was asked", hint=_SAME_VERSION)
    return result


async def _ask(user: "User", about: status.Proposed | status.SafetyWords | Candidates) -> bool | tuple[str, ...]:
    match about:
        case status.Proposed():
            return await user.approve(about)
        case status.SafetyWords():
            return await user.confirm_words(about)
        case Candidates():
            return await user.choose_peers(about.peers, about.count)
