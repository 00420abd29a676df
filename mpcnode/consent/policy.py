"""The policy of a wallet: what this node's share may sign without its user, with its user, and not at all.

``HOME/wallets/<wallet id>/policy.yaml``, written by hand; every field may be left out::

    propose: [cli2, cli3]         # who may propose; without it every participant
    kinds: [sign]                 # what may be proposed: sign, refresh
    readings: [text, hex, file]   # how a message may be meant to be read
    script-trees: [none]          # which Taproot script trees the key may be tweaked with: none, or roots of 64 digits
    rate-per-hour: 20             # messages in any sixty minutes; without it as many as are proposed
    ask: unverified               # a human: always; never; or unverified, where the proposer is no verified contact

A wallet without the file is answered for as ``register --accept`` says. With it, the file answers instead; but what
``--accept none`` and ``--contacts-only`` refuse stays refused, because the file must not undo what was said last. It is
about what *others* propose: this node's own proposals are its user's.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal, NoReturn, TypeVar, get_args

import msgspec

from mpcnode.consent.limits import HOUR
from mpcnode.errors import DecodeError, KeystoreAbsent, KeystoreUnreadable, Refused
from mpcnode.keystore.files import check_directory, read_file
from mpcnode.keystore.filesystem import FileSystem
from mpcnode.keystore.plain_yaml import read_plain_yaml
from mpcnode.types import MAX_PARTICIPANTS, PeerId, Reading, WalletId, parse_peer_id
from mpcnode.wallet.wallet import Wallet

Kind = Literal["sign", "refresh"]
Ask = Literal["always", "never", "unverified"]

T = TypeVar("T")

MAX_RATE: Final = 1_000_000

_FORMS: Final = {
    "propose": "propose: [PEER_ID, ...], participants of the wallet",
    "kinds": "kinds: a list of sign, refresh",
    "readings": "readings: a list of text, hex, file",
    "script-trees": "script-trees: a list of none (no script tree) and of merkle roots, 64 hexadecimal digits each",
    "rate-per-hour": f"rate-per-hour: a number from 1 to {MAX_RATE}",
    "ask": "ask: always, never or unverified",
}
NO_TREE: Final = "none"
"""Stands in ``script-trees`` for a key that is tweaked with no script tree, and for keys that are not tweaked."""
_ROOT: Final = re.compile(r"[0-9a-f]{64}")
_NUMBER: Final = re.compile(r"[1-9][0-9]{0,6}")
_AT: Final = re.compile(r" - at `\$\.([a-z-]+)")
_NO_CHOICE: Final = re.compile(r"Invalid enum value (.*)", re.DOTALL)
_OTHER_FORM: Final = re.compile(r"Expected `(\w+)[^`]*`, got `(\w+)`")
_NEEDED: Final = {"array": "a list is needed, in brackets", "str": "a word is needed"}
_FOUND: Final = {"array": "a list", "str": "a word", "object": "a table of fields", "null": "nothing"}


@dataclass(frozen=True, slots=True, kw_only=True)
class WalletPolicy:
    """What the others may have this node sign with one wallet.

    Args:
        propose: who may propose; None for every participant.
        kinds: which kinds of session.
        readings: which readings of a message; ``hex`` signs bytes as they are, which may be a transaction.
        script_trees: merkle roots, in hexadecimal, that a Taproot key may be tweaked with; ``NO_TREE`` for none.
        rate_per_hour: how many messages in any sixty minutes, 1 to ``MAX_RATE``; None for no limit.
        ask: when a human is asked: ``always``, ``never``, or where the proposer is no verified contact.
    """

    propose: frozenset[PeerId] | None = None
    kinds: frozenset[Kind] = frozenset(get_args(Kind))
    readings: frozenset[Reading] = frozenset(get_args(Reading))
    script_trees: frozenset[str] = frozenset({NO_TREE})
    rate_per_hour: int | None = None
    ask: Ask = "always"


def decide(
    policy: WalletPolicy,
    *,
    kind: str,
    proposer: PeerId,
    verified: bool,
    reading: Reading | None,
    merkle_root: str | None,
    message_count: int,
    recent: Iterable[float],
    now: float,
) -> Literal["ask", "accept"]:
    """Say whether a proposal is accepted, or its user asked.

    Args:
        policy: the wallet's.
        kind: of the session.
        proposer: who proposes it, another participant.
        verified: whether the proposer is a verified contact.
        reading: how its messages are read; None where nothing is signed.
        merkle_root: the script tree that the key is tweaked with, in hexadecimal; None where it has none.
        message_count: how many it has.
        recent: when this node accepted to sign with this wallet, in milliseconds of a monotonic clock, one time for
            *each message*; all of the last hour, more do no harm, in any order. Asking the user does not make room.
        now: by the same clock.

    Raises:
        Refused: the policy says no. It is raised and not returned, so that a caller that forgets it accepts nothing.
    """
    if kind not in policy.kinds:
        raise Refused(f"this node's policy for the wallet allows no sessions of kind {kind!a}")
    if policy.propose is not None and proposer not in policy.propose:
        raise Refused(f"this node's policy for the wallet lets {proposer!a} propose nothing")
    if reading is not None and reading not in policy.readings:
        raise Refused(f"this node's policy for the wallet allows no messages to be read as {reading!a}")
    if reading is not None and (merkle_root or NO_TREE) not in policy.script_trees:
        which = f"with the script tree {merkle_root}" if merkle_root else "without a script tree"
        raise Refused(f"this node's policy for the wallet allows no signatures of the key {which}")
    if reading is not None and policy.rate_per_hour is not None:
        # A time after now counts too: a clock that was set back must not make room.
        used = sum(1 for when in recent if when > now - HOUR)
        if used + message_count > policy.rate_per_hour:
            raise Refused(
                f"this node's policy for the wallet allows {policy.rate_per_hour} messages an hour: "
                f"{used} were accepted, and this proposal has {message_count}"
            )
    if policy.ask == "always" or (policy.ask == "unverified" and not verified):
        return "ask"
    return "accept"


def load_policy(home: Path, wallet: Wallet, *, files: FileSystem | None = None) -> WalletPolicy | None:
    """Read a wallet's policy; None where there is no file.

    Read it anew for every proposal: a person that edits it expects the next answer to follow.

    Args:
        home: the home's directory.
        wallet: whose.
        files: the file system.

    Raises:
        KeystoreUnreadable: the file is not a policy, or others could have written it; the message names the field and
            the hint its form. Never go on as if there were no policy: it may forbid what ``--accept`` allows.
    """
    fs = files or FileSystem()
    path = policy_path(home, wallet.wallet_id)
    try:
        check_directory(fs, path.parent.parent)
        check_directory(fs, path.parent)
        data = read_file(fs, path)
    except KeystoreAbsent:
        return None
    try:
        return decode_policy(data, [member.peer_id for member in wallet.roster])
    except PolicyInvalid as error:
        raise KeystoreUnreadable(f"cannot read {path}: {error}", hint=error.form) from None


def policy_path(home: Path, wallet_id: WalletId) -> Path:
    """Say where a wallet's policy stands."""
    return home / "wallets" / wallet_id.hex() / "policy.yaml"


class PolicyInvalid(DecodeError):
    """A policy file that cannot be read; the message names the field, ``form`` says what may stand there."""

    def __init__(self, message: str, form: str) -> None:
        super().__init__(message)
        self.form = form


def decode_policy(data: bytes, participants: Iterable[PeerId]) -> WalletPolicy:
    """Read a policy file.

    Args:
        data: what stands in it.
        participants: of the wallet; nobody else is a proposer.

    Raises:
        PolicyInvalid: an unknown field, or one that is not of its form.
    """
    try:
        tree = read_plain_yaml(data)
    except DecodeError as error:
        raise PolicyInvalid(str(error), _everything()) from None
    if not isinstance(tree, dict):
        raise PolicyInvalid("a policy is fields and their values", _everything())
    for field, value in tree.items():
        if field not in _FORMS:
            raise PolicyInvalid(f"there is no field {field!a}", f"the fields are {', '.join(_FORMS)}")
        if value == "":
            _invalid(field, "nothing stands there; leave the field out")
    try:
        said = msgspec.convert(tree, _File)
    except msgspec.ValidationError as error:
        _invalid(*_field_of(str(error)))
    return WalletPolicy(
        propose=None if said.propose is None else _proposers(said.propose, set(participants)),
        kinds=_each_once("kinds", said.kinds),
        readings=_each_once("readings", said.readings),
        script_trees=_trees(said.script_trees),
        rate_per_hour=None if said.rate_per_hour is None else _rate(said.rate_per_hour),
        ask=said.ask,
    )


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    propose: Annotated[tuple[str, ...], msgspec.Meta(max_length=MAX_PARTICIPANTS)] | None = None
    kinds: tuple[Kind, ...] = get_args(Kind)
    readings: tuple[Reading, ...] = get_args(Reading)
    script_trees: tuple[str, ...] = (NO_TREE,)
    rate_per_hour: str | None = None
    ask: Ask = "always"


def _proposers(names: tuple[str, ...], participants: set[PeerId]) -> frozenset[PeerId]:
    for name in names:
        try:
            known = parse_peer_id(name) in participants
        except ValueError:
            known = False
        if not known:
            _invalid("propose", f"{name!a} is not a participant of the wallet")
    return _each_once("propose", tuple(PeerId(name) for name in names))


def _each_once(field: str, values: tuple[T, ...]) -> frozenset[T]:
    if len(set(values)) != len(values):
        _invalid(field, "something stands there twice")
    return frozenset(values)


def _trees(names: tuple[str, ...]) -> frozenset[str]:
    for name in names:
        if name != NO_TREE and not _ROOT.fullmatch(name):
            _invalid("script-trees", f"{name[:70]!a} is neither")
    return _each_once("script-trees", names)


def _rate(text: str) -> int:
    if not _NUMBER.fullmatch(text) or int(text) > MAX_RATE:
        _invalid("rate-per-hour", f"{text[:40]!a} is not such a number")
    return int(text)


def _field_of(message: str) -> tuple[str, str]:
    """Say which field a complaint of msgspec's is about, and what is wrong, in words of our own."""
    at = _AT.search(message)
    # Every complaint names its field: what has none was found before.
    assert at is not None
    said = message[: at.start()]
    if found := _NO_CHOICE.fullmatch(said):
        return at[1], f"{found[1]} is not one of these"
    if (found := _OTHER_FORM.fullmatch(said)) and found[1] in _NEEDED:
        return at[1], f"{_NEEDED[found[1]]}, and this is {_FOUND.get(found[2], 'something else')}"
    return at[1], said[:1].lower() + said[1:]


def _invalid(field: str, what: str) -> NoReturn:
    raise PolicyInvalid(f"{field}: {what}", _FORMS[field])


def _everything() -> str:
    return "a policy may have " + "; ".join(_FORMS.values())
