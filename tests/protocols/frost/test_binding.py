"""What a signing package determines, against the published intermediate values."""

from typing import Any

import pytest

from mpcnode.crypto.ciphersuite import CIPHERSUITES, AnyCiphersuite
from mpcnode.protocols.frost import binding as module
from mpcnode.protocols.frost import round1, round2
from mpcnode.protocols.frost.binding import bind, binding_factor_inputs
from mpcnode.protocols.frost.signing_packages import SigningCommitments, SigningPackage
from mpcnode.protocols.rounds import Fault
from mpcnode.types import Identifier
from tests.helpers.signing_vectors import SOURCES, SigningVectors
from tests.helpers.simulate import seeded

every_suite = pytest.mark.parametrize("suite", CIPHERSUITES.values(), ids=str)


@pytest.fixture(params=SOURCES)
def vectors(request: Any) -> SigningVectors:
    return SigningVectors(request.param)


def test_binding_factors_and_what_they_hash_are_those_of_the_vectors(vectors: SigningVectors) -> None:
    inputs = binding_factor_inputs(vectors.package, vectors.group_public_key)
    factors = vectors.binding.factors
    for i in vectors.signers:
        assert inputs[i].hex() == vectors.round_one[i]["binding_factor_input"]
        assert factors[i].encode().hex() == vectors.round_one[i]["binding_factor"]


def test_the_group_commitment_is_that_of_the_signature(vectors: SigningVectors) -> None:
    signature = vectors.suite.decode_signature(bytes.fromhex(vectors.signature))
    assert vectors.binding.R == signature.R


def test_the_challenge_ties_the_signature_together(vectors: SigningVectors) -> None:
    binding = vectors.binding
    z = vectors.suite.decode_signature(bytes.fromhex(vectors.signature)).z
    key = -vectors.group_public_key if binding.negate_key else vectors.group_public_key
    assert vectors.suite.group.scalar_base_mult(z) == binding.R + binding.challenge * key


def test_a_signer_that_takes_its_part_from_its_nonces_gets_the_same(vectors: SigningVectors) -> None:
    for i in vectors.signers:
        nonces = vectors.nonces(i)
        commitments = {**vectors.package.commitments, i: nonces.commitments}
        package = SigningPackage(vectors.suite, commitments, vectors.package.message)
        assert bind(package, vectors.group_public_key, own=nonces).R == vectors.binding.R
        round2.sign(vectors.binding, nonces, vectors.key(i))  # they were not used up by it


def test_nonces_of_other_commitments_give_no_part(vectors: SigningVectors) -> None:
    key = vectors.key(vectors.signers[0])
    others = round1.commit(vectors.suite, key.signing_share, seeded("other"))
    assert bind(vectors.package, vectors.group_public_key, own=others).R == vectors.binding.R


@every_suite
def test_only_taproot_negates(suite: AnyCiphersuite) -> None:
    G = suite.group.generator
    taproot = "TR" in suite.id
    assert suite.negates(G) + suite.negates(-G) == (1 if taproot else 0)


@every_suite
def test_commitments_that_cancel_each_other_sign_nothing(
    suite: AnyCiphersuite, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nobody can make them cancel, because each binding factor is a hash of all commitments; so it is made here.
    one = suite.group.scalar(1)
    monkeypatch.setattr(
        module, "compute_binding_factors", lambda package, _key: dict.fromkeys(package.commitments, one)
    )
    G = suite.group.generator
    commitments = {
        Identifier(1): SigningCommitments(suite, G, G),
        Identifier(2): SigningCommitments(suite, -G, -G),
    }
    with pytest.raises(Fault, match="cancel") as caught:
        bind(SigningPackage(suite, commitments, b"hello"), G)
    assert caught.value.senders == frozenset()
