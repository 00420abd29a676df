import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpcnode.errors import DecodeError
from mpcnode.types import SuiteId
from mpcnode.wallet.secret import WalletSecret

A, B = SuiteId("A"), SuiteId("BB")


def secret() -> WalletSecret:
    return WalletSecret({B: bytearray(b"\x02" * 32), A: bytearray(b"\x01" * 32)})


def test_the_encoding_is_this_and_no_other() -> None:
    assert secret().encode() == b"\x01\x02" + b"\x01A" + b"\x01" * 32 + b"\x02BB" + b"\x02" * 32


def test_a_secret_survives_its_encoding() -> None:
    data = secret().encode()
    decoded = WalletSecret.decode(data)
    assert decoded.shares == secret().shares
    data[:] = bytes(len(data))  # the caller wipes what it gave, and the secret keeps its own
    assert decoded.shares == secret().shares


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x01",
        b"\x01\x00",
        b"\x02\x01\x01A" + bytes(32),
        b"\x01\x01\x00" + bytes(32),
        b"\x01\x01\x01\xff" + bytes(32),
        b"\x01\x01\x01A" + bytes(33),
        b"\x01\x02\x01A" + bytes(32) + b"\x01A" + bytes(32),
        b"\x01\x02\x01B" + bytes(32) + b"\x01A" + bytes(32),
        b"\x01\x03" + bytes(secret().encode()[2:]),
        b"\x01\x01" + bytes(secret().encode()[2:]),
    ],
)
def test_what_is_not_a_secret_is_refused(data: bytes) -> None:
    with pytest.raises(DecodeError):
        WalletSecret.decode(bytearray(data))


def test_a_truncated_secret_is_refused_at_every_length() -> None:
    data = secret().encode()
    for size in range(len(data)):
        with pytest.raises(DecodeError):
            WalletSecret.decode(data[:size])


@given(st.binary(max_size=120))
@settings(max_examples=100)
def test_only_a_decode_error_escapes_from_arbitrary_bytes(data: bytes) -> None:
    try:
        decoded = WalletSecret.decode(bytearray(data))
    except DecodeError:
        return
    assert decoded.encode() == data


@pytest.mark.parametrize(
    "shares", [{}, {A: bytearray(31)}, {SuiteId(""): bytearray(32)}, {SuiteId("é"): bytearray(32)}]
)
def test_a_secret_that_cannot_be_is_refused(shares: dict[SuiteId, bytearray]) -> None:
    with pytest.raises(ValueError, match=r"."):
        WalletSecret(shares)


def test_a_wiped_secret_is_zeros_and_none_is_ever_shown() -> None:
    shares = secret()
    assert "\\x01" not in repr(shares)
    assert "01" not in repr(shares)
    held = list(shares.shares.values())
    shares.wipe()
    assert held == [bytearray(32), bytearray(32)]
