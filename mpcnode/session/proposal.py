"""A session's proposal: how it is made, and what is checked of every kind when one arrives (PROTOCOL, Agreement)."""

from collections.abc import Collection, Iterable, Mapping
from typing import Final

from mpcnode.blame import Came, Event, judge
from mpcnode.crypto.suites import SUITES
from mpcnode.errors import DecodeError, Refused
from mpcnode.identity.identity import check_identity_key
from mpcnode.protocols.descriptor import Member
from mpcnode.session.kinds.kind import require
from mpcnode.session.services import Services
from mpcnode.types import Identifier, IdentityKey, PeerId, SuiteId, check_threshold
from mpcnode.wire import agreement
from mpcnode.wire.relay import MAX_ANSWER_MS, Participant, SessionProposal

CLOCK_SKEW: Final = 300_000
"""Milliseconds that two clocks may differ."""


def propose(
    services: Services,
    *,
    kind: str,
    roster: Iterable[Member],
    threshold: int,
    suites: Collection[SuiteId],
    wallet_name: str,
    answer_within: int,
    terms: tuple[bytes, ...] = (),
) -> SessionProposal:
    """Make a proposal of this node.

    Args:
        services: the node's.
        kind: of the session.
        roster: everybody that is asked, this node included, each with its identifier for life.
        threshold: how many signers suffice.
        suites: the ciphersuites of the session.
        wallet_name: what the wallet is called.
        answer_within: milliseconds that answers are waited for, at most a day.
        terms: what the kind adds.
    """
    salt = services.rng(16)
    return SessionProposal(
        session_id=agreement.session_id_of(services.identity.public_key, salt),
        salt=salt,
        kind=kind,
        wallet_name=wallet_name,
        threshold=threshold,
        suites=tuple(suites),
        participants=tuple(
            Participant(member.identifier, member.peer_id, member.identity_key)
            for member in sorted(roster, key=lambda member: member.identifier)
        ),
        expires=services.now() + answer_within,
        answer_within=answer_within,
        terms=terms,
    )


def numbered(roster: Mapping[PeerId, IdentityKey]) -> tuple[Member, ...]:
    """Give the participants of a new wallet their identifiers: 1 to n by name."""
    return tuple(Member(Identifier(i), name, roster[name]) for i, name in enumerate(sorted(roster), 1))


def check_proposal(proposal: SessionProposal, *, proposer: PeerId, key: IdentityKey, services: Services) -> None:
    """Check a proposal that has arrived, before anybody is asked about it.

    Args:
        proposal: what came.
        proposer: the sender, by the seal or the link it came over.
        key: the sender's identity key, likewise.
        services: the node's.

    Raises:
        Refused: it contradicts itself or cannot be taken part in; the message is the reason the proposer is told.
        IdentityCheckFailed: it names another key for somebody than the one this node knows.
    """
    names = [one.peer_id for one in proposal.participants]
    identifiers = [one.identifier for one in proposal.participants]
    now = services.now()
    try:
        check_threshold(proposal.threshold, max(proposal.threshold, len(names)))
    except ValueError as error:
        raise Refused(str(error)) from None
    require(identifiers == sorted(set(identifiers)), "participants are not sorted by identifier, each once")
    require(len(set(names)) == len(names), "a participant stands there twice")
    require(services.peer_id in names, "this node is not among the participants")
    require(proposer in names, "the proposer is not among the participants")
    require(
        len({one.public_key for one in proposal.participants}) == len(names), "two participants share one identity key"
    )
    unknown = [suite for suite in proposal.suites if suite not in SUITES]
    require(not unknown, f"ciphersuite {unknown[0] if unknown else ''} is not supported")
    require(len(set(proposal.suites)) == len(proposal.suites), "a ciphersuite stands there twice")
    require(proposal.expires > now - CLOCK_SKEW, "the proposal has expired; are the clocks right?")
    require(
        proposal.expires < now + MAX_ANSWER_MS + CLOCK_SKEW,
        "the proposal is valid for more than a day; are the clocks right?",
    )
    for one in proposal.participants:
        try:
            check_identity_key(one.public_key)
        except DecodeError as error:
            raise Refused(f"the identity key of {one.peer_id}: {error}") from None
        known = services.trusts.known_key(one.peer_id)
        if known is not None and known != one.public_key and not _is_of_a_wallet(one, services):
            # One of the two keys may be an impostor's: the next proposal meets the one that answers then.
            services.conversations.introduce(one.peer_id, anew=True)
            raise judge(
                Came.RELAY,
                Event.WRONG_KEY,
                f"the proposal of {proposer} names another identity key for {one.peer_id} than the one this node knows",
                hint="compare fingerprints with both of them (`mpcnode peers`): somebody may stand between you",
            )
        if one.peer_id == proposer and one.public_key != key:
            raise judge(Came.RELAY, Event.WRONG_KEY, f"{proposer} proposes with a key not its own")


def _is_of_a_wallet(one: Participant, services: Services) -> bool:
    """Say whether a wallet here has this participant under this key, which counts more than an introduction.

    Another node may have come under the name of one that is away. A pinned contact counts more than both.
    """
    if one.peer_id == services.peer_id or services.trusts.contacts.get(one.peer_id) is not None:
        return False
    return any(wallet.identity_keys.get(one.peer_id) == one.public_key for wallet in services.wallets.all())
