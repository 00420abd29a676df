"""Node to node through a server that nobody trusts (PROTOCOL section Sealed relay).

Two nodes are introduced by hellos (``peers.hello``). Everything after that is sealed to the recipient's identity and
bound to sender, recipient and both nonces, so the server can neither read nor invent nor replay what belongs to another
conversation. It can drop, delay and reorder: messages carry an expiry and a sequence number, and a session must not
care about their order.

What is said because of a peer has a budget. Hellos and seals that are put off for it go out with ``say_again``.

No I/O: ``send`` hands bytes to the signaling client, ``receive`` takes what came from it, time is an argument.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from mpcnode.blame import Came, Event, judge
from mpcnode.errors import AuthenticationError, DecodeError, MpcError, TransportError
from mpcnode.identity.contacts import Contacts
from mpcnode.identity.identity import Identity
from mpcnode.peers.budget import Budget
from mpcnode.peers.hello import CLOCK_SKEW, Lives, Pair, Step, check_hello, make_hello
from mpcnode.peers.kept import KEPT_FOR_RESENDING, UNSUPPORTED, Kept, Said
from mpcnode.signaling.outbox import Standing
from mpcnode.types import IdentityKey, PeerId, SessionId
from mpcnode.wire import introduction
from mpcnode.wire import relay as wire

PURPOSE: Final = "relay"

GREETINGS: Final = (4, 2.0)
"""Hellos that answer nothing, to one peer: so many at once, and one more every so many seconds."""
ANSWERS: Final = (32, 0.25)
"""Hellos that answer one peer: each of its lives needs a few."""
RESENDINGS: Final = (2, 5.0)
"""How often one peer is told again all that it may have missed."""
UNSUPPORTED_ANSWERS: Final = (8, 2.0)
"""What tells one peer that something of it is not understood."""
STRANGERS_ANSWERS: Final = (128, 1 / 16)
"""Hellos that answer all peers together that this node neither pinned nor has anything to say to."""
STRANGERS_GREETINGS: Final = (32, 0.25)
"""Hellos to such peers for what they need no key for: seals that do not open, hellos of other versions."""
TAKEN_REMEMBERED: Final = 4 * KEPT_FOR_RESENDING
REORDER_WINDOW: Final = 1024
MAX_CONVERSATIONS: Final = 4096
"""A server can invent peers without end; a conversation that makes room would introduce itself anew."""
UNSUPPORTED_LASTS: Final = 60_000

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Introduced:
    """``peer_id`` proved that it holds ``public_key``, now; whether that is the right key is for contacts and words.

    Its clock is ``apart`` milliseconds ahead of this node's, at least; 0 where that is tolerable.
    """

    peer_id: PeerId
    public_key: IdentityKey
    capabilities: tuple[str, ...] = ()
    apart: int = 0


@dataclass(frozen=True, slots=True)
class Doubted:
    """A hello in the name of ``peer_id`` is refused, and has no effect: the server can make such a hello."""

    peer_id: PeerId
    error: MpcError


@dataclass(frozen=True, slots=True)
class Opened:
    """A message from the holder of ``public_key``, out of its seal or, ``by_mesh``, from a verified link."""

    sender: PeerId
    public_key: IdentityKey
    message: wire.RelayMessage
    by_mesh: bool = False


@dataclass(slots=True)
class Window:
    """The sequence numbers that were taken over one pair."""

    seen: set[int] = field(default_factory=set)
    highest: int = 0

    def is_new(self, sequence: int) -> bool:
        """Whether this number was never seen; the window bounds memory, and what is older is dropped."""
        if sequence <= self.highest - REORDER_WINDOW or sequence in self.seen:
            return False
        self.seen.add(sequence)
        if sequence > self.highest:
            self.highest = sequence
            oldest = sequence - REORDER_WINDOW
            self.seen = {number for number in self.seen if number > oldest}
        return True


@dataclass(slots=True)
class _Conversation:
    """What this node knows of one peer."""

    lives: Lives
    window: Window = field(default_factory=Window)
    kept: Kept = field(default_factory=Kept)
    taken: deque[tuple[bytes, bytes]] = field(default_factory=lambda: deque(maxlen=TAKEN_REMEMBERED))
    """The hashes of what was taken, each with our nonce of the pair: its sender seals it again for another pair."""
    greeting_due: bool = False
    resending_due: bool = False
    greetings: Budget = field(default_factory=lambda: Budget(*GREETINGS))
    answers: Budget = field(default_factory=lambda: Budget(*ANSWERS))
    resendings: Budget = field(default_factory=lambda: Budget(*RESENDINGS))
    unsupported: Budget = field(default_factory=lambda: Budget(*UNSUPPORTED_ANSWERS))


class Conversations:
    """All sealed conversations of one node.

    Args:
        identity: signs hellos, seals and opens.
        peer_id: this node's name.
        contacts: gives the contacts of the moment; a hello with another key than a contact's is refused.
        send: takes (recipient, bytes of a JSON object, how urgent) to the server; where it raises ``TransportError``
            or ``ValueError``, the message is lost.
        complain: takes (peer, line) for the user.
        now: Unix time in milliseconds, for what expires.
        clock: seconds, monotonic, for what lasts.
        rng: gives that many random bytes.
    """

    def __init__(
        self,
        *,
        identity: Identity,
        peer_id: PeerId,
        contacts: Callable[[], Contacts],
        send: Callable[[PeerId, bytes, Standing], None],
        complain: Callable[[PeerId, str], None],
        now: Callable[[], int],
        clock: Callable[[], float],
        rng: Callable[[int], bytes],
    ) -> None:
        self._identity = identity
        self._peer_id = peer_id
        self._contacts = contacts
        self._send = send
        self._complain = complain
        self._now = now
        self._clock = clock
        self._rng = rng
        self._conversations: dict[PeerId, _Conversation] = {}
        self._strangers_answers = Budget(*STRANGERS_ANSWERS)
        self._strangers_greetings = Budget(*STRANGERS_GREETINGS)

    def key_of(self, peer: PeerId) -> IdentityKey | None:
        """The key ``peer`` was introduced with, if it was."""
        conversation = self._conversations.get(peer)
        return conversation.lives.pair.key if conversation and conversation.lives.pair else None

    def introduce(self, peer: PeerId, *, anew: bool = False) -> None:
        """Say hello to ``peer``; ``receive`` gives ``Introduced`` when it answers.

        Args:
            peer: to whom.
            anew: find out which key it holds, even where it showed one in this process.
        """
        if anew or self.key_of(peer) is None:
            self._greet(peer, asked=anew, anew=anew)

    def send(self, to: PeerId, message: wire.RelayMessage, *, key: IdentityKey, expires: int) -> None:
        """Seal ``message`` for ``to``; kept until introductions are made, and most until they expire.

        Args:
            to: the recipient.
            message: what to say.
            key: the recipient's; another node by its name, with another key, does not get the message.
            expires: Unix milliseconds after which nobody shall act on it.

        Raises:
            ValueError: it is too long for a seal; a mistake of the caller.
        """
        conversation = self._conversation(to)
        pair = conversation.lives.pair
        said = Said(expires, message, wire.encode_message(message), key)
        said = conversation.kept.add(said, pair.key if pair else None, self._now())
        if pair is not None and said.sequence:
            self._seal(to, pair, said)
        else:
            self._greet(to)

    def receive(self, sender: PeerId, data: bytes) -> Introduced | Opened | Doubted | None:
        """Take what the server says comes from ``sender``.

        Returns:
            An introduction, an opened message, a bad hello, or ``None`` for what says nothing (a copy, a seal of an
            earlier life).

        Raises:
            DecodeError: neither a hello nor a seal, or a seal around what this node does not understand.
        """
        message = wire.decode(data)
        if isinstance(message, wire.Sealed):
            return self._open(sender, message)
        if isinstance(message, wire.ForeignHello):
            return self._refuse_foreign(sender, message)
        try:
            key = check_hello(message, sender, self._peer_id, self._contacts())
        except AuthenticationError as error:
            return Doubted(sender, error)
        return self._take_hello(sender, key, message)

    def rejoined(self, peer: PeerId) -> None:
        """The peer lost its connection and is back: where something may be lost, find out which life this is."""
        conversation = self._conversations.get(peer)
        if conversation and (conversation.kept.is_live(self._now()) or conversation.kept.waits(self._now())):
            self._greet(peer)

    def say_again(self, present: Iterable[PeerId]) -> None:
        """Do what was put off, and say hello again where something waits; every two seconds.

        Args:
            present: the peers in the room.
        """
        now = self._now()
        for peer in present:
            conversation = self._conversations.get(peer)
            if conversation is None:
                continue
            waits = conversation.kept.waits(now)
            if waits or conversation.greeting_due:
                self._greet(peer, asked=not waits)
            if conversation.resending_due and conversation.lives.pair:
                self._resend(peer, conversation, conversation.lives.pair)

    # Who is known

    def _conversation(self, peer: PeerId) -> _Conversation:
        if peer not in self._conversations:
            if len(self._conversations) >= MAX_CONVERSATIONS:
                del self._conversations[min(self._conversations, key=self._worth)]
            self._conversations[peer] = _Conversation(Lives(self._rng, self._clock))
        return self._conversations[peer]

    def _worth(self, peer: PeerId) -> tuple[bool, bool]:
        return self._is_known(peer), self.key_of(peer) is not None

    def _is_known(self, peer: PeerId) -> bool:
        """Whether this node pinned the name, or has something to say to it."""
        conversation = self._conversations.get(peer)
        return self._contacts().get(peer) is not None or bool(conversation and conversation.kept.has_for())

    def _standing(self, peer: PeerId, *, own: bool) -> Standing:
        """How urgent is what goes to this peer: what is kept is of a session that goes on."""
        if self._conversation(peer).kept.is_live(self._now()):
            return Standing.LIVE
        return Standing.KNOWN if own or self._is_known(peer) else Standing.STRANGER

    # Hellos

    def _greet(self, peer: PeerId, *, asked: bool = False, anew: bool = False) -> None:
        """Say hello without an answer, unless that was done too often of late; then it is put off.

        Args:
            peer: to whom.
            asked: it is because of something that anybody can send in any name.
            anew: find out what this life of the peer is, even if it is known.
        """
        conversation, now = self._conversation(peer), self._clock()
        own = not asked or self._is_known(peer) or self._strangers_greetings.take(now)
        conversation.greeting_due = not (own and conversation.greetings.take(now))
        if not conversation.greeting_due:
            self._say_hello(peer, conversation.lives.greeting(anew=anew), answering=None, own=not asked)

    def _say_hello(self, peer: PeerId, nonce: bytes, *, answering: bytes | None, own: bool = False) -> None:
        hello = make_hello(self._identity, self._peer_id, peer, nonce=nonce, answering=answering, now=self._now())
        self._hand_over(peer, hello, own=own)

    def _refuse_foreign(self, sender: PeerId, hello: wire.ForeignHello) -> Doubted:
        """Answer a hello of another version, so that its sender learns ours, and go no further."""
        conversation, now = self._conversation(sender), self._clock()
        if not hello.answers and conversation.unsupported.take(now) and self._strangers_greetings.take(now):
            self._say_hello(sender, conversation.lives.newest(), answering=hello.nonce)
        error = judge(
            Came.RELAY,
            Event.OTHER_VERSION,
            f"peer {sender} speaks version {hello.version} of the protocol, this node version {wire.PROTOCOL_VERSION}",
            hint="install the same release of mpcnode on both",
        )
        return Doubted(sender, error)

    def _take_hello(self, sender: PeerId, key: IdentityKey, hello: wire.Hello) -> Introduced | None:
        conversation = self._conversation(sender)
        lives = conversation.lives
        step = lives.hear(key, hello, self._now())
        if step.answer is not None:
            if not self._may_answer(sender, conversation, key, step):
                return None  # it says hello again while something waits there
            self._say_hello(sender, step.answer, answering=hello.nonce, own=step.asked)
            lives.answered(step.answer, told=hello.nonce)
        if step.adopted:
            conversation.window = Window()
            conversation.kept.begin(key)
        if step.again and lives.pair is not None:
            self._resend(sender, conversation, lives.pair)
        return Introduced(sender, key, hello.capabilities, lives.apart) if step.adopted else None

    def _may_answer(self, sender: PeerId, conversation: _Conversation, key: IdentityKey, step: Step) -> bool:
        """Charge an answer to the key that signed the hello, where this node knows it, else to all strangers too."""
        if step.asked:
            return True
        contact = self._contacts().get(sender)
        known = contact is not None or conversation.kept.has_for(key)
        now = self._clock()
        return conversation.answers.take(now) and (known or self._strangers_answers.take(now))

    # Seals

    def _resend(self, peer: PeerId, conversation: _Conversation, pair: Pair) -> None:
        """Seal again what is kept, each message under its number: a peer that has it drops the copy unread."""
        kept, now = conversation.kept, self._now()
        again = kept.missed(pair.key, now)
        # What nobody was told yet is this node's own need.
        charged = bool(again) and all(said.told for said in again)
        conversation.resending_due = charged and not conversation.resendings.take(self._clock())
        if not conversation.resending_due:
            for said in kept.tell(pair.key, now):
                self._seal(peer, pair, said)

    def _seal(self, to: PeerId, pair: Pair, said: Said) -> None:
        plaintext = wire.encode_envelope(wire.topic_of(said.message), said.expires, said.sequence, said.encoded)
        topic = introduction.topic(self._peer_id, to, pair.ours, pair.theirs)
        body = self._identity.seal(pair.key, plaintext, purpose=PURPOSE, topic=topic, aad=b"", rng=self._rng)
        self._hand_over(to, wire.encode(wire.Sealed(body)))

    def _hand_over(self, to: PeerId, data: bytes, *, own: bool = False) -> None:
        """Give the server a message; what it does not take is lost, as it may lose any."""
        try:
            self._send(to, data, self._standing(to, own=own))
        except TransportError as error:
            _log.info("a message to %s was not sent: %s", to, error)
        except ValueError as error:
            # Said from wherever a message is answered: a server that takes next to nothing ends no node.
            self._complain(to, f"a message to {to} was not sent: {error}")

    def _open(self, sender: PeerId, sealed: wire.Sealed) -> Opened | None:
        conversation = self._conversations.get(sender)
        pair = conversation.lives.pair if conversation else None
        if conversation is None or pair is None:
            self._greet(sender, asked=True)  # it knows an earlier life of ours: show it this one
            return None
        topic = introduction.topic(sender, self._peer_id, pair.theirs, pair.ours)
        try:
            plaintext = self._identity.open(pair.key, sealed.body, purpose=PURPOSE, topic=topic, aad=b"")
        except DecodeError:
            self._greet(sender, asked=True)
            return None
        envelope = wire.decode_envelope(bytes(plaintext))
        if not conversation.window.is_new(envelope.sequence):
            return None
        if envelope.expires < self._now() - CLOCK_SKEW:
            self._complain(sender, f"a message from {sender} came after its time and is dropped")
            if not conversation.lives.apart:
                self._greet(sender, anew=True)  # its answer says whether it was late, or the clocks differ
            return None
        if _is_copy(conversation, pair, envelope):
            return None
        message = self._understand(sender, conversation, pair.key, envelope)
        conversation.kept.heard(pair.key, envelope.topic)
        return Opened(sender, pair.key, message)

    def _understand(
        self, sender: PeerId, conversation: _Conversation, key: IdentityKey, envelope: wire.Envelope
    ) -> wire.RelayMessage:
        """Decode the message of an envelope; what is not understood is answered, so that its sender does not wait."""
        try:
            return wire.decode_message(envelope)
        except DecodeError:
            # A cancel is never answered, or two nodes could go on answering each other.
            if not wire.is_cancel(envelope) and conversation.unsupported.take(self._clock()):
                answer = wire.SessionCancel(
                    session_id=SessionId(envelope.topic),
                    code=UNSUPPORTED,
                    reason="this node does not understand a message of this session",
                )
                self.send(sender, answer, key=key, expires=self._now() + UNSUPPORTED_LASTS)
            raise


def _is_copy(conversation: _Conversation, pair: Pair, envelope: wire.Envelope) -> bool:
    """Whether this was taken over an earlier pair; a message that is said anew has an expiry of its own."""
    parts = (pair.key, envelope.topic, str(envelope.expires).encode(), bytes(envelope.message))
    digest = sha256(b"|".join(parts)).digest()
    if any(digest == known and ours != pair.ours for known, ours in conversation.taken):
        return True
    conversation.taken.append((digest, pair.ours))
    return False
