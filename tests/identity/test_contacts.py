import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpcnode.errors import ContactChanged, DecodeError, KeystoreNewer
from mpcnode.identity.contacts import MAX_CONTACTS, Contact, Contacts, How
from mpcnode.identity.identity import Identity
from mpcnode.types import IdentityKey, PeerId
from tests.helpers.blamed import blamed

ANA, BEN = PeerId("ana"), PeerId("ben")


def key(i: int) -> IdentityKey:
    return Identity.from_seed(bytearray(i.to_bytes(32, "big"))).public_key


EVERY_HOW: list[How] = ["introduced", "invitation", "fingerprint", "words", "code"]
KEYS = [key(i) for i in range(6)]
SOME = Contacts().pin(BEN, KEYS[1], how="introduced", now=7).pin(ANA, KEYS[0], how="code", now=5)

contacts = st.builds(
    Contacts,
    st.lists(
        st.builds(
            Contact,
            st.from_regex(r"[A-Za-z0-9._-]{1,64}", fullmatch=True).map(PeerId),
            st.sampled_from(KEYS),
            st.sampled_from(EVERY_HOW),
            st.integers(0, 2**53 - 1),
            st.sampled_from([None, PeerId("calls-itself-this")]),
        ),
        max_size=5,
    ),
)


def test_a_name_is_unknown_until_it_is_pinned() -> None:
    assert Contacts().check(ANA, KEYS[0]) == "unknown"
    assert SOME.check(ANA, KEYS[0]) == "verified"
    assert SOME.check(BEN, KEYS[1]) == "unverified"


def test_a_changed_key_is_an_error_that_names_the_contact() -> None:
    with pytest.raises(ContactChanged) as raised:
        SOME.check(ANA, KEYS[2])
    assert ANA in raised.value.message
    assert "`mpcnode contacts remove ana`, then pair anew: `mpcnode pair`" in (raised.value.hint or "")
    assert blamed(raised.value) == ((), set())  # the server may have shown the key
    with pytest.raises(ContactChanged):
        SOME.pin(ANA, KEYS[2], how="code", now=9)


def test_another_contacts_key_is_a_changed_key_too() -> None:
    with pytest.raises(ContactChanged):
        SOME.check(ANA, KEYS[1])


def test_pinning_raises_a_contact_and_never_lowers_it() -> None:
    raised = SOME.pin(BEN, KEYS[1], how="words", now=99)
    assert raised.get(BEN) == Contact(BEN, KEYS[1], how="words", first_seen=7)
    assert SOME.check(BEN, KEYS[1]) == "unverified"  # values do not change
    assert raised.check(BEN, KEYS[1]) == "verified"
    for how in EVERY_HOW:
        assert raised.pin(BEN, KEYS[1], how=how, now=99) == raised


@pytest.mark.parametrize(
    ("how", "verified"), [("introduced", 0), ("invitation", 0), ("fingerprint", 1), ("words", 1), ("code", 1)]
)
def test_only_what_somebody_compared_is_called_verified(how: How, verified: int) -> None:
    contact = Contact(ANA, KEYS[0], how, 0)
    assert contact.verified == bool(verified)
    assert Contacts([contact]).check(ANA, KEYS[0]) == ("verified" if verified else "unverified")


@pytest.mark.parametrize("first", EVERY_HOW)
@pytest.mark.parametrize("then", EVERY_HOW)
def test_a_contact_is_known_as_well_as_it_ever_was(first: How, then: How) -> None:
    both = Contacts().pin(ANA, KEYS[0], how=first, now=1).pin(ANA, KEYS[0], how=then, now=2)
    rank = {"introduced": 0, "invitation": 1, "fingerprint": 2, "words": 2, "code": 2}
    assert both.get(ANA) == Contact(ANA, KEYS[0], then if rank[then] > rank[first] else first, 1)


def test_a_removed_contact_may_be_pinned_to_another_key() -> None:
    again = SOME.remove(ANA).pin(ANA, KEYS[2], how="introduced", now=9)
    assert again.check(ANA, KEYS[2]) == "unverified"
    with pytest.raises(KeyError):
        SOME.remove(PeerId("nobody"))


def test_a_contact_that_is_renamed_keeps_all_but_its_name() -> None:
    annie = PeerId("annie")
    renamed = SOME.rename(ANA, annie)
    assert renamed.get(annie) == Contact(annie, KEYS[0], how="code", first_seen=5, moniker=ANA)
    assert renamed.get(ANA) is None
    assert renamed.get(BEN) == SOME.get(BEN)
    assert renamed.rename(annie, PeerId("al")).get(PeerId("al")) == Contact(PeerId("al"), KEYS[0], "code", 5, ANA)
    assert renamed.rename(annie, ANA) == SOME  # its own name again
    assert SOME.rename(ANA, ANA) == SOME
    assert Contacts.decode(renamed.encode()) == renamed


def test_a_contact_does_not_take_the_name_of_another() -> None:
    with pytest.raises(ValueError, match="there is a contact ben already"):
        SOME.rename(ANA, BEN)
    with pytest.raises(KeyError):
        SOME.rename(PeerId("nobody"), ANA)


def test_people_are_found_by_their_keys_and_a_pinned_name_is_nobody_else() -> None:
    zoe = PeerId("zoe")
    assert SOME.of(zoe, KEYS[0]) == SOME.get(ANA)
    assert SOME.of(ANA, KEYS[0]) == SOME.get(ANA)
    assert SOME.of(BEN, KEYS[0]) is None  # ana under the name of ben is not known
    assert SOME.of(zoe, KEYS[2]) is None
    twice = SOME.pin(zoe, KEYS[1], how="words", now=9)
    assert twice.of(PeerId("yan"), KEYS[1]) == twice.get(zoe)  # the better known of the two
    assert twice.of(BEN, KEYS[1]) == twice.get(BEN)


def test_what_a_contact_calls_itself_is_noted_and_stays() -> None:
    called = Contacts().pin(ANA, KEYS[0], how="code", now=5, moniker=BEN)
    assert called.get(ANA) == Contact(ANA, KEYS[0], "code", 5, BEN)
    assert called.pin(ANA, KEYS[0], how="words", now=6) == called
    assert called.pin(ANA, KEYS[0], how="words", now=6, moniker=ANA).get(ANA) == Contact(ANA, KEYS[0], "code", 5)


def test_strangers_cannot_fill_the_disk() -> None:
    full = Contacts(Contact(PeerId(f"p{i}"), KEYS[0], "introduced", 0) for i in range(MAX_CONTACTS))
    with pytest.raises(ValueError, match=str(MAX_CONTACTS)):
        full.pin(ANA, KEYS[0], how="code", now=0)
    assert full.pin(PeerId("p1"), KEYS[0], how="code", now=0).check(PeerId("p1"), KEYS[0]) == "verified"


def test_the_full_set_of_contacts_fits_in_a_file() -> None:
    full = Contacts(
        Contact(PeerId(f"{i:064}"), KEYS[0], "fingerprint", 2**53 - 1, PeerId(f"m{i:063}")) for i in range(MAX_CONTACTS)
    )
    assert len(full.encode()) <= 3 << 19


@given(contacts)
@settings(max_examples=50)
def test_contacts_survive_their_file(some: Contacts) -> None:
    assert Contacts.decode(some.encode()) == some


def test_the_file_is_a_page_a_person_can_read() -> None:
    assert json.loads(SOME.encode()) == {
        "format": "mpcnode-contacts",
        "version": 1,
        "contacts": [
            {"peer_id": "ana", "public_key": KEYS[0].hex(), "how": "code", "first_seen": 5},
            {"peer_id": "ben", "public_key": KEYS[1].hex(), "how": "introduced", "first_seen": 7},
        ],
    }


def change(old: str, new: str) -> bytes:
    changed = SOME.encode().decode().replace(old, new)
    assert changed.encode() != SOME.encode()
    return changed.encode()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"\xff\xfe",
        b"[" * 200_000,
        SOME.encode() + b" ",
        SOME.encode()[:-1],
        change('"ben"', '"ana"'),
        change('"ana"', '"zoe"'),
        change('"ana"', '"../ana"'),
        change('"how": "code"', '"how": true'),
        change('"how": "code"', '"how": "hearsay"'),
        change('"how": "code"', '"how": ""'),
        change('"how": "code",', ""),
        change('"first_seen": 5', '"first_seen": -5'),
        change('"first_seen": 5', '"first_seen": 5.0'),
        change('"first_seen": 5', '"first_seen": 5, "note": ""'),
        change('"first_seen": 5', '"first_seen": 5, "moniker": null'),
        change('"first_seen": 5', '"first_seen": 5, "moniker": "ana"'),
        change('"first_seen": 5', '"first_seen": 5, "moniker": "an na"'),
        change('"first_seen": 5', '"first_seen": 5, "first_seen": 5'),
        change(KEYS[0].hex(), KEYS[0].hex().upper()),
        change(KEYS[0].hex(), KEYS[0].hex()[:-2]),
        change(KEYS[0].hex(), "00" * 32),
        change('"version": 1', '"version": 0'),
        change("mpcnode-contacts", "mpcnode-settings"),
    ],
)
def test_what_is_not_the_canonical_file_is_refused(data: bytes) -> None:
    with pytest.raises(DecodeError):
        Contacts.decode(data)


def test_a_newer_file_is_not_damage() -> None:
    newer = b'{"format": "mpcnode-contacts", "version": 2, "unheard-of": 1.5}'
    with pytest.raises(KeystoreNewer):
        Contacts.decode(newer)


def test_a_truncated_file_is_refused_at_every_length() -> None:
    data = SOME.encode()
    for size in range(len(data)):
        with pytest.raises(DecodeError):
            Contacts.decode(data[:size])


@given(st.binary(max_size=200) | st.text().map(str.encode))
@settings(max_examples=100)
def test_only_documented_errors_escape_from_arbitrary_bytes(data: bytes) -> None:
    with pytest.raises((DecodeError, KeystoreNewer)):
        Contacts.decode(data)
