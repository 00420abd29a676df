"""What is taken from the linked libsodium on trust, tried once at the start of a node.

Old versions accept Ed25519 points outside the prime-order subgroup. With one of them a dishonest dealer makes a wallet
that signs only sometimes; so a library that accepts one is refused. Its version number does not settle it: the system's
own library may be linked in place of the one that PyNaCl brings.
"""

from typing import Any, Final

from nacl import _sodium

from mpcnode.crypto.ed25519 import ED25519
from mpcnode.errors import ConfigurationError, DecodeError

ffi: Final[Any] = _sodium.ffi
lib: Final[Any] = _sodium.lib

GENERATOR: Final = "58" + "66" * 31

NOT_ELEMENTS: Final = {
    "B + T2": "95" + "99" * 31,
    "B + T4": "9bad33f580df7ecc49df5342bac8145d5bedc40f573d1b067f3c4ce449689a15",
    "B - T4": "5252cc0a7f208133b620acbd4537eba2a4123bf0a8c2e4f980c3b31bb69765ea",
    "B + T8": "98519eadf35b995233b51b5cd23e9cc5a28b639b5a4af0ec903cb960d81b7819",
    "B + 3 T8": "da99e28ba529cdde35a25fba9059e78ecaee239f99755b9b1aa4f65df00803e2",
    "B - 3 T8": "55ae61520ca466adcc4ae4a32dc1633a5d749c64a5b50f136fc3469f27e487e6",
    "B - T8": "13661d745ad63221ca5da0456fa618713511dc60668aa464e55b09a20ff7fc1d",
    "the identity": "01" + "00" * 31,
    "T2": "ec" + "ff" * 30 + "7f",
    "T4": "00" * 31 + "80",
    "-T4": "00" * 32,
    "T8": "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "3 T8": "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "-3 T8": "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "-T8": "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    "the identity, x written as -0": "01" + "00" * 30 + "80",
    "T2, x written as -0": "ec" + "ff" * 31,
    "-T4, y written as p": "ed" + "ff" * 30 + "7f",
    "T4, y written as p": "ed" + "ff" * 31,
    "the identity, y written as p + 1": "ee" + "ff" * 30 + "7f",
    "a point whose y = 3, written as p + 3": "f0" + "ff" * 30 + "7f",
    "a point whose y = 9, written as p + 9": "f6" + "ff" * 30 + "7f",
}
"""Encodings that are not elements of the group, by what they are; Tn is a point of order n, B the generator."""


def check_libraries() -> None:
    """Check that only elements of the prime-order subgroup are taken; called once, before a node does anything.

    Raises:
        ConfigurationError: the linked libsodium takes something else, or does not take the generator.
    """
    if not (_decodes(GENERATOR) and _maps_to_x25519(GENERATOR)):
        raise _unusable("does not know the generator of Ed25519")
    for name, encoding in NOT_ELEMENTS.items():
        if _decodes(encoding) or _maps_to_x25519(encoding):
            raise _unusable(f"takes {name} for an element of Ed25519's group")


def _decodes(encoding: str) -> bool:
    try:
        ED25519.decode_element(bytes.fromhex(encoding))
    except DecodeError:
        return False
    return True


def _maps_to_x25519(encoding: str) -> bool:
    out = ffi.new("unsigned char[32]")
    return bool(lib.crypto_sign_ed25519_pk_to_curve25519(out, bytes.fromhex(encoding)) == 0)


def _unusable(what: str) -> ConfigurationError:
    return ConfigurationError(
        f"the linked libsodium {what}: keys made with it may be of no use",
        hint="install PyNaCl 1.6.2 or newer with the libsodium it brings",
    )
