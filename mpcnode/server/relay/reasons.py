"""Why the hub refuses: one table of its errors, their texts and whether the connection is closed."""

from collections.abc import Mapping
from typing import Final

from mpcnode.server.actions import POLICY_VIOLATION, SERVICE_RESTART, TRY_AGAIN_LATER
from mpcnode.types import PEER_ID_FORM
from mpcnode.wire.signaling import ErrorCode

ERRORS: Final[Mapping[ErrorCode, tuple[str, int | None]]] = {
    "invalid_message": ("invalid message", None),
    "message_too_big": ("message too big", None),
    "invalid_peer_id": (f"invalid peer_id: it is {PEER_ID_FORM}", None),
    "invalid_room": (f"invalid room: it is {PEER_ID_FORM}", None),
    "invalid_signature": ("invalid signature", POLICY_VIOLATION),
    "already_registered": ("peer_id already registered", POLICY_VIOLATION),
    "not_registered": ("not registered", None),
    "unknown_peer": ("unknown peer", None),
    "recipient_busy": ("the recipient has not read your earlier messages", None),
    "rate_limited": ("rate limited", None),
    "register_timeout": ("not registered in time", POLICY_VIOLATION),
    "too_many_connections": ("too many connections", TRY_AGAIN_LATER),
    "room_full": ("room is full", None),
    "slow_reader": ("not reading fast enough", POLICY_VIOLATION),
    "replaced": ("replaced by a newer connection of the same key", POLICY_VIOLATION),
    "server_shutdown": ("server is shutting down", SERVICE_RESTART),
}
"""What the hub says, and the close code (RFC 6455, section 7.4, and IANA's registry) where it then closes."""
