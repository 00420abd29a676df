"""``--address``: which addresses of this machine a node offers to its peers."""

import ipaddress
from collections.abc import Collection

from mpcnode.errors import ConfigurationError, UsageError
from mpcnode.mesh.addresses import MAX_ADDRESSES, is_offerable, machine_addresses


def offered(given: Collection[str]) -> tuple[str, ...]:
    """Take what ``--address`` said, each address in its one spelling.

    Raises:
        UsageError: one is not an address that a peer can dial, is named twice, or there are too many.
    """
    found = tuple(map(_address, given))
    twice = next((one for one in found if found.count(one) > 1), None)
    if twice is not None:
        raise UsageError(f"{twice} is named twice", hint="name it once with --address")
    if len(found) > MAX_ADDRESSES:
        raise UsageError(f"{len(found)} addresses are named", hint=f"--address takes at most {MAX_ADDRESSES}")
    return found


def check_are_here(addresses: Collection[str]) -> None:
    """Check that a link can start at each of them.

    Raises:
        ConfigurationError: one of them is not an address of this machine now.
    """
    here = {own.text for own in machine_addresses()}
    for address in addresses:
        if address not in here and not ipaddress.ip_address(address).is_loopback:
            known = ", ".join(sorted(text for text in here if is_offerable(text))[:MAX_ADDRESSES])
            raise ConfigurationError(
                f"{address} is not an address of this machine",
                hint=f"it has {known}" if known else "it has no address but the loopback: connect it to a network",
            )


def _address(text: str) -> str:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        hint = "--address is like 192.168.1.7 or 2001:db8::7, without name, port or mask"
        raise UsageError(f"{text[:80]!a} is not an IP address", hint=hint) from None
    if "%" in text or not (is_offerable(str(address)) or address.is_loopback):
        hint = "name one that has a meaning on other machines; `ip address` shows them"
        raise UsageError(f"{text[:80]!a} is not an address that a peer can dial", hint=hint)
    return str(address)
