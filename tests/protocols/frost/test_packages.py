"""Encodings: snapshots of each format, and whatever is not one is refused."""

from collections.abc import Callable
from typing import Any
from zlib import crc32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpcnode.crypto.ciphersuite import CIPHERSUITES, AnyCiphersuite
from mpcnode.errors import DecodeError
from mpcnode.protocols.frost import pedpop
from mpcnode.protocols.frost.packages import KeyPackage, PublicKeyPackage, Round1Package, Round2Package
from mpcnode.types import Identifier
from tests.helpers.simulate import seeded

ME = Identifier(2)
EVERYBODY = [Identifier(i) for i in (1, 2, 3)]

every_suite = pytest.mark.parametrize("suite", CIPHERSUITES.values(), ids=str)


def key_share(suite: AnyCiphersuite) -> pedpop.KeyShare:
    dealt = {i: pedpop.commit(suite, i, 2, seeded(i)) for i in EVERYBODY}
    packages = {i: package for i, (_, package) in dealt.items()}
    return pedpop.finish(suite, ME, packages, {i: f.evaluate(ME) for i, (f, _) in dealt.items()})


Codec = tuple[bytes, Callable[[bytes], Any]]


def codecs(suite: AnyCiphersuite) -> dict[str, Codec]:
    """Each package's bytes, and what takes them."""
    share = key_share(suite)
    round1 = pedpop.commit(suite, ME, 2, seeded("package"))[1]
    round2 = Round2Package(suite, suite.group.scalar(0xC0FFEE))
    return {
        "round 1": (round1.encode(), lambda data: Round1Package.decode(suite, 2, data)),
        "round 2": (bytes(round2.encode()), lambda data: Round2Package.decode(suite, data)),
        "key": (bytes(share.key.encode()), lambda data: KeyPackage.decode(suite, data)),
        "public key": (share.public.encode(), lambda data: PublicKeyPackage.decode(suite, data)),
    }


ALL = [(suite, name) for suite in CIPHERSUITES.values() for name in codecs(suite)]
every_package = pytest.mark.parametrize(("suite", "name"), ALL, ids=str)


@every_package
def test_its_bytes_come_back(suite: AnyCiphersuite, name: str) -> None:
    data, decode = codecs(suite)[name]
    assert bytes(decode(data).encode()) == data


@every_package
def test_it_is_refused_truncated_at_every_byte_and_with_a_byte_more(suite: AnyCiphersuite, name: str) -> None:
    data, decode = codecs(suite)[name]
    # Without its last two bytes a public key package is what frost-core wrote before version 3.
    old = len(data) - 2 if name == "public key" else None
    for size in range(len(data)):
        if size != old:
            with pytest.raises(DecodeError):
                decode(data[:size])
    with pytest.raises(DecodeError):
        decode(data + b"\x00")


@every_package
def test_another_version_or_suite_is_refused(suite: AnyCiphersuite, name: str) -> None:
    data, decode = codecs(suite)[name]
    assert data[:5] == b"\x00" + crc32(suite.id.encode()).to_bytes(4, "big")
    for header in (b"\x01" + data[1:5], data[:1] + bytes(4), data[4::-1]):
        with pytest.raises(DecodeError, match="version 0"):
            decode(header + data[5:])


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(ALL), st.binary(max_size=200))
def test_bytes_are_a_package_or_a_decode_error(which: tuple[AnyCiphersuite, str], tail: bytes) -> None:
    suite, name = which
    valid, decode = codecs(suite)[name]
    data = valid[:5] + tail
    try:
        package = decode(data)
    except DecodeError:
        return
    assert bytes(package.encode()) == data


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(ALL), st.data())
def test_a_changed_package_is_refused_or_another_one(which: tuple[AnyCiphersuite, str], draw: st.DataObject) -> None:
    suite, name = which
    valid, decode = codecs(suite)[name]
    data = bytearray(valid)
    data[draw.draw(st.integers(0, len(data) - 1))] ^= 1 << draw.draw(st.integers(0, 7))
    try:
        package = decode(bytes(data))
    except DecodeError:
        return
    assert bytes(package.encode()) == data


def test_the_formats_are_fixed_for_good() -> None:
    suite = next(iter(CIPHERSUITES.values()))
    share = suite.group.scalar(7)
    assert Round2Package(suite, share).encode().hex() == "00b169f0da" + "07" + "00" * 31
    Y, Q = suite.group.scalar_base_mult(share), suite.group.generator
    key = KeyPackage(suite, ME, share, Y, Q, 2)
    identifier = "02" + "00" * 31
    assert key.encode().hex() == (f"00b169f0da{identifier}07{'00' * 31}{Y.encode().hex()}{Q.encode().hex()}02")
    public = PublicKeyPackage(suite, {ME: Y, Identifier(3): Q}, Q, 2)
    tail = f"02{identifier}{Y.encode().hex()}03{'00' * 31}{Q.encode().hex()}{Q.encode().hex()}0102"
    assert public.encode().hex() == "00b169f0da" + tail


@every_suite
def test_a_round_1_package_has_the_size_it_says(suite: AnyCiphersuite) -> None:
    for threshold in (2, 3, 5):
        package = pedpop.commit(suite, ME, threshold, seeded(threshold))[1]
        assert len(package.encode()) == Round1Package.size(suite, threshold)


@every_suite
@pytest.mark.parametrize("threshold", [1, 3])
def test_a_commitment_of_another_length_is_refused(suite: AnyCiphersuite, threshold: int) -> None:
    data = pedpop.commit(suite, ME, 2, seeded(0))[1].encode()
    with pytest.raises(DecodeError, match=f"exactly {threshold}"):
        Round1Package.decode(suite, threshold, data)


def test_a_commitment_to_zero_is_refused() -> None:
    suite = next(iter(CIPHERSUITES.values()))
    data = bytearray(pedpop.commit(suite, ME, 2, seeded(0))[1].encode())
    for at in (6, 38):
        wrong = data[:at] + b"\x01" + bytes(31) + data[at + 32 :]
        with pytest.raises(DecodeError, match="prime-order"):
            Round1Package.decode(suite, 2, bytes(wrong))


def test_a_number_has_one_encoding() -> None:
    suite = next(iter(CIPHERSUITES.values()))
    data = pedpop.commit(suite, ME, 2, seeded(0))[1].encode()
    for number in (b"\x82\x00", b"\x82\x80\x00", b"\x82\x80\x80\x00", b"\xff\xff\xff", b"\xff\xff\x04"):
        with pytest.raises(DecodeError, match="a number"):
            Round1Package.decode(suite, 2, data[:5] + number + data[6:])


@every_suite
def test_a_key_package_whose_parts_do_not_belong_together_is_refused(suite: AnyCiphersuite) -> None:
    key = key_share(suite).key
    data = bytearray(key.encode())
    start = 5 + 32
    other = (key.signing_share + suite.group.scalar(1)).encode()
    with pytest.raises(DecodeError, match="not that of the signing share"):
        KeyPackage.decode(suite, data[:start] + other + data[start + 32 :])


@every_suite
@pytest.mark.parametrize("identifier", [0, 65, -1])
def test_an_identifier_out_of_range_is_refused(suite: AnyCiphersuite, identifier: int) -> None:
    data = key_share(suite).key.encode()
    with pytest.raises(DecodeError, match="1 to 64"):
        KeyPackage.decode(suite, data[:5] + suite.encode_identifier(Identifier(identifier)) + data[37:])


@every_suite
@pytest.mark.parametrize("threshold", [0, 1, 65])
def test_a_threshold_out_of_range_is_refused(suite: AnyCiphersuite, threshold: int) -> None:
    share = key_share(suite)
    with pytest.raises(DecodeError, match="threshold"):
        KeyPackage.decode(suite, share.key.encode()[:-1] + bytes([threshold]))
    with pytest.raises(DecodeError, match="threshold"):
        PublicKeyPackage.decode(suite, share.public.encode()[:-1] + bytes([threshold]))


@every_suite
def test_verifying_shares_come_in_order_each_once(suite: AnyCiphersuite) -> None:
    data = key_share(suite).public.encode()
    size = 32 + suite.group.element_size
    first, second = data[6 : 6 + size], data[6 + size : 6 + 2 * size]
    for wrong in (second + first, first + first):
        with pytest.raises(DecodeError, match="ascending"):
            PublicKeyPackage.decode(suite, data[:6] + wrong + data[6 + 2 * size :])


@every_suite
def test_a_public_key_package_has_2_to_64_participants_and_writes_no_absent_threshold(suite: AnyCiphersuite) -> None:
    data = key_share(suite).public.encode()
    for total in (0, 1, 65):
        with pytest.raises(DecodeError, match="2 to 64"):
            PublicKeyPackage.decode(suite, data[:5] + bytes([total]) + data[6:])
    with pytest.raises(DecodeError, match="absent"):
        PublicKeyPackage.decode(suite, data[:-2] + b"\x00")
    old = PublicKeyPackage.decode(suite, data[:-2])
    assert old.threshold is None
    assert old.encode() == data[:-2]


@every_suite
def test_secrets_are_not_shown(suite: AnyCiphersuite) -> None:
    secret = suite.group.scalar(0xC0FFEE)
    key = KeyPackage(suite, ME, secret, suite.group.generator, suite.group.generator, 2)
    for package in (Round2Package(suite, secret), key, key_share(suite)):
        assert "c0ffee" not in repr(package).lower()
        assert "redacted" in repr(package)
    key.wipe()
    assert secret.is_zero()
