"""What a client and the server say to each other about a slot (PROTOCOL section Slots), one JSON object a text frame.

A slot is a number under which exactly two connections meet; one connection has one slot, once. What the two say to
each other is bytes that the server passes on and does not look into: it never sees the password of a code.
"""

from typing import Annotated, Final, Literal

import msgspec

from mpcnode.wire import json
from mpcnode.wire.fields import HexSlotBody

PATH: Final = "/slots"
"""The path of the WebSocket at the server that has the slots."""
MAX_SLOT: Final = 999_999
MESSAGES: Final = 32
"""How many messages each end may say."""

SlotErrorCode = Literal[
    "invalid_message",
    "message_too_big",
    "out_of_order",
    "unknown_slot",
    "slot_over",
    "crowded",
    "expired",
    "peer_gone",
    "too_many_slots",
    "slots_full",
    "rate_limited",
    "request_timeout",
    "too_many_connections",
    "slow_reader",
    "server_shutdown",
]
"""The stable words of the errors; each of them is the end of the connection and of its slot."""

Slot = Annotated[int, msgspec.Meta(ge=1, le=MAX_SLOT)]
Left = Annotated[int, msgspec.Meta(ge=1, le=604_800_000)]
"""Milliseconds that are left, at most a week."""


class _Message(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, tag_field="type"):
    """What every message is: frozen, and nothing in it that was not asked for."""


class Allocate(_Message, frozen=True, tag="allocate"):
    """Ask for a slot."""


class Claim(_Message, frozen=True, tag="claim"):
    """Come to the slot of somebody else."""

    slot: Slot


class Message(_Message, frozen=True, tag="message"):
    """What one end says to the other, either way, byte for byte."""

    body: HexSlotBody


class Release(_Message, frozen=True, tag="release"):
    """End the slot for both; what was said before is delivered first."""


class Allocated(_Message, frozen=True, tag="allocated"):
    """The slot that ``allocate`` got, and how long it waits for its other end."""

    slot: Slot
    expires_in: Left


class Claimed(_Message, frozen=True, tag="claimed"):
    """To both ends: two are there now, and may speak for so long."""

    expires_in: Left


class Released(_Message, frozen=True, tag="released"):
    """To both ends: one of them ended the slot with ``release``. Nothing follows."""


class Error(_Message, frozen=True, tag="error"):
    """Why the slot is over, or was never had: ``error`` for people, ``code`` for programs. Nothing follows.

    ``code`` is a plain string when it comes in, so that a newer server's word is still an error and no garbage.
    ``retry_after`` is in milliseconds, where the same is worth another try.
    """

    error: Annotated[str, msgspec.Meta(max_length=512)]
    code: Annotated[str, msgspec.Meta(pattern=r"^[a-z_]{1,40}\Z")]
    retry_after: Annotated[int, msgspec.Meta(ge=1, le=86_400_000)] | None = None


ClientMessage = Allocate | Claim | Message | Release
ServerMessage = Allocated | Claimed | Message | Released | Error

_from_client: Final[json.Decoder[ClientMessage]] = json.Decoder(ClientMessage, "a message about a slot")  # type: ignore[arg-type] # a union is a type to msgspec
_from_server: Final[json.Decoder[ServerMessage]] = json.Decoder(ServerMessage, "an answer about a slot")  # type: ignore[arg-type] # a union is a type to msgspec


def encode(message: ClientMessage | ServerMessage) -> bytes:
    """Encode ``message`` as the bytes of one text frame."""
    return json.encode(message)


def decode_from_client(frame: bytes) -> ClientMessage:
    """Take one text frame of a client.

    Raises:
        DecodeError: it is none of the messages, in any respect.
    """
    return _from_client.decode(frame)


def decode_from_server(frame: bytes) -> ServerMessage:
    """Take one text frame of a server, which nobody has to trust.

    Raises:
        DecodeError: it is none of the messages, in any respect.
    """
    return _from_server.decode(frame)
