"""Meshes that stay open between signatures: reused, closed when idle, and never trusted beyond their roster."""

import asyncio
from collections.abc import Iterable
from typing import Any

import msgspec
import pytest

from mpcnode.crypto import tags
from mpcnode.errors import MpcError
from mpcnode.mesh.transport import MeshTimeouts
from mpcnode.session import attempt
from mpcnode.status import Proposed
from mpcnode.types import PeerId, SessionId
from mpcnode.wire import agreement
from mpcnode.wire.relay import RelayMessage, SessionStart
from tests.helpers.blamed import blamed
from tests.helpers.cheat import Said, on
from tests.helpers.identities import identity
from tests.helpers.table import DEADLINE, HASTY, NAMES, Seat, Table, hello, table

pytestmark = pytest.mark.virtual_time

ANA, BEN, CLEO = NAMES[:3]
PATIENT_LINK = MeshTimeouts(attempt=5, ping=1, quiet=20, dead=40, linger=0.1)
"""A link that is dead and does not know it for as long as the test lasts."""
QUICK = MeshTimeouts(attempt=0.3, tries=2, grace=0.3, ping=0.1, quiet=0.4, dead=0.8, linger=0.1)


async def test_the_second_signature_uses_the_mesh_of_the_first_and_nothing_goes_through_the_server() -> None:
    async with table(2, 2) as made:
        await made.sign(ANA)
        await made[BEN].ended()
        relayed = len(made.relayed)
        for proposer in (ANA, BEN, ANA):
            await made.sign(proposer)
        assert len(made.relayed) == relayed
        assert [len(seat.made) for seat in made.seats.values()] == [1, 1]


async def test_with_no_time_to_keep_it_each_signature_has_its_own_mesh() -> None:
    async with table(2, 2, warm=0) as made:
        for _ in range(2):
            await made.sign(ANA)
        await made[BEN].ended(2)
        await _until(lambda: not made.network.links)
        assert [len(seat.made) for seat in made.seats.values()] == [2, 2]


async def test_an_idle_mesh_is_closed_and_the_next_signature_makes_another() -> None:
    async with table(2, 2, warm=0.2) as made:
        await made.sign(ANA)
        await _until(lambda: not made.network.links)
        await made.sign(ANA)
        assert len(made[ANA].made) == 2


async def test_every_quorum_has_a_mesh_of_its_own() -> None:
    async with table(2, 3) as made:
        await made.sign(ANA, hello(BEN))
        await made.sign(ANA, hello(CLEO))
        assert [len(made[name].made) for name in (ANA, BEN, CLEO)] == [2, 1, 1]
        await made.sign(ANA, hello(BEN))
        assert len(made[ANA].made) == 2


async def test_without_a_server_warm_nodes_go_on_signing() -> None:
    async with table(2, 2) as made:
        await made.sign(ANA)
        made.server_away = True
        made.leave(BEN)
        view = await made.sign(ANA)
        assert view.signers == (ANA, BEN)


async def test_a_participant_that_restarted_is_reached_although_this_node_holds_its_old_link_for_good() -> None:
    """Its process died without a word, and is back before anybody noticed."""
    async with table(2, 2, mesh_timeouts=PATIENT_LINK) as made:
        await made.sign(ANA)
        restarted = await _restart(made, BEN)
        view = await made.sign(ANA)
        assert view.signers == (ANA, BEN)
        assert len(restarted.made) == 1


async def test_a_proposer_that_restarted_is_answered_although_the_signer_holds_its_old_link_for_good() -> None:
    async with table(2, 2, mesh_timeouts=PATIENT_LINK) as made:
        await made.sign(ANA)
        await _restart(made, ANA)
        view = await made.sign(ANA)
        assert (view.signers, view.attempts) == ((ANA, BEN), 1)


async def test_an_answer_that_a_dead_link_lost_is_given_again_through_the_server_and_that_link_is_not_used() -> None:
    async with table(2, 2, mesh_timeouts=PATIENT_LINK) as made:
        await made.sign(ANA)

        async def cut(_proposal: Proposed) -> bool:
            made.network.stall(ANA, BEN)
            asyncio.get_running_loop().call_later(0.1, made.network.heal, ANA, BEN)
            return True

        made[BEN].asks(says=cut)
        view = await made.sign(ANA)
        assert (view.signers, view.attempts) == ((ANA, BEN), 1)
        assert [len(seat.made) for seat in made.seats.values()] == [2, 2]


async def test_one_behind_a_lost_link_that_is_not_in_the_room_is_not_waited_for() -> None:
    async with table(2, 2, mesh_timeouts=QUICK) as made:
        await made.sign(ANA)
        made.leave(BEN)
        made.network.silence(ANA, [BEN])
        began = asyncio.get_running_loop().time()
        with pytest.raises(MpcError) as caught:
            await made.sign(ANA)
        assert caught.value.code == "participant_silent"
        assert blamed(caught.value) == ((), {BEN})
        assert asyncio.get_running_loop().time() - began < made.timeouts.negotiate / 2


async def test_one_behind_a_lost_link_is_asked_again_in_the_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempt, "ASK_AGAIN", 3600)  # not because it is late
    async with table(2, 2, mesh_timeouts=QUICK) as made:
        await made.sign(ANA)
        await _restart(made, BEN)
        view = await made.sign(ANA)
        assert (view.signers, view.attempts) == ((ANA, BEN), 1)


async def test_a_mesh_that_the_signer_does_not_know_is_not_chosen() -> None:
    async with table(2, 2) as made:
        await made.sign(ANA)
        meshes: Any = made[BEN].services.pool
        meshes.offered = lambda _peer: ()
        await made.sign(ANA)
        assert len(made[ANA].made) == 2


@pytest.mark.parametrize("mesh", ["unknown", "of others"])
async def test_a_mesh_of_other_signers_than_were_chosen_is_not_signed_on(mesh: str) -> None:
    async with table(2, 3, timeouts=HASTY) as made:
        await made.sign(ANA, hello(CLEO))
        (with_ana,) = made[CLEO].services.pool.offered(ANA)

        def lie(_sender: PeerId, _to: PeerId, message: RelayMessage) -> RelayMessage:
            named = with_ana if mesh == "of others" else SessionId(bytes.fromhex("99" * 16))
            if not isinstance(message, SessionStart):
                return message
            fields = agreement.start_fields(message.proposal, named, message.chosen)
            return msgspec.structs.replace(message, mesh=named, signature=identity(BEN).sign(tags.START, *fields))

        made.tamper = lie
        with pytest.raises(MpcError):
            await made.sign(BEN, hello(CLEO))
        error = await made[CLEO].failure()
        assert (error.code, *blamed(error)) == ("link_failed", (), set())  # the server can end a mesh as well


async def test_a_link_to_the_same_name_with_another_key_is_not_used() -> None:
    async with table(2, 2) as made:
        await made.sign(ANA)
        meshes = made[ANA].services.pool
        key = made[ANA].wallet.identity_keys[BEN]
        assert meshes.link_to(BEN, key) is not None
        assert meshes.link_to(BEN, type(key)(bytes(32))) is None
        assert meshes.warm({**made[ANA].wallet.identity_keys, BEN: type(key)(bytes(32))}) is None


async def test_a_message_for_a_session_that_has_not_begun_here_waits() -> None:
    """The proposer may sign before the signer has read who signs."""
    async with table(2, 2) as made:

        def late(to: PeerId, message: Any) -> Iterable[Said]:
            asyncio.get_running_loop().call_later(0.1, made[ANA].made[0]._mesh.send, to, message)
            return []

        made[ANA].rules.append(on("session_start")(late))  # the first goes through the server
        await made.sign(ANA)
        view = await made.sign(ANA)
        assert (view.signers, view.attempts) == ((ANA, BEN), 1)
        assert len(made[ANA].made) == 1


@pytest.mark.parametrize("seconds", [0.0, 0.01, 0.02, 0.03, 0.05, 0.1])
async def test_nodes_that_stop_at_any_moment_of_a_signature_leave_nothing(seconds: float) -> None:
    """What ``table`` checks at its end: no link, no task."""
    async with table(2, 3, timeouts=HASTY) as made:
        signing = asyncio.create_task(made.sign(ANA))
        await asyncio.sleep(seconds)
        signing.cancel()
        await asyncio.gather(signing, return_exceptions=True)


async def _restart(made: Table, name: PeerId) -> Seat:
    """Have ``name`` begin anew, with nothing but its wallet; its old process says no more, and nobody heard it end."""
    made.network.silence(name, [other for other in made.seats if other != name])
    restarted = made.restart(name)
    for other in made.seats:
        made.network.heal(name, other)
    return restarted


async def _until(condition: Any) -> None:
    async with asyncio.timeout(DEADLINE):
        while not condition():
            await asyncio.sleep(0.01)
