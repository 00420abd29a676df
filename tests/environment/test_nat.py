"""Two machines that are each behind a symmetric NAT: the error says what would help, and where."""

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.helpers.networks import Network, network

pytestmark = [pytest.mark.process, pytest.mark.webrtc, pytest.mark.slow]

WORLD = "203.0.113"
NAT = Path(__file__).with_name("nat.py")
INSIDE = {"one": "10.1.0.2", "other": "10.2.0.2"}


@contextmanager
def behind_nats(path: Path) -> Iterator[Network]:
    """The LAN is for signaling alone: links start at ``tun0``, behind which there is a NAT of their own."""
    with network(path, families="4") as made:
        if shutil.which("turnserver") is None:
            pytest.skip("turnserver is not installed: make ci-tools")
        world = made.machines["server"]
        world.shell(f"for n in 1 11 12; do ip addr add {WORLD}.$n/32 dev lo; done")
        for name, inside in INSIDE.items():
            machine = made.machines[name]
            machine.start(sys.executable, str(NAT), world.name, f"{WORLD}.{machine.number}").readline()
            machine.shell(f"ip addr add {inside}/24 dev tun0; ip link set tun0 up; ip route add {WORLD}.0/24 dev tun0")
            machine.shell("ip route add 10.0.0.0/8 dev tun0")
        world.start(
            *("turnserver", "--no-cli", "--no-tls", "--no-dtls", "--listening-ip", f"{WORLD}.1"),
            *("--relay-ip", f"{WORLD}.1", "--lt-cred-mech", "--user", "ana:secret", "--realm", "mpcnode.example"),
            *("--log-file", "stdout", "--simple-log", "--pidfile", str(path / "turn.pid"), "--no-rfc5780"),
            *("--userdb", str(path / "turn.db"), "-c", "/dev/null", "--allow-loopback-peers"),
        )
        (path / "turn.json").write_text(
            f'[{{"urls": ["turn:{WORLD}.1:3478"], "username": "ana", "credential": "secret"}}]'
        )
        made.serve()
        yield made


def with_address(name: str, *more: str) -> tuple[str, ...]:
    return ("--address", INSIDE[name], *more)


def test_behind_two_symmetric_nats_stun_is_not_enough_and_the_error_names_turn(tmp_path: Path) -> None:
    stun = ("--ice-server", f"stun:{WORLD}.1:3478", "--link-seconds", "6")
    with behind_nats(tmp_path) as made:
        ended = made.make_wallet(with_address("one", *stun), with_address("other", *stun))
    ended.says(5, "where STUN is not enough, a TURN server relays: --ice-server turn:... on one side")
    assert "1 srflx" in ended.err, ended  # STUN did its part


def test_a_relay_on_one_side_is_of_no_use_where_the_other_does_not_know_where_it_is_seen(tmp_path: Path) -> None:
    """The relay lets in only those addresses that its node was told of."""
    with behind_nats(tmp_path) as made:
        turn = ("--ice-server", f"@{tmp_path}/turn.json", "--link-seconds", "6")
        ended = made.make_wallet(with_address("one", *turn), with_address("other", "--link-seconds", "6"))
    ended.says(5, "the other node offers no address outside its own network: give it --ice-server as well")
