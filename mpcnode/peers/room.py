"""The peers that are in the room, as the server says it, and how participants are gathered from it."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from contextlib import suppress
from typing import Final

from mpcnode import blame
from mpcnode.commands import CreateWallet
from mpcnode.errors import ClocksApart, MpcError, ServerUnreachable, UsageError
from mpcnode.peers.conversation import Conversations
from mpcnode.status import Event, PeerView, Waiting
from mpcnode.types import IdentityKey, PeerId

HELLO_AGAIN: Final = 2.0
"""Seconds after which a hello that was not answered is said once more."""
MAX_PROBLEMS: Final = 1024
ASK_AGAIN: Final = 5.0
"""Seconds after which the server is asked again who is here, where somebody is missing."""
GREETED: Final = 1.0
"""Seconds that keys are waited for before peers are shown."""


class Room:
    """The peers of one node's room.

    Args:
        me: this node's name.
    """

    def __init__(self, me: PeerId) -> None:
        self.me = me
        self._news = asyncio.Event()
        """Set whenever somebody comes, goes, is introduced or fails to be."""
        self._problems: dict[PeerId, MpcError] = {}
        self.ask: Callable[[], None] = lambda: None
        """Asks the server who is here; the answer comes as ``set``."""
        self.present: tuple[PeerId, ...] = ()
        """Everybody, this node included, sorted; empty until this node is registered."""
        self.away = False
        """Whether the server cannot be reached just now; then ``present`` is from before."""

    def others_of(self, wanted: tuple[PeerId, ...]) -> tuple[PeerId, ...]:
        """Give those of ``wanted`` that are here; everybody else but this node where ``wanted`` is empty."""
        return tuple(name for name in self.present if name != self.me and (not wanted or name in wanted))

    def set(self, present: Iterable[PeerId]) -> None:
        """Note that these are here, and nobody else."""
        self.present = tuple(sorted({*present, self.me}))
        self.away = False
        self._news.set()

    def joined(self, peer: PeerId) -> None:
        """Note that ``peer`` came."""
        self.set((*self.present, peer))

    def left(self, peer: PeerId) -> None:
        """Note that ``peer`` went."""
        self.set(name for name in self.present if name != peer)

    def stir(self, peer: PeerId, problem: MpcError | None = None, *, introduced: bool = False) -> None:
        """Note that ``peer`` said something.

        Args:
            peer: its name.
            problem: why it cannot be taken. It explains a silence, and ends nothing: the server may have made it.
            introduced: whether it proved its key; what it says later does not show that clocks agree again.
        """
        if problem is not None:
            self._problems.pop(peer, None)
            if len(self._problems) >= MAX_PROBLEMS:
                del self._problems[next(iter(self._problems))]
            self._problems[peer] = problem
        elif introduced or not isinstance(self._problems.get(peer), ClocksApart):
            self._problems.pop(peer, None)
        self._news.set()

    def problem_of(self, peer: PeerId) -> MpcError | None:
        """Why nothing that came as from ``peer`` could be taken of late; None where it could."""
        return self._problems.get(peer)

    async def changed(self) -> None:
        """Wait for any news."""
        self._news.clear()
        await self._news.wait()

    async def all_here(
        self, here: Callable[[], bool], waiting: Callable[[], None] = lambda: None, *, within: float | None = None
    ) -> bool:
        """Wait until ``here`` holds, and say whether it does.

        The server is asked again who is here, now and every few seconds: what it says of comings and goings may be
        wrong or lost, and nobody is missed for that.

        Args:
            here: whether those that are wanted are here.
            waiting: called after each change that does not bring them.
            within: seconds to wait at most; None for as long as the caller does.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                while not here():
                    if not self.away:
                        self.ask()
                    with suppress(TimeoutError):
                        async with asyncio.timeout(ASK_AGAIN):
                            while not here():
                                waiting()
                                await self.changed()
        return here()

    async def greet(
        self, peers: Collection[PeerId], conversations: Conversations, *, wait: float = GREETED
    ) -> tuple[PeerId, ...]:
        """Say hello to everybody, again and again, and wait for their keys; give those that stay names.

        Args:
            peers: their names.
            conversations: says hello.
            wait: seconds for all of them.
        """

        def missing() -> tuple[PeerId, ...]:
            return tuple(name for name in peers if conversations.key_of(name) is None)

        with suppress(TimeoutError):
            async with asyncio.timeout(wait):
                while missing():
                    for name in missing():
                        conversations.introduce(name)
                    with suppress(TimeoutError):
                        async with asyncio.timeout(HELLO_AGAIN):
                            while missing():
                                await self.changed()
        return missing()

    async def gather(
        self,
        request: CreateWallet,
        *,
        now: int,
        conversations: Conversations,
        choose: Callable[[tuple[PeerView, ...], int], Awaitable[tuple[PeerId, ...]]],
        view: Callable[[PeerId], PeerView],
        emit: Callable[[Event], None],
    ) -> tuple[PeerId, ...]:
        """Wait until enough peers are here for a wallet, and have the user choose where there are more.

        Args:
            request: names them, or says how many it needs.
            now: Unix milliseconds.
            conversations: says hello to those that can be chosen, so that their keys are shown.
            choose: asks the user.
            view: shows a peer.
            emit: takes who is here and how many are missing.

        Raises:
            ParticipantSilent: they did not come.
            UsageError: the user chose something else than was asked.
        """
        wanted = request.total - 1
        here: tuple[PeerId, ...] = ()

        def enough() -> bool:
            nonlocal here
            here = self.others_of(request.with_peers)
            return len(here) >= wanted

        def waiting() -> None:
            missing = tuple(name for name in request.with_peers if name not in here)
            emit(Waiting(here, wanted - len(here), missing, now + request.wait))

        if not await self.all_here(enough, waiting, within=request.wait / 1000):
            missing = [name for name in request.with_peers if name not in here]
            raise blame.judge(
                blame.Came.CLOCK,
                blame.Event.SILENCE,
                f"waited {request.wait / 1000:.0f} s for {', '.join(missing) or f'{wanted - len(here)} more peers'}",
                missing,
                hint="start `mpcnode register` on the missing nodes, in the same --room",
            )
        if len(here) == wanted:
            return here
        await self.greet(here, conversations)
        chosen = await choose(tuple(view(name) for name in here), wanted)
        if len(chosen) != wanted or len(set(chosen) & set(here)) != wanted:
            raise UsageError(f"choose {wanted} different peers of those that are here")
        return chosen

    async def introduce(
        self, peers: Collection[PeerId], conversations: Conversations, *, wait: float
    ) -> Mapping[PeerId, IdentityKey]:
        """Greet everybody whose key is needed.

        Raises:
            ParticipantSilent: somebody did not answer.
            ServerUnreachable: nobody could, because the server is away.
            ContactChanged, IdentityCheckFailed, PeerIncompatible: what answered is not the node it should be.
        """
        for name in peers:
            if conversations.key_of(name) is None:
                self._problems.pop(name, None)
        if missing := await self.greet(peers, conversations, wait=wait):
            if self.away:
                raise server_away()
            # Only now: what answered so far may be the server's, and the peer's own hello on its way.
            if problem := next(filter(None, map(self._problems.get, missing)), None):
                raise problem
            said = f"no hello from {', '.join(missing)}; are these mpcnode nodes?"
            raise blame.judge(blame.Came.CLOCK, blame.Event.SILENCE, said, missing)
        return {name: key for name in peers if (key := conversations.key_of(name)) is not None}


def server_away() -> ServerUnreachable:
    """Say that nobody can be reached because the server cannot."""
    return ServerUnreachable(
        "the server is away, and without it nobody can be reached", hint="start again when the server is back"
    )
