"""Which addresses of this machine a link offers: the few that matter; a machine can have twenty.

``loopback`` is for nodes that share a machine, as in a scenario. ``auto`` is for all others: the addresses this machine
sends from, then a few others of its own; the loopback where it has none.
"""

import ipaddress
import socket
from collections.abc import Iterable
from typing import Final, Literal

AddressPolicy = Literal["loopback", "auto"]

LOOPBACK: Final = "127.0.0.1"
MAX_ADDRESSES: Final = 4
"""One address more costs a socket, and a check for each address of the other side."""

_SOMEWHERE: Final = ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1"))
"""Addresses of no machine (RFC 5737, 3849). Nothing is sent there; the system says what it would send from."""


def choose(policy: AddressPolicy, *, default: Iterable[str], others: Iterable[str]) -> list[str]:
    """Choose what to offer, best first.

    Args:
        policy: what the user wants.
        default: the addresses the ways out start from.
        others: every address of this machine.
    """
    if policy == "loopback":
        return [LOOPBACK]
    chosen: list[str] = []
    for address in [*default, *sorted(others, key=_rank)]:
        if address not in chosen and _usable(address):
            chosen.append(address)
    return chosen[:MAX_ADDRESSES] or [LOOPBACK]


def default_addresses() -> list[str]:
    """Ask the system which addresses it would send from; sends nothing."""
    found = []
    for family, somewhere in _SOMEWHERE:
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.connect((somewhere, 9))
                found.append(str(probe.getsockname()[0]))
        except OSError:
            continue  # no way out in this family
    return found


def _usable(text: str) -> bool:
    address = ipaddress.ip_address(text)
    return not (address.is_loopback or address.is_link_local or address.is_multicast or address.is_unspecified)


def _rank(text: str) -> tuple[int, int, str]:
    """Order IPv4 before IPv6, global before private: what is reachable from furthest away."""
    address = ipaddress.ip_address(text)
    return (address.version, 0 if address.is_global else 1, text)
