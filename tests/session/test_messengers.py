"""One cheat that has the honest accuse each other, or spoils what they share: a signature comes all the same."""

import asyncio
from collections.abc import Iterable
from typing import Any, cast

import pytest

from mpcnode.errors import ContactChanged, KeystoreUnreadable, MpcError, ParticipantCheated
from mpcnode.mesh.pool import MAX_EARLY
from mpcnode.mesh.transport import MeshTimeouts
from mpcnode.session import attempt, quorum
from mpcnode.status import Proposed, SignatureView
from mpcnode.types import PeerId, SessionId
from mpcnode.wire import relay as wire
from mpcnode.wire.peer import RoundMessage
from mpcnode.wire.relay import RelayMessage, SessionStart
from tests.helpers.cheat import Change, Said, drop, on
from tests.helpers.table import ED25519, HASTY, NAMES, hello, table
from tests.session.test_meshes import _restart
from tests.session.test_quorum import _prefer, wrong_share, zeros

pytestmark = pytest.mark.virtual_time

ANA, BEN, CLEO, DORA = NAMES[:4]
OTHER = SessionId(bytes.fromhex("99" * 16))
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


def blames_ben(view: SignatureView) -> bool:
    """Whether every failure has ben among its suspects, and convicts nobody: what the messengers say is no proof."""
    return all(BEN in failure.suspects and not failure.culprits for failure in view.failures)


@pytest.mark.parametrize("about", ["nonces", "nonce_list", "signature_share"])
async def test_one_that_says_nothing_to_the_others_has_nobody_else_left_out(about: str) -> None:
    """Ben talks to the proposer alone; cleo and dora stop because of him, and the proposer hears only that."""
    async with table(3, 4, timeouts=HASTY) as made:
        made[BEN].rules.extend(on(about, to=to)(drop) for to in (CLEO, DORA))
        _prefer(made, BEN, CLEO)
        view = await made.sign(ANA)
        # A share that only the proposer needs to hear gives it a signature with ben.
        assert view.signers == (ANA, CLEO, DORA) or about == "signature_share"
        assert blames_ben(view)


async def test_one_that_gives_up_towards_the_others_has_nobody_else_left_out() -> None:
    async with table(3, 4, timeouts=HASTY, mesh_timeouts=QUICK) as made:

        def cancel(_sender: PeerId, to: PeerId, message: RelayMessage) -> RelayMessage:
            if isinstance(message, SessionStart) and to == BEN:
                bye = wire.SessionCancel(session_id=message.session_id, code="interrupted", reason="bye")
                for one in message.chosen:
                    if (name := NAMES[one.identifier - 1]) not in {ANA, BEN}:
                        asyncio.get_running_loop().call_soon(made.say, BEN, name, bye)
            return message

        made.tamper = cancel
        _prefer(made, BEN, CLEO)
        view = await made.sign(ANA)
        assert view.signers == (ANA, CLEO, DORA)
        assert blames_ben(view)


async def test_one_that_makes_no_link_to_the_others_has_nobody_else_left_out() -> None:
    async with table(3, 4, timeouts=HASTY, mesh_timeouts=QUICK) as made:
        for other in (CLEO, DORA):
            made.network.refuse(BEN, other)
        _prefer(made, BEN, CLEO)
        view = await made.sign(ANA)
        assert view.signers == (ANA, CLEO, DORA)
        assert blames_ben(view)


@pytest.mark.parametrize(("threshold", "total"), [(4, 5), (5, 6), (7, 8)])
@pytest.mark.parametrize("about", ["nonces", "nonce_list"])
async def test_one_that_bends_what_all_must_agree_on_is_left_out_where_only_one_can_be(
    about: str, threshold: int, total: int
) -> None:
    async with table(threshold, total, timeouts=HASTY) as made:
        made[BEN].rules.append(on(about)(zeros))
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

        made[BEN].rules.extend([on("nonce_list", to=name)(zeros) for name in NAMES[2:6]])
        made[BEN].rules.append(on("nonce_list", to=ANA)(only(1, late)))
        _prefer(made, BEN)
        view = await made.sign(ANA)
        assert BEN not in view.signers
        assert view.attempts == 2


async def test_a_signer_whose_warm_mesh_is_gone_is_not_left_out() -> None:
    async with table(2, 2, timeouts=HASTY) as made:
        await made.sign(ANA)
        meshes: Any = made[BEN].services.pool
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
        made[BEN].rules.append(on("signature_share")(only(2, wrong_share)))
        await made.sign(ANA)
        with pytest.raises(ParticipantCheated):
            await made.sign(ANA, hello(BEN))
        await _restart(made, ANA)
        await asyncio.sleep(QUICK.dead * 2)
        for _ in range(3):
            assert (await made.sign(ANA)).attempts == 1
        assert len(made[BEN].services.pool._meshes) == 1


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
                made[BEN].made[0].send(
                    CLEO, RoundMessage(session_id=OTHER, round="nonce_list", lane=ED25519, data=b"\x00")
                )

        made[ANA].rules.append(on("session_start", to=CLEO)(late))  # the first goes through the server
        await made.sign(ANA)
        with pytest.raises(MpcError):
            await made.sign(ANA)
        # Among what ben's flood pushed out was what it had said itself, and nothing else.
        assert (await made[CLEO].failure()).named == (BEN,)


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
            made.say(ANA, BEN, wire.IceCandidate(mesh=proposal.session_id, attempt=1, candidate=f"candidate {number}"))
        await asyncio.sleep(0.05)
        (session,) = made[BEN].agenda._running.values()
        assert sum(map(len, session._heard.signals.values())) == attempt.MAX_SIGNALS
        signature.cancel()
        await asyncio.gather(signature, return_exceptions=True)


# --- somebody better than a suspect is waited for, and not for ever ---


async def test_a_suspect_is_waited_out_for_a_while_and_then_it_signs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ben lies once, to cleo; then both may be the liar, and dora, who would be better, does not answer."""
    monkeypatch.setattr(attempt, "DOUBT", 0.3)
    async with table(3, 4, timeouts=HASTY) as made:
        made[BEN].rules.append(on("nonce_list", to=CLEO)(only(1, zeros)))
        made[DORA].asks(says=never)
        loop = asyncio.get_running_loop()
        began = loop.time()
        view = await made.sign(ANA, answer_within=20_000)
        assert view.signers == (ANA, BEN, CLEO)
        assert 0.3 < loop.time() - began < 15


async def never(_proposal: Proposed) -> bool:
    await asyncio.sleep(60)
    return False


# --- errors that end at the right place ---


async def test_a_share_that_cannot_be_opened_is_told_to_the_one_that_waits_for_it() -> None:
    async with table(2, 3, timeouts=HASTY) as made:
        _prefer(made, BEN)

        def unreadable(*_: object) -> Any:
            raise KeystoreUnreadable("the disk")

        wallets: Any = made[BEN].services.wallets
        wallets._open_shares = unreadable
        view = await made.sign(ANA)
        assert view.signers == (ANA, CLEO)
        assert [failure.code for failure in view.failures] == ["participant_stopped"]  # and not silence


async def test_another_key_in_the_name_of_one_that_is_chosen_ends_nothing() -> None:
    async with table(2, 3, timeouts=HASTY) as made:

        def change(sender: PeerId, to: PeerId, message: RelayMessage) -> RelayMessage:
            if isinstance(message, SessionStart) and to == BEN and sender == ANA:
                changed = ContactChanged("ben has another key")
                asyncio.get_running_loop().call_soon(made[ANA].agenda.doubted, BEN, changed)
            return message

        made.tamper = change
        _prefer(made, BEN)
        view = await made.sign(ANA)
        assert (view.signers, view.attempts, view.failures) == ((ANA, BEN), 1, ())
