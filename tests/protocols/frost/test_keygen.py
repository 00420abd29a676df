"""Key generation as a whole: every order of messages, every checkpoint, every way to end it."""

import random
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpcnode.crypto.ciphersuite import SUITES
from mpcnode.crypto.group import SCALAR_SIZE, Group
from mpcnode.crypto.polynomial import lagrange_coefficient
from mpcnode.protocols.frost import pedpop
from mpcnode.protocols.frost.broadcast import SignedDigest
from mpcnode.protocols.frost.keygen import ConfirmWords, KeygenResult, StoreActive, StorePending, keygen
from mpcnode.protocols.frost.packages import Round1Package, Round2Package
from mpcnode.types import Identifier
from tests.helpers.simulate import Signer, Simulation, descriptor, seeded, signer, simulate_keygen
from tests.helpers.tamper import Rule, drop

SESSION = descriptor(2, 3)
CONTEXT = SESSION.context
NAMES = SESSION.participants
LIAR = Identifier(2)
VICTIM = Identifier(3)


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


def test_once_the_share_is_to_be_stored_nothing_else_secret_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    # Held here, so that it is a wipe that overwrites them and not their end.
    scalars: list[Any] = []
    opened: list[bytearray] = []
    polynomials: list[Any] = []

    def watch(module: Any, name: str, keep: Callable[[Any, tuple[Any, ...]], object]) -> None:
        original = getattr(module, name)

        def watched(*arguments: Any) -> Any:
            result = original(*arguments)
            keep(result, arguments)
            return result

        monkeypatch.setattr(module, name, watched)

    watch(pedpop, "deal", lambda dealt, _arguments: scalars.extend(dealt.values()))
    watch(pedpop, "commit", lambda committed, _arguments: polynomials.append(committed[0]))
    watch(pedpop, "finish", lambda _share, arguments: scalars.extend(arguments[3].values()))
    watch(Group, "sum_scalars", lambda total, _arguments: scalars.append(total))
    watch(Signer, "open", lambda data, _arguments: opened.append(data))
    _, asked = at_checkpoint(StorePending)
    n, suites = SESSION.total, len(SESSION.suites)
    # In each suite, each of the n deals n - 1 shares, adds n up, and opens n - 1.
    assert len(scalars) == n * suites * ((n - 1) + n + 1)
    assert len(opened) == n * suites * (n - 1)
    assert all(scalar.is_zero() for scalar in scalars)
    assert not any(map(any, opened))
    assert all(polynomial._coefficients == [] for polynomial in polynomials)
    assert not any(share.key.signing_share.is_zero() for record in asked.values() for share in record.shares.values())


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


@pytest.mark.parametrize("kind", ["commitment_digest", "commitment", "share", "ready"])
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
