"""Whole nodes sign: on a mesh that stays open, after restarts and without a server; a wallet's policy answers; a log."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from nacl.signing import VerifyKey

from mpcnode import status
from mpcnode.errors import ParticipantRefused, ParticipantSilent
from mpcnode.keystore.audit import AUDIT_LOG, AuditLog, read_log
from mpcnode.keystore.audit_chain import GENESIS, Entry
from mpcnode.node import Node, Sign
from mpcnode.session.policy import policy_path
from mpcnode.session.quorum import Quorum
from mpcnode.session.sealed_relay import Opened
from mpcnode.signaling.client import SignalingClient
from mpcnode.signaling.events import Relayed
from mpcnode.types import PeerId, WalletId
from mpcnode.wire.relay import SessionCancel
from tests.helpers.nodes import DEADLINE, TREASURY3, Nodes, Running, making, nodes, soon, why
from tests.helpers.server import RunningServer, running_server

HELLO = Sign(wallet="treasury", messages=(b"hello",))


@pytest.fixture
async def server() -> AsyncIterator[RunningServer]:
    async with running_server() as running:
        yield running


@pytest.fixture
async def place(tmp_path: Path, server: RunningServer) -> AsyncIterator[Nodes]:
    async with nodes(tmp_path, server.url) as made:
        yield made


async def with_a_wallet(place: Nodes, *names: str, **config: Any) -> list[Running]:
    """These nodes, and a wallet of theirs of which any two can sign; what was said until then is forgotten."""
    everybody = await place.all(*names, **config)
    await soon(making(everybody[0], replace(TREASURY3, total=len(names))))
    for running in everybody:
        await running.end_of_session()
        running.events.clear()
    return everybody


async def signing(proposer: Running, *others: Running, message: bytes = b"hello") -> tuple[bool, status.SignatureView]:
    """Sign with ``others``, by default whoever accepts first; say whether a mesh had to be opened for it."""
    chosen = tuple(PeerId(other.config.home.name) for other in others)
    view = await soon(proposer.node.sign(replace(HELLO, messages=(message,), with_peers=chosen)))
    VerifyKey(bytes.fromhex(view.public_key)).verify(message, bytes.fromhex(view.signatures[0]))
    ended = [one for one in proposer.of(status.SessionEnded) if one.signature]
    return "connecting" in ended[-1].seconds, view


async def until(condition: Any) -> None:
    async with asyncio.timeout(DEADLINE):
        while not condition():
            await asyncio.sleep(0.02)


# --- the mesh that stays open ---


async def test_the_second_signature_is_on_the_first_ones_mesh_whoever_proposes_it(
    place: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    ana, ben = await with_a_wallet(place, "ana", "ben")
    assert (await signing(ana))[0]
    await ben.end_of_session()
    ben.events.clear()
    said: list[Any] = []
    monkeypatch.setattr(SignalingClient, "relay", lambda _client, *message: said.append(message))
    links = set(place.network.links)
    assert not (await signing(ana))[0]
    await ben.end_of_session()
    ben.events.clear()
    assert not (await signing(ben))[0]
    assert set(place.network.links) == links
    assert said == [], "the server was told of it"


async def test_an_idle_mesh_is_closed_after_the_seconds_of_the_command_line(place: Nodes) -> None:
    ana, _ = await with_a_wallet(place, "ana", "ben", warm=0.4)
    assert (await signing(ana))[0]
    assert place.network.links, "it was not kept at all"
    assert not (await signing(ana))[0]
    await until(lambda: not place.network.links)
    assert (await signing(ana))[0]


async def test_with_no_seconds_no_mesh_is_kept(place: Nodes) -> None:
    ana, ben = await with_a_wallet(place, "ana", "ben", warm=0)
    for proposer in (ana, ben, ana):
        assert (await signing(proposer))[0]
        await until(lambda: not place.network.links)


@pytest.mark.parametrize("keeper", ["ana", "ben"])
async def test_a_node_that_keeps_no_mesh_signs_with_one_that_does(place: Nodes, keeper: str) -> None:
    ana, ben = [await place.start(name, warm=60 if name == keeper else 0) for name in ("ana", "ben")]
    await ana.knows("ben")
    await ben.knows("ana")
    await soon(making(ana, replace(TREASURY3, total=2)))
    for running in (ana, ben):
        await running.end_of_session()
        running.events.clear()
    for proposer in (ana, ana, ben):
        opened, view = await signing(proposer)
        assert (opened, view.attempts) == (True, 1)
        await until(lambda: not place.network.links)  # the other one closes it for both
        await until(lambda: not ana.node._sessions.busy and not ben.node._sessions.busy)


async def test_without_a_server_a_warm_pair_goes_on_signing_and_a_cold_one_blames_nobody(
    place: Nodes, server: RunningServer
) -> None:
    ana, ben, cleo = await with_a_wallet(place, "ana", "ben", "cleo")
    await signing(ana, ben)
    await ben.end_of_session()
    server.stop.set()
    for running in (ana, ben, cleo):
        await running.saw(status.Disconnected)
        running.events.clear()
    for proposer, other in ((ana, ben), (ben, ana)):
        opened, view = await signing(proposer, other)
        assert (opened, view.signers) == (False, ("ana", "ben"))
        await other.end_of_session()
        other.events.clear()


# --- restarts ---


@pytest.mark.parametrize("who", ["proposer", "signer", "both"])
async def test_whoever_was_restarted_between_two_signatures_is_reached_at_the_first_try(place: Nodes, who: str) -> None:
    ana, ben = await with_a_wallet(place, "ana", "ben")
    await signing(ana)
    await ben.end_of_session()
    if who != "signer":
        await ana.stop()
        ana = await place.start("ana")
    if who != "proposer":
        await ben.stop()
        ben = await place.start("ben")
    await ana.knows("ben")
    await ben.knows("ana")
    opened, view = await signing(ana)
    assert (opened, view.attempts, view.failures) == (True, 1, ())
    assert not (await signing(ana))[0]


async def test_who_takes_its_yes_back_as_soon_as_it_is_chosen_is_named(
    place: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    ana, ben = await with_a_wallet(place, "ana", "ben")
    choose = Quorum._choose

    def chosen(quorum: Quorum, *arguments: Any, **options: Any) -> list[PeerId]:
        found = choose(quorum, *arguments, **options)
        if found:  # between this and whoever waits for it
            session_id = ana.of(status.Proposed)[-1].session_id
            cancel = SessionCancel(session_id, "interrupted", "an error of its own")
            opened = Opened(PeerId("ben"), ben.node._identity.public_key, cancel)
            asyncio.get_running_loop().call_soon(ana.node._handle, opened)
        return found

    with monkeypatch.context() as patch:
        patch.setattr(Quorum, "_choose", chosen)
        with pytest.raises(ParticipantSilent) as caught:
            await soon(ana.node.sign(HELLO))
    assert caught.value.culprits == ("ben",)
    assert why(await ana.end_of_session()) == ("participant_aborted", 6)
    assert why(await ben.end_of_session()) == ("participant_aborted", 6)
    assert (await signing(ana))[1].attempts == 1
