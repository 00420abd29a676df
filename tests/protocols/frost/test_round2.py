"""Signature shares: as published; and a package that is not right uses the nonces up without an answer."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from mpcnode.crypto.ciphersuite import CIPHERSUITES
from mpcnode.protocols.frost import round1, round2
from mpcnode.protocols.frost.binding import Binding, bind
from mpcnode.protocols.frost.packages import KeyPackage
from mpcnode.protocols.frost.round1 import SigningNonces
from mpcnode.protocols.frost.signing_packages import SigningPackage
from mpcnode.types import Identifier, SuiteId
from tests.helpers.signing import wallet
from tests.helpers.signing_vectors import SOURCES, SigningVectors
from tests.helpers.simulate import seeded

ONE, TWO, THREE = (Identifier(i) for i in (1, 2, 3))


@pytest.fixture(params=SOURCES)
def vectors(request: Any) -> SigningVectors:
    return SigningVectors(request.param)


def test_shares_are_those_of_the_vectors(vectors: SigningVectors) -> None:
    for i in vectors.signers:
        share = round2.sign(vectors.binding, vectors.nonces(i), vectors.key(i))
        assert share.encode().hex() == vectors.round_two[i]["sig_share"]


class Signing:
    """Signers 1 and 3 of a 2-of-3, between the rounds."""

    def __init__(self, suite: SuiteId) -> None:
        self.wallet = wallet(suite, 2, 3)
        self.suite = CIPHERSUITES[suite]
        self.nonces = {i: self.commit(i) for i in (ONE, THREE)}
        self.package = SigningPackage(self.suite, {i: n.commitments for i, n in self.nonces.items()}, b"hello")

    def commit(self, i: Identifier, seed: object = 0) -> SigningNonces:
        return round1.commit(self.suite, self.key(i).signing_share, seeded("nonces", i, seed))

    def key(self, i: Identifier) -> KeyPackage:
        return self.wallet[i].key

    def bind(self, package: SigningPackage) -> Binding:
        return bind(package, self.key(ONE).group_public_key)


@pytest.fixture(params=CIPHERSUITES)
def signing(request: Any) -> Signing:
    return Signing(request.param)


Wrong = Callable[[Signing], tuple[Binding, KeyPackage]]


def without_us(signing: Signing) -> tuple[Binding, KeyPackage]:
    others = {TWO: signing.commit(TWO).commitments, THREE: signing.package.commitments[THREE]}
    return signing.bind(replace(signing.package, commitments=others)), signing.key(ONE)


def others_in_our_place(signing: Signing) -> tuple[Binding, KeyPackage]:
    changed = {**signing.package.commitments, ONE: signing.commit(ONE, "another").commitments}
    return signing.bind(replace(signing.package, commitments=changed)), signing.key(ONE)


def too_few(signing: Signing) -> tuple[Binding, KeyPackage]:
    alone = {ONE: signing.package.commitments[ONE]}
    return signing.bind(replace(signing.package, commitments=alone)), signing.key(ONE)


def another_key(signing: Signing) -> tuple[Binding, KeyPackage]:
    key = wallet(signing.suite.id, 2, 3, "another")[ONE].key
    return bind(signing.package, key.group_public_key), signing.key(ONE)


def another_suite(signing: Signing) -> tuple[Binding, KeyPackage]:
    suite = next(suite for suite in CIPHERSUITES if suite != signing.suite.id)
    return signing.bind(signing.package), wallet(suite, 2, 3)[ONE].key


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        (without_us, "does not have the commitments"),
        (others_in_our_place, "does not have the commitments"),
        (too_few, "do not reach a threshold"),
        (another_key, "another key"),
        (another_suite, "another key"),
    ],
)
def test_a_wrong_package_gets_no_answer_and_uses_the_nonces_up(signing: Signing, wrong: Wrong, match: str) -> None:
    binding, key = wrong(signing)
    nonces = signing.nonces[ONE]
    with pytest.raises(ValueError, match=match):
        round2.sign(binding, nonces, key)
    with pytest.raises(ValueError, match="used or wiped"):
        round2.sign(signing.bind(signing.package), nonces, signing.key(ONE))


def test_nonces_do_not_answer_twice_not_even_the_same(signing: Signing) -> None:
    binding = signing.bind(signing.package)
    round2.sign(binding, signing.nonces[ONE], signing.key(ONE))
    with pytest.raises(ValueError, match="used or wiped"):
        round2.sign(binding, signing.nonces[ONE], signing.key(ONE))


def test_nonces_are_wiped_when_they_have_answered(signing: Signing) -> None:
    scalars = list(signing.nonces[ONE]._scalars)
    round2.sign(signing.bind(signing.package), signing.nonces[ONE], signing.key(ONE))
    assert all(scalar.is_zero() for scalar in scalars)


def test_an_identifier_that_does_not_sign_has_no_weight(signing: Signing) -> None:
    with pytest.raises(ValueError, match="among them"):
        round2.share_weight(signing.bind(signing.package), TWO)


def test_signing_leaves_the_key_as_it_was(signing: Signing) -> None:
    before = bytes(signing.key(ONE).encode())
    round2.sign(signing.bind(signing.package), signing.nonces[ONE], signing.key(ONE))
    assert bytes(signing.key(ONE).encode()) == before
