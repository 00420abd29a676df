"""Everything that can go wrong, as one tree.

::

    MpcError                        never raised itself
    ├── UsageError                  2    us: a command that makes no sense as written
    │   └── NoTerminal              2    us: a question and nobody to ask
    ├── ConfigurationError          3    us: an option, a file, the home
    │   ├── HomeInUse               3    us: another process holds the home
    │   ├── OutputUnwritable        3    us: standard output is full or closed
    │   └── KeystoreError           3    never raised itself
    │       ├── KeystoreAbsent      3    the file is not there
    │       ├── KeystoreUnreadable  3    the file is there and is not what it should be
    │       └── KeystoreUnwritable  3    disk full, read-only, no permission
    ├── AuthenticationError         4    never raised itself
    │   ├── WrongPassphrase         4    us: the file is fine, the passphrase is not
    │   ├── SignatureInvalid        4    us: `verify` was asked about a signature that is not valid
    │   ├── ContactChanged          4    peer, or the server between: another key under a pinned name
    │   ├── IdentityCheckFailed     4    peer, or the server between: a signature or fingerprint that does not fit
    │   ├── WordsDiffer             4    somebody between: a person says that the safety words are not the same
    │   ├── WrongCode               4    peer, or somebody else: the words of a code were not the same at both ends
    │   └── CodeCrowded             4    peer, or somebody else: more than two used one code
    ├── TransportError              5    never raised itself
    │   ├── ServerUnreachable       5    network: no answer, or not a signaling server
    │   ├── ClocksApart             5    us, or a peer: two clocks differ by more than is tolerated
    │   ├── CodeOver                5    us, or a peer: nobody is at this code, or nobody came to it
    │   ├── InvitationOver          5    us, or a peer: an invitation is expired, used up or given up
    │   ├── ServerRefused           5    server: it answered with an error
    │   │   └── NameTaken           5    us: the name belongs to somebody else
    │   └── LinkFailed              5    network: a link of the mesh did not open
    ├── ProtocolAbort               —    never raised itself
    │   ├── ParticipantFailed       6    peer: never raised itself
    │   │   ├── ParticipantRefused  6    peer: said no
    │   │   ├── ParticipantSilent   6    peer: did not answer in time, or died
    │   │   ├── ParticipantStopped  6    peer: stopped for a reason of its own, and said so
    │   │   ├── ParticipantAborted  6    peer: stopped because of others, and said so
    │   │   └── Disagreement        6    peer, or the server between: told different things about the session
    │   └── ParticipantCheated      7    peer: sent what no honest node sends
    │       └── InconsistentBroadcast 7  peer: told different participants different things
    ├── PairingStopped              6    peer: the other end of a pairing went away or did something else
    ├── Refused                     8    us: the user or a policy said no
    │   ├── Unanswered              8    us: nobody answered the question about a proposal in time
    │   └── WordsUnanswered         8    us: nobody compared the safety words in time
    ├── IncompatibleVersion         9    never raised itself
    │   ├── KeystoreNewer           9    us: the file was written by a newer mpcnode
    │   └── PeerIncompatible        9    peer, server: speaks another version
    ├── WalletPending               10   the wallet has no certificate yet
    └── Interrupted                 130  us: Ctrl-C or SIGTERM

    DecodeError(ValueError)              bytes that are not a message; the caller knows the sender and blames it

Errors about participants (``PeerError``) are made in ``mpcnode.blame`` and nowhere else. Whom they convict stands in
``culprits``; ``suspects`` did not do their part, or one of them did not, and nothing proves whose fault it is.

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
    culprits: tuple[PeerId, ...] = ()
    """The peers that are proved to be at fault, sorted."""
    suspects: frozenset[PeerId] = frozenset()
    """The peers that did not do their part, or of whom one did not; nothing proves whose fault it is."""

    def __init__(self, message: str, *, hint: str | None = None, saved: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.saved = saved


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


class OutputUnwritable(ConfigurationError):
    """What a command was asked for could not be written to standard output; it was made all the same."""

    code = "output_unwritable"


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


class PeerError(MpcError):
    """An error about participants; only ``mpcnode.blame`` makes one.

    Args:
        message: what happened.
        culprits: the participants that are convicted.
        suspects: the participants of whom one may be at fault.
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
        self.culprits = tuple(sorted(culprits))
        self.suspects = frozenset(suspects)
        self.seen_of: frozenset[PeerId] = self.suspects.union(self.culprits)
        """The participants that it was seen of, also where that names nobody: the next attempt rather does without."""


class ContactChanged(PeerError, AuthenticationError):
    """A known name came with another identity key: an error that names the contact, never a question."""

    code = "contact_changed"


class IdentityCheckFailed(PeerError, AuthenticationError):
    """A key, a signature or a fingerprint does not fit its name; no protocol byte was accepted from there."""

    code = "identity_check_failed"


class WordsDiffer(PeerError, AuthenticationError):
    """A person says that the safety words differ: somebody may stand between the participants; no share was sent."""

    code = "words_differ"


class WrongCode(AuthenticationError):
    """The two ends of a code did not have the same words; the code is used up."""

    code = "wrong_code"
    fault = "peer"


class CodeCrowded(AuthenticationError):
    """A third connection used a code, so that nobody can any more."""

    code = "code_crowded"
    fault = "peer"


class TransportError(MpcError):
    """Nobody's cheating: the way there is not open."""

    exit_code = 5


class ServerUnreachable(TransportError):
    """The signaling server does not answer, or what answers is not one."""

    code = "server_unreachable"
    fault = "network"


class ClocksApart(TransportError):
    """The clock of a peer and this node's differ so much that what one says is over when the other hears it."""

    code = "clocks_apart"


class CodeOver(TransportError):
    """Nobody is at the code that was given, or nobody came to the one that was made."""

    code = "code_over"


class InvitationOver(TransportError):
    """An invitation serves nobody any more, or not this node: expired, used up, given up, or its maker is gone."""

    code = "invitation_over"


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


class LinkFailed(PeerError, TransportError):
    """A link of the mesh did not open, or opened and broke, after every try."""

    code = "link_failed"
    fault = "network"


class ProtocolAbort(PeerError):
    """A session ended without its result because of participants."""


class ParticipantFailed(ProtocolAbort):
    """A participant did not do its part; nothing shows that it lied."""

    exit_code = 6


class ParticipantRefused(ParticipantFailed):
    """A participant answered no."""

    code = "participant_refused"


class ParticipantSilent(ParticipantFailed):
    """A participant did not answer before the deadline, or its process died."""

    code = "participant_silent"


class ParticipantStopped(ParticipantFailed):
    """A participant stopped for a reason of its own, such as a full disk or its user's wish."""

    code = "participant_stopped"


class ParticipantAborted(ParticipantFailed):
    """A participant stopped because of other participants, or of a link."""

    code = "participant_aborted"


class Disagreement(ParticipantFailed):
    """Participants were told different things about the session: by its proposer, or by the server between them."""

    code = "disagreement"


class ParticipantCheated(ProtocolAbort):
    """A participant sent what no honest node sends, on a channel that only it can write to."""

    exit_code = 7
    code = "participant_cheated"


class InconsistentBroadcast(ParticipantCheated):
    """Participants hold different values of what should be one; culprits are named once two signed values are seen."""

    code = "inconsistent_broadcast"


class PairingStopped(MpcError):
    """The other end of a pairing went away, or said something that a pairing does not have; nobody is known by it."""

    exit_code = 6
    code = "pairing_stopped"
    fault = "peer"


class Refused(MpcError):
    """The user or a policy of this node said no."""

    exit_code = 8
    code = "refused"


class Unanswered(Refused):
    """Nobody at this node answered the question about a proposal in time."""

    code = "unanswered"


class WordsUnanswered(Refused):
    """Nobody at this node compared the safety words in time."""

    code = "words_unanswered"


class IncompatibleVersion(MpcError):
    """Two versions that do not understand each other."""

    exit_code = 9


class KeystoreNewer(IncompatibleVersion):
    """The file was written by a newer mpcnode; it was not touched."""

    code = "newer_version"


class PeerIncompatible(PeerError, IncompatibleVersion):
    """The other side speaks another version of the protocol."""

    code = "peer_incompatible"


class WalletPending(MpcError):
    """The share is safe on disk, but not everybody's promise is in: no address is shown until it is."""

    exit_code = 10
    code = "wallet_pending"


class Interrupted(MpcError):
    """Ctrl-C or SIGTERM; nothing is half-written."""

    exit_code = 130
    code = "interrupted"
