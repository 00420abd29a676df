"""Whole nodes sign: on a mesh that stays open, after restarts and without a server; a wallet's policy; the logs."""

import asyncio
import functools
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from nacl.signing import VerifyKey

from mpcnode import status
from mpcnode.commands import Sign
from mpcnode.consent.policy import policy_path
from mpcnode.errors import ParticipantRefused, ParticipantStopped, ServerUnreachable, WordsDiffer
from mpcnode.keystore.audit import AUDIT_LOG, read_log
from mpcnode.keystore.audit_chain import GENESIS, Entry, Line
from mpcnode.node import Node, _Router
from mpcnode.peers.conversation import Opened
from mpcnode.readings import registry as readings
from mpcnode.session.quorum import Quorum
from mpcnode.signaling.client import SignalingClient
from mpcnode.signaling.events import Relayed
from mpcnode.types import PeerId, WalletId, parse_session_id
from mpcnode.wire.relay import SessionCancel, SessionProposal, SessionResponse, SessionStart
from tests.helpers.blamed import blamed
from tests.helpers.nodes import DEADLINE, TREASURY3, Nodes, Running, making, nodes, soon, why
from tests.helpers.server import RunningServer, running_server

HELLO = Sign(wallet="treasury", contents=(b"hello",))


@pytest.fixture
async def server() -> AsyncIterator[RunningServer]:
    async with running_server() as running:
        yield running


@pytest.fixture
async def place(tmp_path: Path, server: RunningServer) -> AsyncIterator[Nodes]:
    async with nodes(tmp_path, server.url) as made:
        yield made


async def with_a_wallet(place: Nodes, *names: str, **config: Any) -> list[Running]:
    """These nodes, and a wallet of theirs of which any two can sign; what was said until then is forgotten.

    The mesh of the key generation is closed as well.
    """
    everybody = await place.all(*names, **config)
    await soon(making(everybody[0], msgspec.structs.replace(TREASURY3, total=len(names))))
    for running in everybody:
        await running.end_of_session()
    for running in everybody:
        await running.node._parts.services.pool.close()
        running.events.clear()
    return everybody


async def signing(proposer: Running, *others: Running, message: bytes = b"hello") -> tuple[bool, status.SignatureView]:
    """Sign with ``others``, by default the first that accept; say whether a mesh had to be opened for it."""
    chosen = tuple(PeerId(other.config.home.name) for other in others)
    view = await soon(proposer.node.sign(msgspec.structs.replace(HELLO, contents=(message,), with_peers=chosen)))
    signed = readings.signed_bytes("text", message)
    VerifyKey(bytes.fromhex(view.public_key)).verify(signed, bytes.fromhex(view.signatures[0]))
    ended = [one for one in proposer.of(status.SessionEnded) if one.signature]
    return "connecting" in ended[-1].seconds, view


async def until(condition: Any) -> None:
    async with asyncio.timeout(DEADLINE):
        while not condition():
            await asyncio.sleep(0.02)


# --- the mesh that stays open ---


async def test_the_second_signature_is_on_the_first_ones_mesh_with_any_proposer(
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
    await soon(making(ana, msgspec.structs.replace(TREASURY3, total=2)))
    for running in (ana, ben):
        await running.end_of_session()
        running.events.clear()
    for proposer in (ana, ana, ben):
        opened, view = await signing(proposer)
        assert (opened, view.attempts) == (True, 1)
        await until(lambda: not place.network.links)  # the other one closes it for both
        await until(lambda: not ana.node.busy and not ben.node.busy)


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
    cold = msgspec.structs.replace(HELLO, with_peers=(PeerId("cleo"),), answer_within=300)
    with pytest.raises(ServerUnreachable) as caught:
        await soon(ana.node.sign(cold))
    assert blamed(caught.value) == ((), set())


# --- restarts ---


@pytest.mark.parametrize("who", ["proposer", "signer", "both"])
async def test_a_node_restarted_between_two_signatures_is_reached_at_the_first_try(place: Nodes, who: str) -> None:
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
        if found:  # between this and the test that waits for it
            session_id = ana.of(status.Proposed)[-1].session_id
            cancel = SessionCancel(
                session_id=parse_session_id(session_id), code="interrupted", reason="an error of its own"
            )
            opened = Opened(PeerId("ben"), ben.node._parts.services.identity.public_key, cancel)
            asyncio.get_running_loop().call_soon(ana.node._parts.router.opened, opened)
        return found

    with monkeypatch.context() as patch:
        patch.setattr(Quorum, "_choose", chosen)
        with pytest.raises(ParticipantStopped) as caught:
            await soon(ana.node.sign(HELLO))
    assert blamed(caught.value) == ((), {"ben"})
    assert why(await ana.end_of_session()) == ("participant_stopped", 6)
    assert why(await ben.end_of_session()) == ("participant_aborted", 6)
    assert (await signing(ana))[1].attempts == 1


# --- a wallet's policy, and what is written down ---


def may_sign(running: Running, messages: int) -> None:
    """Let others have this many messages signed here in an hour."""
    (wallet,) = running.node.wallets()
    path = policy_path(running.config.home, WalletId(bytes.fromhex(getattr(wallet, "wallet_id", ""))))
    path.write_text(f"ask: never\nrate-per-hour: {messages}\n")
    path.chmod(0o600)


def entries(running: Running) -> list[Entry]:
    """Everything in the log of a node; its chain holds from the first line to the last."""
    lines: list[Line] = []
    verdict = read_log(running.config.home, on_line=lines.append)
    assert (verdict.problem, verdict.lines) == (None, len(lines))
    assert verdict.head == (lines[-1].hash if lines else GENESIS)
    return [line.entry for line in lines]


async def test_who_has_reached_its_rate_is_passed_over_and_with_too_few_left_they_are_named(place: Nodes) -> None:
    ana, ben, cleo = await with_a_wallet(place, "ana", "ben", "cleo", accept="ask")
    may_sign(ben, 1)
    may_sign(cleo, 2)
    both = msgspec.structs.replace(HELLO, contents=(b"1", b"2"))
    view = await soon(ana.node.sign(both))  # more than ben gives at all
    assert view.signers == ("ana", "cleo")
    assert why(await ben.end_of_session()) == ("refused", 8)
    view = await soon(ana.node.sign(HELLO))
    assert view.signers == ("ana", "ben")
    assert why(await cleo.end_of_session(2)) == ("refused", 8)
    with pytest.raises(ParticipantRefused) as caught:
        await soon(ana.node.sign(HELLO))
    assert (caught.value.exit_code, *blamed(caught.value)) == (6, (), {"ben", "cleo"})
    assert "1 messages an hour" in caught.value.message
    for running in (ben, cleo):
        assert why(await running.end_of_session(3)) == ("refused", 8)
    assert [running.human.was_asked(status.Proposed) for running in (ben, cleo)] == [1, 1], "for the wallet alone"


async def test_the_three_logs_tell_of_the_same_sessions_each_as_its_node_saw_them(place: Nodes) -> None:
    ana, ben, cleo = everybody = await with_a_wallet(place, "ana", "ben", "cleo")
    first = await soon(ana.node.sign(HELLO))  # one of the others is not needed
    may_sign(ben, 1)
    may_sign(cleo, 1)
    for running in everybody:
        await running.end_of_session()
    with pytest.raises(ParticipantRefused):
        await soon(ana.node.sign(msgspec.structs.replace(HELLO, contents=(b"a", b"b"))))
    for running in everybody:
        await running.end_of_session(2)
    logs = {
        running.config.home.name: [one for one in entries(running) if one.outcome != "accepted"]
        for running in everybody
    }
    needed, unneeded = ("ben", "cleo") if "ben" in first.signers else ("cleo", "ben")
    told = {
        name: [(one.outcome, one.approved_by, one.signers, one.error, one.culprits, one.suspects) for one in log[1:]]
        for name, log in logs.items()
    }
    assert told["ana"] == [
        ("done", "user", first.signers, None, (), ()),
        ("failed", "user", (), "participant_refused", (), ("ben", "cleo")),
    ]
    assert told[needed] == [("done", "policy", first.signers, None, (), ()), ("refused", None, (), "refused", (), ())]
    assert told[unneeded] == [("unneeded", "policy", (), None, (), ()), ("refused", None, (), "refused", (), ())]
    for mine in zip(*logs.values(), strict=True):
        assert len({(one.session_id, one.kind, one.proposer, one.messages) for one in mine}) == 1
    assert not any(b"hello" in (running.config.home / AUDIT_LOG).read_bytes() for running in everybody)


# --- again, and again ---


async def test_what_was_said_in_a_session_that_is_over_does_nothing_however_it_comes(
    place: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    relayed: list[tuple[Running, Relayed]] = []
    opened: list[tuple[Running, Opened]] = []
    ana, ben = await with_a_wallet(place, "ana", "ben", warm=0)
    by_node = {running.node: running for running in (ana, ben)}
    by_router = {running.node._parts.router: running for running in (ana, ben)}
    receive, handle = Node._on_event, _Router.opened

    def note_event(node: Node, event: Any) -> None:
        if isinstance(event, Relayed):
            relayed.append((by_node[node], event))
        receive(node, event)

    def note_opened(router: _Router, one: Opened) -> None:
        opened.append((by_router[router], one))
        handle(router, one)

    for running in (ana, ben):
        client: Any = running.node._client
        monkeypatch.setattr(client, "_on_event", functools.partial(note_event, running.node))
    with monkeypatch.context() as patch:
        patch.setattr(_Router, "opened", note_opened)
        await signing(ana)
        await ben.end_of_session()
        await until(lambda: not ana.node.busy and not ben.node.busy and not place.network.links)
    assert {type(one.message) for _, one in opened} > {SessionProposal, SessionResponse, SessionStart}
    assert relayed
    before = [(entries(running), len(running.events)) for running in (ana, ben)]
    sent: list[Any] = []
    monkeypatch.setattr(SignalingClient, "relay", lambda _client, *message: sent.append(message))
    for _ in range(2):
        for running, event in relayed:  # by the server
            running.node._on_event(event)
        for running, one in opened:  # and by the participant that said it
            running.node._parts.router.opened(one)
            running.node._parts.router.opened(replace(one, by_mesh=True))
    await asyncio.sleep(0.2)
    assert not any(running.node.busy for running in (ana, ben))
    assert [(entries(running), len(running.events)) for running in (ana, ben)] == before
    assert not place.network.links
    monkeypatch.undo()
    assert (await signing(ana))[1].attempts == 1


# --- the mesh of another kind of session ---


async def test_the_first_signature_is_made_on_the_mesh_of_the_key_generation(place: Nodes) -> None:
    ana, ben = await place.all("ana", "ben")
    await soon(making(ana, msgspec.structs.replace(TREASURY3, total=2)))
    await ben.end_of_session()
    assert not (await signing(ana))[0]


async def test_no_mesh_is_kept_with_somebody_after_a_key_generation_that_came_to_nothing(place: Nodes) -> None:
    ana, ben = await place.all("ana", "ben")
    ben.human.finds_words = False
    with pytest.raises(WordsDiffer):
        await soon(making(ana, msgspec.structs.replace(TREASURY3, total=2)))
    await ben.end_of_session()
    await until(lambda: not place.network.links)
