import asyncio
from collections.abc import Awaitable
from typing import TypeVar, cast

import pytest

from mpcnode import blame
from mpcnode.commands import CreateWallet
from mpcnode.errors import ContactChanged, MpcError, ParticipantSilent, ServerUnreachable, UsageError
from mpcnode.peers.conversation import Conversations
from mpcnode.peers.room import Room
from mpcnode.status import PeerView, Waiting
from mpcnode.types import IdentityKey, PeerId
from tests.helpers.identities import key_of
from tests.helpers.relays import ANA, BEN, CLEO, EVE, Post

T = TypeVar("T")


async def soon(work: Awaitable[T]) -> T:
    async with asyncio.timeout(10):
        return await work


def test_everybody_is_there_sorted_this_node_included() -> None:
    room = Room(BEN)
    assert not room.present
    room.set([CLEO, ANA])
    assert list(room.present) == [ANA, BEN, CLEO]
    room.left(CLEO)
    room.left(CLEO)
    assert list(room.present) == [ANA, BEN]
    room.joined(CLEO)
    room.joined(CLEO)
    assert list(room.present) == [ANA, BEN, CLEO]
    room.left(BEN)
    assert list(room.present) == [ANA, BEN, CLEO]  # a server that says so lies


def test_the_others_are_those_wanted_or_all() -> None:
    room = Room(BEN)
    room.set([CLEO, ANA])
    assert room.others_of(()) == (ANA, CLEO)
    assert room.others_of((CLEO, PeerId("dora"), BEN)) == (CLEO,)
    assert room.others_of((PeerId("dora"),)) == ()


@pytest.mark.parametrize(
    "stir",
    [
        lambda room: room.set([ANA]),
        lambda room: room.joined(ANA),
        lambda room: room.left(ANA),
        lambda room: room.stir(ANA),
    ],
)
async def test_those_that_wait_hear_of_every_change(stir: object) -> None:
    room = Room(BEN)
    waiting = [asyncio.create_task(room.changed()) for _ in range(2)]
    await asyncio.sleep(0)
    assert not any(task.done() for task in waiting)
    stir(room)  # type: ignore[operator]
    await soon(asyncio.gather(*waiting))


class Started:
    """A room, the relay of its node, and the post that ``carry`` empties."""

    def __init__(self, *others: PeerId) -> None:
        self.post = Post()
        self.post.start(ANA, *others)
        self.room = Room(ANA)
        self.relay = self.post.relays[ANA]

    def carry(self) -> None:
        self.post.carry()
        self.room.stir(BEN)


async def test_introductions_give_everybodys_key() -> None:
    started = Started(BEN, CLEO)
    task = asyncio.create_task(started.room.introduce([BEN, CLEO], started.relay, wait=10))
    await asyncio.sleep(0)
    started.carry()
    assert await soon(task) == {BEN: key_of(BEN), CLEO: key_of(CLEO)}
    assert await soon(started.room.introduce([BEN], started.relay, wait=10)) == {BEN: key_of(BEN)}  # at once


async def test_nobody_to_introduce_is_nobody_to_wait_for() -> None:
    started = Started()
    assert await soon(started.room.introduce([], started.relay, wait=10)) == {}


async def test_one_that_says_no_hello_is_suspected() -> None:
    started = Started(BEN)
    task = asyncio.create_task(started.room.introduce([BEN, CLEO], started.relay, wait=0.1))
    await asyncio.sleep(0)
    started.carry()
    with pytest.raises(ParticipantSilent) as caught:
        await soon(task)
    assert (caught.value.culprits, caught.value.suspects) == ((), frozenset({CLEO}))


async def test_a_hello_that_got_lost_is_said_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mpcnode.peers.room.HELLO_AGAIN", 0.01)
    said: list[PeerId] = []

    class Deaf:
        def introduce(self, peer: PeerId) -> None:
            said.append(peer)

        def key_of(self, peer: PeerId) -> IdentityKey | None:
            return key_of(peer) if len(said) > 1 else None

    room = Room(ANA)
    assert await soon(room.introduce([BEN], cast("Conversations", Deaf()), wait=10)) == {BEN: key_of(BEN)}


def another_key() -> MpcError:
    return blame.judge(blame.Came.RELAY, blame.Event.CONTACT_CHANGED, "another key")


async def test_what_is_not_the_node_it_should_be_explains_the_silence_when_the_wait_is_over_and_ends_nothing() -> None:
    started = Started(BEN)
    task = asyncio.create_task(started.room.introduce([BEN, CLEO], started.relay, wait=0.2))
    await asyncio.sleep(0)
    started.room.stir(CLEO, another_key())
    await asyncio.sleep(0.01)
    assert not task.done()  # the server may have made it
    with pytest.raises(ContactChanged) as caught:
        await soon(task)
    assert (caught.value.culprits, caught.value.suspects) == ((), frozenset())


async def test_a_forged_hello_before_the_good_one_keeps_nobody_out() -> None:
    started = Started(BEN)
    task = asyncio.create_task(started.room.introduce([BEN], started.relay, wait=10))
    await asyncio.sleep(0)
    started.room.stir(BEN, another_key())
    await asyncio.sleep(0.01)
    started.carry()
    assert await soon(task) == {BEN: key_of(BEN)}


def test_problems_take_a_bounded_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mpcnode.peers.room.MAX_PROBLEMS", 4)
    room = Room(ANA)
    for number in range(20):
        room.stir(PeerId(f"nobody{number}"), another_key())
    assert len(room._problems) == 4
    assert room.problem_of(PeerId("nobody19"))


async def test_a_problem_of_the_past_does_not_count_for_this_introduction() -> None:
    started = Started(BEN)
    started.room.stir(BEN, another_key())
    task = asyncio.create_task(started.room.introduce([BEN], started.relay, wait=10))
    await asyncio.sleep(0)
    started.carry()
    assert await soon(task) == {BEN: key_of(BEN)}


async def test_the_problem_of_somebody_else_is_none() -> None:
    started = Started(BEN)
    task = asyncio.create_task(started.room.introduce([BEN], started.relay, wait=10))
    await asyncio.sleep(0)
    started.room.stir(CLEO, another_key())
    await asyncio.sleep(0)
    assert not task.done()
    started.carry()
    assert await soon(task) == {BEN: key_of(BEN)}


async def test_hellos_before_a_list_is_shown_wait_a_moment_and_blame_nobody() -> None:
    started = Started(BEN)
    task = asyncio.create_task(started.room.greet([BEN, CLEO], started.relay, wait=0.1))
    await asyncio.sleep(0)
    started.carry()
    await soon(task)
    assert started.relay.key_of(BEN) == key_of(BEN)
    await soon(started.room.greet([BEN], started.relay, wait=10_000))  # proved already: no wait


async def test_without_the_server_nobody_is_called_silent() -> None:
    started = Started(BEN)
    started.room.set([BEN])
    started.room.away = True
    with pytest.raises(ServerUnreachable, match="the server is away"):
        await soon(started.room.introduce([BEN], started.relay, wait=0.05))


def test_a_server_that_is_back_is_not_away() -> None:
    room = Room(ANA)
    room.away = True
    room.set([BEN])
    assert not room.away


# --- gathering ---


class Gathering:
    """What a room asks and tells while it gathers."""

    def __init__(self, *chosen: PeerId) -> None:
        self.room = Room(ANA)
        self.chosen = chosen
        self.asked: list[tuple[tuple[PeerView, ...], int]] = []
        self.told: list[Waiting] = []
        self.greeted: list[PeerId] = []
        self.lists = 0
        self.room.ask = self._ask

    def _ask(self) -> None:
        self.lists += 1

    # as much of the conversations as is used

    def introduce(self, peer: PeerId) -> None:
        self.greeted.append(peer)

    def key_of(self, peer: PeerId) -> IdentityKey | None:
        return key_of(peer) if peer in self.greeted else None

    async def run(self, total: int, *others: PeerId, wait: int = 10_000) -> tuple[PeerId, ...]:
        command = CreateWallet(threshold=2, total=total, with_peers=others, wait=wait)
        return await soon(
            self.room.gather(
                command,
                now=1_000_000,
                conversations=cast("Conversations", self),
                choose=self._choose,
                view=lambda name: PeerView(name, "unknown"),
                emit=lambda event: self.told.append(event),  # type: ignore[arg-type] # noqa: PLW0108 (Waiting is all)
            )
        )

    async def _choose(self, candidates: tuple[PeerView, ...], count: int) -> tuple[PeerId, ...]:
        self.asked.append((candidates, count))
        return self.chosen


async def test_as_many_as_are_needed_are_taken_without_a_question() -> None:
    gathering = Gathering()
    gathering.room.set([BEN, CLEO])
    assert await gathering.run(3) == (BEN, CLEO)
    assert not gathering.asked
    assert not gathering.told


async def test_those_that_are_named_are_taken_and_nobody_else() -> None:
    gathering = Gathering()
    gathering.room.set([BEN, CLEO, EVE])
    assert await gathering.run(2, EVE) == (EVE,)
    assert not gathering.asked


async def test_those_that_are_missing_are_waited_for_and_that_is_told() -> None:
    gathering = Gathering()
    gathering.room.set([BEN])
    running = asyncio.create_task(gathering.run(3, BEN, CLEO))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    gathering.room.joined(EVE)  # nobody asked for her
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not running.done()
    gathering.room.joined(CLEO)
    assert await soon(running) == (BEN, CLEO)
    assert gathering.told[0] == Waiting((BEN,), 1, (CLEO,), 1_010_000)


async def test_where_nobody_was_named_nobody_is_waited_for_by_name() -> None:
    gathering = Gathering()
    gathering.room.set([BEN])
    with pytest.raises(ParticipantSilent):
        await gathering.run(3, wait=50)
    assert gathering.told[0] == Waiting((BEN,), 1, (), 1_000_050)


async def test_before_anybody_is_missed_the_server_is_asked_again_who_is_here() -> None:
    gathering = Gathering()
    gathering.room.set([BEN])
    gathering.room.left(BEN)  # a server that says so may lie, or a message of its own was lost
    gathering.room.ask = lambda: gathering.room.set([BEN])
    assert await gathering.run(2, BEN) == (BEN,)


async def test_the_server_is_asked_now_and_then_and_not_while_it_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mpcnode.peers.room.ASK_AGAIN", 0.01)
    gathering = Gathering()
    gathering.room.set([])
    with pytest.raises(ParticipantSilent):
        await gathering.run(2, BEN, wait=200)
    assert 2 <= gathering.lists <= 25
    gathering.room.away, gathering.lists = True, 0
    with pytest.raises(ParticipantSilent):
        await gathering.run(2, BEN, wait=50)
    assert gathering.lists == 0


async def test_those_that_do_not_come_are_named_where_they_have_names() -> None:
    gathering = Gathering()
    gathering.room.set([BEN])
    with pytest.raises(ParticipantSilent, match="waited 0 s for cleo") as caught:
        await gathering.run(3, BEN, CLEO, wait=50)
    assert (caught.value.culprits, caught.value.suspects) == ((), frozenset({CLEO}))
    with pytest.raises(ParticipantSilent, match="for 2 more peers") as nameless:
        await gathering.run(4, wait=50)
    assert (nameless.value.culprits, nameless.value.suspects) == ((), frozenset())


async def test_where_more_are_here_the_user_chooses() -> None:
    gathering = Gathering(EVE, BEN)
    gathering.room.set([BEN, CLEO, EVE])
    assert await gathering.run(3) == (EVE, BEN)
    ((candidates, count),) = gathering.asked
    assert ([peer.peer_id for peer in candidates], count) == ([BEN, CLEO, EVE], 2)
    assert gathering.greeted == [BEN, CLEO, EVE]  # so that what is shown of them is known


@pytest.mark.parametrize(
    "chosen", [(BEN,), (BEN, BEN), (BEN, PeerId("dora")), (BEN, ANA), (BEN, CLEO, EVE), (BEN, BEN, CLEO)]
)
async def test_a_choice_of_others_than_were_asked_about_is_refused(chosen: tuple[PeerId, ...]) -> None:
    gathering = Gathering(*chosen)
    gathering.room.set([BEN, CLEO, EVE])
    with pytest.raises(UsageError, match="choose 2 different peers"):
        await gathering.run(3)
