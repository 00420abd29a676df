"""A proposal as it is made, what is checked of every kind, and what each kind checks of its terms."""

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from mpcnode.consent.limits import Claims
from mpcnode.crypto import tags
from mpcnode.crypto.suites import DEFAULT_SUITES
from mpcnode.errors import IdentityCheckFailed, Refused
from mpcnode.identity.contacts import Contacts
from mpcnode.protocols.descriptor import Member
from mpcnode.protocols.epoch import Certificate
from mpcnode.session.kinds import KINDS
from mpcnode.session.kinds.keygen import KEYGEN
from mpcnode.session.kinds.kind import roster_of
from mpcnode.session.kinds.refresh import REFRESH, new_shares_of
from mpcnode.session.kinds.sign import MAX_BATCH, MAX_CONTENTS_SIZE, SIGN, SignTerms
from mpcnode.session.proposal import CLOCK_SKEW, check_proposal, numbered, propose
from mpcnode.session.services import Services
from mpcnode.types import EpochId, Identifier, IdentityKey, PeerId, SessionId, WalletId
from mpcnode.wallet.wallet import Epoch, EpochState, Wallet
from mpcnode.wire import agreement
from mpcnode.wire.relay import (
    MAX_ANSWER_MS,
    Participant,
    SessionProposal,
    decode_envelope,
    decode_message,
    encode_envelope,
    encode_message,
)
from tests.helpers.blamed import blamed
from tests.helpers.identities import NOW, identity, key_of
from tests.helpers.table import ANA, BEN, CLEO, WALLET_ID, wallet_of

EVE = PeerId("eve")
NAMES = (ANA, BEN, CLEO)
ED25519, TAPROOT = DEFAULT_SUITES


def participant(identifier: int, name: str, key: bytes) -> Participant:
    return Participant(Identifier(identifier), PeerId(name), IdentityKey(key))


def services(
    me: PeerId = BEN,
    *,
    known_key: Callable[[PeerId], IdentityKey | None] = key_of,
    wallet: Wallet | None = None,
    claims: Claims | None = None,
) -> Services:
    """As much of a node as proposals are checked against."""
    wallets = SimpleNamespace(
        find=lambda wallet_id: wallet if wallet and wallet.wallet_id == wallet_id else None,
        all=lambda: (wallet,) if wallet else (),
    )
    return cast(
        "Services",
        SimpleNamespace(
            peer_id=me,
            identity=identity(me),
            now=lambda: NOW,
            rng=lambda size: b"\x5e" * size,
            conversations=SimpleNamespace(introduce=lambda _peer, **_: None),
            trusts=SimpleNamespace(
                known_key=lambda name: key_of(me) if name == me else known_key(name), contacts=Contacts()
            ),
            wallets=wallets,
            claims=claims or Claims(),
        ),
    )


def made(*names: PeerId, threshold: int = 2, **changes: Any) -> SessionProposal:
    proposal = propose(
        services((names or NAMES)[0]),
        kind="keygen",
        roster=numbered({name: key_of(name) for name in names or NAMES}),
        threshold=threshold,
        suites=DEFAULT_SUITES,
        wallet_name="treasury",
        answer_within=120_000,
    )
    return changed(proposal, **changes)


def changed(proposal: SessionProposal, **changes: Any) -> SessionProposal:
    """A proposal that the wire need not allow."""
    copied = msgspec.structs.replace(proposal)
    for name, value in changes.items():
        msgspec.structs.force_setattr(copied, name, value)
    return copied


def roster(*names: str, keys: tuple[bytes, ...] | None = None) -> tuple[Participant, ...]:
    keys = keys or tuple(map(key_of, names))
    return tuple(participant(i, name, key) for i, (name, key) in enumerate(zip(names, keys, strict=True), 1))


def check(proposal: SessionProposal, *, proposer: PeerId = ANA, key: IdentityKey | None = None, **options: Any) -> None:
    check_proposal(proposal, proposer=proposer, key=key or key_of(proposer), services=services(**options))


def nobody(_: PeerId) -> None:
    """Nobody was introduced yet."""


# --- made ---


def test_a_proposal_is_sorted_by_identifier_in_whatever_order_it_was_made() -> None:
    proposal = made(CLEO, ANA, BEN)
    assert [(one.identifier, one.peer_id) for one in proposal.participants] == [(1, ANA), (2, BEN), (3, CLEO)]
    assert roster_of(proposal) == {name: key_of(name) for name in NAMES}
    assert proposal.session_id == agreement.session_id_of(key_of(CLEO), b"\x5e" * 16)
    assert (proposal.salt, proposal.expires, proposal.answer_within) == (b"\x5e" * 16, NOW + 120_000, 120_000)


def test_identifiers_are_the_ones_the_members_have_for_life() -> None:
    members = [Member(Identifier(9), ANA, key_of(ANA)), Member(Identifier(4), CLEO, key_of(CLEO))]
    proposal = propose(
        services(ANA),
        kind="sign",
        roster=members,
        threshold=2,
        suites=(ED25519,),
        wallet_name="treasury",
        answer_within=1,
        terms=(b"a", b""),
    )
    assert [(one.identifier, one.peer_id) for one in proposal.participants] == [(4, CLEO), (9, ANA)]
    assert proposal.terms == (b"a", b"")
    check(proposal, me=CLEO)


def test_two_proposals_of_one_node_are_two_sessions() -> None:
    random = iter((b"\x01" * 16, b"\x02" * 16))
    node = services(ANA)
    node.rng = lambda _size: next(random)  # type: ignore[misc]
    ids = {
        propose(
            node,
            kind="keygen",
            roster=numbered({name: key_of(name) for name in NAMES}),
            threshold=2,
            suites=DEFAULT_SUITES,
            wallet_name="treasury",
            answer_within=1,
        ).session_id
        for _ in range(2)
    }
    assert len(ids) == 2


def test_a_session_is_its_proposer_s_and_nobody_else_s() -> None:
    ids = {agreement.session_id_of(key_of(name), salt) for name in NAMES for salt in (b"\x5e" * 16, bytes(16))}
    assert len(ids) == 6
    assert all(len(one) == 16 for one in ids)


def test_the_hash_covers_every_field() -> None:
    proposal = made()
    changes: list[dict[str, Any]] = [
        {"session_id": SessionId(bytes(16))},
        {"salt": bytes(16)},
        {"kind": "sign"},
        {"threshold": 3},
        {"participants": roster("ana", "ben", "eve")},
        {"participants": roster("ana", "ben", "cleo", keys=(key_of(ANA), key_of(BEN), key_of(EVE)))},
        {"participants": (*proposal.participants[:2], participant(4, CLEO, key_of(CLEO)))},
        {"participants": proposal.participants[:2]},
        {"suites": DEFAULT_SUITES[:1]},
        {"suites": DEFAULT_SUITES[::-1]},
        {"wallet_name": "other"},
        {"expires": proposal.expires + 1},
        {"answer_within": 60},
        {"terms": (b"",)},
        {"terms": (b"a", b"b")},
        {"terms": (b"ab",)},
    ]
    assert {name for change in changes for name in change} == set(SessionProposal.__struct_fields__)
    hashes = {agreement.proposal_hash(changed(proposal, **change)) for change in changes}
    assert len({agreement.proposal_hash(proposal), *hashes}) == 1 + len(changes)


def test_the_hash_is_the_same_after_the_wire() -> None:
    proposal = made(terms=(b"\x00", b"", b"hello"))
    envelope = encode_envelope(proposal.session_id, proposal.expires, 1, encode_message(proposal))
    again = decode_message(decode_envelope(envelope))
    assert again == proposal
    assert isinstance(again, SessionProposal)
    assert agreement.proposal_hash(again) == agreement.proposal_hash(proposal)


# --- checked of every kind ---


@pytest.mark.parametrize("me", [BEN, CLEO])
@pytest.mark.parametrize("threshold", [2, 3])
def test_an_honest_proposal_passes_for_everybody_in_it(me: PeerId, threshold: int) -> None:
    check(made(threshold=threshold), me=me)
    check(made(threshold=threshold), me=me, known_key=nobody)


CROOKED: dict[str, dict[str, Any]] = {
    "must satisfy": {"threshold": 1},
    "threshold 0": {"threshold": 0},
    "threshold -1": {"threshold": -1},
    "threshold 65": {"threshold": 65},
    "total 65": {"participants": tuple(participant(i, f"p{i:02}", key_of(f"p{i}")) for i in range(1, 66))},
    "not sorted by": {"participants": made().participants[::-1]},
    "participants are not sorted": {"participants": (*made().participants, participant(3, "eve", key_of(EVE)))},
    "a participant stands there twice": {"participants": roster("ana", "ben", "ben", keys=tuple(map(key_of, NAMES)))},
    "this node is not": {"participants": roster("ana", "cleo", "eve")},
    "the proposer is not": {"participants": roster("ben", "cleo", "eve")},
    "share one identity key": {"participants": roster(*NAMES, keys=tuple(map(key_of, (ANA, BEN, BEN))))},
    "not a usable point": {"participants": roster(*NAMES, keys=(key_of(ANA), key_of(BEN), bytes(32)))},
    "the identity key of cleo": {"participants": roster(*NAMES, keys=(key_of(ANA), key_of(BEN), b"\x01" + bytes(31)))},
    "ciphersuite FROST-ED448-SHAKE256-v1 is": {"suites": (ED25519, "FROST-ED448-SHAKE256-v1")},
    "a ciphersuite stands": {"suites": (ED25519, ED25519)},
    "has expired": {"expires": NOW - CLOCK_SKEW},
    "more than a day": {"expires": NOW + MAX_ANSWER_MS + CLOCK_SKEW},
}


@pytest.mark.parametrize("reason", CROOKED)
def test_a_proposal_that_contradicts_itself_is_refused_and_says_why(reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        check(made(**CROOKED[reason]), known_key=nobody)


def test_a_clock_may_be_wrong_by_minutes() -> None:
    check(made(expires=NOW - CLOCK_SKEW + 1))
    check(made(expires=NOW + MAX_ANSWER_MS + CLOCK_SKEW - 1))


def test_a_proposal_may_be_for_sixty_four() -> None:
    crowd = [PeerId(f"node{number:02}") for number in range(64)]
    check(made(*crowd, threshold=64), proposer=crowd[0], me=crowd[1])


@pytest.mark.parametrize("name", NAMES)
def test_another_key_than_the_one_known_is_an_error_that_says_whose_and_blames_nobody(name: PeerId) -> None:
    keys = tuple(key_of(EVE if participant == name else participant) for participant in NAMES)
    with pytest.raises(IdentityCheckFailed) as caught:
        check(made(participants=roster(*NAMES, keys=keys)))
    assert blamed(caught.value) == ((), set())
    assert f"another identity key for {name}" in caught.value.message
    assert caught.value.exit_code == 4


def test_this_node_s_own_key_is_known_to_it_without_being_told() -> None:
    keys = (key_of(ANA), key_of(EVE), key_of(CLEO))
    with pytest.raises(IdentityCheckFailed) as caught:
        check(made(participants=roster(*NAMES, keys=keys)), known_key=nobody)
    assert blamed(caught.value) == ((), set())
    assert "another identity key for ben" in caught.value.message


def test_a_proposer_that_speaks_with_another_key_than_it_names_for_itself_is_refused() -> None:
    with pytest.raises(IdentityCheckFailed, match="a key not its own") as caught:
        check(made(), key=key_of(EVE), known_key=nobody)
    assert blamed(caught.value) == ((), set())


# --- key generation ---


@pytest.mark.parametrize(
    ("reason", "changes"),
    [
        ("threshold 4, total 3", {"threshold": 4}),
        ("order of their names", {"participants": roster("ben", "ana", "cleo")}),
        ("numbered from 1", {"participants": (*made().participants[:2], participant(4, CLEO, key_of(CLEO)))}),
        ("no further terms", {"terms": (b"",)}),
    ],
)
def test_the_participants_of_a_new_wallet_are_numbered_by_name(reason: str, changes: dict[str, Any]) -> None:
    KEYGEN.matter(made(), services())
    with pytest.raises(Refused, match=reason):
        KEYGEN.matter(made(**changes), services())


def test_names_are_compared_as_bytes() -> None:
    made_of = numbered({PeerId(name): key_of(name) for name in ("a", "B", "a-", "Z")})
    assert [member.peer_id for member in made_of] == ["B", "Z", "a", "a-"]


def test_a_new_wallet_needs_everybody_and_a_name_that_is_free() -> None:
    matter = KEYGEN.matter(made(), services())
    assert matter.needed == 3
    assert matter.hindrance() is None
    claims = Claims()
    taken = KEYGEN.matter(made(), services(claims=claims))
    makes = taken.makes()
    assert makes == "a wallet named treasury"
    claims.take(makes, SessionId(bytes(16)))
    assert taken.hindrance() == "another session at this node makes a wallet named treasury already"
    there = KEYGEN.matter(made(), services(wallet=active()))
    assert there.hindrance() == "this node has a wallet named treasury already"


def test_every_kind_is_found_by_its_name() -> None:
    assert {name: kind.name for name, kind in KINDS.items()} == {name: name for name in ("keygen", "sign", "refresh")}


# --- signing and refresh: against the wallet ---


def active(name: PeerId = BEN) -> Wallet:
    return wallet_of(name, 2, 3)[0]


def pending(name: PeerId = BEN) -> Wallet:
    wallet = active(name)
    (epoch,) = wallet.epochs
    own = Certificate(epoch.epoch_id, {key_of(name): identity(name).sign(tags.READY, epoch.epoch_id)})
    return replace(wallet, epochs=(Epoch(epoch.statement, own, EpochState.PENDING),))


def refreshed(name: PeerId = BEN, *, full: bool) -> Wallet:
    """With a later epoch; its keys are the old ones, as nothing here looks into them."""
    wallet = active(name)
    before = wallet.require_active().statement
    statement = replace(before, number=1, previous=before.epoch_id, kind="refresh", transcript=bytes(range(1, 33)))
    own = {key_of(name): identity(name).sign(tags.READY, statement.epoch_id)}
    everybody = {key_of(one): identity(one).sign(tags.READY, statement.epoch_id) for one in NAMES}
    later = wallet.with_pending(statement, Certificate(statement.epoch_id, own))
    return later.merge(Certificate(statement.epoch_id, everybody)) if full else later


EPOCH = active().require_active().epoch_id
TERMS = SignTerms(wallet_id=WALLET_ID, epoch_id=EPOCH, reading="text", merkle_root=b"", contents=(b"hello",))


def with_terms(**changes: Any) -> dict[str, Any]:
    return {"terms": replace(TERMS, **changes).encode()}


def asked(kind: str, names: tuple[PeerId, ...], **changes: Any) -> SessionProposal:
    """A proposal of ana to some of the wallet's participants, each under its own identifier."""
    proposal = made(
        kind=kind,
        participants=tuple(participant(NAMES.index(name) + 1, name, key_of(name)) for name in sorted(names)),
        suites=(ED25519,) if kind == "sign" else DEFAULT_SUITES,
        terms=TERMS.encode() if kind == "sign" else (WALLET_ID, EPOCH),
    )
    return changed(proposal, **changes)


BOTH = pytest.mark.parametrize("kind", ["sign", "refresh"])


def matter(kind: str, wallet: Wallet | None, names: tuple[PeerId, ...] = NAMES, **changes: Any) -> Any:
    return KINDS[kind].matter(asked(kind, names, **changes), services(wallet=wallet))


@pytest.mark.parametrize("names", [(ANA, CLEO), NAMES, (CLEO, BEN)])
def test_any_quorum_of_the_wallet_may_be_asked_to_sign(names: tuple[PeerId, ...]) -> None:
    made_of = matter("sign", active(), names)
    assert made_of.needed == 2
    assert made_of.wallet == active()
    assert made_of.makes() is None
    assert made_of.hindrance() is None


def test_a_refresh_takes_everybody_and_one_at_a_time_replaces_the_shares_of_a_wallet() -> None:
    made_of = matter("refresh", active())
    assert made_of.needed == 3
    assert made_of.makes() == new_shares_of(WALLET_ID)
    claims = Claims()
    claims.take(new_shares_of(WALLET_ID), SessionId(bytes(16)))
    other = REFRESH.matter(asked("refresh", NAMES), services(wallet=active(), claims=claims))
    assert "another session at this node makes new shares" in (other.hindrance() or "")


@BOTH
def test_a_wallet_that_is_not_here_does_nothing(kind: str) -> None:
    with pytest.raises(Refused, match="no wallet of that id"):
        matter(kind, None)


@BOTH
def test_a_pending_wallet_does_nothing(kind: str) -> None:
    with pytest.raises(Refused, match="treasury is pending at this node"):
        matter(kind, pending())


@BOTH
def test_a_share_of_an_old_epoch_is_refused_by_the_number_of_its_epoch(kind: str) -> None:
    with pytest.raises(Refused, match="here are of epoch 1, not of epoch 0"):
        matter(kind, refreshed(full=True))


@BOTH
def test_an_epoch_that_is_only_pending_here_is_refused_by_its_number(kind: str) -> None:
    later = refreshed(full=False)
    assert later.pending is not None
    terms = (
        replace(TERMS, epoch_id=later.pending.epoch_id).encode()
        if kind == "sign"
        else (WALLET_ID, later.pending.epoch_id)
    )
    with pytest.raises(Refused, match="here are of epoch 0, not of epoch 1"):
        matter(kind, later, terms=terms)


@BOTH
def test_an_epoch_that_nobody_here_knows_is_refused(kind: str) -> None:
    terms = with_terms(epoch_id=EpochId(bytes(32)))["terms"] if kind == "sign" else (WALLET_ID, bytes(32))
    with pytest.raises(Refused, match="not of an epoch that is unknown here"):
        matter(kind, active(), terms=terms)


FIRST, SECOND, THIRD = (participant(i, name, key_of(name)) for i, name in enumerate(NAMES, 1))
MISFITS: dict[str, dict[str, Any]] = {
    "the wallet's threshold is 2": {"threshold": 3},
    "the wallet is called treasury": {"wallet_name": "other"},
    "eve is not a participant": {"participants": (FIRST, SECOND, participant(3, EVE, key_of(EVE)))},
    "cleo is not a participant": {"participants": (FIRST, SECOND, participant(3, CLEO, key_of(EVE)))},
    "cleo, ben is not a participant": {
        "participants": (FIRST, participant(2, CLEO, key_of(CLEO)), participant(3, BEN, key_of(BEN)))
    },
}


@BOTH
@pytest.mark.parametrize("reason", MISFITS)
def test_what_does_not_fit_the_wallet_is_refused_and_says_why(kind: str, reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        matter(kind, active(), **MISFITS[reason])


MISREFRESHED: dict[str, dict[str, Any]] = {
    "names a wallet and an epoch": {"terms": (WALLET_ID,)},
    "a refresh names": {"terms": (WALLET_ID, EPOCH, b"")},
    "every participant": {"participants": (FIRST, SECOND)},
    "of every key": {"suites": (ED25519,)},
    "every key of the wallet": {"suites": DEFAULT_SUITES[::-1]},
}


@pytest.mark.parametrize("reason", MISREFRESHED)
def test_a_refresh_is_of_every_share_of_the_wallet(reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        matter("refresh", active(), **MISREFRESHED[reason])


MISSIGNED: dict[str, dict[str, Any]] = {
    "names one ciphersuite": {"suites": DEFAULT_SUITES},
    "no key of that ciphersuite": {"suites": ("FROST-secp256k1-SHA256-v1",)},
    "fewer participants": {"participants": (FIRST,)},
    "only Taproot": with_terms(merkle_root=bytes(32)),
    "UTF-8": with_terms(contents=(b"hello", b"\xff")),
    "a file is a SHA-256": with_terms(reading="file"),
    "bytes to sign in one session": with_terms(reading="hex", contents=(bytes(8192), bytes(1025))),
    "signs 1 to": with_terms(contents=()),
    f"1 to {MAX_BATCH} messages": with_terms(contents=(b"x",) * (MAX_BATCH + 1)),
    "a wallet id is 16 bytes": with_terms(wallet_id=WalletId(bytes(15))),
    "an epoch id 32": with_terms(epoch_id=EpochId(bytes(31))),
    "a script tree is named by": with_terms(merkle_root=bytes(31)),
    "cannot read what": {"terms": (WALLET_ID, EPOCH, b"psbt", b"", b"hello")},
}


@pytest.mark.parametrize("reason", MISSIGNED)
def test_what_cannot_be_signed_with_the_wallet_is_refused_and_says_why(reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        matter("sign", active(), **MISSIGNED[reason])


def test_taproot_takes_a_script_tree_and_contents_may_be_as_long_as_allowed() -> None:
    contents = (bytes(8192), bytes(MAX_CONTENTS_SIZE - 8192))
    made_of = matter(
        "sign", active(), suites=(TAPROOT,), **with_terms(reading="hex", merkle_root=bytes(32), contents=contents)
    )
    shown = made_of.signed()
    assert shown is not None
    assert shown.merkle_root == "00" * 32
    assert shown.messages == tuple(content.hex() for content in contents)
    matter("sign", active(), **with_terms(contents=(b"x",) * MAX_BATCH))


def test_terms_are_taken_as_they_were_given() -> None:
    for terms in (TERMS, replace(TERMS, reading="hex", merkle_root=bytes(32), contents=(b"", b"a", b"a"))):
        assert SignTerms.decode(terms.encode()) == terms
    assert SIGN.name == "sign"
