"""What ``mpcnode contacts`` does: list, show and remove pinned keys."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from mpcnode.cli.options import home_or_default, peer_id
from mpcnode.cli.terminal.output import log_to_stderr, print_data, print_json, say
from mpcnode.cli.terminal.text import as_typed, columns
from mpcnode.errors import KeystoreAbsent
from mpcnode.identity.contacts import Contact, Contacts, How
from mpcnode.keystore.store import Home
from mpcnode.peers.trust import contact_view, fingerprint

_HOW: Final[dict[How, str]] = {
    "code": "verified by a code, both ways",
    "words": "verified by safety words",
    "invitation": "the inviter's key, by an invitation",
    "introduced": "not verified: pinned when it was first met",
}


def list_contacts(home: Path | None, *, json: bool, verbose: bool) -> None:
    """Print the contacts of a home.

    Raises:
        KeystoreAbsent: the home that is named is not there.
        KeystoreUnreadable, KeystoreNewer: they cannot be read.
    """
    log_to_stderr(verbose=verbose)
    path = home_or_default(home)
    contacts = Home.open(path, create=False).load_contacts() if home is not None or path.exists() else Contacts()
    if not len(contacts):
        say(f"no contacts yet in {as_typed(str(path))}")
    if json:
        for contact in contacts:
            print_json(contact_view(contact))
    else:
        print_data(*columns((one.peer_id, _HOW[one.how], fingerprint(one.public_key)) for one in contacts))


def show_contact(home: Path | None, name: str, *, json: bool, verbose: bool) -> None:
    """Print one contact.

    Raises:
        KeystoreAbsent: there is no home, or no such contact.
    """
    log_to_stderr(verbose=verbose)
    contact = _find(Home.open(home_or_default(home), create=False).load_contacts(), name)
    if json:
        print_json(contact_view(contact))
        return
    seen = datetime.fromtimestamp(contact.first_seen / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    print_data(
        f"contact      {contact.peer_id}",
        f"key          {_HOW[contact.how]}",
        f"fingerprint  {fingerprint(contact.public_key)}",
        f"public key   {contact.public_key.hex()}",
        f"first seen   {seen}",
    )


def remove_contact(home: Path | None, name: str, *, json: bool, verbose: bool) -> None:
    """Forget one contact; the caller names it, and nobody is asked again.

    Raises:
        KeystoreAbsent: there is no home, or no such contact.
        HomeInUse: a node runs under the home, and would write the contact back.
        KeystoreUnwritable: it is still there.
    """
    log_to_stderr(verbose=verbose)
    opened = Home.open(home_or_default(home), create=False)
    with opened.lock():
        contacts = opened.load_contacts()
        contact = _find(contacts, name)
        rest = contacts.remove(contact.peer_id)
        opened.save_contacts(rest)
        if all(other.public_key != contact.public_key for other in rest):
            opened.remove_pair_key(contact.public_key)
    if json:
        print_json(contact_view(contact))
    else:
        say(f"removed {contact.peer_id}, whose fingerprint was {fingerprint(contact.public_key)}")


def _find(contacts: Contacts, name: str) -> Contact:
    contact = contacts.get(peer_id(name, "the contact's name"))
    if contact is None:
        raise KeystoreAbsent(f"there is no contact {name}", hint="see `mpcnode contacts list`")
    return contact
