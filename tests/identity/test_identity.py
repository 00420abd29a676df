import random
from collections.abc import Callable
from contextlib import suppress
from hashlib import blake2b

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nacl import bindings as sodium

from mpcnode.crypto.signature import verify
from mpcnode.errors import DecodeError
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


def test_a_signature_verifies_for_its_purpose_and_for_no_other() -> None:
    signature = ANA.sign("register", b"message")
    assert verify(ANA.public_key, "register", b"message", signature)
    assert not verify(ANA.public_key, "ready", b"message", signature)
    assert not verify(BEN.public_key, "register", b"message", signature)
    assert not verify(ANA.public_key, "register", b"massage", signature)


@given(plaintext=st.binary(max_size=300), aad=st.binary(max_size=50))
@settings(max_examples=40)
def test_what_is_sealed_opens_at_the_recipient(plaintext: bytes, aad: bytes) -> None:
    sealed = ANA.seal(BEN.public_key, plaintext, aad, rng)
    assert len(sealed) == len(plaintext) + SEAL_OVERHEAD
    assert BEN.open(ANA.public_key, sealed, aad) == plaintext


def test_a_node_can_seal_to_itself() -> None:
    assert ANA.open(ANA.public_key, ANA.seal(ANA.public_key, b"note", b"", rng), b"") == b"note"


def test_nobody_but_the_recipient_opens_it() -> None:
    sealed = ANA.seal(BEN.public_key, b"secret", b"aad", rng)
    for other in (EVE, ANA):
        with pytest.raises(DecodeError):
            other.open(ANA.public_key, sealed, b"aad")


def test_a_stranger_cannot_seal_in_somebody_elses_name() -> None:
    sealed = EVE.seal(BEN.public_key, b"secret", b"aad", rng)
    with pytest.raises(DecodeError):
        BEN.open(ANA.public_key, sealed, b"aad")


def test_a_stranger_who_says_it_is_somebody_else_needs_that_ones_secret() -> None:
    liar = Identity(public_key=ANA.public_key, secret=bytearray(EVE._secret))
    with pytest.raises(DecodeError):
        BEN.open(ANA.public_key, liar.seal(BEN.public_key, b"secret", b"", rng), b"")


def test_the_key_of_a_sealed_message_is_made_as_noise_x_makes_it() -> None:
    """The construction from its parts: es, ss, and every public key; so that other hands can write the other side."""
    sealed = ANA.seal(BEN.public_key, b"secret", b"aad", rng)
    ben = sodium.crypto_sign_ed25519_sk_to_curve25519(bytes(BEN._secret))
    es = sodium.crypto_scalarmult(ben, sealed[:32])
    ss = sodium.crypto_scalarmult(ben, sodium.crypto_sign_ed25519_pk_to_curve25519(ANA.public_key))
    parts = es + ss + sealed[:32] + ANA.public_key + BEN.public_key
    key = blake2b(parts, digest_size=32, person=b"mpcnode-seal-v1").digest()
    assert sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(sealed[32:], b"aad", bytes(24), key) == b"secret"


def test_a_sealed_message_cannot_be_sent_back_to_its_sender_as_the_recipients() -> None:
    # X25519 is symmetric: only the public keys in the key derivation tell the two directions apart.
    sealed = ANA.seal(ANA.public_key, b"secret", b"", rng)
    with pytest.raises(DecodeError):
        ANA.open(BEN.public_key, sealed, b"")


def test_a_sealed_message_is_bound_to_its_associated_data() -> None:
    sealed = ANA.seal(BEN.public_key, b"secret", b"session 1", rng)
    with pytest.raises(DecodeError):
        BEN.open(ANA.public_key, sealed, b"session 2")


def test_every_bit_of_a_sealed_message_counts() -> None:
    sealed = ANA.seal(BEN.public_key, b"s", b"", rng)
    for bit in range(len(sealed) * 8):
        altered = bytearray(sealed)
        altered[bit // 8] ^= 1 << bit % 8
        with pytest.raises(DecodeError):
            BEN.open(ANA.public_key, bytes(altered), b"")


def test_a_truncated_sealed_message_is_refused_at_every_length() -> None:
    sealed = ANA.seal(BEN.public_key, b"secret", b"", rng)
    for size in range(len(sealed)):
        with pytest.raises(DecodeError):
            BEN.open(ANA.public_key, sealed[:size], b"")
    with pytest.raises(DecodeError):
        BEN.open(ANA.public_key, sealed + b"\x00", b"")


@given(st.binary(max_size=200))
@settings(max_examples=100)
def test_only_a_decode_error_escapes_from_arbitrary_bytes(sealed: bytes) -> None:
    with pytest.raises(DecodeError):
        BEN.open(ANA.public_key, sealed, b"")


@pytest.mark.parametrize("point", SMALL_ORDER, ids=bytes.hex)
def test_a_point_of_small_order_is_neither_identity_nor_ephemeral_key(point: bytes) -> None:
    with pytest.raises(DecodeError):
        check_identity_key(point)
    with pytest.raises(DecodeError):
        ANA.seal(IdentityKey(point), b"secret", b"", rng)
    with pytest.raises(DecodeError):
        BEN.open(IdentityKey(point), ANA.seal(BEN.public_key, b"", b"", rng), b"")


@pytest.mark.parametrize("x", [0, 1, 2**255 - 20, 2**255 - 19, 2**255 - 18])
def test_a_low_order_ephemeral_key_is_refused_before_anything_is_decrypted(x: int) -> None:
    sealed = x.to_bytes(32, "little") + ANA.seal(BEN.public_key, b"", b"", rng)[32:]
    with pytest.raises(DecodeError, match="low-order"):
        BEN.open(ANA.public_key, sealed, b"")


@given(st.binary(max_size=40))
@settings(max_examples=100)
def test_checking_an_identity_key_raises_nothing_but_a_decode_error(data: bytes) -> None:
    with suppress(DecodeError):
        assert check_identity_key(data) == data


def test_a_random_source_that_repeats_itself_does_not_repeat_a_key() -> None:
    def stuck(size: int) -> bytes:
        return bytes(size)

    first, second = (ANA.seal(BEN.public_key, text, b"", stuck) for text in (b"one", b"two"))
    assert first[:32] != second[:32]
    assert first != ANA.seal(BEN.public_key, b"one", b"x", stuck)


def test_the_same_randomness_gives_the_same_bytes() -> None:
    one, two = (ANA.seal(BEN.public_key, b"text", b"", random.Random(1).randbytes) for _ in range(2))
    assert one == two


def test_a_wiped_identity_does_nothing_and_shows_nothing() -> None:
    seed = bytearray(b"wiped" + bytes(27))
    identity = Identity.from_seed(seed)
    held = identity._secret
    assert seed.hex() not in repr(identity)
    assert bytes(held).hex() not in repr(identity)
    identity.wipe()
    assert held == b""
    with pytest.raises(ValueError, match="wiped"):
        identity.sign("register", b"")
    with pytest.raises(ValueError, match="wiped"):
        identity.seal(ANA.public_key, b"", b"", rng)
