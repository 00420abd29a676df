"""One lie for every way there is to cheat in key generation, and whom the honest name for it.

The liar's own execution may fail too: it does not know what it said.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import pytest

from mpcnode.crypto.ciphersuite import SUITES
from mpcnode.errors import InconsistentBroadcast, ParticipantCheated
from mpcnode.protocols.certificate import READY_CONTEXT, encode_ready
from mpcnode.protocols.execution import ProtocolMessage
from mpcnode.protocols.frost import pedpop
from mpcnode.protocols.frost.broadcast import SignedDigest, digest_of, echo_of, equivocators, sign_digest
from mpcnode.protocols.frost.keygen import _Session, _share_aad
from mpcnode.protocols.frost.packages import Round2Package
from mpcnode.types import Identifier, SuiteId
from tests.helpers.simulate import Tamper, descriptor, seeded, signer, simulate_keygen
from tests.helpers.tamper import Change, Rule, extend, flip, put, truncate, twice

SESSION = descriptor(2, 3)
CONTEXT = SESSION.context
NAMES = SESSION.participants
LIAR = Identifier(2)
VICTIM = Identifier(3)


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


def test_every_share_is_sealed_for_one_place_of_one_session() -> None:
    sessions = [_Session(SESSION, context, LIAR, signer("cli02"), seeded(0)) for context in (CONTEXT, bytes(32))]
    places = [
        _share_aad(session, suite, dealer, recipient)
        for session in sessions
        for suite in SESSION.suites
        for dealer in NAMES
        for recipient in NAMES
    ]
    assert len(set(places)) == 2 * 2 * 3 * 3
