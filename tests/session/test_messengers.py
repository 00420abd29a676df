"""One cheat that has the honest accuse each other, or spoils what they share: a signature comes all the same."""

import asyncio
from collections.abc import Iterable
from typing import Any, cast

import pytest

from mpcnode.errors import ContactChanged, KeystoreUnreadable, LinkFailed, MpcError, ParticipantCheated
from mpcnode.mesh.transport import MeshTimeouts
from mpcnode.session import quorum, signing
from mpcnode.session.meshes import MAX_EARLY, MAX_WAITING, UNUSED, Channel, SharedMesh
from mpcnode.status import Proposed, SignatureView
from mpcnode.types import PeerId, SessionId
from mpcnode.wire import relay as wire
from mpcnode.wire.peer import CommitmentList, PeerMessage, SignatureShare, SigningCommitments
from mpcnode.wire.relay import RelayMessage, SessionStart
from tests.helpers.cheat import Change, Rule, Said, drop
from tests.helpers.quorums import ED25519, NAMES, hello, table
from tests.helpers.sessions import HASTY
from tests.session.test_meshes import _restart
from tests.session.test_quorum import _prefer, wrong_share, zeros

ANA, BEN, CLEO, DORA, ELI = NAMES[:5]
QUICK = MeshTimeouts(attempt=0.3, tries=2, grace=0.3, ping=0.1, quiet=0.4, dead=0.8, linger=0.1)


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quorum, "BACK_OFF", 0.01)


def only(number: int, change: Change) -> Change:
    """Change one of these messages, and no other."""
    said = 0

    def changed(to: PeerId, message: Any) -> Iterable[Said]:
        nonlocal said
        said += 1
        return change(to, message) if said == number else [message]

    return changed


def blamed(view: SignatureView) -> set[str]:
    return {culprit for failure in view.failures for culprit in failure.culprits}


@pytest.mark.parametrize("about", [SigningCommitments, CommitmentList, SignatureShare], ids=lambda kind: kind.__name__)
async def test_who_says_nothing_to_the_others_has_nobody_else_left_out(about: type[PeerMessage]) -> None:
    """Ben talks to the proposer alone; cleo and dora stop because of him, and the proposer hears only that."""
    async with table(3, 4, timeouts=HASTY) as made:
        made[BEN].rules.extend(Rule((about,), drop, to) for to in (CLEO, DORA))
        _prefer(made, BEN, CLEO)
        view = await made.sign(ANA)
        # A share that only the proposer needs to hear gives it a signature with ben.
        assert view.signers == (ANA, CLEO, DORA) or about is SignatureShare
        assert blamed(view) <= {BEN}


async def test_who_gives_up_towards_the_others_has_nobody_else_left_out() -> None:
    async with table(3, 4, timeouts=HASTY, mesh_timeouts=QUICK) as made:

        def cancel(_sender: PeerId, to: PeerId, message: RelayMessage) -> RelayMessage:
            if isinstance(message, SessionStart) and to == BEN:
                bye = wire.SessionCancel(message.session_id, "interrupted", "bye")
                for name in set(message.signers) - {ANA, BEN}:
                    asyncio.get_running_loop().call_soon(made.say, BEN, PeerId(name), bye)
            return message

        made.tamper = cancel
        _prefer(made, BEN, CLEO)
        view = await made.sign(ANA)
        assert view.signers == (ANA, CLEO, DORA)
        assert blamed(view) <= {BEN}


async def test_who_makes_no_link_to_the_others_has_nobody_else_left_out() -> None:
    async with table(3, 4, timeouts=HASTY, mesh_timeouts=QUICK) as made:
        for other in (CLEO, DORA):
            made.network.refuse(BEN, other)
        _prefer(made, BEN, CLEO)
        view = await made.sign(ANA)
        assert view.signers == (ANA, CLEO, DORA)
        assert not blamed(view) & {CLEO, DORA}


@pytest.mark.parametrize(("threshold", "total"), [(4, 5), (5, 6), (7, 8)])
@pytest.mark.parametrize("about", [SigningCommitments, CommitmentList], ids=lambda kind: kind.__name__)
async def test_who_bends_what_all_must_agree_on_is_left_out_where_only_one_can_be(
    about: type[PeerMessage], threshold: int, total: int
) -> None:
    async with table(threshold, total, timeouts=HASTY) as made:
        made[BEN].rules.append(Rule((about,), zeros))
        _prefer(made, BEN)
        view = await made.sign(ANA)
        assert BEN not in view.signers
        assert view.attempts == 2


async def test_what_the_proposer_sees_itself_counts_more_than_what_it_hears_first() -> None:
    """Ben bends the hash for everybody, and for the proposer last: when that comes, cleo has accused ben already."""
    async with table(5, 6, timeouts=HASTY) as made:

        def late(to: PeerId, message: Any) -> Iterable[Said]:
            (bent,) = zeros(to, message)
            assert not isinstance(bent, bytes)
            asyncio.get_running_loop().call_later(0.05, made[BEN].made[-1].send, to, bent)
            return []

        made[BEN].rules.extend([Rule((CommitmentList,), zeros, name) for name in NAMES[2:6]])
        made[BEN].rules.append(Rule((CommitmentList,), only(1, late), ANA))
        _prefer(made, BEN)
        view = await made.sign(ANA)
        assert BEN not in view.signers
        assert view.attempts == 2


async def test_a_warm_mesh_that_is_gone_is_no_reason_to_leave_its_signer_out() -> None:
    async with table(2, 2, timeouts=HASTY) as made:
        await made.sign(ANA)
        meshes: Any = made[BEN].sessions.meshes
        offered = meshes.offered

        def gone(peer: PeerId) -> Any:
            ids = offered(peer)
            for mesh_id in ids:
                asyncio.get_running_loop().call_soon(setattr, meshes.get(mesh_id), "opened", False)
            return ids

        meshes.offered = gone
        view = await made.sign(ANA)
        assert (view.signers, view.attempts) == ((ANA, BEN), 2)


# --- meshes that outlive a failed session ---


async def test_a_mesh_on_which_a_session_was_aborted_still_notices_that_a_node_died() -> None:
    async with table(2, 2, timeouts=HASTY, mesh_timeouts=QUICK) as made:
        made[BEN].rules.append(Rule((SignatureShare,), only(2, wrong_share)))
        await made.sign(ANA)
        with pytest.raises(ParticipantCheated):
            await made.sign(ANA, hello(BEN))
        await _restart(made, ANA)
        await asyncio.sleep(QUICK.dead * 2)
        for _ in range(3):
            assert (await made.sign(ANA)).attempts == 1
        assert len(made[BEN].sessions.meshes._meshes) == 1


async def test_a_mesh_of_an_id_that_is_taken_is_not_made_and_harms_nothing() -> None:
    async with table(2, 2) as made:
        await made.sign(ANA)
        meshes = made[ANA].sessions.meshes
        (mesh_id,) = meshes._meshes
        before = meshes.get(mesh_id)
        with pytest.raises(LinkFailed, match="there is a mesh"):
            await meshes.open(mesh_id, made[ANA].wallet.identity_keys)
        assert meshes.get(mesh_id) is before
        await made.sign(ANA)


async def test_an_unused_mesh_of_the_same_nodes_makes_room_for_the_next() -> None:
    async with table(2, 2) as made:
        await made.sign(ANA)
        for name in (ANA, BEN):
            meshes: Any = made[name].sessions.meshes
            meshes.warm = lambda _roster: None
            for shared in meshes._meshes.values():
                shared.idle_since -= UNUSED + 1
            meshes.offered = lambda _peer: ()
        await made.sign(ANA)
        async with asyncio.timeout(10):
            while any(len(made[name].sessions.meshes._meshes) > 1 for name in (ANA, BEN)):
                await asyncio.sleep(0.01)


# --- floods by a participant ---


async def test_a_flood_for_no_session_pushes_out_nobody_else_s_messages() -> None:
    """Ben floods cleo before it has read who signs, when the proposer's own first message is there already."""
    async with table(3, 3, timeouts=HASTY) as made:

        def late(to: PeerId, message: Any) -> Iterable[Said]:
            loop, mesh = asyncio.get_running_loop(), cast("Any", made[ANA].made[0])
            loop.call_later(0.1, flood)
            loop.call_later(0.2, mesh._mesh.send, to, message)
            return []

        def flood() -> None:
            for _ in range(MAX_EARLY * 5):
                made[BEN].made[0].send(CLEO, CommitmentList("99" * 16, ED25519, "00"))

        made[ANA].rules.append(Rule((SessionStart,), late, CLEO))  # the first goes through the server
        await made.sign(ANA)
        with pytest.raises(MpcError):
            await made.sign(ANA)
        # Among what ben's flood pushed out was what it had said itself, and nothing else.
        assert (await made[CLEO].failure()).culprits == (BEN,)


def channel_of(shared: SharedMesh | None = None) -> Channel:
    mesh: Any = object()
    return Channel(shared or SharedMesh(SessionId("ab" * 16), {}, mesh), SessionId("cd" * 16))


async def test_who_says_more_than_any_session_has_is_a_cheat_once_the_rest_is_heard() -> None:
    channel = channel_of()
    message = CommitmentList("cd" * 16, ED25519, "00")
    for _ in range(MAX_WAITING + 3):
        channel.take(BEN, message)
    channel.take(CLEO, message)
    heard = [(await channel.receive())[0] for _ in range(MAX_WAITING + 1)]
    assert heard == [BEN] * MAX_WAITING + [CLEO]
    with pytest.raises(ParticipantCheated) as caught:
        await channel.receive()
    assert caught.value.culprits == (BEN,)


async def test_signals_that_come_early_are_kept_up_to_a_bound_for_each() -> None:
    async with table(2, 3) as made:
        asked = asyncio.Event()

        async def dawdle(_proposal: Proposed) -> bool:
            asked.set()
            await asyncio.sleep(0.2)
            return True

        made[BEN].asks(says=dawdle)
        signature = asyncio.create_task(made.sign(ANA, hello(BEN)))
        await asked.wait()
        (proposal,) = made.of(wire.SessionProposal, ANA, BEN)
        for number in range(500):
            made.say(ANA, BEN, wire.IceCandidate(proposal.session_id, 1, f"candidate {number}", None, None))
        await asyncio.sleep(0.05)
        (session,) = made[BEN].sessions._running.values()
        assert isinstance(session, signing.SigningSession)
        assert sum(map(len, session._signals.values())) <= signing.MAX_SIGNALS
        signature.cancel()
        await asyncio.gather(signature, return_exceptions=True)


# --- somebody better than a suspect is waited for, and not for ever ---


async def test_a_suspect_is_waited_out_for_a_while_and_then_it_signs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ben lies once, to cleo; then both may be the liar, and dora, who would be better, does not answer."""
    monkeypatch.setattr(signing, "DOUBT", 0.3)
    async with table(3, 4, timeouts=HASTY) as made:
        made[BEN].rules.append(Rule((CommitmentList,), only(1, zeros), CLEO))
        made[DORA].asks(says=never)
        loop = asyncio.get_running_loop()
        began = loop.time()
        view = await made.sign(ANA, negotiate=20)
        assert view.signers == (ANA, BEN, CLEO)
        assert 0.3 < loop.time() - began < 15


async def never(_proposal: Proposed) -> bool:
    await asyncio.sleep(60)
    return False


# --- errors that end at the right place ---


async def test_a_share_that_cannot_be_opened_is_told_to_who_waits_for_it() -> None:
    async with table(2, 3, timeouts=HASTY) as made:
        _prefer(made, BEN)

        def unreadable(*_: object) -> Any:
            raise KeystoreUnreadable("the disk")

        wallets: Any = made[BEN].sessions.services.wallets
        wallets._open_key = unreadable
        view = await made.sign(ANA)
        assert view.signers == (ANA, CLEO)
        assert [failure.code for failure in view.failures] == ["participant_aborted"]  # and not silence


async def test_a_contact_that_changes_between_choice_and_connection_is_replaced() -> None:
    async with table(2, 3, timeouts=HASTY) as made:

        def change(sender: PeerId, to: PeerId, message: RelayMessage) -> RelayMessage:
            if isinstance(message, SessionStart) and to == BEN and sender == ANA:
                changed = ContactChanged("ben has another key", peer=BEN)
                asyncio.get_running_loop().call_soon(made[ANA].sessions.peer_failed, BEN, changed)
            return message

        made.tamper = change
        _prefer(made, BEN)
        view = await made.sign(ANA)
        assert view.signers == (ANA, CLEO)
        assert [(failure.code, failure.culprits) for failure in view.failures] == [("contact_changed", (BEN,))]


async def test_a_signer_named_twice_is_asked_once() -> None:
    async with table(2, 3) as made:
        view = await made.sign(ANA, hello(BEN, BEN))
        assert view.signers == (ANA, BEN)
