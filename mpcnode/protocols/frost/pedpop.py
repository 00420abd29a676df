"""The steps of FROST key generation, PedPop (Komlo and Goldberg 2020, figure 1), as the Zcash Foundation has them.

Pure functions, one for each thing a participant computes. ``keygen`` puts them in order; a benchmark may time them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from mpcnode.crypto import vss
from mpcnode.crypto.ciphersuite import AnyCiphersuite, Signature
from mpcnode.crypto.group import Element, Rng, Scalar
from mpcnode.crypto.polynomial import Polynomial
from mpcnode.protocols.frost.packages import KeyPackage, PublicKeyPackage, Round1Package
from mpcnode.protocols.rounds import Fault
from mpcnode.types import Identifier


@dataclass(frozen=True, slots=True)
class KeyShare:
    """What one participant has of a suite's key when key generation is done."""

    key: KeyPackage
    public: PublicKeyPackage

    def wipe(self) -> None:
        """Overwrite the signing share."""
        self.key.wipe()


def commit(
    suite: AnyCiphersuite, me: Identifier, threshold: int, rng: Rng
) -> tuple[Polynomial[Any, Any], Round1Package]:
    """Draw a secret polynomial; commit to it and prove knowledge of its constant term (figure 1, round 1, 1 to 3).

    Args:
        suite: the ciphersuite.
        me: this participant.
        threshold: t, how many coefficients.
        rng: fresh randomness.
    """
    # Every participant P_i samples t random values (a_i0, ..., a_i(t-1)).
    f_i = Polynomial.random(suite.group, threshold, rng)
    # ... computes a public commitment <phi_i0, ..., phi_i(t-1)>, where phi_ij = g^a_ij.
    commitment = f_i.commit()
    # ... computes a proof of knowledge sigma_i = (R_i, mu_i) to a_i0: R_i = g^k, mu_i = k + a_i0 c_i.
    k, R_i = suite.random_nonce(rng)
    c_i = _challenge(suite, me, commitment[0], R_i)
    mu_i = k + f_i.constant_term * c_i
    # A second proof with the same k would give the secret away.
    k.wipe()
    return f_i, Round1Package(suite, commitment, Signature(R_i, mu_i))


def verify_proof_of_knowledge(l: Identifier, package: Round1Package) -> bool:  # noqa: E741 (the paper's letter)
    """Say whether P_l knows the secret it committed to (figure 1, round 1, 5).

    Without the proof a participant could choose its commitment so that it cancels everybody else's.

    Args:
        l: whose package it is; the channel says so, not the package.
        package: decoded, so no element is the identity.
    """
    suite, proof, phi_l0 = package.suite, package.proof_of_knowledge, package.commitment[0]
    # R_l = g^mu_l phi_l0^-c_l, where c_l = H(l, phi_l0, R_l).
    c_l = _challenge(suite, l, phi_l0, proof.R)
    return bool(suite.group.scalar_base_mult(proof.z) - c_l * phi_l0 == proof.R)


def _challenge(suite: AnyCiphersuite, i: Identifier, phi_i0: Element, R_i: Element) -> Scalar:
    challenge: Scalar = suite.HDKG(suite.encode_identifier(i) + phi_i0.encode() + R_i.encode())
    return challenge


def deal(f_i: Polynomial[Any, Any], recipients: Iterable[Identifier]) -> Mapping[Identifier, Scalar]:
    """Give each recipient's share f_i(l), a secret of the two (figure 1, round 2, 1)."""
    return {l: f_i.evaluate(l) for l in recipients}  # noqa: E741


def finish(
    suite: AnyCiphersuite,
    me: Identifier,
    packages: Mapping[Identifier, Round1Package],
    shares: Mapping[Identifier, Scalar],
) -> KeyShare:
    """Check all dealers' shares at once, and add them up (figure 1, round 2, 2 to 4).

    That the sum of the shares fits the sum of the commitments is all the key needs: two dealers whose errors cancel
    have harmed nobody. Only where it does not fit is each dealer's share checked, to name the dealers that are wrong.

    Args:
        suite: the ciphersuite.
        me: this participant.
        packages: everybody's, this participant's own included, proofs verified, all with t elements.
        shares: f_l(me) from everybody, this participant's own included; they stay the caller's to wipe.

    Raises:
        Fault: dealers' shares do not fit their commitments; names all of them. Or the key would be the identity,
            which takes all participants together.
    """
    group = suite.group
    commitment = vss.sum_commitments(group, [package.commitment for package in packages.values()])
    # s_i = sum of f_l(i), and Y_j = g^s_j for everybody from the commitments alone.
    s_i = group.sum_scalars(shares[l] for l in packages)  # noqa: E741
    verifying_shares = vss.evaluate_all(group, commitment, packages)
    if group.scalar_base_mult(s_i) != verifying_shares[me]:
        s_i.wipe()
        wrong = [l for l in packages if not vss.verify_share(group, shares[l], me, packages[l].commitment)]  # noqa: E741
        raise Fault("sent a share that does not fit its commitment", wrong)
    # What is stored is the key itself: for Taproot the internal key, which every use of it tweaks first.
    group_key = commitment[0]
    if group_key.is_identity or any(Y_j.is_identity for Y_j in verifying_shares.values()):
        s_i.wipe()
        raise Fault("the participants' secrets cancel each other")
    return KeyShare(
        KeyPackage(suite, me, s_i, verifying_shares[me], group_key, len(commitment)),
        PublicKeyPackage(suite, verifying_shares, group_key, len(commitment)),
    )
