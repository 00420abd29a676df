import pytest

from mpcnode.mesh.transport import Answer, IceCandidate, MeshTimeouts, Offer, Signal, from_relay, to_relay
from mpcnode.wire import relay
from tests.helpers.meshes import SESSION

EVERY: list[Signal] = [Offer("sdp", 1), Answer("sdp", 2), IceCandidate("candidate", "0", 0, 3)]


@pytest.mark.parametrize("signal", EVERY, ids=lambda signal: type(signal).__name__)
def test_a_signal_goes_through_the_relay_unchanged(signal: Signal) -> None:
    data = relay.encode_envelope(SESSION, 1_900_000_000_000, 0, relay.encode_message(to_relay(SESSION, signal)))
    message = relay.decode_message(relay.decode_envelope(data))
    assert isinstance(message, relay.Offer | relay.Answer | relay.IceCandidate)
    assert from_relay(message) == signal


def test_a_dead_peer_is_named_within_ten_seconds() -> None:
    times = MeshTimeouts()
    assert times.dead + 2 * times.tick < 10
    assert times.ping < times.quiet < times.dead
