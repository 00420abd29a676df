"""What a signing package determines for all its signers (RFC 9591, sections 4.3 to 4.6).

RFC 9591 has every signer and the coordinator compute it; here a signer is both, and computes it once.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from mpcnode.crypto.ciphersuite import AnyCiphersuite
from mpcnode.crypto.group import Element, Scalar
from mpcnode.protocols.frost.round1 import SigningNonces
from mpcnode.protocols.frost.signing_packages import SigningPackage
from mpcnode.protocols.rounds import Fault
from mpcnode.types import Identifier


@dataclass(frozen=True, slots=True)
class Binding:
    """A signing package bound to a key: public, and the same at every signer.

    Where the suite's signatures have the negative of the key or of the group commitment in its place (BIP-340), the
    signers negate what they hold of it; everything is linear, so each can do so alone.

    Args:
        package: who signs what with which commitments.
        group_public_key: the key that is signed for, as the signers hold it.
        factors: rho_i by identifier.
        R: the group commitment as the signature has it.
        negate_commitment: whether the sum of the commitments is its negative.
        challenge: c.
        negate_key: whether the signature is one of the negative key.
    """

    package: SigningPackage
    group_public_key: Element
    factors: Mapping[Identifier, Scalar]
    R: Element
    negate_commitment: bool
    challenge: Scalar
    negate_key: bool

    @property
    def suite(self) -> AnyCiphersuite:
        """The package's ciphersuite."""
        return self.package.suite


def bind(package: SigningPackage, group_public_key: Element, *, own: SigningNonces | None = None) -> Binding:
    """Compute binding factors, group commitment and challenge.

    Args:
        package: decoded, so no commitment is the identity.
        group_public_key: the key that is signed for.
        own: the nonces of a signer, which save it work where the package has their very commitments.

    Raises:
        Fault: the commitments add up to the identity, which takes all signers together.
    """
    suite = package.suite
    negate_key = suite.negates(group_public_key)
    key = -group_public_key if negate_key else group_public_key
    factors = compute_binding_factors(package, key)
    R = compute_group_commitment(package, factors, own=own)
    if R.is_identity:
        raise Fault("the signers' commitments cancel each other")
    negate_commitment = suite.negates(R)
    R = -R if negate_commitment else R
    return Binding(
        package, group_public_key, factors, R, negate_commitment, suite.challenge(R, key, package.message), negate_key
    )


def encode_group_commitment_list(package: SigningPackage) -> bytes:
    """Give the commitments' bytes for hashing (RFC 9591, section 4.3): by ascending identifier."""
    return b"".join(
        package.suite.encode_identifier(i) + commitments.hiding.encode() + commitments.binding.encode()
        for i, commitments in package.commitments.items()
    )


def binding_factor_inputs(package: SigningPackage, group_public_key: Element) -> Mapping[Identifier, bytes]:
    """Give what each binding factor is the hash of (RFC 9591, section 4.4)."""
    suite = package.suite
    # The prefix is group_public_key_enc || H4(msg) || H5(encode_group_commitment_list(commitment_list)).
    prefix = group_public_key.encode() + suite.H4(package.message) + suite.H5(encode_group_commitment_list(package))
    return {i: prefix + suite.encode_identifier(i) for i in package.commitments}


def compute_binding_factors(package: SigningPackage, group_public_key: Element) -> Mapping[Identifier, Scalar]:
    """Bind each signer's contribution to message, key and all commitments (RFC 9591, section 4.4)."""
    return {i: package.suite.H1(rho_input) for i, rho_input in binding_factor_inputs(package, group_public_key).items()}


def compute_group_commitment(
    package: SigningPackage, factors: Mapping[Identifier, Scalar], *, own: SigningNonces | None = None
) -> Element:
    """Add up the signers' commitments (RFC 9591, section 4.5): the sum of D_i + rho_i E_i; ``own`` as for ``bind``."""
    terms: list[Element] = []
    for i, commitments in package.commitments.items():
        if own is not None and commitments is own.commitments:
            terms.append(own.commitment_share(factors[i]))
        else:
            terms += [commitments.hiding, factors[i] * commitments.binding]
    total: Element = package.suite.group.sum(terms)
    return total
