"""Dishonest signers: for every refusal in signing one who asks for it, and who is named; never a wrong signature."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from mpcnode.crypto.adjustment import TaprootTweak
from mpcnode.crypto.suites import SUITES
from mpcnode.errors import Disagreement, ParticipantCheated
from mpcnode.protocols.execution import ProtocolMessage
from mpcnode.protocols.frost import round1, round2
from mpcnode.protocols.frost import sign as module
from mpcnode.protocols.frost.binding import Binding
from mpcnode.protocols.frost.packages import KeyPackage
from mpcnode.protocols.frost.round1 import SigningNonces
from mpcnode.protocols.frost.sign import HEAD_SIZE, NONCE_LIST, NONCES, SIGNATURE_SHARE
from mpcnode.protocols.frost.signing_packages import SignatureShare, SigningCommitments
from mpcnode.protocols.signing_descriptor import SigningDescriptor
from mpcnode.types import EpochId, Identifier, SessionId, SuiteId
from tests.helpers.lying_signer import (
    HONEST,
    LIAR,
    MESSAGES,
    Heard,
    accused,
    add_to_share,
    expect_named,
    fresh_of,
    pairs,
    resign,
    run,
    session,
    signed_commitments,
)
from tests.helpers.signing import ED25519, PLAIN, TAPROOT, execution, signing_descriptor, simulate_sign, wallet
from tests.helpers.tamper import Change, Rule, drop, extend, flip, put, truncate, twice

every_suite = pytest.mark.parametrize("suite", SUITES)


# Round 1


def identity(descriptor: SigningDescriptor) -> bytes:
    return b"\x01" + bytes(31) if descriptor.suite == ED25519 else bytes(33)


def with_identity(place: int) -> Any:
    def make(descriptor: SigningDescriptor) -> Change:
        at = 5 + place * descriptor.ciphersuite.group.element_size

        def change(listed: list[bytes]) -> Sequence[bytes]:
            second = listed[1]
            return [listed[0], second[:at] + identity(descriptor) + second[at + len(identity(descriptor)) :]]

        return resign(descriptor, LIAR, change)

    return make


def another_session(descriptor: SigningDescriptor) -> Change:
    """Commitments this signer really signed, for a session of the same wallet, signers and messages."""
    other = signing_descriptor(wallet(descriptor.suite, 2, 3), [1, 2, 3], MESSAGES, seed="another")

    def change(message: ProtocolMessage) -> Iterable[ProtocolMessage]:
        listed = message.data[HEAD_SIZE:]
        data = signed_commitments(other, LIAR, listed, fresh_of(message.data))
        return [replace(message, data=descriptor.hash + data[32:])]

    return change


def as_another_signer(descriptor: SigningDescriptor) -> Change:
    """What signer 1 would send, whole."""
    return lambda message: [replace(message, data=signed_commitments(descriptor, 1, message.data[HEAD_SIZE:]))]


COMMITMENT_LIES: list[tuple[Any, str]] = [
    (lambda _d: flip(32), "invalid signature"),
    (lambda _d: flip(70), "invalid signature"),
    (lambda _d: flip(-1), "invalid signature"),
    (lambda _d: truncate, "invalid signature"),
    (another_session, "invalid signature"),
    (as_another_signer, "invalid signature"),
    (lambda _d: lambda m: [replace(m, data=m.data[: HEAD_SIZE - 1])], "malformed"),
    (lambda _d: lambda m: [replace(m, data=m.data[:31])], "malformed"),
    (lambda _d: lambda m: [replace(m, data=b"")], "malformed"),
    (lambda _d: extend, "invalid signature"),
    (lambda _d: lambda m: [replace(m, data=m.data + bytes(80_000))], "too long"),
    (lambda d: resign(d, LIAR, lambda listed: [*listed, listed[0]]), "malformed"),
    (lambda d: resign(d, LIAR, lambda listed: listed[:1]), "malformed"),
    (lambda d: resign(d, LIAR, lambda _listed: []), "malformed"),
    (lambda d: resign(d, LIAR, lambda listed: [listed[0], listed[1][:-1]]), "malformed"),
    (lambda d: resign(d, LIAR, lambda listed: [listed[0], b"\x01" + listed[1][1:]]), "version 0"),
    (lambda d: resign(d, LIAR, lambda listed: [listed[0], b"\x00" * 5 + listed[1][5:]]), "version 0"),
    (
        lambda d: resign(d, LIAR, lambda listed: [listed[0], listed[1][:5] + b"\xff" * (len(listed[1]) - 5)]),
        "malformed",
    ),
    (with_identity(0), "malformed"),
    (with_identity(1), "malformed"),
    (lambda d: resign(d, LIAR, lambda listed: [listed[0], listed[0]]), "same nonces for two messages"),
    (lambda _d: twice, "twice"),
    (lambda _d: lambda m: [replace(m, lane=ED25519)], "no round has"),
    (lambda _d: lambda m: [replace(m, kind="commitment")], "no round has"),
    (lambda _d: lambda m: [replace(m, kind=SIGNATURE_SHARE)], "before that round"),
]


@pytest.mark.parametrize(("lie", "match"), COMMITMENT_LIES)
def test_wrong_commitments_name_their_sender(lie: Any, match: str) -> None:
    descriptor = session()
    expect_named(run(descriptor, Rule(NONCES, LIAR, None, lie(descriptor))), match)


@pytest.mark.parametrize("suite", [TAPROOT, PLAIN])
@pytest.mark.parametrize("place", [0, 1])
def test_an_identity_commitment_names_its_sender_in_every_suite(suite: SuiteId, place: int) -> None:
    descriptor = session(suite)
    expect_named(run(descriptor, Rule(NONCES, LIAR, None, with_identity(place)(descriptor))), "malformed")


@pytest.mark.parametrize(
    "switched",
    [
        {"messages": (b"first", b"secong")},
        {"messages": (b"first",)},
        {"messages": (b"first", b"second", b"third")},
        {"epoch_id": EpochId(bytes(32))},
        {"adjustments": (TaprootTweak(bytes(32)),)},
        {"reading": "text"},
        {"agreed": bytes(32)},
        {"session_id": SessionId(bytes(16))},
    ],
)
def test_a_signer_with_another_message_or_epoch_or_tweak_stops_everybody(switched: dict[str, Any]) -> None:
    descriptor = session(TAPROOT)
    keys = wallet(TAPROOT, 2, 3)
    simulation = simulate_sign(descriptor, keys)
    other = execution(replace(descriptor, **switched), keys, Identifier(LIAR))
    simulation.executions = {**simulation.executions, Identifier(LIAR): other}
    heard = simulation.tamper = Heard(simulation.tamper)
    errors = simulation.run_all()
    assert errors.keys() == {1, 2, 3}
    for i in HONEST:
        # The proposer may have told two stories, or the server: what differs names nobody.
        assert isinstance(errors[i], Disagreement)
        assert (errors[i].culprits, errors[i].suspects) == ((), frozenset())  # type: ignore[attr-defined]
    assert SIGNATURE_SHARE not in heard.kinds


def test_a_wrong_descriptor_names_nobody_and_no_share_leaves() -> None:
    heard = Heard(Rule(NONCES, LIAR, None, flip(0)))
    simulation = run(session(), heard)
    for i in HONEST:
        error = simulation.errors[i]
        assert isinstance(error, Disagreement)
        assert (error.culprits, error.suspects) == ((), frozenset())
    assert heard.kinds <= {NONCES, NONCE_LIST}


# Round 2


@pytest.mark.parametrize(("lie", "match"), [(truncate, "malformed"), (extend, "too long"), (twice, "twice")])
def test_a_malformed_hash_of_the_list_names_its_sender(lie: Change, match: str) -> None:
    expect_named(run(session(), Rule(NONCE_LIST, LIAR, None, lie)), match)


# Round 3


@every_suite
@pytest.mark.parametrize("k", [0, -1])
def test_a_wrong_share_names_its_sender_whichever_message_it_is_for(suite: SuiteId, k: int) -> None:
    descriptor = session(suite)
    rule = Rule(SIGNATURE_SHARE, LIAR, None, add_to_share(descriptor, 1, k))
    expect_named(run(descriptor, rule), "invalid signature share")


def test_a_wrong_share_for_the_last_of_many_messages_is_found() -> None:
    keys = wallet(TAPROOT, 2, 3)
    descriptor = signing_descriptor(keys, [1, 2, 3], [bytes([k]) for k in range(20)])
    expect_named(run(descriptor, Rule(SIGNATURE_SHARE, LIAR, None, add_to_share(descriptor, 1, -1))), "invalid")


def test_shares_in_each_others_place_name_their_sender() -> None:
    swap: Change = lambda message: [replace(message, data=message.data[32:] + message.data[:32])]  # noqa: E731
    expect_named(run(session(), Rule(SIGNATURE_SHARE, LIAR, None, swap)), "invalid signature share")


def test_the_share_of_another_signer_names_who_sent_it() -> None:
    copied: dict[str, bytes] = {}

    def copy(sender: Identifier, _recipient: Identifier, message: ProtocolMessage) -> Iterable[ProtocolMessage]:
        if message.kind != SIGNATURE_SHARE:
            return [message]
        if sender == 1:
            copied["data"] = message.data
        return [replace(message, data=copied["data"])] if sender == LIAR and "data" in copied else [message]

    named: set[tuple[str, ...]] = set()
    for seed in range(6):
        copied.clear()
        named |= set(accused(run(session(), copy, seed)).values())
    assert named == {("cli03",)}


def test_who_copies_anothers_commitments_cannot_answer_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    descriptor, keys, commit = session(), wallet(ED25519, 2, 3), round1.commit
    # What signer 1 will commit to, known beforehand because its randomness is.
    victim = execution(descriptor, keys, Identifier(1))
    ((_, sent),) = victim.messages_to_send()
    victim.close()
    stolen = [SigningCommitments.decode(descriptor.ciphersuite, pair) for pair in pairs(descriptor, sent.data)]
    simulation = simulate_sign(descriptor, keys)
    with monkeypatch.context() as context:
        theft = iter(stolen)
        context.setattr(round1, "commit", lambda *args: SigningNonces(*commit(*args).take(), next(theft)))
        thief = execution(descriptor, keys, Identifier(LIAR))
    simulation.executions = {**simulation.executions, Identifier(LIAR): thief}
    simulation.run_all()
    expect_named(simulation, "invalid signature share")


@pytest.mark.parametrize(
    ("lie", "match"),
    [
        (truncate, "malformed"),
        (extend, "too long"),
        (lambda m: [replace(m, data=m.data[:32])], "malformed"),
        (lambda m: [replace(m, data=b"")], "malformed"),
        (put(0, b"\xff" * 32), "malformed"),
        (put(32, (2**252 + 27742317777372353535851937790883648493).to_bytes(32, "little")), "malformed"),
        (put(0, bytes(32)), "invalid signature share"),
        (twice, "twice"),
    ],
)
def test_a_share_that_is_none_names_its_sender(lie: Change, match: str) -> None:
    simulation = run(session(), Rule(SIGNATURE_SHARE, LIAR, None, lie))
    if match == "twice":
        # A signer that finished before the second copy has its signature, and it is right.
        assert set(accused(simulation).values()) <= {("cli03",)}
    else:
        expect_named(simulation, match)


def test_all_who_send_wrong_shares_are_named() -> None:
    keys = wallet(ED25519, 2, 4)
    descriptor = signing_descriptor(keys, [1, 2, 3, 4])
    wrong = add_to_share(descriptor, 1)
    simulation = simulate_sign(
        descriptor, keys, tamper=lambda s, _r, m: wrong(m) if s in {3, 4} and m.kind == SIGNATURE_SHARE else [m]
    )
    simulation.run_all()
    for i in HONEST:
        assert accused(simulation)[i] == ("cli03", "cli04")


def test_wrong_shares_that_cancel_each_other_have_harmed_nobody() -> None:
    keys = wallet(ED25519, 2, 4)
    descriptor = signing_descriptor(keys, [1, 2, 3, 4])
    change = {3: add_to_share(descriptor, 1), 4: add_to_share(descriptor, -1)}
    simulation = simulate_sign(
        descriptor,
        keys,
        tamper=lambda s, r, m: change[s](m) if s in change and r in HONEST and m.kind == SIGNATURE_SHARE else [m],
    )
    results = simulation.run()
    assert len(set(results.values())) == 1


def test_a_lie_to_one_signer_alone_leaves_the_others_their_signature() -> None:
    descriptor = session()
    simulation = run(descriptor, Rule(SIGNATURE_SHARE, LIAR, 2, add_to_share(descriptor, 1)))
    assert simulation.errors.keys() == {2}
    assert accused(simulation) == {2: ("cli03",)}
    assert simulation.executions[Identifier(1)].finished


def test_a_missing_share_gives_no_signature() -> None:
    simulation = run(session(), Rule(SIGNATURE_SHARE, LIAR, None, drop))
    assert simulation.errors == {}
    for i in HONEST:
        assert not simulation.executions[i].finished
        assert simulation.executions[i].waiting_for == {LIAR}


@every_suite
def test_a_signature_another_library_refuses_never_leaves(suite: SuiteId, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "verify", lambda *_: False)
    simulation = run(session(suite), lambda _s, _r, m: [m])
    assert simulation.errors.keys() == {1, 2, 3}
    for error in simulation.errors.values():
        # All shares are right: nobody else is to blame for this node's arithmetic.
        assert isinstance(error, RuntimeError)
        assert "cannot be trusted" in str(error)
    assert not any(execution.finished for execution in simulation.executions.values())


def test_a_node_whose_own_share_is_wrong_blames_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = round2.sign

    def miscompute(binding: Binding, nonces: SigningNonces, key: KeyPackage) -> SignatureShare:
        share = answer(binding, nonces, key)
        return SignatureShare(share.suite, share.share + share.share) if key.identifier == LIAR else share

    monkeypatch.setattr(round2, "sign", miscompute)
    simulation = run(session(), lambda _s, _r, m: [m])
    expect_named(simulation, "invalid signature share")
    error = simulation.errors[Identifier(LIAR)]
    assert isinstance(error, RuntimeError)
    assert "cannot be trusted" in str(error)


def test_a_stranger_is_refused_without_harm() -> None:
    keys = wallet(ED25519, 2, 3)
    descriptor = signing_descriptor(keys, [1, 2])
    simulation = simulate_sign(descriptor, keys)
    ((_, message),) = simulation.executions[Identifier(1)].messages_to_send()
    with pytest.raises(ParticipantCheated, match="does not take part"):
        simulation.executions[Identifier(2)].receive(Identifier(3), message)
    simulation = simulate_sign(descriptor, keys)
    assert simulation.run().keys() == {1, 2}
