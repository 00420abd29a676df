"""What a node makes of what its signaling server tells of the peers, and of what they say through it."""

import asyncio
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

import pytest

from mpcnode import blame
from mpcnode.errors import ClocksApart, DecodeError
from mpcnode.identity.contacts import Contacts
from mpcnode.keystore.store import Home
from mpcnode.peers import neighbours as neighbours_module
from mpcnode.peers.budget import LINES, Complaints
from mpcnode.peers.conversation import Conversations, Doubted, Introduced, Opened
from mpcnode.peers.neighbours import MET, SHOWN, Neighbours
from mpcnode.peers.room import Room
from mpcnode.peers.trust import Trusts, fingerprint
from mpcnode.signaling import events
from mpcnode.status import Disconnected, Event, Peers, PeerView, Registered, Warned
from mpcnode.types import IdentityKey, PeerId, SessionId
from mpcnode.wire.relay import SessionCancel
from tests.helpers.identities import key_of
from tests.helpers.table import ANA, BEN, CLEO, MemoryHome

T = TypeVar("T")

SAID = Opened(BEN, key_of(BEN), SessionCancel(SessionId(bytes(16)), "interrupted", "stopped"))


@dataclass
class Heard:
    """Conversations that open what a test says, a listener, a screen; everything that is told, in order."""

    takes: Introduced | Opened | Doubted | DecodeError | None = None
    told: list[tuple[Any, ...]] = field(default_factory=list)
    shown: list[Event] = field(default_factory=list)
    keys: dict[PeerId, IdentityKey] = field(default_factory=dict)
    now: float = 0.0
    greeted: list[tuple[PeerId, ...]] = field(default_factory=list)
    hellos: list[PeerId] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.room = Room(ANA)
        home = cast("Home", MemoryHome())
        trusts = Trusts(home, peer_id=ANA, public_key=key_of(ANA), introduced=self.keys.get)
        trusts.contacts = Contacts().pin(CLEO, key_of(CLEO), how="words", now=0)
        self.neighbours = Neighbours(
            place=("ws://127.0.0.1:9000", "public"),
            room=self.room,
            conversations=cast("Conversations", self),
            trusts=trusts,
            complaints=Complaints(
                self.shown.append, is_contact=lambda name: bool(trusts.contacts.get(name)), clock=lambda: self.now
            ),
            listener=self,
            emit=self.shown.append,
            clock=lambda: self.now,
        )

    def hear(self, *said: events.ClientEvent) -> None:
        for event in said:
            self.neighbours.on_event(event)

    def of(self, kind: type[T]) -> list[T]:
        return [event for event in self.shown if isinstance(event, kind)]

    # as much of the conversations as is used

    def rejoined(self, peer: PeerId) -> None:
        self.told.append(("rejoined", peer))

    def key_of(self, peer: PeerId) -> IdentityKey | None:
        return self.keys.get(peer)

    def introduce(self, peer: PeerId) -> None:
        self.hellos.append(peer)

    def say_again(self, present: tuple[PeerId, ...]) -> None:
        self.greeted.append(present)

    def receive(self, sender: PeerId, data: bytes) -> Introduced | Opened | Doubted | None:
        assert sender in {BEN, CLEO}
        assert data == b"{}"
        if isinstance(self.takes, Exception):
            raise self.takes
        return self.takes

    # the listener

    def met(self, peer: PeerId) -> None:
        self.told.append(("met", peer))

    def parted(self, peer: PeerId) -> None:
        self.told.append(("parted", peer))

    def introduced(self, peer: PeerId, key: IdentityKey) -> None:
        self.told.append(("introduced", peer, key))

    def opened(self, opened: Opened) -> None:
        self.told.append(("opened", opened))


def registered(*peers: PeerId) -> events.Registered:
    return events.Registered(peers=peers, server_version=None, ice_servers=(), limits=None)


RELAYED = events.Relayed(BEN, b"{}")


# --- the room ---


def test_once_registered_everybody_in_the_room_is_met_but_this_node_itself() -> None:
    heard = Heard()
    heard.hear(registered(CLEO, ANA, BEN))
    # A life that begins now is told to the conversation before anything is said in it.
    assert heard.told == [("rejoined", CLEO), ("met", CLEO), ("rejoined", BEN), ("met", BEN)]
    assert heard.room.present == (ANA, BEN, CLEO)
    assert heard.of(Registered) == [Registered(ANA, "ws://127.0.0.1:9000", "public", fingerprint(key_of(ANA)))]
    (shown,) = heard.of(Peers)
    assert [(peer.peer_id, peer.trust) for peer in shown.peers] == [
        (ANA, "self"),
        (BEN, "unknown"),
        (CLEO, "unknown"),  # the name of a contact, and nothing more yet
    ]


def test_a_stranger_under_a_pinned_name_is_a_name_only_until_the_pinned_key_is_proved() -> None:
    heard = Heard()
    heard.hear(registered(CLEO, ANA, BEN))
    (shown,) = heard.of(Peers)
    assert [(peer.peer_id, peer.trust, peer.proved) for peer in shown.peers] == [
        (ANA, "self", True),
        (BEN, "unknown", False),
        (CLEO, "unknown", False),
    ]
    pinned = fingerprint(key_of(CLEO))
    assert [(peer.fingerprint, peer.pinned) for peer in shown.peers[1:]] == [(None, None), (None, pinned)]
    assert heard.hellos == [CLEO]  # a pinned name is asked for its key at once
    heard.keys[CLEO] = key_of(CLEO)
    heard.takes = Introduced(CLEO, key_of(CLEO))
    heard.hear(RELAYED)
    assert [peer.proved for peer in heard.of(Peers)[-1].peers] == [True, False, True]
    assert heard.of(Peers)[-1].peers[2] == PeerView(CLEO, "verified", pinned)


def test_another_key_than_the_pinned_one_proves_nothing() -> None:
    heard = Heard()
    heard.keys[CLEO] = key_of(BEN)  # from before the name was pinned
    heard.hear(registered(CLEO, ANA))
    assert [peer.proved for peer in heard.neighbours.views()] == [True, False]


def test_a_list_of_peers_that_says_what_was_known_is_not_shown_again() -> None:
    heard = Heard()
    heard.hear(registered(ANA, BEN), events.Peers((ANA, BEN)), events.Peers((BEN, ANA)))
    assert len(heard.of(Peers)) == 1
    heard.hear(events.Peers((ANA,)))
    assert len(heard.of(Peers)) == 2


def test_a_node_that_registers_again_meets_everybody_again() -> None:
    heard = Heard()
    heard.hear(registered(ANA, BEN), events.Disconnected("gone", 1.0))
    heard.told.clear()
    heard.hear(registered(ANA, CLEO))
    assert heard.told == [("rejoined", CLEO), ("met", CLEO)]
    assert list(heard.room.present) == [ANA, CLEO]
    assert not heard.room.away


def test_one_that_joins_is_met_and_one_that_leaves_is_parted_from() -> None:
    heard = Heard()
    heard.hear(registered(ANA))
    heard.hear(events.PeerJoined(BEN))
    assert heard.told == [("rejoined", BEN), ("met", BEN)]
    assert list(heard.room.present) == [ANA, BEN]
    heard.told.clear()
    heard.hear(events.PeerLeft(BEN))
    assert heard.told == [("parted", BEN)]
    assert list(heard.room.present) == [ANA]
    assert [[peer.peer_id for peer in shown.peers] for shown in heard.of(Peers)] == [[ANA], [ANA, BEN], [ANA]]


def test_a_server_that_says_this_node_joined_has_it_meet_nobody() -> None:
    heard = Heard()
    heard.hear(registered(ANA), events.PeerJoined(ANA))
    assert not heard.told


def test_a_list_of_the_room_is_shown_with_what_is_known_of_each() -> None:
    heard = Heard()
    heard.keys[BEN] = key_of(BEN)
    heard.hear(events.Peers((ANA, BEN)))
    (shown,) = heard.of(Peers)
    assert [(peer.peer_id, peer.fingerprint) for peer in shown.peers] == [
        (ANA, fingerprint(key_of(ANA))),
        (BEN, fingerprint(key_of(BEN))),
    ]
    assert heard.neighbours.views() == shown.peers
    assert not heard.told


def test_a_server_that_is_away_is_told_and_known_to_the_room() -> None:
    heard = Heard()
    heard.hear(registered(ANA, BEN), events.Disconnected("connection lost", 2.5))
    assert heard.room.away
    assert heard.of(Disconnected) == [Disconnected("connection lost", 2.5)]
    assert list(heard.room.present) == [ANA, BEN]  # from before


def test_what_the_server_says_is_shown_as_its_words() -> None:
    heard = Heard()
    heard.hear(events.ServerSaid(code="busy", error="too much", peer=None))
    assert [warned.message for warned in heard.of(Warned)] == ["the server says: too much"]
    assert not heard.told


# --- what they say ---


async def stirred(heard: Heard) -> bool:
    heard.room._news.clear()
    heard.hear(RELAYED)
    return heard.room._news.is_set()


async def test_a_message_goes_to_the_listener() -> None:
    heard = Heard(SAID)
    assert await stirred(heard)
    assert heard.told == [("opened", SAID)]
    assert not heard.shown


async def test_an_introduction_goes_to_the_listener_and_to_those_that_wait_for_it() -> None:
    heard = Heard(Introduced(BEN, key_of(BEN)))
    assert await stirred(heard)
    assert heard.told == [("introduced", BEN, key_of(BEN))]
    assert heard.room.problem_of(BEN) is None


async def test_what_means_nothing_yet_goes_to_nobody() -> None:
    heard = Heard(None)
    await stirred(heard)
    assert not heard.told
    assert not heard.shown


@pytest.mark.parametrize("event", [blame.Event.WRONG_KEY, blame.Event.CONTACT_CHANGED, blame.Event.OTHER_VERSION])
async def test_a_bad_hello_ends_nothing_names_nobody_and_explains_why_its_peer_may_not_answer(
    event: blame.Event,
) -> None:
    """The server can make such a hello in anybody's name."""
    doubt = blame.judge(blame.Came.RELAY, event, "another key says hello as ben")
    heard = Heard(Doubted(BEN, doubt))
    assert await stirred(heard)
    assert not heard.told
    assert heard.room.problem_of(BEN) is doubt
    assert (doubt.culprits, doubt.suspects) == ((), frozenset())
    assert [warned.message for warned in heard.of(Warned)] == [doubt.message]


@pytest.mark.parametrize(
    ("apart", "span"),
    [
        (359_990, "6 min ahead of"),
        (-3_660_000, "1 h 1 min behind"),
        (2 * 86_400_000 + 3 * 3_600_000, "2 d 3 h ahead of"),
    ],
)
async def test_clocks_that_differ_are_said_by_how_much_and_explain_a_silence(apart: int, span: str) -> None:
    heard = Heard(Introduced(BEN, key_of(BEN), (), apart))
    heard.hear(RELAYED)
    assert heard.told == [("introduced", BEN, key_of(BEN))]
    (warned,) = heard.of(Warned)
    assert warned.message.startswith(f"the clock of ben is {span} this node's; set the clocks of both machines")
    heard.takes = SAID
    heard.hear(RELAYED)  # what came through does not show that the clocks agree
    problem = heard.room.problem_of(BEN)
    assert isinstance(problem, ClocksApart)
    assert (problem.exit_code, problem.culprits, problem.suspects) == (5, (), frozenset())
    heard.takes = Introduced(BEN, key_of(BEN))
    heard.hear(RELAYED)
    assert heard.room.problem_of(BEN) is None


async def test_what_cannot_be_understood_ends_nothing() -> None:
    heard = Heard(DecodeError("no such message"))
    await stirred(heard)
    assert not heard.told
    assert heard.room.problem_of(BEN) is None
    (warned,) = heard.of(Warned)
    assert warned.message == "ben sent what this version does not understand: no such message"


# --- what others cost ---


async def kept_up(heard: Heard, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the node do once what it put off."""
    monkeypatch.setattr(neighbours_module, "HELLO_AGAIN", 0.0)
    before = len(heard.greeted)
    task = asyncio.create_task(heard.neighbours.keep_up())
    while len(heard.greeted) == before:
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_strangers_fill_few_lines_and_none_of_a_contact_and_what_is_left_out_is_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    heard = Heard(DecodeError("no such message"))
    for _ in range(100):
        heard.hear(RELAYED)
    assert len(heard.of(Warned)) == LINES[0]
    heard.hear(events.Relayed(CLEO, b"{}"))
    assert heard.of(Warned)[-1].message.startswith("cleo sent what")
    heard.now += LINES[1]
    await kept_up(heard, monkeypatch)
    left_out = 100 - LINES[0]
    assert heard.of(Warned)[-1].message == f"{left_out} more lines about peers that are not contacts are not shown"
    await kept_up(heard, monkeypatch)
    assert len(heard.of(Warned)) == LINES[0] + 2


async def test_a_server_that_says_without_end_that_peers_come_and_go_has_this_node_do_little(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    heard = Heard()
    heard.hear(registered(ANA))
    for _ in range(500):
        heard.hear(events.PeerJoined(BEN), events.PeerLeft(BEN))
    heard.hear(events.PeerJoined(BEN))
    assert heard.told.count(("met", BEN)) == heard.told.count(("rejoined", BEN)) == MET[0]
    assert len(heard.of(Peers)) == SHOWN[0]
    heard.now += MET[1]
    await kept_up(heard, monkeypatch)
    assert heard.told[-2:] == [("rejoined", BEN), ("met", BEN)]
    assert [peer.peer_id for peer in heard.of(Peers)[-1].peers] == [ANA, BEN]
    shown = len(heard.shown)
    await kept_up(heard, monkeypatch)
    assert len(heard.shown) == shown


async def test_a_room_that_changed_too_often_to_be_shown_is_shown_later(monkeypatch: pytest.MonkeyPatch) -> None:
    heard = Heard()
    heard.hear(registered(ANA, BEN))
    for _ in range(SHOWN[0]):
        heard.hear(events.PeerLeft(CLEO))
    heard.hear(events.PeerLeft(BEN))
    assert [peer.peer_id for peer in heard.of(Peers)[-1].peers] == [ANA, BEN]
    heard.now += SHOWN[1]
    await kept_up(heard, monkeypatch)
    assert [peer.peer_id for peer in heard.of(Peers)[-1].peers] == [ANA]


async def test_what_waits_is_said_again_to_those_that_are_here(monkeypatch: pytest.MonkeyPatch) -> None:
    heard = Heard()
    heard.hear(registered(ANA, BEN))
    await kept_up(heard, monkeypatch)
    assert heard.greeted[-1] == (ANA, BEN)


def test_what_is_lost_for_want_of_place_is_said() -> None:
    heard = Heard()
    heard.hear(events.Dropped(BEN))
    assert [one.message for one in heard.of(Warned)] == [
        "a message to ben is lost: too much waits for the signaling server"
    ]
