import asyncio

import pytest

from mpcnode.errors import DecodeError
from mpcnode.mesh.attempt import MAX_HELD, Attempt, AttemptEvents
from mpcnode.mesh.transport import Fingerprints, IceCandidate, LinkEvents


class FakeLink:
    """A link that notes what is asked of it, fails where told to, and takes its time to close."""

    fingerprints = Fingerprints(b"", b"")
    route = "nowhere"

    def __init__(self, fails: Exception | None = None) -> None:
        self.asked: list[str] = []
        self._fails = fails

    def link(self, events: LinkEvents) -> "FakeLink":
        self.events = events
        return self

    async def offer(self) -> str:
        self.asked.append("offer")
        return "the offer"

    async def answer(self, offer: str) -> str:
        self.asked.append(f"answer {offer}")
        await asyncio.sleep(0.01)
        return "the answer"

    async def accept(self, answer: str) -> None:
        self.asked.append(f"accept {answer}")
        if self._fails is not None:
            raise self._fails

    async def add_candidate(self, candidate: IceCandidate) -> None:
        self.asked.append(candidate.candidate)

    def send(self, data: bytes) -> None:
        self.asked.append(data.decode())

    async def close(self) -> None:
        self.asked.append("close")
        await asyncio.sleep(0.01)
        self.asked.append("closed")


class Heard:
    """What an attempt reported; the test that hears of its end stops it, as the mesh does."""

    def __init__(self, link: FakeLink) -> None:
        self.told: list[tuple[object, ...]] = []
        events = AttemptEvents(
            described=lambda *what: self.told.append(("described", *what)),
            opened=lambda *what: self.told.append(("opened", *what)),
            received=lambda *what: self.told.append(("received", *what)),
            lost=lambda *what: self._end("lost", *what),
            unusable=lambda *what: self._end("unusable", *what),
            violated=lambda *what: self._end("violated", *what),
        )
        self.attempt = Attempt(7, link, events)
        self.task = asyncio.create_task(self.attempt.run())

    def _end(self, *what: object) -> None:
        self.told.append(what)
        self.attempt.stop()


async def ended(heard: Heard) -> None:
    async with asyncio.timeout(5):
        await asyncio.wait([heard.task])


async def test_what_is_asked_is_done_in_order() -> None:
    link = FakeLink()
    heard = Heard(link)
    heard.attempt.answer("an offer")
    heard.attempt.add_candidate(IceCandidate("a candidate", None, 0, 7))
    await asyncio.sleep(0.05)
    heard.attempt.stop()
    await ended(heard)
    assert link.asked == ["answer an offer", "a candidate", "close", "closed"]
    assert heard.told == [("described", 7, "the answer")]


@pytest.mark.parametrize(("error", "event"), [(ConnectionError("x"), "lost"), (DecodeError("x"), "unusable")])
async def test_a_link_that_fails_is_torn_down_to_the_end_and_tells_once(error: Exception, event: str) -> None:
    link = FakeLink(error)
    heard = Heard(link)
    heard.attempt.accept("an answer")
    heard.attempt.offer()
    await ended(heard)
    assert link.asked == ["accept an answer", "close", "closed"]
    assert heard.told == [(event, 7, "x")]


async def test_a_link_being_torn_down_is_not_interrupted() -> None:
    link = FakeLink()
    heard = Heard(link)
    await asyncio.sleep(0)
    heard.attempt.stop()
    await asyncio.sleep(0.005)
    heard.attempt.stop()
    await ended(heard)
    assert link.asked == ["close", "closed"]


async def test_an_attempt_stopped_before_it_began_closes_its_link_all_the_same() -> None:
    link = FakeLink()
    heard = Heard(link)
    heard.attempt.offer()
    heard.attempt.stop()
    await ended(heard)
    assert link.asked == ["close", "closed"]


async def test_a_stopped_attempt_says_and_sends_nothing() -> None:
    link = FakeLink()
    heard = Heard(link)
    await asyncio.sleep(0)
    heard.attempt.stop()
    link.events.opened()
    link.events.received(b"late")
    link.events.closed("late")
    link.events.violated("late")
    heard.attempt.send(b"late")
    await ended(heard)
    assert heard.told == []
    assert link.asked == ["close", "closed"]


async def test_frames_that_come_before_the_link_is_known_to_be_open_are_told_after_it() -> None:
    link = FakeLink()
    heard = Heard(link)
    link.events.received(b"one")
    link.events.received(b"two")
    assert heard.told == []
    link.events.opened()
    link.events.received(b"three")
    heard.attempt.stop()
    await ended(heard)
    frames = [("received", 7, data) for data in (b"one", b"two", b"three")]
    assert heard.told == [("opened", 7), *frames]


async def test_an_attempt_stopped_by_one_of_the_frames_it_held_tells_no_other() -> None:
    link = FakeLink()
    heard = Heard(link)
    link.events.received(b"one")
    link.events.received(b"two")
    object.__setattr__(heard.attempt._events, "received", lambda *what: heard._end("received", *what))
    link.events.opened()
    await ended(heard)
    assert heard.told == [("opened", 7), ("received", 7, b"one")]


async def test_more_frames_than_fit_before_the_link_is_open_are_a_violation() -> None:
    link = FakeLink()
    heard = Heard(link)
    for _ in range(MAX_HELD + 1):
        link.events.received(b"early")
    await ended(heard)
    assert heard.told == [("violated", 7, "it sends on a channel that is not open")]


async def test_a_defect_of_ours_is_not_taken_for_a_lost_link() -> None:
    link = FakeLink(ZeroDivisionError())
    heard = Heard(link)
    heard.attempt.accept("an answer")
    await ended(heard)
    assert isinstance(heard.task.exception(), ZeroDivisionError)
    assert link.asked[-1] == "closed"
    assert heard.told == []
