"""The lines of the control socket, which are the lines of ``--json``: what they are and how they are written."""

from collections.abc import Iterator
from typing import Final

import msgspec

from mpcnode import errors, status
from mpcnode.errors import DecodeError, MpcError
from mpcnode.types import PeerId, Reading

MAX_REQUEST: Final = 1024 * 1024
"""Bytes of a line to a node."""
MAX_REPLY: Final = 16 * 1024 * 1024
"""Bytes of a line from a node; a home may hold many wallets of 64 participants each."""


class Candidates(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="event", tag="candidates"):
    """Peers to choose ``count`` participants from."""

    peers: tuple[status.PeerView, ...]
    count: int


class Question(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="event", tag="question"):
    """The node asks the client's user: to approve, to confirm safety words, or to choose."""

    id: int
    about: status.Proposed | status.SafetyWords | Candidates


class Result(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, tag_field="event", tag="result"
):
    """The command is done."""

    wallet: status.WalletView | None = None
    signature: status.SignatureView | None = None
    peers: tuple[status.PeerView, ...] = ()
    wallets: tuple[status.WalletView, ...] = ()
    unreadable: tuple[status.ErrorView, ...] = ()


class Failed(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="event", tag="error"):
    """The command ended with an error."""

    error: status.ErrorView


class Serving(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="event", tag="serving"):
    """A signaling server listens here; what ``mpcnode serve --json`` says first."""

    host: str
    port: int


Line = status.Event | Question | Result | Failed | Serving
"""What a node or a command prints."""


class CreateWalletArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What ``create-wallet`` says; without ``with_peers`` the peers that are there, without ``suites`` the usual."""

    threshold: int
    total: int
    name: str = "wallet"
    with_peers: tuple[str, ...] = ()
    wait: float = 600
    suites: tuple[str, ...] = ()
    yes: bool = False
    answer_within: float | None = None


class CreateWalletCommand(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="command", tag="create-wallet"
):
    """Make a wallet."""

    arguments: CreateWalletArguments


class SignArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What ``sign`` says; messages and ``merkle_root`` in hexadecimal."""

    wallet: str
    messages: tuple[str, ...]
    reading: Reading = "text"
    suite: str | None = None
    with_peers: tuple[str, ...] = ()
    merkle_root: str | None = None
    answer_within: float | None = None


class SignCommand(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="command", tag="sign"):
    """Sign messages."""

    arguments: SignArguments


class PeersCommand(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="command", tag="peers"):
    """Say who is there."""


class WalletsCommand(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="command", tag="wallets"):
    """Say what wallets there are."""


class Answer(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="command", tag="answer"):
    """What the user said to question ``id``; ``error`` where there was nobody to ask."""

    id: int
    value: bool | tuple[str, ...] | None = None
    error: status.ErrorView | None = None


Command = CreateWalletCommand | SignCommand | PeersCommand | WalletsCommand
Request = Command | Answer

_lines: Final[msgspec.json.Decoder[Line]] = msgspec.json.Decoder(Line)
_requests: Final[msgspec.json.Decoder[Request]] = msgspec.json.Decoder(Request)


def encode_line(line: Line | Request) -> bytes:
    """One line of JSON with its line end."""
    return msgspec.json.encode(line) + b"\n"


def decode_line(line: bytes) -> Line:
    """Read what a node or a command printed.

    Raises:
        DecodeError: it is no such line.
    """
    try:
        return _lines.decode(line)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise DecodeError("not a line of mpcnode's JSON output") from error


def decode_request(line: bytes) -> Request:
    """Read what a client sent.

    Raises:
        DecodeError: it is no command and no answer.
    """
    try:
        return _requests.decode(line)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise DecodeError("not a command") from error


def error_of(view: status.ErrorView) -> MpcError:
    """The error that ``view`` was made of; one of an unknown code becomes the plain ``MpcError``."""
    kind = next((kind for kind in _all_errors(MpcError) if vars(kind).get("code") == view.code), MpcError)
    culprits = tuple(PeerId(name) for name in view.culprits)
    if issubclass(kind, errors.InconsistentBroadcast):
        return kind(view.message, hint=view.hint)
    if issubclass(kind, errors.ProtocolAbort):
        return kind(view.message, culprits=culprits, hint=view.hint, saved=view.saved)
    if issubclass(kind, errors.ServerRefused):
        return kind(view.message, server_code=view.code, hint=view.hint, saved=view.saved)
    if issubclass(kind, errors.ContactChanged | errors.IdentityCheckFailed | errors.LinkFailed):
        return kind(view.message, peer=next(iter(culprits), PeerId("")), hint=view.hint, saved=view.saved)
    return kind(view.message, hint=view.hint, saved=view.saved)


def _all_errors(kind: type[MpcError]) -> Iterator[type[MpcError]]:
    for child in kind.__subclasses__():
        yield child
        yield from _all_errors(child)
