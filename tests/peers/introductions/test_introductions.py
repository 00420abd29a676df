"""What two homes keep after a code: a verified contact each and one key; or nothing at all."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from mpcnode.commands import Pair
from mpcnode.errors import (
    ContactChanged,
    KeystoreAbsent,
    KeystoreUnwritable,
    MpcError,
    ParticipantRefused,
    Refused,
    WrongCode,
)
from mpcnode.identity.identity import Identity
from mpcnode.keystore.format import KdfPolicy
from mpcnode.keystore.keyring import Keyring
from mpcnode.keystore.store import Home
from mpcnode.peers.introductions import introductions
from mpcnode.peers.introductions.introductions import Introductions
from mpcnode.peers.introductions.meeting import Introducer
from mpcnode.peers.trust import Trusts
from mpcnode.status import ContactView, Event, PairingCode
from mpcnode.types import PeerId
from tests.helpers.filesystem import QuickFileSystem
from tests.helpers.identities import NOW, key_of
from tests.helpers.server import RunningServer, running_server

ALICE, BOB, CAROL = PeerId("alice"), PeerId("bob"), PeerId("carol")


@dataclass
class Somebody:
    """A home with everything that pairing needs of it."""

    home: Home
    keyring: Keyring
    identity: Identity
    trusts: Trusts
    introductions: Introductions

    @classmethod
    def at(cls, path: Path, name: PeerId, server: RunningServer, stack: ExitStack) -> "Somebody":
        home = Home.open(path / name, create=True, files=QuickFileSystem())
        keyring = stack.enter_context(Keyring(bytearray(b"correct horse")))
        identity = home.create_identity(keyring, KdfPolicy(8 << 20, 1))
        trusts = Trusts(home, peer_id=name, public_key=identity.public_key, introduced=lambda _: None)
        introducer = Introducer(
            server=server.url, ca_file=None, identity=identity, moniker=name, rng=random.Random(name).randbytes
        )
        return cls(home, keyring, identity, trusts, Introductions(home, keyring, introducer, trusts, lambda: NOW))

    def stored(self) -> dict[str, str]:
        """Its contacts as they are on the disk: how each is known."""
        return {one.peer_id: one.how for one in Home.open(self.home.path, create=False).load_contacts()}

    def shared(self, with_: "Somebody") -> bytes:
        return bytes(self.home.load_pair_key(with_.identity.public_key, self.keyring))


@dataclass
class People:
    """Two homes, and the code that the first made last."""

    alice: Somebody
    bob: Somebody
    shown: list[PairingCode]

    async def pair(
        self, *, alice: Pair | None = None, bob: Pair | None = None, code: str = ""
    ) -> tuple[ContactView | BaseException, ContactView | BaseException]:
        codes: asyncio.Queue[PairingCode] = asyncio.Queue()

        def emit(event: Event) -> None:
            assert isinstance(event, PairingCode)
            self.shown.append(event)
            codes.put_nowait(event)

        inviting = asyncio.create_task(self.alice.introductions.pair(alice or Pair(), emit=emit))
        made = (await codes.get()).code
        said = Pair(code=code.format(made.partition("-")[0]) or made, alias=None if bob is None else bob.alias)
        one, other = await asyncio.gather(
            inviting, self.bob.introductions.pair(said, emit=emit), return_exceptions=True
        )
        return one, other


@pytest.fixture
async def people(tmp_path: Path) -> AsyncIterator[People]:
    async with asyncio.timeout(20), running_server() as server:
        with ExitStack() as stack:
            yield People(Somebody.at(tmp_path, ALICE, server, stack), Somebody.at(tmp_path, BOB, server, stack), [])


def nothing_kept(*people: Somebody) -> None:
    for one in people:
        assert one.stored() == {}
        assert not list(one.home.path.glob("pairs/*"))


async def test_each_has_the_other_as_a_verified_contact_and_one_key(people: People) -> None:
    bob, alice = await people.pair()
    assert isinstance(bob, ContactView)
    assert isinstance(alice, ContactView)
    assert (bob.peer_id, bob.verified, bob.how, bob.first_seen, bob.moniker) == ("bob", True, "code", NOW, None)
    assert bob.public_key == people.bob.identity.public_key.hex()
    assert alice.peer_id == "alice"
    assert people.alice.stored() == {"bob": "code"}
    assert people.bob.stored() == {"alice": "code"}
    assert people.alice.shared(people.bob) == people.bob.shared(people.alice)
    assert len(people.alice.shared(people.bob)) == 32
    (shown,) = people.shown
    assert len(shown.code.split("-")) == 3
    assert shown.until > NOW


async def test_a_longer_code_has_as_many_words_as_were_asked_for(people: People) -> None:
    await people.pair(alice=Pair(words=5))
    assert len(people.shown[0].code.split("-")) == 6
    assert people.alice.stored() == {"bob": "code"}


async def test_after_a_wrong_word_nothing_is_kept(people: People) -> None:
    for error in await people.pair(code="{}-swirl-motor"):
        assert isinstance(error, WrongCode)
    nothing_kept(people.alice, people.bob)


async def test_pairing_again_with_the_same_person_makes_a_new_key_and_keeps_the_contact(people: People) -> None:
    await people.pair()
    before = people.alice.shared(people.bob)
    await people.pair()
    assert people.alice.stored() == {"bob": "code"}
    assert people.alice.shared(people.bob) == people.bob.shared(people.alice) != before


async def test_one_that_was_known_a_little_is_verified_from_then_on(people: People) -> None:
    people.alice.trusts.keep(BOB, people.bob.identity.public_key, how="introduced", now=1)
    bob, _ = await people.pair()
    assert isinstance(bob, ContactView)
    assert (bob.how, bob.first_seen) == ("code", 1)


async def test_one_that_is_known_by_another_name_keeps_it(people: People) -> None:
    people.alice.trusts.keep(CAROL, people.bob.identity.public_key, how="introduced", now=1)
    bob, _ = await people.pair()
    assert isinstance(bob, ContactView)
    assert (bob.peer_id, bob.moniker) == ("carol", "bob")
    assert people.alice.stored() == {"carol": "code"}


async def test_a_name_with_another_key_is_an_error_at_both_ends_and_nothing_is_kept(people: People) -> None:
    people.alice.trusts.keep(BOB, key_of("carol"), how="words", now=1)
    alice, bob = await people.pair()
    assert isinstance(alice, ContactChanged)
    assert alice.hint is not None
    assert "mpcnode contacts remove bob" in alice.hint
    assert isinstance(bob, ParticipantRefused)
    assert "has another key under this node's name" in bob.message
    assert people.alice.stored() == {"bob": "words"}
    nothing_kept(people.bob)


async def test_a_name_that_is_taken_is_no_matter_where_the_user_gives_another(people: People) -> None:
    people.alice.trusts.keep(BOB, key_of("carol"), how="words", now=1)
    bob, _ = await people.pair(alice=Pair(alias=PeerId("bob2")))
    assert isinstance(bob, ContactView)
    assert (bob.peer_id, bob.moniker) == ("bob2", "bob")
    assert people.alice.stored() == {"bob": "words", "bob2": "code"}


async def test_two_that_call_themselves_the_same_need_another_name(people: People) -> None:
    people.bob.introductions._introducer = Introducer(
        server=people.bob.introductions._introducer.server,
        ca_file=None,
        identity=people.bob.identity,
        moniker=ALICE,
        rng=random.Random(5).randbytes,
    )
    results = await people.pair()
    assert any(isinstance(one, Refused) and one.hint and "--as NAME" in one.hint for one in results)
    assert all(isinstance(one, MpcError) for one in results)
    nothing_kept(people.alice, people.bob)
    names = await people.pair(alice=Pair(alias=PeerId("bobs")), bob=Pair(alias=PeerId("alices")))
    assert [one.peer_id for one in names if isinstance(one, ContactView)] == ["bobs", "alices"]


async def test_a_home_that_is_full_keeps_nobody_and_neither_does_the_other(
    people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(introductions, "MAX_CONTACTS", 1)
    people.bob.trusts.keep(CAROL, key_of("carol"), how="words", now=1)
    alice, bob = await people.pair()
    assert isinstance(bob, Refused)
    assert "no more than 1 contacts" in bob.message
    assert isinstance(alice, ParticipantRefused)
    nothing_kept(people.alice)


async def test_a_disk_that_is_full_is_said_and_the_contact_is_not_kept(
    people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise KeystoreUnwritable("cannot write: no space left")

    monkeypatch.setattr(people.alice.home, "save_pair_key", full)
    alice, bob = await people.pair()
    assert isinstance(alice, KeystoreUnwritable)
    assert people.alice.stored() == {}
    assert isinstance(bob, ContactView)
    with pytest.raises(KeystoreAbsent):
        people.alice.shared(people.bob)


async def test_what_is_kept_is_used_at_once(people: People) -> None:
    await people.pair()
    assert people.alice.trusts.view(BOB).trust == "verified"
