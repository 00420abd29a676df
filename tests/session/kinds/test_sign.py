"""One attempt to sign: who approves what, who is chosen, what is signed and shown, and what a proposer can switch."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import replace
from hashlib import sha256
from typing import Any

import msgspec
import pytest
from ecdsa import SECP256k1
from ecdsa.ellipticcurve import PointJacobi

from mpcnode.commands import Sign
from mpcnode.crypto import tags
from mpcnode.errors import (
    ClocksApart,
    IdentityCheckFailed,
    KeystoreAbsent,
    KeystoreUnwritable,
    MpcError,
    ParticipantCheated,
    ParticipantRefused,
    ParticipantSilent,
    ParticipantStopped,
    UsageError,
    WalletPending,
)
from mpcnode.protocols.epoch import Certificate
from mpcnode.readings.file import FileContent
from mpcnode.session.answers import accept, start
from mpcnode.session.kinds.sign import MAX_BATCH, MAX_CONTENTS_SIZE, SignTerms
from mpcnode.session.quorum import portions
from mpcnode.status import Proposed
from mpcnode.types import Identifier, PeerId, Reading, SuiteId
from mpcnode.wallet.wallet import Epoch, EpochState
from mpcnode.wire.agreement import session_id_of, start_fields
from mpcnode.wire.peer import Abort, PeerMessage, RoundMessage
from mpcnode.wire.relay import Acceptance, RelayMessage, SessionProposal, SessionResponse, SessionStart
from tests.helpers.blamed import blamed
from tests.helpers.identities import identity, key_of
from tests.helpers.table import ED25519, HASTY, NAMES, TAPROOT, Seat, Table, asked, hello, table

ANA, BEN, CLEO, DORA = NAMES[:4]

Tamper = Callable[[PeerId, PeerId, RelayMessage], RelayMessage | None]


@pytest.mark.parametrize("suite", [ED25519, TAPROOT])
@pytest.mark.parametrize(("proposer", "other"), [(ANA, BEN), (BEN, CLEO), (CLEO, ANA)])
async def test_each_pair_of_three_signs(proposer: PeerId, other: PeerId, suite: SuiteId) -> None:
    async with table(2, 3) as people:
        view = await people.sign(proposer, hello(other, suite=suite))
        assert set(view.signers) == {proposer, other}
        ended = await people[other].ended()
        assert ended.signature is not None
        assert ended.signature.signatures == view.signatures


async def test_a_signer_shows_the_message_of_its_own_copy() -> None:
    async with table(2, 3) as people:
        await people.sign(ANA, hello(BEN, contents=(b"\x1b[2Jpay mallory",)))
        await people[BEN].ended()
        (shown,) = people[BEN].of(Proposed)
        assert shown.sign is not None
        assert shown.sign.messages == (b"\x1b[2Jpay mallory".hex(),)
        assert shown.sign.hashes == (sha256(b"\x1b[2Jpay mallory").hexdigest(),)
        assert (shown.sign.epoch, shown.sign.reading, shown.sign.merkle_root) == (0, "text", None)
        assert shown.proposer == ANA


async def test_many_messages_are_signed_in_several_sessions_on_one_mesh() -> None:
    contents = tuple(b"%d" % number for number in range(300))
    async with table(2, 2) as people:
        view = await people.sign(ANA, hello(contents=contents))
        assert len(view.signatures) == 300
        assert len(people.of(SessionProposal, ANA, BEN)) == 1  # the second went over the mesh
        assert len(people[BEN].of(Proposed)) == 2
        assert len(people[ANA].made) == 1


def test_contents_are_cut_where_one_session_takes_no_more() -> None:
    assert portions([b"a"] * MAX_BATCH) == [(b"a",) * MAX_BATCH]
    assert portions([b"a"] * (MAX_BATCH + 1)) == [(b"a",) * MAX_BATCH, (b"a",)]
    half = bytes(MAX_CONTENTS_SIZE // 2)
    assert portions([half, half, b"b"]) == [(half, half), (b"b",)]
    assert portions([half, half + b"a"]) == [(half,), (half + b"a",)]


# --- what is signed ---


@pytest.mark.parametrize(
    ("reading", "content", "signed"),
    [
        ("text", "Zürich".encode(), lambda content: _tagged("mpcnode/text/v1", content)),
        (
            "file",
            FileContent(sha256(b"a file").digest(), 6, "a").encode(),
            lambda content: _tagged("mpcnode/file/v1", content[:32]),
        ),
        ("hex", b"\x00\xff", lambda content: content),
    ],
    ids=["text", "file", "hex"],
)
@pytest.mark.parametrize("suite", [ED25519, TAPROOT])
async def test_the_reading_determines_the_bytes_that_are_signed(
    reading: Reading, content: bytes, signed: Callable[[bytes], bytes], suite: SuiteId
) -> None:
    async with table(2, 2) as people:
        view = await people.sign(ANA, hello(reading=reading, contents=(content,), suite=suite))
        assert view.messages == (content.hex(),)
        assert view.signed == (signed(content).hex(),)
        await people[BEN].ended()
        (shown,) = people[BEN].of(Proposed)
        assert shown.sign is not None
        assert (shown.sign.reading, shown.sign.signed) == (reading, view.signed)


async def test_an_approval_of_one_reading_signs_nothing_by_another() -> None:
    """Ben is shown text; ana would have the very same content signed as it is."""
    async with table(2, 2) as people:
        people.tamper = _asking(lambda terms: replace(terms, reading="text"))
        with pytest.raises(ParticipantCheated, match="something else than was proposed"):
            await people.sign(ANA, hello(BEN, reading="hex"))
        assert not people[BEN].made


@pytest.mark.parametrize("root", [b"", bytes(range(32))], ids=["no-script-tree", "script-tree"])
async def test_a_taproot_wallet_signs_with_the_output_key_of_the_script_tree_and_never_with_its_internal_key(
    root: bytes,
) -> None:
    async with table(2, 2) as people:
        view = await people.sign(ANA, hello(suite=TAPROOT, merkle_root=root))
        (internal,) = (keys.group_public_key for keys in people[ANA].wallet.suites if keys.suite == TAPROOT)
        assert len(internal) == 33
        assert bytes.fromhex(view.public_key)[-32:] == _output_key(internal[1:], root)
        await people[BEN].ended()
        (shown,) = people[BEN].of(Proposed)
        assert shown.sign is not None
        assert shown.sign.merkle_root == (root.hex() or None)


async def test_a_key_that_is_not_taproots_signs_as_it_is_stored() -> None:
    async with table(2, 2) as people:
        view = await people.sign(ANA, hello(suite=ED25519))
        (keys,) = (keys for keys in people[ANA].wallet.suites if keys.suite == ED25519)
        assert view.public_key == keys.group_public_key.hex()


# --- refusal and silence ---


async def test_a_refusal_is_told_apart_from_silence() -> None:
    async with table(2, 2) as people:
        people[BEN].asks(says=False)
        with pytest.raises(ParticipantRefused) as caught:
            await people.sign(ANA)
        assert (caught.value.exit_code, *blamed(caught.value)) == (6, (), {BEN})
        assert await people[BEN].error() == ("refused", (), ())
        assert asked(people[BEN])
    async with table(2, 2, timeouts=HASTY) as people:
        people.deaf.add(BEN)
        with pytest.raises(ParticipantSilent, match="no answer to the proposal from ben") as silent:
            await people.sign(ANA)
        assert (silent.value.exit_code, *blamed(silent.value)) == (6, (), {BEN})


async def test_a_human_that_does_not_answer_in_time_is_this_node_s_refusal() -> None:
    async with table(2, 2) as people:

        async def dawdle(_proposal: Proposed) -> bool:
            await asyncio.sleep(60)
            return True

        people[BEN].asks(says=dawdle)
        with pytest.raises((ParticipantRefused, ParticipantSilent)) as caught:
            await people.sign(ANA, answer_within=300)
        assert blamed(caught.value) == ((), {BEN})
        # It gave up itself, or heard from the proposer that it did, whichever came first.
        assert await people[BEN].error() in [("unanswered", (), ()), ("participant_aborted", (), (ANA,))]


async def test_one_that_accepted_and_hears_no_more_blames_the_proposer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mpcnode.session.attempt.GRACE", 0.2)
    async with table(2, 2, timeouts=HASTY) as people:
        people.tamper = _without(SessionStart)
        with pytest.raises(MpcError):
            await people.sign(ANA, hello(BEN), answer_within=1500)
        assert await people[BEN].error() == ("participant_silent", (), (ANA,))


async def test_as_long_as_enough_agree_a_refusal_stops_nothing() -> None:
    async with table(2, 3) as people:
        people[BEN].asks(says=False)
        view = await people.sign(ANA)
        assert view.signers == (ANA, CLEO)
        assert view.attempts == 1


async def test_one_that_accepted_and_is_not_needed_ends_with_neither_signature_nor_error() -> None:
    async with table(2, 3) as people:
        view = await people.sign(ANA)
        (idle,) = {ANA, BEN, CLEO} - set(view.signers)
        ended = await people[PeerId(idle)].ended()
        assert ended.signature is None
        assert ended.error is None
        ((_, told, error),) = people[PeerId(idle)].journal.told
        assert (told.unneeded, told.accepted, error) == (True, False, None)
        assert not people[PeerId(idle)].journal.uses  # nothing was given away for it


async def test_one_that_is_still_asked_when_others_sign_is_asked_no_longer() -> None:
    """Nobody answers a question whose answer nobody waits for."""
    async with table(2, 3) as people:
        withdrawn = asyncio.Event()

        async def ponder(_proposal: Proposed) -> bool:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                withdrawn.set()
                raise
            raise AssertionError

        people[BEN].asks(says=ponder)
        view = await people.sign(ANA)
        assert view.signers == (ANA, CLEO)
        ended = await people[BEN].ended()
        assert withdrawn.is_set()
        assert (ended.error, ended.signature) == (None, None)
        ((_, told, error),) = people[BEN].journal.told
        assert (told.unneeded, error) == (True, None)
        assert not people[BEN].journal.uses


async def test_one_whose_clock_is_far_off_is_named_at_once_with_the_reason() -> None:
    """What it says is over before the proposer hears it: the whole time to answer would be waited for nothing."""
    async with table(2, 2) as people:
        people.deaf.add(BEN)
        apart = ClocksApart("the clock of ben is 20 min behind this node's", hint="set the clocks of both machines")
        key = people[ANA].services.conversations.key_of(BEN) or people[BEN].services.identity.public_key
        signing = asyncio.ensure_future(people.sign(ANA))
        await asyncio.sleep(0.05)
        people[ANA].services.room.stir(BEN, apart, introduced=True)
        people[ANA].agenda.introduced(BEN, key)
        async with asyncio.timeout(30):
            with pytest.raises(MpcError, match="the clock of ben") as caught:
                await signing
        assert caught.value.culprits == ()


async def test_too_many_refusals_name_those_that_refused_and_say_why() -> None:
    async with table(3, 3) as people:
        people[BEN].asks(says=False)
        with pytest.raises(ParticipantRefused, match="ben refused") as caught:
            await people.sign(ANA)
        assert blamed(caught.value) == ((), {BEN})
        # Ana's word for ben's answer, which cleo did not hear.
        assert await people[CLEO].error() == ("participant_refused", (), (ANA, BEN))


# --- what cannot be signed ---


async def test_a_pending_wallet_signs_nothing() -> None:
    async with table(2, 2) as people:
        for name in (ANA, BEN):
            wallet = people[name].wallet
            (epoch,) = wallet.epochs
            own = Certificate(epoch.epoch_id, {key_of(name): epoch.certificate.signatures[key_of(name)]})
            pending = replace(wallet, epochs=(Epoch(epoch.statement, own, EpochState.PENDING),))
            files = people[name].home.files
            files[wallet.wallet_id, name] = (pending.to_header(), files[wallet.wallet_id, name][1])
        with pytest.raises(WalletPending) as caught:
            await people.sign(ANA)
        assert caught.value.exit_code == 10
        assert not people.relayed


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"epoch_id": bytes(32)}, "epoch 0, not of an epoch that is unknown here"),
        ({"wallet_id": bytes(16)}, "no wallet of that id"),
        ({"merkle_root": bytes(32)}, "only Taproot"),
        ({"merkle_root": bytes(31)}, "script tree"),
        ({"contents": (b"\xff",)}, "UTF-8"),
        ({"contents": ()}, "1 to 250 messages"),
        ({"reading": "psbt"}, "cannot read"),
    ],
)
async def test_terms_that_do_not_fit_the_wallet_are_refused_by_every_signer_before_anybody_is_asked(
    change: dict[str, Any], reason: str
) -> None:
    async with table(2, 2) as people:
        people[BEN].asks()
        people.tamper = _asking(lambda terms: replace(terms, **change))
        with pytest.raises(ParticipantRefused, match=reason) as caught:
            await people.sign(ANA)
        assert blamed(caught.value) == ((), {BEN})
        error = (await people[BEN].ended()).error
        assert error is not None
        assert error.code == "refused"
        assert reason in error.message
        assert not asked(people[BEN])


async def test_a_stranger_cannot_be_asked_nor_too_few() -> None:
    async with table(3, 4) as people:
        with pytest.raises(UsageError, match="fay, which is not another participant"):
            await people.sign(ANA, hello("fay", BEN))
        with pytest.raises(UsageError, match="not another participant"):
            await people.sign(ANA, hello(ANA, BEN))
        with pytest.raises(UsageError, match="needs 2 other signers"):
            await people.sign(ANA, hello(BEN))
        assert not people.relayed


async def test_a_wallet_that_is_not_here_is_said_to_be_absent() -> None:
    async with table(2, 2) as people:
        with pytest.raises(KeystoreAbsent):
            await people.sign(ANA, Sign(wallet="other", contents=(b"x",)))
        assert not people.relayed


async def test_a_ciphersuite_the_wallet_has_no_key_for_is_refused_with_those_it_has() -> None:
    async with table(2, 2) as people:
        with pytest.raises(UsageError, match="no key for that ciphersuite") as caught:
            await people.sign(ANA, hello(suite=SuiteId("FROST-secp256k1-SHA256-v1")))
        assert ED25519 in (caught.value.hint or "")


# --- the log ---


FULL = KeystoreUnwritable("no space left on the device")


async def test_the_log_says_that_this_node_signs_before_anything_made_with_its_share_leaves() -> None:
    """Nor is the share waited for: what opens it says so."""
    async with table(2, 2) as people:
        written = asyncio.Event()
        opened = _opened(people[BEN])
        honest = people[BEN].journal.accept

        async def slow(shown: Proposed, told: Any) -> None:
            assert told.approved_by == "policy"
            assert told.signers == (ANA, BEN)
            await written.wait()
            await honest(shown, told)

        people[BEN].journal.accept = slow  # type: ignore[method-assign]
        signing = asyncio.create_task(people.sign(ANA))
        async with asyncio.timeout(10):
            while not (people[ANA].made and _rounds(people[BEN], ANA)):
                await asyncio.sleep(0.001)
        await asyncio.sleep(0.05)
        assert not _rounds(people[ANA], BEN)
        assert not opened
        written.set()
        view = await signing
        assert len(people[BEN].journal.accepted) == 1
        assert len(opened) == 1
        assert _rounds(people[ANA], BEN) == ["nonces", "nonce_list", "signature_share"]
        assert view.signers == (ANA, BEN)


async def test_nothing_leaves_a_signer_whose_log_takes_no_line_and_the_others_do_not_wait() -> None:
    async with table(2, 2) as people:
        opened = _opened(people[BEN])

        async def yes_and_then_the_disk_is_full(_proposal: Proposed) -> bool:
            people[BEN].journal.refuses = FULL
            return True

        people[BEN].asks(says=yes_and_then_the_disk_is_full)
        with pytest.raises(ParticipantStopped) as caught:
            await people.sign(ANA, hello(BEN))
        assert blamed(caught.value) == ((), {BEN})
        assert not _rounds(people[ANA], BEN)
        assert [type(message) for _, message in people[ANA].made[0].heard] == [Abort]
        assert not opened
        assert await people[BEN].error() == ("unwritable", (), ())
        ((_, told, error),) = people[BEN].journal.told
        assert told.accepted  # so its end is written, as soon as there is room
        assert error is FULL


async def test_nothing_leaves_a_proposer_whose_log_takes_no_line() -> None:
    async with table(2, 2) as people:
        opened = _opened(people[ANA])
        people[ANA].journal.refuses = FULL
        with pytest.raises(KeystoreUnwritable):
            await people.sign(ANA)
        assert not people.relayed
        assert not people[ANA].made
        assert not opened
        ((_, told, _),) = people[ANA].journal.told
        assert told.accepted


async def test_a_proposer_s_log_says_that_it_signs_before_anybody_is_asked_and_says_so_once() -> None:
    async with table(2, 2) as people:
        relayed: list[int] = []
        honest = people[ANA].journal.accept

        async def watching(shown: Proposed, told: Any) -> None:
            relayed.append(len(people.relayed))
            assert told.approved_by == "user"
            await honest(shown, told)

        people[ANA].journal.accept = watching  # type: ignore[method-assign]
        await people.sign(ANA)
        assert relayed == [0]
        assert [shown.proposer for shown in people[ANA].journal.accepted] == [ANA]
        ((_, told, error),) = people[ANA].journal.told
        assert (told.signers, told.own, error) == ((ANA, BEN), True, None)
        assert told.signature is not None


# --- a proposer that cheats ---


def _chosen(change: Callable[[tuple[Acceptance, ...], Table], Iterable[Acceptance]]) -> Callable[[Table], Tamper]:
    """Have ana tell ben of other participants, and sign it."""

    def install(people: Table) -> Tamper:
        def tamper(_sender: PeerId, to: PeerId, message: RelayMessage) -> RelayMessage:
            if not isinstance(message, SessionStart) or to != BEN:
                return message
            chosen = tuple(change(message.chosen, people))
            signature = identity(ANA).sign(tags.START, *start_fields(message.proposal, message.mesh, chosen))
            return msgspec.structs.replace(message, chosen=chosen, signature=signature)

        return tamper

    return install


def _changed(**fields: Any) -> Callable[[Table], Tamper]:
    """Change ana's choice without her."""
    return lambda _people: (
        lambda _sender, to, message: (
            msgspec.structs.replace(message, **fields) if isinstance(message, SessionStart) and to == BEN else message
        )
    )


def _says_yes(people: Table, name: PeerId, identifier: int) -> Acceptance:
    (proposal, *_) = people.of(SessionProposal)
    said = accept(proposal, identity(name), nonce=bytes(16), terms=(), meshes=())
    assert said.nonce is not None
    assert said.signature is not None
    return Acceptance(identifier=Identifier(identifier), nonce=said.nonce, terms=(), signature=said.signature)


SIGNED_LIES = {
    "too-few": _chosen(lambda chosen, _: chosen[:2]),
    "stranger": _chosen(lambda chosen, people: (*chosen, _says_yes(people, PeerId("eve"), 5))),
    "without-me": _chosen(lambda chosen, people: (chosen[0], chosen[2], _says_yes(people, DORA, 4))),
    "without-itself": _chosen(lambda chosen, people: (chosen[1], chosen[2], _says_yes(people, DORA, 4))),
    "other-nonce-of-mine": _chosen(
        lambda chosen, _: (chosen[0], msgspec.structs.replace(chosen[1], nonce=bytes(16)), chosen[2])
    ),
    "other-nonce": _chosen(
        lambda chosen, _: (chosen[0], chosen[1], msgspec.structs.replace(chosen[2], nonce=bytes(16)))
    ),
    "unsigned-acceptance": _chosen(
        lambda chosen, _: (*chosen[:2], msgspec.structs.replace(chosen[2], signature=bytes(64)))
    ),
}
UNSIGNED_LIES = {
    "mesh-not-signed": _changed(mesh=bytes(16)),
    "other-proposal": _changed(proposal=bytes(32)),
    "not-signed": _changed(signature=bytes(64)),
}


@pytest.mark.parametrize(
    ("lie", "culprits", "suspects"),
    [
        *((lie, (ANA,), ()) for lie in SIGNED_LIES.values()),
        *((lie, (), (ANA,)) for lie in UNSIGNED_LIES.values()),
    ],
    ids=[*SIGNED_LIES, *UNSIGNED_LIES],
)
async def test_a_choice_that_no_honest_proposer_makes_names_it_and_gives_no_share(
    lie: Callable[[Table], Tamper], culprits: tuple[PeerId, ...], suspects: tuple[PeerId, ...]
) -> None:
    """What it signed convicts it; what it did not sign can be checked by nobody else."""
    async with table(3, 4) as people:
        tell = lie(people)
        # Dora is asked too, and could have been chosen.
        people.tamper = lambda sender, to, message: (
            None if sender == DORA and isinstance(message, SessionResponse) else tell(sender, to, message)
        )
        with pytest.raises(MpcError):
            await people.sign(ANA, hello(BEN, CLEO, DORA))
        assert await people[BEN].error() == ("participant_cheated", culprits, suspects)
        assert not people[BEN].made


async def test_an_answer_of_an_earlier_life_is_used_by_nobody_and_names_nobody() -> None:
    """Ben's node died and answered anew; the server kept the newer answer back."""
    async with table(2, 2) as people:

        def tamper(sender: PeerId, _to: PeerId, message: RelayMessage) -> RelayMessage:
            if isinstance(message, SessionResponse) and sender == BEN:
                (proposal,) = people.of(SessionProposal, ANA, BEN)
                return accept(proposal, identity(BEN), nonce=bytes(16), terms=(), meshes=())
            return message

        people.tamper = tamper
        with pytest.raises(MpcError):
            await people.sign(ANA, hello(BEN))
        assert await people[BEN].error() == ("disagreement", (), ())
        assert not people[BEN].made


async def test_a_message_switched_after_the_approval_gives_no_signature() -> None:
    """Ben approves another message than ana signs: its answer says the hash of what it was shown."""
    async with table(2, 2) as people:
        people.tamper = _asking(lambda terms: replace(terms, contents=(b"another",)))
        with pytest.raises(MpcError) as caught:
            await people.sign(ANA, hello(BEN))
        assert caught.value.code == "participant_cheated"
        assert blamed(caught.value) == ((), {BEN})
        assert not people[BEN].made


async def test_a_message_switched_behind_a_true_hash_gives_no_share() -> None:
    """The proposer itself shows ben one message, and signs another with what ben sends."""
    async with table(2, 2) as people:
        shown = _asking(lambda terms: replace(terms, contents=(b"harmless",)))

        def tamper(sender: PeerId, to: PeerId, message: RelayMessage) -> RelayMessage | None:
            if isinstance(message, SessionResponse) and sender == BEN and message.nonce is not None:
                (proposal,) = people.of(SessionProposal, ANA, BEN)
                return accept(proposal, identity(BEN), nonce=message.nonce, terms=(), meshes=())
            return shown(sender, to, message)

        people.tamper = tamper
        with pytest.raises(MpcError) as caught:
            await people.sign(ANA, hello(BEN))
        assert caught.value.exit_code in {6, 7}
        assert await people[BEN].error() == ("participant_cheated", (), (ANA,))  # not signed for what ben approved
        ended = await people[BEN].ended()
        assert ended.signature is None
        assert not people[BEN].made


async def test_two_true_stories_of_one_session_give_no_share_and_name_nobody() -> None:
    """The proposer signs for ben that his message is the session's, and for itself that another one is."""
    async with table(2, 2) as people:
        shown = _asking(lambda terms: replace(terms, contents=(b"harmless",)))
        said: dict[str, Any] = {}

        def tamper(sender: PeerId, to: PeerId, message: RelayMessage) -> RelayMessage | None:
            if isinstance(message, SessionProposal):
                said["proposal"] = shown(sender, to, message)
                return shown(sender, to, message)
            if isinstance(message, SessionResponse) and sender == BEN and message.nonce is not None:
                said["yes"] = message
                (proposal,) = people.of(SessionProposal, ANA, BEN)
                return accept(proposal, identity(BEN), nonce=message.nonce, terms=(), meshes=())
            if isinstance(message, SessionStart):
                own = accept(said["proposal"], identity(ANA), nonce=bytes(16), terms=(), meshes=())
                return start(said["proposal"], {ANA: own, BEN: said["yes"]}, identity(ANA), mesh=message.session_id)
            return message

        people.tamper = tamper
        with pytest.raises(MpcError) as caught:
            await people.sign(ANA, hello(BEN))
        assert caught.value.code == "disagreement"
        assert blamed(caught.value) == ((), set())
        assert "told different things" in caught.value.message
        # Whichever of the two compared first: nothing was signed, and nobody is named.
        assert await people[BEN].error() == ("disagreement", (), ())
        for seat, other in ((people[ANA], BEN), (people[BEN], ANA)):
            assert "signature_share" not in _rounds(seat, other)


async def test_a_session_id_used_before_starts_nothing() -> None:
    async with table(2, 2) as people:
        await people.sign(ANA)
        await people[BEN].ended()
        (proposal,) = people.of(SessionProposal, ANA, BEN)
        people.say(ANA, BEN, proposal)
        await people.settled()
        assert len(people[BEN].of(Proposed)) == 1
        assert len(people.of(SessionResponse, BEN)) == 1


async def test_the_proposal_of_a_key_that_is_not_the_proposer_s_is_not_shown() -> None:
    async with table(2, 3) as people:
        await people.sign(ANA)
        (proposal,) = people.of(SessionProposal, ANA, CLEO)
        mallory = session_id_of(key_of("mallory"), bytes(16))
        again = msgspec.structs.replace(proposal, session_id=mallory, salt=bytes(16))
        people.say(ANA, CLEO, again, key_as="mallory")
        assert await people[CLEO].error(2) == ("identity_check_failed", (), ())
        assert len(people[CLEO].of(Proposed)) == 1


async def test_one_that_races_the_proposer_with_its_session_takes_nothing_away() -> None:
    """Dora is asked like the others, and proposes the very same session before the proposer is heard."""
    async with table(3, 4) as people:

        def race(sender: PeerId, to: PeerId, message: RelayMessage) -> RelayMessage | None:
            if not isinstance(message, SessionProposal) or sender != ANA:
                return message
            if to == DORA:
                for name in (BEN, CLEO):
                    people.say(DORA, name, message)
                    asyncio.get_running_loop().call_later(0.05, people.say, ANA, name, message)
                return message
            return None

        people.tamper = race
        view = await people.sign(ANA)
        assert view.attempts == 1
        assert not view.failures
        for name in (BEN, CLEO):
            assert [shown.proposer for shown in people[name].of(Proposed)] == [ANA]


# --- another node under a participant's name ---


@pytest.mark.parametrize("pinned", [True, False], ids=["pinned", "not-pinned"])
async def test_another_node_under_a_participant_s_name_gets_no_message_and_stops_nothing(*, pinned: bool) -> None:
    """An introduction counts for nothing against a pinned key, nor against the roster of the wallet."""
    async with table(2, 3) as people:
        people.keys[BEN] = key_of("mallory")
        if pinned:
            trusts = people[CLEO].services.trusts
            trusts.contacts = trusts.contacts.pin(BEN, key_of(BEN), how="introduced", now=0)
        view = await people.sign(ANA)
        assert view.signers == (ANA, CLEO)
        assert not [to for _, to, _ in people.relayed if to == BEN]
        assert [(failure.code, *blamed(failure)) for failure in view.failures] == [("identity_check_failed", (), set())]


async def test_an_answer_under_another_key_counts_for_nothing_and_is_named() -> None:
    async with table(2, 3) as people:

        def impostor(sender: PeerId, to: PeerId, message: RelayMessage) -> RelayMessage | None:
            if isinstance(message, SessionResponse) and sender == BEN:
                people.say(BEN, to, message, key_as="mallory")
                return None
            return message

        people.tamper = impostor
        people[CLEO].asks(says=_slowly)
        view = await people.sign(ANA)
        assert view.signers == (ANA, CLEO)
        assert [(failure.code, *blamed(failure)) for failure in view.failures] == [("identity_check_failed", (), set())]


async def test_with_nobody_else_the_false_participant_is_named() -> None:
    async with table(2, 2) as people:
        people.keys[BEN] = key_of("mallory")
        with pytest.raises(IdentityCheckFailed) as caught:
            await people.sign(ANA)
        assert (caught.value.exit_code, *blamed(caught.value)) == (4, (), set())


async def test_an_introduction_during_the_negotiation_counts_as_one_before_it() -> None:
    async with table(2, 3) as people:
        people.deaf.add(BEN)

        async def meanwhile(_proposal: Proposed) -> bool:
            people[ANA].agenda.introduced(BEN, key_of("mallory"))
            return True

        people[CLEO].asks(says=meanwhile)
        view = await people.sign(ANA)
        assert view.signers == (ANA, CLEO)
        assert [blamed(failure) for failure in view.failures] == [((), set())]


async def _slowly(_proposal: Proposed) -> bool:
    await asyncio.sleep(0.05)
    return True


def _without(*kinds: type[RelayMessage]) -> Tamper:
    return lambda _sender, _to, message: None if isinstance(message, kinds) else message


def _asking(change: Callable[[SignTerms], SignTerms]) -> Tamper:
    """Have everybody be asked for something else than was proposed."""

    def tamper(_sender: PeerId, _to: PeerId, message: RelayMessage) -> RelayMessage:
        if not isinstance(message, SessionProposal):
            return message
        return msgspec.structs.replace(message, terms=change(SignTerms.decode(message.terms)).encode())

    return tamper


def _heard(seat: Seat, sender: PeerId) -> list[PeerMessage]:
    return [message for mesh in seat.made for one, message in mesh.heard if one == sender]


def _rounds(seat: Seat, sender: PeerId) -> list[str]:
    """What one signer heard of another in its protocol's rounds."""
    return [message.round for message in _heard(seat, sender) if isinstance(message, RoundMessage)]


def _opened(seat: Seat) -> list[object]:
    """Note whenever this seat's share is taken out of what opens it."""
    opened: list[object] = []
    wallets: Any = seat.services.wallets
    honest = wallets.signing_key
    wallets.signing_key = lambda *given: _Watched(honest(*given), opened)
    return opened


class _Watched:
    """A key that is being opened, and a list of when it was asked for."""

    def __init__(self, opening: Any, opened: list[object]) -> None:
        self._opening, self._opened = opening, opened

    async def __aenter__(self) -> Callable[[], Any]:
        key = await self._opening.__aenter__()

        async def asked_for() -> Any:
            self._opened.append(key)
            return await key()

        return asked_for

    async def __aexit__(self, *error: object) -> Any:
        return await self._opening.__aexit__(*error)


def _tagged(tag: str, content: bytes) -> bytes:
    """As PROTOCOL says it, without our code."""
    prefix = sha256(tag.encode()).digest()
    return sha256(prefix + prefix + len(content).to_bytes(8, "big") + content).digest()


def _output_key(internal: bytes, root: bytes) -> bytes:
    """The output key of BIP-341, by another library."""
    x, p = int.from_bytes(internal, "big"), SECP256k1.curve.p()
    y = pow(x**3 + 7, (p + 1) // 4, p)
    even = PointJacobi(SECP256k1.curve, x, y if y % 2 == 0 else p - y, 1)
    prefix = sha256(b"TapTweak").digest()
    tweak = int.from_bytes(sha256(prefix + prefix + internal + root).digest(), "big")
    return bytes((even + SECP256k1.generator * tweak).to_affine().x().to_bytes(32, "big"))
