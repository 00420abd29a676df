"""What a wallet may hold: under each suite id a curve and a signature scheme.

Which protocol makes the keys of a suite is another question, which ``mpcnode.protocols.registry`` answers.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from mpcnode.crypto.ed25519 import ED25519
from mpcnode.crypto.group import Group
from mpcnode.crypto.schemes import BIP340_SIGNATURES, ED25519_SIGNATURES, SECP256K1_SIGNATURES, Scheme
from mpcnode.crypto.secp256k1 import SECP256K1
from mpcnode.types import SuiteId


@dataclass(frozen=True, slots=True)
class Suite:
    """A curve and a signature scheme.

    Args:
        id: what the suite is called, in wallets and on the wire.
        group: the curve its keys lie on.
        scheme: what its signatures are.
    """

    id: SuiteId
    group: Group[Any, Any]
    scheme: Scheme

    def __repr__(self) -> str:
        return f"<suite {self.id}>"


SUITES: Final[Mapping[SuiteId, Suite]] = MappingProxyType(
    {
        suite.id: suite
        for suite in (
            Suite(SuiteId("FROST-ED25519-SHA512-v1"), ED25519, ED25519_SIGNATURES),
            Suite(SuiteId("FROST-secp256k1-SHA256-TR-v1"), SECP256K1, BIP340_SIGNATURES),
            Suite(SuiteId("FROST-secp256k1-SHA256-v1"), SECP256K1, SECP256K1_SIGNATURES),
        )
    }
)

DEFAULT_SUITES: Final[tuple[SuiteId, ...]] = tuple(SUITES)[:2]
"""What a wallet gets where nobody says otherwise: Solana and its kind, and Bitcoin Taproot."""


def verify(suite: SuiteId, public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Say whether ``signature`` is valid for ``message`` under ``public_key``.

    Everything may come from anybody: what is malformed is an answer of ``False`` and never an exception.

    Args:
        suite: whose signatures these are.
        public_key: 32 bytes for Ed25519; 33 for secp256k1, for Taproot also the 32 of the x coordinate.
        message: what was signed, any bytes.
        signature: 64 bytes; for plain secp256k1 65.

    Raises:
        ValueError: the suite is not known; a mistake of the caller.
    """
    if suite not in SUITES:
        raise ValueError("no such suite")
    return SUITES[suite].scheme.verify(public_key, message, signature)
