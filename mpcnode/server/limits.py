"""What one client may cost: every limit of the signaling server, with the reason for its default."""

import ipaddress
from dataclasses import dataclass, fields
from functools import lru_cache

from mpcnode.errors import ConfigurationError
from mpcnode.wire.signaling import MESSAGE_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Every limit of a signaling server; all are options of the command line.

    Args:
        message_bytes: of one text frame, in and out. An SDP offer is 2 to 8 KiB.
        messages_per_second: of one connection, lasting.
        burst: of one connection, at once. A node that joins a mesh of 64 sends every peer about 15. Connections that
            follow each other from one address share it.
        excess: messages refused before the connection is closed; each one that is taken makes up for one refused.
        register_seconds: from connecting to the end of the registration.
        connections_per_address: at once; an IPv6 address counts with its /64.
        arrivals: new connections of one address, at once. Every join and leave of a room is one of these.
        arrivals_per_second: new connections of one address, lasting.
        connections: at once, in all.
        outbox_bytes: what may wait for one receiver that does not read.
        ping_seconds: of silence, before a connection is asked whether it lives, and again before it is given up.
        close_seconds: for a client's half of the closing handshake, and for its last bytes to leave.

    Raises:
        ConfigurationError: a limit is not positive, or frames are below 1 KiB or above 16 MiB, or above the
            outbox.
    """

    message_bytes: int = MESSAGE_BYTES
    messages_per_second: int = 50
    burst: int = 1000
    excess: int = 100
    register_seconds: float = 10
    connections_per_address: int = 64
    arrivals: int = 64
    arrivals_per_second: float = 10
    connections: int = 10_000
    outbox_bytes: int = 256 * 1024
    ping_seconds: float = 20
    close_seconds: float = 2

    def __post_init__(self) -> None:
        for field in fields(self):
            if not getattr(self, field.name) > 0:
                raise ConfigurationError(f"{field.name.replace('_', ' ')} must be more than 0")
        if not 1024 <= self.message_bytes <= 16 * 1024 * 1024:
            raise ConfigurationError("message bytes must be 1024 to 16777216")
        if self.outbox_bytes < self.message_bytes:
            raise ConfigurationError("outbox bytes must be at least message bytes, or no message could be sent")


@lru_cache(maxsize=1024)
def address_group(address: str) -> str:
    """Give what is counted as one address: an IPv4 address, or the /64 that one IPv6 customer is given."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if ip.version == 4:
        return str(ip)
    if ip.ipv4_mapped is not None:
        return str(ip.ipv4_mapped)
    return str(ipaddress.ip_network((int(ip), 64), strict=False))
