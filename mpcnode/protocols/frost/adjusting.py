"""Keys under the adjustments a signature is made with: the same shares, for another key (PROTOCOL, Signing)."""

from collections.abc import Sequence

from mpcnode.crypto.adjustment import Adjustment, adjust
from mpcnode.crypto.suites import SUITES
from mpcnode.protocols.frost.packages import KeyPackage, PublicKeyPackage


def adjust_key(key: KeyPackage, adjustments: Sequence[Adjustment]) -> KeyPackage:
    """Give a signer's key after its adjustments; its signing share is new, and the caller's to wipe.

    Args:
        key: the wallet's, as it is stored.
        adjustments: in order; for Taproot exactly one tweak, for other suites none.

    Raises:
        ValueError: the suite does not take them.
    """
    adjustment = adjust(SUITES[key.suite.id], key.group_public_key, adjustments)
    return KeyPackage(
        key.suite,
        key.identifier,
        adjustment.scalar(key.signing_share),
        adjustment.element(key.verifying_share),
        adjustment.group_key,
        key.threshold,
    )


def adjust_public(public: PublicKeyPackage, adjustments: Sequence[Adjustment]) -> PublicKeyPackage:
    """Give everybody's verifying shares after the adjustments; arguments and errors as for ``adjust_key``."""
    adjustment = adjust(SUITES[public.suite.id], public.group_public_key, adjustments)
    shares = {i: adjustment.element(share) for i, share in public.verifying_shares.items()}
    return PublicKeyPackage(public.suite, shares, adjustment.group_key, public.threshold)
