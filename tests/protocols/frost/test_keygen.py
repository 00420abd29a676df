"""Key generation as a whole: every order of messages, and one lie for every way there is to cheat."""

import random
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpcnode.crypto.ciphersuite import DEFAULT_SUITES, SUITES
from mpcnode.crypto.group import SCALAR_SIZE
from mpcnode.crypto.polynomial import lagrange_coefficient
from mpcnode.errors import InconsistentBroadcast, ParticipantCheated
from mpcnode.protocols.certificate import READY_CONTEXT, encode_ready
from mpcnode.protocols.execution import ProtocolMessage
from mpcnode.protocols.frost import pedpop
from mpcnode.protocols.frost.broadcast import SignedDigest, digest_of, echo_of, equivocators, sign_digest
from mpcnode.protocols.frost.keygen import ConfirmWords, KeygenResult, StoreActive, StorePending, keygen
from mpcnode.protocols.frost.packages import Round1Package, Round2Package
from mpcnode.types import Identifier, SuiteId
from tests.helpers.simulate import Simulation, Tamper, descriptor, seeded, signer, simulate_keygen
from tests.helpers.tamper import Change, Rule, drop, extend, flip, put, truncate, twice

SESSION = descriptor(2, 3)
CONTEXT = SESSION.context
NAMES = SESSION.participants
LIAR = Identifier(2)
VICTIM = Identifier(3)
SUITE = SUITES[DEFAULT_SUITES[0]]


def secrets_of(result: KeygenResult) -> Iterable[Any]:
    return [share.key.signing_share for share in result.shares.values()]


@settings(max_examples=20, deadline=None)
@given(st.data(), st.integers(0, 2**32))
def test_everybody_ends_with_the_same_wallet_whatever_the_order(data: st.DataObject, seed: int) -> None:
    total = data.draw(st.integers(2, 5))
    threshold = data.draw(st.integers(2, total))
    session = descriptor(threshold, total, seed=seed)
    results = simulate_keygen(session, seed=seed).run()
    first = results[Identifier(1)]
    assert first.certificate.verify(session.identity_keys)
    for me, result in results.items():
        assert (result.transcript, result.certificate) == (first.transcript, first.certificate)
        assert result.group_public_keys == first.group_public_keys
        assert list(result.shares) == list(session.suites)
        assert [share.key.identifier for share in result.shares.values()] == [me] * len(session.suites)
        for suite, share in result.shares.items():
            assert share.public == first.shares[suite].public
            assert share.key.verifying_share == share.public.verifying_shares[me]
            assert SUITES[suite].group.scalar_base_mult(share.key.signing_share) == share.key.verifying_share
    signers = data.draw(st.permutations(list(results)))[:threshold]
    for suite in session.suites:
        group = SUITES[suite].group
        lambdas = {i: lagrange_coefficient(group, i, signers) for i in signers}
        secret = group.sum_scalars(lambdas[i] * results[i].shares[suite].key.signing_share for i in signers)
        assert group.scalar_base_mult(secret).encode() == first.group_public_keys[suite]


def test_the_same_seed_gives_the_same_wallet_in_any_order_and_another_seed_another() -> None:
    transcripts = []
    for seed, order in ((1, 1), (1, 2), (2, 1)):
        simulation = simulate_keygen(SESSION, seed=seed)
        simulation.order = random.Random(order)
        transcripts.append(simulation.run()[LIAR].transcript)
    assert transcripts[0] == transcripts[1] != transcripts[2]


def test_a_participant_is_asked_to_compare_to_store_and_to_store_again() -> None:
    simulation = simulate_keygen(SESSION)
    results = simulation.run()
    asked = simulation.checkpoints
    assert [[type(record) for record in records] for records in asked.values()] == [
        [ConfirmWords, StorePending, StoreActive]
    ] * 3
    assert len({records[0].words for records in asked.values()}) == 1
    for me, (_, pending, active) in asked.items():
        assert (pending.descriptor, pending.identifier) == (SESSION, me)
        assert pending.transcript == results[me].transcript
        assert active.certificate.signatures[NAMES[me]] == pending.ready
        assert active.certificate == results[me].certificate


def test_another_session_has_other_words() -> None:
    words = set()
    for seed in range(3):
        simulation = simulate_keygen(descriptor(2, 2, seed=seed))
        simulation.run()
        words.add(simulation.checkpoints[LIAR][0].words)
    assert len(words) == 3


def at_checkpoint(record: type) -> tuple[Simulation[KeygenResult], dict[Identifier, Any]]:
    """Run until every execution stands at this checkpoint; nobody confirms it."""
    simulation = simulate_keygen(SESSION)

    simulation.confirms = lambda asked: not isinstance(asked, record)
    simulation.run_all()
    return simulation, {me: execution.checkpoint for me, execution in simulation.executions.items()}


def test_no_share_leaves_before_the_words_are_confirmed() -> None:
    simulation, asked = at_checkpoint(ConfirmWords)
    assert all(isinstance(record, ConfirmWords) for record in asked.values())
    execution = simulation.executions[LIAR]
    assert (execution.messages_to_send(), execution.phase) == ([], "commitment")
    execution.confirm()
    sent = execution.messages_to_send()
    assert [(to, message.kind, message.suite) for to, message in sent] == [
        (to, "share", suite) for suite in SESSION.suites for to in (1, 3)
    ]


def test_no_ready_leaves_before_the_share_is_stored() -> None:
    simulation, asked = at_checkpoint(StorePending)
    assert all(isinstance(record, StorePending) for record in asked.values())
    execution = simulation.executions[LIAR]
    assert execution.messages_to_send() == []
    execution.confirm()
    assert [message.kind for _, message in execution.messages_to_send()] == ["ready"]
    assert execution.waiting_for == {1, 3}


@pytest.mark.parametrize("record", [ConfirmWords, StorePending, StoreActive])
def test_ended_at_any_checkpoint_it_leaves_no_secret(record: type, monkeypatch: pytest.MonkeyPatch) -> None:
    polynomials: list[Any] = []
    commit = pedpop.commit

    def watched(*arguments: Any) -> Any:
        polynomials.append(commit(*arguments))
        return polynomials[-1]

    monkeypatch.setattr(pedpop, "commit", watched)
    simulation, asked = at_checkpoint(record)
    coefficients = [a for f, _ in polynomials for a in f._coefficients]
    buffers = [a._buffer for a in coefficients]
    if isinstance(asked[LIAR], StorePending):
        buffers += [share.key.signing_share._buffer for ask in asked.values() for share in ask.shares.values()]
        assert any(any(buffer) for buffer in buffers)
    for execution in simulation.executions.values():
        execution.close()
    assert all(buffer == bytes(SCALAR_SIZE) for buffer in buffers)
    assert all(f._coefficients == [] for f, _ in polynomials)


def test_a_result_keeps_its_shares_and_closing_does_not_harm_them() -> None:
    simulation = simulate_keygen(SESSION)
    for me, result in simulation.run().items():
        simulation.executions[me].close()
        assert not any(secret.is_zero() for secret in secrets_of(result))
        shown = repr(result) + repr(simulation.checkpoints[me][1])
        for secret in secrets_of(result):
            assert secret.encode().hex() not in shown
            assert repr(secret.encode()) not in shown


# One lie for every way to cheat. The liar's own execution may fail too: it does not know what it said.


def errors_of_the_honest(tamper: Tamper, *, seed: int = 0) -> dict[Identifier, Exception]:
    errors = simulate_keygen(SESSION, seed=seed, tamper=tamper).run_all()
    return {i: error for i, error in errors.items() if i != LIAR}


def told(liar_tells: Change, kind: str, match: str) -> None:
    """Told to one, that one names the liar; told to both, both do."""
    for victim, hurt in ((VICTIM, {VICTIM}), (None, {1, 3})):
        for suite in SESSION.suites if kind != "ready" else (None,):
            rule = Rule(kind, LIAR, victim, liar_tells, suite)
            errors = errors_of_the_honest(rule)
            assert rule.used
            assert errors.keys() == hurt
            for error in errors.values():
                assert isinstance(error, ParticipantCheated)
                assert error.culprits == (NAMES[LIAR],), error
                assert match in str(error)


KINDS = ["commitment_digest", "commitment", "share", "ready"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_message_sent_twice_names_its_sender(kind: str) -> None:
    told(twice, kind, "twice")


@pytest.mark.parametrize("kind", ["commitment_digest", "commitment", "ready"])
def test_a_message_that_is_too_long_names_its_sender(kind: str) -> None:
    told(lambda message: [replace(message, data=message.data + bytes(500))], kind, "too long")


def test_a_digest_that_is_cut_short_names_its_sender() -> None:
    told(truncate, "commitment_digest", "malformed")


def test_a_digest_or_signature_that_was_changed_names_its_sender() -> None:
    for at in (32, 63, 64, 127):
        told(flip(at), "commitment_digest", "invalid signature")


def test_a_digest_signed_by_somebody_else_names_its_sender() -> None:
    def change(message: ProtocolMessage) -> Iterable[ProtocolMessage]:
        assert message.suite is not None
        signed = sign_digest(signer("mallory"), CONTEXT, message.suite, LIAR, bytes(32))
        return [replace(message, data=CONTEXT + signed.encode())]

    told(change, "commitment_digest", "invalid signature")


def test_a_digest_of_another_session_is_inconsistent_and_names_nobody() -> None:
    errors = errors_of_the_honest(Rule("commitment_digest", LIAR, VICTIM, flip(0)))
    (error,) = errors.values()
    assert isinstance(error, InconsistentBroadcast)
    assert error.culprits == ()
    assert "different things about this session" in str(error)


@pytest.mark.parametrize("change", [truncate, flip(0), flip(6), flip(-1)], ids=["cut", "header", "point", "proof"])
def test_a_commitment_that_was_not_promised_names_its_sender(change: Change) -> None:
    told(change, "commitment", "another commitment than it promised")


def promise(make: Callable[[Any], bytes]) -> Tamper:
    """Promise and then reveal what ``make`` makes of a suite, to everybody, in every suite.

    The liar's own execution is lied to as well, so that it goes on: the echoes it hears are those of what it meant.
    """
    meant: dict[Any, dict[Identifier, SignedDigest]] = {suite: {} for suite in SESSION.suites}

    def change(sender: Identifier, recipient: Identifier, message: ProtocolMessage) -> Iterable[ProtocolMessage]:
        suite = message.suite
        if suite is None or message.kind not in {"commitment_digest", "commitment"}:
            return [message]
        if message.kind == "commitment_digest":
            meant[suite][sender] = SignedDigest.decode(message.data[32:])
        elif recipient == LIAR:
            return [replace(message, echo=echo_of(CONTEXT, suite, meant[suite]))]
        if sender != LIAR:
            return [message]
        package = make(SUITES[suite])
        if message.kind == "commitment":
            return [replace(message, data=package)]
        signed = sign_digest(signer("cli02"), CONTEXT, suite, LIAR, digest_of(CONTEXT, suite, LIAR, package))
        return [replace(message, data=CONTEXT + signed.encode())]

    return change


def package(suite: Any, threshold: int = 2, dealer: Identifier = LIAR) -> bytes:
    return pedpop.commit(suite, dealer, threshold, seeded("lie"))[1].encode()


def zero_constant(suite: Any) -> bytes:
    """The identity where a point should be, as each library would write it."""
    size = suite.group.element_size
    identity = b"\x01" + bytes(31) if size == 32 else bytes(33)
    return package(suite)[:6] + identity + package(suite)[6 + size :]


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda suite: package(suite, 1), "exactly 2 elements"),
        (lambda suite: package(suite, 2)[:-1], "malformed"),
        (lambda suite: b"\x01" + package(suite)[1:], "version 0"),
        (lambda _suite: package(SUITES[SuiteId("FROST-secp256k1-SHA256-v1")])[:100], "version 0"),
        (zero_constant, "malformed"),
        (lambda suite: package(suite, dealer=VICTIM), "invalid proof of knowledge"),
    ],
    ids=["points", "cut", "version", "suite", "identity", "proof"],
)
def test_a_promised_commitment_that_is_none_names_its_sender(make: Callable[[Any], bytes], match: str) -> None:
    errors = errors_of_the_honest(promise(make))
    assert errors.keys() == {1, 3}
    for error in errors.values():
        assert isinstance(error, ParticipantCheated)
        assert not isinstance(error, InconsistentBroadcast)
        assert error.culprits == (NAMES[LIAR],)
        assert match in str(error)


@pytest.mark.parametrize("echo", [None, bytes(32), b""], ids=["missing", "wrong", "empty"])
def test_a_wrong_echo_is_inconsistent_and_names_nobody(echo: bytes | None) -> None:
    rule = Rule("commitment", LIAR, VICTIM, lambda message: [replace(message, echo=echo)])
    (error,) = errors_of_the_honest(rule).values()
    assert isinstance(error, InconsistentBroadcast)
    assert error.culprits == ()
    assert error.evidence is not None


def equivocation() -> Tamper:
    """Promise one commitment to the first participant and another to the victim; reveal accordingly."""
    lie = promise(package)

    def change(sender: Identifier, recipient: Identifier, message: ProtocolMessage) -> Iterable[ProtocolMessage]:
        lied = lie(sender, recipient, message)
        return lied if recipient != 1 else [message]

    return change


@pytest.mark.parametrize("seed", range(5))
def test_two_promises_show_and_comparing_evidence_names_the_dealer(seed: int) -> None:
    simulation = simulate_keygen(SESSION, seed=seed, tamper=equivocation())
    errors = {i: error for i, error in simulation.run_all().items() if i != LIAR}
    # Whoever the order let hear the other's echo knows; nobody honest got as far as sending a share.
    assert errors
    assert all(isinstance(error, InconsistentBroadcast) and error.culprits == () for error in errors.values())
    assert all(simulation.executions[i].phase == "commitment" for i in (Identifier(1), VICTIM))
    mine, theirs = (simulation.executions[i].evidence for i in (Identifier(1), VICTIM))
    assert mine is not None
    assert theirs is not None
    assert equivocators(mine, theirs, SESSION) == {LIAR}
    assert equivocators(theirs, mine, SESSION) == {LIAR}


def test_a_share_that_does_not_open_names_its_sender() -> None:
    for change in (flip(0), flip(-1), truncate, extend):
        told(change, "share", "malformed")


Remake = Callable[[ProtocolMessage, bytes], bytes]


def resealed(make: Remake) -> Tamper:
    """Open what the liar sent (the test is in league with it) and seal something else."""

    def change(source: Identifier, recipient: Identifier, message: ProtocolMessage) -> Iterable[ProtocolMessage]:
        if source != LIAR or recipient != VICTIM or message.kind != "share":
            return [message]
        key = signer(NAMES[VICTIM]).public_key
        aad = _aads[message.suite]
        plain = make(message, message.data[32:])
        return [replace(message, data=signer("cli02").seal(key, plain, aad, seeded(0)))]

    return change


def _share_aads() -> dict[Any, bytes]:
    from mpcnode.protocols.frost.keygen import _Session, _share_aad

    session = _Session(SESSION, CONTEXT, LIAR, signer("cli02"), seeded(0))
    return {suite: _share_aad(session, suite, LIAR, VICTIM) for suite in SESSION.suites}


_aads = _share_aads()


def add_one(message: ProtocolMessage, plain: bytes) -> bytes:
    assert message.suite is not None
    suite = SUITES[message.suite]
    share = Round2Package.decode(suite, plain).signing_share + suite.group.scalar(1)
    return bytes(Round2Package(suite, share).encode())


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (add_one, "does not fit its commitment"),
        (lambda _message, plain: plain[:-1], "malformed"),
        (lambda _message, plain: plain + b"\x00", "malformed"),
        (lambda _message, plain: b"\x01" + plain[1:], "malformed"),
        (lambda _message, plain: plain[:5] + b"\xff" * 32, "below the group order"),
    ],
    ids=["wrong", "short", "long", "header", "no scalar"],
)
def test_a_wrong_share_well_sealed_names_its_dealer(make: Remake, match: str) -> None:
    (error,) = errors_of_the_honest(resealed(make)).values()
    assert isinstance(error, ParticipantCheated)
    assert error.culprits == (NAMES[LIAR],)
    assert match in str(error)


def test_a_share_is_taken_from_its_dealer_for_its_recipient_suite_and_session_alone() -> None:
    everything = {}
    simulation = simulate_keygen(SESSION)

    def spy(sender: Identifier, recipient: Identifier, message: ProtocolMessage) -> Iterable[ProtocolMessage]:
        if message.kind == "share":
            everything[sender, recipient, message.suite] = message.data
        return [message]

    simulation.tamper = spy
    simulation.run()
    other = simulate_keygen(descriptor(2, 3, seed="other"))
    elsewhere: dict[Any, bytes] = {}

    def spy_there(sender: Identifier, recipient: Identifier, message: ProtocolMessage) -> Iterable[ProtocolMessage]:
        if message.kind == "share":
            elsewhere[sender, recipient, message.suite] = message.data
        return [message]

    other.tamper = spy_there
    other.run()
    first, second = SESSION.suites
    for wrong in (
        everything[Identifier(1), VICTIM, first],
        everything[LIAR, Identifier(1), first],
        everything[LIAR, VICTIM, second],
        elsewhere[LIAR, VICTIM, first],
    ):
        rule = Rule("share", LIAR, VICTIM, put(0, wrong), first)
        (error,) = errors_of_the_honest(rule).values()
        assert "not sealed by this sender to us for this purpose" in str(error)
        assert isinstance(error, ParticipantCheated)
        assert error.culprits == (NAMES[LIAR],)


def test_a_ready_for_another_transcript_names_its_sender() -> None:
    other = encode_ready(bytes(32), signer("cli02").sign(READY_CONTEXT, bytes(32)))
    told(put(0, other), "ready", "another transcript")


def test_a_ready_with_a_wrong_signature_names_its_sender() -> None:
    told(flip(-1), "ready", "invalid signature")
    told(truncate, "ready", "malformed")


@pytest.mark.parametrize("kind", KINDS)
def test_whoever_says_nothing_is_waited_for_by_name(kind: str) -> None:
    simulation = simulate_keygen(SESSION, tamper=Rule(kind, LIAR, None, drop))
    assert simulation.run_all() == {}
    for me in (Identifier(1), VICTIM):
        execution = simulation.executions[me]
        assert execution.phase == kind
        assert execution.waiting_for == {LIAR}
        assert not execution.finished


def test_dropping_one_suites_message_is_waiting_for_its_sender_too() -> None:
    simulation = simulate_keygen(SESSION, tamper=Rule("share", LIAR, VICTIM, drop, SESSION.suites[1]))
    simulation.run_all()
    assert simulation.executions[VICTIM].waiting_for == {LIAR}


def test_a_sealed_share_fits_its_rounds_limit_with_a_real_identity() -> None:
    from mpcnode.identity.identity import Identity

    identities = [Identity.from_seed(bytearray(seeded(i)(32))) for i in range(2)]
    sealed = identities[0].seal(identities[1].public_key, bytes(Round2Package.SIZE), b"aad", seeded(0))
    plan = next(keygen(descriptor=SESSION, me=LIAR, signer=signer("cli02"), rng=seeded(0)))
    limits = {planned.kind: planned.limit for planned in plan.rounds}  # type: ignore[union-attr]
    assert len(sealed) <= limits["share"]
    assert limits["commitment"] == max(Round1Package.size(SUITES[suite], 2) for suite in SESSION.suites)
    assert len(CONTEXT + SignedDigest(bytes(32), bytes(64)).encode()) == limits["commitment_digest"]


@pytest.mark.slow
def test_43_of_64_in_both_suites() -> None:
    results = simulate_keygen(descriptor(43, 64)).run()
    assert len({result.transcript for result in results.values()}) == 1
