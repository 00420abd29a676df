"""The suites against RFC 9591's vectors, as far as they concern what is here: hashes, encodings, shares, challenges."""

from typing import Any

import pytest
from btclib_secp256k1 import ssa

from mpcnode.crypto import ciphersuite, hashing, vss
from mpcnode.crypto.ciphersuite import (
    CIPHERSUITES,
    AnyCiphersuite,
    Signature,
    expand_message_xmd,
    expand_secret_xmd,
)
from mpcnode.crypto.polynomial import Polynomial, lagrange_coefficient
from mpcnode.crypto.secp256k1 import SECP256K1
from mpcnode.errors import DecodeError
from mpcnode.types import Identifier, SuiteId
from tests.helpers.simulate import seeded
from tests.helpers.vectors import load_vectors

ED25519_SUITE = CIPHERSUITES[SuiteId("FROST-ED25519-SHA512-v1")]
PLAIN = CIPHERSUITES[SuiteId("FROST-secp256k1-SHA256-v1")]
TAPROOT = CIPHERSUITES[SuiteId("FROST-secp256k1-SHA256-TR-v1")]

Vectors = tuple[AnyCiphersuite, dict[str, Any]]


@pytest.fixture(params=["ed25519-sha512", "secp256k1-sha256"])
def rfc(request: Any) -> Vectors:
    suite = ED25519_SUITE if request.param.startswith("ed") else PLAIN
    return suite, load_vectors(f"rfc9591/frost-{request.param}.json")


def scalar(suite: AnyCiphersuite, text: str) -> Any:
    return suite.group.decode_scalar(bytes.fromhex(text))


def test_the_group_public_key_is_that_of_the_secret(rfc: Vectors) -> None:
    suite, vectors = rfc
    inputs = vectors["inputs"]
    key = suite.group.scalar_base_mult(scalar(suite, inputs["group_secret_key"]))
    assert key.encode().hex() == inputs["group_public_key"]


def test_shares_are_those_of_the_rfc_and_interpolate(rfc: Vectors) -> None:
    suite, vectors = rfc
    inputs = vectors["inputs"]
    coefficients = [inputs["group_secret_key"], *inputs["share_polynomial_coefficients"]]
    f = Polynomial(suite.group, [scalar(suite, a) for a in coefficients])
    commitment = f.commit()
    shares = {Identifier(s["identifier"]): scalar(suite, s["participant_share"]) for s in inputs["participant_shares"]}
    for i, share in shares.items():
        assert f.evaluate(i) == share
        assert vss.verify_share(suite.group, share, i, commitment)
    signers = [Identifier(i) for i in inputs["participant_list"]]
    lambdas = {i: lagrange_coefficient(suite.group, i, signers) for i in signers}
    secret = suite.group.sum_scalars(lambdas[i] * shares[i] for i in signers)
    assert secret == scalar(suite, inputs["group_secret_key"])


def test_nonces_and_their_commitments_are_those_of_the_rfc(rfc: Vectors) -> None:
    suite, vectors = rfc
    shares = {s["identifier"]: s["participant_share"] for s in vectors["inputs"]["participant_shares"]}
    for output in vectors["round_one_outputs"]["outputs"]:
        for name in ("hiding", "binding"):
            randomness = output[f"{name}_nonce_randomness"] + shares[output["identifier"]]
            nonce = suite.H3(bytes.fromhex(randomness))
            assert nonce.encode().hex() == output[f"{name}_nonce"]
            assert suite.group.scalar_base_mult(nonce).encode().hex() == output[f"{name}_nonce_commitment"]


def test_binding_factors_are_those_of_the_rfc(rfc: Vectors) -> None:
    suite, vectors = rfc
    inputs, outputs = vectors["inputs"], vectors["round_one_outputs"]["outputs"]
    commitments = b"".join(
        suite.encode_identifier(output["identifier"])
        + bytes.fromhex(output["hiding_nonce_commitment"] + output["binding_nonce_commitment"])
        for output in outputs
    )
    prefix = bytes.fromhex(inputs["group_public_key"]) + suite.H4(bytes.fromhex(inputs["message"]))
    for output in outputs:
        m = prefix + suite.H5(commitments) + suite.encode_identifier(output["identifier"])
        assert m.hex() == output["binding_factor_input"]
        assert suite.H1(m).encode().hex() == output["binding_factor"]


def test_the_rfcs_signature_verifies_under_this_challenge(rfc: Vectors) -> None:
    suite, vectors = rfc
    inputs = vectors["inputs"]
    data = bytes.fromhex(vectors["final_output"]["sig"])
    signature = suite.decode_signature(data)
    assert suite.encode_signature(signature) == data
    key = suite.group.decode_element(bytes.fromhex(inputs["group_public_key"]))
    c = suite.H2(signature.R.encode() + key.encode() + bytes.fromhex(inputs["message"]))
    assert suite.group.scalar_base_mult(signature.z) == signature.R + c * key


def test_taproots_challenge_is_bip_340s() -> None:
    secret = seeded("bip340")(32)
    message = b"\x07" * 32
    signature = TAPROOT.decode_signature(ssa.sign(message, secret, bytes(32)))
    key = SECP256K1.scalar_base_mult(SECP256K1.decode_scalar(secret))
    even = key if key.has_even_y else -key
    c = TAPROOT.H2(signature.R.encode()[1:] + even.encode()[1:] + message)
    assert SECP256K1.scalar_base_mult(signature.z) == signature.R + c * even


def test_taproots_nonces_have_an_even_y() -> None:
    nonces = [TAPROOT.random_nonce(seeded(i)) for i in range(16)]
    assert all(R.has_even_y and SECP256K1.scalar_base_mult(k) == R for k, R in nonces)
    # Some of them had to be negated for that.
    assert not all(PLAIN.random_nonce(seeded(i))[1].has_even_y for i in range(16))


def test_taproot_cannot_encode_an_r_of_odd_y() -> None:
    odd = -SECP256K1.generator
    with pytest.raises(ValueError, match="even y"):
        TAPROOT.encode_signature(Signature(odd, SECP256K1.scalar(1)))


@pytest.mark.parametrize("suite", CIPHERSUITES.values(), ids=str)
def test_a_signature_of_another_length_or_with_a_bad_part_is_refused(suite: AnyCiphersuite) -> None:
    k, R = suite.random_nonce(seeded(1))
    data = suite.encode_signature(Signature(R, k))
    assert suite.decode_signature(data) == Signature(R, k)
    for wrong in (b"", data[:-1], data + b"\x00", b"\xff" * len(data), data[:-32] + b"\xff" * 32):
        with pytest.raises(DecodeError):
            suite.decode_signature(wrong)


@pytest.mark.parametrize("suite", CIPHERSUITES.values(), ids=str)
def test_every_hash_is_separate_from_every_other(suite: AnyCiphersuite) -> None:
    hashes = [h(b"m").encode() for h in (suite.H1, suite.H2, suite.H3, suite.HDKG, suite.HID)]
    hashes += [suite.H4(b"m"), suite.H5(b"m")]
    assert len(set(hashes)) == 7


def test_expand_message_is_that_of_rfc_9380() -> None:
    # RFC 9380, appendix K.1, expand_message_xmd(SHA-256), DST QUUX-V01-CS02-with-expander-SHA256-128.
    dst = b"QUUX-V01-CS02-with-expander-SHA256-128"
    expected = {
        (b"", 32): "68a985b87eb6b46952128911f2a4412bbc302a9d759667f87f7a21d803f07235",
        (b"abc", 32): "d8ccab23b5985ccea865c6c97b6e5b8350e794e603b4b97902f53a8a0d605615",
    }
    for (message, size), uniform in expected.items():
        assert expand_message_xmd(message, dst, size).hex() == uniform
        assert expand_secret_xmd(message, dst, size).hex() == uniform
    # RFC 9380, appendix K.1, len_in_bytes = 0x80, msg = abc.
    long = expand_message_xmd(b"abc", dst, 128)
    assert long.hex().startswith("abba86a6129e366fc877aab32fc4ffc7")
    for size in (1, 31, 33, 48, 64, 100, 128):
        assert expand_secret_xmd(b"abc", dst, size) == expand_message_xmd(b"abc", dst, size)
        assert len(expand_secret_xmd(b"abc", dst, size)) == size


@pytest.mark.parametrize(("dst", "size"), [(bytes(256), 32), (b"dst", 255 * 32 + 1)])
def test_expand_message_refuses_what_it_cannot_say(dst: bytes, size: int) -> None:
    with pytest.raises(ValueError, match="at most"):
        expand_message_xmd(b"", dst, size)
    with pytest.raises(ValueError, match="at most"):
        expand_secret_xmd(b"", dst, size)


@pytest.mark.parametrize("suite", CIPHERSUITES.values(), ids=str)
def test_a_nonce_leaves_no_copy_of_what_it_is_made_of(suite: AnyCiphersuite, monkeypatch: pytest.MonkeyPatch) -> None:
    # Every buffer on the way is held here: it is a wipe that overwrites them, and not their end.
    buffers: list[bytearray] = []
    expand, digest, into = ciphersuite.expand_secret_xmd, hashing._hash, hashing.sha256_into

    def watched_digest(function: Any, into: bytearray, parts: Any) -> None:
        buffers.extend(part for part in parts if isinstance(part, bytearray))
        buffers.append(into)
        digest(function, into, parts)

    def watched_into(*both: bytearray) -> None:
        buffers.extend(both)
        into(*both)

    def watched_expand(*arguments: Any) -> bytearray:
        buffers.append(expand(*arguments))
        return buffers[-1]

    expected = suite.H3(b"secret" * 8)
    monkeypatch.setattr(hashing, "_hash", watched_digest)
    monkeypatch.setattr(hashing, "sha256_into", watched_into)
    monkeypatch.setattr(ciphersuite, "expand_secret_xmd", watched_expand)
    assert suite.H3(b"secret" * 8) == expected
    assert buffers
    assert not any(map(any, buffers))


def test_every_ciphersuite_is_known_by_its_id() -> None:
    assert all(CIPHERSUITES[suite].id == suite for suite in CIPHERSUITES)
