"""Node to node through a server that nobody trusts (DESIGN section 3, Relay).

Two nodes say ``hello`` in the open, each with its identity key and a nonce made for this peer. Everything after that is
sealed to the recipient's identity and bound to sender, recipient and both nonces, so the server can neither read nor
invent nor replay what belongs to another conversation. It can drop, delay and reorder: messages carry an expiry and a
sequence number, and whoever handles them must not care about their order.

No I/O: ``send`` hands bytes to the signaling client, ``receive`` takes what came from it, time is an argument.
"""

import base64
import binascii
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import msgspec

from mpcnode.crypto.signature import verify
from mpcnode.errors import DecodeError, IdentityCheckFailed, PeerIncompatible, TransportError
from mpcnode.identity.contacts import Contacts
from mpcnode.identity.identity import Identity, check_identity_key
from mpcnode.types import IdentityKey, PeerId, SessionId
from mpcnode.wire import relay as wire

HELLO: Final = "relay hello"
HELLOS_A_PEER: Final = 8
"""Answers to one peer within ``HELLO_WINDOW``: two confused nodes must not talk for ever."""
HELLO_WINDOW: Final = 10.0
KEPT_FOR_RESENDING: Final = 64
PAIRS_A_NONCE: Final = 16
REORDER_WINDOW: Final = 1024
MAX_CONVERSATIONS: Final = 4096
"""A server can invent peers without end; the oldest conversation makes room and would introduce itself anew."""
CLOCK_SKEW: Final = 300

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Introduced:
    """``peer_id`` proved that it holds ``public_key``; whether that is the right key is for contacts and words."""

    peer_id: PeerId
    public_key: IdentityKey


@dataclass(frozen=True, slots=True)
class Opened:
    """A message from the holder of ``public_key``, out of its seal or, ``by_mesh``, from a verified link."""

    sender: PeerId
    public_key: IdentityKey
    message: wire.RelayMessage
    by_mesh: bool = False


@dataclass(frozen=True, slots=True)
class _Said:
    """What was said to a peer; ``key``, where there is one, is the only key it is ever sealed to."""

    expires: int
    message: wire.RelayMessage
    key: IdentityKey | None


@dataclass(slots=True)
class _Window:
    """Which sequence numbers were taken over one pair of hellos."""

    seen: set[int] = field(default_factory=set)
    highest: int = 0


@dataclass(slots=True)
class _Conversation:
    """What this node knows of one peer; ``nonce`` is ours, made for them."""

    nonce: str
    key: IdentityKey | None = None
    their_nonce: str | None = None
    sent: int = 0
    recent: deque[_Said] = field(default_factory=lambda: deque(maxlen=KEPT_FOR_RESENDING))
    windows: dict[tuple[IdentityKey, str], _Window] = field(default_factory=dict)
    """Of every pair there was under our present nonce: the server may bring an old hello back, and its seals after."""
    hellos: deque[float] = field(default_factory=deque)
    spoken: set[str] = field(default_factory=set)
    """The sessions of ``recent`` in which the peer said something in its present life."""


class SealedRelay:
    """All sealed conversations of one node.

    Args:
        identity: signs hellos, seals and opens.
        peer_id: this node's name.
        contacts: gives the contacts of the moment; a hello with another key than a contact's is refused.
        send: takes (recipient, bytes of a JSON object) to the server; where it raises ``TransportError`` or
            ``ValueError``, the message is lost.
        now: Unix time in seconds.
        rng: gives that many random bytes.
    """

    def __init__(
        self,
        *,
        identity: Identity,
        peer_id: PeerId,
        contacts: Callable[[], Contacts],
        send: Callable[[PeerId, bytes], None],
        now: Callable[[], float],
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
        return conversation.key if conversation else None

    def introduce(self, peer: PeerId) -> None:
        """Say hello to ``peer``; ``receive`` gives ``Introduced`` when it answers."""
        if self.key_of(peer) is None:
            self._say_hello(peer, answering=None)

    def send(self, to: PeerId, message: wire.RelayMessage, *, expires: float, key: IdentityKey | None = None) -> None:
        """Seal ``message`` for ``to``; kept until introductions are made, and until it expires for a restarted peer.

        Args:
            to: the recipient.
            message: what to say.
            expires: Unix time in seconds after which nobody shall act on it.
            key: the recipient's; whoever goes by its name with another key does not get the message. None: any key.
        """
        conversation = self._conversation(to)
        said = _Said(int(expires), message, key)
        conversation.recent.append(said)
        if conversation.key is None:
            self._say_hello(to, answering=None)
        else:
            self._seal(to, conversation, said)

    def receive(self, sender: PeerId, data: bytes) -> Introduced | Opened | None:
        """Take what the server says comes from ``sender``.

        Returns:
            An introduction, an opened message, or ``None`` for what says nothing (a replay, a seal of an earlier life).

        Raises:
            ContactChanged: a hello with another key than the contact's.
            IdentityCheckFailed: a hello that its own key did not sign.
            PeerIncompatible: a hello of another version.
            DecodeError: neither a hello nor a seal, or a seal around nonsense.
        """
        message = wire.decode(data)
        if isinstance(message, wire.Hello):
            return self._take_hello(sender, message)
        return self._open(sender, message)

    def rejoined(self, peer: PeerId) -> None:
        """The peer lost its connection and is back: what was sent meanwhile may be lost, so it is sent again."""
        conversation = self._conversations.get(peer)
        if conversation is None:
            return
        if conversation.key is not None:
            self._resend(peer, conversation)
        elif any(said.expires > self._now() for said in conversation.recent):
            self._say_hello(peer, answering=None)

    def _conversation(self, peer: PeerId) -> _Conversation:
        if peer not in self._conversations:
            if len(self._conversations) >= MAX_CONVERSATIONS:
                del self._conversations[next(iter(self._conversations))]
            self._conversations[peer] = _Conversation(nonce=self._rng(32).hex())
        return self._conversations[peer]

    def _say_hello(self, peer: PeerId, *, answering: str | None) -> bool:
        """Introduce this node, unless that was done too often of late; say whether it was done."""
        conversation = self._conversation(peer)
        now = self._now()
        while conversation.hellos and conversation.hellos[0] < now - HELLO_WINDOW:
            conversation.hellos.popleft()
        if len(conversation.hellos) >= HELLOS_A_PEER:
            return False
        conversation.hellos.append(now)
        signed = _hello_input(self._peer_id, peer, conversation.nonce, answering, wire.PROTOCOL_VERSION)
        hello = wire.Hello(
            public_key=self._identity.public_key.hex(),
            nonce=conversation.nonce,
            signature=self._identity.sign(HELLO, signed).hex(),
            answering=answering,
        )
        self._hand_over(peer, wire.encode(hello))
        return True

    def _take_hello(self, sender: PeerId, hello: wire.Hello) -> Introduced | None:
        if hello.version != wire.PROTOCOL_VERSION:
            raise PeerIncompatible(f"peer {sender} speaks version {hello.version}, this is {wire.PROTOCOL_VERSION}")
        key = IdentityKey(bytes.fromhex(hello.public_key))
        signed = _hello_input(sender, self._peer_id, hello.nonce, hello.answering, hello.version)
        if not verify(key, HELLO, signed, bytes.fromhex(hello.signature)):
            raise IdentityCheckFailed(
                f"the hello of peer {sender} is not signed by the key it shows",
                peer=sender,
                hint="the server may be changing messages; use another one",
            )
        try:
            check_identity_key(key)
        except DecodeError as error:
            # A key that can sign and that nothing can be sealed to; whoever has it made it so.
            raise IdentityCheckFailed(f"the hello of peer {sender} shows no usable key: {error}", peer=sender) from None
        self._contacts().check(sender, key)
        conversation = self._conversation(sender)
        if hello.answering is not None and hello.answering != conversation.nonce:
            return None  # an answer to a hello of an earlier life, or a replay of one: it proves nothing now
        known = (conversation.key, conversation.their_nonce) == (key, hello.nonce)
        if not known:
            self._change_pair(conversation, key, hello.nonce)
        # Whoever greets us anew could not read what we sealed: it is sealed again, as often as greetings are answered.
        greeted = hello.answering is None and self._say_hello(sender, answering=hello.nonce)
        if greeted or not known:
            self._resend(sender, conversation)
        return Introduced(sender, key)

    def _change_pair(self, conversation: _Conversation, key: IdentityKey, nonce: str) -> None:
        """Talk with another key, or another life of it, from now on; nothing it sealed before is taken again."""
        if conversation.key not in {None, key}:
            conversation.recent.clear()  # what was meant for one key is never sealed to another
        # A life that has begun a session cannot go on with it in the next: told of it again, it would begin it anew.
        spoken = conversation.spoken
        kept = [
            said for said in conversation.recent if said.message.session_id not in spoken or _outlives(said.message)
        ]
        conversation.recent.clear()
        conversation.recent.extend(kept)
        conversation.spoken.clear()
        if (key, nonce) not in conversation.windows:
            if len(conversation.windows) >= PAIRS_A_NONCE:
                # A nonce that nobody knows yet: no old seal opens any more, so their numbers need not be kept.
                conversation.nonce = self._rng(32).hex()
                conversation.windows.clear()
            conversation.windows[key, nonce] = _Window()
        conversation.key, conversation.their_nonce = key, nonce

    def _resend(self, peer: PeerId, conversation: _Conversation) -> None:
        for said in tuple(conversation.recent):
            if said.expires > self._now():
                self._seal(peer, conversation, said)

    def _seal(self, to: PeerId, conversation: _Conversation, said: _Said) -> None:
        assert conversation.key is not None
        assert conversation.their_nonce is not None
        if said.key not in {None, conversation.key}:
            return  # somebody else by the recipient's name
        conversation.sent += 1
        envelope = wire.Envelope(SessionId(said.message.session_id), said.expires, conversation.sent, said.message)
        aad = _seal_aad(self._peer_id, to, conversation.nonce, conversation.their_nonce)
        body = self._identity.seal(conversation.key, wire.encode(envelope), aad, self._rng)
        self._hand_over(to, wire.encode(wire.Sealed(base64.b64encode(body).decode("ascii"))))

    def _hand_over(self, to: PeerId, data: bytes) -> None:
        """Give the server a message; what it does not take is lost, as it may lose any."""
        try:
            self._send(to, data)
        except (TransportError, ValueError) as error:
            # Said from wherever a message is answered: a server that floods us, or takes next to nothing, ends no node.
            _log.warning("a message to %s was not sent: %s", to, error)

    def _open(self, sender: PeerId, sealed: wire.Sealed) -> Opened | None:
        conversation = self._conversations.get(sender)
        if conversation is None or conversation.key is None or conversation.their_nonce is None:
            self._say_hello(sender, answering=None)  # it knows an earlier life of ours: show it this one
            return None
        aad = _seal_aad(sender, self._peer_id, conversation.their_nonce, conversation.nonce)
        try:
            body = base64.b64decode(sealed.body, validate=True)
            plaintext = self._identity.open(conversation.key, body, aad)
        except (DecodeError, binascii.Error):
            _log.info("a sealed message from %s does not open; introducing anew", sender)
            self._say_hello(sender, answering=None)
            return None
        envelope = wire.decode_envelope(bytes(plaintext))
        if not self._is_new(conversation.windows[conversation.key, conversation.their_nonce], envelope.sequence):
            return None
        if envelope.expires < self._now() - CLOCK_SKEW:
            _log.warning("a message from %s had expired; are the clocks right?", sender)
            return None
        conversation.spoken &= {said.message.session_id for said in conversation.recent}
        conversation.spoken.add(envelope.message.session_id)
        return Opened(sender, conversation.key, envelope.message)

    @staticmethod
    def _is_new(window: _Window, sequence: int) -> bool:
        """Whether this sequence number was never seen; the window bounds memory, and what is older is dropped."""
        if sequence <= window.highest - REORDER_WINDOW or sequence in window.seen:
            return False
        window.seen.add(sequence)
        if sequence > window.highest:
            window.highest = sequence
            oldest = sequence - REORDER_WINDOW
            window.seen = {number for number in window.seen if number > oldest}
        return True


def _outlives(message: wire.RelayMessage) -> bool:
    """Whether ``message`` is about a wallet and not about the session that made it."""
    return isinstance(message, wire.CertificateRequest | wire.CertificateReply)


def _hello_input(sender: PeerId, to: PeerId, nonce: str, answering: str | None, version: int) -> bytes:
    """What a hello signs; a JSON array of strings is injective."""
    return msgspec.json.encode((sender, to, nonce, answering or "", str(version)))


def _seal_aad(sender: PeerId, to: PeerId, sender_nonce: str, recipient_nonce: str) -> bytes:
    """What a seal is bound to beside its inside: direction and this pair of hellos."""
    return msgspec.json.encode(("mpcnode/relay/v1", sender, to, sender_nonce, recipient_nonce))
