"""Public keys as DER and PEM: what other programs write and read, and nothing that is one only nearly."""

import base64
import hashlib
import random
import shutil
import subprocess
from contextlib import suppress

import pytest
from ecdsa import Ed25519, SECP256k1, VerifyingKey
from hypothesis import given, settings
from hypothesis import strategies as st

from mpcnode.crypto.suites import SUITES
from mpcnode.errors import DecodeError
from mpcnode.protocols.epoch import SuiteKeys
from mpcnode.types import SuiteId
from mpcnode.wallet.public_keys import (
    MAX_ENCODED,
    PublicKey,
    public_key_der,
    public_key_pem,
    read_public_key,
    verification_key,
    verification_keys,
)

ED25519 = SuiteId("FROST-ED25519-SHA512-v1")
TAPROOT = SuiteId("FROST-secp256k1-SHA256-TR-v1")
PLAIN = SuiteId("FROST-secp256k1-SHA256-v1")

RFC8410_PEM = b"""\
-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=
-----END PUBLIC KEY-----
"""
"""RFC 8410, section 10.1."""
RFC8410_KEY = "19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1"
G = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
ED25519_START = bytes.fromhex("302a300506032b6570032100")  # RFC 8410, section 4
POINT_START = bytes.fromhex("3056301006072a8648ce3d020106052b8104000a034200")  # RFC 5480, section 2
COMPRESSED_START = bytes.fromhex("3036301006072a8648ce3d020106052b8104000a032200")

ED25519_DER = ED25519_START + bytes.fromhex(RFC8410_KEY)
G_DER = bytes(VerifyingKey.from_string(bytes.fromhex(G), curve=SECP256k1).to_der())


def test_the_key_of_rfc_8410_is_read_and_written() -> None:
    assert read_public_key(RFC8410_PEM) == PublicKey("ed25519", bytes.fromhex(RFC8410_KEY))
    assert public_key_pem(ED25519, bytes.fromhex(RFC8410_KEY)).encode() == RFC8410_PEM
    assert public_key_der(ED25519, bytes.fromhex(RFC8410_KEY)) == ED25519_DER


def test_a_point_of_secp256k1_is_written_uncompressed_and_read_in_both_forms() -> None:
    key = bytes.fromhex(G)
    der = public_key_der(PLAIN, key)
    assert der == G_DER
    assert der.startswith(POINT_START + b"\x04" + key[1:])
    assert read_public_key(der) == PublicKey("secp256k1", key)
    assert read_public_key(COMPRESSED_START + key) == PublicKey("secp256k1", key)


def tweaked(key: bytes) -> bytes:
    """BIP-341's output key of an internal key without a script tree, by other code than ours: ``ecdsa``."""
    x = key[1:]
    tag = hashlib.sha256(b"TapTweak").digest()
    tweak = int.from_bytes(hashlib.sha256(tag + tag + x).digest(), "big")
    internal = VerifyingKey.from_string(b"\x02" + x, curve=SECP256k1).pubkey.point
    output = internal + SECP256k1.generator * tweak
    return bytes(VerifyingKey.from_public_point(output, curve=SECP256k1).to_string("compressed"))


@pytest.mark.parametrize("parity", [b"\x02", b"\x03"])
def test_a_taproot_key_is_written_as_the_output_key_that_signatures_verify_under(parity: bytes) -> None:
    # BIP-341, wallet-test-vectors.json, scriptPubKey, the first: an internal key without a script tree.
    internal = parity + bytes.fromhex("d6889cb081036e0faefa3a35157ad71086b123b2b144b649798b494c300a961d")
    output = "53a1f6e454df1aa2776a2814a721372d6258050de330b3c6d10ee8f4e0dda343"
    assert verification_key(TAPROOT, internal)[1:].hex() == output
    assert verification_key(TAPROOT, internal) == tweaked(internal)
    assert read_public_key(public_key_der(TAPROOT, internal)).data == tweaked(internal)


@pytest.mark.parametrize(("suite", "key"), [(ED25519, RFC8410_KEY), (PLAIN, G)])
def test_the_keys_of_other_suites_are_as_they_are_stored(suite: SuiteId, key: str) -> None:
    assert verification_key(suite, bytes.fromhex(key)) == bytes.fromhex(key)


@pytest.mark.parametrize("seed", range(4))
def test_verifying_shares_are_tweaked_so_that_they_make_the_output_key(seed: int) -> None:
    """The form in which frost-secp256k1-tr keeps keys; half of all internal keys have an odd y."""
    rng = random.Random(seed)
    group = SUITES[TAPROOT].group
    key, slope = (rng.randrange(1, group.order) for _ in range(2))
    points = [group.scalar_base_mult(group.scalar(key + slope * x)).encode() for x in range(4)]
    keys = SuiteKeys(TAPROOT, points[0], tuple(points[1:]))
    shown = verification_keys(keys)
    assert shown.group_public_key == tweaked(points[0])
    one, two, _ = (group.decode_element(share) for share in shown.verifying_shares)
    assert (one + one - two).encode() == shown.group_public_key  # Lagrange at 0 of 1 and 2: factors 2 and -1
    plain = SuiteKeys(PLAIN, points[0], tuple(points[1:]))
    assert verification_keys(plain) == plain


@pytest.mark.parametrize("suite", [ED25519, TAPROOT])
@pytest.mark.parametrize("data", [b"", bytes(32), bytes(33), b"\xff" * 32, b"\x04" + bytes(64)])
def test_what_is_no_key_is_not_written(suite: SuiteId, data: bytes) -> None:
    with pytest.raises(DecodeError):
        public_key_der(suite, data)
    with pytest.raises(DecodeError):
        public_key_pem(suite, data)
    with pytest.raises(DecodeError):
        verification_key(suite, data)


PEM = RFC8410_PEM.decode()
P256_DER = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200") + G_DER[-65:]
SMALL_ORDER = ED25519_START + b"\x01" + bytes(31)
ORDER_EIGHT = ED25519_START + bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"0",
        ED25519_DER[:-1],
        ED25519_DER + b"\x00",
        b"\x30\x81\x2a" + ED25519_DER[2:],  # a length in two bytes
        ED25519_DER.replace(b"\x03\x21\x00", b"\x03\x21\x01"),  # unused bits
        ED25519_DER.replace(b"\x2b\x65\x70", b"\x2b\x65\x6e"),  # X25519
        ED25519_START + b"\xff" * 32,
        SMALL_ORDER,
        ORDER_EIGHT,
        G_DER[:-1],
        G_DER + b"\x00",
        POINT_START + b"\x06" + G_DER[-64:],  # the hybrid form
        POINT_START + b"\x04" + G_DER[-64:-1] + b"\x00",  # off the curve
        COMPRESSED_START + b"\x05" + bytes(32),
        P256_DER,
        bytes(MAX_ENCODED + 1),
        PEM.replace("PUBLIC", "PRIVATE").encode(),
        PEM.replace("-----END PUBLIC KEY-----", "").encode(),
        (PEM + PEM).encode(),
        (PEM + PEM.replace("PUBLIC KEY", "CERTIFICATE")).encode(),
        PEM.replace("MCow", "MC*w").encode(),
        PEM.replace("uE=", "uE").encode(),
        PEM.replace("uE=", "uE=\nQUJD").encode(),
        (PEM + "#" * MAX_ENCODED).encode(),
        b"-----BEGIN PUBLIC KEY-----\n\n-----END PUBLIC KEY-----\n",
    ],
)
def test_what_is_a_key_only_nearly_is_refused(data: bytes) -> None:
    with pytest.raises(DecodeError):
        read_public_key(data)


@pytest.mark.parametrize("around", ["{}", "# treasury\n{}", "{}\nthe end\n"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_text_around_a_key_and_other_line_ends_are_fine(around: str, end: str) -> None:
    assert read_public_key(around.format(PEM).replace("\n", end).encode()).data.hex() == RFC8410_KEY


@settings(max_examples=100)
@given(st.integers(1, 2**250), st.sampled_from([ED25519, TAPROOT, PLAIN]))
def test_a_key_comes_back_as_it_was_written(number: int, suite: SuiteId) -> None:
    group = SUITES[suite].group
    key = group.scalar_base_mult(group.decode_scalar(_scalar(number, suite))).encode()
    written = tweaked(key) if suite == TAPROOT else key
    assert read_public_key(public_key_der(suite, key)).data == written
    assert read_public_key(public_key_pem(suite, key).encode()).data == written


def _scalar(number: int, suite: SuiteId) -> bytes:
    return number.to_bytes(32, "little" if suite == ED25519 else "big")


def _altered(base: bytes, position: int, change: int) -> bytes:
    altered = bytearray(base)
    altered[position % len(base)] ^= change
    return bytes(altered)


altered = st.builds(
    _altered, st.sampled_from([ED25519_DER, G_DER, RFC8410_PEM]), st.integers(0, 200), st.integers(1, 255)
)


@settings(max_examples=300)
@given(st.binary(max_size=120) | altered)
def test_nothing_but_a_decode_error_comes_out_of_any_bytes(data: bytes) -> None:
    with suppress(DecodeError):
        key = read_public_key(data)
        suite = ED25519 if key.curve == "ed25519" else TAPROOT
        assert SUITES[suite].group.decode_element(key.data).encode() == key.data


@pytest.mark.process
@pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl on this machine")
@pytest.mark.parametrize(("suite", "key"), [(ED25519, RFC8410_KEY), (TAPROOT, G)])
def test_openssl_reads_what_is_written(suite: SuiteId, key: str) -> None:
    run = subprocess.run(
        ["openssl", "pkey", "-pubin", "-outform", "DER"],
        input=public_key_pem(suite, bytes.fromhex(key)).encode(),
        capture_output=True,
        check=True,
        timeout=30,
    )
    assert run.stdout == public_key_der(suite, bytes.fromhex(key))


def test_ecdsa_reads_what_is_written() -> None:
    for suite, key, curve in ((ED25519, RFC8410_KEY, Ed25519), (TAPROOT, G, SECP256k1)):
        read = VerifyingKey.from_pem(public_key_pem(suite, bytes.fromhex(key)))
        assert read.curve == curve
        written = tweaked(bytes.fromhex(key)).hex() if suite == TAPROOT else key
        assert bytes(read.to_string("compressed")).hex() == written


def test_lines_of_a_pem_are_as_long_as_rfc_7468_has_them() -> None:
    lines = public_key_pem(TAPROOT, bytes.fromhex(G)).splitlines()
    assert [len(line) for line in lines[1:-2]] == [64] * len(lines[1:-2])
    assert base64.b64decode("".join(lines[1:-1])) == public_key_der(TAPROOT, bytes.fromhex(G))
