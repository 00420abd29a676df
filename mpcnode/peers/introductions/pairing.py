"""One end of a pairing: a machine that does no I/O (PROTOCOL section Handshake).

::

    exchanging --exchange--> proving --sealed card--> meeting --sealed met--> done
        |                       |                        |
        +--anything else--------+--anything else---------+--anything else--> over

The handshake is a script that reads top to bottom; ``Pairing`` drives it. Whatever goes wrong ends it: a code is tried
once. Nothing that comes through the slot is anybody's whose card has not been checked, so nobody is blamed before.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, TypeVar

from mpcnode.blame import Came, Event, judge
from mpcnode.crypto.pairing_keys import PairingKeys, Role, handshake_hash
from mpcnode.crypto.pake import PasswordExchange
from mpcnode.errors import ContactChanged, DecodeError, MpcError, NameTaken, PairingStopped, Refused, WrongCode
from mpcnode.identity.card import Card, check_card, make_card
from mpcnode.identity.identity import Identity
from mpcnode.types import PeerId
from mpcnode.wire import pairing as wire

T = TypeVar("T")

TYPING_OR_ATTACK: Final = "it may have been a typing error or an attack"

_WRONG: Final = {
    Role.INVITER: (
        f"the code was used with a wrong password: {TYPING_OR_ATTACK}",
        "make a new code with `mpcnode pair`; this one is used up",
    ),
    Role.JOINER: (
        f"the words of the code are not those of the node that made it: {TYPING_OR_ATTACK}",
        "ask for a new code; this one is used up",
    ),
}
_DECLINED: Final = {
    ContactChanged.code: "has another key under this node's name; it has to be removed there with `mpcnode contacts`",
    Refused.code: "was told by its user not to keep this node",
    NameTaken.code: "has another participant of this node's name: join again with --peer-id and another one",
}


class Stage(Enum):
    """What an end waits for."""

    EXCHANGING = auto()
    """The other end's message of the password exchange."""
    PROVING = auto()
    """Its first seal: whether it knows the password, and who it is."""
    MEETING = auto()
    """Its second seal: whether it keeps this node as a contact. What this node knows of it is proved."""
    DONE = auto()
    OVER = auto()


@dataclass(frozen=True, slots=True)
class Paired:
    """What a pairing gives; the other end has the same key, and this node's card.

    Args:
        card: the other end's.
        key: the pre-shared key of the two; the caller wipes it.
        invitation: the link that the inviter gave with it, as it came.
    """

    card: Card
    key: bytearray
    invitation: str | None = None

    def __repr__(self) -> str:
        return f"Paired({self.card!r}, <redacted>)"


class Pairing:
    """One end of one pairing: say what ``begin`` gives, then what ``receive`` gives, until there is a ``result``.

    Making one and its first ``receive`` take about 10 ms of processor each, and the library is slow to load: both are
    for a thread.

    Args:
        role: which end.
        password: of the code.
        identity: this node's.
        moniker: what this node calls itself.
        check: looks at the other end's card, once it is proved; what it raises declines the other end, which is told.
        gives: the link of an invitation, for an other end that knows the password.
        rng: gives that many uniformly random bytes.
    """

    def __init__(
        self,
        role: Role,
        *,
        password: bytes,
        identity: Identity,
        moniker: PeerId,
        check: Callable[[Card], None],
        rng: Callable[[int], bytes],
        gives: str | None = None,
    ) -> None:
        self.stage = Stage.EXCHANGING
        self.result: Paired | None = None
        self.last_words: bytes | None = None
        """What to say, after ``receive`` raised, before the slot is given up; nothing where it is None."""
        self._role = role
        self._identity = identity
        self._moniker = moniker
        self._check = check
        self._gives = gives
        self._exchange = PasswordExchange(password, rng)
        self._script: Generator[bytes, bytes, Paired] | None = None

    def begin(self, slot: int) -> bytes:
        """Give the first message; it is this end's only one for this slot."""
        if self._script is not None:
            raise ValueError("a pairing begins once")
        self._script = self._handshake(slot)
        return next(self._script)

    def receive(self, data: bytes) -> bytes | None:
        """Take the other end's next message; gives this end's next one, or None when the result is there.

        Raises:
            WrongCode: the other end did not have the same password.
            IdentityCheckFailed: somebody between changed what was said.
            ContactChanged: the other end's name is pinned to another key here.
            ParticipantRefused: the other end makes no contact of this node.
            PeerIncompatible: it speaks another version.
            PairingStopped: it said something else than a pairing has.
            MpcError: whatever ``check`` raised.
        """
        if self._script is None or self.stage in {Stage.DONE, Stage.OVER}:
            raise ValueError("nothing is heard before a pairing begins or after it ended")
        try:
            return self._script.send(data)
        except StopIteration as end:
            self.stage = Stage.DONE
            self.result = end.value
            return None
        except BaseException:
            self.stage = Stage.OVER
            raise

    def close(self) -> None:
        """Give it up, and wipe its keys."""
        if self._script is not None:
            self._script.close()
        if self.stage is not Stage.DONE:
            self.stage = Stage.OVER

    def _handshake(self, slot: int) -> Generator[bytes, bytes, Paired]:
        mine = self._exchange.message
        data = yield wire.encode(wire.Exchange(mine, wire.VERSION))
        theirs = _understood(wire.decode_exchange, data).message
        exchanged = self._finish(theirs)
        pair = (mine, theirs) if self._role is Role.INVITER else (theirs, mine)
        keys = PairingKeys(exchanged, handshake_hash(slot, *pair), self._role)
        try:
            self.stage = Stage.PROVING
            mine_card = make_card(self._identity, self._moniker, handshake=keys.handshake, role=self._role)
            said = wire.Card(mine_card.moniker, mine_card.public_key, mine_card.signature)
            data = yield _sealed(keys, said)
            card = self._card(keys, _understood(wire.decode_sealed, data))
            self.stage = Stage.MEETING
            data = yield _sealed(keys, wire.Met(self._gives))
            met = self._end(card, keys, _understood(wire.decode_sealed, data))
            return Paired(card, keys.shared_with(self._identity.public_key, card.public_key), met.invitation)
        finally:
            keys.wipe()

    def _finish(self, theirs: bytes) -> bytearray:
        try:
            return self._exchange.finish(theirs)
        except DecodeError as error:
            raise _between(str(error)) from None

    def _card(self, keys: PairingKeys, seal: bytes) -> Card:
        """Open the other end's first seal: here it shows whether it had the password."""
        try:
            opened = keys.open(seal)
        except DecodeError:
            message, hint = _WRONG[self._role]
            raise WrongCode(message, hint=hint) from None
        told = _understood(wire.decode_card, opened)
        card = Card(told.moniker, told.public_key, told.signature)
        try:
            check_card(card, handshake=keys.handshake, role=self._role.other)
        except DecodeError as error:
            raise _between(str(error)) from None
        if card.public_key == self._identity.public_key:
            raise _between("the other side has this node's own key")
        try:
            self._check(card)
        except MpcError as error:
            self.last_words = _sealed(keys, wire.Declined(error.code))
            raise
        return card

    def _end(self, card: Card, keys: PairingKeys, seal: bytes) -> wire.Met:
        try:
            opened = keys.open(seal)
        except DecodeError as error:
            raise _between(str(error)) from None
        end = _understood(wire.decode_end, opened)
        if isinstance(end, wire.Declined):
            why = _DECLINED.get(end.code, f"did not keep this node as a contact ({end.code})")
            raise judge(
                Came.RELAY,
                Event.REFUSAL,
                f"{card.moniker} {why}",
                [card.moniker],
                hint="ask its user, then pair again with a new code",
            )
        return end


def _sealed(keys: PairingKeys, message: wire.Card | wire.Met | wire.Declined) -> bytes:
    return wire.encode(wire.Sealed(keys.seal(wire.encode(message))))


def _understood(decode: Callable[[bytes], T], data: bytes) -> T:
    try:
        return decode(data)
    except wire.OtherVersion as error:
        raise judge(
            Came.RELAY, Event.OTHER_VERSION, str(error), hint="install the same mpcnode on both sides"
        ) from None
    except DecodeError:
        raise PairingStopped(
            "what came through the slot is not a message of a pairing", hint="pair again with a new code"
        ) from None


def _between(what: str) -> MpcError:
    return judge(
        Came.RELAY,
        Event.WRONG_KEY,
        f"somebody may stand between the two nodes: {what}",
        hint="pair again with a new code, or use another server with --server",
    )
