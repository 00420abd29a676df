"""Shares add up to the published signatures; a wrong one is found."""

from dataclasses import replace
from typing import Any

import pytest

from mpcnode.crypto.suites import verify
from mpcnode.protocols.frost import round2
from mpcnode.protocols.frost.aggregation import aggregate, verify_signature_share
from mpcnode.protocols.frost.binding import bind
from mpcnode.protocols.frost.signing_packages import SignatureShare
from mpcnode.types import Identifier
from tests.helpers.signing_vectors import SOURCES, SigningVectors

Shares = dict[Identifier, SignatureShare]


@pytest.fixture(params=SOURCES)
def vectors(request: Any) -> SigningVectors:
    return SigningVectors(request.param)


def published(vectors: SigningVectors) -> Shares:
    return {
        i: SignatureShare.decode(vectors.suite, bytes.fromhex(vectors.round_two[i]["sig_share"]))
        for i in vectors.signers
    }


def test_the_signature_is_that_of_the_vectors(vectors: SigningVectors) -> None:
    signature = vectors.suite.encode_signature(aggregate(vectors.binding, published(vectors)))
    assert signature.hex() == vectors.signature


def test_the_published_signature_verifies_with_another_library(vectors: SigningVectors) -> None:
    key = vectors.group_public_key.encode()
    signature = bytes.fromhex(vectors.signature)
    assert verify(vectors.suite.id, key, vectors.message, signature)
    assert not verify(vectors.suite.id, key, vectors.message + b"!", signature)


def test_the_published_shares_verify_for_their_signer_alone(vectors: SigningVectors) -> None:
    binding, shares = vectors.binding, published(vectors)
    for i in vectors.signers:
        for j in vectors.signers:
            assert verify_signature_share(binding, j, shares[i], vectors.key(j).verifying_share) == (i == j)


def test_a_share_that_is_off_by_one_does_not_verify(vectors: SigningVectors) -> None:
    i = vectors.signers[0]
    wrong = SignatureShare(vectors.suite, published(vectors)[i].share + vectors.suite.group.scalar(1))
    assert not verify_signature_share(vectors.binding, i, wrong, vectors.key(i).verifying_share)


def test_a_share_for_another_message_does_not_verify(vectors: SigningVectors) -> None:
    i = vectors.signers[0]
    other = bind(replace(vectors.package, message=b"another"), vectors.group_public_key)
    share = round2.sign(other, vectors.nonces(i), vectors.key(i))
    assert not verify_signature_share(vectors.binding, i, share, vectors.key(i).verifying_share)


def test_a_missing_share_and_a_strangers_are_refused(vectors: SigningVectors) -> None:
    shares = published(vectors)
    stranger = Identifier(2)
    with pytest.raises(ValueError, match="every signer"):
        aggregate(vectors.binding, {vectors.signers[0]: shares[vectors.signers[0]]})
    with pytest.raises(ValueError, match="nobody else's"):
        aggregate(vectors.binding, {**shares, stranger: shares[vectors.signers[0]]})
    with pytest.raises(ValueError, match="not among the signers"):
        verify_signature_share(
            vectors.binding, stranger, shares[vectors.signers[0]], vectors.key(stranger).verifying_share
        )
