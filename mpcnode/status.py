"""Frozen progress values for any user interface: what ``--json`` prints, what the live table shows.

Never a secret. Text that a peer wrote is carried as it came; what shows it escapes it.
"""

from typing import Final, Literal

import msgspec

from mpcnode.errors import MpcError
from mpcnode.types import Reading

Trust = Literal["self", "verified", "unverified", "unknown"]
Approval = Literal["user", "policy"]
"""How the yes of a node comes about: its user says it, or its options or a wallet's policy without asking."""
Verified = Literal["code", "invitation", "words", "contacts", "nobody"]
"""How the participants of a wallet were verified when it was made."""
How = Literal["code", "words", "fingerprint", "invitation", "introduced"]
"""How a key came to be known; ``identity.contacts`` has the same."""
Phase = Literal[
    "introducing",  # hellos to everybody in the proposal
    "negotiating",  # answers to the proposal
    "connecting",  # data channels, both ways authenticated
    "committing",  # commitment digests, or signing commitments
    "revealing",  # commitments
    "confirming",  # a user compares the safety words
    "sharing",  # sealed shares
    "storing",  # the pending share, made durable
    "certifying",  # everybody's `ready`
    "agreeing",  # the hash of everybody's signing commitments
    "signing",  # signature shares
    "leaving",  # last words and their acknowledgements
]
LinkShown = Literal["connecting", "open", "rebuilding", "broken"]


class _Value(msgspec.Struct, frozen=True, omit_defaults=True):
    """What every value here is."""


class _Event(_Value, frozen=True, tag_field="event"):
    """One line of ``--json``."""


class ErrorView(_Value, frozen=True):
    """An error as data: see ``errors.py`` for what ``code``, ``fault`` and ``exit_code`` can be."""

    code: str
    message: str
    exit_code: int
    fault: str
    culprits: tuple[str, ...] = ()
    suspects: tuple[str, ...] = ()
    hint: str | None = None
    saved: str | None = None

    @property
    def named(self) -> tuple[str, ...]:
        """Everybody that it names, the convicted first."""
        return (*self.culprits, *self.suspects)


def error_view(error: MpcError) -> ErrorView:
    """Show an error."""
    return ErrorView(
        code=error.code,
        message=error.message,
        exit_code=error.exit_code,
        fault=error.fault,
        culprits=error.culprits,
        suspects=tuple(sorted(error.suspects)),
        hint=error.hint,
        saved=error.saved,
    )


class PeerView(_Value, frozen=True):
    """A peer as this node knows it.

    ``proved`` is false where nobody showed a key under this name in this process: then the name is all there is, trust
    is ``unknown``, and ``pinned`` is the fingerprint that a contact of this name would have to show.

    ``contact`` is the contact whose key it showed, where this node's user calls that one otherwise.
    """

    peer_id: str
    trust: Trust
    fingerprint: str | None = None
    proved: bool = True
    pinned: str | None = None
    contact: str | None = None


class ContactView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A contact; ``moniker`` is what it calls itself, where that is not the name it is kept under."""

    peer_id: str
    verified: bool
    how: str
    fingerprint: str
    public_key: str
    first_seen: int
    moniker: str | None = None


class WalletView(_Value, frozen=True, kw_only=True):
    """A wallet without its secret; a pending one shows no public key, because nothing may be sent to it yet.

    ``opened`` says that the passphrase vouched for all of it. Without, it is what the file says to anybody, and there
    are no ``addresses`` (by chain) in it.

    ``pending`` is the number of the epoch whose certificate is not full here, if there is one: the wallet's first, or
    one that a refresh made beside the active one. ``missing`` names its participants whose signature this node has not.
    """

    wallet_id: str
    name: str
    state: Literal["pending", "active"]
    threshold: int
    total: int
    peer_id: str
    identifier: int
    participants: tuple[str, ...]
    suites: tuple[str, ...]
    epoch: int
    epoch_id: str
    signatures: int
    certificate_valid: bool
    verified: Verified
    kdf: str
    created: int
    pending: int | None = None
    missing: tuple[str, ...] = ()
    group_public_keys: dict[str, str] = {}
    verifying_shares: dict[str, dict[str, str]] = {}
    opened: bool = False
    addresses: dict[str, str] = {}


class SignView(_Value, frozen=True):
    """What is to be signed, from this node's own copy; what shows the messages escapes them.

    ``messages`` are what people read, in hexadecimal, ``hashes`` the SHA-256 of each (of a file: its own); ``signed``
    are the bytes that the ``reading`` makes of them, which are signed. ``merkle_root`` is the script tree of a Taproot
    key, where it has one.
    """

    wallet_id: str
    epoch: int
    reading: Reading
    messages: tuple[str, ...]
    hashes: tuple[str, ...]
    signed: tuple[str, ...]
    merkle_root: str | None = None


class SignatureView(_Value, frozen=True, kw_only=True):
    """Signatures, one for each message, each verified by a library that did not make it.

    A signature is over the bytes in ``signed``, which the reading made of the message.
    """

    wallet_id: str
    name: str
    suite: str
    public_key: str
    messages: tuple[str, ...]
    signed: tuple[str, ...]
    signatures: tuple[str, ...]
    signers: tuple[str, ...]
    attempts: int = 1
    failures: tuple[ErrorView, ...] = ()
    """Why earlier attempts ended, each with its culprits."""


class Registered(_Event, frozen=True, tag="registered"):
    """This node is registered at the server."""

    peer_id: str
    server: str
    room: str
    fingerprint: str


class Peers(_Event, frozen=True, tag="peers"):
    """The peers in the room now, this node included."""

    peers: tuple[PeerView, ...]


class Disconnected(_Event, frozen=True, tag="disconnected"):
    """The server is away; open channels live on, and the node tries again in ``retry_in`` seconds."""

    reason: str
    retry_in: float


class Waiting(_Event, frozen=True, tag="waiting"):
    """A wallet is to be made and peers are missing; it goes on by itself when they come.

    ``names`` are those of the missing that the user named; ``until`` when they are waited for no more, in Unix
    milliseconds.
    """

    present: tuple[str, ...]
    missing: int
    names: tuple[str, ...] = ()
    until: int | None = None


class Proposed(_Event, frozen=True, tag="proposal", kw_only=True):
    """A session is proposed, by this node or to it.

    ``expires`` is what the proposer's clock says, ``until`` when this node stops waiting for answers by its own; both
    are Unix time in milliseconds. ``wallet_id`` is there where this node holds the wallet.
    """

    session_id: str
    kind: str
    proposer: str
    wallet: str
    threshold: int
    total: int
    participants: tuple[PeerView, ...]
    suites: tuple[str, ...]
    expires: int
    """Unix milliseconds."""
    wallet_id: str | None = None
    """Of the wallet it is about, where there is one already."""
    sign: SignView | None = None
    until: int | None = None


class Answered(_Event, frozen=True, tag="answer"):
    """A participant answered the proposal."""

    session_id: str
    peer_id: str
    accepted: bool
    reason: str | None = None


class Progress(_Event, frozen=True, tag="progress"):
    """The session is in ``phase``, and these participants are still to be heard; ``until`` then (Unix milliseconds)."""

    session_id: str
    phase: Phase
    waiting_for: tuple[str, ...] = ()
    until: int | None = None


class Link(_Event, frozen=True, tag="link"):
    """A link of the mesh changed; ``one`` and ``other`` are its ends."""

    session_id: str
    one: str
    other: str
    state: LinkShown


class SafetyWords(_Event, frozen=True, tag="safety_words"):
    """The six words that are the same on every honest screen; to be compared ``until`` then (Unix milliseconds)."""

    session_id: str
    words: tuple[str, ...]
    until: int | None = None


class WalletChanged(_Event, frozen=True, tag="wallet"):
    """A wallet was stored: pending, or active."""

    wallet: WalletView


class SessionEnded(_Event, frozen=True, tag="session_ended", kw_only=True):
    """A session is over: with a wallet, a signature or an error.

    With a wallet and an error where only its share is stored; with nothing where this node accepted to sign and was not
    needed.
    """

    session_id: str
    kind: str
    proposer: str
    seconds: dict[str, float]
    """How long each phase took."""
    words: tuple[str, ...] = ()
    wallet: WalletView | None = None
    signature: SignatureView | None = None
    error: ErrorView | None = None


class PairingCode(_Event, frozen=True, tag="pairing_code"):
    """A code is made and waits for whoever is told it, ``until`` then (Unix milliseconds).

    It ``joins`` where it is one of an invitation.
    """

    code: str
    until: int
    joins: bool = False


class CodeUsed(_Event, frozen=True, tag="code_used"):
    """A code of an invitation is used up: by ``contact``, verified now, or in vain, and ``error`` says why."""

    code: str
    contact: str | None = None
    error: ErrorView | None = None


class Inviting(_Event, frozen=True, tag="inviting"):
    """An invitation is open: who holds the link can join, until all are there or ``until`` then (Unix milliseconds)."""

    link: str
    missing: int
    until: int


class GuestView(_Value, frozen=True):
    """A node that joined by an invitation.

    ``how`` its key is known to the inviter: ``introduced`` where it came by the link, which anybody may have had.
    ``contact`` is the name under which the key is a contact, where that is another one.
    """

    peer_id: str
    fingerprint: str
    how: How
    contact: str | None = None
    present: bool = True


class Guests(_Event, frozen=True, tag="guests"):
    """Who has joined by the invitation, and how many are missing."""

    guests: tuple[GuestView, ...]
    missing: int


class Joined(_Event, frozen=True, tag="joined"):
    """This node has a place in the wallet to be made: its inviter, who proved the key of the invitation, says so."""

    inviter: PeerView
    how: How
    until: int


class Warned(_Event, frozen=True, tag="warning"):
    """Something the user should know, although it ended nothing."""

    message: str


Event = (
    Registered
    | Peers
    | Disconnected
    | Waiting
    | Proposed
    | Answered
    | Progress
    | Link
    | SafetyWords
    | WalletChanged
    | SessionEnded
    | PairingCode
    | CodeUsed
    | Inviting
    | Guests
    | Joined
    | Warned
)

_decoder: Final[msgspec.json.Decoder[Event]] = msgspec.json.Decoder(Event)


def encode(event: Event) -> bytes:
    """One line of JSON, without its line end."""
    return msgspec.json.encode(event)


def decode(line: bytes) -> Event:
    """Read a line that ``encode`` wrote.

    Raises:
        msgspec.MsgspecError: it is not one.
    """
    return _decoder.decode(line)
