"""The seal against the RFC's own vectors and against another implementation of it."""

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st
from pyhpke import AEADId, CipherSuite, KDFId, KEMId, KEMKey, OpenError

from mpcnode.errors import DecodeError
from mpcnode.identity import hpke

VECTOR: dict[str, Any] = json.loads(Path(__file__).with_name("rfc9180-a-2-3.json").read_text())
V = {name: bytes.fromhex(value) for name, value in VECTOR.items() if isinstance(value, str) and name != "source"}

SUITE = CipherSuite.new(KEMId.DHKEM_X25519_HKDF_SHA256, KDFId.HKDF_SHA256, AEADId.CHACHA20_POLY1305)

keys = st.binary(min_size=32, max_size=32)
# Lengths around the 64-byte blocks of SHA-256 and of ChaCha20 are the ones a mistake would show at.
texts = st.binary(max_size=200)


def secret(data: bytes) -> bytearray:
    return bytearray(data)


def seal(recipient: bytes, info: bytes, aad: bytes, text: bytes, *, sender: bytes, ephemeral: bytes) -> bytes:
    mine = secret(sender)
    return hpke.seal(
        recipient, info, aad, text, sender=mine, sender_public=hpke.public_key(mine), ephemeral=secret(ephemeral)
    )


def open_(sender: bytes, info: bytes, aad: bytes, data: bytes, *, recipient: bytes) -> bytearray:
    mine = secret(recipient)
    return hpke.open_(sender, info, aad, data, recipient=mine, recipient_public=hpke.public_key(mine))


def sealed() -> bytes:
    return seal(V["pkRm"], V["info"], V["aad"], V["pt"], sender=V["skSm"], ephemeral=V["skEm"])


def test_the_vector_is_of_our_suite_and_mode() -> None:
    assert (VECTOR["mode"], VECTOR["kem_id"], VECTOR["kdf_id"], VECTOR["aead_id"]) == (2, 0x20, 1, 3)


def test_a_message_of_the_rfc_is_sealed_as_the_rfc_says() -> None:
    assert sealed() == V["enc"] + V["ct"]


def test_a_message_of_the_rfc_opens() -> None:
    plaintext = open_(V["pkSm"], V["info"], V["aad"], V["enc"] + V["ct"], recipient=V["skRm"])
    assert plaintext == V["pt"]


def test_every_step_in_between_is_the_rfcs() -> None:
    assert hpke.public_key(secret(V["skEm"])) == V["pkEm"] == V["enc"]
    assert hpke.public_key(secret(V["skSm"])) == V["pkSm"]
    assert hpke.public_key(secret(V["skRm"])) == V["pkRm"]
    context = V["enc"] + V["pkRm"] + V["pkSm"]
    here = hpke._shared_secret((secret(V["skEm"]), V["pkRm"]), (secret(V["skSm"]), V["pkRm"]), kem_context=context)
    there = hpke._shared_secret((secret(V["skRm"]), V["enc"]), (secret(V["skRm"]), V["pkSm"]), kem_context=context)
    assert here == there == V["shared_secret"]
    info_hash = hpke._extract(hpke._HPKE, b"", b"info_hash", V["info"])
    assert b"\x02" + hpke._NO_PSK_ID_HASH + info_hash == V["key_schedule_context"]
    assert hpke._extract(hpke._HPKE, V["shared_secret"], b"secret", b"") == V["secret"]
    assert tuple(map(bytes, hpke._key_schedule(here, V["info"]))) == (V["key"], V["base_nonce"])
    assert here == bytes(32)  # wiped


@settings(max_examples=60, deadline=None)
@given(skr=keys, sks=keys, ske=keys, info=texts, aad=texts, text=texts)
def test_another_implementation_opens_what_is_sealed_here(
    *, skr: bytes, sks: bytes, ske: bytes, info: bytes, aad: bytes, text: bytes
) -> None:
    recipient = X25519PrivateKey.from_private_bytes(skr)
    sender = X25519PrivateKey.from_private_bytes(sks).public_key()
    data = seal(recipient.public_key().public_bytes_raw(), info, aad, text, sender=sks, ephemeral=ske)
    context = SUITE.create_recipient_context(
        data[:32],
        KEMKey.from_pyca_cryptography_key(recipient),
        info=info,
        pks=KEMKey.from_pyca_cryptography_key(sender),
    )
    assert context.open(data[32:], aad) == text
    with pytest.raises(OpenError):
        context.open(data[32:], aad + b"x")


@settings(max_examples=60, deadline=None)
@given(skr=keys, sks=keys, info=texts, aad=texts, text=texts)
def test_what_another_implementation_seals_opens_here(
    skr: bytes, sks: bytes, info: bytes, aad: bytes, text: bytes
) -> None:
    recipient = X25519PublicKey.from_public_bytes(hpke.public_key(secret(skr)))
    sender = X25519PrivateKey.from_private_bytes(sks)
    enc, context = SUITE.create_sender_context(
        KEMKey.from_pyca_cryptography_key(recipient), info=info, sks=KEMKey.from_pyca_cryptography_key(sender)
    )
    data = enc + context.seal(text, aad)
    assert open_(hpke.public_key(secret(sks)), info, aad, data, recipient=skr) == text


@pytest.mark.parametrize("changed", ["sender", "info", "aad", "recipient"])
def test_a_message_opens_only_for_what_it_was_sealed_for(changed: str) -> None:
    right = {"sender": V["pkSm"], "info": V["info"], "aad": V["aad"], "recipient": V["skRm"]}
    wrong = {**right, changed: V["pkEm"]}
    with pytest.raises(DecodeError):
        open_(wrong["sender"], wrong["info"], wrong["aad"], sealed(), recipient=wrong["recipient"])


def test_every_bit_of_a_message_counts() -> None:
    # Also the one that X25519 ignores in a public key (RFC 7748, section 5): kem_context holds it.
    for bit in range(len(sealed()) * 8):
        altered = bytearray(sealed())
        altered[bit // 8] ^= 1 << bit % 8
        with pytest.raises(DecodeError):
            open_(V["pkSm"], V["info"], V["aad"], bytes(altered), recipient=V["skRm"])


def test_a_truncated_message_is_refused_at_every_length() -> None:
    for size in range(len(sealed())):
        with pytest.raises(DecodeError):
            open_(V["pkSm"], V["info"], V["aad"], sealed()[:size], recipient=V["skRm"])


@pytest.mark.parametrize("x", [0, 1, 2**255 - 20, 2**255 - 19, 2**255 - 18])
def test_a_point_of_low_order_is_refused_at_either_end(x: int) -> None:
    point = x.to_bytes(32, "little")
    with pytest.raises(DecodeError, match="low-order"):
        seal(point, b"", b"", b"text", sender=V["skSm"], ephemeral=V["skEm"])
    with pytest.raises(DecodeError, match="low-order"):
        open_(point, V["info"], V["aad"], sealed(), recipient=V["skRm"])
    with pytest.raises(DecodeError, match="low-order"):
        open_(V["pkSm"], V["info"], V["aad"], point + V["ct"], recipient=V["skRm"])


def test_the_callers_keys_are_left_as_they_were() -> None:
    mine, ephemeral = secret(V["skSm"]), secret(V["skEm"])
    hpke.seal(V["pkRm"], b"", b"", b"", sender=mine, sender_public=V["pkSm"], ephemeral=ephemeral)
    assert (bytes(mine), bytes(ephemeral)) == (V["skSm"], V["skEm"])


def test_whatever_held_a_secret_is_wiped(monkeypatch: pytest.MonkeyPatch) -> None:
    wiped: list[bytearray] = []
    whole = hpke.wipe

    def wipe(*buffers: bytearray) -> None:
        seen.extend(bytes(buffer) for buffer in buffers)
        whole(*buffers)
        wiped.extend(buffers)

    seen: list[bytes] = []
    monkeypatch.setattr(hpke, "wipe", wipe)
    sealed()
    for name in ("shared_secret", "secret", "key", "base_nonce"):
        assert V[name] in seen, name
    assert all(not any(buffer) for buffer in wiped)
