"""The sealed body of a wallet file: one encoding, strict, and nothing of it left in memory."""

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpcnode.errors import DecodeError
from mpcnode.types import EpochId, SuiteId
from mpcnode.wallet import secret as module
from mpcnode.wallet.secret import MAX_SECRET, MAX_SHARES, Share, WalletSecret

FIRST, SECOND = EpochId(b"\x01" * 32), EpochId(b"\x02" * 32)
A, BB = SuiteId("A"), SuiteId("BB")


def share(epoch_id: EpochId = FIRST, suite: SuiteId = A, *, data: bytes = b"\x11\x12") -> Share:
    return Share(epoch_id, suite, "frost", bytearray(data))


def secret(*shares: Share) -> WalletSecret:
    given = shares or (share(SECOND), share(FIRST, BB, data=b"\x21"), share())
    return WalletSecret(given, chain_code=bytearray(b"\xcc" * 32), document_key=bytearray(b"\xdd" * 32))


def buffers(of: WalletSecret) -> list[bytearray]:
    return [*(one.data for one in of.shares), of.chain_code, of.document_key]


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[bytearray]:
    """Every buffer that decoding takes from what it is given, as it is at the end."""
    taken: list[bytearray] = []

    class Watched(bytearray):
        def __getitem__(self, item: Any) -> Any:
            found = super().__getitem__(item)
            if isinstance(item, slice):
                found = bytearray(found)
                taken.append(found)
            return found

    real = WalletSecret.decode.__func__  # type: ignore[attr-defined]
    monkeypatch.setattr(WalletSecret, "decode", classmethod(lambda cls, data: real(cls, Watched(data))))
    return taken


def test_the_encoding_is_this_and_no_other() -> None:
    assert secret().encode() == (
        b"\x01" + b"\xcc" * 32 + b"\xdd" * 32 + b"\x00\x03"
        + FIRST + b"\x01A" + b"\x05frost" + b"\x00\x00\x00\x02\x11\x12"
        + FIRST + b"\x02BB" + b"\x05frost" + b"\x00\x00\x00\x01\x21"
        + SECOND + b"\x01A" + b"\x05frost" + b"\x00\x00\x00\x02\x11\x12"
    )  # fmt: skip


def test_a_secret_survives_its_encoding() -> None:
    data = secret().encode()
    decoded = WalletSecret.decode(data)
    data[:] = bytes(len(data))  # the caller wipes what it gave, and the secret keeps its own
    assert decoded.encode() == secret().encode()
    assert decoded.shares == secret().shares
    assert decoded.share(FIRST, BB).data == b"\x21"
    assert bytes(decoded.chain_code) == b"\xcc" * 32
    assert bytes(decoded.document_key) == b"\xdd" * 32


def test_a_share_of_megabytes_survives() -> None:
    data = random.Random(1).randbytes(3 << 20)
    assert WalletSecret.decode(secret(share(data=data)).encode()).share(FIRST, A).data == data


START = b"\x01" + bytes(64)
ONE = FIRST + b"\x01A" + b"\x05frost" + b"\x00\x00\x00\x01\x11"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x02" + bytes(64) + b"\x00\x01" + ONE,
        START,
        START + b"\x00\x00",
        START + b"\x00\x01" + ONE + b"\x00",
        START + b"\x00\x02" + ONE + ONE,
        START + b"\x00\x02" + ONE.replace(b"\x01A", b"\x01B") + ONE,
        START + b"\x00\x02" + SECOND + ONE[32:] + ONE,
        START + b"\x00\x01" + FIRST + b"\x00" + b"\x05frost" + b"\x00\x00\x00\x01\x11",
        START + b"\x00\x01" + FIRST + b"\x01\xff" + b"\x05frost" + b"\x00\x00\x00\x01\x11",
        START + b"\x00\x01" + FIRST + b"\x01A" + b"\x00" + b"\x00\x00\x00\x01\x11",
        START + b"\x00\x01" + FIRST + b"\x01A" + b"\x05frost" + b"\x00\x00\x00\x00",
        START + b"\x00\x01" + FIRST + b"\x01A" + b"\x05frost" + b"\xff\xff\xff\xff\x11",
        START + b"\xff\xff" + ONE,
    ],
)
def test_what_is_not_a_secret_is_refused_and_nothing_of_it_is_left(data: bytes, made: list[bytearray]) -> None:
    with pytest.raises(DecodeError):
        WalletSecret.decode(bytearray(data))
    assert all(part == bytes(len(part)) for part in made)


def test_a_truncated_secret_is_refused_at_every_length_and_nothing_of_it_is_left(made: list[bytearray]) -> None:
    data = secret().encode()
    for size in range(len(data)):
        with pytest.raises(DecodeError):
            WalletSecret.decode(data[:size])
    assert len(made) > 100
    assert all(part == bytes(len(part)) for part in made)


def test_a_secret_longer_than_its_bound_is_refused_before_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    data = secret().encode()
    monkeypatch.setattr(module, "MAX_SECRET", 200)
    with pytest.raises(DecodeError, match="at most 200 bytes"):
        WalletSecret.decode(data)
    long = share(data=b"\x11" * 201)
    with pytest.raises(ValueError, match="at most 200 bytes"):
        secret(long)
    assert long.data == bytes(201)


@given(st.binary(max_size=200) | st.binary(max_size=120).map(lambda rest: START + b"\x00\x01" + FIRST + rest))
@settings(max_examples=200)
def test_only_a_decode_error_escapes_from_arbitrary_bytes(data: bytes) -> None:
    try:
        decoded = WalletSecret.decode(bytearray(data))
    except DecodeError:
        return
    assert decoded.encode() == data


@pytest.mark.parametrize(
    "fields",
    [
        {"epoch_id": b"\x01" * 31},
        {"suite": ""},
        {"suite": "é"},
        {"suite": "x" * 256},
        {"protocol": ""},
        {"protocol": "é"},
        {"data": bytearray()},
    ],
    ids=str,
)
def test_a_share_that_cannot_be_is_refused_and_wiped(fields: dict[str, Any]) -> None:
    data = bytearray(b"\x11" * 32)
    with pytest.raises(ValueError, match=r"epoch id|ASCII|one byte"):
        Share(**({"epoch_id": FIRST, "suite": A, "protocol": "frost", "data": data} | fields))
    assert data == bytes(32) or fields == {"data": bytearray()}


@pytest.mark.parametrize("sizes", [(31, 32), (32, 33), (0, 32)])
def test_a_secret_that_cannot_be_is_refused_and_wiped(sizes: tuple[int, int]) -> None:
    held = [bytearray(b"\x11" * size) for size in sizes]
    one = share()
    with pytest.raises(ValueError, match="32 bytes"):
        WalletSecret([one], chain_code=held[0], document_key=held[1])
    assert [*held, one.data] == [bytes(sizes[0]), bytes(sizes[1]), bytes(2)]


def test_a_secret_has_each_share_once_and_not_too_many() -> None:
    for shares in ([], [share(), share()], [share(EpochId(n.to_bytes(32, "big"))) for n in range(MAX_SHARES + 1)]):
        with pytest.raises(ValueError, match="share"):
            WalletSecret(shares, chain_code=bytearray(32), document_key=bytearray(32))
        assert all(one.data == bytes(2) for one in shares)


def test_a_share_that_is_there_is_not_replaced() -> None:
    held, new = secret(), share()
    with pytest.raises(ValueError, match="one share"):
        held.add([new])
    assert new.data == bytes(2)
    assert held.encode() == secret().encode()
    held.add([share(SECOND, BB)])
    assert [one.order for one in held.shares] == [(FIRST, A), (FIRST, BB), (SECOND, A), (SECOND, BB)]


def test_the_shares_of_other_epochs_are_wiped_and_no_longer_encoded() -> None:
    held = secret()
    old = [one.data for one in held.shares if one.epoch_id == FIRST]
    held.keep({SECOND})
    assert old == [bytes(2), bytes(1)]
    assert held.encode() == secret(share(SECOND)).encode()
    with pytest.raises(KeyError):
        held.share(FIRST, A)


def test_a_wiped_secret_is_zeros_and_none_is_ever_shown() -> None:
    held = secret()
    for shown in (repr(held), repr(held.shares)):
        assert "\\x11" not in shown
        assert "\\xcc" not in shown
    parts = buffers(held)
    held.wipe()
    assert all(part == bytes(len(part)) for part in parts)


def test_the_bounds_are_what_the_file_has_room_for() -> None:
    assert MAX_SECRET == 16 << 20
