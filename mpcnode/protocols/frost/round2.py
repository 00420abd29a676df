"""Signing, round two: signature share generation (RFC 9591, section 5.2)."""

from mpcnode.crypto.group import Scalar
from mpcnode.crypto.polynomial import lagrange_coefficient
from mpcnode.protocols.frost.binding import Binding
from mpcnode.protocols.frost.packages import KeyPackage
from mpcnode.protocols.frost.round1 import SigningNonces
from mpcnode.protocols.frost.signing_packages import SignatureShare
from mpcnode.types import Identifier


def sign(binding: Binding, nonces: SigningNonces, key: KeyPackage) -> SignatureShare:
    """Answer a signing package with this signer's share (RFC 9591, section 5.2, sign).

    The nonces are used up in every case: not even a refused package can be answered twice with them.

    Args:
        binding: the package everybody agreed on, bound to the key.
        nonces: those committed to in it.
        key: this signer's.

    Raises:
        ValueError: the nonces were used before; the package lacks our commitments or has others in their place, is
            for another key or suite, or has fewer than t signers. A mistake of the caller, or somebody's lie that the
            caller should have found.
    """
    d_i, e_i = nonces.take()
    try:
        _check(binding, nonces, key)
        weight = share_weight(binding, key.identifier)
        # The share: sig_share = hiding_nonce + binding_nonce * binding_factor + lambda_i * sk_i * challenge.
        nonce = d_i + e_i * binding.factors[key.identifier]
        z_i: Scalar = (-nonce if binding.negate_commitment else nonce) + weight * key.signing_share
        return SignatureShare(key.suite, z_i)
    finally:
        d_i.wipe()
        e_i.wipe()


def share_weight(binding: Binding, i: Identifier) -> Scalar:
    """Give what signer ``i``'s signing share counts: lambda_i c, negated where the key is.

    Raises:
        ValueError: ``i`` does not sign.
    """
    lambda_i = lagrange_coefficient(binding.suite.group, i, list(binding.package.commitments))
    weight: Scalar = lambda_i * binding.challenge
    return -weight if binding.negate_key else weight


def _check(binding: Binding, nonces: SigningNonces, key: KeyPackage) -> None:
    commitments = binding.package.commitments
    if binding.suite is not key.suite or binding.group_public_key != key.group_public_key:
        raise ValueError("the signing package is for another key")
    if commitments.get(key.identifier) != nonces.commitments:
        raise ValueError("the signing package does not have the commitments of these nonces")
    if len(commitments) < key.threshold:
        raise ValueError(f"{len(commitments)} signers do not reach a threshold of {key.threshold}")
