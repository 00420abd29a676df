"""One lie for every way there is to cheat in key generation, and whom the honest name for it.

The liar's own execution may fail too: it does not know what it said.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import pytest

from mpcnode.crypto import tags
from mpcnode.crypto.ciphersuite import CIPHERSUITES
from mpcnode.errors import Disagreement, InconsistentBroadcast, ParticipantCheated
from mpcnode.protocols.epoch import encode_ready
from mpcnode.protocols.execution import ProtocolMessage
from mpcnode.protocols.frost import pedpop
from mpcnode.protocols.frost.dealing import equivocators, share_aad
from mpcnode.types import EpochId, Identifier, SuiteId
from tests.helpers.lying_dealer import (
    LIAR,
    VICTIM,
    WRONG_SHARES,
    Promised,
    Remake,
    context_of,
    lied,
    promise_of,
    resealed,
    signed_by,
)
from tests.helpers.simulate import Simulation, Tamper, descriptor, seeded, signer, simulate_keygen
from tests.helpers.tamper import Change, Rule, extend, flip, put, truncate, twice

SESSION = descriptor(2, 3)
NAMES = SESSION.participants
LANES: dict[str, tuple[SuiteId | None, ...]] = {
    "digest": (None,),
    "commitment": (None, *SESSION.suites),
    "share": SESSION.suites,
    "ready": (None,),
    "wallet_created": (None,),
}

every_round = pytest.mark.parametrize("kind", LANES)


def honest_run() -> Simulation[Any]:
    simulation = simulate_keygen(SESSION)
    simulation.run()
    return simulation


CONTEXT = context_of(SESSION, honest_run())


def errors_of_the_honest(tamper: Tamper, *, seed: int = 0) -> dict[Identifier, Exception]:
    errors = simulate_keygen(SESSION, seed=seed, tamper=tamper).run_all()
    return {i: error for i, error in errors.items() if i != LIAR}


def told(liar_tells: Change, kind: str, match: str) -> None:
    """Told to one, that one names the liar; told to both, both do."""
    for victim, hurt in ((VICTIM, {VICTIM}), (None, {1, 3})):
        for lane in LANES[kind]:
            rule = lied(liar_tells, kind, victim, lane)
            errors = errors_of_the_honest(rule)
            assert rule.used
            assert errors.keys() == hurt
            for error in errors.values():
                assert isinstance(error, ParticipantCheated)
                assert error.culprits == (NAMES[LIAR],), error
                assert match in str(error)


@pytest.mark.parametrize("kind", ["digest", "commitment", "share", "ready"])
def test_a_message_sent_twice_names_its_sender(kind: str) -> None:
    told(twice, kind, "twice")


@every_round
def test_a_message_that_is_too_long_names_its_sender(kind: str) -> None:
    told(lambda message: [replace(message, data=message.data + bytes(500))], kind, "too long")


def test_digests_that_are_cut_short_or_too_many_name_their_sender() -> None:
    told(truncate, "digest", "malformed")
    told(lambda message: [replace(message, data=message.data[:31])], "digest", "malformed")
    told(lambda message: [replace(message, data=message.data + bytes(32))], "digest", "malformed")


def test_fresh_bytes_digests_or_a_signature_that_were_changed_name_their_sender() -> None:
    for at in (32, 63, 64, 95, 96, 127, 128, 159, 160, 223):
        told(flip(at), "digest", "invalid signature")


def test_digests_signed_by_somebody_else_or_as_somebody_else_name_their_sender() -> None:
    def by_mallory(message: ProtocolMessage) -> Iterable[ProtocolMessage]:
        return [replace(message, data=signed_by(SESSION, "mallory", promise_of(SESSION, message)))]

    def as_victim(message: ProtocolMessage) -> Iterable[ProtocolMessage]:
        return [replace(message, data=signed_by(SESSION, "cli02", promise_of(SESSION, message), dealer=VICTIM))]

    told(by_mallory, "digest", "invalid signature")
    told(as_victim, "digest", "invalid signature")


@pytest.mark.parametrize(
    "change",
    [
        flip(0),
        lambda message: [replace(message, data=bytes(32) + message.data[32:] + bytes(32))],
        lambda message: [replace(message, data=bytes(32) + message.data[64:])],
        lambda message: [replace(message, data=bytes(32))],
    ],
    ids=["same form", "one suite more", "one suite less", "nothing else"],
)
def test_digests_of_another_agreement_are_a_disagreement_and_name_nobody(change: Change) -> None:
    # The proposer may have told its sender of another session, one with other suites.
    errors = errors_of_the_honest(Rule("digest", LIAR, VICTIM, change))
    (error,) = errors.values()
    assert isinstance(error, Disagreement)
    assert error.culprits == ()
    assert error.suspects == frozenset()
    assert "different things about this session" in str(error)


@pytest.mark.parametrize("change", [truncate, flip(0), flip(6), flip(-1)], ids=["cut", "header", "point", "proof"])
def test_a_commitment_that_was_not_promised_names_its_sender(change: Change) -> None:
    told(change, "commitment", "another commitment than it promised")


def test_what_was_promised_with_other_fresh_bytes_was_not_promised() -> None:
    """A dealer cannot promise first and choose what it is bound to afterwards."""

    def change(message: ProtocolMessage) -> Iterable[ProtocolMessage]:
        return [replace(message, data=signed_by(SESSION, "cli02", promise_of(SESSION, message), fresh=bytes(32)))]

    errors = errors_of_the_honest(Rule("digest", LIAR, None, change))
    assert errors.keys() == {1, 3}
    for error in errors.values():
        assert isinstance(error, ParticipantCheated)
        assert error.culprits == (NAMES[LIAR],)
        assert "another commitment than it promised" in str(error)


def test_parts_of_another_length_name_their_sender_even_where_they_were_promised() -> None:
    from mpcnode.protocols.frost.broadcast import contribution_digest_of

    wrong = bytes(63)

    def change(sender: Identifier, recipient: Identifier, message: ProtocolMessage) -> Iterable[ProtocolMessage]:
        if sender != LIAR or recipient == LIAR or message.lane is not None:
            return [message]
        if message.kind == "digest":
            said = promise_of(SESSION, message)
            first = contribution_digest_of(SESSION.agreed, LIAR, said.fresh, wrong)
            return [replace(message, data=signed_by(SESSION, "cli02", said, digests=[first, *said.digests[1:]]))]
        return [replace(message, data=wrong)] if message.kind == "commitment" else [message]

    errors = errors_of_the_honest(change)
    assert errors.keys() == {1, 3}
    for error in errors.values():
        assert isinstance(error, ParticipantCheated)
        assert error.culprits == (NAMES[LIAR],)
        assert "64 bytes" in str(error)


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
        (lambda _suite: package(CIPHERSUITES[SuiteId("FROST-secp256k1-SHA256-v1")])[:100], "version 0"),
        (zero_constant, "malformed"),
        (lambda suite: package(suite, dealer=VICTIM), "invalid proof of knowledge"),
    ],
    ids=["points", "cut", "version", "suite", "identity", "proof"],
)
def test_a_promised_commitment_that_is_malformed_names_its_sender(make: Callable[[Any], bytes], match: str) -> None:
    errors = errors_of_the_honest(Promised(SESSION, make))
    assert errors.keys() == {1, 3}
    for error in errors.values():
        assert isinstance(error, ParticipantCheated)
        assert not isinstance(error, InconsistentBroadcast)
        assert error.culprits == (NAMES[LIAR],)
        assert match in str(error)


@pytest.mark.parametrize("lane", LANES["commitment"])
@pytest.mark.parametrize("echo", [None, bytes(32), b""], ids=["missing", "wrong", "empty"])
def test_a_wrong_echo_is_inconsistent_and_names_nobody(echo: bytes | None, lane: SuiteId | None) -> None:
    rule = lied(lambda message: [replace(message, echo=echo)], "commitment", VICTIM, lane)
    (error,) = errors_of_the_honest(rule).values()
    assert isinstance(error, InconsistentBroadcast)
    assert error.culprits == ()
    assert error.suspects == frozenset()


@pytest.mark.parametrize("seed", range(5))
def test_two_promises_show_and_comparing_evidence_names_the_dealer(seed: int) -> None:
    simulation = simulate_keygen(SESSION, seed=seed, tamper=Promised(SESSION, package, {LIAR, VICTIM}))
    errors = {i: error for i, error in simulation.run_all().items() if i != LIAR}
    # The first that the order let hear the other's echo knows; nobody honest got as far as sending a share.
    assert errors
    assert all(isinstance(error, InconsistentBroadcast) and error.culprits == () for error in errors.values())
    for i in (Identifier(1), VICTIM):
        begun = simulation.executions[i].round
        assert begun is not None
        assert begun.kind == "commitment"
    mine, theirs = (simulation.executions[i].evidence for i in (Identifier(1), VICTIM))
    assert mine is not None
    assert theirs is not None
    assert equivocators(mine, theirs, SESSION) == {LIAR}
    assert equivocators(theirs, mine, SESSION) == {LIAR}


def test_two_promises_that_differ_in_fresh_bytes_alone_show_and_convict() -> None:
    """The digests fit only one of them; here both are told the other's, and what counts is the signature."""

    def change(message: ProtocolMessage) -> Iterable[ProtocolMessage]:
        return [replace(message, data=signed_by(SESSION, "cli02", promise_of(SESSION, message), fresh=bytes(32)))]

    simulation = simulate_keygen(SESSION, tamper=Rule("digest", LIAR, VICTIM, change))
    simulation.run_all()
    mine, theirs = (simulation.executions[i].evidence for i in (Identifier(1), VICTIM))
    assert mine is not None
    assert theirs is not None
    assert equivocators(mine, theirs, SESSION) == {LIAR}


def test_a_share_that_does_not_open_names_its_sender() -> None:
    for change in (flip(0), flip(-1), truncate, extend):
        told(change, "share", "malformed")


@pytest.mark.parametrize(("make", "match"), WRONG_SHARES.values(), ids=WRONG_SHARES)
def test_a_wrong_share_well_sealed_names_its_dealer(make: Remake, match: str) -> None:
    (error,) = errors_of_the_honest(resealed(SESSION, CONTEXT, make)).values()
    assert isinstance(error, ParticipantCheated)
    assert error.culprits == (NAMES[LIAR],)
    assert match in str(error)


Places = dict[tuple[Identifier, Identifier, SuiteId | None], bytes]


def shares_of(simulation: Simulation[Any]) -> Places:
    everything: Places = {}

    def spy(sender: Identifier, recipient: Identifier, message: ProtocolMessage) -> Iterable[ProtocolMessage]:
        if message.kind == "share":
            everything[sender, recipient, message.lane] = message.data
        return [message]

    simulation.tamper = spy
    simulation.run()
    return everything


def test_a_share_is_taken_from_its_dealer_for_its_recipient_suite_and_session_alone() -> None:
    everything = shares_of(simulate_keygen(SESSION))
    # The same proposal, accepted by the same people again.
    elsewhere = shares_of(simulate_keygen(SESSION, seed=1))
    first, second = SESSION.suites
    for wrong in (
        everything[Identifier(1), VICTIM, first],
        everything[LIAR, Identifier(1), first],
        everything[LIAR, VICTIM, second],
        elsewhere[LIAR, VICTIM, first],
    ):
        (error,) = errors_of_the_honest(lied(put(0, wrong), "share", VICTIM, first)).values()
        assert "not sealed by this sender to us for this purpose" in str(error)
        assert isinstance(error, ParticipantCheated)
        assert error.culprits == (NAMES[LIAR],)


def test_a_ready_for_another_epoch_names_its_sender() -> None:
    other = EpochId(bytes(32))
    told(put(0, encode_ready(other, signer("cli02").sign(tags.READY, other))), "ready", "another epoch")


def test_a_ready_with_a_wrong_signature_names_its_sender() -> None:
    told(flip(-1), "ready", "invalid signature")
    told(truncate, "ready", "malformed")


def test_wrong_last_words_name_their_sender_and_undo_nothing() -> None:
    told(flip(0), "wallet_created", "malformed")
    told(truncate, "wallet_created", "malformed")
    simulation = simulate_keygen(SESSION, tamper=Rule("wallet_created", LIAR, None, flip(0)))
    assert simulation.run_all().keys() == {1, 3}
    for execution in simulation.executions.values():
        result = execution.result
        assert result.certificate.complete_for(result.statement, None)


def test_every_share_is_sealed_for_one_place_of_one_session() -> None:
    places = [
        share_aad(bound, suite, dealer, recipient)
        for bound in (CONTEXT, bytes(32))
        for suite in SESSION.suites
        for dealer in NAMES
        for recipient in NAMES
    ]
    assert len(set(places)) == 2 * 2 * 3 * 3
