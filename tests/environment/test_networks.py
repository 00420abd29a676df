"""Two machines on one LAN find each other whatever else they have: bridges, a VPN, no way out, IPv4 or IPv6."""

from pathlib import Path

import pytest

from tests.helpers.networks import LAN, LAN6, Machine, Network, network

pytestmark = [pytest.mark.process, pytest.mark.webrtc]


def bridges_of_docker_and_libvirt(machine: Machine) -> None:
    for name, address in (("docker0", "172.17.0.1"), ("br-1", "172.18.0.1"), ("br-2", "172.19.0.1")):
        machine.bridge(name, f"{address}/16")
    machine.bridge("virbr0", "192.168.122.1/24")


def nine_bridges(machine: Machine) -> None:
    for number in range(17, 26):
        machine.bridge(f"br-{number}", f"172.{number}.0.1/16")
        machine.shell(f"ip addr add fd{number}::1/64 dev br-{number} nodad")


def vpn_and_bridges(machine: Machine) -> None:
    bridges_of_docker_and_libvirt(machine)
    machine.bridge("br-3", "172.20.0.1/16")
    machine.bridge("br-4", "172.21.0.1/16")
    machine.tunnel(f"10.8.0.{machine.number}/24")


SURROUNDINGS = [bridges_of_docker_and_libvirt, nine_bridges, vpn_and_bridges]


def check(made: Network) -> None:
    ended = made.make_wallet()
    assert ended.code == 0, ended
    assert all(line["event"] != "link" or line["state"] != "broken" for line in ended.lines())


@pytest.mark.parametrize(
    ("surround", "families"),
    [
        pytest.param(surround, families, marks=() if (surround, families) == (nine_bridges, "4") else pytest.mark.slow)
        for surround in SURROUNDINGS
        for families in ("4", "6", "46")
    ],
)
def test_they_link_where_the_server_is_on_their_lan(tmp_path: Path, surround: object, families: str) -> None:
    assert callable(surround)
    with network(tmp_path, families=families) as made:
        for name in ("one", "other"):
            surround(made.machines[name])
        made.serve()
        check(made)


@pytest.mark.slow
@pytest.mark.parametrize("where", ["one", "other"])
def test_they_link_where_one_of_them_is_the_server_and_dials_its_own_loopback(tmp_path: Path, where: str) -> None:
    """The connection to the server says nothing of the LAN then."""
    with network(tmp_path, families="4") as made:
        for name in ("one", "other"):
            nine_bridges(made.machines[name])
        made.serve(where, host="0.0.0.0")  # noqa: S104 -- of a namespace
        port = made.urls["one"].rsplit(":", 1)[1]
        urls = dict.fromkeys(("one", "other"), f"ws://{LAN}.{made.machines[where].number}:{port}")
        urls[where] = f"ws://127.0.0.1:{port}"
        made.urls = urls
        check(made)


@pytest.mark.slow
def test_machines_that_have_ipv6_alone_link(tmp_path: Path) -> None:
    """Not even the loopback of the old family is there."""
    with network(tmp_path, families="6") as made:
        for machine in made.machines.values():
            machine.shell("ip addr del 127.0.0.1/8 dev lo")
        made.serve()
        check(made)


@pytest.mark.slow
def test_a_node_offers_the_address_that_is_named_and_no_other(tmp_path: Path) -> None:
    with network(tmp_path, families="46") as made:
        made.serve()
        ended = made.make_wallet(("--address", f"{LAN6}11", "-v"))
        ended.says(0, '"state":"active"')
        assert f"addresses offered: {LAN6}11; left out: none" in ended.err


@pytest.mark.slow
def test_an_address_of_another_machine_is_refused(tmp_path: Path) -> None:
    with network(tmp_path, families="4") as made:
        made.serve()
        ended = made.make_wallet(("--address", f"{LAN}.12"))
    ended.says(3, f"{LAN}.12 is not an address of this machine")
    assert f"hint: it has {LAN}.11" in ended.err
