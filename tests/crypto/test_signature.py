from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nacl.bindings import crypto_sign, crypto_sign_seed_keypair

from mpcnode.crypto import tags
from mpcnode.crypto.ed25519 import ED25519
from mpcnode.crypto.signature import verify
from mpcnode.crypto.transcript import tagged_hash
from mpcnode.types import IdentityKey

PUBLIC, SECRET = crypto_sign_seed_keypair(bytes(range(32)))
KEY = IdentityKey(PUBLIC)


def sign(tag: str, *fields: bytes) -> bytes:
    return crypto_sign(tagged_hash(tag, *fields), SECRET)[:64]


SIGNATURE = sign(tags.REGISTER, b"hello")


def test_a_signature_verifies_for_its_purpose() -> None:
    assert verify(KEY, SIGNATURE, tags.REGISTER, b"hello")


def test_a_signature_made_for_one_purpose_or_other_fields_does_not_verify_for_another() -> None:
    assert not verify(KEY, SIGNATURE, tags.READY, b"hello")
    for fields in ((), (b"hello", b""), (b"hel", b"lo"), (b"", b"hello"), (b"hellp",)):
        assert not verify(KEY, SIGNATURE, tags.REGISTER, *fields)


def test_the_bytes_signed_are_fixed_for_good() -> None:
    prefix = sha256(b"mpcnode/register/v1").digest()
    signed = sha256(prefix + prefix + (5).to_bytes(8, "big") + b"hello").digest()
    assert crypto_sign(signed, SECRET)[:64] == SIGNATURE


@pytest.mark.parametrize("at", [0, 31, 32, 63])
def test_a_changed_signature_does_not_verify(at: int) -> None:
    changed = bytearray(SIGNATURE)
    changed[at] ^= 1
    assert not verify(KEY, bytes(changed), tags.REGISTER, b"hello")


def test_a_signature_with_s_above_the_order_does_not_verify() -> None:
    s = int.from_bytes(SIGNATURE[32:], "little") + ED25519.order
    assert not verify(KEY, SIGNATURE[:32] + s.to_bytes(32, "little"), tags.REGISTER, b"hello")


@pytest.mark.parametrize("key", [bytes(32), b"\x01" + bytes(31), b"\xff" * 32, b"", bytes(31), PUBLIC + b"\x00"])
def test_a_key_that_is_not_one_verifies_nothing(key: bytes) -> None:
    assert not verify(IdentityKey(key), SIGNATURE, tags.REGISTER, b"hello")
    # With R the identity and s = 0 a careless verifier accepts any message under a small-order key.
    assert not verify(IdentityKey(key), b"\x01" + bytes(63), tags.REGISTER, b"hello")


@pytest.mark.parametrize("length", [0, 63, 65])
def test_a_signature_of_another_length_does_not_verify(length: int) -> None:
    assert not verify(KEY, (SIGNATURE + b"\x00")[:length], tags.REGISTER, b"hello")


@settings(max_examples=50)
@given(st.binary(max_size=40), st.binary(max_size=80), st.binary(max_size=70))
def test_whatever_a_peer_sends_is_an_answer_and_never_an_exception(
    key: bytes, message: bytes, signature: bytes
) -> None:
    assert not verify(IdentityKey(key), signature, tags.REGISTER, message)
