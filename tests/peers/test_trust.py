import errno
from pathlib import Path

import pytest

from mpcnode.errors import ContactChanged, KeystoreUnwritable
from mpcnode.identity.contacts import Contact, Contacts, How
from mpcnode.keystore.store import Home
from mpcnode.peers.trust import Trusts, fingerprint
from mpcnode.types import IdentityKey, PeerId
from tests.helpers.filesystem import QuickFileSystem, failing
from tests.helpers.identities import key_of
from tests.helpers.relays import ANA, BEN, CLEO, EVE

ROSTER = {name: key_of(name) for name in (ANA, BEN, CLEO)}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home.open(tmp_path / "home", create=True, files=QuickFileSystem())


def trusts(home: Home, introduced: dict[PeerId, IdentityKey] | None = None) -> Trusts:
    return Trusts(home, peer_id=ANA, public_key=key_of(ANA), introduced=(introduced or {}).get)


def test_a_fingerprint_is_forty_digits_for_people_and_another_for_another_key() -> None:
    shown = fingerprint(key_of(ANA))
    assert len(shown.split(" ")) == 10
    assert all(len(group) == 4 for group in shown.split(" "))
    assert shown != fingerprint(key_of(BEN))
    assert key_of(ANA).hex()[:4] not in shown.split(" ")[0]


def test_a_stranger_is_unknown_an_introduced_peer_too(home: Home) -> None:
    known = trusts(home, {BEN: key_of(BEN)})
    assert known.view(CLEO).trust == "unknown"
    assert known.view(CLEO).fingerprint is None
    assert known.view(BEN).trust == "unknown"
    assert known.view(BEN).fingerprint == fingerprint(key_of(BEN))
    assert known.known_key(BEN) == key_of(BEN)
    assert known.known_key(CLEO) is None


def test_this_node_is_itself_whatever_key_a_proposal_names(home: Home) -> None:
    view = trusts(home).view(ANA, key_of(EVE))
    assert view.trust == "self"
    assert view.fingerprint == fingerprint(key_of(ANA))


@pytest.mark.parametrize(("verified", "trust"), [(False, "unverified"), (True, "verified")])
def test_a_session_pins_everybody_else(home: Home, *, verified: bool, trust: str) -> None:
    known = trusts(home)
    known.pin(ROSTER, verified=verified, now=1_800_000_000_700)
    assert [contact.peer_id for contact in known.contacts] == [BEN, CLEO]
    assert known.view(BEN).trust == trust
    assert trusts(home).contacts == known.contacts  # after a restart
    assert known.all_verified(ROSTER) is verified


@pytest.mark.parametrize(("verified", "how"), [(False, "introduced"), (True, "words")])
def test_a_contact_says_how_it_was_verified_and_since_when(home: Home, *, verified: bool, how: str) -> None:
    known = trusts(home)
    known.pin(ROSTER, verified=verified, now=1_800_000_000_700)
    assert {(one.how, one.verified) for one in known.contacts} == {(how, verified)}
    assert trusts(home).contacts == known.contacts


def test_those_that_are_not_verified_are_named_and_this_node_is_not_among_them(home: Home) -> None:
    known = trusts(home)
    assert known.not_verified(ROSTER) == (BEN, CLEO)
    known.pin({BEN: key_of(BEN)}, verified=True, now=0)
    assert known.not_verified(ROSTER) == (CLEO,)
    known.pin({CLEO: key_of(CLEO)}, verified=True, now=0)
    assert known.not_verified(ROSTER) == ()
    assert known.not_verified({**ROSTER, CLEO: key_of(EVE)}) == (CLEO,)


@pytest.mark.parametrize(("how", "trust"), [("code", "verified"), ("words", "verified"), ("invitation", "unverified")])
def test_only_what_both_compared_is_called_verified(home: Home, how: How, trust: str) -> None:
    known = trusts(home)
    known.contacts = known.contacts.pin(BEN, key_of(BEN), how=how, now=0)
    assert known.view(BEN).trust == trust


def test_this_node_s_own_key_is_known_to_it_and_pinned_by_nobody(home: Home) -> None:
    known = trusts(home, {ANA: key_of(EVE)})
    assert known.known_key(ANA) == key_of(ANA)
    known.pin({ANA: key_of(ANA)}, verified=True, now=0)
    assert known.contacts == Contacts()


def test_what_was_verified_stays_so(home: Home) -> None:
    known = trusts(home)
    known.pin(ROSTER, verified=True, now=0)
    known.pin(ROSTER, verified=False, now=1)
    assert known.view(BEN).trust == "verified"


def test_a_pinned_key_counts_more_than_an_introduction(home: Home) -> None:
    known = trusts(home, {BEN: key_of(EVE)})
    known.pin(ROSTER, verified=True, now=0)
    assert known.known_key(BEN) == key_of(BEN)


def test_a_verified_contact_is_unknown_under_another_key(home: Home) -> None:
    known = trusts(home)
    known.pin(ROSTER, verified=True, now=0)
    assert known.view(BEN, key_of(EVE)).trust == "unknown"
    assert known.view(BEN, key_of(EVE)).fingerprint == fingerprint(key_of(EVE))
    assert not known.all_verified({**ROSTER, BEN: key_of(EVE)})


def test_a_contact_is_known_by_its_key_under_any_name_and_shown_as_who_it_is(home: Home) -> None:
    known = trusts(home, {BEN: key_of(BEN)})
    bennie = PeerId("bennie")
    known.contacts = Contacts().pin(bennie, key_of(BEN), how="code", now=0)
    for view in (known.view(BEN, key_of(BEN)), known.seen(BEN)):
        assert (view.trust, view.proved, view.contact) == ("verified", True, bennie)
    assert known.all_verified({BEN: key_of(BEN)})
    assert known.all_by_code({BEN: key_of(BEN)})
    assert not known.pinned(BEN, key_of(BEN))  # the server may have given the key this name
    assert known.pinned(bennie, key_of(BEN))


def test_a_session_adds_no_second_contact_for_one_that_is_called_otherwise(home: Home) -> None:
    known = trusts(home)
    bennie = PeerId("bennie")
    known.contacts = Contacts().pin(bennie, key_of(BEN), how="introduced", now=0)
    known.pin({BEN: key_of(BEN)}, verified=True, now=1)
    assert list(known.contacts) == [Contact(bennie, key_of(BEN), "words", 0, moniker=BEN)]


def test_a_name_that_proved_nothing_is_unknown_and_says_which_key_is_pinned(home: Home) -> None:
    known = trusts(home)
    known.pin(ROSTER, verified=True, now=0)
    view = known.seen(BEN)
    assert (view.trust, view.proved, view.fingerprint) == ("unknown", False, None)
    assert view.pinned == fingerprint(key_of(BEN))
    stranger = trusts(home, {BEN: key_of(EVE)}).seen(BEN)  # a key from before the name was pinned
    assert (stranger.trust, stranger.proved, stranger.pinned) == ("unknown", False, fingerprint(key_of(BEN)))


def test_one_unverified_participant_is_enough_not_to_be_all_verified(home: Home) -> None:
    known = trusts(home)
    known.pin({ANA: key_of(ANA), BEN: key_of(BEN)}, verified=True, now=0)
    assert not known.all_verified(ROSTER)
    known.pin(ROSTER, verified=False, now=0)
    assert not known.all_verified(ROSTER)


def test_a_changed_key_pins_nobody(home: Home) -> None:
    known = trusts(home)
    known.pin({CLEO: key_of(CLEO)}, verified=False, now=0)
    with pytest.raises(ContactChanged) as caught:
        known.pin({BEN: key_of(BEN), CLEO: key_of(EVE)}, verified=True, now=0)
    assert str(caught.value).startswith("cleo came with another identity key")
    assert [contact.peer_id for contact in known.contacts] == [CLEO]
    assert trusts(home).contacts == known.contacts


def test_contacts_that_cannot_be_stored_are_not_pinned(tmp_path: Path, home: Home) -> None:
    full = Home.open(home.path, create=False, files=failing(errno.ENOSPC, lambda step: step.operation == "write"))
    known = trusts(full)
    with pytest.raises(KeystoreUnwritable):
        known.pin(ROSTER, verified=True, now=0)
    assert known.contacts == Contacts()
    assert tmp_path.exists()


def test_nothing_new_is_not_written_again(home: Home) -> None:
    known = trusts(home)
    known.pin(ROSTER, verified=True, now=0)
    read_only = Home.open(home.path, create=False, files=failing(errno.EROFS, lambda step: step.changes))
    again = trusts(read_only)
    again.pin(ROSTER, verified=True, now=5)
    assert again.contacts == known.contacts
