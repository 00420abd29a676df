"""Signing, the end: signature share aggregation (RFC 9591, section 5.3)."""

from collections.abc import Mapping
from typing import Any

from mpcnode.crypto.ciphersuite import Signature
from mpcnode.crypto.group import Element
from mpcnode.protocols.frost.binding import Binding
from mpcnode.protocols.frost.round2 import share_weight
from mpcnode.protocols.frost.signing_packages import SignatureShare
from mpcnode.types import Identifier


def aggregate(binding: Binding, shares: Mapping[Identifier, SignatureShare]) -> Signature[Any, Any]:
    """Add the shares up to a signature, which may be invalid (RFC 9591, section 5.3, aggregate).

    Args:
        binding: the package the shares answer.
        shares: from exactly its signers, by identifier.

    Raises:
        ValueError: a share is missing, or a stranger's is there.
    """
    if shares.keys() != binding.package.commitments.keys():
        raise ValueError("a signature takes the share of every signer, and nobody else's")
    # The signature is (group_commitment, z), where z is the sum of all z_i.
    z = binding.suite.group.sum_scalars(share.share for share in shares.values())
    return Signature(binding.R, z)


def verify_signature_share(binding: Binding, i: Identifier, share: SignatureShare, verifying_share: Element) -> bool:
    """Say whether a share is what signer ``i`` should have sent (RFC 9591, section 5.3, verify_signature_share).

    Where the aggregate verifies nobody needs to ask; where it does not, this names who spoilt it.

    Args:
        binding: the package the share answers.
        i: whose share it is; the channel says so, not the share.
        share: z_i.
        verifying_share: PK_i, from key generation.

    Raises:
        ValueError: ``i`` does not sign.
    """
    commitments = binding.package.commitments.get(i)
    if commitments is None:
        raise ValueError("the identifier is not among the signers")
    # The commitment share: comm_share = hiding_nonce_commitment + binding_nonce_commitment * binding_factor.
    comm_share: Element = commitments.hiding + binding.factors[i] * commitments.binding
    comm_share = -comm_share if binding.negate_commitment else comm_share
    # Valid if and only if G.ScalarBaseMult(sig_share_i) = comm_share + PK_i * (challenge * lambda_i).
    expected = comm_share + share_weight(binding, i) * verifying_share
    return bool(binding.suite.group.scalar_base_mult(share.share) == expected)
