"""Key generation as a whole: every order of messages, every checkpoint, every way to end it."""

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpcnode.crypto import tags
from mpcnode.crypto.ciphersuite import CIPHERSUITES
from mpcnode.crypto.group import SCALAR_SIZE
from mpcnode.crypto.polynomial import lagrange_coefficient
from mpcnode.crypto.signature import verify
from mpcnode.crypto.transcript import safety_words, tagged_hash
from mpcnode.protocols.checkpoints import ConfirmWords, KeyResult, StoreActive, StorePending
from mpcnode.protocols.descriptor import REFRESH, Descriptor
from mpcnode.protocols.epoch import chain_code_hash_of
from mpcnode.protocols.execution import Execution
from mpcnode.protocols.frost import pedpop
from mpcnode.protocols.frost.broadcast import Promise
from mpcnode.protocols.frost.dealing import SEAL_PURPOSE
from mpcnode.protocols.frost.keygen import keygen
from mpcnode.protocols.frost.packages import Round1Package, Round2Package
from mpcnode.protocols.rounds import Plan
from mpcnode.types import Identifier
from tests.helpers.lying_dealer import context_of, promised_in
from tests.helpers.simulate import (
    Signer,
    Simulation,
    Stored,
    descriptor,
    member,
    seeded,
    signer,
    simulate_keygen,
)
from tests.helpers.tamper import Rule, drop

SESSION = descriptor(2, 3)
NAMES = SESSION.participants
LIAR = Identifier(2)
VICTIM = Identifier(3)
ROUNDS = ["digest", "commitment", "share", "ready", "wallet_created"]


def kind_of(execution: Execution[Any]) -> str:
    assert execution.round is not None
    return execution.round.kind


def u64(number: int) -> bytes:
    return number.to_bytes(8, "big")


def group_key_of(
    session: Descriptor, wallets: dict[Identifier, Stored], signers: list[Identifier], suite: Any
) -> bytes:
    assert session.threshold == len(signers)
    group = CIPHERSUITES[suite].group
    lambdas = {i: lagrange_coefficient(group, i, signers) for i in signers}
    secret = group.sum_scalars(lambdas[i] * wallets[i].shares[suite].key.signing_share for i in signers)
    encoded: bytes = group.scalar_base_mult(secret).encode()
    return encoded


@settings(max_examples=20, deadline=None)
@given(st.data(), st.integers(0, 2**32))
def test_everybody_ends_with_the_same_wallet_whatever_the_order(data: st.DataObject, seed: int) -> None:
    total = data.draw(st.integers(2, 5))
    threshold = data.draw(st.integers(2, total))
    session = descriptor(threshold, total, seed=seed)
    simulation = simulate_keygen(session, seed=seed)
    results = simulation.run()
    first = results[Identifier(1)]
    assert first.certificate.complete_for(first.statement, None)
    assert all(result == first for result in results.values())
    wallets = simulation.stored
    for me, stored in wallets.items():
        assert stored.statement == first.statement
        assert list(stored.shares) == list(session.suites)
        assert [share.key.identifier for share in stored.shares.values()] == [me] * len(session.suites)
        for suite, share in stored.shares.items():
            keys = first.statement.keys(suite)
            assert share.public == wallets[Identifier(1)].shares[suite].public
            assert share.public.group_public_key.encode() == keys.group_public_key
            assert tuple(Y_j.encode() for Y_j in share.public.verifying_shares.values()) == keys.verifying_shares
            assert share.key.verifying_share == share.public.verifying_shares[me]
            assert CIPHERSUITES[suite].group.scalar_base_mult(share.key.signing_share) == share.key.verifying_share
    signers = data.draw(st.permutations(list(results)))[:threshold]
    for suite in session.suites:
        assert group_key_of(session, wallets, signers, suite) == first.statement.keys(suite).group_public_key


def test_the_same_seed_gives_the_same_wallet_in_any_order_and_another_seed_another() -> None:
    epochs = []
    for seed, order in ((1, 1), (1, 2), (2, 1)):
        simulation = simulate_keygen(SESSION, seed=seed)
        simulation.order = random.Random(order)
        epochs.append(simulation.run()[LIAR].statement.epoch_id)
    assert epochs[0] == epochs[1] != epochs[2]


def test_identifiers_are_those_of_the_roster_and_not_positions_in_it() -> None:
    session = replace(SESSION, roster=tuple(member(i) for i in (2, 7, 64)))
    simulation = simulate_keygen(session)
    results = simulation.run()
    assert results.keys() == {2, 7, 64}
    statement = results[Identifier(7)].statement
    assert statement.roster == session.roster
    for suite in session.suites:
        signers = [Identifier(64), Identifier(2)]
        assert group_key_of(session, simulation.stored, signers, suite) == statement.keys(suite).group_public_key


def test_a_participant_is_asked_to_compare_to_store_and_to_store_again() -> None:
    simulation = simulate_keygen(SESSION)
    results = simulation.run()
    asked = simulation.checkpoints
    assert [[type(record) for record in records] for records in asked.values()] == [
        [ConfirmWords, StorePending, StoreActive]
    ] * 3
    assert len({records[0].words for records in asked.values()}) == 1
    for me, (_, pending, active) in asked.items():
        assert pending.identifier == me
        assert pending.statement == results[me].statement
        assert active.certificate.signatures[SESSION.identity_keys[me]] == pending.ready
        assert active.certificate == results[me].certificate
        assert verify(SESSION.identity_keys[me], pending.ready, tags.READY, pending.statement.epoch_id)


def test_another_session_has_other_words() -> None:
    words = set()
    for seed in range(3):
        simulation = simulate_keygen(descriptor(2, 2, seed=seed))
        simulation.run()
        words.add(simulation.checkpoints[LIAR][0].words)
    assert len(words) == 3


# What everything is the hash of, written out once more.


class Overheard:
    """Everything that was broadcast in one key generation."""

    def __init__(self, seed: int = 0) -> None:
        self.said: dict[tuple[str, Any, Identifier], bytes] = {}
        self.simulation = simulate_keygen(SESSION, seed=seed)

        def spy(sender: Identifier, _recipient: Identifier, message: Any) -> list[Any]:
            self.said[message.kind, message.lane, sender] = message.data
            return [message]

        self.simulation.tamper = spy
        self.results = self.simulation.run()
        self.context = context_of(SESSION, self.simulation)
        self.promises = promised_in(SESSION, self.simulation)

    def packages(self, lane: Any) -> list[bytes]:
        return [self.said["commitment", lane, i] for i in NAMES]

    @property
    def stored(self) -> Stored:
        return self.simulation.stored[VICTIM]


OVERHEARD = Overheard()


def test_the_context_is_of_what_was_agreed_and_of_everybodys_fresh_bytes() -> None:
    fresh = [field for i, said in OVERHEARD.promises.items() for field in (u64(i), said.fresh)]
    assert OVERHEARD.context == tagged_hash("mpcnode/context/v1", SESSION.agreed, u64(3), *fresh)
    assert len({said.fresh for said in OVERHEARD.promises.values()}) == 3


def test_the_first_message_is_what_the_protocol_says() -> None:
    for i, said in OVERHEARD.promises.items():
        data = OVERHEARD.said["digest", None, i]
        assert data == SESSION.agreed + said.fresh + b"".join(said.digests) + said.signature
        parts = OVERHEARD.said["commitment", None, i]
        own = [tagged_hash("mpcnode/contribution/v1", SESSION.agreed, u64(i), said.fresh, parts)]
        for suite in SESSION.suites:
            fields = (SESSION.agreed, suite.encode(), u64(i), said.fresh, OVERHEARD.said["commitment", suite, i])
            own.append(tagged_hash("mpcnode/commitment-digest/v1", *fields))
        assert list(said.digests) == own
        signed = (SESSION.agreed, u64(i), said.fresh, u64(3), *own)
        assert verify(SESSION.identity_keys[i], said.signature, "mpcnode/signed-digest/v1", *signed)


def test_the_words_are_of_the_context_and_all_commitments_suite_by_suite() -> None:
    packages = [package for suite in SESSION.suites for package in OVERHEARD.packages(suite)]
    digest = tagged_hash("mpcnode/safety-words/v1", OVERHEARD.context, u64(len(packages)), *packages)
    assert OVERHEARD.simulation.checkpoints[LIAR][0].words == safety_words(digest)


def test_chain_code_and_document_key_are_of_everybodys_parts() -> None:
    parts = OVERHEARD.packages(None)
    assert all(len(part) == 64 for part in parts)
    stored = OVERHEARD.stored
    assert stored.chain_code == tagged_hash("mpcnode/chain-code/v1", OVERHEARD.context, *(part[:32] for part in parts))
    assert stored.document_key == tagged_hash(
        "mpcnode/document-key/v1", OVERHEARD.context, *(part[32:] for part in parts)
    )
    assert stored.statement.chain_code_hash == tagged_hash("mpcnode/chain-code/v1", stored.chain_code)
    assert stored.statement.chain_code_hash == chain_code_hash_of(stored.chain_code)
    for other in OVERHEARD.simulation.stored.values():
        assert (other.chain_code, other.document_key) == (stored.chain_code, stored.document_key)


def test_every_participant_alone_makes_another_chain_code_and_another_document_key() -> None:
    # Only participant 3 draws something else: one honest participant suffices.
    executions = {
        me: Execution(
            keygen(descriptor=SESSION, me=me, signer=signer(name), rng=seeded("other" if me == VICTIM else 0, me)),
            me=me,
            participants=NAMES,
        )
        for me, name in NAMES.items()
    }
    simulation: Simulation[KeyResult] = Simulation(executions)
    simulation.run()
    other = simulation.stored[LIAR]
    assert other.chain_code != OVERHEARD.stored.chain_code
    assert other.document_key != OVERHEARD.stored.document_key


def test_the_statement_is_of_the_first_epoch_and_the_transcript_of_everything_said() -> None:
    statement = OVERHEARD.stored.statement
    assert statement.wallet_id == tagged_hash("mpcnode/wallet-id/v1", OVERHEARD.context)[:16]
    assert (statement.number, statement.previous, statement.abandoned) == (0, None, ())
    assert (statement.kind, statement.threshold, statement.roster) == ("keygen", 2, SESSION.roster)
    assert [keys.suite for keys in statement.suites] == list(SESSION.suites)
    said = []
    for i, promised in OVERHEARD.promises.items():
        packages = [OVERHEARD.said["commitment", suite, i] for suite in SESSION.suites]
        said += [u64(i), u64(3), *promised.digests, u64(2), *packages]
    assert statement.transcript == tagged_hash("mpcnode/transcript/v1", OVERHEARD.context, u64(3), *said)
    for i in NAMES:
        data = OVERHEARD.said["ready", None, i]
        assert data == statement.epoch_id + OVERHEARD.results[i].certificate.signatures[SESSION.identity_keys[i]]
        assert OVERHEARD.said["wallet_created", None, i] == statement.wallet_id


def test_taproots_key_in_the_statement_is_the_internal_key_with_its_parity() -> None:
    keys = OVERHEARD.stored.statement.suites[1]
    suite = CIPHERSUITES[keys.suite]
    packages = [Round1Package.decode(suite, 2, package) for package in OVERHEARD.packages(keys.suite)]
    assert keys.group_public_key == suite.group.sum(package.commitment[0] for package in packages).encode()
    assert len(keys.group_public_key) == 33


# Checkpoints


def at_checkpoint(record: type) -> tuple[Simulation[KeyResult], dict[Identifier, Any]]:
    """Run until every execution stands at this checkpoint; nobody confirms it."""
    simulation = simulate_keygen(SESSION)
    simulation.confirms = lambda asked: not isinstance(asked, record)
    simulation.run_all()
    return simulation, {me: execution.checkpoint for me, execution in simulation.executions.items()}


def test_no_share_leaves_before_the_words_are_confirmed() -> None:
    simulation, asked = at_checkpoint(ConfirmWords)
    assert all(isinstance(record, ConfirmWords) for record in asked.values())
    execution = simulation.executions[LIAR]
    assert (execution.messages_to_send(), kind_of(execution)) == ([], "commitment")
    execution.confirm()
    sent = execution.messages_to_send()
    assert [(to, message.kind, message.lane) for to, message in sent] == [
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


def test_no_result_stands_and_nobody_says_so_before_the_certificate_is_stored() -> None:
    simulation, asked = at_checkpoint(StoreActive)
    assert all(isinstance(record, StoreActive) for record in asked.values())
    execution = simulation.executions[LIAR]
    assert execution.all_heard
    assert (execution.messages_to_send(), execution.concluded) == ([], False)
    execution.confirm()
    assert execution.result.certificate == asked[LIAR].certificate
    assert [message.kind for _, message in execution.messages_to_send()] == ["wallet_created"]
    assert not execution.finished


def test_once_the_share_is_to_be_stored_nothing_else_secret_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    # Held here, so that it is a wipe that overwrites them and not their end.
    scalars: list[Any] = []
    opened: list[bytearray] = []
    sealed: list[bytearray] = []
    polynomials: list[Any] = []

    def watch(module: Any, name: str, keep: Callable[[Any, tuple[Any, ...]], object]) -> None:
        original = getattr(module, name)

        def watched(*arguments: Any, **named: Any) -> Any:
            result = original(*arguments, **named)
            keep(result, arguments)
            return result

        monkeypatch.setattr(module, name, watched)

    watch(pedpop, "deal", lambda dealt, _arguments: scalars.extend(dealt.values()))
    watch(pedpop, "commit", lambda committed, _arguments: polynomials.append(committed[0]))
    watch(pedpop, "finish", lambda _share, arguments: scalars.extend(arguments[3].values()))
    watch(Signer, "open", lambda data, _arguments: opened.append(data))
    watch(Signer, "seal", lambda _data, arguments: sealed.append(arguments[2]))
    _, asked = at_checkpoint(StorePending)
    n, suites = SESSION.total, len(SESSION.suites)
    # In each suite, each of the n deals n - 1 shares, adds n up, and opens n - 1.
    assert len(scalars) == n * suites * ((n - 1) + n)
    assert len(opened) == len(sealed) == n * suites * (n - 1)
    assert all(scalar.is_zero() for scalar in scalars)
    assert not any(map(any, opened + sealed))
    assert all(polynomial._coefficients == [] for polynomial in polynomials)
    for record in asked.values():
        assert not any(share.key.signing_share.is_zero() for share in record.secrets.values())
        assert any(record.chain_code)
        assert any(record.document_key)


def test_once_everything_is_stored_the_execution_holds_no_secret() -> None:
    simulation, asked = at_checkpoint(StorePending)
    record = asked[LIAR]
    simulation.executions[LIAR].confirm()
    assert all(share.key.signing_share.is_zero() for share in record.secrets.values())
    assert not any(record.chain_code + record.document_key)
    assert len(record.chain_code) == len(record.document_key) == 32


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
    drawn: list[bytearray] = []
    if isinstance(asked[LIAR], StorePending):
        buffers += [share.key.signing_share._buffer for ask in asked.values() for share in ask.secrets.values()]
        drawn += [secret for ask in asked.values() for secret in (ask.chain_code, ask.document_key)]
        assert any(any(buffer) for buffer in buffers)
        assert all(any(secret) for secret in drawn)
    for execution in simulation.executions.values():
        execution.close()
    assert all(buffer == bytes(SCALAR_SIZE) for buffer in buffers)
    assert not any(map(any, drawn))
    assert all(f._coefficients == [] for f, _ in polynomials)


def test_what_is_to_be_stored_and_the_result_show_no_secret() -> None:
    simulation = simulate_keygen(SESSION)
    results = simulation.run()
    _, asked = at_checkpoint(StorePending)
    for me, record in asked.items():
        shown = repr(record) + repr(results[me]) + repr(simulation.checkpoints[me])
        secrets = [share.key.signing_share.encode() for share in record.secrets.values()]
        for secret in (*secrets, bytes(record.chain_code), bytes(record.document_key)):
            assert secret.hex() not in shown
            assert repr(secret) not in shown


@pytest.mark.parametrize("kind", ROUNDS)
def test_a_participant_that_says_nothing_is_waited_for_by_name(kind: str) -> None:
    simulation = simulate_keygen(SESSION, tamper=Rule(kind, LIAR, None, drop))
    assert simulation.run_all() == {}
    for me in (Identifier(1), VICTIM):
        execution = simulation.executions[me]
        assert kind_of(execution) == kind
        assert execution.waiting_for == {LIAR}
        assert not execution.finished
        assert execution.concluded == (kind == "wallet_created")


@pytest.mark.parametrize("kind", ["commitment", "share"])
def test_dropping_one_lanes_message_is_waiting_for_its_sender_too(kind: str) -> None:
    lanes: list[Any] = [*SESSION.suites, None] if kind == "commitment" else [*SESSION.suites]
    for lane in lanes:
        simulation = simulate_keygen(SESSION, tamper=Rule(kind, LIAR, VICTIM, drop, (lane,)))
        simulation.run_all()
        assert simulation.executions[VICTIM].waiting_for == {LIAR}


def plan_of(session: Descriptor) -> Plan:
    plan = next(keygen(descriptor=session, me=LIAR, signer=signer("cli02"), rng=seeded(0)))
    assert isinstance(plan, Plan)
    return plan


def test_a_rounds_limit_is_what_an_honest_participant_sends() -> None:
    from mpcnode.identity.identity import Identity

    identities = [Identity.from_seed(bytearray(seeded(i)(32))) for i in range(2)]
    plain = bytearray(Round2Package.SIZE)
    sealed = identities[0].seal(
        identities[1].public_key, plain, purpose=SEAL_PURPOSE, topic=bytes(32), aad=b"aad", rng=seeded(0)
    )
    limits = {planned.kind: planned.limit for planned in plan_of(SESSION).rounds}
    assert len(sealed) == limits["share"]
    assert limits["commitment"] == max(Round1Package.size(CIPHERSUITES[suite], 2) for suite in SESSION.suites)
    assert limits["digest"] == 32 + Promise.size(1 + len(CIPHERSUITES))
    assert (limits["ready"], limits["wallet_created"]) == (96, 16)


def test_the_plan_says_all_a_pump_needs() -> None:
    rounds = plan_of(SESSION).rounds
    assert [planned.kind for planned in rounds] == ROUNDS
    assert [planned.phase for planned in rounds] == ["committing", "revealing", "sharing", "certifying", "leaving"]
    assert {planned.kind for planned in rounds if planned.users} == {"share", "ready"}
    assert {planned.kind for planned in rounds if planned.heard} == {"share", "ready", "wallet_created"}
    assert [planned.last_words for planned in rounds] == [False] * 4 + [True]
    assert [planned.lanes for planned in rounds] == [
        (None,),
        (None, *SESSION.suites),
        SESSION.suites,
        (None,),
        (None,),
    ]
    assert all(planned.seconds == 60 for planned in rounds)


def test_a_descriptor_of_another_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="not of a key generation"):
        plan_of(replace(SESSION, kind=REFRESH))


@pytest.mark.slow
def test_43_of_64_in_both_suites() -> None:
    results = simulate_keygen(descriptor(43, 64)).run()
    assert len({result.statement.epoch_id for result in results.values()}) == 1
