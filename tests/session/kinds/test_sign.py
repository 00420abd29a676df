"""One attempt to sign: who approves what, who is chosen, what is shown and what a proposer can switch."""

import asyncio
from collections.abc import Callable

import msgspec
import pytest

from mpcnode.errors import (
    IdentityCheckFailed,
    MpcError,
    ParticipantRefused,
    ParticipantSilent,
    UsageError,
    WalletPending,
)
from mpcnode.session.proposal import proposal_hash, session_id_of
from mpcnode.status import Proposed
from mpcnode.types import PeerId, SuiteId
from mpcnode.wallet.wallet import State
from mpcnode.wire import relay as wire
from mpcnode.wire.relay import RelayMessage, SessionResponse, SessionStart
from tests.helpers.quorums import ED25519, NAMES, TAPROOT, Table, asked, hello, table
from tests.helpers.relays import key_of
from tests.helpers.sessions import HASTY

ANA, BEN, CLEO, DORA, ELI = NAMES[:5]


@pytest.mark.parametrize("suite", [ED25519, TAPROOT])
@pytest.mark.parametrize(("proposer", "other"), [(ANA, BEN), (BEN, CLEO), (CLEO, ANA)])
async def test_each_pair_of_three_signs(proposer: PeerId, other: PeerId, suite: SuiteId) -> None:
    async with table(2, 3) as made:
        view = await made.sign(proposer, hello(other, suite=suite))
        assert set(view.signers) == {proposer, other}
        ended = await made[other].ended()
        assert ended.signature is not None
        assert ended.signature.signatures == view.signatures


async def test_a_signer_shows_the_message_of_its_own_copy() -> None:
    async with table(2, 3) as made:
        await made.sign(ANA, hello(BEN, messages=(b"\x1b[2Jpay mallory",)))
        await made[BEN].ended()
        (shown,) = made[BEN].of(Proposed)
        assert shown.sign is not None
        assert shown.sign.messages == (b"\x1b[2Jpay mallory".hex(),)
        assert shown.proposer == ANA


async def test_many_messages_are_signed_in_several_sessions_on_one_mesh() -> None:
    messages = tuple(b"%d" % number for number in range(300))
    async with table(2, 2) as made:
        view = await made.sign(ANA, hello(messages=messages))
        assert len(view.signatures) == 300
        assert len(made.of(wire.SessionProposal, ANA, BEN)) == 1  # the second went over the mesh
        assert len(made[BEN].of(Proposed)) == 2
        assert len(made[ANA].made) == 1


# --- refusal and silence ---


async def test_a_refusal_is_told_apart_from_silence() -> None:
    async with table(2, 2) as made:
        made[BEN].asks(says=False)
        with pytest.raises(ParticipantRefused) as caught:
            await made.sign(ANA)
        assert (caught.value.exit_code, caught.value.culprits) == (6, (BEN,))
        assert await made[BEN].error() == ("refused", ())
        assert asked(made[BEN])
    async with table(2, 2, timeouts=HASTY) as made:
        made.deaf.add(BEN)
        with pytest.raises(ParticipantSilent, match="no answer to the proposal from ben") as silent:
            await made.sign(ANA)
        assert (silent.value.exit_code, silent.value.culprits) == (6, (BEN,))


async def test_a_human_who_does_not_answer_in_time_is_this_node_s_refusal() -> None:
    async with table(2, 2) as made:

        async def dawdle(_proposal: Proposed) -> bool:
            await asyncio.sleep(60)
            return True

        made[BEN].asks(says=dawdle)
        with pytest.raises((ParticipantRefused, ParticipantSilent)) as caught:
            await made.sign(ANA, negotiate=0.3)
        assert caught.value.culprits == (BEN,)
        # It gave up itself, or heard from the proposer that it did, whichever came first.
        assert await made[BEN].error() in [("refused", ()), ("participant_aborted", (ANA,))]


async def test_who_accepted_and_hears_no_more_blames_the_proposer() -> None:
    async with table(2, 2, timeouts=HASTY) as made:
        made.tamper = _without(SessionStart)
        with pytest.raises(MpcError):
            await made.sign(ANA, hello(BEN), negotiate=0.5)
        assert await made[BEN].error() == ("participant_silent", (ANA,))


async def test_as_long_as_enough_agree_a_refusal_stops_nothing() -> None:
    async with table(2, 3) as made:
        made[BEN].asks(says=False)
        view = await made.sign(ANA)
        assert view.signers == (ANA, CLEO)
        assert view.attempts == 1


async def test_who_accepted_and_is_not_needed_ends_with_neither_signature_nor_error() -> None:
    async with table(2, 3) as made:
        view = await made.sign(ANA)
        (idle,) = {ANA, BEN, CLEO} - set(view.signers)
        ended = await made[PeerId(idle)].ended()
        assert ended.signature is None
        assert ended.error is None


async def test_too_many_refusals_name_who_refused_and_why() -> None:
    async with table(3, 3) as made:
        made[BEN].asks(says=False)
        with pytest.raises(ParticipantRefused) as caught:
            await made.sign(ANA)
        assert caught.value.culprits == (BEN,)
        code, culprits = await made[CLEO].error()
        assert (code, culprits) == ("participant_aborted", (ANA,))


# --- what cannot be signed ---


async def test_a_pending_wallet_signs_nothing() -> None:
    async with table(2, 2) as made:
        wallet = made[ANA].wallet
        object.__setattr__(wallet, "state", State.PENDING)
        with pytest.raises(WalletPending) as caught:
            await made.sign(ANA)
        assert caught.value.exit_code == 10
        assert not made.relayed


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"epoch": 1}, "epoch"),
        ({"wallet_id": "00" * 16}, "wallet"),
    ],
)
async def test_another_epoch_or_wallet_is_refused_by_every_signer(change: dict[str, object], reason: str) -> None:
    async with table(2, 2) as made:
        made.tamper = _asking(lambda request: msgspec.structs.replace(request, **change))
        with pytest.raises((ParticipantRefused, ParticipantSilent)):
            await made.sign(ANA, negotiate=1)
        error = (await made[BEN].ended()).error
        assert error is not None
        assert error.code == "refused"
        assert reason in error.message


async def test_a_stranger_cannot_be_asked_and_too_few_cannot_be_meant() -> None:
    async with table(3, 4) as made:
        with pytest.raises(UsageError, match="fay, which is no other participant"):
            await made.sign(ANA, hello("fay", BEN))
        with pytest.raises(UsageError, match="no other participant"):
            await made.sign(ANA, hello(ANA, BEN))
        with pytest.raises(UsageError, match="needs 2 other signers"):
            await made.sign(ANA, hello(BEN))
        assert not made.relayed


async def test_a_ciphersuite_the_wallet_has_no_key_for_is_refused_with_those_it_has() -> None:
    async with table(2, 2) as made:
        with pytest.raises(UsageError, match="no key for that ciphersuite") as caught:
            await made.sign(ANA, hello(suite=SuiteId("FROST-secp256k1-SHA256-v1")))
        assert ED25519 in (caught.value.hint or "")


# --- a proposer that cheats ---


def _start(change: Callable[[SessionStart, Table], SessionStart]) -> Callable[[Table], None]:
    def install(made: Table) -> None:
        def tamper(_sender: PeerId, to: PeerId, message: RelayMessage) -> RelayMessage:
            return change(message, made) if isinstance(message, SessionStart) and to == BEN else message

        made.tamper = tamper

    return install


@pytest.mark.parametrize(
    "lie",
    [
        _start(lambda start, _: msgspec.structs.replace(start, signers=(ANA, BEN))),
        _start(lambda start, _: msgspec.structs.replace(start, signers=(*start.signers, "zoe"))),
        _start(lambda start, _: msgspec.structs.replace(start, signers=tuple(reversed(start.signers)))),
        _start(lambda start, _: msgspec.structs.replace(start, signers=(ANA, CLEO, DORA))),
        _start(lambda start, _: msgspec.structs.replace(start, fresh={**start.fresh, BEN: "00" * 32})),
        _start(lambda start, _: msgspec.structs.replace(start, fresh={ANA: start.fresh[ANA]})),
    ],
    ids=["too-few", "stranger", "unsorted", "without-me", "other-fresh-bytes", "missing-fresh-bytes"],
)
async def test_a_choice_that_no_honest_proposer_makes_names_it_and_gives_no_share(lie: Callable[[Table], None]) -> None:
    async with table(3, 4, timeouts=HASTY) as made:
        lie(made)
        with pytest.raises(MpcError):
            await made.sign(ANA, hello(BEN, CLEO))
        assert await made[BEN].error() == ("participant_cheated", (ANA,))
        assert not made[BEN].made


async def test_a_message_switched_after_the_approval_gives_no_signature() -> None:
    """Ben approves another message than ana signs: the context of everything they sign differs."""
    async with table(2, 2, timeouts=HASTY) as made:
        made.tamper = _asking(lambda request: msgspec.structs.replace(request, messages=(b"another".hex(),)))
        with pytest.raises(MpcError) as caught:
            await made.sign(ANA, hello(BEN))
        # What ben accepted is not what ana proposed: its answer says the hash of what it was shown.
        assert caught.value.code == "participant_cheated"
        assert caught.value.culprits == (BEN,)
        assert not made[BEN].made


async def test_a_message_switched_behind_a_true_hash_gives_no_share() -> None:
    """The proposer itself shows ben one message, and signs another with what ben sends."""
    async with table(2, 2, timeouts=HASTY) as made:
        shown = _asking(lambda request: msgspec.structs.replace(request, messages=(b"harmless".hex(),)))

        def tamper(sender: PeerId, to: PeerId, message: RelayMessage) -> RelayMessage:
            if isinstance(message, SessionResponse) and sender == BEN:
                (proposal,) = made.of(wire.SessionProposal, ANA, BEN)
                return msgspec.structs.replace(message, proposal=proposal_hash(proposal).hex())
            return shown(sender, to, message)

        made.tamper = tamper
        with pytest.raises(MpcError) as caught:
            await made.sign(ANA, hello(BEN))
        assert caught.value.exit_code in {6, 7}
        ended = await made[BEN].ended()
        assert ended.signature is None
        assert ended.error is not None


async def test_a_session_id_used_before_starts_nothing() -> None:
    async with table(2, 2) as made:
        await made.sign(ANA)
        await made[BEN].ended()
        (proposal,) = made.of(wire.SessionProposal, ANA, BEN)
        made.say(ANA, BEN, proposal)
        await asyncio.sleep(0.05)
        assert len(made[BEN].of(Proposed)) == 1


async def test_the_proposal_of_a_key_that_is_not_the_proposer_s_is_not_shown() -> None:
    async with table(2, 3) as made:
        await made.sign(ANA)
        (proposal,) = made.of(wire.SessionProposal, ANA, CLEO)
        mallory = session_id_of(key_of("mallory"), bytes(16))
        again = msgspec.structs.replace(proposal, session_id=mallory, salt="00" * 16)
        made.say(ANA, CLEO, again, key_as="mallory")
        assert await made[CLEO].error(2) == ("identity_check_failed", (ANA,))


async def test_who_races_the_proposer_with_its_own_session_takes_nothing_away() -> None:
    """Dora is asked like the others, and proposes the very same session before the proposer is heard."""
    async with table(3, 4) as made:

        def race(sender: PeerId, to: PeerId, message: RelayMessage) -> RelayMessage | None:
            if not isinstance(message, wire.SessionProposal) or sender != ANA:
                return message
            if to == DORA:
                for name in (BEN, CLEO):
                    made.say(DORA, name, message)
                    asyncio.get_running_loop().call_later(0.05, made.say, ANA, name, message)
                return message
            return None

        made.tamper = race
        view = await made.sign(ANA)
        assert view.attempts == 1
        assert not view.failures
        for name in (BEN, CLEO):
            assert [shown.proposer for shown in made[name].of(Proposed)] == [ANA]


# --- somebody else under a participant's name ---


async def test_who_goes_by_a_participant_s_name_gets_no_message_and_stops_nothing() -> None:
    async with table(2, 3) as made:
        made.keys[BEN] = key_of("mallory")
        view = await made.sign(ANA)
        assert view.signers == (ANA, CLEO)
        assert not [to for _, to, _ in made.relayed if to == BEN]
        assert [(failure.code, failure.culprits) for failure in view.failures] == [("identity_check_failed", (BEN,))]


async def test_an_answer_under_another_key_counts_for_nothing_and_is_named() -> None:
    async with table(2, 3) as made:

        def impostor(sender: PeerId, to: PeerId, message: RelayMessage) -> RelayMessage | None:
            if isinstance(message, SessionResponse) and sender == BEN:
                made.say(BEN, to, message, key_as="mallory")
                return None
            return message

        made.tamper = impostor
        made[CLEO].asks(says=_slowly)
        view = await made.sign(ANA)
        assert view.signers == (ANA, CLEO)
        assert [(failure.code, failure.culprits) for failure in view.failures] == [("identity_check_failed", (BEN,))]


async def test_with_nobody_else_the_false_participant_is_named() -> None:
    async with table(2, 2) as made:
        made.keys[BEN] = key_of("mallory")
        with pytest.raises(IdentityCheckFailed) as caught:
            await made.sign(ANA)
        assert (caught.value.exit_code, caught.value.culprits) == (4, (BEN,))


async def test_an_introduction_during_the_negotiation_counts_as_one_before_it() -> None:
    async with table(2, 3) as made:
        made.deaf.add(BEN)

        async def meanwhile(_proposal: Proposed) -> bool:
            made[ANA].sessions.introduced(BEN, key_of("mallory"))
            return True

        made[CLEO].asks(says=meanwhile)
        view = await made.sign(ANA)
        assert view.signers == (ANA, CLEO)
        assert [failure.culprits for failure in view.failures] == [(BEN,)]


async def _slowly(_proposal: Proposed) -> bool:
    await asyncio.sleep(0.05)
    return True


def _without(*kinds: type[RelayMessage]) -> Callable[[PeerId, PeerId, RelayMessage], RelayMessage | None]:
    return lambda _sender, _to, message: None if isinstance(message, kinds) else message


def _asking(
    change: Callable[[wire.SignRequest], wire.SignRequest],
) -> Callable[[PeerId, PeerId, RelayMessage], RelayMessage]:
    def tamper(_sender: PeerId, _to: PeerId, message: RelayMessage) -> RelayMessage:
        if not isinstance(message, wire.SessionProposal):
            return message
        assert message.sign is not None
        return msgspec.structs.replace(message, sign=change(message.sign))

    return tamper
