"""How two nodes that exchange hellos know each other's present lives (PROTOCOL section Introductions). Pure.

Each node says ``hello`` with its identity key and a nonce, and each answers the other's nonce::

    our state      the hello                     what follows
    ------------   ---------------------------   -----------------------------------------------------------
    any            answers our newest nonce      the pair of nonces is adopted, that nonce is used up;
                                                 answered, where the peer has not heard ours yet
    pair (o, t)    nonce t, answers nothing      the peer may have lost what we sealed: answered, and sealed again
    pair (o, t)    nonce t, answers o            where it answers a greeting of ours, the same; else nothing
    any            another nonce, answers        answered with our newest nonce, drawn now where none is out;
                   nothing or o                  nothing else changes
    any            anything else                 ignored: it is from an earlier life of one of the two

A pair is adopted from an answer to a nonce that no life was adopted with before, so whatever the server kept back of an
earlier life never opens again. A hello without an answer can be a copy: it is answered, and that is all.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import msgspec

from mpcnode.blame import Came, Event, judge
from mpcnode.crypto import tags
from mpcnode.crypto.signature import verify
from mpcnode.errors import DecodeError
from mpcnode.identity.contacts import Contacts
from mpcnode.identity.identity import Identity, check_identity_key
from mpcnode.types import IdentityKey, PeerId
from mpcnode.wire import relay as wire
from mpcnode.wire.introduction import hello_fields

CAPABILITIES: Final[tuple[str, ...]] = ()
"""What this node understands beyond version 1 of the protocol."""
CLOCK_SKEW: Final = 300_000
"""Milliseconds by which two clocks may differ."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two nonces that a life of either end answered, and the key of the other end; every seal is bound to all of it."""

    key: IdentityKey
    ours: bytes
    theirs: bytes


@dataclass(frozen=True, slots=True)
class Step:
    """What a hello leads to.

    Args:
        adopted: its sender is introduced: there is a new pair.
        again: what was sealed for the pair may be lost.
        answer: the nonce to answer with.
        asked: whether the answer is this node's own need, and not something that the peer has it do.
    """

    adopted: bool = False
    again: bool = False
    answer: bytes | None = None
    asked: bool = False


class Lives:
    """The nonces between this node and one name.

    Args:
        rng: gives that many random bytes.
        clock: seconds, monotonic.
    """

    def __init__(self, rng: Callable[[int], bytes], clock: Callable[[], float]) -> None:
        self._rng = rng
        self._clock = clock
        self._newest: bytes | None = None
        """Our nonce that no pair was adopted with yet."""
        self._drawn = 0.0
        self._told: bytes | None = None
        """The nonce of the hello that our newest nonce last went out to answer."""
        self._greeted = False
        """Whether a greeting of ours is not answered yet."""
        self.pair: Pair | None = None
        self.apart = 0
        """By how many milliseconds the peer's clock is ahead of ours, at least; 0 where that may be nothing."""

    def greeting(self, *, anew: bool = False) -> bytes:
        """Give the nonce of a hello that answers nothing: that of our pair, or, ``anew``, our newest one."""
        self._greeted = True
        return self.pair.ours if self.pair and not anew else self.newest()

    def newest(self) -> bytes:
        """Give the nonce whose answer proves who is there now."""
        if self._newest is None:
            self._newest, self._told, self._drawn = self._rng(32), None, self._clock()
        return self._newest

    def hear(self, key: IdentityKey, hello: wire.Hello, now: int) -> Step:
        """Take a hello that ``key`` signed; ``now`` is Unix time in milliseconds."""
        nonce, answering, pair = hello.nonce, hello.answering, self.pair
        if self._newest is not None and answering == self._newest:
            ours, told, self._newest, self._greeted = self._newest, self._told, None, False
            self.pair = Pair(key, ours, nonce)
            self.apart = apart(hello.time - now, round((self._clock() - self._drawn) * 1000))
            return Step(adopted=True, again=True, answer=ours if told != nonce else None, asked=True)
        if pair is not None and (key, nonce) == (pair.key, pair.theirs):
            if answering is None:
                return Step(again=True, answer=pair.ours)
            greeted, self._greeted = self._greeted, False
            # It may still wait for our answer, without which it cannot adopt this pair.
            return Step(again=True, answer=pair.ours, asked=True) if greeted else Step()
        if answering is None or (pair is not None and answering == pair.ours):
            return Step(answer=self.newest())
        return Step()

    def answered(self, nonce: bytes, *, told: bytes) -> None:
        """Note that a hello with ``nonce`` went out to answer the hello with the nonce ``told``."""
        if nonce == self._newest:
            self._told = told


def apart(ahead: int, since: int) -> int:
    """By how much two clocks differ at least; 0 where that is tolerable.

    Args:
        ahead: by how much the time in the hello is ahead of this node's, in milliseconds.
        since: the milliseconds since our nonce was drawn that the hello answers: it was made at some time in between.
    """
    least = ahead if ahead > 0 else min(0, ahead + since)
    return least if abs(least) > CLOCK_SKEW else 0


def make_hello(
    identity: Identity, sender: PeerId, recipient: PeerId, *, nonce: bytes, answering: bytes | None, now: int
) -> bytes:
    """Make a hello, signed."""
    unsigned = wire.Hello(
        version=wire.PROTOCOL_VERSION,
        public_key=identity.public_key,
        nonce=nonce,
        answering=answering,
        time=now,
        capabilities=CAPABILITIES,
        signature=b"",
    )
    signature = identity.sign(tags.HELLO, *hello_fields(unsigned, sender, recipient))
    return wire.encode(msgspec.structs.replace(unsigned, signature=signature))


def check_hello(hello: wire.Hello, sender: PeerId, recipient: PeerId, contacts: Contacts) -> IdentityKey:
    """Check that a hello is signed by the key it shows, and that the name may have this key.

    Raises:
        ContactChanged: the name is pinned to another key.
        IdentityCheckFailed: the hello is not its key's, or the key is good for nothing.
    """
    if not verify(hello.public_key, hello.signature, tags.HELLO, *hello_fields(hello, sender, recipient)):
        raise judge(
            Came.RELAY,
            Event.WRONG_KEY,
            f"the hello of peer {sender} is not signed by the key it shows",
            hint="the server may be changing messages; use another one",
        )
    try:
        key = check_identity_key(hello.public_key)
    except DecodeError as error:
        # A key that can sign and that nothing can be sealed to: it was made so on purpose.
        said = f"the hello of peer {sender} shows no usable key: {error}"
        raise judge(Came.RELAY, Event.WRONG_KEY, said) from None
    contacts.check(sender, key)
    return key
