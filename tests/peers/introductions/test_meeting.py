"""Two nodes meet through a real server and through a lying one; whatever ends it leaves no slot and says why."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from mpcnode.crypto.pairing_keys import Role
from mpcnode.errors import (
    CodeCrowded,
    CodeOver,
    IdentityCheckFailed,
    MpcError,
    PairingStopped,
    ParticipantRefused,
    Refused,
    ServerRefused,
    ServerUnreachable,
    WrongCode,
)
from mpcnode.identity.card import Card
from mpcnode.peers.introductions import meeting
from mpcnode.peers.introductions.endings import SILENT, TABLE, Moment, ending
from mpcnode.peers.introductions.meeting import Introducer
from mpcnode.peers.introductions.pairing import Paired, Pairing
from mpcnode.signaling.slots import LOST, RELEASED, UNKNOWN_MESSAGE, Slot, SlotOver
from mpcnode.types import PeerId
from mpcnode.wire import pairing as wire
from mpcnode.wire.code import Code
from tests.helpers.identities import identity, key_of
from tests.helpers.server import RunningServer, running_server

DEADLINE = 20.0
WORDS = ("swirl", "motor")


@pytest.fixture(autouse=True)
async def deadline() -> AsyncIterator[None]:
    async with asyncio.timeout(DEADLINE):
        yield


@pytest.fixture
async def server() -> AsyncIterator[RunningServer]:
    async with running_server() as running:
        yield running


def nothing_against(_card: Card) -> None:
    pass


def introducer(server: RunningServer, name: str) -> Introducer:
    return Introducer(
        server=server.url,
        ca_file=None,
        identity=identity(name),
        moniker=PeerId(name),
        rng=random.Random(name).randbytes,
    )


async def join(server: RunningServer, name: str, code: Code, check: Callable[[Card], None] = nothing_against) -> Paired:
    return await introducer(server, name).join(code, check=check)


@asynccontextmanager
async def inviting(
    server: RunningServer, check: Callable[[Card], None] = nothing_against
) -> AsyncIterator[tuple[Code, "asyncio.Task[Paired]"]]:
    """Alice has made a code; gives it, and what becomes of it."""
    codes: asyncio.Queue[Code] = asyncio.Queue()
    task = asyncio.create_task(
        introducer(server, "alice").invite(WORDS, check=check, show=lambda code, _: codes.put_nowait(code))
    )
    waiting = asyncio.ensure_future(codes.get())
    await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
    try:
        yield waiting.result(), task
    finally:
        waiting.cancel()
        task.cancel()
        await asyncio.wait({task})


async def failure(work: Awaitable[Any]) -> MpcError:
    with pytest.raises(MpcError) as failed:
        await work
    assert failed.value.hint
    return failed.value


async def nobody_is_at(server: RunningServer, code: Code) -> None:
    async with Slot.open(server.url) as slot:
        await slot.claim(code.slot)
        with pytest.raises(SlotOver) as over:
            await slot.claimed()
    assert over.value.code in {"slot_over", "unknown_slot"}


async def test_two_people_with_one_code_meet(server: RunningServer) -> None:
    async with inviting(server) as (code, task):
        bob = await join(server, "bob", code)
        alice = await task
    assert (alice.card.moniker, alice.card.public_key) == ("bob", key_of("bob"))
    assert (bob.card.moniker, bob.card.public_key) == ("alice", key_of("alice"))
    assert alice.key == bob.key
    await nobody_is_at(server, code)


async def test_a_wrong_word_ends_the_code_for_both(server: RunningServer) -> None:
    async with inviting(server) as (code, task):
        bob = await failure(join(server, "bob", Code(code.slot, ("swirl", "rotor"))))
        alice = await failure(task)
        assert isinstance(bob, WrongCode)
        assert isinstance(alice, WrongCode)
        assert alice.message == (
            "the code was used with a wrong password: it may have been a typing error or an attack"
        )
        again = await failure(join(server, "bob", code))
    assert isinstance(again, CodeOver)
    assert "used up" in again.message


async def test_a_code_is_used_once(server: RunningServer) -> None:
    async with inviting(server) as (code, task):
        await join(server, "bob", code)
        await task
    assert isinstance(await failure(join(server, "carol", code)), CodeOver)


async def test_right_words_at_another_slot_meet_nobody(server: RunningServer) -> None:
    async with inviting(server) as (code, task):
        error = await failure(join(server, "bob", Code(code.slot + 1, WORDS)))
        assert isinstance(error, CodeOver)
        assert "nobody is at this code" in error.message
        assert not task.done()


async def test_a_code_of_another_server_meets_nobody(server: RunningServer) -> None:
    async with running_server() as other, inviting(server) as (code, _):
        assert isinstance(await failure(join(other, "bob", code)), CodeOver)


async def test_a_third_one_ends_the_code_and_both_hear_of_it(server: RunningServer) -> None:
    async with inviting(server) as (code, task), Slot.open(server.url) as second, Slot.open(server.url) as third:
        await second.claim(code.slot)
        await second.claimed()
        await third.claim(code.slot)
        error = await failure(task)
    assert isinstance(error, CodeCrowded)
    assert "it may have been a typing error or an attack" in error.message


async def test_one_that_comes_third_hears_that_the_code_is_crowded(server: RunningServer) -> None:
    async with inviting(server) as (code, task), Slot.open(server.url) as second:
        await second.claim(code.slot)
        await second.claimed()
        assert isinstance(await failure(join(server, "bob", code)), CodeCrowded)
        assert isinstance(await failure(task), CodeCrowded)


async def test_an_inviter_that_is_stopped_leaves_no_slot(server: RunningServer) -> None:
    async with inviting(server) as (code, task):
        task.cancel()
        await asyncio.wait({task})
        assert isinstance(await failure(join(server, "bob", code)), CodeOver)


@pytest.mark.parametrize("end", ["they meet", "a wrong word", "nobody is there", "stopped"])
async def test_the_machine_is_given_up_however_it_ends(
    server: RunningServer, end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[Pairing] = []
    close = Pairing.close

    def noted(pairing: Pairing) -> None:
        closed.append(pairing)
        close(pairing)

    monkeypatch.setattr(Pairing, "close", noted)
    async with inviting(server) as (code, task):
        words = ("swirl", "rotor") if end == "a wrong word" else WORDS
        slot = code.slot + 1 if end == "nobody is there" else code.slot
        if end == "stopped":
            task.cancel()
        else:
            await asyncio.gather(join(server, "bob", Code(slot, words)), return_exceptions=True)
            if end == "nobody is there":
                task.cancel()
        await asyncio.wait({task})
    assert len(closed) == (1 if end == "stopped" else 2)


@asynccontextmanager
async def by_hand(server: RunningServer, code: Code) -> AsyncIterator[Slot]:
    async with Slot.open(server.url) as slot:
        await slot.claim(code.slot)
        await slot.claimed()
        yield slot


@pytest.mark.parametrize("heard", [0, 1])
@pytest.mark.parametrize("how", ["release", "close"])
async def test_a_joiner_that_goes_before_it_said_anything(server: RunningServer, heard: int, how: str) -> None:
    async with inviting(server) as (code, task):
        async with by_hand(server, code) as slot:
            for _ in range(heard):
                await slot.hear()
            if how == "release":
                await slot.release()
        error = await failure(task)
    assert isinstance(error, PairingStopped)
    assert error.message.endswith("before the two had met; nothing was kept here")


async def test_a_joiner_that_goes_before_it_showed_that_it_knows_the_words_may_have_guessed(
    server: RunningServer,
) -> None:
    async with inviting(server) as (code, task):
        async with by_hand(server, code) as slot:
            mallory = Pairing(
                Role.JOINER,
                password=b"a-guess",
                identity=identity("mallory"),
                moniker=PeerId("mallory"),
                check=nothing_against,
                rng=random.Random(3).randbytes,
            )
            await slot.say(mallory.begin(code.slot))
            await slot.hear()
            await slot.hear()
        error = await failure(task)
    assert isinstance(error, PairingStopped)
    assert "did not show that it knows the words: it may have been a typing error or an attack" in error.message


class Dies(Exception):
    """A process that is gone in the middle."""


@pytest.mark.parametrize("say", [1, 2, 3])
@pytest.mark.parametrize("who", ["inviter", "joiner"])
async def test_an_end_that_dies_at_any_message_leaves_a_sentence(
    server: RunningServer, who: str, say: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that dies does so instead of its message; the other keeps nobody, and says what may be so."""
    honest, count = Slot.say, {"inviter": 0, "joiner": 0}

    async def dies(self: Slot, body: bytes) -> None:
        task = asyncio.current_task()
        assert task is not None
        count[task.get_name()] += 1
        if task.get_name() == who and count[who] == say:
            raise Dies
        await honest(self, body)

    monkeypatch.setattr(Slot, "say", dies)
    async with inviting(server) as (code, task):
        task.set_name("inviter")
        joining = asyncio.create_task(join(server, "bob", code), name="joiner")
        await asyncio.wait({task, joining})
        dead, alive = (task, joining) if who == "inviter" else (joining, task)
        assert isinstance(dead.exception(), Dies)
        error = alive.exception()
    assert isinstance(error, PairingStopped)
    assert ("the other side may have kept this node" in error.message) == (say == 3)
    await nobody_is_at(server, code)


@pytest.mark.parametrize("number", [0, 1, 2])
async def test_a_server_that_ends_at_any_moment_is_named(
    server: RunningServer, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = Slot.hear

    async def hear(self: Slot) -> bytes:
        heard[0] += 1
        if heard[0] > 2 * number:
            server.stop.set()
            await asyncio.sleep(60)
        return await honest(self)

    heard = [0]
    monkeypatch.setattr(Slot, "hear", hear)
    monkeypatch.setattr(meeting, "PAIR_SECONDS", 1.0)
    async with inviting(server) as (code, task):
        joining = asyncio.create_task(join(server, "bob", code))
        await asyncio.wait({task, joining})
    for one in (task, joining):
        assert isinstance(one.exception(), PairingStopped | ServerRefused)


async def test_a_server_that_is_stopped_while_a_code_waits_is_named() -> None:
    async with running_server() as server, inviting(server) as (_, task):
        server.stop.set()
        error = await failure(task)
    assert isinstance(error, ServerRefused)
    assert error.message == "the server was stopped"


async def test_where_no_server_is_nothing_is_shown() -> None:
    nowhere = RunningServer("127.0.0.1", 1, asyncio.Event())
    assert isinstance(await failure(join(nowhere, "bob", Code(12, WORDS))), ServerUnreachable)


@pytest.mark.parametrize("declines", ["alice", "bob"])
async def test_one_that_keeps_nobody_is_heard_by_the_other(server: RunningServer, declines: str) -> None:
    def decline(_card: Card) -> None:
        raise Refused("no", hint="x")

    checks = {name: decline if name == declines else nothing_against for name in ("alice", "bob")}
    async with inviting(server, checks["alice"]) as (code, task):
        joining = asyncio.create_task(join(server, "bob", code, checks["bob"]))
        await asyncio.wait({task, joining})
    errors = {"alice": task.exception(), "bob": joining.exception()}
    assert isinstance(errors.pop(declines), Refused)
    assert isinstance(errors.popitem()[1], ParticipantRefused)


async def test_nobody_comes_in_time(server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meeting, "WAIT_SECONDS", 0.2)
    async with inviting(server) as (code, task):
        error = await failure(task)
    assert isinstance(error, CodeOver)
    assert "nobody used the code in its time" in error.message
    await nobody_is_at(server, code)


async def test_one_that_says_nothing_is_not_waited_for(server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meeting, "PAIR_SECONDS", 0.3)
    async with inviting(server) as (code, task), by_hand(server, code):
        error = await failure(task)
    assert isinstance(error, PairingStopped)
    assert "did not answer" in error.message


async def test_a_server_that_reflects_is_found_out(server: RunningServer) -> None:
    async with inviting(server) as (code, task), by_hand(server, code) as slot:
        await slot.say(await slot.hear())
        error = await failure(task)
    assert isinstance(error, IdentityCheckFailed)
    assert "our own message came back" in error.message


async def test_a_server_that_puts_itself_between_has_one_guess(server: RunningServer) -> None:
    """It plays a joiner to alice and an inviter to bob, without the words."""
    async with inviting(server) as (code, task), Slot.open(server.url) as to_bob:
        number, _ = await to_bob.allocate()
        joining = asyncio.create_task(join(server, "bob", Code(number, WORDS)))
        await to_bob.claimed()
        async with by_hand(server, code) as to_alice:
            for _ in range(2):
                await to_bob.say(await to_alice.hear())
                await to_alice.say(await to_bob.hear())
            assert isinstance(await failure(task), WrongCode)
            assert isinstance(await failure(joining), WrongCode)


@pytest.mark.parametrize("data", [b"hello", wire.encode(wire.Sealed(bytes(20)))])
async def test_a_stranger_that_speaks_another_language_ends_the_code(server: RunningServer, data: bytes) -> None:
    async with inviting(server) as (code, task), by_hand(server, code) as slot:
        await slot.say(data)
        assert isinstance(await failure(task), PairingStopped)


WORDS_OF_SLOTS = (
    *("invalid_message", "message_too_big", "out_of_order", "unknown_slot", "slot_over", "crowded", "expired"),
    *("peer_gone", "too_many_slots", "slots_full", "rate_limited", "request_timeout", "too_many_connections"),
    *("slow_reader", "server_shutdown", RELEASED, LOST, UNKNOWN_MESSAGE, SILENT, "a_new_word"),
)


@pytest.mark.parametrize("moment", Moment)
@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("word", WORDS_OF_SLOTS)
def test_every_end_at_every_moment_has_a_sentence_and_a_next_step(word: str, role: Role, moment: Moment) -> None:
    error = ending(SlotOver(word, "said", 1500), role, moment)
    assert error.hint
    assert error.message[0].islower()
    assert not error.message.endswith(".")
    assert (error.culprits, error.suspects) == ((), frozenset())
    if moment is Moment.MEETING and word != "crowded":
        assert "may have kept this node" in error.message


def test_the_table_names_words_of_slots_alone() -> None:
    assert {word for word, _, _ in TABLE} <= set(WORDS_OF_SLOTS)
