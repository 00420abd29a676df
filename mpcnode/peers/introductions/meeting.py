"""Two nodes meet with a code: the machine of a pairing on one side, a slot of the server on the other.

Both are given up however this ends: a code that was made is over when its command is.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from mpcnode.crypto.pairing_keys import Role
from mpcnode.errors import MpcError
from mpcnode.identity.card import Card
from mpcnode.identity.identity import Identity
from mpcnode.peers.introductions.endings import SILENT, Moment, ending, moment_of
from mpcnode.peers.introductions.pairing import Paired, Pairing
from mpcnode.signaling.slots import Slot, SlotOver
from mpcnode.types import PeerId
from mpcnode.waits import see_end
from mpcnode.wire.code import Code

ANSWER_SECONDS: Final = 10.0
"""For the server."""
WAIT_SECONDS: Final = 3600.0
"""For the other end to come, whatever the server says."""
PAIR_SECONDS: Final = 30.0
"""For all that the two say to each other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Introducer:
    """What it takes to meet somebody.

    Args:
        server: the URL of the server with the slots.
        ca_file: authorities to trust for ``wss``, in place of the system's.
        identity: this node's.
        moniker: what this node calls itself.
        rng: gives that many uniformly random bytes.
    """

    server: str
    ca_file: Path | None
    identity: Identity
    moniker: PeerId
    rng: Callable[[int], bytes]

    async def invite(
        self,
        words: tuple[str, ...],
        *,
        check: Callable[[Card], None],
        show: Callable[[Code, float], None],
        gives: str | None = None,
    ) -> Paired:
        """Make a code, show it, and wait for who uses it.

        Args:
            words: of the code.
            check: looks at the other end's card; what it raises declines the other end.
            show: is told the code, and for how many seconds it is good.
            gives: the link of an invitation, for who uses the code.

        Raises:
            MpcError: nobody was met; the code is used up. See ``Pairing.receive`` and ``endings``.
        """
        # The number of the slot is not known yet, and the password exchange does not need it.
        async with self._pairing(Role.INVITER, Code(1, words).password, check, gives) as pairing:
            with _Time(Role.INVITER) as time:
                async with Slot.open(self.server, ca_file=self.ca_file, deadline=ANSWER_SECONDS) as slot:
                    async with time.limit(ANSWER_SECONDS):
                        number, lasts = await slot.allocate()
                    time.moment = Moment.WAITING
                    lasts = min(lasts, WAIT_SECONDS)
                    show(Code(number, words), lasts)
                    async with time.limit(lasts):
                        await slot.claimed()
                    async with time.limit(PAIR_SECONDS):
                        await slot.say(pairing.begin(number))
                        return await _talk(pairing, slot, time)

    async def join(self, code: Code, *, check: Callable[[Card], None]) -> Paired:
        """Meet who made ``code``.

        Args:
            code: as it was told.
            check: looks at the other end's card; what it raises declines the other end.

        Raises:
            MpcError: nobody was met; the code is used up. See ``Pairing.receive`` and ``endings``.
        """
        async with self._pairing(Role.JOINER, code.password, check) as pairing:
            with _Time(Role.JOINER) as time:
                async with Slot.open(self.server, ca_file=self.ca_file, deadline=ANSWER_SECONDS) as slot:
                    async with time.limit(ANSWER_SECONDS):
                        await slot.claim(code.slot)
                        await slot.say(pairing.begin(code.slot))
                        await slot.claimed()
                    async with time.limit(PAIR_SECONDS):
                        return await _talk(pairing, slot, time)

    @asynccontextmanager
    async def _pairing(
        self, role: Role, password: bytes, check: Callable[[Card], None], gives: str | None = None
    ) -> AsyncIterator[Pairing]:
        """Make the machine in a thread: its first step is the slow one, and loads what the second needs too."""
        making = asyncio.ensure_future(
            asyncio.to_thread(
                Pairing,
                role,
                password=password,
                identity=self.identity,
                moniker=self.moniker,
                check=check,
                rng=self.rng,
                gives=gives,
            )
        )
        await see_end(making)
        pairing = making.result()
        try:
            yield pairing
        finally:
            pairing.close()


class _Time:
    """How far a pairing is, and what the end of its slot or of a limit means by then."""

    def __init__(self, role: Role) -> None:
        self._role = role
        self.moment = Moment.ASKING

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, SlotOver):
            raise ending(error, self._role, self.moment) from None

    @asynccontextmanager
    async def limit(self, seconds: float) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(seconds):
                yield
        except TimeoutError:
            raise SlotOver(SILENT) from None


async def _talk(pairing: Pairing, slot: Slot, time: _Time) -> Paired:
    """Have the machine hear what the other end says and say its own, until there is a result."""
    time.moment = moment_of(pairing.stage)
    while True:
        try:
            answer = await _in_thread(pairing, await slot.hear())
        except MpcError:
            with suppress(SlotOver):
                if pairing.last_words is not None:
                    await slot.say(pairing.last_words)
            await slot.release()
            raise
        time.moment = moment_of(pairing.stage)
        if answer is None:
            break
        await slot.say(answer)
    await slot.release()
    assert pairing.result is not None
    return pairing.result


async def _in_thread(pairing: Pairing, data: bytes) -> bytes | None:
    """Let the machine take a message off the event loop; it is not given up in the middle of that."""
    taking = asyncio.ensure_future(asyncio.to_thread(pairing.receive, data))
    await see_end(taking)
    return taking.result()
