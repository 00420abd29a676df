"""Which addresses of this machine a link offers: the few that can matter; a machine can have twenty.

``loopback`` is for nodes that share a machine, as in a scenario. ``auto`` is for all others. What counts is what an
address reaches, and never how it is written: first comes where the connection to the signaling server starts, then
what reaches the peer, then what the ways out start from, then other interfaces, and bridges inside the machine last.
"""

import ipaddress
import socket
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import ifaddr

AddressPolicy = Literal["loopback", "auto"]

LOOPBACK: Final = "127.0.0.1"
MAX_ADDRESSES: Final = 6
"""One address more costs a socket, and a check for each address of the other side."""

_SOMEWHERE: Final = ("192.0.2.1", "2001:db8::1")
"""Addresses of no machine (RFC 5737, 3849). Nothing is sent there; the system says what it would send from."""
_INTERFACES: Final = Path("/sys/class/net")


@dataclass(frozen=True, slots=True)
class Own:
    """One address of this machine.

    Args:
        text: the address.
        interface: what it is on.
        inner: whether that is a bridge to containers or virtual machines of this machine, with no way out of it.
    """

    text: str
    interface: str = ""
    inner: bool = False


@dataclass(frozen=True, slots=True)
class Choice:
    """What is offered, best first, and what could have been."""

    offered: tuple[str, ...]
    left_out: tuple[str, ...] = ()


def choose(
    policy: AddressPolicy,
    *,
    signaling: str | None = None,
    reaching: Iterable[str] = (),
    default: Iterable[str] = (),
    others: Collection[Own] = (),
    named: Collection[str] = (),
) -> Choice:
    """Choose what to offer.

    Args:
        policy: what the user wants.
        signaling: where the connection to the signaling server starts.
        reaching: where ways to addresses of the peer start.
        default: where the ways out start.
        others: every address of this machine.
        named: the addresses that the user named; no others are offered.
    """
    if policy == "loopback":
        return Choice((LOOPBACK,))
    here = {own.text: own for own in others}
    if named:
        return Choice(tuple(text for text in named if text in here or _is_loopback(text)))
    # A way to an address of the peer that starts on an inner bridge leads to a machine inside this one.
    reaching = sorted(reaching, key=lambda text: text in here and here[text].inner)
    first = [signaling] if signaling is not None else []
    wanted = dict.fromkeys([*first, *reaching, *default, *_in_turns(others)])
    usable = [text for text in wanted if is_offerable(text)]
    return Choice(tuple(usable[:MAX_ADDRESSES]) or (LOOPBACK,), tuple(usable[MAX_ADDRESSES:]))


def default_addresses() -> list[str]:
    """Ask the system which addresses it would send from; sends nothing."""
    return sources_towards(_SOMEWHERE)


def sources_towards(hosts: Iterable[str]) -> list[str]:
    """Ask the system which addresses it would send from to reach each of ``hosts``; sends nothing.

    Args:
        hosts: addresses, and no names.
    """
    found: dict[str, None] = {}
    for host in hosts:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.connect((host, 9))
                source = str(probe.getsockname()[0])
        except OSError:
            continue  # no way there
        if source != host:  # the peer has an address that this machine has as well
            found[source] = None
    return list(found)


def machine_addresses() -> list[Own]:
    """Give every address of this machine that a socket can be bound to, in the system's order of interfaces."""
    found = []
    for adapter in ifaddr.get_adapters():
        inner = _is_inner(adapter.nice_name)
        for ip in adapter.ips:
            if isinstance(ip.ip, str):
                found.append(Own(ip.ip, adapter.nice_name, inner))
            elif not ip.ip[2]:  # a scope: it would have to be named with the address
                found.append(Own(ip.ip[0], adapter.nice_name, inner))
    return found


def _is_inner(interface: str) -> bool:
    """Whether an interface is a bridge without any device; a bridge with one is how some machines reach their LAN."""
    place = _INTERFACES / interface
    try:
        if not (place / "bridge").is_dir():
            return False
        return not any((_INTERFACES / port.name / "device").exists() for port in (place / "brif").iterdir())
    except OSError:
        return False


def _in_turns(others: Iterable[Own]) -> list[str]:
    """Give one address of each family of each interface, then the second ones; inner bridges after all others."""
    turns: dict[tuple[str, bool], int] = {}
    ranked = []
    for place, own in enumerate(others):
        family = (own.interface, ":" in own.text)
        turns[family] = turns.get(family, 0) + 1
        ranked.append((own.inner, turns[family], place, own.text))
    return [text for _, _, _, text in sorted(ranked)]


def is_offerable(text: str) -> bool:
    """Whether an address can mean this machine to another one."""
    address = ipaddress.ip_address(text)
    return not (address.is_loopback or address.is_link_local or address.is_multicast or address.is_unspecified)


def _is_loopback(text: str) -> bool:
    return ipaddress.ip_address(text).is_loopback
