"""What the ends of a pairing say: exact, and a version is read before anything else."""

import pytest

from mpcnode.errors import DecodeError
from mpcnode.types import PeerId
from mpcnode.wire import pairing as wire
from tests.helpers.identities import key_of

EXCHANGE = wire.encode(wire.Exchange(b"S" * 33, 1))
SEALED = wire.encode(wire.Sealed(bytes(16)))
CARD = wire.encode(wire.Card(PeerId("alice"), key_of("alice"), bytes(64)))


def test_every_message_is_read_again() -> None:
    assert wire.decode_exchange(EXCHANGE) == wire.Exchange(b"S" * 33, 1)
    assert wire.decode_sealed(SEALED) == bytes(16)
    assert wire.encode(wire.decode_card(CARD)) == CARD
    assert wire.decode_end(wire.encode(wire.Met())) == wire.Met()
    assert wire.decode_end(wire.encode(wire.Declined("refused"))) == wire.Declined("refused")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"{}",
        SEALED,
        EXCHANGE.replace(b"53", b"5g", 1),
        EXCHANGE.replace(b'"53', b'"', 1),
        EXCHANGE.replace(b'"version":1', b'"version":0'),
        EXCHANGE.replace(b'"version":1', b'"version":"1"'),
        EXCHANGE.replace(b'"version":1', b'"version":1,"more":1'),
        EXCHANGE.replace(b'"version":1', b'"version":1,"version":1'),
        EXCHANGE.replace(b',"version":1', b""),
    ],
)
def test_what_does_not_begin_a_pairing_is_refused(data: bytes) -> None:
    with pytest.raises(DecodeError) as refused:
        wire.decode_exchange(data)
    assert not isinstance(refused.value, wire.OtherVersion)


@pytest.mark.parametrize("data", [b'{"type":"exchange","version":2}', b'{"type":"exchange","version":7,"more":[1]}'])
def test_another_version_is_called_that_whatever_else_it_has(data: bytes) -> None:
    with pytest.raises(wire.OtherVersion):
        wire.decode_exchange(data)


@pytest.mark.parametrize(
    "data", [b"", CARD, EXCHANGE, SEALED.replace(b"00", b"0", 1), b'{"type":"sealed","body":""}', b'{"type":"sealed"}']
)
def test_what_is_no_seal_is_refused(data: bytes) -> None:
    with pytest.raises(DecodeError):
        wire.decode_sealed(data)


def test_a_seal_is_bounded() -> None:
    with pytest.raises(DecodeError):
        wire.decode_sealed(b'{"type":"sealed","body":"' + b"00" * (wire.MAX_SEALED + 1) + b'"}')


@pytest.mark.parametrize(
    "data",
    [
        b"",
        SEALED,
        CARD.replace(b"alice", b"al ice"),
        CARD.replace(b"alice", b"a" * 65),
        CARD.replace(b'"moniker"', b'"name"'),
        CARD.replace(b'"type":"card"', b'"type":"card","last_seen":1'),
    ],
)
def test_what_is_no_card_is_refused(data: bytes) -> None:
    with pytest.raises(DecodeError):
        wire.decode_card(data)


@pytest.mark.parametrize(
    "data", [b"", CARD, b'{"type":"met","more":1}', b'{"type":"declined"}', b'{"type":"declined","code":"No"}']
)
def test_what_is_no_end_is_refused(data: bytes) -> None:
    with pytest.raises(DecodeError):
        wire.decode_end(data)
