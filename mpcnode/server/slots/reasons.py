"""Why a slot is over: one table of its errors, their texts and the close code. After each of them nothing follows."""

from collections.abc import Mapping
from typing import Final

from mpcnode.server.actions import MESSAGE_TOO_BIG, POLICY_VIOLATION, SERVICE_RESTART, TRY_AGAIN_LATER
from mpcnode.wire.slots import SlotErrorCode

ERRORS: Final[Mapping[SlotErrorCode, tuple[str, int]]] = {
    "invalid_message": ("invalid message", POLICY_VIOLATION),
    "message_too_big": ("message too big", MESSAGE_TOO_BIG),
    "out_of_order": ("this message has no place here", POLICY_VIOLATION),
    "unknown_slot": ("nobody has this slot", POLICY_VIOLATION),
    "slot_over": ("this slot is over", POLICY_VIOLATION),
    "crowded": ("a third connection claimed the slot", POLICY_VIOLATION),
    "expired": ("the time of the slot is up", POLICY_VIOLATION),
    "peer_gone": ("the other end is gone", POLICY_VIOLATION),
    "too_many_slots": ("your address has too many slots", TRY_AGAIN_LATER),
    "slots_full": ("the server has no slot left", TRY_AGAIN_LATER),
    "rate_limited": ("rate limited", POLICY_VIOLATION),
    "request_timeout": ("no slot was asked for in time", POLICY_VIOLATION),
    "too_many_connections": ("too many connections", TRY_AGAIN_LATER),
    "slow_reader": ("not reading fast enough", POLICY_VIOLATION),
    "server_shutdown": ("server is shutting down", SERVICE_RESTART),
}
