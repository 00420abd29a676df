"""Keys under an additional BIP-341 tweak: the same shares, for the output key of a script tree."""

from mpcnode.protocols.frost.packages import KeyPackage, PublicKeyPackage


def tweak_key(key: KeyPackage, merkle_root: bytes) -> KeyPackage:
    """Give a signer's key for the tweaked output key; its signing share is new, and the caller's to wipe.

    Args:
        key: the wallet's, whose group public key becomes the internal key.
        merkle_root: of the script tree, 32 bytes, or none to commit to an unspendable script path.

    Raises:
        ValueError: the suite has no such tweak, or the root is of another length.
    """
    adjustment = key.suite.tweak_key(key.group_public_key, merkle_root)
    return KeyPackage(
        key.suite,
        key.identifier,
        adjustment.scalar(key.signing_share),
        adjustment.element(key.verifying_share),
        adjustment.group_key,
        key.threshold,
    )


def tweak_public(public: PublicKeyPackage, merkle_root: bytes) -> PublicKeyPackage:
    """Give everybody's verifying shares for the tweaked output key; arguments and errors as for ``tweak_key``."""
    adjustment = public.suite.tweak_key(public.group_public_key, merkle_root)
    shares = {i: adjustment.element(share) for i, share in public.verifying_shares.items()}
    return PublicKeyPackage(public.suite, shares, adjustment.group_key, public.threshold)
