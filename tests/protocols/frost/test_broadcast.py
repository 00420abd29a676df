import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpcnode.errors import DecodeError
from mpcnode.protocols.frost.broadcast import (
    SIGNED_DIGEST_SIZE,
    SignedDigest,
    decode_evidence,
    digest_of,
    echo_of,
    encode_evidence,
    equivocators,
    sign_digest,
)
from mpcnode.types import Identifier, SuiteId
from tests.helpers.simulate import descriptor, signer

SESSION = descriptor(2, 3)
CONTEXT = SESSION.context
X, Y = SESSION.suites
EVERYBODY = sorted(SESSION.participants)
LIAR = Identifier(2)

Heard = dict[SuiteId, dict[Identifier, SignedDigest]]


def signed(dealer: Identifier, suite: SuiteId, package: bytes = b"", context: bytes = CONTEXT) -> SignedDigest:
    digest = digest_of(context, suite, dealer, package)
    return sign_digest(signer(SESSION.participants[dealer]), context, suite, dealer, digest)


def heard() -> Heard:
    return {suite: {dealer: signed(dealer, suite) for dealer in EVERYBODY} for suite in SESSION.suites}


def instead(suite: SuiteId, dealer: Identifier, digest: SignedDigest) -> bytes:
    story = heard()
    story[suite][dealer] = digest
    return encode_evidence(SESSION, story)


TRUE = encode_evidence(SESSION, heard())


def test_a_signed_digest_holds_for_its_session_suite_and_dealer_alone() -> None:
    digest = signed(LIAR, X)
    assert digest.verify(SESSION, CONTEXT, X, LIAR)
    assert not digest.verify(SESSION, bytes(32), X, LIAR)
    assert not digest.verify(SESSION, CONTEXT, Y, LIAR)
    assert not digest.verify(SESSION, CONTEXT, X, Identifier(1))
    assert not SignedDigest(bytes(32), digest.signature).verify(SESSION, CONTEXT, X, LIAR)


def test_nobody_can_promise_a_copy_of_anothers_commitment() -> None:
    digests = {
        digest_of(context, suite, dealer, package)
        for context in (CONTEXT, bytes(32))
        for suite in (X, Y)
        for dealer in EVERYBODY
        for package in (b"", b"\x00")
    }
    assert len(digests) == 2 * 2 * 3 * 2


def test_an_echo_says_what_was_heard() -> None:
    story = heard()
    echo = echo_of(CONTEXT, X, story[X])
    assert echo == echo_of(CONTEXT, X, dict(reversed(story[X].items())))
    assert echo != echo_of(CONTEXT, X, {**story[X], LIAR: signed(LIAR, X, b"other")})
    assert echo != echo_of(bytes(32), X, story[X])
    assert echo != echo_of(CONTEXT, Y, story[X])


def test_evidence_comes_back() -> None:
    assert decode_evidence(SESSION, TRUE) == heard()
    assert len(TRUE) == 2 * 3 * SIGNED_DIGEST_SIZE


@settings(max_examples=50)
@given(st.binary(max_size=700))
def test_bytes_are_evidence_or_a_decode_error(data: bytes) -> None:
    for wrong in (data, TRUE[:-1], TRUE + b"\x00"):
        with pytest.raises(DecodeError, match="evidence"):
            equivocators(TRUE, wrong, SESSION)
        with pytest.raises(DecodeError, match="evidence"):
            equivocators(wrong, TRUE, SESSION)


@pytest.mark.parametrize("suite", [X, Y])
def test_two_signed_digests_of_one_dealer_prove_the_lie(suite: SuiteId) -> None:
    other = instead(suite, LIAR, signed(LIAR, suite, b"other"))
    assert equivocators(TRUE, other, SESSION) == {LIAR}
    assert equivocators(other, TRUE, SESSION) == {LIAR}


def test_the_same_story_twice_proves_nothing() -> None:
    assert equivocators(TRUE, TRUE, SESSION) == frozenset()


def test_nobody_is_framed_by_a_forged_digest() -> None:
    forgeries = [
        SignedDigest(bytes(32), bytes(64)),
        SignedDigest(bytes(32), signed(LIAR, X).signature),
        signed(LIAR, X, context=bytes(32)),
        signed(LIAR, Y),
        signed(Identifier(1), X),
    ]
    for forged in forgeries:
        story = instead(X, LIAR, forged)
        assert equivocators(TRUE, story, SESSION) == frozenset()
        assert equivocators(story, TRUE, SESSION) == frozenset()


def test_nobody_is_framed_by_another_signature_over_the_same_digest() -> None:
    twisted = SignedDigest(signed(LIAR, X).digest, bytes(64))
    assert equivocators(TRUE, instead(X, LIAR, twisted), SESSION) == frozenset()


@pytest.mark.parametrize("size", [0, 95, 97])
def test_a_signed_digest_of_another_length_is_refused(size: int) -> None:
    with pytest.raises(DecodeError, match="96 bytes"):
        SignedDigest.decode(bytes(size))
