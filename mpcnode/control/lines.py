"""The lines of the control socket, which are the lines of ``--json``: what they are and how they are written."""

from collections.abc import Iterator
from typing import Final

import msgspec

from mpcnode import errors, status
from mpcnode.commands import Command
from mpcnode.errors import DecodeError, MpcError
from mpcnode.types import PeerId

MAX_REQUEST: Final = 8 * 1024 * 1024
"""Bytes of a line to a node: the contents of one command in base64, and what goes with them."""
MAX_REPLY: Final = 32 * 1024 * 1024
"""Bytes of a line from a node: as many signatures as one command asks for, or many wallets of 64 participants each."""


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
    contact: status.ContactView | None = None
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
"""A line of a node or a command."""


class Answer(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="command", tag="answer"):
    """What the user said to question ``id``; ``error`` where there was nobody to ask."""

    id: int
    value: bool | tuple[str, ...] | None = None
    error: status.ErrorView | None = None


class StartedWith(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, tag_field="command", tag="started-with"
):
    """Options of the next command that only the start of a node can honour; the running node has them, or refuses.

    What was not given is None, False or empty. ``ice_servers`` are URLs; times are in milliseconds.
    """

    server: str | None = None
    peer_id: str | None = None
    room: str | None = None
    contacts_only: bool = False
    ice_servers: tuple[str, ...] = ()
    loopback: bool = False
    addresses: tuple[str, ...] = ()
    ca_file: str | None = None
    link_time: int | None = None
    round_time: int | None = None


Request = Command | StartedWith | Answer
"""What a client sends."""

_lines: Final[msgspec.json.Decoder[Line]] = msgspec.json.Decoder(Line)
_requests: Final[msgspec.json.Decoder[Request]] = msgspec.json.Decoder(Request)


def encode_line(line: Line | Request) -> bytes:
    """One line of JSON with its line end."""
    return msgspec.json.encode(line) + b"\n"


def decode_line(line: bytes) -> Line:
    """Read what a node or a command printed.

    Raises:
        DecodeError: it is not such a line.
    """
    try:
        return _lines.decode(line)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise DecodeError("not a line of mpcnode's JSON output") from error


def decode_request(line: bytes) -> Request:
    """Read a client's request.

    Raises:
        DecodeError: it is none of these.
        UsageError: it is a command that makes no sense.
    """
    try:
        return _requests.decode(line)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise DecodeError("not a command") from error


def error_of(view: status.ErrorView) -> MpcError:
    """Give the error that ``view`` was made of; an unknown code becomes the plain ``MpcError``."""
    kind = next((kind for kind in _all_errors(MpcError) if vars(kind).get("code") == view.code), MpcError)
    culprits = tuple(PeerId(name) for name in view.culprits)
    if issubclass(kind, errors.PeerError):
        suspects = map(PeerId, view.suspects)
        return kind(view.message, culprits=culprits, suspects=suspects, hint=view.hint, saved=view.saved)
    if issubclass(kind, errors.ServerRefused):
        return kind(view.message, server_code=view.code, hint=view.hint, saved=view.saved)
    return kind(view.message, hint=view.hint, saved=view.saved)


def _all_errors(kind: type[MpcError]) -> Iterator[type[MpcError]]:
    for child in kind.__subclasses__():
        yield child
        yield from _all_errors(child)
