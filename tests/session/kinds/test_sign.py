"""One attempt to sign: who approves what, who is chosen, what is shown and what a proposer can switch."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from mpcnode.crypto import tags
from mpcnode.errors import (
    IdentityCheckFailed,
    KeystoreUnwritable,
    MpcError,
    ParticipantRefused,
    ParticipantSilent,
    UsageError,
    WalletPending,
)
from mpcnode.identity.contacts import Contact, Contacts
from mpcnode.session.answers import accept
from mpcnode.session.kinds.sign import SignTerms
from mpcnode.status import Proposed
from mpcnode.types import EpochId, PeerId, SuiteId, WalletId
from mpcnode.wire import agreement
from mpcnode.wire import relay as wire
from mpcnode.wire.peer import RoundMessage
from mpcnode.wire.relay import Acceptance, RelayMessage, SessionResponse, SessionStart
from tests.helpers.identities import identity, key_of
from tests.helpers.table import ED25519, HASTY, NAMES, TAPROOT, asked, hello, table

ANA, BEN, CLEO, DORA = NAMES[:4]
ANOTHER = EpochId(bytes(32))


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
        await made.sign(ANA, hello(BEN, contents=(b"\x1b[2Jpay mallory",)))
        await made[BEN].ended()
        (shown,) = made[BEN].of(Proposed)
        assert shown.sign is not None
        assert shown.sign.messages == (b"\x1b[2Jpay mallory".hex(),)
        assert shown.proposer == ANA


async def test_many_messages_are_signed_in_several_sessions_on_one_mesh() -> None:
    messages = tuple(b"%d" % number for number in range(300))
    async with table(2, 2) as made:
        view = await made.sign(ANA, hello(contents=messages))
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


async def test_a_human_that_does_not_answer_in_time_is_this_node_s_refusal() -> None:
    async with table(2, 2) as made:

        async def dawdle(_proposal: Proposed) -> bool:
            await asyncio.sleep(60)
            return True

        made[BEN].asks(says=dawdle)
        with pytest.raises((ParticipantRefused, ParticipantSilent)) as caught:
            await made.sign(ANA, answer_within=300)
        assert caught.value.culprits == (BEN,)
        # It gave up itself, or heard from the proposer that it did, whichever came first.
        assert await made[BEN].error() in [("refused", ()), ("participant_aborted", (ANA,))]


async def test_one_that_accepted_and_hears_no_more_blames_the_proposer() -> None:
    async with table(2, 2, timeouts=HASTY) as made:
        made.tamper = _without(SessionStart)
        with pytest.raises(MpcError):
            await made.sign(ANA, hello(BEN), answer_within=500)
        assert await made[BEN].error() == ("participant_silent", (ANA,))


async def test_as_long_as_enough_agree_a_refusal_stops_nothing() -> None:
    async with table(2, 3) as made:
        made[BEN].asks(says=False)
        view = await made.sign(ANA)
        assert view.signers == (ANA, CLEO)
        assert view.attempts == 1


async def test_one_that_accepted_and_is_not_needed_ends_with_neither_signature_nor_error() -> None:
    async with table(2, 3) as made:
        view = await made.sign(ANA)
        (idle,) = {ANA, BEN, CLEO} - set(view.signers)
        ended = await made[PeerId(idle)].ended()
        assert ended.signature is None
        assert ended.error is None


async def test_too_many_refusals_name_those_that_refused_and_why() -> None:
    async with table(3, 3) as made:
        made[BEN].asks(says=False)
        with pytest.raises(ParticipantRefused) as caught:
            await made.sign(ANA)
        assert caught.value.culprits == (BEN,)
        assert await made[CLEO].error() == ("participant_refused", (BEN,))  # by the word of ana


# --- what cannot be signed ---


async def test_a_pending_wallet_signs_nothing() -> None:
    async with table(2, 2) as made:
        (stored,) = made[ANA].home.files
        header, sealed = made[ANA].home.files[stored]
        (epoch,) = header["epochs"]
        made[ANA].home.files[stored] = ({**header, "epochs": [{**epoch, "state": "pending"}]}, sealed)
        with pytest.raises(WalletPending) as caught:
            await made.sign(ANA)
        assert caught.value.exit_code == 10
        assert not made.relayed


@pytest.mark.parametrize(
    ("change", "reason"),
    [({"epoch_id": ANOTHER}, "not of an epoch that is unknown"), ({"wallet_id": WalletId(bytes(16))}, "no wallet")],
)
async def test_another_epoch_or_wallet_is_refused_by_every_signer(change: dict[str, Any], reason: str) -> None:
    async with table(2, 2) as made:
        made.tamper = _asking(**change)
        with pytest.raises((ParticipantRefused, ParticipantSilent)):
            await made.sign(ANA, answer_within=1000)
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


async def test_nothing_leaves_before_the_audit_log_says_that_this_node_signs() -> None:
    async with table(2, 3, timeouts=HASTY) as made:

        async def then_the_disk_is_full(_proposal: Proposed) -> bool:
            made[BEN].journal.refuses = KeystoreUnwritable("no space on /home/ben/secret-place")
            return True

        made[BEN].asks(says=then_the_disk_is_full)
        made[CLEO].asks(says=_slowly)
        view = await made.sign(ANA)
        assert view.signers == (ANA, CLEO)
        assert await made[BEN].error() == ("unwritable", ())
        assert [(failure.code, failure.culprits) for failure in view.failures] == [("participant_aborted", (BEN,))]
        heard = [message for mesh in made[ANA].made for sender, message in mesh.heard if sender == BEN]
        assert not [message for message in heard if isinstance(message, RoundMessage)]
        assert "secret-place" not in repr(heard)


async def test_the_audit_log_says_that_this_node_signs_before_it_asks_others() -> None:
    async with table(2, 2) as made:
        made[ANA].journal.refuses = KeystoreUnwritable("no space left")
        with pytest.raises(KeystoreUnwritable):
            await made.sign(ANA)
        assert not made.relayed


async def test_what_was_signed_with_whom_is_written_down_at_each_signer() -> None:
    async with table(2, 3) as made:
        view = await made.sign(ANA, hello(BEN))
        await made.settled()
        for name, approved_by in ((ANA, "user"), (BEN, "policy")):
            ((shown, told, error),) = made[name].journal.told
            assert error is None
            assert shown.sign is not None
            assert shown.sign.signed == view.signed
            assert (told.signers, told.approved_by, told.accepted) == ((ANA, BEN), approved_by, True)
            assert told.signature is not None
            assert told.signature.signatures == view.signatures
            assert [one.session_id for one in made[name].journal.accepted] == [shown.session_id]


# --- a proposer that cheats ---


Lie = Callable[[SessionStart], tuple[Acceptance, ...]]

LIES: dict[str, Lie] = {
    "too-few": lambda begun: begun.chosen[:2],
    "without-me": lambda begun: tuple(one for one in begun.chosen if one.identifier != 2),
    "another-s-acceptance": lambda begun: (
        *begun.chosen[:2],
        msgspec.structs.replace(begun.chosen[2], signature=begun.chosen[0].signature),
    ),
    "other-terms": lambda begun: (*begun.chosen[:2], msgspec.structs.replace(begun.chosen[2], terms=(b"more",))),
}


@pytest.mark.parametrize("lie", LIES)
async def test_a_choice_that_no_honest_proposer_makes_names_it_and_gives_no_share(lie: str) -> None:
    async with table(3, 4, timeouts=HASTY) as made:

        def tamper(_sender: PeerId, to: PeerId, message: RelayMessage) -> RelayMessage:
            if not isinstance(message, SessionStart) or to != BEN:
                return message
            chosen = LIES[lie](message)
            fields = agreement.start_fields(message.proposal, message.mesh, chosen)
            return msgspec.structs.replace(message, chosen=chosen, signature=identity(ANA).sign(tags.START, *fields))

        made.tamper = tamper
        with pytest.raises(MpcError):
            await made.sign(ANA, hello(BEN, CLEO, DORA))
        assert await made[BEN].error() == ("participant_cheated", (ANA,))
        assert not made[BEN].made


async def test_a_choice_that_is_not_the_proposer_s_names_it_and_gives_no_share() -> None:
    async with table(2, 2, timeouts=HASTY) as made:
        made.tamper = lambda _sender, _to, message: (
            msgspec.structs.replace(message, signature=bytes(64)) if isinstance(message, SessionStart) else message
        )
        with pytest.raises(MpcError):
            await made.sign(ANA)
        assert (await made[BEN].failure()).code == "participant_cheated"
        assert not made[BEN].made


async def test_a_content_switched_after_the_approval_gives_no_signature() -> None:
    """Ben approves another content than ana signs: what ben accepts is not what ana proposed."""
    async with table(2, 2, timeouts=HASTY) as made:
        made.tamper = _asking(contents=(b"another",))
        with pytest.raises(MpcError) as caught:
            await made.sign(ANA, hello(BEN))
        assert caught.value.code == "participant_cheated"
        assert caught.value.culprits == (BEN,)
        assert not made[BEN].made


async def test_a_content_switched_behind_a_true_acceptance_gives_no_share() -> None:
    """The proposer itself shows ben one content, and signs another with what ben sends."""
    async with table(2, 2, timeouts=HASTY) as made:
        shown = _asking(contents=(b"harmless",))

        def tamper(sender: PeerId, to: PeerId, message: RelayMessage) -> RelayMessage:
            if isinstance(message, SessionResponse) and sender == BEN and message.nonce is not None:
                proposal = made.of(wire.SessionProposal, ANA, BEN)[0]
                return accept(proposal, identity(BEN), nonce=message.nonce, terms=(), meshes=())
            return shown(sender, to, message)

        made.tamper = tamper
        with pytest.raises(MpcError) as caught:
            await made.sign(ANA, hello(BEN))
        assert caught.value.exit_code in {6, 7}
        assert await made[BEN].error() == ("participant_cheated", (ANA,))
        assert not made[BEN].made


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
        mallory = agreement.session_id_of(key_of("mallory"), bytes(16))
        again = msgspec.structs.replace(proposal, session_id=mallory, salt=bytes(16))
        made.say(ANA, CLEO, again, key_as="mallory")
        assert await made[CLEO].error(2) == ("identity_check_failed", (ANA,))


async def test_one_that_races_the_proposer_with_its_own_session_takes_nothing_away() -> None:
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


async def test_one_that_goes_by_a_participant_s_name_gets_no_message_and_stops_nothing() -> None:
    async with table(2, 3) as made:
        made.keys[BEN] = key_of("mallory")
        # Cleo knows ben, as everybody does that made a wallet with him.
        made[CLEO].services.trusts.contacts = Contacts([Contact(BEN, key_of(BEN), "words", 0)])
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
            made[ANA].agenda.introduced(BEN, key_of("mallory"))
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


def _asking(**changes: Any) -> Callable[[PeerId, PeerId, RelayMessage], RelayMessage]:
    """Have everybody be asked for something else than what is proposed."""

    def tamper(_sender: PeerId, _to: PeerId, message: RelayMessage) -> RelayMessage:
        if not isinstance(message, wire.SessionProposal):
            return message
        return msgspec.structs.replace(message, terms=replace(SignTerms.decode(message.terms), **changes).encode())

    return tamper
