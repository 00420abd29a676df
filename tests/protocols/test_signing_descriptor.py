"""What signers agree on: everything in it counts, and what makes no sense is refused."""

from dataclasses import replace
from typing import Any

import pytest

from mpcnode.crypto.adjustment import TaprootTweak, adjusted_key
from mpcnode.crypto.ciphersuite import CIPHERSUITES
from mpcnode.crypto.transcript import tagged_hash
from mpcnode.protocols.descriptor import Member
from mpcnode.protocols.signing_descriptor import (
    MAX_MESSAGE_SIZE,
    MAX_MESSAGES,
    SigningDescriptor,
)
from mpcnode.types import EpochId, Identifier, IdentityKey, PeerId, SessionId, SuiteId, WalletId
from tests.helpers.signing import ED25519, PLAIN, TAPROOT, signing_descriptor, wallet

GOOD = signing_descriptor(wallet(TAPROOT, 2, 5), [1, 3, 4], [b"first", b"second"])
ROOT = bytes(range(32))


def member(k: int, **changes: Any) -> tuple[Member, ...]:
    signers = list(GOOD.signers)
    signers[k] = replace(signers[k], **changes)
    return tuple(signers)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"agreed": bytes(31)}, "hashes of 32 bytes"),
        ({"session_id": SessionId(bytes(15))}, "session id"),
        ({"wallet_id": WalletId(bytes(17))}, "wallet id"),
        ({"epoch_id": EpochId(bytes(16))}, "epoch id"),
        ({"reading": ""}, "reading"),
        ({"reading": "x" * 33}, "reading"),
        ({"reading": "t\u00e9xt"}, "reading"),
        ({"suite": SuiteId("FROST-P256-SHA256-v1")}, "suite"),
        ({"suite": ED25519}, "element"),
        ({"group_public_key": b""}, "element"),
        ({"group_public_key": bytes(33)}, "point"),
        ({"threshold": 1}, "threshold"),
        ({"threshold": 4}, "do not reach a threshold of 4"),
        ({"signers": ()}, "do not reach"),
        ({"signers": GOOD.signers[:1]}, "1 signers do not reach a threshold of 2"),
        ({"signers": GOOD.signers[::-1]}, "sorted by identifier"),
        ({"signers": (*GOOD.signers[:1], *GOOD.signers[:2])}, "each once"),
        ({"signers": member(0, identifier=Identifier(0))}, "from 1"),
        ({"signers": member(2, identifier=Identifier(65))}, "to 64"),
        ({"signers": member(0, peer_id=GOOD.signers[1].peer_id)}, "one peer id"),
        ({"signers": member(0, peer_id=PeerId("a/b"))}, "peer id"),
        ({"signers": member(0, identity_key=GOOD.signers[1].identity_key)}, "one identity key"),
        ({"signers": member(0, identity_key=IdentityKey(bytes(31)))}, "32 bytes"),
        ({"messages": ()}, "1 to 1000 messages, not 0"),
        ({"messages": (b"",) * (MAX_MESSAGES + 1)}, "not 1001"),
        ({"messages": (bytes(MAX_MESSAGE_SIZE + 1),)}, "at most 65535 bytes"),
        ({"adjustments": ()}, "exactly one Taproot tweak"),
        ({"adjustments": (TaprootTweak(), TaprootTweak())}, "exactly one Taproot tweak"),
    ],
)
def test_what_makes_no_sense_is_refused(changes: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        replace(GOOD, **changes)


@pytest.mark.parametrize("suite", [ED25519, PLAIN])
def test_a_tweak_is_for_taproot_alone(suite: SuiteId) -> None:
    with pytest.raises(ValueError, match="no Taproot tweak"):
        signing_descriptor(wallet(suite, 2, 3), [1, 2], adjustments=(TaprootTweak(),))


@pytest.mark.parametrize(
    "changes",
    [
        {"messages": (b"",) * MAX_MESSAGES},
        {"messages": (bytes(MAX_MESSAGE_SIZE),)},
        {"reading": "x" * 32},
        {"signers": member(2, identifier=Identifier(64))},
        {"threshold": 3},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_the_limits_themselves_are_accepted(changes: dict[str, Any]) -> None:
    replace(GOOD, **changes)


PLAIN_GOOD = replace(GOOD, suite=PLAIN, adjustments=())
VARIANTS: list[SigningDescriptor] = [
    GOOD,
    PLAIN_GOOD,
    replace(GOOD, agreed=bytes(32)),
    replace(GOOD, session_id=SessionId(bytes(16))),
    replace(GOOD, wallet_id=WalletId(bytes(16))),
    replace(GOOD, epoch_id=EpochId(bytes(32))),
    replace(GOOD, group_public_key=CIPHERSUITES[TAPROOT].group.generator.encode()),
    replace(GOOD, threshold=3),
    replace(GOOD, signers=GOOD.signers[:2]),
    replace(GOOD, signers=member(1, identifier=Identifier(2))),
    replace(GOOD, signers=member(1, peer_id=PeerId("other"))),
    replace(GOOD, signers=member(1, identity_key=IdentityKey(bytes(32)))),
    replace(GOOD, reading="text"),
    replace(GOOD, messages=(b"second", b"first")),
    replace(GOOD, messages=(b"firsts", b"econd")),
    replace(GOOD, messages=(b"firstsecond",)),
    replace(GOOD, messages=(b"first", b"second", b"")),
    replace(GOOD, adjustments=(TaprootTweak(ROOT),)),
    # Messages that could be an adjustment.
    replace(GOOD, messages=(b"first", b"second", b"taproot-tweak", ROOT)),
    replace(PLAIN_GOOD, messages=(b"first", b"second", b"taproot-tweak", b"")),
]


def test_everything_in_it_changes_the_hash() -> None:
    assert len({variant.hash for variant in VARIANTS}) == len(VARIANTS)


def test_the_hash_is_of_its_fields_in_the_order_of_the_protocol() -> None:
    def u64(number: int) -> bytes:
        return number.to_bytes(8, "big")

    signers = [
        field
        for signer in GOOD.signers
        for field in (u64(signer.identifier), signer.peer_id.encode(), signer.identity_key)
    ]
    fields = (
        GOOD.agreed,
        GOOD.session_id,
        GOOD.wallet_id,
        GOOD.epoch_id,
        TAPROOT.encode(),
        GOOD.group_public_key,
        u64(2),
        u64(3),
        *signers,
        b"hex",
        u64(2),
        b"first",
        b"second",
        u64(1),
        b"taproot-tweak",
        ROOT,
    )
    assert replace(GOOD, adjustments=(TaprootTweak(ROOT),)).hash == tagged_hash(
        "mpcnode/signing-descriptor/v1", *fields
    )


def test_the_same_descriptor_has_the_same_hash() -> None:
    assert GOOD.hash == replace(GOOD).hash
    assert len(GOOD.hash) == 32


def test_signers_keep_the_identifiers_of_the_wallet() -> None:
    assert GOOD.participants == {1: "cli01", 3: "cli03", 4: "cli04"}
    for i, name in GOOD.participants.items():
        assert GOOD.identifier(name) == i
        assert GOOD.identity_key(i) == next(s.identity_key for s in GOOD.signers if s.identifier == i)


def test_a_participant_that_does_not_sign_has_no_identifier_and_no_key_here() -> None:
    with pytest.raises(ValueError, match="not among the signers"):
        GOOD.identifier(PeerId("cli02"))
    with pytest.raises(ValueError, match="not among the signers"):
        GOOD.identity_key(Identifier(2))


def test_the_verifying_key_is_the_groups_after_its_adjustments() -> None:
    tweaked = {root: replace(GOOD, adjustments=(TaprootTweak(root),)).verifying_key for root in (b"", ROOT)}
    assert len({GOOD.group_public_key, *tweaked.values()}) == 3
    for root, key in tweaked.items():
        assert key == adjusted_key(TAPROOT, GOOD.group_public_key, (TaprootTweak(root),))
    assert PLAIN_GOOD.verifying_key == GOOD.group_public_key


def test_signers_have_keys_by_identifier() -> None:
    assert GOOD.identity_keys == {signer.identifier: signer.identity_key for signer in GOOD.signers}
