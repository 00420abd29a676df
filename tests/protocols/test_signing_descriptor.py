"""What signers agree on: everything in it counts, and what cannot be meant is refused."""

from dataclasses import replace
from typing import Any

import pytest

from mpcnode.crypto.ciphersuite import SUITES
from mpcnode.protocols.signing_descriptor import (
    MAX_MESSAGE_SIZE,
    MAX_MESSAGES,
    SigningDescriptor,
    SigningMember,
)
from mpcnode.types import Identifier, IdentityKey, PeerId, SessionId, SuiteId, WalletId
from tests.helpers.signing import ED25519, PLAIN, TAPROOT, signing_descriptor, wallet

GOOD = signing_descriptor(wallet(TAPROOT, 2, 5), [1, 3, 4], [b"first", b"second"])
ROOT = bytes(range(32))


def member(k: int, **changes: Any) -> tuple[SigningMember, ...]:
    signers = list(GOOD.signers)
    signers[k] = replace(signers[k], **changes)
    return tuple(signers)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"version": 2}, "version"),
        ({"kind": "keygen"}, "kind"),
        ({"session_id": SessionId("x")}, "session id"),
        ({"wallet_id": WalletId("../..")}, "wallet id"),
        ({"epoch": -1}, "epoch"),
        ({"epoch": 2**32}, "epoch"),
        ({"suite": SuiteId("FROST-P256-SHA256-v1")}, "suite"),
        ({"suite": ED25519}, "group public key"),
        ({"group_public_key": b""}, "group public key"),
        ({"group_public_key": bytes(33)}, "group public key"),
        ({"threshold": 1}, "threshold"),
        ({"threshold": 4}, "do not reach a threshold of 4"),
        ({"signers": ()}, "do not reach"),
        ({"signers": GOOD.signers[:1]}, "1 signers do not reach a threshold of 2"),
        ({"signers": GOOD.signers[::-1]}, "ascending"),
        ({"signers": (*GOOD.signers[:1], *GOOD.signers[:2])}, "each once"),
        ({"signers": member(0, identifier=Identifier(0))}, "from 1"),
        ({"signers": member(2, identifier=Identifier(65))}, "to 64"),
        ({"signers": member(0, peer_id=GOOD.signers[1].peer_id)}, "one name"),
        ({"signers": member(0, peer_id=PeerId("a/b"))}, "peer id"),
        ({"signers": member(0, identity_key=GOOD.signers[1].identity_key)}, "one identity key"),
        ({"signers": member(0, identity_key=IdentityKey(bytes(31)))}, "32 bytes"),
        ({"signers": member(0, fresh=bytes(33))}, "32 bytes"),
        ({"messages": ()}, "1 to 1000 messages, not 0"),
        ({"messages": (b"",) * (MAX_MESSAGES + 1)}, "not 1001"),
        ({"messages": (bytes(MAX_MESSAGE_SIZE + 1),)}, "at most 65535 bytes"),
        ({"merkle_root": bytes(31)}, "merkle root"),
    ],
)
def test_what_cannot_be_meant_is_refused(changes: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        replace(GOOD, **changes)


@pytest.mark.parametrize("suite", [ED25519, PLAIN])
def test_a_tweak_is_for_taproot_alone(suite: SuiteId) -> None:
    with pytest.raises(ValueError, match="no Taproot tweak"):
        signing_descriptor(wallet(suite, 2, 3), [1, 2], merkle_root=b"")


@pytest.mark.parametrize(
    "changes",
    [
        {"messages": (b"",) * MAX_MESSAGES},
        {"messages": (bytes(MAX_MESSAGE_SIZE),)},
        {"epoch": 2**32 - 1},
        {"signers": member(2, identifier=Identifier(64))},
        {"threshold": 3},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_the_limits_themselves_are_accepted(changes: dict[str, Any]) -> None:
    replace(GOOD, **changes)


VARIANTS: list[SigningDescriptor] = [
    GOOD,
    replace(GOOD, session_id=SessionId("0" * 32)),
    replace(GOOD, wallet_id=WalletId("0" * 32)),
    replace(GOOD, epoch=1),
    replace(GOOD, suite=PLAIN),
    replace(GOOD, group_public_key=SUITES[TAPROOT].group.generator.encode()),
    replace(GOOD, threshold=3),
    replace(GOOD, signers=GOOD.signers[:2]),
    replace(GOOD, signers=member(1, identifier=Identifier(2))),
    replace(GOOD, signers=member(1, peer_id=PeerId("other"))),
    replace(GOOD, signers=member(1, identity_key=IdentityKey(bytes(32)))),
    replace(GOOD, signers=member(1, fresh=bytes(32))),
    replace(GOOD, messages=(b"second", b"first")),
    replace(GOOD, messages=(b"firsts", b"econd")),
    replace(GOOD, messages=(b"firstsecond",)),
    replace(GOOD, messages=(b"first", b"second", b"")),
    replace(GOOD, merkle_root=b""),
    replace(GOOD, merkle_root=ROOT),
    # A root that would be a message, and a message that would be a root.
    replace(GOOD, messages=(ROOT, b"first", b"second")),
]


def test_everything_in_it_changes_the_context() -> None:
    assert len({variant.context for variant in VARIANTS}) == len(VARIANTS)


def test_the_same_descriptor_has_the_same_context() -> None:
    assert GOOD.context == replace(GOOD).context
    assert len(GOOD.context) == 32


def test_signers_keep_the_identifiers_of_the_wallet() -> None:
    assert GOOD.participants == {1: "cli01", 3: "cli03", 4: "cli04"}
    for i, name in GOOD.participants.items():
        assert GOOD.identifier(name) == i
        assert GOOD.identity_key(i) == next(s.identity_key for s in GOOD.signers if s.identifier == i)


def test_who_does_not_sign_has_no_identifier_and_no_key_here() -> None:
    with pytest.raises(ValueError, match="not among the signers"):
        GOOD.identifier(PeerId("cli02"))
    with pytest.raises(ValueError, match="not among the signers"):
        GOOD.identity_key(Identifier(2))


def test_the_verifying_key_is_the_groups_unless_it_is_tweaked() -> None:
    assert GOOD.verifying_key == GOOD.group_public_key
    tweaked = {replace(GOOD, merkle_root=root).verifying_key for root in (b"", ROOT)}
    assert len({GOOD.verifying_key, *tweaked}) == 3
