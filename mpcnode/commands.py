"""What a user may ask of a node: one frozen value a verb.

The command line makes it of options, a scenario of a step; the control socket carries it, and a session reads it. It is
the same value everywhere, and it is checked once, when it is made: a command that exists makes sense by itself. Whether
it fits the wallets and the peers of a node is the session's to find out.

Every time is a whole number of milliseconds.
"""

from typing import TYPE_CHECKING, Final, TypeAlias

import msgspec

from mpcnode.blame import Came, Event, judge
from mpcnode.errors import DecodeError, UsageError
from mpcnode.readings import registry as readings
from mpcnode.types import PeerId, Reading, SuiteId, check_threshold, parse_peer_id, parse_wallet_name

if TYPE_CHECKING:
    from mpcnode.wire.invitation import Invitation

DEFAULT_SUITES: Final = (SuiteId("FROST-ED25519-SHA512-v1"), SuiteId("FROST-secp256k1-SHA256-TR-v1"))
"""Those of ``crypto.suites``, which takes longer to load than a command takes; a test holds the two together."""
DEFAULT_WAIT_MS: Final = 600_000
MAX_MS: Final = 24 * 3600 * 1000
"""A day: the longest that answers or peers are waited for."""
DEFAULT_WORDS: Final = 2
"""Words of a code, a byte each: two are enough where a wrong one ends the code."""
MAX_CONTENT_BYTES: Final = 8 * 1024
"""The longest content that is signed; of a longer one, the hash is signed (``mpcnode sign --file``)."""
MAX_CONTENTS: Final = 10_000
MAX_CONTENTS_BYTES: Final = 4 * 1024 * 1024
"""All contents of one command together; a session is for a few of them, and a command is for many sessions."""

_MERKLE_ROOT_SIZE: Final = 32


class _Command(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="command"):
    """What every command is."""


class CreateWallet(_Command, frozen=True, omit_defaults=True, tag="create-wallet"):
    """Make a wallet together with others.

    Args:
        threshold: how many signers will suffice.
        total: how many participants, this node included.
        name: what the wallet will be called.
        with_peers: the other participants; empty: the other peers of the room.
        wait: how long to wait for participants that are not there yet.
        suites: the wallet's ciphersuites.
        yes: nobody compares safety words at this node; the wallet says so.
        answer_within: how long everybody has to answer; None: as the node is configured.
        confirm_within: how long this node's user has to compare the safety words; None: as the node is configured.

    Raises:
        UsageError: a value is out of its bounds, or two do not go together.
    """

    threshold: int
    total: int
    name: str = "wallet"
    with_peers: tuple[PeerId, ...] = ()
    wait: int = DEFAULT_WAIT_MS
    suites: tuple[SuiteId, ...] = DEFAULT_SUITES
    yes: bool = False
    answer_within: int | None = None
    confirm_within: int | None = None

    def __post_init__(self) -> None:
        try:
            check_threshold(self.threshold, self.total)
        except ValueError as error:
            raise UsageError(str(error), hint="correct --threshold or --total") from None
        try:
            parse_wallet_name(self.name)
        except ValueError as error:
            raise UsageError(f"{self.name!a} is not a wallet name: {error}", hint="correct --name") from None
        _check_names(self.with_peers)
        if self.with_peers and len(self.with_peers) != self.total - 1:
            others = "1 peer" if len(self.with_peers) == 1 else f"{len(self.with_peers)} peers"
            raise UsageError(
                f"--with names {others}; --total {self.total} needs {self.total - 1} beside this node",
                hint="correct --with or --total",
            )
        if not 0 <= self.wait <= MAX_MS:
            raise UsageError(f"peers are waited for at most {MAX_MS // 1000} seconds", hint="correct --wait")
        _check_time(self.answer_within, "answers are waited for", "--answer-seconds")
        _check_time(self.confirm_within, "safety words are shown for", "--confirm-seconds")
        if self.suites != DEFAULT_SUITES:
            _check_suites(self.suites)


class Refresh(_Command, frozen=True, omit_defaults=True, tag="refresh"):
    """Give every participant of a wallet a new share of the same key.

    Args:
        wallet: its name, or the beginning of its id.
        answer_within: how long everybody has to answer; None: as the node is configured.

    Raises:
        UsageError: a value is out of its bounds.
    """

    wallet: str
    answer_within: int | None = None

    def __post_init__(self) -> None:
        _check_wallet(self.wallet)
        _check_time(self.answer_within, "answers are waited for", "--answer-seconds")


class Sign(_Command, frozen=True, omit_defaults=True, tag="sign"):
    """Sign together with others.

    Args:
        wallet: its name, or the beginning of its id.
        contents: what people read, each at most ``MAX_CONTENT_BYTES``; the reading determines the signed bytes.
        reading: how people read the contents.
        suite: the ciphersuite; None: the wallet's first.
        with_peers: the other signers; empty: the first that accept.
        merkle_root: for Taproot, the script tree that the key is tweaked with; empty or None for a key without scripts.
        answer_within: how long everybody has to answer; None: as the node is configured.

    Raises:
        UsageError: a value is out of its bounds, or a content cannot be shown by the reading.
    """

    wallet: str
    contents: tuple[bytes, ...]
    reading: Reading = "text"
    suite: SuiteId | None = None
    with_peers: tuple[PeerId, ...] = ()
    merkle_root: bytes | None = None
    answer_within: int | None = None

    def __post_init__(self) -> None:
        _check_wallet(self.wallet)
        _check_names(self.with_peers)
        _check_time(self.answer_within, "answers are waited for", "--answer-seconds")
        if self.merkle_root is not None and len(self.merkle_root) not in {0, _MERKLE_ROOT_SIZE}:
            raise UsageError(
                "the root of a script tree is 32 bytes, or none for a key without scripts", hint="correct --merkle-root"
            )
        if not self.contents:
            raise UsageError("there is nothing to sign", hint="add --message, --hex, --file or --batch")
        if len(self.contents) > MAX_CONTENTS or sum(map(len, self.contents)) > MAX_CONTENTS_BYTES:
            raise UsageError(
                f"one command signs at most {MAX_CONTENTS} messages of {MAX_CONTENTS_BYTES} bytes together",
                hint="sign them in parts",
            )
        for content in self.contents:
            self._check_content(content)

    @property
    def tree(self) -> bytes:
        """The root of the script tree; empty for none."""
        return self.merkle_root or b""

    def _check_content(self, content: bytes) -> None:
        if len(content) > MAX_CONTENT_BYTES:
            raise UsageError(
                f"a message is at most {MAX_CONTENT_BYTES} bytes", hint="sign the hash of a file with --file"
            )
        try:
            readings.check(self.reading, content)
        except DecodeError as error:
            hint = "sign bytes that are not text with --hex" if self.reading == "text" else None
            raise UsageError(str(error), hint=hint) from None


class Pair(_Command, frozen=True, omit_defaults=True, tag="pair"):
    """Meet somebody with a code, and keep them as a contact.

    Args:
        code: the one that the other side made; None: make one and wait. Not in ``repr``.
        words: how many words a code that is made has.
        alias: what to call the contact; None: what it calls itself, or is called already.

    Raises:
        UsageError: the code cannot be right, or a value is out of its bounds.
    """

    code: str | None = None
    words: int = DEFAULT_WORDS
    alias: PeerId | None = None

    def __post_init__(self) -> None:
        if self.code is not None:
            _check_code(self.code)
        _check_words(self.words)
        if self.alias is not None:
            try:
                parse_peer_id(self.alias)
            except ValueError as error:
                raise UsageError(f"{self.alias!a} is no name: {error}", hint="correct --as") from None

    def __repr__(self) -> str:
        code = None if self.code is None else "<redacted>"
        return f"Pair(code={code}, words={self.words}, alias={self.alias!r})"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        """Show rich what ``repr`` shows; msgspec's own would show the code."""
        return [("words", self.words), ("alias", self.alias)]


class Invite(_Command, frozen=True, omit_defaults=True, tag="invite"):
    """Make a wallet together with those who join by an invitation.

    Not for a node that runs already: it is in a room, and an invitation has one of its own.

    Args:
        wallet: which; ``wait`` is how long the invitation is good.
        codes: make a code for each who is missing, beside the link.
        words: how many words a code has.

    Raises:
        UsageError: a value is out of its bounds, or the others are named.
    """

    wallet: CreateWallet
    codes: bool = True
    words: int = DEFAULT_WORDS

    def __post_init__(self) -> None:
        if self.wallet.with_peers:
            raise UsageError("--with names the others, and --invite asks for whoever joins", hint="leave out one")
        if not self.wallet.wait:
            raise UsageError("an invitation is good for some time", hint="correct --wait")
        _check_words(self.words)


class Join(_Command, frozen=True, omit_defaults=True, tag="join"):
    """Take part in a wallet that somebody else invites to.

    Not for a node that runs already, as ``Invite``.

    Args:
        invitation: a code or a link; not in ``repr``.

    Raises:
        UsageError: it cannot be right.
        PeerIncompatible: it is a link of another version.
    """

    invitation: str

    def __post_init__(self) -> None:
        if self.link is None:
            _check_code(self.invitation)

    @property
    def link(self) -> "Invitation | None":
        """What a link says; None where this is a code."""
        from mpcnode.wire import invitation as invitations  # noqa: PLC0415 -- as for codes

        text = self.invitation.strip()
        if not text.lower().startswith(f"{invitations.SCHEME.partition(':')[0]}:"):
            return None
        try:
            return invitations.decode(text)
        except invitations.OtherVersion as error:
            hint = "install the mpcnode that its maker has"
            raise judge(Came.RELAY, Event.OTHER_VERSION, str(error), hint=hint) from None
        except DecodeError as error:
            raise UsageError(str(error), hint="copy the whole link, in quotes") from None

    def __repr__(self) -> str:
        return "Join(<redacted>)"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        """Show rich what ``repr`` shows."""
        return []


class ListPeers(_Command, frozen=True, tag="peers"):
    """Give the peers in the room."""


class ListWallets(_Command, frozen=True, tag="wallets"):
    """Give the wallets of the node."""


Command: TypeAlias = CreateWallet | Refresh | Sign | Pair | ListPeers | ListWallets


def _check_code(code: str) -> None:
    from mpcnode.wire.code import parse_code  # noqa: PLC0415 -- a client of a running node loads nothing of the wire

    try:
        parse_code(code)
    except ValueError as error:
        raise UsageError(str(error), hint="type the code as the other side says it") from None


def _check_words(words: int) -> None:
    from mpcnode.wire import code as codes  # noqa: PLC0415 -- same

    if not codes.MIN_WORDS <= words <= codes.MAX_WORDS:
        raise UsageError(f"a code has {codes.MIN_WORDS} to {codes.MAX_WORDS} words", hint="correct --words")


def _check_wallet(wanted: str) -> None:
    # A wallet id has the form of a wallet name too.
    try:
        parse_wallet_name(wanted)
    except ValueError as error:
        raise UsageError(f"{wanted!a} is not a wallet: {error}", hint="give a name that 'wallets' lists") from None


def _check_names(names: tuple[PeerId, ...]) -> None:
    for name in names:
        try:
            parse_peer_id(name)
        except ValueError as error:
            raise UsageError(f"{name!a} is not a peer id: {error}", hint="correct --with") from None
        if names.count(name) > 1:
            raise UsageError(f"--with names {name} twice", hint="name each of the others once")


def _check_time(time: int | None, what: str, option: str) -> None:
    if time is not None and not 0 < time <= MAX_MS:
        raise UsageError(f"{what} at most {MAX_MS // 1000} seconds", hint=f"correct {option}")


def _check_suites(suites: tuple[SuiteId, ...]) -> None:
    from mpcnode.crypto.suites import SUITES  # noqa: PLC0415 -- loads the curves

    for suite in suites:
        if suite not in SUITES:
            raise UsageError(f"there is no ciphersuite {suite!a}", hint=f"the ciphersuites are {', '.join(SUITES)}")
    if not suites or len(set(suites)) != len(suites):
        raise UsageError("a wallet has one ciphersuite or several, each once", hint="name each once")
