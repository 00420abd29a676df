"""What a node makes of what its signaling server tells of the peers, and of what they say through it."""

from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

import pytest

from mpcnode.errors import (
    AuthenticationError,
    ContactChanged,
    DecodeError,
    IdentityCheckFailed,
    MpcError,
    PeerIncompatible,
)
from mpcnode.keystore.store import Home
from mpcnode.peers.conversation import Conversations, Doubted, Introduced, Opened
from mpcnode.peers.neighbours import Neighbours
from mpcnode.peers.room import Room
from mpcnode.peers.trust import Trusts, fingerprint
from mpcnode.signaling import events
from mpcnode.status import Disconnected, Event, Peers, Registered, Warned
from mpcnode.types import IdentityKey, PeerId, SessionId
from mpcnode.wire.relay import SessionCancel
from tests.helpers.identities import key_of
from tests.helpers.table import ANA, BEN, CLEO, MemoryHome

T = TypeVar("T")

SAID = Opened(BEN, key_of(BEN), SessionCancel(SessionId(bytes(16)), "interrupted", "stopped"))


@dataclass
class Heard:
    """Conversations that open what a test says, a listener, a screen; everything that is told, in order."""

    takes: Introduced | Opened | Doubted | MpcError | DecodeError | None = None
    told: list[tuple[Any, ...]] = field(default_factory=list)
    shown: list[Event] = field(default_factory=list)
    keys: dict[PeerId, IdentityKey] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.room = Room(ANA)
        home = cast("Home", MemoryHome())
        self.neighbours = Neighbours(
            me=ANA,
            server="ws://127.0.0.1:9000",
            room_name="public",
            room=self.room,
            conversations=cast("Conversations", self),
            trusts=Trusts(home, peer_id=ANA, public_key=key_of(ANA), introduced=self.keys.get),
            listener=self,
            emit=self.shown.append,
        )

    def hear(self, *said: events.ClientEvent) -> None:
        for event in said:
            self.neighbours.on_event(event)

    def of(self, kind: type[T]) -> list[T]:
        return [event for event in self.shown if isinstance(event, kind)]

    # as much of the conversations as is used

    def rejoined(self, peer: PeerId) -> None:
        self.told.append(("rejoined", peer))

    def receive(self, sender: PeerId, data: bytes) -> Introduced | Opened | Doubted | None:
        assert (sender, data) == (BEN, b"{}")
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

    def failed(self, peer: PeerId, error: MpcError) -> None:
        self.told.append(("failed", peer, error))

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
        (CLEO, "unknown"),
    ]


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
    assert not heard.room._problems


async def test_what_means_nothing_yet_goes_to_nobody() -> None:
    heard = Heard(None)
    await stirred(heard)
    assert not heard.told
    assert not heard.shown


async def test_a_hello_in_the_name_of_one_that_proved_its_key_ends_nothing_and_explains_why_it_may_not_answer() -> None:
    doubt = IdentityCheckFailed("another key says hello as ben", peer=BEN)
    heard = Heard(Doubted(BEN, doubt))
    assert await stirred(heard)
    assert not heard.told  # above all not failed: the server can make such a hello
    assert heard.room._problems == {BEN: doubt}
    assert [warned.message for warned in heard.of(Warned)] == [doubt.message]


@pytest.mark.parametrize(
    "error",
    [
        ContactChanged("ben has another key than its contact", peer=BEN),
        IdentityCheckFailed("the seal of ben does not open", peer=BEN),
        PeerIncompatible("ben speaks version 9"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_a_peer_that_is_not_the_node_it_should_be_is_told_to_the_listener_the_room_and_the_user(
    error: MpcError,
) -> None:
    assert isinstance(error, AuthenticationError | PeerIncompatible)
    heard = Heard(error)
    assert await stirred(heard)
    assert heard.told == [("failed", BEN, error)]
    assert heard.room._problems == {BEN: error}
    assert [warned.message for warned in heard.of(Warned)] == [error.message]


async def test_what_cannot_be_understood_ends_nothing() -> None:
    heard = Heard(DecodeError("no such message"))
    await stirred(heard)
    assert not heard.told
    assert not heard.room._problems
    (warned,) = heard.of(Warned)
    assert warned.message == "ben sent what this version does not understand: no such message"
