"""Being a node: what the options of a command say reaches the node."""

from pathlib import Path
from typing import Any

import pytest

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
