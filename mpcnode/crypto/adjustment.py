"""Public changes of a shared key that a signature is made under: for now the tweak of BIP-341 (PROTOCOL, Signing)."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final, Generic, TypeAlias

from mpcnode.crypto.group import E, Group, S
from mpcnode.crypto.suites import SUITES, Suite
from mpcnode.types import SuiteId

MERKLE_ROOT_SIZE: Final = 32


@dataclass(frozen=True, slots=True)
class TaprootTweak:
    """Commit the output key to a script tree, or to an unspendable script path (BIP-341).

    Args:
        merkle_root: the root of the script tree, 32 bytes; empty for no script tree.

    Raises:
        ValueError: a root is of another length.
    """

    merkle_root: bytes = b""

    def __post_init__(self) -> None:
        if len(self.merkle_root) not in {0, MERKLE_ROOT_SIZE}:
            raise ValueError(f"a merkle root is {MERKLE_ROOT_SIZE} bytes, or empty for no script tree")


Adjustment: TypeAlias = TaprootTweak


class KeyAdjustment(Generic[S, E]):
    """A linear change of a shared key: negate it, then add a public tweak; each share changes like the key.

    Args:
        group: whose scalars and elements.
        group_key: the group public key before.
        negate: whether everything is negated first.
        tweak: what is added then; None adds nothing.
    """

    def __init__(self, group: Group[S, E], group_key: E, *, negate: bool, tweak: S | None) -> None:
        self._negate = negate
        self._tweak = tweak
        self._tweak_point = None if tweak is None else group.scalar_base_mult(tweak)
        self.group_key = self.element(group_key)

    def element(self, element: E) -> E:
        """Change the group public key or a verifying share."""
        element = -element if self._negate else element
        return element if self._tweak_point is None else element + self._tweak_point

    def scalar(self, share: S) -> S:
        """Change a signing share; the result is a new scalar, so the one given can be wiped."""
        share = -share if self._negate else share.copy()
        if self._tweak is None:
            return share
        changed = share + self._tweak
        share.wipe()
        return changed


def check_adjustments(suite: Suite, adjustments: Sequence[Adjustment]) -> None:
    """Check that signatures of ``suite`` can be made under such a key: Taproot always has one tweak, at the end.

    Without a tweak a dishonest participant could have hidden a script path in the key that it can spend alone.

    Raises:
        ValueError: saying what the suite asks for.
    """
    if suite.scheme.tweaked and len(adjustments) != 1:
        raise ValueError(f"a signature of {suite.id} takes exactly one Taproot tweak")
    if not suite.scheme.tweaked and adjustments:
        raise ValueError(f"{suite.id} has no Taproot tweak")


def default_adjustments(suite: SuiteId) -> tuple[Adjustment, ...]:
    """Give the adjustments of a wallet's own key: for Taproot the tweak without a script tree, for others none."""
    return (TaprootTweak(),) if SUITES[suite].scheme.tweaked else ()


def adjust(suite: Suite, group_key: Any, adjustments: Sequence[Adjustment]) -> KeyAdjustment[Any, Any]:  # noqa: ANN401 (an element of the suite's group)
    """Say how a key changes under ``adjustments``.

    BIP-341: Q = P + int(hashTapTweak(bytes(P) || merkle_root)) G, where P is taken with even y.

    Args:
        suite: the key's.
        group_key: the group public key as it is stored, P.
        adjustments: in order.

    Raises:
        ValueError: the suite does not take them.
    """
    check_adjustments(suite, adjustments)
    adjustment: KeyAdjustment[Any, Any] = KeyAdjustment(suite.group, group_key, negate=False, tweak=None)
    for taproot in adjustments:
        parity, x = group_key.encode()[0], group_key.encode()[1:]
        tweak = suite.group.scalar(int.from_bytes(_tap_tweak(x + taproot.merkle_root), "big"))
        adjustment = KeyAdjustment(suite.group, group_key, negate=parity == 3, tweak=tweak)
    return adjustment


def adjusted_key(suite: SuiteId, group_public_key: bytes, adjustments: Sequence[Adjustment]) -> bytes:
    """Give the encoded key that signatures verify under: what an address is made of.

    Args:
        suite: the key's.
        group_public_key: as it is stored, encoded.
        adjustments: in order.

    Raises:
        ValueError: the key is not one of the suite, or the suite does not take these adjustments.
    """
    group = SUITES[suite].group
    encoded: bytes = adjust(SUITES[suite], group.decode_element(group_public_key), adjustments).group_key.encode()
    return encoded


def _tap_tweak(m: bytes) -> bytes:
    prefix = sha256(b"TapTweak").digest()
    return sha256(prefix + prefix + m).digest()
