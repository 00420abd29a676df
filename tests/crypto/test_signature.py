import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nacl.bindings import crypto_core_ed25519_scalar_add, crypto_sign, crypto_sign_seed_keypair

from mpcnode.crypto.ed25519 import ED25519
from mpcnode.crypto.signature import signing_input, verify
from mpcnode.types import IdentityKey

PUBLIC, SECRET = crypto_sign_seed_keypair(bytes(range(32)))
KEY = IdentityKey(PUBLIC)
SIGNATURE = crypto_sign(signing_input("register", b"hello"), SECRET)[:64]


def test_a_signature_verifies_for_its_purpose() -> None:
    assert verify(KEY, "register", b"hello", SIGNATURE)


def test_a_signature_made_for_one_purpose_does_not_verify_for_another() -> None:
    assert not verify(KEY, "ready", b"hello", SIGNATURE)


def test_the_bytes_signed_are_fixed_for_good() -> None:
    assert signing_input("register", b"hello") == b"mpcnode/register/v1\x00hello"


@pytest.mark.parametrize("at", [0, 31, 32, 63])
def test_a_changed_signature_does_not_verify(at: int) -> None:
    changed = bytearray(SIGNATURE)
    changed[at] ^= 1
    assert not verify(KEY, "register", b"hello", bytes(changed))


def test_a_signature_with_s_above_the_order_does_not_verify() -> None:
    s = int.from_bytes(SIGNATURE[32:], "little") + ED25519.order
    assert not verify(KEY, "register", b"hello", SIGNATURE[:32] + s.to_bytes(32, "little"))
    # The same s reduced is the signature itself: what was refused is the encoding.
    assert crypto_core_ed25519_scalar_add(SIGNATURE[32:], bytes(32)) == SIGNATURE[32:]


@pytest.mark.parametrize("key", [bytes(32), b"\x01" + bytes(31), b"\xff" * 32, b"", bytes(31), PUBLIC + b"\x00"])
def test_a_key_that_is_none_verifies_nothing(key: bytes) -> None:
    assert not verify(IdentityKey(key), "register", b"hello", SIGNATURE)
    # With R the identity and s = 0 a careless verifier accepts any message under a small-order key.
    assert not verify(IdentityKey(key), "register", b"hello", b"\x01" + bytes(63))


@pytest.mark.parametrize("length", [0, 63, 65])
def test_a_signature_of_another_length_does_not_verify(length: int) -> None:
    assert not verify(KEY, "register", b"hello", (SIGNATURE + b"\x00")[:length])


@pytest.mark.parametrize("context", ["", "caf\u00e9", "a\x00b"])
def test_a_context_that_could_be_confused_is_refused(context: str) -> None:
    with pytest.raises(ValueError, match="context"):
        verify(KEY, context, b"hello", SIGNATURE)


@settings(max_examples=50)
@given(st.binary(max_size=40), st.binary(max_size=80), st.binary(max_size=70))
def test_whatever_a_peer_sends_is_an_answer_and_never_an_exception(
    key: bytes, message: bytes, signature: bytes
) -> None:
    assert not verify(IdentityKey(key), "register", message, signature)
