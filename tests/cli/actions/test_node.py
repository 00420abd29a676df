"""Being a node: what the options of a command say reaches the node."""

from pathlib import Path
from typing import Any

import pytest

from mpcnode.cli.options import NodeOptions
from mpcnode.errors import ConfigurationError, MpcError, UsageError
from mpcnode.wire.signaling import IceServer


def test_every_option_of_a_node_reaches_its_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mpcnode.cli.actions import node
    from mpcnode.cli.actions import register as action
    from mpcnode.cli.commands import register

    given: list[Any] = []
    monkeypatch.setattr(action, "run_node", lambda options, **more: given.append((options, more)))
    register.register(
        home=tmp_path,
        server="wss://mpc.example",
        peer_id="ana",
        room="treasury",
        accept="contacts",
        contacts_only=True,
        yes=True,
        ice_server=["stun:stun.example"],
        loopback=True,
        link_seconds=30,
        ca_file=tmp_path / "ca.pem",
        answer_seconds=7,
        confirm_seconds=11,
        round_seconds=8,
        warm_seconds=9,
        kdf="interactive",
    )
    ((options, more),) = given
    config = node._config(options, tmp_path, more["accept"])
    assert (config.server, config.peer_id, config.room, config.options.accept) == (
        "wss://mpc.example",
        "ana",
        "treasury",
        "contacts",
    )
    assert config.options.contacts_only
    assert config.options.yes
    assert config.loopback
    assert config.interactive_kdf
    assert config.ice_servers == (IceServer(urls=("stun:stun.example",)),)
    assert config.ca_file == tmp_path / "ca.pem"
    assert (config.timeouts.negotiate, config.timeouts.round, config.warm) == (7, 8, 9)
    assert config.timeouts.confirm == 11
    assert config.mesh_timeouts.all_tries == 30


def test_the_addresses_that_are_named_reach_the_configuration_in_one_spelling(tmp_path: Path) -> None:
    from mpcnode.cli.actions import node

    options = NodeOptions(address=["127.0.0.1", "0:0:0:0:0:0:0:1"])
    assert node._config(options, tmp_path, "none").addresses == ("127.0.0.1", "::1")
    assert node._started_with(options).addresses == ("127.0.0.1", "::1")
    assert node._config(NodeOptions(), tmp_path, "none").addresses == ()
    assert node._started_with(NodeOptions()).addresses == ()


@pytest.mark.parametrize(
    ("given", "kind", "says"),
    [
        (["here"], UsageError, "'here' is not an IP address"),
        (["10.0.0.1/24"], UsageError, "'10.0.0.1/24' is not an IP address"),
        (["localhost"], UsageError, "'localhost' is not an IP address"),
        (["10.0.0.1:9000"], UsageError, "is not an IP address"),
        ([""], UsageError, "'' is not an IP address"),
        (["fe80::1%eth0"], UsageError, "not an address that a peer can dial"),
        (["fe80::1"], UsageError, "not an address that a peer can dial"),
        (["0.0.0.0"], UsageError, "not an address that a peer can dial"),  # noqa: S104 -- never bound
        (["224.0.0.1"], UsageError, "not an address that a peer can dial"),
        (["127.0.0.1", "127.0.0.1"], UsageError, "127.0.0.1 is named twice"),
        ([f"10.0.0.{number}" for number in range(7)], UsageError, "7 addresses are named"),
        (["192.0.2.77"], ConfigurationError, "192.0.2.77 is not an address of this machine"),
    ],
)
def test_an_address_that_cannot_be_offered_is_said_before_anything_is_made(
    tmp_path: Path, given: list[str], kind: type[MpcError], says: str
) -> None:
    from mpcnode.cli.actions import node

    with pytest.raises(kind) as caught:
        node.as_node(NodeOptions(home=tmp_path / "home", address=given), unused, accept="none")
    assert says in caught.value.message
    assert caught.value.hint
    assert not (tmp_path / "home").exists()


def test_addresses_and_the_loopback_alone_exclude_each_other(tmp_path: Path) -> None:
    from mpcnode.cli.actions import node

    with pytest.raises(UsageError, match="--address and --loopback exclude each other"):
        node.as_node(NodeOptions(home=tmp_path, address=["10.0.0.1"], loopback=True), unused, accept="none")


async def unused(*_: object) -> None:
    raise AssertionError
