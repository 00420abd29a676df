import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpcnode.crypto import tags
from mpcnode.errors import DecodeError
from mpcnode.protocols.frost.broadcast import (
    BOUND_SIZE,
    Promise,
    contribution_digest_of,
    decode_evidence,
    digest_of,
    echo_of,
    encode_evidence,
    equivocators,
    promise,
)
from mpcnode.types import Identifier
from tests.helpers.simulate import descriptor, signer

SESSION = descriptor(2, 3)
BOUND = SESSION.agreed
FRESH = b"\x05" * 32
X, Y = SESSION.suites
KEYS = SESSION.identity_keys
EVERYBODY = sorted(SESSION.participants)
LIAR = Identifier(2)
COUNT = 2

Heard = dict[Identifier, Promise]


def signed(
    dealer: Identifier, package: bytes = b"", *, bound: bytes = BOUND, fresh: bytes = FRESH, by: int | None = None
) -> Promise:
    digests = [digest_of(bound, suite, dealer, fresh, package) for suite in (X, Y)]
    return promise(signer(SESSION.participants[Identifier(by or dealer)]), bound, dealer, fresh, digests)


def heard() -> Heard:
    return {dealer: signed(dealer) for dealer in EVERYBODY}


def instead(said: Promise, bound: bytes = BOUND) -> bytes:
    return encode_evidence(bound, {**heard(), LIAR: said})


def proved(mine: bytes, theirs: bytes) -> frozenset[Identifier]:
    return equivocators(mine, theirs, bound=BOUND, keys=KEYS, count=COUNT)


TRUE = encode_evidence(BOUND, heard())


def test_a_promise_holds_for_its_session_and_dealer_alone_and_for_all_it_says() -> None:
    said = signed(LIAR)
    assert said.verify(KEYS[LIAR], BOUND, LIAR)
    assert not said.verify(KEYS[LIAR], bytes(32), LIAR)
    assert not said.verify(KEYS[LIAR], BOUND, Identifier(1))
    assert not said.verify(KEYS[Identifier(1)], BOUND, LIAR)
    for other in (
        Promise(bytes(32), said.digests, said.signature),
        Promise(FRESH, said.digests[::-1], said.signature),
        Promise(FRESH, said.digests[:1], said.signature),
        Promise(FRESH, (*said.digests, bytes(32)), said.signature),
        Promise(FRESH, (), said.signature),
    ):
        assert not other.verify(KEYS[LIAR], BOUND, LIAR)


def test_nobody_can_promise_a_copy_of_anothers_commitment() -> None:
    digests = {
        digest_of(bound, suite, dealer, fresh, package)
        for bound in (BOUND, bytes(32))
        for suite in (X, Y)
        for dealer in EVERYBODY
        for fresh in (FRESH, bytes(32))
        for package in (b"", b"\x00")
    }
    parts = {
        contribution_digest_of(bound, dealer, fresh, contribution)
        for bound in (BOUND, bytes(32))
        for dealer in EVERYBODY
        for fresh in (FRESH, bytes(32))
        for contribution in (b"", b"\x00")
    }
    assert len(digests) == 2 * 2 * 3 * 2 * 2
    assert len(parts) == 2 * 3 * 2 * 2
    assert not digests & parts


def test_an_echo_says_what_was_heard() -> None:
    story = heard()
    echo = echo_of(BOUND, story)
    assert echo == echo_of(BOUND, dict(reversed(story.items())))
    assert echo != echo_of(BOUND, {**story, LIAR: signed(LIAR, b"other")})
    assert echo != echo_of(BOUND, {**story, LIAR: signed(LIAR, fresh=bytes(32))})
    assert echo != echo_of(bytes(32), story)
    assert echo != echo_of(BOUND, {i: story[i] for i in EVERYBODY[:2]})
    # A signature may come in more than one form; what it says is the same.
    assert echo == echo_of(BOUND, {**story, LIAR: Promise(FRESH, story[LIAR].digests, bytes(64))})


def test_evidence_comes_back() -> None:
    assert decode_evidence(EVERYBODY, COUNT, TRUE) == (BOUND, heard())
    assert len(TRUE) == BOUND_SIZE + 3 * Promise.size(COUNT)


@settings(max_examples=50)
@given(st.binary(max_size=700))
def test_bytes_are_evidence_or_a_decode_error(data: bytes) -> None:
    for wrong in (data, TRUE[:-1], TRUE + b"\x00"):
        with pytest.raises(DecodeError, match="evidence"):
            proved(TRUE, wrong)
        with pytest.raises(DecodeError, match="evidence"):
            proved(wrong, TRUE)


@pytest.mark.parametrize(
    "said",
    [
        signed(LIAR, b"other"),
        signed(LIAR, fresh=bytes(32)),
        promise(signer("cli02"), BOUND, LIAR, bytes(32), signed(LIAR).digests),
        promise(signer("cli02"), BOUND, LIAR, FRESH, [signed(LIAR).digests[0], bytes(32)]),
    ],
    ids=["commitments", "everything", "fresh bytes", "one digest"],
)
def test_two_promises_of_one_dealer_prove_the_lie(said: Promise) -> None:
    assert proved(TRUE, instead(said)) == {LIAR}
    assert proved(instead(said), TRUE) == {LIAR}


def test_the_same_story_twice_proves_nothing() -> None:
    assert proved(TRUE, TRUE) == frozenset()


def test_nobody_is_framed_by_a_forged_promise() -> None:
    digests = (bytes(32), bytes(32))
    forgeries = [
        Promise(FRESH, digests, bytes(64)),
        Promise(FRESH, digests, signed(LIAR).signature),
        signed(LIAR, bound=bytes(32)),
        signed(LIAR, by=1),
        signed(Identifier(1)),
        Promise(FRESH, digests, signer("cli02").sign(tags.READY, BOUND)),
    ]
    for forged in forgeries:
        story = instead(forged)
        assert proved(TRUE, story) == frozenset()
        assert proved(story, TRUE) == frozenset()


def test_nobody_is_framed_by_another_signature_over_the_same_promise() -> None:
    twisted = Promise(FRESH, signed(LIAR).digests, bytes(64))
    assert proved(TRUE, instead(twisted)) == frozenset()


def test_what_was_signed_in_another_session_or_another_life_proves_nothing() -> None:
    # A node that restarted signs other fresh bytes; what was agreed on is then another hash.
    elsewhere = b"\x09" * 32
    story = {dealer: signed(dealer, bound=elsewhere, fresh=bytes(32)) for dealer in EVERYBODY}
    for bound in (elsewhere, BOUND):
        assert proved(TRUE, encode_evidence(bound, story)) == frozenset()
        assert proved(encode_evidence(bound, story), TRUE) == frozenset()
    assert proved(encode_evidence(elsewhere, story), encode_evidence(elsewhere, heard())) == frozenset()
    # What calls itself evidence of another session is not looked into.
    for other in (instead(signed(LIAR, b"other"), bound=elsewhere), instead(signed(LIAR, b"other"))):
        assert proved(TRUE, other) == (frozenset() if other.startswith(elsewhere) else {LIAR})


@pytest.mark.parametrize("size", [0, 159, 161])
def test_a_promise_of_another_length_is_refused(size: int) -> None:
    with pytest.raises(DecodeError, match="160 bytes"):
        Promise.decode(COUNT, bytes(size))


def test_a_promise_comes_back_whatever_it_says() -> None:
    for count in range(4):
        said = promise(signer("cli02"), BOUND, LIAR, FRESH, [bytes([k]) * 32 for k in range(count)])
        assert Promise.decode(count, said.encode()) == said
        assert len(said.encode()) == Promise.size(count)
