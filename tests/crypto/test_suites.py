"""The last check before a signature leaves: BIP-340's own vectors, and everything that is not a signature."""

import csv
from typing import Any

import pytest
from btclib_secp256k1 import xonly
from hypothesis import given, settings
from hypothesis import strategies as st
from nacl.bindings import crypto_sign, crypto_sign_seed_keypair

from mpcnode.crypto.ciphersuite import CIPHERSUITES
from mpcnode.crypto.suites import DEFAULT_SUITES, SUITES, verify
from mpcnode.protocols.registry import PROTOCOLS
from mpcnode.types import SuiteId
from tests.helpers.signing import ED25519, PLAIN, TAPROOT
from tests.helpers.vectors import VECTORS, load_vectors

BIP340 = VECTORS / "bip340/test-vectors.csv"


def bip340_rows() -> list[dict[str, str]]:
    if not BIP340.is_file():
        return []
    with BIP340.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.skipif(not BIP340.is_file(), reason="the published vectors are not on this machine: set MPCNODE_VECTORS")
@pytest.mark.parametrize("row", bip340_rows(), ids=lambda row: f"{row['index']} {row['comment']}".strip())
def test_bip_340_agrees(row: dict[str, str]) -> None:
    key, message, signature = (bytes.fromhex(row[name]) for name in ("public key", "message", "signature"))
    expected = {"TRUE": True, "FALSE": False}[row["verification result"]]
    assert verify(TAPROOT, key, message, signature) is expected


SOURCES = {
    ED25519: "rfc9591/frost-ed25519-sha512.json",
    PLAIN: "rfc9591/frost-secp256k1-sha256.json",
    TAPROOT: "zf-frost-secp256k1-tr/vectors.json",
}


class Signed:
    """A published signature of one suite."""

    def __init__(self, suite: SuiteId) -> None:
        vectors: dict[str, Any] = load_vectors(SOURCES[suite])
        inputs = vectors["inputs"]
        self.suite = suite
        self.key = bytes.fromhex(inputs.get("group_public_key") or inputs["verifying_key_key"])
        self.message = bytes.fromhex(inputs["message"])
        self.signature = bytes.fromhex(vectors["final_output"]["sig"])


@pytest.fixture(params=SOURCES)
def signed(request: Any) -> Signed:
    return Signed(request.param)


def test_published_signatures_verify(signed: Signed) -> None:
    assert verify(signed.suite, signed.key, signed.message, signed.signature)


def test_taproot_takes_the_x_coordinate_alone_and_either_y() -> None:
    signed = Signed(TAPROOT)
    for prefix in (b"", b"\x02", b"\x03"):
        assert verify(TAPROOT, prefix + signed.key[1:], signed.message, signed.signature)


def test_taproot_takes_no_uncompressed_key() -> None:
    # libsecp256k1 would: one key has as few encodings here as it needs.
    signed = Signed(TAPROOT)
    assert not verify(TAPROOT, xonly.to_pubkey(signed.key[1:], compressed=False), signed.message, signed.signature)


def test_a_z_written_longer_does_not_verify() -> None:
    signed = Signed(PLAIN)
    assert not verify(PLAIN, signed.key, signed.message, signed.signature[:33] + b"\x00" + signed.signature[33:])


def test_any_flipped_bit_spoils_a_signature(signed: Signed) -> None:
    step = 1 if signed.suite != PLAIN else 13  # points in Python take their time
    for at in range(0, len(signed.signature), step):
        wrong = bytearray(signed.signature)
        wrong[at] ^= 1
        assert not verify(signed.suite, signed.key, signed.message, bytes(wrong))


def test_another_message_or_key_does_not_verify(signed: Signed) -> None:
    assert not verify(signed.suite, signed.key, signed.message + b"\x00", signed.signature)
    assert not verify(signed.suite, signed.key, b"", signed.signature)
    for at in (1, len(signed.key) - 1):
        wrong = bytearray(signed.key)
        wrong[at] ^= 1
        assert not verify(signed.suite, bytes(wrong), signed.message, signed.signature)


def test_other_lengths_do_not_verify(signed: Signed) -> None:
    for key in (b"", signed.key[:-1], signed.key + b"\x00", bytes(65)):
        assert not verify(signed.suite, key, signed.message, signed.signature)
    for signature in (b"", signed.signature[:-1], signed.signature + b"\x00"):
        assert not verify(signed.suite, signed.key, signed.message, signature)


def test_a_z_that_is_not_below_the_order_does_not_verify(monkeypatch: pytest.MonkeyPatch) -> None:
    # No z is so small that the order can be added to it, unless the challenge is known beforehand: here it is 1.
    suite = CIPHERSUITES[PLAIN]
    group = suite.group
    monkeypatch.setattr(type(suite), "H2", lambda _self, _m: group.scalar(1))
    key = group.scalar_base_mult(group.scalar(3))
    R = group.scalar_base_mult(group.scalar(5)) - key
    for z, valid in ((5, True), (5 + group.order, False)):
        assert verify(PLAIN, key.encode(), b"hello", R.encode() + z.to_bytes(32, "big")) is valid


def test_ed25519_s_that_is_not_below_the_order_does_not_verify() -> None:
    order = 2**252 + 27742317777372353535851937790883648493
    signed = Signed(ED25519)
    s = int.from_bytes(signed.signature[32:], "little") + order
    assert not verify(ED25519, signed.key, signed.message, signed.signature[:32] + s.to_bytes(32, "little"))


def test_a_small_order_key_verifies_nothing() -> None:
    # R = identity and s = 0 satisfy the equation for the identity as key, whatever the message.
    identity = b"\x01" + bytes(31)
    assert not verify(ED25519, identity, b"hello", identity + bytes(32))


def test_signatures_of_plain_ed25519_verify_too() -> None:
    key, secret = crypto_sign_seed_keypair(bytes(32))
    assert verify(ED25519, key, b"hello", crypto_sign(b"hello", secret)[:64])


def test_an_unknown_suite_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="no such suite"):
        verify(SuiteId("FROST-P256-SHA256-v1"), bytes(33), b"", bytes(65))


@given(st.sampled_from(list(SOURCES)), st.binary(max_size=66), st.binary(max_size=8), st.binary(max_size=66))
@settings(max_examples=200, deadline=None)
def test_nothing_arbitrary_verifies_or_raises(suite: SuiteId, key: bytes, message: bytes, signature: bytes) -> None:
    assert not verify(suite, key, message, signature)


@given(
    st.sampled_from([PLAIN, TAPROOT, ED25519]), st.binary(min_size=32, max_size=32), st.binary(min_size=64, max_size=64)
)
@settings(max_examples=100, deadline=None)
def test_nothing_of_the_right_length_raises(suite: SuiteId, key: bytes, signature: bytes) -> None:
    prefix = b"\x02" if suite == PLAIN else b""
    assert not verify(suite, prefix + key, b"hello", prefix + signature)


def test_a_suite_is_a_curve_and_a_scheme_and_frost_makes_keys_of_each() -> None:
    assert DEFAULT_SUITES == ("FROST-ED25519-SHA512-v1", "FROST-secp256k1-SHA256-TR-v1")
    assert set(DEFAULT_SUITES) < set(SUITES)
    assert SUITES.keys() == CIPHERSUITES.keys() == PROTOCOLS.keys()
    assert set(PROTOCOLS.values()) == {"frost"}
    for name, suite in SUITES.items():
        assert suite.id == name
        assert suite.group is CIPHERSUITES[name].group
        assert suite.scheme.signature_size == CIPHERSUITES[name].signature_size
    assert {name: suite.scheme.name for name, suite in SUITES.items()} == {
        ED25519: "ed25519",
        TAPROOT: "bip340",
        PLAIN: "secp256k1-schnorr",
    }
    assert [suite.id for suite in SUITES.values() if suite.scheme.tweaked] == [TAPROOT]
