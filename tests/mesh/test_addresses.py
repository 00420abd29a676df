import ipaddress
import socket
from pathlib import Path

import pytest

from mpcnode.mesh import addresses
from mpcnode.mesh.addresses import LOOPBACK, MAX_ADDRESSES, Own, choose


def bridges(count: int) -> list[Own]:
    return [Own(f"172.{number}.0.1", f"br-{number}", inner=True) for number in range(17, 17 + count)]


def test_the_loopback_policy_offers_the_loopback_and_nothing_else() -> None:
    chosen = choose("loopback", signaling="192.0.2.6", default=["192.0.2.7"], others=[Own("192.0.2.8")])
    assert chosen.offered == (LOOPBACK,)


def test_where_the_connection_to_the_server_starts_comes_first_then_what_reaches_the_peer_then_the_ways_out() -> None:
    others = [Own("10.0.0.1"), Own("10.0.0.2"), Own("10.0.0.3"), Own("10.0.0.4")]
    chosen = choose("auto", signaling="10.0.0.4", reaching=["10.0.0.3"], default=["10.0.0.2"], others=others)
    assert chosen.offered == ("10.0.0.4", "10.0.0.3", "10.0.0.2", "10.0.0.1")


def test_bridges_inside_the_machine_come_last_however_they_are_written() -> None:
    chosen = choose("auto", others=[*bridges(9), Own("192.168.77.2", "eth0"), Own("fd77::2", "eth0")])
    assert chosen.offered[:2] == ("192.168.77.2", "fd77::2")


def test_a_way_to_the_peer_that_starts_on_a_bridge_inside_the_machine_comes_after_one_that_leaves_it() -> None:
    others = [*bridges(1), Own("192.168.77.2", "eth0")]
    chosen = choose("auto", reaching=["172.17.0.1", "192.168.77.2"], others=others)
    assert chosen.offered == ("192.168.77.2", "172.17.0.1")


def test_every_interface_and_family_has_its_turn_before_any_has_a_second_one() -> None:
    others = [Own(f"fd00::{number}", "eth0") for number in range(1, 9)]
    others += [Own("10.0.0.1", "eth0"), Own("10.0.1.1", "wlan0")]
    assert set(choose("auto", others=others).offered[:3]) == {"fd00::1", "10.0.0.1", "10.0.1.1"}


def test_a_machine_with_eighteen_addresses_offers_a_few_and_says_what_it_left_out() -> None:
    many = bridges(17)
    chosen = choose("auto", default=["10.0.0.9"], others=many)
    assert chosen.offered[0] == "10.0.0.9"
    assert len(chosen.offered) == MAX_ADDRESSES
    assert {*chosen.offered, *chosen.left_out} == {"10.0.0.9", *(own.text for own in many)}


def test_what_the_user_names_is_offered_and_nothing_else() -> None:
    others = [Own("10.0.0.1"), Own("10.0.0.2"), Own("fd00::2")]
    chosen = choose("auto", signaling="10.0.0.1", others=others, named=["fd00::2", "10.0.0.2"])
    assert chosen.offered == ("fd00::2", "10.0.0.2")


def test_of_what_the_user_names_only_addresses_of_this_machine_are_offered() -> None:
    assert choose("auto", others=[Own("10.0.0.1")], named=["192.0.2.9"]).offered == ()


def test_what_nobody_else_can_reach_is_not_offered() -> None:
    useless = ["127.0.0.1", "::1", "169.254.1.1", "fe80::1", "0.0.0.0", "224.0.0.1"]  # noqa: S104 (never bound)
    others = [*map(Own, useless), Own("10.0.0.1")]
    assert choose("auto", signaling="127.0.0.1", default=useless, others=others).offered == ("10.0.0.1",)


def test_a_machine_with_nothing_else_offers_its_loopback() -> None:
    assert choose("auto", others=[Own("127.0.0.1"), Own("::1")]).offered == (LOOPBACK,)


def test_the_system_says_what_it_would_send_from() -> None:
    for address in addresses.default_addresses():
        ipaddress.ip_address(address)


def test_no_way_starts_at_an_address_that_the_peer_has_too() -> None:
    """Every Docker host has 172.17.0.1; that a way to it starts there says nothing."""
    assert addresses.sources_towards(["127.0.0.1"]) == []
    assert addresses.sources_towards(["127.0.0.2"]) in ([], ["127.0.0.1"])


def test_a_machine_without_a_way_out_has_no_default(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object) -> None:
        raise OSError(101, "network is unreachable")

    monkeypatch.setattr(socket.socket, "connect", unreachable)
    assert addresses.default_addresses() == []


def test_the_machine_has_addresses_with_their_interfaces() -> None:
    found = addresses.machine_addresses()
    assert LOOPBACK in {own.text for own in found}
    assert all(own.interface for own in found)


@pytest.mark.parametrize(("ports", "inner"), [([], True), (["veth1"], True), (["veth1", "enp3s0"], False)])
def test_a_bridge_is_inside_the_machine_unless_a_device_is_on_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ports: list[str], *, inner: bool
) -> None:
    (tmp_path / "br0" / "bridge").mkdir(parents=True)
    (tmp_path / "br0" / "brif").mkdir()
    for port in ports:
        (tmp_path / port).mkdir()
        (tmp_path / "br0" / "brif" / port).mkdir()
    if "enp3s0" in ports:
        (tmp_path / "enp3s0" / "device").mkdir()
    monkeypatch.setattr(addresses, "_INTERFACES", tmp_path)
    assert addresses._is_inner("br0") is inner
    assert not addresses._is_inner("gone")
