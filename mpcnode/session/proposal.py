"""A session's proposal: how it is made, what is checked when one arrives, and what everybody then agrees on."""

import hashlib
import math
from collections.abc import Callable, Collection, Mapping
from typing import Final

from mpcnode.crypto.ciphersuite import Secp256k1Sha256Taproot
from mpcnode.crypto.transcript import tagged_hash
from mpcnode.errors import DecodeError, IdentityCheckFailed, Refused
from mpcnode.identity.identity import check_identity_key
from mpcnode.protocols.descriptor import Descriptor, Member
from mpcnode.types import (
    IdentityKey,
    PeerId,
    SessionId,
    SuiteId,
    check_threshold,
)
from mpcnode.wallet.wallet import State, Wallet
from mpcnode.wire.relay import (
    MAX_ANSWER_SECONDS,
    MAX_REQUEST_BYTES,
    SessionProposal,
    SignRequest,
    check_reading,
    encode_message,
)

KEYGEN: Final = "keygen"
SIGN: Final = "sign"
CLOCK_SKEW: Final = 300


def propose_keygen(
    *,
    proposer: PeerId,
    salt: bytes,
    roster: Mapping[PeerId, IdentityKey],
    threshold: int,
    suites: Collection[SuiteId],
    wallet_name: str,
    now: float,
    answer_within: float,
) -> SessionProposal:
    """Make a proposal for a new wallet.

    Args:
        proposer: this node.
        salt: 16 fresh random bytes, for the session id.
        roster: everybody with the identity key this node knows, itself included.
        threshold: how many signers will suffice.
        suites: the ciphersuites of the wallet.
        wallet_name: what the wallet will be called.
        now: Unix time in seconds.
        answer_within: seconds that answers are waited for, at most a day.

    Raises:
        ValueError: threshold and total do not fit.
    """
    check_threshold(threshold, len(roster))
    names = sorted(roster)
    return SessionProposal(
        session_id=session_id_of(roster[proposer], salt),
        salt=salt.hex(),
        kind=KEYGEN,
        total=len(names),
        threshold=threshold,
        participants=tuple(names),
        public_keys=tuple(roster[name].hex() for name in names),
        suites=tuple(suites),
        wallet_name=wallet_name,
        expires=math.ceil(now + answer_within),
        answer_within=float(answer_within),
    )


def propose_signing(
    *,
    salt: bytes,
    wallet: Wallet,
    asked: Collection[PeerId],
    suite: SuiteId,
    request: SignRequest,
    now: float,
    answer_within: float,
) -> SessionProposal:
    """Make a proposal to sign.

    Args:
        salt: 16 fresh random bytes, for the session id.
        wallet: whose key, and who proposes; its roster's identity keys are the ones that count.
        asked: participants of it who are asked, this node included, at least its threshold.
        suite: one of its ciphersuites.
        request: what is signed.
        now: Unix time in seconds.
        answer_within: seconds that answers are waited for, at most a day.

    Raises:
        ValueError: too few are asked.
    """
    check_threshold(wallet.threshold, len(asked))
    names = sorted(asked)
    return SessionProposal(
        session_id=session_id_of(wallet.identity_keys[wallet.peer_id], salt),
        salt=salt.hex(),
        kind=SIGN,
        total=len(names),
        threshold=wallet.threshold,
        participants=tuple(names),
        public_keys=tuple(wallet.identity_keys[name].hex() for name in names),
        suites=(suite,),
        wallet_name=wallet.name,
        expires=math.ceil(now + answer_within),
        answer_within=float(answer_within),
        sign=request,
    )


def check_signing(proposal: SessionProposal, wallet: Wallet | None) -> Wallet:
    """Check a signing proposal, checked as a proposal already, against this node's wallet.

    Raises:
        Refused: there is no such wallet here, or the proposal does not fit it.
    """
    request = proposal.sign
    assert request is not None
    if wallet is None:
        raise Refused("this node has no wallet of that id")
    _require(wallet.state is State.ACTIVE, f"wallet {wallet.name} is pending at this node")
    _require(request.epoch == wallet.epoch, f"the shares here are of epoch {wallet.epoch}, not {request.epoch}")
    _require(proposal.threshold == wallet.threshold, f"the wallet's threshold is {wallet.threshold}")
    _require(proposal.wallet_name == wallet.name, f"the wallet is called {wallet.name} here")
    _require(proposal.suites[0] in {keys.suite for keys in wallet.suites}, "the wallet has no key of that ciphersuite")
    known = wallet.identity_keys
    strangers = [name for name, key in roster_of(proposal).items() if known.get(name) != key]
    _require(not strangers, f"{', '.join(strangers)} is none of the wallet's participants under that key")
    taproot = proposal.suites[0] == Secp256k1Sha256Taproot.id
    _require(request.merkle_root is None or taproot, "only Taproot keys take an additional tweak")
    try:
        check_reading(request.reading, map(bytes.fromhex, request.messages))
    except ValueError as error:
        raise Refused(str(error)) from None
    size = sum(len(message) for message in request.messages) // 2
    _require(size <= MAX_REQUEST_BYTES, f"{size} bytes to sign in one session; {MAX_REQUEST_BYTES} are allowed")
    return wallet


def check_proposal(
    proposal: SessionProposal,
    *,
    proposer: PeerId,
    me: PeerId,
    my_key: IdentityKey,
    known_key: Callable[[PeerId], IdentityKey | None],
    suites: Collection[SuiteId],
    now: float,
) -> None:
    """Check a proposal that has arrived (DESIGN section 5), before anybody is asked about it.

    Args:
        proposal: what came.
        proposer: who sent it, by the seal it came in.
        me: this node's name.
        my_key: this node's identity key.
        known_key: the key this node knows for a name, by contact or introduction.
        suites: the ciphersuites this node can do.
        now: Unix time in seconds.

    Raises:
        Refused: it cannot be meant; the message is the reason the proposer is told.
        IdentityCheckFailed: it names another key for somebody than the one this node knows.
    """
    names = proposal.participants
    _require(proposal.kind in {KEYGEN, SIGN}, f"sessions of kind {proposal.kind} are not supported")
    _require(
        (proposal.kind == SIGN) == (proposal.sign is not None), "what is to be signed is in a signing proposal only"
    )
    _require(proposal.kind == KEYGEN or len(proposal.suites) == 1, "a signing proposal names one ciphersuite")
    try:
        check_threshold(proposal.threshold, proposal.total)
    except ValueError as error:
        raise Refused(str(error)) from None
    _require(len(names) == proposal.total == len(proposal.public_keys), "participants, keys and total do not agree")
    _require(list(names) == sorted(set(names)), "participants are not sorted, or one stands there twice")
    _require(me in names, "this node is not among the participants")
    _require(proposer in names, "the proposer is not among the participants")
    _require(len(set(proposal.public_keys)) == len(names), "two participants share one identity key")
    unknown = [suite for suite in proposal.suites if suite not in suites]
    _require(not unknown, f"ciphersuite {unknown[0] if unknown else ''} is not supported")
    _require(len(set(proposal.suites)) == len(proposal.suites), "a ciphersuite stands there twice")
    _require(proposal.expires > now - CLOCK_SKEW, "the proposal has expired; are the clocks right?")
    _require(
        proposal.expires < now + MAX_ANSWER_SECONDS + CLOCK_SKEW,
        "the proposal is valid for more than a day; are the clocks right?",
    )
    for name, key in roster_of(proposal).items():
        try:
            check_identity_key(key)
        except DecodeError as error:
            raise Refused(f"the identity key of {name}: {error}") from None
        known = my_key if name == me else known_key(name)
        if known is not None and known != key:
            raise IdentityCheckFailed(
                f"the proposal of {proposer} names another identity key for {name} than the one this node knows",
                peer=name,
                hint="compare fingerprints with both of them: somebody stands between you",
            )


def session_id_of(proposer: IdentityKey, salt: bytes) -> SessionId:
    """Give the id of a session: whoever would propose another under it needs the same key.

    Without that the first to be heard would have it, and a participant that races the proposer could take it away.
    """
    return SessionId(tagged_hash("mpcnode/session-id/v1", proposer, salt)[:16].hex())


def is_of(proposal: SessionProposal, key: IdentityKey) -> bool:
    """Say whether the session of ``proposal`` is the holder's of ``key`` to propose."""
    return proposal.session_id == session_id_of(key, bytes.fromhex(proposal.salt))


def roster_of(proposal: SessionProposal) -> dict[PeerId, IdentityKey]:
    """Everybody in ``proposal`` with the key it names."""
    return {
        PeerId(name): IdentityKey(bytes.fromhex(key))
        for name, key in zip(proposal.participants, proposal.public_keys, strict=True)
    }


def proposal_hash(proposal: SessionProposal) -> bytes:
    """What every answer repeats, so that nobody says yes to one proposal and is counted for another.

    Not a message of this session alone: the session id is in it, and its bytes are the struct's own encoding.
    """
    return hashlib.sha256(b"mpcnode/proposal/v1\x00" + encode_message(proposal)).digest()


def descriptor_of(proposal: SessionProposal, fresh: Mapping[PeerId, bytes]) -> Descriptor:
    """The session descriptor: the proposal and everybody's fresh bytes (DESIGN section 5, key generation, 1).

    Raises:
        DecodeError: somebody's fresh bytes are missing; a mistake of the caller.
    """
    roster = roster_of(proposal)
    if set(fresh) != set(roster):
        raise DecodeError("fresh bytes do not cover the roster")
    return Descriptor(
        session_id=SessionId(proposal.session_id),
        kind=proposal.kind,
        suites=tuple(SuiteId(suite) for suite in proposal.suites),
        threshold=proposal.threshold,
        wallet_name=proposal.wallet_name,
        roster=tuple(Member(name, roster[name], fresh[name]) for name in sorted(roster)),
    )


def _require(condition: bool, reason: str) -> None:  # noqa: FBT001 -- reads as a sentence at every call
    if not condition:
        raise Refused(reason)
