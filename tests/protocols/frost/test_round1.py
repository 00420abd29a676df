"""Nonces: derived as published, used once, and nowhere but in memory."""

import copy
import pickle
from typing import Any

import pytest

from mpcnode.crypto.ciphersuite import CIPHERSUITES, AnyCiphersuite
from mpcnode.protocols.frost import round1
from tests.helpers.signing_vectors import SOURCES, SigningVectors
from tests.helpers.simulate import seeded

every_suite = pytest.mark.parametrize("suite", CIPHERSUITES.values(), ids=str)


@pytest.fixture(params=SOURCES)
def vectors(request: Any) -> SigningVectors:
    return SigningVectors(request.param)


def test_nonces_and_commitments_are_those_of_the_vectors(vectors: SigningVectors) -> None:
    for i in vectors.signers:
        nonces = vectors.nonces(i)
        assert nonces.commitments == vectors.commitments(i)
        hiding, binding = nonces.take()
        assert hiding.encode().hex() == vectors.round_one[i]["hiding_nonce"]
        assert binding.encode().hex() == vectors.round_one[i]["binding_nonce"]


@every_suite
def test_commitments_are_of_the_nonces(suite: AnyCiphersuite) -> None:
    nonces = round1.commit(suite, suite.group.scalar(7), seeded("nonces"))
    commitments = nonces.commitments
    hiding, binding = nonces.take()
    assert commitments.hiding == suite.group.scalar_base_mult(hiding)
    assert commitments.binding == suite.group.scalar_base_mult(binding)
    assert hiding != binding


@every_suite
def test_a_nonce_depends_on_randomness_and_on_the_share(suite: AnyCiphersuite) -> None:
    share, other = suite.group.scalar(7), suite.group.scalar(8)
    nonce = round1.nonce_generate(suite, share, seeded(1))
    assert nonce == round1.nonce_generate(suite, share, seeded(1))
    assert nonce != round1.nonce_generate(suite, share, seeded(2))
    # Where the randomness repeats, a share that differs still gives another nonce.
    assert nonce != round1.nonce_generate(suite, other, seeded(1))


@every_suite
def test_nonces_are_taken_once(suite: AnyCiphersuite) -> None:
    nonces = round1.commit(suite, suite.group.scalar(7), seeded(1))
    nonces.take()
    with pytest.raises(ValueError, match="used or wiped"):
        nonces.take()


@every_suite
def test_wiped_nonces_are_gone(suite: AnyCiphersuite) -> None:
    nonces = round1.commit(suite, suite.group.scalar(7), seeded(1))
    scalars = list(nonces._scalars)
    nonces.wipe()
    assert all(scalar.is_zero() for scalar in scalars)
    with pytest.raises(ValueError, match="used or wiped"):
        nonces.take()
    nonces.wipe()


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, pickle.dumps])
def test_nonces_cannot_be_copied_or_stored(duplicate: Any) -> None:
    suite = next(iter(CIPHERSUITES.values()))
    nonces = round1.commit(suite, suite.group.scalar(7), seeded(1))
    with pytest.raises(TypeError, match="used once"):
        duplicate(nonces)
    assert not hasattr(nonces, "encode")


def test_nonces_do_not_show_themselves() -> None:
    suite = next(iter(CIPHERSUITES.values()))
    nonces = round1.commit(suite, suite.group.scalar(7), seeded(1))
    shown = repr(nonces) + str(nonces)
    hiding, binding = nonces.take()
    assert "redacted" in shown
    assert hiding.encode().hex() not in shown
    assert binding.encode().hex() not in shown


def test_what_the_nonce_is_hashed_from_is_wiped(monkeypatch: pytest.MonkeyPatch) -> None:
    suite = next(iter(CIPHERSUITES.values()))
    hashed: list[bytearray] = []
    seen: list[bytes] = []
    h3 = type(suite).H3

    def spy(self: AnyCiphersuite, m: bytearray) -> Any:
        hashed.append(m)
        seen.append(bytes(m))
        return h3(self, m)

    monkeypatch.setattr(type(suite), "H3", spy)
    share = suite.group.scalar(7)
    round1.commit(suite, share, seeded(1))
    assert len(hashed) == 2
    assert all(m[32:] == share.encode() for m in seen)
    assert hashed == [bytearray(64), bytearray(64)]


@pytest.mark.parametrize("suite", CIPHERSUITES.values(), ids=str)
def test_used_nonces_say_no_more_about_a_commitment(suite: AnyCiphersuite) -> None:
    nonces = round1.commit(suite, suite.group.scalar(7), seeded(1))
    factor = suite.group.scalar(5)
    D, E = nonces.commitments.hiding, nonces.commitments.binding
    assert nonces.commitment_share(factor) == D + factor * E
    nonces.wipe()
    with pytest.raises(ValueError, match="used or wiped"):
        nonces.commitment_share(factor)
