"""One lie for every way there is to cheat in a refresh, and whom the honest name for it.

The liar's own execution may fail too: it does not know what it said.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import pytest

from mpcnode.crypto import tags
from mpcnode.errors import Disagreement, InconsistentBroadcast, ParticipantCheated
from mpcnode.protocols.epoch import encode_ready
from mpcnode.protocols.execution import ProtocolMessage
from mpcnode.protocols.frost import pedpop, zero
from mpcnode.protocols.frost.packages import RefreshPackage
from mpcnode.protocols.frost.refresh import equivocators
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
from tests.helpers.simulate import (
    Simulation,
    Tamper,
    created,
    refresh_descriptor,
    seeded,
    signer,
    simulate_refresh,
)
from tests.helpers.tamper import Change, Rule, extend, flip, put, truncate, twice

BEFORE = created(2, 3)
PREVIOUS = BEFORE[Identifier(1)].statement
SESSION = refresh_descriptor(PREVIOUS)
NAMES = SESSION.participants
LANES: dict[str, tuple[SuiteId | None, ...]] = {
    "digest": (None,),
    "commitment": SESSION.suites,
    "share": SESSION.suites,
    "ready": (None,),
    "epoch_active": (None,),
}

every_round = pytest.mark.parametrize("kind", LANES)


def run(tamper: Tamper | None = None, *, seed: int = 0) -> Simulation[Any]:
    simulation = simulate_refresh(BEFORE, descriptor=SESSION, seed=seed, tamper=tamper)
    simulation.run_all()
    return simulation


CONTEXT = context_of(SESSION, run())


def errors_of_the_honest(tamper: Tamper) -> dict[Identifier, Exception]:
    return {i: error for i, error in run(tamper).errors.items() if i != LIAR}


def named(error: Exception, match: str) -> None:
    assert isinstance(error, ParticipantCheated)
    assert not isinstance(error, InconsistentBroadcast)
    assert error.culprits == (NAMES[LIAR],), error
    assert match in str(error)


def told(liar_tells: Change, kind: str, match: str) -> None:
    """Told to one, that one names the liar; told to both, both do."""
    for victim, hurt in ((VICTIM, {VICTIM}), (None, {1, 3})):
        for lane in LANES[kind]:
            rule = lied(liar_tells, kind, victim, lane)
            errors = errors_of_the_honest(rule)
            assert rule.used
            assert errors.keys() == hurt
            for error in errors.values():
                named(error, match)


@pytest.mark.parametrize("kind", ["digest", "commitment", "share", "ready"])
def test_a_message_sent_twice_names_its_sender(kind: str) -> None:
    told(twice, kind, "twice")


@every_round
def test_a_message_that_is_too_long_names_its_sender(kind: str) -> None:
    told(lambda message: [replace(message, data=message.data + bytes(500))], kind, "too long")


def test_digests_of_another_number_name_their_sender() -> None:
    told(truncate, "digest", "malformed")
    told(lambda message: [replace(message, data=message.data[:31])], "digest", "malformed")
    # As many as in a key generation, where the chain code has one.
    told(lambda message: [replace(message, data=message.data + bytes(32))], "digest", "malformed")


def test_fresh_bytes_digests_or_a_signature_that_were_changed_name_their_sender() -> None:
    for at in (32, 63, 64, 95, 96, 127, 128, 191):
        told(flip(at), "digest", "invalid signature")


def test_digests_signed_by_somebody_else_name_their_sender() -> None:
    def change(message: ProtocolMessage) -> Iterable[ProtocolMessage]:
        return [replace(message, data=signed_by(SESSION, "mallory", promise_of(SESSION, message)))]

    told(change, "digest", "invalid signature")


@pytest.mark.parametrize(
    "change", [flip(0), lambda message: [replace(message, data=bytes(32) + message.data[64:])]], ids=["same", "shorter"]
)
def test_digests_of_another_agreement_are_a_disagreement_and_name_nobody(change: Change) -> None:
    (error,) = errors_of_the_honest(Rule("digest", LIAR, VICTIM, change)).values()
    assert isinstance(error, Disagreement)
    assert error.culprits == ()
    assert error.suspects == frozenset()


@pytest.mark.parametrize("change", [truncate, flip(0), flip(6), flip(-1)], ids=["cut", "header", "point", "end"])
def test_a_commitment_that_was_not_promised_names_its_sender(change: Change) -> None:
    told(change, "commitment", "another commitment than it promised")


def package(suite: Any, threshold: int = 2) -> bytes:
    return zero.commit(suite, threshold, seeded("lie"))[1].encode()


def with_identity(suite: Any) -> bytes:
    size = suite.group.element_size
    return package(suite)[:6] + (b"\x01" + bytes(31) if size == 32 else bytes(33))


def with_constant_term(suite: Any) -> bytes:
    """A sharing of something else than 0: the constant term would change the wallet's key."""
    f, _ = pedpop.commit(suite, LIAR, 2, seeded("lie"))
    return RefreshPackage(suite, f.commit()).encode()


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (with_constant_term, "exactly 1 elements"),
        (lambda suite: package(suite, 1), "exactly 1 elements"),
        (lambda suite: package(suite, 3), "exactly 1 elements"),
        (lambda suite: pedpop.commit(suite, LIAR, 2, seeded("lie"))[1].encode()[:70], "exactly 1 elements"),
        (lambda suite: package(suite)[:-1], "malformed"),
        (lambda suite: package(suite)[:5] + b"\x81\x00" + package(suite)[6:-1], "malformed"),
        (lambda suite: b"\x01" + package(suite)[1:], "version 0"),
        (lambda suite: package(suite)[:1] + bytes(4) + package(suite)[5:], "version 0"),
        (with_identity, "malformed"),
    ],
    ids=["constant term", "none", "more", "key generation's", "cut", "number", "version", "suite", "identity"],
)
def test_a_promised_commitment_that_is_malformed_names_its_sender(make: Callable[[Any], bytes], match: str) -> None:
    longest = max(RefreshPackage.size(suite, 2) for suite in _ciphersuites())
    errors = errors_of_the_honest(Promised(SESSION, make))
    assert errors.keys() == {1, 3}
    for error in errors.values():
        made = max(len(make(suite)) for suite in _ciphersuites())
        named(error, match if made <= longest else "too long")


def _ciphersuites() -> list[Any]:
    from mpcnode.crypto.ciphersuite import CIPHERSUITES

    return [CIPHERSUITES[suite] for suite in SESSION.suites]


def test_a_constant_term_is_refused_also_where_it_is_not_too_long() -> None:
    from mpcnode.errors import DecodeError

    for suite in _ciphersuites():
        with pytest.raises(DecodeError, match="exactly 1 elements"):
            RefreshPackage.decode(suite, 2, with_constant_term(suite))
        assert RefreshPackage.decode(suite, 2, package(suite)).encode() == package(suite)


@pytest.mark.parametrize("lane", SESSION.suites)
@pytest.mark.parametrize("echo", [None, bytes(32), b""], ids=["missing", "wrong", "empty"])
def test_a_wrong_echo_is_inconsistent_and_names_nobody(echo: bytes | None, lane: SuiteId) -> None:
    rule = lied(lambda message: [replace(message, echo=echo)], "commitment", VICTIM, lane)
    (error,) = errors_of_the_honest(rule).values()
    assert isinstance(error, InconsistentBroadcast)
    assert error.culprits == ()
    assert error.suspects == frozenset()


@pytest.mark.parametrize("seed", range(5))
def test_two_promises_show_and_comparing_evidence_names_the_dealer(seed: int) -> None:
    simulation = run(Promised(SESSION, package, {LIAR, VICTIM}), seed=seed)
    errors = {i: error for i, error in simulation.errors.items() if i != LIAR}
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


def test_a_share_that_does_not_open_names_its_sender() -> None:
    for change in (flip(0), flip(-1), truncate, extend):
        told(change, "share", "malformed")


@pytest.mark.parametrize(("make", "match"), WRONG_SHARES.values(), ids=WRONG_SHARES)
def test_a_wrong_share_well_sealed_names_its_dealer(make: Remake, match: str) -> None:
    (error,) = errors_of_the_honest(resealed(SESSION, CONTEXT, make)).values()
    named(error, match)


def test_the_share_of_another_refresh_is_not_taken() -> None:
    elsewhere: dict[Any, bytes] = {}

    def spy(sender: Identifier, recipient: Identifier, message: ProtocolMessage) -> Iterable[ProtocolMessage]:
        if message.kind == "share" and (sender, recipient) == (LIAR, VICTIM):
            elsewhere[message.lane] = message.data
        return [message]

    run(spy, seed=1)
    for lane in SESSION.suites:
        (error,) = errors_of_the_honest(lied(put(0, elsewhere[lane]), "share", VICTIM, lane)).values()
        named(error, "not sealed by this sender to us for this purpose")


def test_a_ready_for_another_epoch_names_its_sender() -> None:
    for other in (EpochId(bytes(32)), PREVIOUS.epoch_id):
        told(put(0, encode_ready(other, signer("cli02").sign(tags.READY, other))), "ready", "another epoch")


def test_a_ready_with_a_wrong_signature_names_its_sender() -> None:
    told(flip(-1), "ready", "invalid signature")
    told(truncate, "ready", "malformed")


def test_wrong_last_words_name_their_sender_and_undo_nothing() -> None:
    told(flip(0), "epoch_active", "malformed")
    told(truncate, "epoch_active", "malformed")
    simulation = run(Rule("epoch_active", LIAR, None, flip(0)))
    assert simulation.errors.keys() == {1, 3}
    for execution in simulation.executions.values():
        assert execution.result.certificate.complete_for(execution.result.statement, PREVIOUS)
