"""Refresh: the same keys, other shares; old and new ones never make a signature together."""

import random
from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpcnode.crypto import tags
from mpcnode.crypto.ciphersuite import CIPHERSUITES
from mpcnode.crypto.group import SCALAR_SIZE
from mpcnode.crypto.polynomial import Polynomial
from mpcnode.crypto.signature import verify as verify_identity
from mpcnode.crypto.suites import verify
from mpcnode.crypto.transcript import tagged_hash
from mpcnode.errors import Disagreement, ParticipantCheated
from mpcnode.protocols.checkpoints import KeyResult, StoreActive, StorePending
from mpcnode.protocols.descriptor import KEYGEN, Descriptor
from mpcnode.protocols.execution import Execution
from mpcnode.protocols.frost import zero
from mpcnode.protocols.frost.packages import RefreshPackage, Round2Package
from mpcnode.protocols.frost.pedpop import KeyShare
from mpcnode.protocols.frost.refresh import refresh
from mpcnode.protocols.rounds import Fault, Plan
from mpcnode.types import EpochId, Identifier, SuiteId
from tests.helpers.lying_dealer import context_of, promised_in
from tests.helpers.signing import Wallet, execution, signing_descriptor, simulate_sign
from tests.helpers.simulate import (
    Signer,
    Simulation,
    Stored,
    created,
    member,
    refresh_descriptor,
    refreshed,
    seeded,
    signer,
    simulate_refresh,
)
from tests.helpers.tamper import Rule, drop

ONE, TWO, THREE = (Identifier(i) for i in (1, 2, 3))
BEFORE = created(2, 3)
PREVIOUS = BEFORE[ONE].statement
SUITES = [keys.suite for keys in PREVIOUS.suites]
ROUNDS = ["digest", "commitment", "share", "ready", "epoch_active"]

every_suite = pytest.mark.parametrize("suite", SUITES)


def keys_of(wallets: Mapping[Identifier, Stored], suite: SuiteId) -> Wallet:
    return {i: stored.shares[suite] for i, stored in wallets.items()}


def u64(number: int) -> bytes:
    return number.to_bytes(8, "big")


@settings(max_examples=12, deadline=None)
@given(st.data(), st.integers(0, 2**32))
def test_every_quorum_of_new_shares_signs_for_the_same_key_whatever_the_order(data: st.DataObject, seed: int) -> None:
    total = data.draw(st.integers(2, 5))
    threshold = data.draw(st.integers(2, total))
    before = created(threshold, total)
    simulation = simulate_refresh(before, seed=seed)
    results = simulation.run()
    statement, previous = results[ONE].statement, before[ONE].statement
    assert len({result.statement.epoch_id for result in results.values()}) == 1
    assert all(result.certificate.complete_for(statement, previous) for result in results.values())
    for keys in previous.suites:
        # Identical to the byte, and every verifying share another.
        assert statement.keys(keys.suite).group_public_key == keys.group_public_key
        assert not set(statement.keys(keys.suite).verifying_shares) & set(keys.verifying_shares)
        shares = keys_of(simulation.stored, keys.suite)
        for signers in combinations(range(1, total + 1), threshold):
            descriptor = signing_descriptor(shares, signers)
            ((signature,),) = set(simulate_sign(descriptor, shares, seed=seed).run().values())
            assert verify(keys.suite, descriptor.verifying_key, b"hello", signature)


@settings(max_examples=10, deadline=None)
@given(st.data())
def test_old_and_new_shares_never_make_a_signature_together(data: st.DataObject) -> None:
    suite = data.draw(st.sampled_from(SUITES))
    total = data.draw(st.integers(2, 4))
    threshold = data.draw(st.integers(2, total))
    old, new = (keys_of(wallets, suite) for wallets in (created(threshold, total), refreshed(threshold, total)))
    signers = [Identifier(i) for i in data.draw(st.permutations(range(1, total + 1)))[:threshold]]
    behind = set(data.draw(st.lists(st.sampled_from(signers), min_size=1, max_size=threshold - 1, unique=True)))
    descriptor = signing_descriptor(new, sorted(signers))
    # Some come with the old epoch, whole; what they were told to sign with is the new one.
    executions = {i: execution(descriptor, old if i in behind else new, i) for i in signers}
    simulation = Simulation(executions, random.Random(0))
    errors = simulation.run_all()
    assert not any(execution.finished for execution in executions.values())
    for i, error in errors.items():
        assert isinstance(error, ParticipantCheated)
        # Each finds the shares that do not fit the epoch it knows.
        others = behind if i not in behind else set(signers) - behind
        assert set(error.culprits) == {descriptor.participants[j] for j in others}


def test_signers_of_two_epochs_stop_before_any_share_leaves_and_nobody_is_named() -> None:
    old, new = (keys_of(wallets, SUITES[0]) for wallets in (BEFORE, refreshed(2, 3)))
    descriptor = replace(signing_descriptor(old, [1, 2]), epoch_id=PREVIOUS.epoch_id)
    later = replace(descriptor, epoch_id=refreshed(2, 3)[ONE].statement.epoch_id)
    sent: list[str] = []
    simulation: Simulation[Any] = Simulation(
        {ONE: execution(descriptor, old, ONE), TWO: execution(later, new, TWO)},
        tamper=lambda _s, _r, m: (sent.append(m.kind), [m])[1],  # type: ignore[func-returns-value]
    )
    errors = simulation.run_all()
    assert errors.keys() == {1, 2}
    for error in errors.values():
        assert isinstance(error, Disagreement)
        assert error.culprits == ()
        assert error.suspects == frozenset()
    assert set(sent) == {"nonces"}


def test_the_same_seed_gives_the_same_epoch_in_any_order_and_another_seed_another() -> None:
    epochs = []
    for seed, order in ((1, 1), (1, 2), (2, 1)):
        simulation = simulate_refresh(BEFORE, descriptor=refresh_descriptor(PREVIOUS), seed=seed)
        simulation.order = random.Random(order)
        epochs.append(simulation.run()[ONE].statement.epoch_id)
    assert epochs[0] == epochs[1] != epochs[2]


def test_refreshed_shares_are_refreshed_again() -> None:
    first, second = refreshed(2, 3), simulate_refresh(refreshed(2, 3), seed=7)
    results = second.run()
    statement = results[ONE].statement
    assert (statement.number, statement.previous) == (2, first[ONE].statement.epoch_id)
    assert results[ONE].certificate.complete_for(statement, first[ONE].statement)
    for suite in SUITES:
        shares = keys_of(second.stored, suite)
        assert statement.keys(suite).group_public_key == PREVIOUS.keys(suite).group_public_key
        simulate_sign(signing_descriptor(shares, [2, 3]), shares).run()


def test_identifiers_are_those_of_the_roster_and_not_positions_in_it() -> None:
    # Participant 2 of 3 is numbered 9 of 1, 2 and 9 in a wallet that somebody left: here one made so from the start.
    from tests.helpers.simulate import descriptor, simulate_keygen

    session = replace(descriptor(2, 3), roster=tuple(member(i) for i in (1, 2, 9)))
    simulation = simulate_keygen(session)
    simulation.run()
    again = simulate_refresh(simulation.stored)
    again.run()
    shares = keys_of(again.stored, SUITES[1])
    simulate_sign(signing_descriptor(shares, [2, 9]), shares).run()


# What everything is the hash of, written out once more.


class Overheard:
    """Everything that was broadcast in one refresh."""

    def __init__(self, abandoned: tuple[EpochId, ...] = ()) -> None:
        self.said: dict[tuple[str, Any, Identifier], bytes] = {}
        self.session = refresh_descriptor(PREVIOUS)
        self.simulation = simulate_refresh(BEFORE, descriptor=self.session, abandoned=abandoned, tamper=self._spy)
        self.results = self.simulation.run()
        self.context = context_of(self.session, self.simulation)
        self.promises = promised_in(self.session, self.simulation)

    def _spy(self, sender: Identifier, _recipient: Identifier, message: Any) -> list[Any]:
        self.said[message.kind, message.lane, sender] = message.data
        return [message]


ABANDONED = (EpochId(bytes(32)), EpochId(b"\x01" * 32))
OVERHEARD = Overheard(ABANDONED)


def test_the_first_message_is_what_the_protocol_says() -> None:
    agreed, keys = OVERHEARD.session.agreed, OVERHEARD.session.identity_keys
    for i, said in OVERHEARD.promises.items():
        assert OVERHEARD.said["digest", None, i] == agreed + said.fresh + b"".join(said.digests) + said.signature
        own = [
            tagged_hash(
                "mpcnode/commitment-digest/v1",
                agreed,
                suite.encode(),
                u64(i),
                said.fresh,
                OVERHEARD.said["commitment", suite, i],
            )
            for suite in SUITES
        ]
        assert list(said.digests) == own
        signed = (agreed, u64(i), said.fresh, u64(2), *own)
        assert verify_identity(keys[i], said.signature, "mpcnode/signed-digest/v1", *signed)


def test_commitments_have_no_constant_term_and_no_proof() -> None:
    for (kind, lane, _), data in OVERHEARD.said.items():
        if kind == "commitment":
            assert lane is not None
            assert len(data) == 5 + 1 + CIPHERSUITES[lane].group.element_size


def test_the_statement_is_of_the_next_epoch_and_names_the_abandoned_ones() -> None:
    statement = OVERHEARD.results[ONE].statement
    assert (statement.number, statement.previous) == (1, PREVIOUS.epoch_id)
    assert (statement.kind, statement.abandoned) == ("refresh", ABANDONED)
    assert (statement.wallet_id, statement.roster) == (PREVIOUS.wallet_id, PREVIOUS.roster)
    assert statement.chain_code_hash == PREVIOUS.chain_code_hash
    said = []
    for i, promised in OVERHEARD.promises.items():
        packages = [OVERHEARD.said["commitment", suite, i] for suite in SUITES]
        said += [u64(i), u64(2), *promised.digests, u64(2), *packages]
    assert statement.transcript == tagged_hash("mpcnode/transcript/v1", OVERHEARD.context, u64(3), *said)
    for i in BEFORE:
        assert OVERHEARD.said["ready", None, i][:32] == statement.epoch_id
        assert OVERHEARD.said["epoch_active", None, i] == statement.epoch_id


def test_new_shares_are_the_old_ones_plus_what_everybody_dealt() -> None:
    """The algebra, by integers: an oracle that shares no code with the script."""
    for suite in SUITES:
        group = CIPHERSUITES[suite].group
        byteorder: Any = "little" if group.name == "edwards25519" else "big"

        def value(stored: Stored, suite: SuiteId = suite, byteorder: Any = byteorder) -> int:
            return int.from_bytes(stored.shares[suite].key.signing_share.encode(), byteorder)

        changes = {i: (value(OVERHEARD.simulation.stored[i]) - value(BEFORE[i])) % group.order for i in BEFORE}
        # Shares of 0 on a line: g(x) = b x.
        slope = changes[ONE]
        assert slope
        assert {i: slope * i % group.order for i in BEFORE} == changes


# Checkpoints and secrets


def at_checkpoint(record: type) -> tuple[Simulation[KeyResult], dict[Identifier, Any]]:
    """Run until every execution stands at this checkpoint; nobody confirms it."""
    simulation = simulate_refresh(BEFORE)
    simulation.confirms = lambda asked: not isinstance(asked, record)
    simulation.run_all()
    return simulation, {me: execution.checkpoint for me, execution in simulation.executions.items()}


def test_a_participant_is_asked_to_store_and_to_store_again_and_for_no_words() -> None:
    simulation = simulate_refresh(BEFORE)
    results = simulation.run()
    for me, records in simulation.checkpoints.items():
        pending, active = records
        assert (type(pending), type(active)) == (StorePending, StoreActive)
        assert (pending.chain_code, pending.document_key) == (None, None)
        assert pending.statement == results[me].statement
        key = PREVIOUS.identity_keys[me]
        assert active.certificate.signatures[key] == pending.ready
        assert verify_identity(key, pending.ready, tags.READY, pending.statement.epoch_id)


def test_no_ready_leaves_before_the_new_shares_are_stored_and_no_result_stands_before_the_certificate_is() -> None:
    simulation, _ = at_checkpoint(StorePending)
    waiting = simulation.executions[TWO]
    assert waiting.messages_to_send() == []
    waiting.confirm()
    assert [message.kind for _, message in waiting.messages_to_send()] == ["ready"]
    simulation, _ = at_checkpoint(StoreActive)
    waiting = simulation.executions[TWO]
    assert (waiting.messages_to_send(), waiting.concluded, waiting.all_heard) == ([], False, True)
    waiting.confirm()
    assert [message.kind for _, message in waiting.messages_to_send()] == ["epoch_active"]
    assert waiting.concluded


@pytest.mark.parametrize("record", [StorePending, StoreActive])
def test_ended_at_any_checkpoint_it_leaves_no_secret_and_the_old_shares_untouched(
    record: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {i: [share.key.encode() for share in stored.shares.values()] for i, stored in BEFORE.items()}
    scalars: list[Any] = []
    opened: list[bytearray] = []
    commit, finish, open_ = zero.commit, zero.finish, Signer.open

    def watched_commit(*arguments: Any) -> Any:
        committed = commit(*arguments)
        scalars.extend(committed[0]._coefficients)
        return committed

    def watched_finish(*arguments: Any) -> Any:
        scalars.extend(arguments[4].values())
        return finish(*arguments)

    def watched_open(*arguments: Any, **named: Any) -> Any:
        opened.append(open_(*arguments, **named))
        return opened[-1]

    monkeypatch.setattr(zero, "commit", watched_commit)
    monkeypatch.setattr(zero, "finish", watched_finish)
    monkeypatch.setattr(Signer, "open", watched_open)
    simulation, asked = at_checkpoint(record)
    shares = [share.key.signing_share for ask in asked.values() for share in getattr(ask, "secrets", {}).values()]
    if record is StorePending:
        assert len(shares) == 6
        assert not any(share.is_zero() for share in shares)
    # What was dealt and drawn is gone already; the new shares go with the execution.
    assert len(scalars) == 3 * 2 * (2 + 3)
    assert all(scalar.is_zero() for scalar in scalars)
    assert not any(map(any, opened))
    for running in simulation.executions.values():
        running.close()
    assert all(share._buffer == bytes(SCALAR_SIZE) for share in shares)
    assert before == {i: [share.key.encode() for share in stored.shares.values()] for i, stored in BEFORE.items()}


def test_ended_before_anything_is_dealt_it_leaves_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Any] = []
    commit = zero.commit

    def watched(*arguments: Any) -> Any:
        committed = commit(*arguments)
        drawn.extend(committed[0]._coefficients[1:])
        return committed

    monkeypatch.setattr(zero, "commit", watched)
    simulation = simulate_refresh(BEFORE, tamper=Rule("commitment", TWO, None, drop))
    simulation.run_all()
    standing = simulation.executions[ONE]
    assert standing.waiting_for == {TWO}
    assert not any(scalar.is_zero() for scalar in drawn[:2])
    standing.close()
    # Participant 1 drew one coefficient in each suite.
    assert all(scalar.is_zero() for scalar in drawn[:2])


def test_once_the_new_shares_are_stored_the_execution_holds_no_secret() -> None:
    simulation, asked = at_checkpoint(StorePending)
    simulation.executions[TWO].confirm()
    assert all(share.key.signing_share.is_zero() for share in asked[TWO].secrets.values())


@pytest.mark.parametrize("kind", ROUNDS)
def test_a_participant_that_says_nothing_is_waited_for_by_name(kind: str) -> None:
    simulation = simulate_refresh(BEFORE, tamper=Rule(kind, TWO, None, drop))
    assert simulation.run_all() == {}
    for me in (ONE, THREE):
        waiting = simulation.executions[me]
        assert waiting.round is not None
        assert waiting.round.kind == kind
        assert waiting.waiting_for == {TWO}
        assert waiting.concluded == (kind == "epoch_active")


# What a script is given must belong together; nobody else is to blame for it.


def start(**changes: Any) -> Plan:
    arguments: dict[str, Any] = {
        "descriptor": refresh_descriptor(PREVIOUS),
        "previous": PREVIOUS,
        "abandoned": (),
        "me": ONE,
        "shares": BEFORE[ONE].shares,
        "signer": signer("cli01"),
        "rng": seeded(0),
    }
    step = next(refresh(**{**arguments, **changes}))
    assert isinstance(step, Plan)
    return step


def test_the_plan_says_all_a_pump_needs() -> None:
    rounds = start().rounds
    assert [planned.kind for planned in rounds] == ROUNDS
    assert [planned.phase for planned in rounds] == ["committing", "revealing", "sharing", "certifying", "leaving"]
    assert not any(planned.users for planned in rounds)
    assert {planned.kind for planned in rounds if planned.heard} == {"share", "ready", "epoch_active"}
    assert [planned.last_words for planned in rounds] == [False] * 4 + [True]
    assert [planned.lanes for planned in rounds] == [(None,), tuple(SUITES), tuple(SUITES), (None,), (None,)]
    limits = {planned.kind: planned.limit for planned in rounds}
    assert limits["commitment"] == max(RefreshPackage.size(CIPHERSUITES[suite], 2) for suite in SUITES)
    assert (limits["share"], limits["epoch_active"]) == (Round2Package.SIZE + 48, 32)


SESSION: Descriptor = refresh_descriptor(PREVIOUS)
SOME: Mapping[SuiteId, KeyShare] = {SUITES[0]: BEFORE[ONE].shares[SUITES[0]]}


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"descriptor": replace(SESSION, kind=KEYGEN)}, "not of a refresh"),
        ({"descriptor": replace(SESSION, threshold=3)}, "keeps participants and threshold"),
        ({"descriptor": replace(SESSION, roster=SESSION.roster[:2])}, "keeps participants and threshold"),
        ({"descriptor": replace(SESSION, suites=SESSION.suites[:1])}, "all suites"),
        ({"descriptor": replace(SESSION, suites=SESSION.suites[::-1])}, "all suites"),
        ({"shares": SOME}, "all suites"),
        ({"me": Identifier(4)}, "not among the participants"),
        ({"me": TWO}, "not this participant's"),
        ({"shares": BEFORE[TWO].shares}, "not this participant's"),
        ({"shares": refreshed(2, 3)[ONE].shares}, "not of the epoch before"),
        ({"previous": refreshed(2, 3)[ONE].statement}, "not of the epoch before"),
        ({"shares": created(2, 3, 1)[ONE].shares}, "not of the epoch before"),
    ],
)
def test_what_does_not_belong_together_is_refused_before_anything_is_said(changes: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        start(**changes)


def test_abandoned_epochs_that_no_statement_can_name_end_it_before_anything_is_promised() -> None:
    simulation = simulate_refresh(BEFORE, abandoned=ABANDONED[::-1])
    errors = simulation.run_all()
    assert errors.keys() == {1, 2, 3}
    assert all(isinstance(error, ValueError) for error in errors.values())
    assert simulation.checkpoints == {}


# The steps


Dealt = dict[Identifier, tuple[Polynomial[Any, Any], RefreshPackage]]


def deal(suite: SuiteId) -> Dealt:
    return {i: zero.commit(CIPHERSUITES[suite], 2, seeded("zero", i)) for i in BEFORE}


def finish(suite: SuiteId, dealt: Dealt, shares: Mapping[Identifier, Any] | None = None, **changes: Any) -> KeyShare:
    received = {i: g.evaluate(ONE) for i, (g, _) in dealt.items()} if shares is None else shares
    previous = changes.get("previous", BEFORE[ONE].shares[suite])
    return zero.finish(CIPHERSUITES[suite], ONE, previous, {i: package for i, (_, package) in dealt.items()}, received)


@every_suite
def test_what_is_dealt_is_a_sharing_of_zero(suite: SuiteId) -> None:
    g, package = zero.commit(CIPHERSUITES[suite], 4, seeded(0))
    assert g.constant_term.is_zero()
    assert g.threshold == 4
    assert package.commitment == g.commit()[1:]
    assert len(package.commitment) == 3


@every_suite
@pytest.mark.parametrize("liars", [[2], [3], [2, 3]])
def test_dealers_of_wrong_shares_are_named_and_nobody_else(suite: SuiteId, liars: list[int]) -> None:
    dealt = deal(suite)
    shares = {i: g.evaluate(ONE) for i, (g, _) in dealt.items()}
    for k, liar in enumerate(liars, 1):
        shares[Identifier(liar)] += CIPHERSUITES[suite].group.scalar(k)
    with pytest.raises(Fault, match="does not fit its commitment") as caught:
        finish(suite, dealt, shares)
    assert caught.value.senders == set(liars)


@every_suite
def test_shares_before_that_do_not_fit_the_key_are_this_nodes_own_trouble(suite: SuiteId) -> None:
    share = BEFORE[ONE].shares[suite]
    group = CIPHERSUITES[suite].group
    off = replace(share.public, verifying_shares={**share.public.verifying_shares, TWO: group.generator})
    other = replace(share.key, group_public_key=group.generator)
    wrong = replace(share.key, signing_share=share.key.signing_share + group.scalar(1))
    for previous in (KeyShare(share.key, off), KeyShare(other, share.public), KeyShare(wrong, share.public)):
        with pytest.raises(RuntimeError, match="did not fit it"):
            finish(suite, deal(suite), previous=previous)


@every_suite
def test_a_share_that_cancels_is_not_one(suite: SuiteId) -> None:
    # All dealers together know each share: they could make participant 2's verifying share the identity.
    group = CIPHERSUITES[suite].group
    half = group.scalar(pow(2, -1, group.order))
    slope = -(BEFORE[TWO].shares[suite].key.signing_share * half)
    coefficients = {ONE: [slope], TWO: [group.scalar(1)], THREE: [-group.scalar(1)]}
    dealt = {}
    for i, own in coefficients.items():
        g: Polynomial[Any, Any] = Polynomial(group, [group.scalar(0), *own])
        dealt[i] = (g, RefreshPackage(CIPHERSUITES[suite], g.commit()[1:]))
    with pytest.raises(Fault, match="cancel") as caught:
        finish(suite, dealt)
    assert caught.value.senders == set()


@every_suite
def test_the_sum_of_what_was_dealt_is_wiped(suite: SuiteId, monkeypatch: pytest.MonkeyPatch) -> None:
    group = CIPHERSUITES[suite].group
    sums: list[Any] = []
    original = group.sum_scalars

    def watched(scalars: Iterable[Any]) -> Any:
        sums.append(original(scalars))
        return sums[-1]

    monkeypatch.setattr(type(group), "sum_scalars", lambda _self, scalars: watched(list(scalars)))
    finish(suite, deal(suite))
    assert [total.is_zero() for total in sums] == [True]


def test_an_execution_of_it_can_be_closed_at_once() -> None:
    running = Execution(
        refresh(
            descriptor=SESSION,
            previous=PREVIOUS,
            abandoned=(),
            me=ONE,
            shares=BEFORE[ONE].shares,
            signer=signer("cli01"),
            rng=seeded(0),
        ),
        me=ONE,
        participants=SESSION.participants,
    )
    running.close()
    assert not running.concluded


@pytest.mark.slow
def test_43_of_64_in_both_suites() -> None:
    results = simulate_refresh(created(43, 64)).run()
    assert len({result.statement.epoch_id for result in results.values()}) == 1
