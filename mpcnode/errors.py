"""Everything that can go wrong, as one tree.

::

    MpcError                        never raised itself
    ├── UsageError                  2    us: a command that makes no sense as written
    │   └── NoTerminal              2    us: a question and nobody to ask
    ├── ConfigurationError          3    us: an option, a file, the home
    │   ├── HomeInUse               3    us: another process holds the home
    │   └── KeystoreError           3    never raised itself
    │       ├── KeystoreAbsent      3    the file is not there
    │       ├── KeystoreUnreadable  3    the file is there and is not what it should be
    │       └── KeystoreUnwritable  3    disk full, read-only, no permission
    ├── AuthenticationError         4    never raised itself
    │   ├── WrongPassphrase         4    us: the file is fine, the passphrase is not
    │   ├── ContactChanged          4    peer: another key under a pinned name
    │   ├── IdentityCheckFailed     4    peer, or the server between: a signature or fingerprint that does not fit
    │   └── SignatureInvalid        4    us: `verify` was asked about a signature that is not valid
    ├── TransportError              5    never raised itself
    │   ├── ServerUnreachable       5    network: no answer, or not a signaling server
    │   ├── ServerRefused           5    server: it answered with an error
    │   │   └── NameTaken           5    us: the name belongs to somebody else
    │   └── LinkFailed              5    network: a link of the mesh did not open
    ├── ProtocolAbort               —    never raised itself; names culprits
    │   ├── ParticipantFailed       6    peer: never raised itself
    │   │   ├── ParticipantRefused  6    peer: said no
    │   │   ├── ParticipantSilent   6    peer: did not answer in time, or died
    │   │   └── ParticipantAborted  6    peer: stopped and said why
    │   └── ParticipantCheated      7    peer: sent what no honest node sends
    │       └── InconsistentBroadcast 7  peer: told different participants different things
    ├── Refused                     8    us: the user or a policy said no
    ├── IncompatibleVersion         9    never raised itself
    │   ├── KeystoreNewer           9    us: the file was written by a newer mpcnode
    │   └── PeerIncompatible        9    peer, server: speaks another version
    ├── WalletPending               10   the wallet has no certificate yet
    └── Interrupted                 130  us: Ctrl-C or SIGTERM

    DecodeError(ValueError)              bytes that are not a message; the caller knows the sender and blames it

The number is the exit code. A message says what happened in lower case without a full stop; ``hint`` says what to
do next; ``saved`` says what is on disk. Neither may ever hold a secret, and peer text in them must have been escaped.
"""

from collections.abc import Iterable
from typing import ClassVar

from mpcnode.types import PeerId


class DecodeError(ValueError):
    """Bytes that are not what the format says; blames nobody, because a codec does not know the sender."""


class MpcError(Exception):
    """What every error of mpcnode is.

    Args:
        message: what happened, lower case, no full stop.
        hint: what to do next.
        saved: what was stored and is safe, where anything was at stake.
    """

    exit_code: ClassVar[int] = 1
    code: ClassVar[str] = "internal"
    """The stable word for this error in ``--json`` output and in a scenario's ``expect``."""
    fault: ClassVar[str] = "us"
    """Whose fault: ``us``, ``peer``, ``server`` or ``network``."""
    suspects: frozenset[PeerId] = frozenset()
    """The peers of whom one is to blame, where it is not known which; empty where it may be anybody."""

    def __init__(self, message: str, *, hint: str | None = None, saved: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.saved = saved

    @property
    def culprits(self) -> tuple[PeerId, ...]:
        """The peers to blame, sorted; empty where it is nobody's fault or cannot be known."""
        return ()


class UsageError(MpcError):
    """The command makes no sense as written; nothing was done."""

    exit_code = 2
    code = "usage"


class NoTerminal(UsageError):
    """There is a question and no terminal to ask it on; the hint names the option that answers it."""

    code = "no_terminal"


class ConfigurationError(MpcError):
    """An option, a file or the home is not usable as it is."""

    exit_code = 3
    code = "configuration"


class HomeInUse(ConfigurationError):
    """Another process holds this home; it was not touched."""

    code = "home_in_use"


class KeystoreError(ConfigurationError):
    """Something about a stored file; old data is intact."""


class KeystoreAbsent(KeystoreError):
    """There is no such file or wallet."""

    code = "absent"


class KeystoreUnreadable(KeystoreError):
    """The file is there and is not what mpcnode writes: truncated, altered, of another owner, not a plain file."""

    code = "unreadable"


class KeystoreUnwritable(KeystoreError):
    """The file could not be made durable; what was there before is untouched."""

    code = "unwritable"


class AuthenticationError(MpcError):
    """Somebody or something is not who or what it should be."""

    exit_code = 4


class WrongPassphrase(AuthenticationError):
    """The file is whole and this passphrase does not open it."""

    code = "wrong_passphrase"


class SignatureInvalid(AuthenticationError):
    """A signature that somebody asked about is not valid for this message and this public key."""

    code = "signature_invalid"


class _PeerError(MpcError):
    """An error about one peer, who is named."""

    fault = "peer"

    def __init__(self, message: str, *, peer: PeerId, hint: str | None = None, saved: str | None = None) -> None:
        super().__init__(message, hint=hint, saved=saved)
        self.peer = peer

    @property
    def culprits(self) -> tuple[PeerId, ...]:
        return (self.peer,)


class ContactChanged(_PeerError, AuthenticationError):
    """A known name came with another identity key: an error that names the contact, never a question."""

    code = "contact_changed"


class IdentityCheckFailed(_PeerError, AuthenticationError):
    """A signature or a fingerprint of this peer's channel does not fit; no protocol byte was accepted on it."""

    code = "identity_check_failed"


class TransportError(MpcError):
    """Nobody's cheating: the way there is not open."""

    exit_code = 5


class ServerUnreachable(TransportError):
    """The signaling server does not answer, or what answers is not one."""

    code = "server_unreachable"
    fault = "network"


class ServerRefused(TransportError):
    """The signaling server answered with an error.

    Args:
        message: what happened.
        server_code: the server's own machine-readable ``code``.
    """

    code = "server_refused"
    fault = "server"

    def __init__(self, message: str, *, server_code: str, hint: str | None = None, saved: str | None = None) -> None:
        super().__init__(message, hint=hint, saved=saved)
        self.server_code = server_code


class NameTaken(ServerRefused):
    """The peer id belongs to another key or another connection."""

    code = "name_taken"
    fault = "us"


class LinkFailed(_PeerError, TransportError):
    """A link of the mesh did not open, or opened and broke, after every try; ``peer`` is its other end.

    A link between two others has both ends as suspects, and nobody to blame.
    """

    code = "link_failed"
    fault = "network"

    def __init__(
        self,
        message: str,
        *,
        peer: PeerId,
        other: PeerId | None = None,
        hint: str | None = None,
        saved: str | None = None,
    ) -> None:
        super().__init__(message, peer=peer, hint=hint, saved=saved)
        self.suspects = frozenset({peer, other}) if other is not None else frozenset()

    @property
    def culprits(self) -> tuple[PeerId, ...]:
        """Its other end; nobody where it is a link between two others."""
        return () if self.suspects else (self.peer,)


class ProtocolAbort(MpcError):
    """A session ended without its result because of participants.

    Args:
        message: what happened.
        culprits: the peers to blame; empty only where it cannot be known.
        suspects: the peers of whom one is to blame, where it is not known which; empty where it may be anybody.
    """

    fault = "peer"

    def __init__(
        self,
        message: str,
        *,
        culprits: Iterable[PeerId] = (),
        suspects: Iterable[PeerId] = (),
        hint: str | None = None,
        saved: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint, saved=saved)
        self._culprits = tuple(sorted(culprits))
        self.suspects = frozenset(suspects)

    @property
    def culprits(self) -> tuple[PeerId, ...]:
        """The peers to blame, sorted; empty only where it cannot be known."""
        return self._culprits


class ParticipantFailed(ProtocolAbort):
    """A participant did not do its part; nothing shows that it lied."""

    exit_code = 6


class ParticipantRefused(ParticipantFailed):
    """A participant answered no."""

    code = "participant_refused"


class ParticipantSilent(ParticipantFailed):
    """A participant did not answer before the deadline, or its process died."""

    code = "participant_silent"


class ParticipantAborted(ParticipantFailed):
    """A participant stopped the session and said why; whom it accuses is hearsay and stands in the message."""

    code = "participant_aborted"


class ParticipantCheated(ProtocolAbort):
    """A participant sent what no honest node sends, on a channel that only it can write to."""

    exit_code = 7
    code = "participant_cheated"


class InconsistentBroadcast(ParticipantCheated):
    """Participants hold different values of one broadcast; culprits are named once two signed values are seen.

    Args:
        message: what happened.
        evidence: the signed values this node holds, for the others to compare with theirs.
        suspects: who told this node something else, and lied or was lied to.
    """

    code = "inconsistent_broadcast"

    def __init__(
        self,
        message: str,
        *,
        evidence: bytes | None = None,
        suspects: Iterable[PeerId] = (),
        hint: str | None = None,
    ) -> None:
        super().__init__(message, suspects=suspects, hint=hint)
        self.evidence = evidence


class Refused(MpcError):
    """The user or a policy of this node said no."""

    exit_code = 8
    code = "refused"


class IncompatibleVersion(MpcError):
    """Two versions that do not understand each other."""

    exit_code = 9


class KeystoreNewer(IncompatibleVersion):
    """The file was written by a newer mpcnode; it was not touched."""

    code = "newer_version"


class PeerIncompatible(IncompatibleVersion):
    """The other side speaks another version of the protocol."""

    code = "peer_incompatible"
    fault = "peer"


class WalletPending(MpcError):
    """The share is safe on disk, but not everybody's promise is in: no address is shown until it is."""

    exit_code = 10
    code = "wallet_pending"


class Interrupted(MpcError):
    """Ctrl-C or SIGTERM; nothing is half-written."""

    exit_code = 130
    code = "interrupted"
