"""What ``mpcnode contacts`` does: list, show, rename, verify and remove pinned keys."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from mpcnode.blame import Came, Event, judge
from mpcnode.cli.options import home_or_default, peer_id
from mpcnode.cli.terminal.output import log_to_stderr, print_data, print_json, say, width_of_data
from mpcnode.cli.terminal.prompts import ask_line, has_terminal
from mpcnode.cli.terminal.text import INDENT, as_typed, columns, escape
from mpcnode.errors import KeystoreAbsent, MpcError, NoTerminal, Refused, UsageError
from mpcnode.identity.contacts import Contact, Contacts, How
from mpcnode.keystore.store import Home
from mpcnode.peers.trust import contact_view, fingerprint
from mpcnode.types import PeerId
from mpcnode.wallet.store import read_header

_HOW: Final[dict[How, str]] = {
    "code": "verified by a code, both ways",
    "words": "verified by safety words",
    "fingerprint": "verified by its fingerprint",
    "invitation": "the inviter's key, by an invitation",
    "introduced": "not verified: pinned when it was first met",
}
_IN_SHORT: Final[dict[How, str]] = {
    "code": "by code",
    "words": "by words",
    "fingerprint": "by fingerprint",
    "invitation": "by invitation",
    "introduced": "not verified",
}
DIGITS: Final = 40
"""Of a fingerprint."""
FEWEST: Final = 8
"""Digits that name a contact, where they begin one fingerprint alone."""


# ---- looking ----


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
        print_data(*_rows(contacts, width_of_data()))


def _rows(contacts: Contacts, width: int) -> list[str]:
    """Contacts, a row each; the fingerprints stand under the names where one of the rows would be too wide."""
    rows = columns((one.peer_id, _IN_SHORT[one.how], fingerprint(one.public_key)) for one in contacts)
    if max(map(len, rows), default=0) <= width:
        return rows
    names = columns((one.peer_id, _IN_SHORT[one.how]) for one in contacts)
    if max(map(len, names)) > width:
        heads = [[one.peer_id, f"{INDENT}{_IN_SHORT[one.how]}"] for one in contacts]
    else:
        heads = [[name] for name in names]
    return [
        row
        for head, one in zip(heads, contacts, strict=True)
        for row in (*head, f"{INDENT}{fingerprint(one.public_key)}")
    ]


def show_contact(home: Path | None, wanted: str, *, json: bool, verbose: bool) -> None:
    """Print one contact.

    Raises:
        KeystoreAbsent: there is no home, or no such contact.
        UsageError: several contacts are meant.
    """
    log_to_stderr(verbose=verbose)
    contact = find_contact(Home.open(home_or_default(home), create=False).load_contacts(), wanted)
    if json:
        print_json(contact_view(contact))
        return
    seen = datetime.fromtimestamp(contact.first_seen / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    print_data(
        f"contact      {contact.peer_id}",
        *([f"calls itself {contact.moniker}"] if contact.moniker is not None else []),
        f"key          {_HOW[contact.how]}",
        f"fingerprint  {fingerprint(contact.public_key)}",
        f"public key   {contact.public_key.hex()}",
        f"first seen   {seen}",
    )


def find_contact(contacts: Contacts, wanted: str) -> Contact:
    """Find the contact that is meant by a name, a fingerprint or its beginning, or what it calls itself.

    A name that the user of this node gave goes before one that somebody chose.

    Raises:
        UsageError: several are meant, or nobody can be called that.
        KeystoreAbsent: there is no such contact.
    """
    digits = _digits(wanted)
    meant = [one for one in contacts if one.peer_id == wanted]
    if len(digits) >= FEWEST:
        begun = [one for one in contacts if _digits(fingerprint(one.public_key)).startswith(digits)]
        meant += [one for one in begun if one not in meant]
    meant = meant or [one for one in contacts if one.moniker == wanted]
    if len(meant) == 1:
        return meant[0]
    if meant:
        which = "; ".join(f"{one.peer_id} ({fingerprint(one.public_key)})" for one in meant[:8])
        more = f" and {len(meant) - 8} more" if len(meant) > 8 else ""
        raise UsageError(
            f"{escape(wanted, 80)} means {len(meant)} contacts: {which}{more}",
            hint="name one by all digits of its fingerprint, with spaces",
        )
    if not digits:
        peer_id(wanted, "the contact's name")
    raise KeystoreAbsent(f"there is no contact {escape(wanted, 80)}", hint="see `mpcnode contacts list`")


def _digits(text: str) -> str:
    """Give the hexadecimal digits of a fingerprint or its beginning; nothing where it is something else."""
    digits = "".join(text.split(" ")).lower()
    return digits if 0 < len(digits) <= DIGITS and set(digits) <= set("0123456789abcdef") else ""


# ---- changing ----


@contextmanager
def _changing(home: Path | None) -> Iterator[tuple[Home, Contacts]]:
    """Hold a home while its contacts are changed.

    Raises:
        KeystoreAbsent: there is no home.
        HomeInUse: a node runs under the home, and would write back what it knows.
    """
    opened = Home.open(home_or_default(home), create=False)
    with opened.lock():
        yield opened, opened.load_contacts()


def rename_contact(home: Path | None, old: str, new: str, *, json: bool, verbose: bool) -> None:
    """Call a contact otherwise: a name is a label of this home, and the key under it stays.

    Raises:
        KeystoreAbsent: there is no home, or no such contact.
        UsageError: several contacts are meant, the new name is not one, or another contact has it.
        Refused: the new name is this node's own, or that of somebody else in a wallet.
        HomeInUse: a node runs under the home.
        KeystoreUnwritable: it is called what it was.
    """
    log_to_stderr(verbose=verbose)
    name = peer_id(new, "the new name")
    with _changing(home) as (opened, contacts):
        contact = find_contact(contacts, old)
        try:
            renamed = contacts.rename(contact.peer_id, name)
        except ValueError as error:
            raise UsageError(str(error), hint="choose another name, or rename that one first") from None
        _check_is_free(opened, contact, name)
        if renamed != contacts:
            opened.save_contacts(renamed)
    if json:
        print_json(contact_view(_named(renamed, name)))
    else:
        say(f"{contact.peer_id} is called {name} here; its key and the wallets you share are as they were")


def _check_is_free(home: Home, contact: Contact, name: PeerId) -> None:
    """Refuse a name that belongs to somebody else: under it, that one would be taken for an impostor.

    Raises:
        Refused: it does.
    """
    if name == home.load_settings().peer_id:
        raise Refused(f"{name} is what this node calls itself", hint="choose another name")
    for stored in home.list_wallets():
        wallet = read_header(stored)
        if isinstance(wallet, MpcError):  # `mpcnode wallets` says what cannot be read
            continue
        if any(member.peer_id == name and member.identity_key != contact.public_key for member in wallet.roster):
            raise Refused(
                f"{name} is somebody else in wallet {wallet.name}, and could not sign while this contact had the name",
                hint="choose another name",
            )


def verify_contact(home: Path | None, wanted: str, *, digits: str | None, json: bool, verbose: bool) -> None:
    """Mark a contact as verified, once a person compared its fingerprint, or gave all of it.

    Args:
        home: as everywhere.
        wanted: which contact.
        digits: the fingerprint that its owner gave; None to ask on the terminal.
        json, verbose: as everywhere.

    Raises:
        KeystoreAbsent: there is no home, or no such contact.
        UsageError: several contacts are meant, or ``digits`` are not a whole fingerprint.
        NoTerminal: there is nobody to ask.
        ContactChanged: the fingerprints differ.
        HomeInUse: a node runs under the home.
        KeystoreUnwritable: it is known as it was.
    """
    log_to_stderr(verbose=verbose)
    if digits is not None and len(_digits(digits)) != DIGITS:
        raise UsageError(
            f"{escape(digits, 80)} is not a whole fingerprint",
            hint=f"--fingerprint takes all {DIGITS} digits of it, with or without spaces",
        )
    with _changing(home) as (opened, contacts):
        contact = find_contact(contacts, wanted)
        theirs = fingerprint(contact.public_key)
        same = _digits(digits) == _digits(theirs) if digits is not None else _compared(opened, contact)
        if not same:
            raise judge(
                Came.RELAY,
                Event.CONTACT_CHANGED,
                f"{contact.peer_id} has another fingerprint than the key that is pinned here, which is {theirs}: "
                "somebody may stand between you",
                hint="make no wallet with it and sign nothing; if its owner is there, run "
                f"`mpcnode contacts remove {contact.peer_id}`, then pair anew: `mpcnode pair`",
            )
        pinned = contacts.pin(contact.peer_id, contact.public_key, how="fingerprint", now=time.time_ns() // 1_000_000)
        if pinned != contacts:
            opened.save_contacts(pinned)
    known = _named(pinned, contact.peer_id)
    if json:
        print_json(contact_view(known))
    elif contact.verified:
        say(f"the fingerprint of {known.peer_id} is the same; it was {_HOW[known.how]} before")
    else:
        say(f"{known.peer_id} is a verified contact now: its fingerprint is the same")


def _compared(home: Home, contact: Contact) -> bool:
    """Show both fingerprints and ask whether they are the same on the other screen.

    Raises:
        NoTerminal: there is nobody to ask.
        Interrupted: the terminal ended.
    """
    name = contact.peer_id
    if not has_terminal():
        raise NoTerminal(
            "two fingerprints have to be compared, and standard input is not a terminal",
            hint="add --fingerprint with all digits, as the contact's owner gave them to you",
        )
    mine, theirs = fingerprint(home.identity_public_key()), fingerprint(contact.public_key)
    width = max(len(name), len("this node"))
    say(
        f"{'this node':<{width}}  {mine}",
        f"{name:<{width}}  {theirs}",
        f"Speak with {name}, by voice or in person: `mpcnode contacts verify` shows the same two there.",
    )
    question = "are both the same there, all digits of them? type yes or no: "
    while (answer := ask_line(question).strip().lower()) not in {"yes", "no"}:
        say("please type yes or no, as a whole word")
    return answer == "yes"


def remove_contact(home: Path | None, wanted: str, *, json: bool, verbose: bool) -> None:
    """Forget one contact; the caller names it, and nobody is asked again.

    Raises:
        KeystoreAbsent: there is no home, or no such contact.
        UsageError: several contacts are meant.
        HomeInUse: a node runs under the home, and would write the contact back.
        KeystoreUnwritable: it is still there.
    """
    log_to_stderr(verbose=verbose)
    with _changing(home) as (opened, contacts):
        contact = find_contact(contacts, wanted)
        rest = contacts.remove(contact.peer_id)
        opened.save_contacts(rest)
        if all(other.public_key != contact.public_key for other in rest):
            opened.remove_pair_key(contact.public_key)
    if json:
        print_json(contact_view(contact))
    else:
        say(f"removed {contact.peer_id}, whose fingerprint was {fingerprint(contact.public_key)}")


def _named(contacts: Contacts, name: PeerId) -> Contact:
    contact = contacts.get(name)
    assert contact is not None
    return contact
