"""A run's own look at signatures, with libraries that are not ours and no line of what the nodes verify with."""

from collections.abc import Mapping
from typing import Final

from btclib_secp256k1 import ssa
from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

from mpcnode import status
from mpcnode.crypto.ciphersuite import DEFAULT_SUITES
from mpcnode.scenario.endings import NotAsWritten
from mpcnode.types import SuiteId

SUITES: Final[Mapping[str, SuiteId]] = dict(zip(("ed25519", "taproot"), DEFAULT_SUITES, strict=True))
"""The ciphersuites of a run's wallets, as a scenario calls them."""

_LIBRARIES: Final[Mapping[str, str]] = {SUITES["ed25519"]: "PyNaCl", SUITES["taproot"]: "libsecp256k1"}


def check_signatures(view: status.SignatureView) -> str:
    """Verify every signature for its message and the public key; say with which library.

    Raises:
        NotAsWritten: one is not valid, or there is not one for each message.
    """
    if len(view.signatures) != len(view.messages):
        raise NotAsWritten(f"there are {len(view.signatures)} signatures for {len(view.messages)} messages")
    for number, (message, signature) in enumerate(zip(view.messages, view.signatures, strict=True), 1):
        if not _is_valid(view.suite, view.public_key, message, signature):
            raise NotAsWritten(f"{_LIBRARIES[view.suite]} finds signature {number} of {len(view.messages)} invalid")
    return _LIBRARIES[view.suite]


def _is_valid(suite: str, *hexadecimal: str) -> bool:
    try:
        key, message, signature = map(bytes.fromhex, hexadecimal)
        if suite == SUITES["ed25519"]:
            VerifyKey(key).verify(message, signature)
            return True
        return len(signature) == 64 and ssa.verify(message, key, signature)
    except (BadSignatureError, ValueError):
        return False
