"""Signing, from the first message to signatures the world accepts: any wallet, any signers, any order."""

import os
import random
from dataclasses import replace
from itertools import combinations
from typing import Any
from zlib import crc32

import pytest
from btclib_secp256k1 import ssa
from hypothesis import given, settings
from hypothesis import strategies as st
from nacl.bindings import crypto_sign_open

from mpcnode.crypto.adjustment import TaprootTweak, adjusted_key, default_adjustments
from mpcnode.crypto.ciphersuite import CIPHERSUITES
from mpcnode.crypto.suites import SUITES, verify
from mpcnode.crypto.transcript import tagged_hash
from mpcnode.protocols.execution import Execution
from mpcnode.protocols.frost import adjusting, round1
from mpcnode.protocols.frost import sign as module
from mpcnode.protocols.frost.round1 import SigningNonces
from mpcnode.protocols.frost.sign import NONCE_LIST, NONCES, SIGNATURE_SHARE, _Session, nonce_randomness, sign
from mpcnode.protocols.signing_descriptor import SigningDescriptor
from mpcnode.types import EpochId, Identifier, SuiteId
from tests.helpers import simulate
from tests.helpers.signing import (
    ED25519,
    PLAIN,
    TAPROOT,
    Wallet,
    execution,
    signing_descriptor,
    simulate_sign,
    wallet,
)
from tests.helpers.simulate import created, name_of, refreshed, seeded

ONE, TWO, THREE = (Identifier(i) for i in (1, 2, 3))

every_suite = pytest.mark.parametrize("suite", SUITES)


def check(descriptor: SigningDescriptor, results: dict[Identifier, tuple[bytes, ...]]) -> tuple[bytes, ...]:
    """Everybody has the same signatures, and each is one."""
    assert results.keys() == descriptor.participants.keys()
    first, *others = results.values()
    assert all(other == first for other in others)
    assert len(first) == len(descriptor.messages)
    for message, signature in zip(descriptor.messages, first, strict=True):
        assert verify(descriptor.suite, descriptor.verifying_key, message, signature)
    return first


@st.composite
def sessions(draw: st.DrawFn) -> tuple[SigningDescriptor, Wallet, int]:
    suite = draw(st.sampled_from([ED25519, TAPROOT]))
    total = draw(st.integers(2, 5))
    threshold = draw(st.integers(2, total))
    signers = draw(st.sets(st.integers(1, total), min_size=threshold, max_size=total))
    messages = draw(st.lists(st.binary(max_size=100), min_size=1, max_size=3))
    tweaks = [(TaprootTweak(),), (TaprootTweak(bytes(32)),)] if suite == TAPROOT else [()]
    keys = wallet(suite, threshold, total, draw(st.integers(0, 3)))
    adjustments = draw(st.sampled_from(tweaks))
    descriptor = signing_descriptor(keys, sorted(signers), messages, adjustments=adjustments)
    return descriptor, keys, draw(st.integers(0, 2**32))


@given(sessions())
@settings(max_examples=40, deadline=None)
def test_any_quorum_signs_in_any_order_of_delivery(session: tuple[SigningDescriptor, Wallet, int]) -> None:
    descriptor, keys, seed = session
    check(descriptor, dict(simulate_sign(descriptor, keys, seed=seed).run()))


@every_suite
def test_each_pair_and_all_of_a_2_of_3_sign(suite: SuiteId) -> None:
    keys = wallet(suite, 2, 3)
    for signers in [*combinations((1, 2, 3), 2), (1, 2, 3)]:
        descriptor = signing_descriptor(keys, signers)
        check(descriptor, dict(simulate_sign(descriptor, keys).run()))


def test_five_of_nine_sign_with_four_away() -> None:
    keys = wallet(ED25519, 5, 9)
    descriptor = signing_descriptor(keys, [2, 4, 5, 7, 9])
    check(descriptor, dict(simulate_sign(descriptor, keys).run()))


def test_a_wallet_of_our_key_generation_signs_for_both_worlds() -> None:
    wallets = created(2, 3)
    for suite in (ED25519, TAPROOT):
        keys = {i: stored.shares[suite] for i, stored in wallets.items()}
        descriptor = signing_descriptor(keys, [1, 3])
        (signature,) = check(descriptor, dict(simulate_sign(descriptor, keys).run()))
        internal = wallets[ONE].statement.keys(suite).group_public_key
        key = adjusted_key(suite, internal, default_adjustments(suite))
        if suite == ED25519:
            assert crypto_sign_open(signature + b"hello", key) == b"hello"
        else:
            assert ssa.verify(b"hello", key[1:], signature)


@pytest.mark.parametrize("suite", [ED25519, TAPROOT])
def test_a_batch_signs_each_message_for_itself(suite: SuiteId) -> None:
    keys = wallet(suite, 2, 3)
    # The same message twice is two signatures: nothing of the first is used for the second.
    messages = [b"", b"pay 1", b"pay 1", bytes(0xFFFF), *(bytes([k]) for k in range(6))]
    descriptor = signing_descriptor(keys, [1, 2], messages)
    signatures = check(descriptor, dict(simulate_sign(descriptor, keys).run()))
    assert len(set(signatures)) == len(messages)


@pytest.mark.slow
@pytest.mark.parametrize("suite", [ED25519, TAPROOT])
def test_a_thousand_messages_are_signed_in_the_same_three_rounds(suite: SuiteId) -> None:
    keys = wallet(suite, 2, 3)
    descriptor = signing_descriptor(keys, [1, 3], [b"payment %d" % k for k in range(1000)])
    kinds: set[str] = set()

    def note(_sender: object, _recipient: object, message: Any) -> list[Any]:
        kinds.add(message.kind)
        assert len(message.data) < 80_000
        return [message]

    check(descriptor, dict(simulate_sign(descriptor, keys, tamper=note).run()))
    assert kinds == {NONCES, NONCE_LIST, SIGNATURE_SHARE}


def test_two_sessions_have_nothing_in_common() -> None:
    keys = wallet(ED25519, 2, 3)
    first, second = (simulate_sign(signing_descriptor(keys, [1, 2]), keys, seed=seed).run()[ONE] for seed in (1, 2))
    assert first[0][:32] != second[0][:32]


def test_a_session_says_whom_it_waits_for_and_in_which_round() -> None:
    keys = wallet(ED25519, 2, 3)
    descriptor = signing_descriptor(keys, [1, 2, 3])
    simulation = simulate_sign(
        descriptor, keys, tamper=lambda s, _r, m: [] if s == 2 and m.kind == SIGNATURE_SHARE else [m]
    )
    assert simulation.run_all() == {}
    for i in (ONE, THREE):
        waiting = simulation.executions[i]
        assert not waiting.finished
        assert waiting.round is not None
        assert waiting.round.kind == SIGNATURE_SHARE
        assert waiting.waiting_for == {TWO}
        waiting.close()
    assert simulation.executions[TWO].finished


# What a script is given must belong together; nobody else is to blame for it.


def start(descriptor: SigningDescriptor, me: Identifier = ONE, keys: Wallet | None = None, **changes: Any) -> None:
    keys = wallet(descriptor.suite, 2, 3) if keys is None else keys
    arguments: dict[str, Any] = {
        "descriptor": descriptor,
        "me": me,
        "key": keys[me].key,
        "public": keys[me].public,
        "signer": simulate.signer(name_of(me)),
        "rng": seeded(me),
        "process": os.getpid,
    }
    script = sign(**{**arguments, **changes})
    Execution(script, me=me, participants=descriptor.participants).close()


GOOD = signing_descriptor(wallet(ED25519, 2, 3), [1, 2])


def test_a_key_of_another_wallet_is_refused() -> None:
    for keys in (wallet(ED25519, 2, 3, "another"), wallet(TAPROOT, 2, 3)):
        with pytest.raises(ValueError, match="the key is not"):
            start(GOOD, keys=keys)
        with pytest.raises(ValueError, match="the key is not"):
            start(GOOD, key=keys[ONE].key)
        with pytest.raises(ValueError, match="the key is not"):
            start(GOOD, public=keys[ONE].public)


def test_a_key_of_another_suite_is_refused_even_where_the_point_is_the_same() -> None:
    share = wallet(TAPROOT, 2, 3)[ONE]
    descriptor, plain = signing_descriptor(wallet(TAPROOT, 2, 3), [1, 2]), CIPHERSUITES[PLAIN]
    with pytest.raises(ValueError, match="session's suite"):
        start(descriptor, key=replace(share.key, suite=plain))
    with pytest.raises(ValueError, match="session's suite"):
        start(descriptor, public=replace(share.public, suite=plain))


def test_the_key_of_another_signer_is_refused() -> None:
    with pytest.raises(ValueError, match="owner is not among the signers"):
        start(GOOD, key=wallet(ED25519, 2, 3)[TWO].key)


def test_who_is_not_asked_to_sign_does_not_sign() -> None:
    with pytest.raises(ValueError, match="not among the"):
        start(GOOD, me=THREE)
    with pytest.raises(ValueError, match="owner is not among the signers"):
        next(
            sign(
                descriptor=GOOD,
                me=THREE,
                key=wallet(ED25519, 2, 3)[THREE].key,
                public=wallet(ED25519, 2, 3)[THREE].public,
                signer=simulate.signer(name_of(3)),
                rng=seeded(3),
                process=os.getpid,
            )
        )


def test_another_threshold_than_the_wallets_is_refused() -> None:
    keys = wallet(ED25519, 3, 4)
    descriptor = replace(signing_descriptor(keys, [1, 2, 3]), threshold=2)
    with pytest.raises(ValueError, match="wallet's threshold"):
        start(descriptor, keys=keys)


def test_a_stranger_to_the_wallet_is_no_signer() -> None:
    with pytest.raises(ValueError, match="not of the wallet"):
        start(signing_descriptor(wallet(ED25519, 2, 3), [1, 2, 4]))


def test_verifying_shares_of_another_epoch_are_refused() -> None:
    # The same key, shared anew: the group public key alone does not tell the epochs apart.
    before, after = (wallets[ONE].shares[ED25519] for wallets in (created(2, 3), refreshed(2, 3)))
    assert before.key.group_public_key == after.key.group_public_key
    keys = {ONE: before}
    with pytest.raises(ValueError, match="different epochs"):
        start(signing_descriptor(keys, [1, 2]), keys=keys, public=after.public)
    with pytest.raises(ValueError, match="different epochs"):
        start(signing_descriptor(keys, [1, 2]), keys=keys, key=after.key)


# Nonces are of one session, one message and one place in their pair.


def commitments_of(descriptor: SigningDescriptor, rng: Any) -> bytes:
    keys = wallet(ED25519, 2, 3)
    script = sign(
        descriptor=descriptor,
        me=ONE,
        key=keys[ONE].key,
        public=keys[ONE].public,
        signer=simulate.signer(name_of(1)),
        rng=rng,
        process=os.getpid,
    )
    running = Execution(script, me=ONE, participants=descriptor.participants)
    ((_, message),) = running.messages_to_send()
    running.close()
    return message.data[module.HEAD_SIZE :]


def points_of(listed: bytes) -> list[bytes]:
    pairs = [listed[at : at + 69] for at in range(0, len(listed), 69)]
    return [point for pair in pairs for point in (pair[5:37], pair[37:])]


def test_a_source_that_repeats_itself_gives_no_nonce_twice() -> None:
    keys = wallet(ED25519, 2, 3)
    stuck = bytes
    first, again, other = (signing_descriptor(keys, [1, 2], [b"one", b"two", b"two"], seed=k) for k in (1, 1, 2))
    points = points_of(commitments_of(first, stuck))
    assert len(set(points)) == 6
    assert commitments_of(again, stuck) == b"".join(points_of_pairs(points))
    assert not set(points) & set(points_of(commitments_of(other, stuck)))
    changed = [
        replace(first, messages=(b"one", b"two", b"three")),
        replace(first, agreed=bytes(32)),
        replace(first, epoch_id=EpochId(bytes(32))),
    ]
    for descriptor in changed:
        assert not set(points) & set(points_of(commitments_of(descriptor, stuck)))


def points_of_pairs(points: list[bytes]) -> list[bytes]:
    head = bytes([0]) + crc32(ED25519.encode()).to_bytes(4, "big")
    return [head + points[k] + points[k + 1] for k in range(0, len(points), 2)]


def test_what_a_nonce_is_made_of() -> None:
    draws = iter([b"1" * 32, b"2" * 32])
    randomness = nonce_randomness(lambda _size: next(draws), GOOD.hash, 7)
    for drawn, which in ((b"1" * 32, b"hiding"), (b"2" * 32, b"binding")):
        assert randomness(32) == tagged_hash("mpcnode/nonce/v1", drawn, GOOD.hash, (7).to_bytes(8, "big"), which)
    with pytest.raises(StopIteration):
        randomness(32)


def test_the_fresh_bytes_everybody_sees_are_not_those_of_the_nonces() -> None:
    drawn: list[bytes] = []

    def rng(size: int) -> bytes:
        drawn.append(os.urandom(size))
        return drawn[-1]

    commitments_of(GOOD, rng)
    assert len(set(drawn)) == len(drawn) == 1 + 2


# What is left of the secrets.


@pytest.fixture
def nonces(monkeypatch: pytest.MonkeyPatch) -> list[tuple[SigningNonces, list[Any]]]:
    """Every pair of nonces made, and its scalars."""
    made: list[tuple[SigningNonces, list[Any]]] = []
    commit = round1.commit

    def spy(*args: Any) -> SigningNonces:
        pair = commit(*args)
        made.append((pair, list(pair._scalars)))
        return pair

    monkeypatch.setattr(round1, "commit", spy)
    return made


def all_gone(nonces: list[tuple[SigningNonces, list[Any]]]) -> bool:
    for pair, scalars in nonces:
        with pytest.raises(ValueError, match="used or wiped"):
            pair.take()
        if not all(scalar.is_zero() for scalar in scalars):
            return False
    return bool(nonces)


def test_nonces_are_gone_when_the_signature_is_there(nonces: list[tuple[SigningNonces, list[Any]]]) -> None:
    simulate_sign(GOOD, wallet(ED25519, 2, 3)).run()
    assert len(nonces) == 2
    assert all_gone(nonces)


def test_nonces_are_gone_when_the_session_is_closed(nonces: list[tuple[SigningNonces, list[Any]]]) -> None:
    execution(GOOD, wallet(ED25519, 2, 3), ONE).close()
    assert len(nonces) == 1
    assert all_gone(nonces)


def test_nonces_are_gone_when_somebody_cheats(nonces: list[tuple[SigningNonces, list[Any]]]) -> None:
    simulation = simulate_sign(
        GOOD, wallet(ED25519, 2, 3), tamper=lambda _s, _r, m: [m, m] if m.kind == NONCES else [m]
    )
    assert simulation.run_all().keys() == {1, 2}
    assert all_gone(nonces)


def test_nonces_are_gone_when_making_more_fails(nonces: list[tuple[SigningNonces, list[Any]]]) -> None:
    drawn = iter([b"0" * 32, b"1" * 32, b"2" * 32])

    def rng(_size: int) -> bytes:
        for data in drawn:
            return data
        raise OSError("no more randomness")

    keys = wallet(ED25519, 2, 3)
    with pytest.raises(OSError, match="no more randomness"):
        start(signing_descriptor(keys, [1, 2], [b"first", b"second"]), rng=rng)
    assert len(nonces) == 1
    assert all_gone(nonces)


def test_the_wallets_key_is_as_it_was_and_the_tweaked_one_is_wiped(monkeypatch: pytest.MonkeyPatch) -> None:
    tweaked: list[Any] = []

    def spy(*args: Any) -> Any:
        tweaked.append(adjusting.adjust_key(*args))
        return tweaked[-1]

    monkeypatch.setattr(module, "adjust_key", spy)
    keys = wallet(TAPROOT, 2, 3)
    before = {i: bytes(share.key.encode()) for i, share in keys.items()}
    simulate_sign(signing_descriptor(keys, [1, 3], adjustments=(TaprootTweak(bytes(32)),)), keys).run()
    assert {i: bytes(share.key.encode()) for i, share in keys.items()} == before
    assert len(tweaked) == 2
    assert all(key.signing_share.is_zero() for key in tweaked)


def test_the_session_does_not_show_its_key() -> None:
    share = wallet(ED25519, 2, 3)[ONE]
    session = _Session(GOOD, ONE, share.key, share.public, simulate.signer("cli01"))
    assert share.key.signing_share.encode().hex() not in repr(session)
    assert " key=" not in repr(session)


def test_orders_of_delivery_do_differ() -> None:
    # Guards the property test above: the seed decides what arrives when.
    keys = wallet(PLAIN, 2, 3)
    descriptor = signing_descriptor(keys, [1, 2, 3])
    orders = set()
    for seed in range(4):
        order: list[tuple[int, int, str]] = []
        simulation = simulate_sign(descriptor, keys)
        simulation.order = random.Random(seed)
        simulation.tamper = lambda s, r, m, order=order: (order.append((s, r, m.kind)), [m])[1]  # type: ignore[misc]
        simulation.run()
        orders.add(tuple(order))
    assert len(orders) > 1
