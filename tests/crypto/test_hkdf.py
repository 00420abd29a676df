"""HKDF and the cipher give what the standards say, and refuse what was altered."""

import hashlib
import hmac

import pytest
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given
from hypothesis import strategies as st

from mpcnode.crypto import aead, hkdf
from mpcnode.errors import DecodeError


@given(key=st.binary(max_size=64), parts=st.lists(st.binary(max_size=80), max_size=3))
def test_the_hash_with_a_key_is_pythons(key: bytes, parts: list[bytes]) -> None:
    assert hkdf.hmac_sha256(key, *parts) == hmac.digest(key, b"".join(parts), hashlib.sha256)


@given(secret=st.binary(min_size=1, max_size=64), salt=st.binary(min_size=32, max_size=32), info=st.binary(max_size=64))
def test_a_key_is_the_one_of_another_library(secret: bytes, salt: bytes, info: bytes) -> None:
    theirs = HKDF(SHA256(), 32, salt, info).derive(secret)
    assert hkdf.expand(hkdf.extract(salt, secret), info) == theirs


@given(plaintext=st.binary(max_size=100), aad=st.binary(max_size=20), number=st.integers(0, 2**32))
def test_a_message_is_that_of_another_library(plaintext: bytes, aad: bytes, number: int) -> None:
    key, nonce = bytearray(range(32)), number.to_bytes(12, "big")
    sealed = bytes(aead.encrypt(key, nonce, aad, plaintext))
    assert ChaCha20Poly1305(bytes(key)).decrypt(nonce, sealed, aad) == plaintext
    assert aead.decrypt(key, nonce, aad, sealed) == plaintext


@pytest.mark.parametrize("sealed", [b"", bytes(15), bytes(16), bytes(40)])
def test_what_was_not_sealed_does_not_open(sealed: bytes) -> None:
    with pytest.raises(DecodeError):
        aead.decrypt(bytearray(32), bytes(12), b"", sealed)
