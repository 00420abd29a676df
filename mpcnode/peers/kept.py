"""What one peer was told through the server and may have missed. Pure."""

from collections import deque
from dataclasses import dataclass, replace
from typing import Final

from mpcnode.types import IdentityKey
from mpcnode.wire import relay as wire

KEPT_FOR_RESENDING: Final = 64
UNSUPPORTED: Final = "unsupported"
"""The code of the cancel that answers a message which a node does not understand."""


@dataclass(frozen=True, slots=True)
class Said:
    """One message; ``key`` is the only key it is ever sealed to, ``expires`` Unix time in milliseconds."""

    expires: int
    message: wire.RelayMessage
    encoded: bytes
    key: IdentityKey
    sequence: int = 0
    """Its number in the present pair; 0 where it was not sealed for it."""
    told: bool = False
    """Whether it was sealed at all."""

    @property
    def once(self) -> bool:
        """Whether it is told once: a peer that misses it asks again."""
        match self.message:
            case wire.SessionResponse(accepted=accepted):
                return not accepted
            case wire.SessionCancel(code=code):
                return code == UNSUPPORTED
            case _:
                return isinstance(self.message, wire.CertificateRequest | wire.CertificateReply)


class Kept:
    """The last messages to one peer, each until it expires; a peer may come back with another key."""

    def __init__(self) -> None:
        self._said: deque[Said] = deque(maxlen=KEPT_FOR_RESENDING)
        self._spoken: set[tuple[IdentityKey, bytes]] = set()
        """The topics of what is kept about which the holder of a key said something in its present life."""
        self._sent = 0
        """The last number in the present pair."""

    def add(self, said: Said, pair_key: IdentityKey | None, now: int) -> Said:
        """Keep a message, numbered where it goes to the key of the pair; said anew, it is kept as it was said last."""
        if said.key == pair_key:
            self._sent += 1
            said = replace(said, sequence=self._sent, told=True)
        if not (said.told and said.once):
            same = said.key, said.encoded
            left = [one for one in self._said if one.expires > now and (one.key, one.encoded) != same]
            self._set([*left, said])
        return said

    def begin(self, key: IdentityKey) -> None:
        """Begin a life of the peer and a pair: what is kept is numbered anew.

        A life that has begun a session cannot go on with it in the next: told of it again, it would begin it anew.
        """
        self._sent = 0
        left = [
            one for one in self._said if (one.key, wire.topic_of(one.message)) not in self._spoken or one.key != key
        ]
        for at, said in enumerate(left):
            self._sent += said.key == key
            left[at] = replace(said, sequence=self._sent if said.key == key else 0)
        self._set(left)
        self._spoken = {(one, topic) for one, topic in self._spoken if one != key}

    def heard(self, key: IdentityKey, topic: bytes) -> None:
        """Note that the holder of a key said something about a topic."""
        self._spoken &= {(said.key, wire.topic_of(said.message)) for said in self._said}
        self._spoken.add((key, topic))

    def missed(self, key: IdentityKey, now: int) -> list[Said]:
        """Give what the holder of a key may have missed."""
        return [said for said in self._said if said.key == key and said.expires > now]

    def tell(self, key: IdentityKey, now: int) -> list[Said]:
        """Give the same, to be sealed now; what is told once is not kept any longer."""
        told = self.missed(key, now)
        left = [replace(said, told=said.told or said in told) for said in self._said]
        self._set([said for said in left if not (said.told and said.once)])
        return told

    def waits(self, now: int) -> bool:
        """Whether something is to be said that nobody who holds its key is here for."""
        return any(said.expires > now and not said.sequence for said in self._said)

    def is_live(self, now: int) -> bool:
        """Whether something of a session is kept that goes on."""
        return any(said.expires > now and not said.once for said in self._said)

    def has_for(self, key: IdentityKey | None = None) -> bool:
        """Whether anything is kept for the holder of a key, or for anybody."""
        return any(key in {None, said.key} for said in self._said)

    def _set(self, said: list[Said]) -> None:
        self._said.clear()
        self._said.extend(said)
