"""Vectors of PROTOCOL, Identity and sealing."""

from collections.abc import Callable
from contextlib import suppress

from nacl import bindings as sodium

from mpcnode.crypto import tags
from mpcnode.crypto.transcript import tagged_hash
from mpcnode.errors import DecodeError
from mpcnode.identity import hpke
from mpcnode.identity.identity import check_identity_key
from tests.vectors import ed25519
from tests.vectors.made import Drawn, Json, people


def make() -> Json:
    alice, bob, carol = people(3)
    rng = Drawn("sealing")
    topic, aad = b"topic".ljust(32, b"\x00"), b"bound to it"
    seals = []
    for sender, recipient, purpose, seal_topic, bound, plaintext in (
        (alice, bob, "relay", topic, b"", b'{"topic":"00"}'),
        (bob, alice, "share", topic, aad, bytes(range(37))),
        (carol, alice, "share", b"", aad, b""),
        (alice, carol, "relay", topic, b"", b"a" * 5000),
    ):
        sealed = sender.identity.seal(recipient.key, plaintext, purpose=purpose, topic=seal_topic, aad=bound, rng=rng)
        seals.append(
            {
                "sender": sender.seed,
                "recipient": recipient.seed,
                "purpose": purpose,
                "topic": seal_topic,
                "aad": bound,
                "info": tagged_hash(tags.SEAL, purpose.encode(), sender.key, recipient.key, seal_topic),
                "ephemeral": sender.identity.ephemerals[sealed],
                "plaintext": plaintext,
                "sealed": sealed,
            }
        )
    good = seals[1]["sealed"]
    assert isinstance(good, bytes)
    refused = [
        {"why": why, "sender": sender, "purpose": purpose, "topic": at, "aad": bound, "sealed": sealed}
        for why, sender, purpose, at, bound, sealed in (
            ("another sender", carol.key, "share", topic, aad, good),
            ("another purpose", bob.key, "relay", topic, aad, good),
            ("another topic", bob.key, "share", bytes(32), aad, good),
            ("bound to something else", bob.key, "share", topic, aad + b".", good),
            ("cut", bob.key, "share", topic, aad, good[:-1]),
            ("shorter than the overhead", bob.key, "share", topic, aad, good[:47]),
            ("altered", bob.key, "share", topic, aad, good[:40] + bytes([good[40] ^ 1]) + good[41:]),
            ("an ephemeral key of low order", bob.key, "share", topic, aad, bytes(32) + good[32:]),
        )
    ]
    for case in refused:
        assert not _opens(
            lambda c=case: alice.identity.open(  # type: ignore[misc]
                c["sender"], c["sealed"], purpose=c["purpose"], topic=c["topic"], aad=c["aad"]
            )
        )
    return {
        "keys": [
            {
                "seed": one.seed,
                "public_key": one.key,
                "x25519_secret": bytes(one.identity._x25519()),
                "x25519_public": hpke.public_key(one.identity._x25519()),
            }
            for one in (alice, bob, carol)
        ],
        "seals": seals,
        "do_not_open": {"recipient": alice.seed, "cases": refused},
        "public_keys": [
            {"what": what, "public_key": key, "usable": _opens(lambda k=key: check_identity_key(k))}  # type: ignore[misc]
            for what, key in (
                ("an ordinary key", bytes(alice.key)),
                ("the identity", ed25519.IDENTITY),
                ("order 2", ed25519.ORDER_2),
                ("order 4", ed25519.ORDER_4),
                ("order 8", ed25519.ORDER_8),
                ("a part of order 8", sodium.crypto_core_ed25519_add(bytes(alice.key), ed25519.ORDER_8)),
                ("not canonical", ed25519.IDENTITY_NOT_CANONICAL),
                ("not a point", b"\x02" + bytes(31)),
                ("31 bytes", bytes(alice.key)[:31]),
            )
        ],
    }


def _opens(work: Callable[[], object]) -> bool:
    with suppress(DecodeError):
        work()
        return True
    return False
