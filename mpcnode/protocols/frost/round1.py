"""Signing, round one: commitment (RFC 9591, section 5.1)."""

from typing import NoReturn

from mpcnode.crypto.ciphersuite import AnyCiphersuite
from mpcnode.crypto.group import Element, Rng, Scalar
from mpcnode.protocols.frost.signing_packages import SigningCommitments

RANDOMNESS_SIZE = 32


class SigningNonces:
    """The secret of one signature, in memory alone: it is taken once, and it cannot be copied, stored or shown.

    Two answers to one commitment give the signing share away.

    Args:
        hiding: d_i; the nonces own and wipe it.
        binding: e_i; likewise.
        commitments: what everybody sees of them.
    """

    __slots__ = ("_scalars", "commitments")

    def __init__(self, hiding: Scalar, binding: Scalar, commitments: SigningCommitments) -> None:
        self._scalars = [hiding, binding]
        self.commitments = commitments

    def __repr__(self) -> str:
        return "SigningNonces(<redacted>)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("nonces are not pickled or copied: they are used once")

    def commitment_share(self, factor: Scalar) -> Element:
        """Give D_i + rho_i E_i as (d_i + e_i rho_i) G: one multiplication instead of one and an addition.

        It says no more than the commitments, and the nonces are still to be taken.

        Args:
            factor: rho_i.

        Raises:
            ValueError: they were taken or wiped before.
        """
        hiding, binding = self._untaken()
        nonce = hiding + binding * factor
        element: Element = self.commitments.suite.group.scalar_base_mult(nonce)
        nonce.wipe()
        return element

    def take(self) -> tuple[Scalar, Scalar]:
        """Give (d_i, e_i) to the caller, who wipes them; nothing of them is left here.

        Raises:
            ValueError: they were taken or wiped before.
        """
        hiding, binding = self._untaken()
        self._scalars.clear()
        return hiding, binding

    def wipe(self) -> None:
        """Overwrite what was not taken; after this nothing can be signed with it."""
        for scalar in self._scalars:
            scalar.wipe()
        self._scalars.clear()

    def _untaken(self) -> tuple[Scalar, Scalar]:
        if not self._scalars:
            raise ValueError("these nonces were used or wiped: commit to new ones")
        hiding, binding = self._scalars
        return hiding, binding


def commit(suite: AnyCiphersuite, signing_share: Scalar, rng: Rng) -> SigningNonces:
    """Draw nonces for one signature, and commit to them (RFC 9591, section 5.1, commit).

    Args:
        suite: the ciphersuite.
        signing_share: sk_i; it hedges against randomness that is not.
        rng: fresh randomness.
    """
    # Both nonces are nonce_generate(sk_i), each of its own randomness.
    hiding = nonce_generate(suite, signing_share, rng)
    binding = nonce_generate(suite, signing_share, rng)
    # Each commitment is G.ScalarBaseMult of its nonce.
    commitments = SigningCommitments(suite, suite.group.scalar_base_mult(hiding), suite.group.scalar_base_mult(binding))
    return SigningNonces(hiding, binding, commitments)


def nonce_generate(suite: AnyCiphersuite, secret: Scalar, rng: Rng) -> Scalar:
    """Derive a nonce from fresh randomness and a secret (RFC 9591, section 4.1, nonce_generate).

    Args:
        suite: the ciphersuite.
        secret: the signing share.
        rng: fresh randomness, of which it takes 32 bytes.
    """
    # random_bytes(32) || SerializeScalar(secret), in one buffer that is wiped.
    buffer = bytearray(rng(RANDOMNESS_SIZE))
    secret.copy_into(buffer)
    nonce: Scalar = suite.H3(buffer)
    buffer[:] = bytes(len(buffer))
    return nonce
