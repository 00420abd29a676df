"""Where a wallet can be paid: addresses made from its keys. Pure.

A key gives an address only on chains whose signatures its ciphersuite makes.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final

from mpcnode.types import SuiteId
from mpcnode.wallet.public_keys import verification_key
from mpcnode.wallet.wallet import Wallet

ED25519: Final = SuiteId("FROST-ED25519-SHA512-v1")
TAPROOT: Final = SuiteId("FROST-secp256k1-SHA256-TR-v1")

WHY_NO_ETHEREUM: Final = (
    "this wallet has no Ethereum address: Ethereum verifies ECDSA signatures, and these keys make Ed25519 and BIP-340 "
    "Schnorr signatures; an address made from them could be paid and never spent from"
)

_BASE58: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_BECH32: Final = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_BECH32M: Final = 0x2BC830A3  # BIP-350
_BECH32_GENERATOR: Final = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)  # BIP-173


class BitcoinNetwork(Enum):
    """A Bitcoin network, by the human-readable part of its addresses (BIP-173)."""

    MAINNET = "bc"
    TESTNET = "tb"
    SIGNET = "tb"  # noqa: PIE796 - signet shares testnet's addresses; the alias lets a user say what they mean
    REGTEST = "bcrt"


@dataclass(frozen=True, slots=True)
class Address:
    """One address of a wallet: the chain, in lower case, and the text to pay to."""

    chain: str
    text: str


def wallet_addresses(wallet: Wallet, network: BitcoinNetwork = BitcoinNetwork.MAINNET) -> tuple[Address, ...]:
    """Give every address a wallet has.

    Args:
        wallet: as loaded with its passphrase; do not pay to what a header says that was not authenticated.
        network: which Bitcoin the Taproot address is for; a wallet has no other network-specific addresses.

    Raises:
        WalletPending: no address is shown before every participant is known to hold its share.
    """
    wallet.require_active()
    found = []
    for keys in wallet.suites:
        if keys.suite == ED25519:
            found.append(Address("solana", solana_address(keys.group_public_key)))
        elif keys.suite == TAPROOT:
            found.append(Address("bitcoin", taproot_address(keys.group_public_key, network)))
    return tuple(found)


def solana_address(group_public_key: bytes) -> str:
    """Give the Solana address of an Ed25519 group public key: its 32 bytes in base 58.

    Raises:
        DecodeError: not an element of the group.
    """
    return _base58(verification_key(ED25519, group_public_key))


def taproot_address(group_public_key: bytes, network: BitcoinNetwork) -> str:
    """Give the Pay-to-Taproot address of a Taproot group public key (BIP-341, BIP-350).

    The key becomes the internal key of an output without a script tree: its address holds the x coordinate of the
    tweaked key.

    Args:
        group_public_key: as the wallet stores it, 33 bytes.
        network: which network the address is for.

    Raises:
        DecodeError: not an element of the group.
    """
    return segwit_address(network.value, 1, verification_key(TAPROOT, group_public_key)[1:])


def segwit_address(hrp: str, version: int, program: bytes) -> str:
    """Encode a witness program of version 1 or later (BIP-350).

    Args:
        hrp: the network's human-readable part, in lower case.
        version: the witness version, 1 to 16; version 0 has another checksum and is not written here.
        program: 2 to 40 bytes; exactly 32 for version 1.

    Raises:
        ValueError: out of these bounds; a mistake of the caller.
    """
    if not 1 <= version <= 16 or not 2 <= len(program) <= 40 or (version == 1 and len(program) != 32):
        raise ValueError("not a witness program of version 1 to 16")
    data = [version, *_five_bits(program)]
    expanded = [ord(c) >> 5 for c in hrp] + [0] + [ord(c) & 31 for c in hrp]
    polymod = _bech32_polymod([*expanded, *data, 0, 0, 0, 0, 0, 0]) ^ _BECH32M
    checksum = [(polymod >> 5 * (5 - i)) & 31 for i in range(6)]
    return hrp + "1" + "".join(_BECH32[value] for value in (*data, *checksum))


def _base58(data: bytes) -> str:
    number = int.from_bytes(data, "big")
    digits = ""
    while number:
        number, digit = divmod(number, 58)
        digits = _BASE58[digit] + digits
    leading_zeros = len(data) - len(data.lstrip(b"\x00"))
    return _BASE58[0] * leading_zeros + digits


def _five_bits(data: bytes) -> list[int]:
    """Regroup bytes into groups of five bits, most significant first, the last one padded with zeros (BIP-173)."""
    groups = -(-len(data) * 8 // 5)
    number = int.from_bytes(data, "big") << (groups * 5 - len(data) * 8)
    return [(number >> 5 * i) & 31 for i in reversed(range(groups))]


def _bech32_polymod(values: list[int]) -> int:
    checksum = 1
    for value in values:
        top = checksum >> 25
        checksum = (checksum & 0x1FFFFFF) << 5 ^ value
        for i, generator in enumerate(_BECH32_GENERATOR):
            checksum ^= generator if (top >> i) & 1 else 0
    return checksum
