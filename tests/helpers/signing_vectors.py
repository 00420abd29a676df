"""The published signing vectors of RFC 9591 and of the Zcash Foundation, as packages."""

from collections.abc import Mapping
from typing import Any, Final

from mpcnode.crypto.ciphersuite import CIPHERSUITES, AnyCiphersuite
from mpcnode.crypto.group import Rng
from mpcnode.protocols.frost.binding import Binding, bind
from mpcnode.protocols.frost.packages import KeyPackage
from mpcnode.protocols.frost.round1 import SigningNonces, commit
from mpcnode.protocols.frost.signing_packages import SigningCommitments, SigningPackage
from mpcnode.types import Identifier
from tests.helpers.signing import ED25519, PLAIN, TAPROOT
from tests.helpers.vectors import load_vectors

SOURCES: Final = {
    "rfc9591/frost-ed25519-sha512.json": ED25519,
    "rfc9591/frost-secp256k1-sha256.json": PLAIN,
    "zf-frost-ed25519/vectors.json": ED25519,
    "zf-frost-secp256k1/vectors.json": PLAIN,
    "zf-frost-secp256k1-tr/vectors.json": TAPROOT,
}


class SigningVectors:
    """One file of vectors: two of three sign.

    Args:
        source: one of ``SOURCES``.
    """

    def __init__(self, source: str) -> None:
        vectors = load_vectors(source)
        self.suite: AnyCiphersuite = CIPHERSUITES[SOURCES[source]]
        self.inputs: Mapping[str, Any] = vectors["inputs"]
        self.signers = [Identifier(i) for i in self.inputs["participant_list"]]
        self.message = bytes.fromhex(self.inputs["message"])
        text = self.inputs.get("group_public_key") or self.inputs["verifying_key_key"]
        self.group_public_key = self.suite.group.decode_element(bytes.fromhex(text))
        self.round_one = self._by_signer(vectors["round_one_outputs"])
        self.round_two = self._by_signer(vectors["round_two_outputs"])
        self.signature: str = vectors["final_output"]["sig"]

    @staticmethod
    def _by_signer(outputs: Mapping[str, Any]) -> Mapping[Identifier, Mapping[str, str]]:
        return {Identifier(output["identifier"]): output for output in outputs["outputs"]}

    def key(self, i: Identifier) -> KeyPackage:
        shares = {s["identifier"]: bytes.fromhex(s["participant_share"]) for s in self.inputs["participant_shares"]}
        share = self.suite.group.decode_scalar(shares[i])
        public = self.suite.group.scalar_base_mult(share)
        return KeyPackage(self.suite, i, share, public, self.group_public_key, 2)

    def randomness(self, i: Identifier) -> Rng:
        """Hiding, then binding."""
        names = ("hiding_nonce_randomness", "binding_nonce_randomness")
        drawn = iter([bytes.fromhex(self.round_one[i][name]) for name in names])

        def rng(size: int) -> bytes:
            data = next(drawn)
            assert len(data) == size
            return data

        return rng

    def nonces(self, i: Identifier) -> SigningNonces:
        return commit(self.suite, self.key(i).signing_share, self.randomness(i))

    def commitments(self, i: Identifier) -> SigningCommitments:
        names = ("hiding_nonce_commitment", "binding_nonce_commitment")
        hiding, binding = (self.suite.group.decode_element(bytes.fromhex(self.round_one[i][name])) for name in names)
        return SigningCommitments(self.suite, hiding, binding)

    @property
    def package(self) -> SigningPackage:
        return SigningPackage(self.suite, {i: self.commitments(i) for i in self.signers}, self.message)

    @property
    def binding(self) -> Binding:
        return bind(self.package, self.group_public_key)
