"""Node to node through a server that nobody trusts (PROTOCOL section Sealed relay).

Two nodes say ``hello`` in the open, each with its identity key and a nonce, and each answers the other's nonce.
Everything after that is sealed to the recipient's identity and bound to sender, recipient and both nonces, so the
server can neither read nor invent nor replay what belongs to another conversation. It can drop, delay and reorder:
messages carry an expiry and a sequence number, and a session must not care about their order.

How a life of a peer is known from another::

    our state      the hello                     what is done
    ------------   ---------------------------   -----------------------------------------------------------
    any            answers our newest nonce      the pair of nonces is adopted, that nonce is used up;
                                                 answered, where the peer has not heard ours yet
    pair (o, t)    nonce t, answers nothing      the peer lost what we sealed: answered, and sealed again
    pair (o, t)    nonce t, answers o            answered, where it answers a greeting of ours: the peer may not have
                                                 heard our answer to t; else nothing
    any            another nonce, answers        answered with our newest nonce, drawn now where none is out;
                   nothing or o                  nothing else changes
    any            anything else                 ignored: it is from an earlier life of one of the two

A pair is adopted from an answer to a nonce that no life was adopted with before, so whatever the server kept back of an
earlier life never opens again. A hello without an answer can be a copy: it is answered, and that is all.

No I/O: ``send`` hands bytes to the signaling client, ``receive`` takes what came from it, time is an argument.
"""

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Final

import msgspec

from mpcnode.crypto import tags
from mpcnode.crypto.signature import verify
from mpcnode.crypto.transcript import listed, tagged_hash, u64
from mpcnode.errors import (
    AuthenticationError,
    DecodeError,
    IdentityCheckFailed,
    MpcError,
    PeerIncompatible,
    TransportError,
)
from mpcnode.identity.contacts import Contacts
from mpcnode.identity.identity import Identity, check_identity_key
from mpcnode.types import IdentityKey, PeerId, SessionId
from mpcnode.wire import relay as wire

CAPABILITIES: Final[tuple[str, ...]] = ()
"""What this node understands beyond version 1 of the protocol."""
PURPOSE: Final = "relay"
UNSUPPORTED: Final = "unsupported"
"""The code of the cancel that answers a message which this node does not understand."""

HELLOS_A_PEER: Final = 8
"""Hellos that answer one peer within ``WINDOW``: two confused nodes must not talk for ever."""
GREETINGS_A_PEER: Final = 8
"""Hellos that answer nothing, within ``WINDOW``: apart from the answers, which are what a conversation begins with."""
RESENDINGS_A_PEER: Final = 8
"""How often within ``WINDOW`` a peer that is said to be back is told everything again."""
UNSUPPORTED_A_PEER: Final = 8
"""Answers within ``WINDOW`` to what was not understood."""
WINDOW: Final = 10_000
KEPT_FOR_RESENDING: Final = 64
TAKEN_REMEMBERED: Final = 4 * KEPT_FOR_RESENDING
REORDER_WINDOW: Final = 1024
MAX_CONVERSATIONS: Final = 4096
"""A server can invent peers without end; the oldest conversation makes room and would introduce itself anew."""
CLOCK_SKEW: Final = 300_000
UNSUPPORTED_LASTS: Final = 60_000

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Introduced:
    """``peer_id`` proved that it holds ``public_key``, now; whether that is the right key is for contacts and words."""

    peer_id: PeerId
    public_key: IdentityKey
    capabilities: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Doubted:
    """A hello in the name of ``peer_id``, which proved another key before, is refused; nothing of it has any effect."""

    peer_id: PeerId
    error: MpcError


@dataclass(frozen=True, slots=True)
class Opened:
    """A message from the holder of ``public_key``, out of its seal or, ``by_mesh``, from a verified link."""

    sender: PeerId
    public_key: IdentityKey
    message: wire.RelayMessage
    by_mesh: bool = False


@dataclass(frozen=True, slots=True)
class _Said:
    """What was said to a peer; ``key`` is the only key it is ever sealed to, ``sequence`` its number in this pair."""

    expires: int
    message: wire.RelayMessage
    encoded: bytes
    key: IdentityKey
    sequence: int = 0


@dataclass(slots=True)
class _Rate:
    """How often something may be done within ``WINDOW``."""

    most: int
    times: deque[int] = field(default_factory=deque)

    def take(self, now: int) -> bool:
        """Count one more, unless it is too many; say whether it was counted."""
        while self.times and self.times[0] < now - WINDOW:
            self.times.popleft()
        if len(self.times) >= self.most:
            return False
        self.times.append(now)
        return True


@dataclass(slots=True)
class _Pair:
    """Two nonces that a life of either end answered; every seal is bound to both."""

    key: IdentityKey
    ours: bytes
    theirs: bytes
    sent: int = 0
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
class _Challenge:
    """Our newest nonce, until it is answered; ``told`` is the nonce of the hello that it last went out to answer."""

    nonce: bytes
    told: bytes | None = None


@dataclass(slots=True)
class _Conversation:
    """What this node knows of one peer."""

    challenge: _Challenge | None = None
    pair: _Pair | None = None
    recent: deque[_Said] = field(default_factory=lambda: deque(maxlen=KEPT_FOR_RESENDING))
    spoken: set[tuple[IdentityKey, bytes]] = field(default_factory=set)
    """The topics of ``recent`` about which the holder of a key said something in its present life."""
    taken: deque[tuple[bytes, bytes]] = field(default_factory=lambda: deque(maxlen=TAKEN_REMEMBERED))
    """The hashes of what was taken, each with our nonce of the pair: its sender seals it again for another pair."""
    greeted: bool = False
    """Whether the peer was greeted since the pair was adopted and has not answered that yet."""
    greetings: _Rate = field(default_factory=lambda: _Rate(GREETINGS_A_PEER))
    hellos: _Rate = field(default_factory=lambda: _Rate(HELLOS_A_PEER))
    resendings: _Rate = field(default_factory=lambda: _Rate(RESENDINGS_A_PEER))
    unsupported: _Rate = field(default_factory=lambda: _Rate(UNSUPPORTED_A_PEER))


class Conversations:
    """All sealed conversations of one node.

    Args:
        identity: signs hellos, seals and opens.
        peer_id: this node's name.
        contacts: gives the contacts of the moment; a hello with another key than a contact's is refused.
        send: takes (recipient, bytes of a JSON object) to the server; where it raises ``TransportError`` or
            ``ValueError``, the message is lost.
        now: Unix time in milliseconds.
        rng: gives that many random bytes.
    """

    def __init__(
        self,
        *,
        identity: Identity,
        peer_id: PeerId,
        contacts: Callable[[], Contacts],
        send: Callable[[PeerId, bytes], None],
        now: Callable[[], int],
        rng: Callable[[int], bytes],
    ) -> None:
        self._identity = identity
        self._peer_id = peer_id
        self._contacts = contacts
        self._send = send
        self._now = now
        self._rng = rng
        self._conversations: dict[PeerId, _Conversation] = {}

    def key_of(self, peer: PeerId) -> IdentityKey | None:
        """The key ``peer`` was introduced with, if it was."""
        conversation = self._conversations.get(peer)
        return conversation.pair.key if conversation and conversation.pair else None

    def introduce(self, peer: PeerId) -> None:
        """Say hello to ``peer``; ``receive`` gives ``Introduced`` when it answers."""
        if self.key_of(peer) is None:
            self._greet(peer)

    def send(self, to: PeerId, message: wire.RelayMessage, *, key: IdentityKey, expires: int) -> None:
        """Seal ``message`` for ``to``; kept until introductions are made, and until it expires for a restarted peer.

        Args:
            to: the recipient.
            message: what to say.
            key: the recipient's; another node by its name, with another key, does not get the message.
            expires: Unix milliseconds after which nobody shall act on it.

        Raises:
            ValueError: it is too long for a seal; a mistake of the caller.
        """
        conversation = self._conversation(to)
        said = _Said(expires, message, wire.encode_message(message), key)
        pair = conversation.pair
        if pair is not None and pair.key == key:
            pair.sent += 1
            said = replace(said, sequence=pair.sent)
            self._seal(to, pair, said)
        conversation.recent.append(said)
        if pair is None:
            self._greet(to)

    def receive(self, sender: PeerId, data: bytes) -> Introduced | Opened | Doubted | None:
        """Take what the server says comes from ``sender``.

        Returns:
            An introduction, an opened message, a bad hello in the name of a peer that proved its key, or ``None`` for
            what says nothing (a copy, a seal of an earlier life).

        Raises:
            ContactChanged: a hello with another key than the contact's.
            IdentityCheckFailed: a hello that its own key did not sign.
            PeerIncompatible: a hello of another version.
            DecodeError: neither a hello nor a seal, or a seal around what this node does not understand.
        """
        message = wire.decode(data)
        if isinstance(message, wire.Sealed):
            return self._open(sender, message)
        try:
            if isinstance(message, wire.Hello):
                return self._take_hello(sender, message)
            self._refuse_foreign(sender, message)
        except (AuthenticationError, PeerIncompatible) as error:
            # The server can make such a hello in anybody's name. It must not end what was begun with the right key.
            if self.key_of(sender) is None:
                raise
            return Doubted(sender, error)
        return None

    def rejoined(self, peer: PeerId) -> None:
        """The peer lost its connection and is back: what was sent meanwhile may be lost, so it is sent again."""
        conversation = self._conversations.get(peer)
        if conversation is None:
            return
        if conversation.pair is not None:
            if conversation.resendings.take(self._now()):
                self._resend(peer, conversation, conversation.pair)
        elif any(said.expires > self._now() for said in conversation.recent):
            self._greet(peer)

    def _conversation(self, peer: PeerId) -> _Conversation:
        if peer not in self._conversations:
            if len(self._conversations) >= MAX_CONVERSATIONS:
                strangers = (name for name, one in self._conversations.items() if one.pair is None)
                del self._conversations[next(strangers, next(iter(self._conversations)))]
            self._conversations[peer] = _Conversation()
        return self._conversations[peer]

    # Hellos

    def _greet(self, peer: PeerId) -> None:
        """Say hello without an answer: with the nonce of our pair, which the peer may know, or with our newest one."""
        conversation = self._conversation(peer)
        conversation.greeted = True
        nonce = conversation.pair.ours if conversation.pair else self._newest(conversation).nonce
        self._say_hello(peer, nonce, answering=None)

    def _newest(self, conversation: _Conversation) -> _Challenge:
        if conversation.challenge is None:
            conversation.challenge = _Challenge(self._rng(32))
        return conversation.challenge

    def _say_hello(self, peer: PeerId, nonce: bytes, *, answering: bytes | None) -> bool:
        """Introduce this node, unless that was done too often of late; say whether it was done."""
        conversation = self._conversation(peer)
        rate = conversation.greetings if answering is None else conversation.hellos
        if not rate.take(self._now()):
            return False
        unsigned = wire.Hello(
            version=wire.PROTOCOL_VERSION,
            public_key=self._identity.public_key,
            nonce=nonce,
            answering=answering,
            capabilities=CAPABILITIES,
            signature=b"",
        )
        signature = self._identity.sign(tags.HELLO, *hello_fields(unsigned, self._peer_id, peer))
        self._hand_over(peer, wire.encode(msgspec.structs.replace(unsigned, signature=signature)))
        return True

    def _refuse_foreign(self, sender: PeerId, hello: wire.ForeignHello) -> None:
        """Answer a hello of another version, so that its sender learns ours, and go no further.

        Raises:
            PeerIncompatible: always.
        """
        if not hello.answers:
            self._say_hello(sender, self._newest(self._conversation(sender)).nonce, answering=hello.nonce)
        raise PeerIncompatible(
            f"peer {sender} speaks version {hello.version} of the protocol, this node version {wire.PROTOCOL_VERSION}",
            hint="install the same release of mpcnode on both",
        )

    def _take_hello(self, sender: PeerId, hello: wire.Hello) -> Introduced | None:
        key = self._check_hello(sender, hello)
        conversation = self._conversation(sender)
        challenge, pair = conversation.challenge, conversation.pair
        if challenge is not None and hello.answering == challenge.nonce:
            self._adopt(sender, conversation, challenge, key, hello.nonce)
            return Introduced(sender, key, hello.capabilities)
        if pair is not None and (key, hello.nonce) == (pair.key, pair.theirs):
            if hello.answering is None:
                # The same life, which could not read what we sealed: that is sealed again, as often as it is answered.
                if self._say_hello(sender, pair.ours, answering=hello.nonce):
                    self._resend(sender, conversation, pair)
            elif conversation.greeted:
                # It answers our greeting and may still wait for our answer, without which it cannot adopt this pair.
                conversation.greeted = False
                self._say_hello(sender, pair.ours, answering=hello.nonce)
            return None
        if hello.answering is None or (pair is not None and hello.answering == pair.ours):
            challenge = self._newest(conversation)
            if self._say_hello(sender, challenge.nonce, answering=hello.nonce):
                challenge.told = hello.nonce
        return None

    def _check_hello(self, sender: PeerId, hello: wire.Hello) -> IdentityKey:
        """Check that a hello is signed by the key it shows, and that the name may have this key."""
        if not verify(hello.public_key, hello.signature, tags.HELLO, *hello_fields(hello, sender, self._peer_id)):
            raise IdentityCheckFailed(
                f"the hello of peer {sender} is not signed by the key it shows",
                peer=sender,
                hint="the server may be changing messages; use another one",
            )
        try:
            key = check_identity_key(hello.public_key)
        except DecodeError as error:
            # A key that can sign and that nothing can be sealed to: it was made so on purpose.
            raise IdentityCheckFailed(f"the hello of peer {sender} shows no usable key: {error}", peer=sender) from None
        self._contacts().check(sender, key)
        return key

    def _adopt(
        self, peer: PeerId, conversation: _Conversation, challenge: _Challenge, key: IdentityKey, theirs: bytes
    ) -> None:
        """Talk with this life of the peer from now on; nothing that another one sealed is taken any more."""
        conversation.challenge = None
        conversation.greeted = False
        pair = conversation.pair = _Pair(key, ours=challenge.nonce, theirs=theirs)
        # A life that has begun a session cannot go on with it in the next: told of it again, it would begin it anew.
        kept = [said for said in conversation.recent if not self._is_over(conversation, said, key)]
        conversation.recent.clear()
        for said in kept:
            pair.sent += said.key == key
            conversation.recent.append(replace(said, sequence=pair.sent if said.key == key else 0))
        conversation.spoken = {(one, topic) for one, topic in conversation.spoken if one != key}
        if challenge.told != theirs:
            self._say_hello(peer, pair.ours, answering=theirs)
        self._resend(peer, conversation, pair)

    @staticmethod
    def _is_over(conversation: _Conversation, said: _Said, key: IdentityKey) -> bool:
        # What is about a wallet outlives the session that made it.
        if said.key != key or isinstance(said.message, wire.CertificateRequest | wire.CertificateReply):
            return False
        return (key, wire.topic_of(said.message)) in conversation.spoken

    # Seals

    def _resend(self, peer: PeerId, conversation: _Conversation, pair: _Pair) -> None:
        """Seal again what is kept, each message under its number: a peer that has it drops the copy unread."""
        for said in tuple(conversation.recent):
            if said.key == pair.key and said.expires > self._now():
                self._seal(peer, pair, said)

    def _seal(self, to: PeerId, pair: _Pair, said: _Said) -> None:
        plaintext = wire.encode_envelope(wire.topic_of(said.message), said.expires, said.sequence, said.encoded)
        topic = _topic(self._peer_id, to, pair.ours, pair.theirs)
        body = self._identity.seal(pair.key, plaintext, purpose=PURPOSE, topic=topic, aad=b"", rng=self._rng)
        self._hand_over(to, wire.encode(wire.Sealed(body)))

    def _hand_over(self, to: PeerId, data: bytes) -> None:
        """Give the server a message; what it does not take is lost, as it may lose any."""
        try:
            self._send(to, data)
        except (TransportError, ValueError) as error:
            # Said from wherever a message is answered: a server that floods us, or takes next to nothing, ends no node.
            _log.warning("a message to %s was not sent: %s", to, error)

    def _open(self, sender: PeerId, sealed: wire.Sealed) -> Opened | None:
        conversation = self._conversations.get(sender)
        pair = conversation.pair if conversation else None
        if conversation is None or pair is None:
            self._greet(sender)  # it knows an earlier life of ours: show it this one
            return None
        topic = _topic(sender, self._peer_id, pair.theirs, pair.ours)
        try:
            plaintext = self._identity.open(pair.key, sealed.body, purpose=PURPOSE, topic=topic, aad=b"")
        except DecodeError:
            _log.info("a sealed message from %s does not open; this node introduces itself again", sender)
            self._greet(sender)
            return None
        envelope = wire.decode_envelope(bytes(plaintext))
        if not pair.is_new(envelope.sequence):
            return None
        if envelope.expires < self._now() - CLOCK_SKEW:
            _log.warning("a message from %s had expired; are the clocks right?", sender)
            return None
        if self._is_copy(conversation, pair, envelope):
            return None
        message = self._understand(sender, conversation, pair.key, envelope)
        conversation.spoken &= {(said.key, wire.topic_of(said.message)) for said in conversation.recent}
        conversation.spoken.add((pair.key, envelope.topic))
        return Opened(sender, pair.key, message)

    @staticmethod
    def _is_copy(conversation: _Conversation, pair: _Pair, envelope: wire.Envelope) -> bool:
        """Whether this was taken over an earlier pair; a message that is said anew has an expiry of its own."""
        parts = (pair.key, envelope.topic, str(envelope.expires).encode(), bytes(envelope.message))
        digest = sha256(b"|".join(parts)).digest()
        if any(digest == known and ours != pair.ours for known, ours in conversation.taken):
            return True
        conversation.taken.append((digest, pair.ours))
        return False

    def _understand(
        self, sender: PeerId, conversation: _Conversation, key: IdentityKey, envelope: wire.Envelope
    ) -> wire.RelayMessage:
        """Decode the message of an envelope; what is not understood is answered, so that its sender does not wait."""
        try:
            return wire.decode_message(envelope)
        except DecodeError:
            # A cancel is never answered, or two nodes could go on answering each other.
            if not wire.is_cancel(envelope) and conversation.unsupported.take(self._now()):
                answer = wire.SessionCancel(
                    session_id=SessionId(envelope.topic),
                    code=UNSUPPORTED,
                    reason="this node does not understand a message of this session",
                )
                self.send(sender, answer, key=key, expires=self._now() + UNSUPPORTED_LASTS)
            raise


def hello_fields(hello: wire.Hello, sender: PeerId, recipient: PeerId) -> tuple[bytes, ...]:
    """Give what ``hello`` signs, under the tag ``HELLO``."""
    return (
        sender.encode(),
        recipient.encode(),
        hello.nonce,
        hello.answering or b"",
        u64(hello.version),
        *listed([capability.encode() for capability in hello.capabilities]),
    )


def _topic(sender: PeerId, recipient: PeerId, sender_nonce: bytes, recipient_nonce: bytes) -> bytes:
    """What a seal belongs to: a direction and this pair of nonces."""
    return tagged_hash(tags.RELAY, sender.encode(), recipient.encode(), sender_nonce, recipient_nonce)
