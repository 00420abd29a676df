import ipaddress
import socket

import pytest

from mpcnode.mesh import addresses
from mpcnode.mesh.addresses import LOOPBACK, MAX_ADDRESSES, choose


def test_the_loopback_policy_offers_the_loopback_and_nothing_else() -> None:
    assert choose("loopback", default=["192.0.2.7"], others=["192.0.2.8"]) == [LOOPBACK]


def test_where_the_way_out_starts_comes_first() -> None:
    assert choose("auto", default=["10.0.0.9"], others=["10.0.0.1", "10.0.0.9"]) == ["10.0.0.9", "10.0.0.1"]


def test_a_machine_with_eighteen_addresses_offers_a_few() -> None:
    many = [f"172.{number}.0.1" for number in range(17, 34)]
    chosen = choose("auto", default=["10.0.0.9"], others=many)
    assert chosen[0] == "10.0.0.9"
    assert len(chosen) == MAX_ADDRESSES


def test_what_nobody_else_can_reach_is_not_offered() -> None:
    useless = ["127.0.0.1", "::1", "169.254.1.1", "fe80::1", "0.0.0.0", "224.0.0.1"]  # noqa: S104 (never bound)
    assert choose("auto", default=useless, others=[*useless, "10.0.0.1"]) == ["10.0.0.1"]


def test_a_machine_with_nothing_else_offers_its_loopback() -> None:
    assert choose("auto", default=[], others=["127.0.0.1", "::1"]) == [LOOPBACK]


def test_the_system_says_what_it_would_send_from() -> None:
    for address in addresses.default_addresses():
        ipaddress.ip_address(address)


def test_a_machine_without_a_way_out_has_no_default(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object) -> None:
        raise OSError(101, "network is unreachable")

    monkeypatch.setattr(socket.socket, "connect", unreachable)
    assert addresses.default_addresses() == []
