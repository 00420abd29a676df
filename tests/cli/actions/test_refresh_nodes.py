"""``mpcnode refresh`` as a process, by real nodes: everybody has a new share afterwards, or nobody has."""

import asyncio
import signal
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from mpcnode import status
from mpcnode.control.lines import Result
from mpcnode.keystore.keyring import Keyring
from mpcnode.types import WalletId
from tests.helpers.blamed import blamed
from tests.helpers.cheat import flip, on
from tests.helpers.nodes import PASSPHRASE, Nodes, Running, for_ever, nodes, soon
from tests.helpers.processes import processes
from tests.helpers.server import running_server
from tests.helpers.table import Human
from tests.helpers.treasury import Command, Ended, cheat, treasury
from tests.helpers.wallets import make_wallet

pytestmark = pytest.mark.process

AS_BEFORE = "the shares of wallet treasury are as they were"


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Nodes]:
    async with running_server() as server, nodes(tmp_path, server.url) as made:
        yield made


async def run(node: Running, *arguments: str, wallet: str = "treasury") -> Ended:
    return await (await Command.start(node, "refresh", wallet, *arguments)).ends()


def epochs(*running: Running) -> list[tuple[int, str]]:
    """The number and the id of each node's epoch."""
    found = []
    for one in running:
        (wallet,) = one.node.wallets()
        assert isinstance(wallet, status.WalletView)
        assert (wallet.state, wallet.certificate_valid) == ("active", True)
        found.append((wallet.epoch, wallet.epoch_id))
    return found


async def only_wallets(proposal: status.Proposed) -> bool:
    return proposal.kind != "refresh"


async def test_everybody_has_a_new_share_of_the_same_keys(place: Nodes) -> None:
    async with treasury(place, accept="ask") as (ana, ben):
        (before,) = ana.node.wallets()
        assert isinstance(before, status.WalletView)
        ended = await run(ana)
        assert ended.code == 0, ended.talk
        wallet = msgspec.convert(ended.lines[-1]["wallet"], status.WalletView)
        assert (ended.lines[-1]["event"], wallet.name, wallet.state, wallet.epoch) == (
            "result",
            "treasury",
            "active",
            1,
        )
        assert wallet.epoch_id != before.epoch_id
        assert wallet.group_public_keys == before.group_public_keys
        assert wallet.verifying_shares != before.verifying_shares
        assert (await ben.end_of_session()).error is None
        assert epochs(ana, ben) == [(1, wallet.epoch_id)] * 2
        (proposed,) = [one for one in ben.human.asked if isinstance(one, status.Proposed) and one.kind == "refresh"]
        assert proposed.proposer == "ana"
        assert {"proposal", "progress", "wallet", "session_ended", "result"} <= {one["event"] for one in ended.lines}
        signed = await (await Command.start(ana, "sign", "--wallet", "treasury", "-m", "hello")).ends()
        assert signed.code == 0, signed.talk
        assert signed.lines[-1]["signature"]["public_key"] == wallet.group_public_keys[wallet.suites[0]]


async def test_a_participant_that_refuses_ends_with_8_and_the_one_that_asked_with_6(place: Nodes) -> None:
    async with treasury(place, Human(approves=only_wallets), accept="ask") as (ana, ben):
        before = epochs(ana, ben)
        ended = await run(ana)
        assert ended.error == (6, "participant_refused", [], ["ben"])
        assert ended.lines[-1]["error"]["saved"] == AS_BEFORE
        over = await ben.end_of_session()
        assert over.error is not None
        assert (over.error.exit_code, over.error.code) == (8, "refused")
        assert epochs(ana, ben) == before


async def test_a_participant_that_does_not_answer_is_named_and_it_is_6(place: Nodes) -> None:
    async def never(proposal: status.Proposed) -> bool:
        return proposal.kind != "refresh" or await for_ever()

    async with treasury(place, Human(approves=never), accept="ask") as (ana, ben):
        before = epochs(ana, ben)
        assert (await run(ana, "--answer-seconds", "1")).error == (6, "participant_silent", [], ["ben"])
        assert epochs(ana, ben) == before


async def test_a_participant_that_is_away_is_named_and_it_is_6(place: Nodes) -> None:
    async with treasury(place) as (ana, ben):
        before = epochs(ana)
        await ben.stop()
        ended = await run(ana)
        assert ended.error == (6, "participant_silent", [], ["ben"])
        assert "a refresh takes every participant, and ben is not here" in ended.talk
        assert "hint: start `mpcnode register` on the missing nodes" in ended.talk
        assert not ana.of(status.Proposed)
        assert epochs(ana) == before


async def test_a_participant_that_cheats_is_named_and_it_is_7(place: Nodes) -> None:
    async with treasury(place) as (ana, ben):
        before = epochs(ana, ben)
        cheat(ben, on("commitment")(flip(-1)))
        ended = await run(ana)
        assert ended.error == (7, "participant_cheated", ["ben"], [])
        assert not [line for line in ended.lines if line["event"] == "result"]
        assert epochs(ana, ben) == before


async def test_a_wallet_that_is_not_there_is_3_and_one_that_is_pending_10(place: Nodes) -> None:
    async with treasury(place) as (ana, ben):
        assert (await run(ana, wallet="treasure")).error == (3, "absent", [], [])
        made = make_wallet(wallet_id=WalletId(b"\xef" * 16))
        draft = replace(made.wallet, name="draft")
        with Keyring(bytearray(PASSPHRASE)) as keyring:
            ana.node._home.save_wallet(draft.wallet_id, draft.peer_id, draft.to_header(), made.secret.encode(), keyring)
        assert (await run(ana, wallet="draft")).error == (10, "wallet_pending", [], [])
        assert not ben.of(status.Proposed)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_ctrl_c_is_130_and_calls_the_session_off_everywhere(number: signal.Signals, place: Nodes) -> None:
    asked = asyncio.Event()

    async def thinks(proposal: status.Proposed) -> bool:
        if proposal.kind != "refresh":
            return True
        asked.set()
        return await for_ever()

    async with treasury(place, Human(approves=thinks), accept="ask") as (ana, ben):
        before = epochs(ana, ben)
        command = await Command.start(ana, "refresh", "treasury")
        await soon(asked.wait())
        command.strike(number)
        assert (await command.ends()).error == (130, "interrupted", [], [])
        for one in (ana, ben):
            assert (await one.end_of_session()).error is not None
        assert [peer.peer_id for peer in ana.node.peers()] == ["ana", "ben"]  # the node runs on
        assert epochs(ana, ben) == before


@pytest.mark.webrtc
async def test_a_command_that_is_its_own_node_refreshes(tmp_path: Path) -> None:
    async with processes(tmp_path) as world:
        await world.serve()
        ben = world.register("ben")
        await ben.says(status.Registered)
        ana = world.node("ana", "create-wallet", "-t", "2", "-n", "2", "--name", "treasury")
        assert await ana.ends() == 0, ana.talk
        await ben.says(status.SessionEnded)
        options = ("--home", str(world.home("ana")), "--passphrase-file", str(world.passphrase_file), "--loopback")
        again = world.start("ana", "refresh", "treasury", "--server", world.url, "--json", *options)
        assert await again.ends() == 0, again.talk  # its name is the home's last one
        (result,) = again.of(Result)
        assert result.wallet is not None
        assert (result.wallet.epoch, result.wallet.state) == (1, "active")
        await ben.until(lambda: len(ben.of(status.SessionEnded)) == 2)
        for name in ("ana", "ben"):
            assert [(one.epoch, one.epoch_id) for one in world.wallets(name)] == [(1, result.wallet.epoch_id)]
        assert await ben.stop() == 130
        alone = world.start(
            "ana", "refresh", "treasury", "--server", world.url, "--json", "--answer-seconds", "1", *options
        )
        assert await alone.ends() == 6
        assert (alone.error.code, *blamed(alone.error)) == ("participant_silent", (), {"ben"})
        assert [one.epoch for one in world.wallets("ana")] == [1]
