"""The steps of key generation, against the Zcash Foundation's vectors and against dishonest dealers."""

from typing import Any

import pytest

from mpcnode.crypto.adjustment import default_adjustments
from mpcnode.crypto.ciphersuite import CIPHERSUITES, AnyCiphersuite, Signature
from mpcnode.crypto.polynomial import Polynomial, lagrange_coefficient
from mpcnode.protocols.frost import pedpop
from mpcnode.protocols.frost.adjusting import adjust_key, adjust_public
from mpcnode.protocols.frost.packages import Round1Package
from mpcnode.protocols.rounds import Fault
from mpcnode.types import Identifier, SuiteId
from tests.helpers.simulate import seeded
from tests.helpers.vectors import load_vectors

EVERYBODY = [Identifier(i) for i in (1, 2, 3)]
ME = EVERYBODY[0]

every_suite = pytest.mark.parametrize("suite", CIPHERSUITES.values(), ids=str)

ZF = {
    "FROST-ED25519-SHA512-v1": "zf-frost-ed25519",
    "FROST-secp256k1-SHA256-TR-v1": "zf-frost-secp256k1-tr",
    "FROST-secp256k1-SHA256-v1": "zf-frost-secp256k1",
}


class ZfVectors:
    """The three participants of ``vectors_dkg.json``."""

    def __init__(self, suite: AnyCiphersuite) -> None:
        self.suite = suite
        self.inputs: dict[str, Any] = load_vectors(f"{ZF[suite.id]}/vectors_dkg.json")["inputs"]

    def of(self, i: Identifier) -> dict[str, Any]:
        participant: dict[str, Any] = self.inputs[str(i)]
        return participant

    def scalar(self, text: str) -> Any:
        return self.suite.group.decode_scalar(bytes.fromhex(text))

    def polynomial(self, i: Identifier) -> Polynomial[Any, Any]:
        own = self.of(i)
        return Polynomial(self.suite.group, [self.scalar(own["signing_key"]), self.scalar(own["coefficient"])])

    def package(self, i: Identifier) -> Round1Package:
        """The participant's package, through the bytes the format gives it."""
        own = self.of(i)
        proof = bytes.fromhex(own["proof_of_knowledge"])
        commitment = b"".join(bytes.fromhex(phi) for phi in own["vss_commitments"])
        header = Round1Package(self.suite, (), _any_proof(self.suite)).encode()[:5]
        return Round1Package.decode(self.suite, 2, header + b"\x02" + commitment + bytes([len(proof)]) + proof)


def _any_proof(suite: AnyCiphersuite) -> Signature[Any, Any]:
    return Signature(suite.group.generator, suite.group.scalar(1))


@pytest.fixture(params=CIPHERSUITES)
def zf(request: Any) -> ZfVectors:
    return ZfVectors(CIPHERSUITES[SuiteId(request.param)])


def test_commitments_are_those_of_the_vectors(zf: ZfVectors) -> None:
    for i in EVERYBODY:
        commitment = zf.polynomial(i).commit()
        assert [phi.encode().hex() for phi in commitment] == zf.of(i)["vss_commitments"]
        assert commitment == zf.package(i).commitment


def test_proofs_of_knowledge_of_the_vectors_verify_for_their_dealer_alone(zf: ZfVectors) -> None:
    for i in EVERYBODY:
        assert pedpop.verify_proof_of_knowledge(i, zf.package(i))
        assert not pedpop.verify_proof_of_knowledge(Identifier(i % 3 + 1), zf.package(i))


def test_shares_are_those_of_the_vectors(zf: ZfVectors) -> None:
    # Under each recipient stand the shares it received, by dealer.
    for recipient in EVERYBODY:
        for dealer, share in zf.of(recipient)["signing_shares"].items():
            assert zf.polynomial(Identifier(int(dealer))).evaluate(recipient).encode().hex() == share


def test_the_key_is_that_of_the_vectors_after_its_tweak(zf: ZfVectors) -> None:
    packages = {i: zf.package(i) for i in EVERYBODY}
    for me in EVERYBODY:
        received = {Identifier(int(i)): zf.scalar(share) for i, share in zf.of(me)["signing_shares"].items()}
        share = pedpop.finish(zf.suite, me, packages, {**received, me: zf.polynomial(me).evaluate(me)})
        # The vectors of the Taproot suite are of the output key; what is stored is the key before its tweak.
        adjustments = default_adjustments(zf.suite.id)
        key, public = adjust_key(share.key, adjustments), adjust_public(share.public, adjustments)
        assert key.signing_share.encode().hex() == zf.of(me)["signing_share"]
        assert key.verifying_share.encode().hex() == zf.of(me)["verifying_share"]
        assert (
            key.group_public_key.encode().hex() == public.group_public_key.encode().hex() == zf.inputs["verifying_key"]
        )
        for i in EVERYBODY:
            assert public.verifying_shares[i].encode().hex() == zf.of(i)["verifying_share"]


Dealt = dict[Identifier, tuple[Polynomial[Any, Any], Round1Package]]


def deal(suite: AnyCiphersuite, seed: object = 0, threshold: int = 2) -> Dealt:
    return {i: pedpop.commit(suite, i, threshold, seeded(seed, i)) for i in EVERYBODY}


def packages_of(dealt: Dealt) -> dict[Identifier, Round1Package]:
    return {i: package for i, (_, package) in dealt.items()}


def shares_for(me: Identifier, dealt: Dealt) -> dict[Identifier, Any]:
    return {i: pedpop.deal(f, [me])[me] for i, (f, _) in dealt.items()}


@every_suite
@pytest.mark.parametrize("seed", range(4))
def test_any_two_shares_make_the_secret_of_the_group_public_key(suite: AnyCiphersuite, seed: int) -> None:
    dealt = deal(suite, seed)
    done = {me: pedpop.finish(suite, me, packages_of(dealt), shares_for(me, dealt)) for me in EVERYBODY}
    assert len({share.public.encode() for share in done.values()}) == 1
    for pair in ([1, 2], [1, 3], [2, 3]):
        signers = [Identifier(i) for i in pair]
        lambdas = {i: lagrange_coefficient(suite.group, i, signers) for i in signers}
        secret = suite.group.sum_scalars(lambdas[i] * done[i].key.signing_share for i in signers)
        assert suite.group.scalar_base_mult(secret) == done[ME].key.group_public_key


@every_suite
@pytest.mark.parametrize("seed", range(6))
def test_what_is_stored_is_the_key_itself_with_its_parity(suite: AnyCiphersuite, seed: int) -> None:
    dealt = deal(suite, seed)
    key = suite.group.sum(package.commitment[0] for package in packages_of(dealt).values())
    share = pedpop.finish(suite, ME, packages_of(dealt), shares_for(ME, dealt))
    assert share.key.group_public_key == share.public.group_public_key == key
    assert len(key.encode()) == suite.group.element_size


def test_both_parities_of_the_key_were_among_those_seeds() -> None:
    suite = CIPHERSUITES[SuiteId("FROST-secp256k1-SHA256-TR-v1")]
    sums = [suite.group.sum(p.commitment[0] for p in packages_of(deal(suite, seed)).values()) for seed in range(6)]
    assert {internal.encode()[0] for internal in sums} == {2, 3}


def test_identifiers_are_what_they_are_and_not_positions() -> None:
    suite = CIPHERSUITES[SuiteId("FROST-ED25519-SHA512-v1")]
    roster = [Identifier(i) for i in (2, 7, 64)]
    dealt = {i: pedpop.commit(suite, i, 2, seeded("gap", i)) for i in roster}
    packages = packages_of(dealt)
    done = {me: pedpop.finish(suite, me, packages, shares_for(me, dealt)) for me in roster}
    assert len({share.public.encode() for share in done.values()}) == 1
    for me, share in done.items():
        assert list(share.public.verifying_shares) == roster
        assert share.public.verifying_shares[me] == share.key.verifying_share
    lambdas = {i: lagrange_coefficient(suite.group, i, roster[1:]) for i in roster[1:]}
    secret = suite.group.sum_scalars(lambdas[i] * done[i].key.signing_share for i in lambdas)
    assert suite.group.scalar_base_mult(secret) == done[roster[0]].key.group_public_key


@every_suite
@pytest.mark.parametrize("liars", [[2], [3], [2, 3]])
def test_dealers_of_wrong_shares_are_named_and_nobody_else(suite: AnyCiphersuite, liars: list[int]) -> None:
    dealt = deal(suite)
    shares = shares_for(ME, dealt)
    for k, liar in enumerate(liars, 1):
        shares[Identifier(liar)] += suite.group.scalar(k)
    with pytest.raises(Fault, match="does not fit its commitment") as caught:
        pedpop.finish(suite, ME, packages_of(dealt), shares)
    assert caught.value.senders == set(liars)


@every_suite
def test_errors_that_cancel_leave_a_good_key(suite: AnyCiphersuite) -> None:
    dealt = deal(suite)
    shares, one = shares_for(ME, dealt), suite.group.scalar(1)
    honest = pedpop.finish(suite, ME, packages_of(dealt), shares)
    wrong = {**shares, Identifier(2): shares[Identifier(2)] + one, Identifier(3): shares[Identifier(3)] - one}
    again = pedpop.finish(suite, ME, packages_of(dealt), wrong)
    assert again.key.encode() == honest.key.encode()


@every_suite
def test_a_key_that_cancels_is_no_key(suite: AnyCiphersuite) -> None:
    a, b = deal(suite)[ME][0], deal(suite, "b")[Identifier(2)][0]
    minus = [-(x + y) for x, y in zip(a._coefficients, b._coefficients, strict=True)]
    polynomials = dict(zip(EVERYBODY, [a, b, Polynomial(suite.group, minus)], strict=True))
    packages = {i: Round1Package(suite, f.commit(), _any_proof(suite)) for i, f in polynomials.items()}
    with pytest.raises(Fault, match="cancel") as caught:
        pedpop.finish(suite, ME, packages, {i: f.evaluate(ME) for i, f in polynomials.items()})
    assert caught.value.senders == set()


@every_suite
def test_a_signing_share_that_cancels_is_no_key(suite: AnyCiphersuite) -> None:
    # f(x) = a - a x / 2 is 0 for participant 2, whose verifying share nobody could send.
    a = suite.group.scalar(42)
    f = Polynomial(suite.group, [a, suite.group.scalar(-21)])
    zero = Polynomial(suite.group, [suite.group.scalar(0)] * 2)
    polynomials = dict(zip(EVERYBODY, [f, zero, zero], strict=True))
    packages = {i: Round1Package(suite, f.commit(), _any_proof(suite)) for i, f in polynomials.items()}
    with pytest.raises(Fault, match="cancel"):
        pedpop.finish(suite, ME, packages, {i: f.evaluate(ME) for i, f in polynomials.items()})


@every_suite
def test_a_proof_of_knowledge_holds_for_its_dealer_commitment_and_proof_alone(suite: AnyCiphersuite) -> None:
    _, package = pedpop.commit(suite, ME, 2, seeded(1))
    assert pedpop.verify_proof_of_knowledge(ME, package)
    proof, one = package.proof_of_knowledge, suite.group.scalar(1)
    others = [
        (Identifier(2), package),
        (ME, Round1Package(suite, package.commitment[::-1], proof)),
        (ME, Round1Package(suite, package.commitment, Signature(proof.R, proof.z + one))),
        (ME, Round1Package(suite, package.commitment, Signature(proof.R + suite.group.generator, proof.z))),
    ]
    assert not any(pedpop.verify_proof_of_knowledge(i, other) for i, other in others)


@every_suite
def test_a_rogue_commitment_has_no_proof(suite: AnyCiphersuite) -> None:
    # The third wants the key to be its own: it commits to its point minus everybody else's.
    dealt = deal(suite)
    own = suite.group.scalar_base_mult(suite.group.scalar(99))
    rogue = own - dealt[ME][1].commitment[0] - dealt[Identifier(2)][1].commitment[0]
    _, honest = dealt[Identifier(3)]
    forged = Round1Package(suite, (rogue, *honest.commitment[1:]), honest.proof_of_knowledge)
    assert not pedpop.verify_proof_of_knowledge(Identifier(3), forged)


@every_suite
def test_the_nonce_of_a_proof_is_wiped(suite: AnyCiphersuite, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Any] = []
    draw = type(suite).random_nonce

    def watched(self: Any, rng: Any) -> Any:
        drawn.append(draw(self, rng))
        return drawn[-1]

    monkeypatch.setattr(type(suite), "random_nonce", watched)
    pedpop.commit(suite, ME, 2, seeded(1))
    assert [k.is_zero() for k, _ in drawn] == [True]
