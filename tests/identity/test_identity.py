import random
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nacl import bindings as sodium
from nacl.signing import SigningKey

from mpcnode.crypto import tags
from mpcnode.crypto.selftest import NOT_ELEMENTS
from mpcnode.crypto.signature import verify
from mpcnode.crypto.transcript import tagged_hash
from mpcnode.errors import DecodeError
from mpcnode.identity import hpke
from mpcnode.identity.identity import SEAL_OVERHEAD, Identity, check_identity_key
from mpcnode.types import IdentityKey

rng: Callable[[int], bytes] = random.Random(2).randbytes

ANA = Identity.from_seed(bytearray(b"ana" + bytes(29)))
BEN = Identity.from_seed(bytearray(b"ben" + bytes(29)))
EVE = Identity.from_seed(bytearray(b"eve" + bytes(29)))

# The points of small order and their non-canonical spellings (as libsodium's blocklist has them).
SMALL_ORDER = [
    bytes(32),
    b"\x01" + bytes(31),
    bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
    bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"),
    bytes.fromhex("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
    bytes.fromhex("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
    bytes.fromhex("eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
]


def test_the_key_of_rfc_8032_test_1_is_made_from_its_seed() -> None:
    seed = bytearray.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    identity = Identity.from_seed(seed)
    assert identity.public_key.hex() == "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"


@pytest.mark.parametrize("size", [0, 31, 33, 64])
def test_a_seed_of_another_length_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        Identity.from_seed(bytearray(size))


TOPIC = b"topic"


def seal(sender: Identity, to: Identity, plaintext: bytes = b"secret", *, aad: bytes = b"aad") -> bytes:
    return sender.seal(to.public_key, plaintext, purpose="relay", topic=TOPIC, aad=aad, rng=rng)


def open_(recipient: Identity, sender: Identity, sealed: bytes, *, aad: bytes = b"aad") -> bytearray:
    return recipient.open(sender.public_key, sealed, purpose="relay", topic=TOPIC, aad=aad)


def test_a_signature_verifies_for_its_purpose_and_for_no_other() -> None:
    signature = ANA.sign(tags.REGISTER, b"one", b"two")
    assert verify(ANA.public_key, signature, tags.REGISTER, b"one", b"two")
    assert not verify(ANA.public_key, signature, tags.READY, b"one", b"two")
    assert not verify(BEN.public_key, signature, tags.REGISTER, b"one", b"two")
    assert not verify(ANA.public_key, signature, tags.REGISTER, b"one", b"too")
    assert not verify(ANA.public_key, signature, tags.REGISTER, b"onetwo")


def test_a_signature_is_rfc_8032s_over_the_tagged_hash() -> None:
    key = SigningKey(b"ana" + bytes(29))
    assert ANA.public_key == key.verify_key.encode()
    assert ANA.sign(tags.HELLO, b"one") == key.sign(tagged_hash(tags.HELLO, b"one")).signature


@given(plaintext=st.binary(max_size=300), aad=st.binary(max_size=50))
@settings(max_examples=40)
def test_what_is_sealed_opens_at_the_recipient(plaintext: bytes, aad: bytes) -> None:
    sealed = seal(ANA, BEN, plaintext, aad=aad)
    assert len(sealed) == len(plaintext) + SEAL_OVERHEAD
    assert open_(BEN, ANA, sealed, aad=aad) == plaintext


def test_a_secret_is_sealed_out_of_a_buffer_of_the_callers() -> None:
    secret = bytearray(b"secret")
    sealed = ANA.seal(BEN.public_key, secret, purpose="share", topic=TOPIC, aad=b"", rng=rng)
    assert secret == b"secret"
    assert BEN.open(ANA.public_key, sealed, purpose="share", topic=TOPIC, aad=b"") == b"secret"


def test_a_node_can_seal_to_itself() -> None:
    assert open_(ANA, ANA, seal(ANA, ANA, b"note")) == b"note"


def test_nobody_but_the_recipient_opens_it() -> None:
    sealed = seal(ANA, BEN)
    for other in (EVE, ANA):
        with pytest.raises(DecodeError):
            open_(other, ANA, sealed)


def test_a_stranger_cannot_seal_in_somebody_elses_name() -> None:
    with pytest.raises(DecodeError):
        open_(BEN, ANA, seal(EVE, BEN))


def test_a_stranger_who_says_it_is_somebody_else_needs_that_ones_secret() -> None:
    liar = Identity(public_key=ANA.public_key, secret=bytearray(EVE._secret))
    with pytest.raises(DecodeError):
        open_(BEN, ANA, seal(liar, BEN))


def test_a_seal_is_hpke_of_the_mapped_keys_for_its_purpose() -> None:
    """The construction from its parts, so that others can write the other side."""
    sealed = seal(ANA, BEN)
    secret = bytearray(sodium.crypto_sign_ed25519_sk_to_curve25519(bytes(BEN._secret)))
    ana, ben = (sodium.crypto_sign_ed25519_pk_to_curve25519(one.public_key) for one in (ANA, BEN))
    info = tagged_hash("mpcnode/seal/v1", b"relay", ANA.public_key, BEN.public_key, TOPIC)
    assert hpke.open_(ana, info, b"aad", sealed, recipient=secret, recipient_public=ben) == b"secret"
    assert ben == hpke.public_key(secret)


def test_a_sealed_message_cannot_be_sent_back_to_its_sender_as_the_recipients() -> None:
    # X25519 is symmetric: only the public keys in the key derivation tell the two directions apart.
    sealed = seal(ANA, ANA)
    with pytest.raises(DecodeError):
        open_(ANA, BEN, sealed)
    with pytest.raises(DecodeError):
        open_(ANA, BEN, seal(ANA, BEN))


@pytest.mark.parametrize(
    ("purpose", "topic", "aad"),
    [("share", TOPIC, b"aad"), ("relay", b"other", b"aad"), ("relay", TOPIC, b"session 2"), ("", TOPIC, b"aad")],
)
def test_a_sealed_message_is_bound_to_its_purpose_its_topic_and_its_associated_data(
    purpose: str, topic: bytes, aad: bytes
) -> None:
    with pytest.raises(DecodeError):
        BEN.open(ANA.public_key, seal(ANA, BEN), purpose=purpose, topic=topic, aad=aad)


def test_every_bit_of_a_sealed_message_counts() -> None:
    sealed = seal(ANA, BEN, b"s")
    for bit in range(len(sealed) * 8):
        altered = bytearray(sealed)
        altered[bit // 8] ^= 1 << bit % 8
        with pytest.raises(DecodeError):
            open_(BEN, ANA, bytes(altered))


def test_a_truncated_sealed_message_is_refused_at_every_length() -> None:
    sealed = seal(ANA, BEN)
    for size in range(len(sealed)):
        with pytest.raises(DecodeError):
            open_(BEN, ANA, sealed[:size])
    with pytest.raises(DecodeError):
        open_(BEN, ANA, sealed + b"\x00")


@given(st.binary(max_size=200))
@settings(max_examples=100)
def test_only_a_decode_error_escapes_from_arbitrary_bytes(sealed: bytes) -> None:
    with pytest.raises(DecodeError):
        open_(BEN, ANA, sealed)


@pytest.mark.parametrize("point", SMALL_ORDER, ids=bytes.hex)
def test_a_point_of_small_order_is_neither_identity_nor_ephemeral_key(point: bytes) -> None:
    with pytest.raises(DecodeError):
        check_identity_key(point)
    with pytest.raises(DecodeError):
        ANA.seal(IdentityKey(point), b"secret", purpose="relay", topic=TOPIC, aad=b"", rng=rng)
    with pytest.raises(DecodeError):
        BEN.open(IdentityKey(point), seal(ANA, BEN), purpose="relay", topic=TOPIC, aad=b"aad")


@pytest.mark.parametrize("torsion", SMALL_ORDER[1:5], ids=bytes.hex)
def test_a_point_of_mixed_order_is_no_identity_key(torsion: bytes) -> None:
    """Such a key signs like any other; a linked libsodium that took it would let one key have eight names."""
    try:
        mixed = sodium.crypto_core_ed25519_add(ANA.public_key, torsion)
    except RuntimeError:
        pytest.fail("libsodium adds points of small order")
    if mixed == ANA.public_key:
        return  # the identity of the group
    with pytest.raises(DecodeError):
        check_identity_key(mixed)


@pytest.mark.parametrize("x", [0, 1, 2**255 - 20, 2**255 - 19, 2**255 - 18])
def test_a_low_order_ephemeral_key_is_refused_before_anything_is_decrypted(x: int) -> None:
    sealed = x.to_bytes(32, "little") + seal(ANA, BEN)[32:]
    with pytest.raises(DecodeError, match="low-order"):
        open_(BEN, ANA, sealed)


@given(st.binary(max_size=40))
@settings(max_examples=100)
def test_checking_an_identity_key_raises_nothing_but_a_decode_error(data: bytes) -> None:
    with suppress(DecodeError):
        assert check_identity_key(data) == data


def test_a_random_source_that_repeats_itself_does_not_repeat_a_key() -> None:
    def stuck(size: int) -> bytes:
        return bytes(size)

    def made(text: bytes = b"one", *, purpose: str = "relay", topic: bytes = TOPIC, aad: bytes = b"") -> bytes:
        return ANA.seal(BEN.public_key, text, purpose=purpose, topic=topic, aad=aad, rng=stuck)[:32]

    every = [made(), made(b"two"), made(purpose="share"), made(topic=b"other"), made(aad=b"x")]
    assert len(set(every)) == len(every)
    assert EVE.seal(BEN.public_key, b"one", purpose="relay", topic=TOPIC, aad=b"", rng=stuck)[:32] not in every


def test_the_same_randomness_gives_the_same_bytes() -> None:
    def made(seed: int) -> bytes:
        some = random.Random(seed).randbytes
        return ANA.seal(BEN.public_key, b"text", purpose="relay", topic=TOPIC, aad=b"", rng=some)

    assert made(1) == made(1) != made(2)


def test_no_secret_key_outlives_its_use(monkeypatch: pytest.MonkeyPatch) -> None:
    wiped: list[bytes] = []
    whole = hpke.wipe

    def wipe(*buffers: bytearray) -> None:
        wiped.extend(bytes(buffer) for buffer in buffers)
        whole(*buffers)

    monkeypatch.setattr(hpke, "wipe", wipe)
    sealed = seal(ANA, BEN)
    ana, ben = (sodium.crypto_sign_ed25519_sk_to_curve25519(bytes(one._secret)) for one in (ANA, BEN))
    assert ana in wiped
    assert any(sodium.crypto_scalarmult_base(secret) == sealed[:32] for secret in wiped if len(secret) == 32)
    open_(BEN, ANA, sealed)
    assert ben in wiped


def test_a_wiped_identity_does_nothing_and_shows_nothing() -> None:
    seed = bytearray(b"wiped" + bytes(27))
    made = Identity.from_seed(seed)
    held = made._secret
    sealed = seal(ANA, made)
    assert seed.hex() not in repr(made)
    assert bytes(held).hex() not in repr(made)
    made.wipe()
    assert held == b""
    with pytest.raises(ValueError, match="wiped"):
        made.sign(tags.REGISTER, b"")
    with pytest.raises(ValueError, match="wiped"):
        seal(made, ANA)
    with pytest.raises(ValueError, match="wiped"):
        open_(made, ANA, sealed)


@pytest.mark.parametrize(
    ("encoding", "rule"),
    [
        ("T2", "small order"),
        ("B + T8", "mixed order"),
        ("T4, y written as p", "not below the field's prime"),
        ("T2, x written as -0", "other encoding"),
    ],
)
def test_a_refused_key_is_refused_by_a_rule_that_is_named(encoding: str, rule: str) -> None:
    with pytest.raises(DecodeError, match=rule):
        check_identity_key(bytes.fromhex(NOT_ELEMENTS[encoding]))


def test_a_key_without_a_point_is_refused_by_that_rule() -> None:
    with pytest.raises(DecodeError, match="no point of the curve"):
        check_identity_key(bytes([2]) + bytes(31))
