"""The bytes of commitments, signing packages and shares: the Zcash Foundation's, and nothing else decodes."""

import base64
from collections.abc import Callable
from zlib import crc32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nacl.bindings import crypto_core_ed25519_add

from mpcnode.crypto.ciphersuite import CIPHERSUITES, AnyCiphersuite
from mpcnode.errors import DecodeError
from mpcnode.protocols.frost import round1
from mpcnode.protocols.frost.signing_packages import SignatureShare, SigningCommitments, SigningPackage
from mpcnode.types import Identifier, SuiteId
from tests.helpers.signing import ED25519, PLAIN, wallet
from tests.helpers.simulate import seeded

every_suite = pytest.mark.parametrize("suite", CIPHERSUITES.values(), ids=str)
suites = st.sampled_from(list(CIPHERSUITES.values()))


def commitments(suite: AnyCiphersuite, seed: object = 0) -> SigningCommitments:
    return round1.commit(suite, suite.group.scalar(7), seeded(seed)).commitments


def package(
    suite: AnyCiphersuite, message: bytes = b"hello world", signers: tuple[int, ...] = (1, 3)
) -> SigningPackage:
    return SigningPackage(suite, {Identifier(i): commitments(suite, i) for i in signers}, message)


def header(suite: AnyCiphersuite) -> bytes:
    return b"\x00" + crc32(suite.id.encode()).to_bytes(4, "big")


@every_suite
def test_commitments_are_header_hiding_binding(suite: AnyCiphersuite) -> None:
    pair = commitments(suite)
    data = pair.encode()
    assert data == header(suite) + pair.hiding.encode() + pair.binding.encode()
    assert len(data) == SigningCommitments.size(suite)
    assert SigningCommitments.decode(suite, data) == pair


@every_suite
def test_a_package_is_header_commitments_by_identifier_message(suite: AnyCiphersuite) -> None:
    signing = package(suite)
    listed = b"".join(suite.encode_identifier(Identifier(i)) + commitments(suite, i).encode() for i in (1, 3))
    assert signing.encode() == header(suite) + b"\x02" + listed + b"\x0bhello world"


@every_suite
def test_a_share_is_its_scalar_and_no_more(suite: AnyCiphersuite) -> None:
    share = SignatureShare(suite, suite.group.scalar(7))
    assert share.encode() == suite.group.scalar(7).encode()
    assert SignatureShare.decode(suite, share.encode()) == share


@pytest.mark.parametrize("suite_id", [ED25519, PLAIN])
def test_commitments_and_shares_of_frost_rs_decode_to_the_same_bytes(suite_id: SuiteId) -> None:
    frost_rs = pytest.importorskip("frost_rs", reason="the Zcash Foundation's code is not installed")
    binding = {ED25519: frost_rs.utility_ed25519, PLAIN: frost_rs.utility_secp256k1}[suite_id]
    suite = CIPHERSUITES[suite_id]
    nonces, sent = {}, {}
    keys = {i: base64.urlsafe_b64encode(share.key.encode()).decode() for i, share in wallet(suite_id, 2, 2).items()}
    for i, key in keys.items():
        name = base64.urlsafe_b64encode(suite.encode_identifier(i)).decode()
        nonces[i], sent[name] = binding.preprocess(key)
    for text in sent.values():
        data = base64.urlsafe_b64decode(text)
        assert SigningCommitments.decode(suite, data).encode() == data
    for i, key in keys.items():
        data = base64.urlsafe_b64decode(binding.sign(b"hello", sent, nonces[i], key))
        assert SignatureShare.decode(suite, data).encode() == data


def test_a_package_lists_its_signers_in_ascending_order() -> None:
    suite = CIPHERSUITES[ED25519]
    signing = SigningPackage(suite, {Identifier(i): commitments(suite, i) for i in (9, 1, 4)}, b"")
    assert list(signing.commitments) == [1, 4, 9]
    with pytest.raises(TypeError):
        signing.commitments[Identifier(2)] = commitments(suite)  # type: ignore[index]


@given(suites, st.sets(st.integers(1, 64), min_size=1, max_size=5), st.binary(max_size=300))
@settings(max_examples=40, deadline=None)
def test_a_package_survives_its_bytes(suite: AnyCiphersuite, signers: set[int], message: bytes) -> None:
    signing = package(suite, message, tuple(signers))
    decoded = SigningPackage.decode(suite, signing.encode())
    assert decoded == signing
    assert decoded.encode() == signing.encode()


def test_the_longest_message_survives_its_bytes() -> None:
    signing = package(CIPHERSUITES[ED25519], bytes(0xFFFF))
    assert SigningPackage.decode(CIPHERSUITES[ED25519], signing.encode()) == signing


Change = Callable[[AnyCiphersuite, bytes], bytes]


@pytest.mark.parametrize(
    "change",
    [
        lambda _suite, data: data[:-1],
        lambda _suite, data: data + b"\x00",
        lambda _suite, data: b"\x01" + data[1:],
        lambda _suite, data: data[:1] + b"\x00" + data[2:],
        lambda _suite, _data: b"",
    ],
    ids=["truncated", "extended", "version", "suite", "nothing"],
)
@every_suite
def test_what_is_no_message_of_ours_is_refused(suite: AnyCiphersuite, change: Change) -> None:
    with pytest.raises(DecodeError):
        SigningCommitments.decode(suite, change(suite, commitments(suite).encode()))
    with pytest.raises(DecodeError):
        SigningPackage.decode(suite, change(suite, package(suite).encode()))


def identity(suite: AnyCiphersuite) -> bytes:
    return b"\x01" + bytes(31) if suite.id == ED25519 else bytes(33)


@every_suite
@pytest.mark.parametrize("place", [0, 1])
def test_the_identity_is_no_commitment(suite: AnyCiphersuite, place: int) -> None:
    data = commitments(suite).encode()
    at = 5 + place * suite.group.element_size
    with pytest.raises(DecodeError):
        SigningCommitments.decode(suite, data[:at] + identity(suite) + data[at + suite.group.element_size :])


def test_a_point_of_mixed_order_is_no_commitment() -> None:
    suite = CIPHERSUITES[ED25519]
    pair = commitments(suite)
    order_two = (2**255 - 20).to_bytes(32, "little")
    mixed = crypto_core_ed25519_add(pair.hiding.encode(), order_two)
    with pytest.raises(DecodeError, match="subgroup"):
        SigningCommitments.decode(suite, pair.encode()[:5] + mixed + pair.binding.encode())


@every_suite
def test_signers_out_of_order_twice_or_out_of_range_are_refused(suite: AnyCiphersuite) -> None:
    pair = commitments(suite).encode()
    one, two = (suite.encode_identifier(Identifier(i)) + pair for i in (1, 2))
    zero = suite.group.scalar(0).encode() + pair
    high = suite.encode_identifier(Identifier(65)) + pair
    for listed in ([two, one], [one, one], [zero, one], [one, high]):
        with pytest.raises(DecodeError):
            SigningPackage.decode(suite, header(suite) + bytes([len(listed)]) + b"".join(listed) + b"\x00")
    with pytest.raises(DecodeError, match="1 to 64 signers"):
        SigningPackage.decode(suite, header(suite) + b"\x00" + b"\x00")


@every_suite
def test_a_share_that_is_no_canonical_scalar_is_refused(suite: AnyCiphersuite) -> None:
    order = suite.group.order.to_bytes(32, "little" if suite.id == ED25519 else "big")
    for data in (order, b"\xff" * 32, bytes(31), bytes(33), b""):
        with pytest.raises(DecodeError):
            SignatureShare.decode(suite, data)


@given(suites, st.binary(max_size=200), st.sampled_from(["bare", "headed"]))
@settings(max_examples=150, deadline=None)
def test_arbitrary_bytes_decode_or_raise_what_is_documented(suite: AnyCiphersuite, data: bytes, form: str) -> None:
    data = header(suite) + data if form == "headed" else data
    for decode in (SigningCommitments.decode, SigningPackage.decode, SignatureShare.decode):
        try:
            decoded = decode(suite, data)
        except DecodeError:
            continue
        assert decoded.encode() == data
