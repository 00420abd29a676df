import asyncio
from collections.abc import Awaitable
from typing import TypeVar, cast

import pytest

from mpcnode.errors import ContactChanged, ParticipantSilent
from mpcnode.session.room import Room
from mpcnode.session.sealed_relay import SealedRelay
from mpcnode.types import IdentityKey, PeerId
from tests.helpers.relays import ANA, BEN, CLEO, Post, key_of

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
async def test_whoever_waits_hears_of_every_change(stir: object) -> None:
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


async def test_whoever_says_no_hello_is_named() -> None:
    started = Started(BEN)
    task = asyncio.create_task(started.room.introduce([BEN, CLEO], started.relay, wait=0.1))
    await asyncio.sleep(0)
    started.carry()
    with pytest.raises(ParticipantSilent) as caught:
        await soon(task)
    assert caught.value.culprits == (CLEO,)


async def test_a_hello_that_got_lost_is_said_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mpcnode.session.room.HELLO_AGAIN", 0.01)
    said: list[PeerId] = []

    class Deaf:
        def introduce(self, peer: PeerId) -> None:
            said.append(peer)

        def key_of(self, peer: PeerId) -> IdentityKey | None:
            return key_of(peer) if len(said) > 1 else None

    room = Room(ANA)
    assert await soon(room.introduce([BEN], cast("SealedRelay", Deaf()), wait=10)) == {BEN: key_of(BEN)}


async def test_whoever_is_not_who_it_should_be_ends_the_wait() -> None:
    started = Started(BEN)
    task = asyncio.create_task(started.room.introduce([BEN, CLEO], started.relay, wait=10))
    await asyncio.sleep(0)
    started.room.stir(CLEO, ContactChanged("another key", peer=CLEO))
    with pytest.raises(ContactChanged) as caught:
        await soon(task)
    assert caught.value.culprits == (CLEO,)


async def test_a_problem_of_the_past_is_no_problem_of_this_introduction() -> None:
    started = Started(BEN)
    started.room.stir(BEN, ContactChanged("another key", peer=BEN))
    task = asyncio.create_task(started.room.introduce([BEN], started.relay, wait=10))
    await asyncio.sleep(0)
    started.carry()
    assert await soon(task) == {BEN: key_of(BEN)}


async def test_the_problem_of_somebody_else_is_none() -> None:
    started = Started(BEN)
    task = asyncio.create_task(started.room.introduce([BEN], started.relay, wait=10))
    await asyncio.sleep(0)
    started.room.stir(CLEO, ContactChanged("another key", peer=CLEO))
    await asyncio.sleep(0)
    assert not task.done()
    started.carry()
    assert await soon(task) == {BEN: key_of(BEN)}
