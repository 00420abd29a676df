"""Whole nodes behind a signaling server that lies: it can keep them from meeting, and nothing else."""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from mpcnode import status
from mpcnode.errors import (
    ContactChanged,
    IdentityCheckFailed,
    MpcError,
    ParticipantAborted,
    ParticipantSilent,
    Refused,
)
from mpcnode.session.places import MAX_STRANGER
from mpcnode.session.proposal import propose_keygen
from mpcnode.types import IdentityKey, PeerId, SuiteId
from mpcnode.wire.relay import (
    CertificateReply,
    CertificateRequest,
    IceCandidate,
    Offer,
    RelayMessage,
    SessionCancel,
    SessionProposal,
    SessionResponse,
)
from tests.helpers import lying_server as lies
from tests.helpers.lying_server import GoBetween, Hold, LyingServer, between
from tests.helpers.nodes import QUICKLY, WALLET, Human, Nodes, Stranger, failing, for_ever, making, nodes, soon, why
from tests.helpers.relays import ANA, BEN, EVE, key_of
from tests.helpers.server import running_server

HASTE: dict[str, Any] = {"timeouts": replace(QUICKLY, introduce=0.5, negotiate=2)}


@pytest.fixture
async def server() -> AsyncIterator[LyingServer]:
    async with LyingServer.running() as running:
        yield running


@pytest.fixture
async def place(tmp_path: Path, server: LyingServer) -> AsyncIterator[Nodes]:
    async with nodes(tmp_path, server.url) as made:
        yield made


async def test_an_honest_liar_is_a_server_like_any_other(place: Nodes) -> None:
    ana, ben = await place.all("ana", "ben")
    assert (await soon(making(ana))).state == "active"
    assert (await ben.end_of_session()).error is None


# --- what disturbs and does not stop ---


async def test_everything_comes_twice(place: Nodes, server: LyingServer) -> None:
    server.lies.append(lies.twice())
    ana, ben, cleo = await place.all("ana", "ben", "cleo")
    assert (await soon(making(ana, replace(WALLET, total=3)))).state == "active"
    for running in (ben, cleo):
        assert (await running.end_of_session()).error is None
        assert len(running.of(status.Proposed)) == 1


@pytest.mark.parametrize("seed", range(2))
async def test_everything_comes_late_and_in_another_order(place: Nodes, server: LyingServer, seed: int) -> None:
    rng = random.Random(seed)
    server.lies.append(lies.delay(server, lambda: rng.random() * 0.1))
    ana, _, _ = await place.all("ana", "ben", "cleo")
    assert (await soon(making(ana, replace(WALLET, total=3)))).state == "active"


@pytest.mark.parametrize("seed", range(2))
async def test_what_was_said_before_is_said_again_and_again(place: Nodes, server: LyingServer, seed: int) -> None:
    server.lies.append(lies.replay(server, seed))
    ana, ben, cleo = await place.all("ana", "ben", "cleo")
    assert (await soon(making(ana, replace(WALLET, total=3)))).state == "active"
    await ben.end_of_session()
    await cleo.end_of_session()
    assert (await soon(making(ben, replace(WALLET, total=3, name="second")))).state == "active"
    assert [len(running.of(status.Proposed)) for running in (ana, ben, cleo)] == [2, 2, 2]


async def test_answers_may_come_before_their_proposal(place: Nodes, server: LyingServer) -> None:
    ana, ben, cleo = await place.all("ana", "ben", "cleo")
    hold = Hold(server, lambda passing: lies.seals(passing) and between("ana", "cleo")(passing))
    server.lies.append(hold)
    task = making(ana, replace(WALLET, total=3))
    await ben.in_phase("negotiating")
    await ana.saw(status.Answered, lambda answered: answered.peer_id == "ben")
    assert not cleo.of(status.Proposed)
    hold.release(reversed)
    assert (await soon(task)).state == "active"


async def test_a_connection_that_breaks_in_the_middle_is_made_again(place: Nodes, server: LyingServer) -> None:
    ana, ben, cleo = await place.all("ana", "ben", "cleo", accept="ask")
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def slowly(_: object) -> bool:
        asked.set()
        await go_on.wait()
        return True

    ben.human.approves = slowly
    task = making(ana, replace(WALLET, total=3))
    await soon(asked.wait())
    await server.cut("ben")
    await ben.saw(status.Disconnected)
    go_on.set()
    assert (await soon(task)).state == "active"
    assert (await cleo.end_of_session()).error is None


async def test_the_server_dies_in_the_middle_and_the_session_finishes(tmp_path: Path) -> None:
    async with running_server() as server, nodes(tmp_path, server.url) as place:
        ana, ben, cleo = await place.all("ana", "ben", "cleo")
        compared = asyncio.Event()

        async def slowly(_: object) -> bool:
            await compared.wait()
            return True

        ben.human.finds_words = slowly
        task = making(ana, replace(WALLET, total=3))
        await ben.in_phase("confirming")
        server.stop.set()
        for running in (ana, ben, cleo):
            await running.saw(status.Disconnected)
        compared.set()
        assert (await soon(task)).state == "active"
        for running in (ben, cleo):
            ended = await running.end_of_session()
            assert ended.error is None
            assert running.states == ["active"]


async def test_names_that_are_nobodys_are_not_waited_for_long(place: Nodes, server: LyingServer) -> None:
    server.invented["ana"] = ["dora", "emil"]
    ana, ben = await place.all("ana", "ben", **HASTE)
    ana.human.chooses = lambda peers, _count: tuple(peer.peer_id for peer in peers if peer.peer_id == "dora")
    error = await failing(ana)
    assert isinstance(error, ParticipantSilent)
    assert error.culprits == ("dora",)
    assert not ben.of(status.Proposed)


async def test_different_rosters_for_different_peers_keep_nobody_from_answering(
    place: Nodes, server: LyingServer
) -> None:
    server.hidden |= {("ben", "cleo"), ("cleo", "ben"), ("cleo", "ana")}
    ana = await place.start("ana")
    for name in ("ben", "cleo"):
        await place.start(name)
    await ana.knows("ben", "cleo")
    view = await soon(making(ana, replace(WALLET, total=3)))
    assert view.participants == ("ana", "ben", "cleo")


# --- what stops, and names the right ones ---


@pytest.mark.parametrize(("pair", "culprit"), [(("ana", "ben"), "ben"), (("ana", "cleo"), "cleo")])
async def test_what_is_dropped_is_silence(
    place: Nodes, server: LyingServer, pair: tuple[str, str], culprit: str
) -> None:
    server.lies.append(lies.drop(between(*pair)))
    ana, _, _ = await place.all("ana", "ben", "cleo", **HASTE)
    error = await failing(ana, replace(WALLET, total=3))
    assert isinstance(error, ParticipantSilent)
    assert error.culprits == (culprit,)


async def test_tampered_seals_are_silence_and_no_endless_talk(place: Nodes, server: LyingServer) -> None:
    server.lies.append(lies.tamper())
    ana, ben = await place.all("ana", "ben", **HASTE)
    error = await failing(ana)
    assert isinstance(error, ParticipantSilent)
    assert error.culprits == ("ben",)
    assert not ben.of(status.Proposed)
    assert len(server.passed) < 500


async def test_a_hello_with_a_key_that_did_not_sign_it_is_exit_code_4(place: Nodes, server: LyingServer) -> None:
    server.lies.append(lies.forge_signature("ben"))
    ana, ben = await place.all("ana", "ben", **HASTE)
    error = await failing(ana)
    assert isinstance(error, IdentityCheckFailed)
    assert (error.culprits, error.exit_code) == (("ben",), 4)
    assert not ben.of(status.Proposed)


async def test_a_key_of_the_servers_own_is_found_out_when_the_name_is_a_contacts(
    place: Nodes, server: LyingServer
) -> None:
    ana, ben = await place.all("ana", "ben", **HASTE)
    await soon(making(ana))
    await ben.end_of_session()
    await ana.stop()
    server.lies.append(lies.swap_identity("ben"))
    again = await place.start("ana", **HASTE)
    await again.knows("ben")
    error = await failing(again, replace(WALLET, name="second"))
    assert isinstance(error, ContactChanged)
    assert (error.culprits, error.exit_code) == (("ben",), 4)


async def test_a_key_of_the_servers_own_for_a_stranger_makes_no_wallet(place: Nodes, server: LyingServer) -> None:
    server.lies.append(lies.swap_identity("ben"))
    ana, ben = await place.all("ana", "ben", **HASTE)
    error = await failing(ana)
    assert isinstance(error, ParticipantSilent)  # what ana seals for that key ben cannot open
    assert not ben.of(status.Proposed)


@pytest.mark.parametrize("change", [lambda message: message, lies.with_another_fingerprint, lies.without_fingerprint])
async def test_a_go_between_in_the_relay_is_found_out_on_the_channel(
    place: Nodes, server: LyingServer, change: Any
) -> None:
    between_them = GoBetween(server, "ana", "ben", change)
    server.lies.append(between_them)
    ana, ben = await place.all("ana", "ben", **HASTE)
    error = await failing(ana)
    ended = await ben.end_of_session()
    assert any(isinstance(opened.message, Offer) for opened in between_them.opened)  # it read everything
    assert ended.error is not None
    codes = {error.code, ended.error.code}
    if change is lies.without_fingerprint:
        assert codes <= {"identity_check_failed", "link_failed", "participant_aborted", "participant_cheated"}
    else:
        assert "identity_check_failed" in codes
        assert codes <= {"identity_check_failed", "participant_aborted"}
    assert ana.states == ben.states == []
    assert not [*ana.contacts, *ben.contacts]
    assert not ana.of(status.SafetyWords)


async def test_a_server_with_two_faces_is_found_out_by_the_words(tmp_path: Path) -> None:
    """Mallory is ben to ana and ana to ben, in two rooms that the server tells them are one."""
    screens: dict[str, tuple[str, ...]] = {}
    both = asyncio.Event()

    def on_the_phone(name: str) -> Human:
        async def compare(words: status.SafetyWords) -> bool:
            screens[name] = words.words
            if len(screens) == 2:
                both.set()
            await both.wait()
            return len(set(screens.values())) == 1

        return Human(finds_words=compare)

    async with (
        running_server() as one,
        running_server() as other,
        nodes(tmp_path, one.url) as place,
    ):
        ana = await place.start("ana", on_the_phone("ana"))
        false_ben = await place.start("ben", home="mallory")
        ben = await place.start("ben", on_the_phone("ben"), server=other.url)
        false_ana = await place.start("ana", home="mallory too", server=other.url)
        place.network = type(place.network)()  # each pair has links of its own
        await ana.knows("ben")
        await ben.knows("ana")
        attack = making(false_ana)
        error = await failing(ana)
        assert isinstance(error, Refused)
        assert error.exit_code == 8
        assert why(await ben.end_of_session()) == ("refused", 8)
        with pytest.raises(MpcError) as caught:
            await soon(attack)
        assert isinstance(caught.value, ParticipantAborted)
        assert ana.states == ben.states == false_ben.states == []
        assert not [*ana.contacts, *ben.contacts]


# --- strangers ---


def proposal(number: int, bens: IdentityKey, **changes: Any) -> SessionProposal:
    """Eve's proposal to ben, with one thing changed."""
    made = propose_keygen(
        proposer=EVE,
        salt=number.to_bytes(16, "big"),
        roster={BEN: bens, EVE: key_of(EVE)},
        threshold=2,
        suites=(SuiteId("FROST-ED25519-SHA512-v1"),),
        wallet_name=f"wallet{number}",
        now=time.time(),
        answer_within=60,
    )
    return msgspec.structs.replace(made, **changes)


EVES = key_of(EVE).hex()
CROOKED: list[tuple[str, str, dict[str, Any]]] = [
    ("refused", "do not agree", {"public_keys": (EVES,)}),
    ("refused", "do not agree", {"participants": ("ben",)}),
    ("refused", "do not agree", {"participants": ()}),
    ("refused", "stands there twice", {"participants": ("ben", "ben")}),
    ("refused", "threshold and total", {"total": 2**60}),
    ("refused", "threshold and total", {"threshold": -(2**60)}),
    ("refused", "expired", {"expires": -1}),
    ("refused", "more than a day", {"expires": 2**62}),
    ("refused", "not supported", {"suites": ("no-suite",)}),
    ("refused", "signing proposal", {"kind": "sign"}),
    ("refused", "not supported", {"kind": "anything"}),
    ("refused", "usable point", {"public_keys": ("00" * 32, EVES)}),
    ("refused", "one identity key", {"public_keys": (EVES, EVES)}),
    ("identity_check_failed", "names another identity key for ben", {"public_keys": (key_of(ANA).hex(), EVES)}),
]


async def test_crooked_proposals_are_refused_one_by_one_and_the_node_lives_on(
    place: Nodes, server: LyingServer
) -> None:
    ben = await place.start("ben")
    async with Stranger.registered("eve", server.url) as eve:
        for number, (code, reason, changes) in enumerate(CROOKED, 1):
            eve.say("ben", proposal(number, ben.node._identity.public_key, **changes))
            ended = await ben.end_of_session(number)
            assert ended.error is not None
            assert (ended.error.code, ended.wallet) == (code, None)
            assert reason in ended.error.message
        await eve.hears(SessionResponse, len(CROOKED))
    ana = await place.start("ana")
    assert (await soon(making(ana))).state == "active"


async def test_a_stranger_that_talks_of_sessions_that_are_none_changes_nothing(
    place: Nodes, server: LyingServer
) -> None:
    ana, ben = await place.all("ana", "ben")
    async with Stranger.registered("eve", server.url) as eve:
        for number in range(400):
            session = f"{number:032x}"
            said: list[RelayMessage] = [
                SessionCancel(session, "internal", "stop", ("ana",)),
                SessionResponse(session_id=session, accepted=True, proposal="00" * 32, fresh="00" * 32),
                Offer(session, 1, "v=0"),
                IceCandidate(session, 1, "", None, None),
                CertificateRequest(session),
                CertificateReply(session, "00" * 32, {}),
            ]
            eve.say("ben", said[number % 6])
        server.say("eve", "ben", {"type": "nonsense"})
        await ben.saw(status.Warned, lambda warned: "does not understand" in warned.message)
        assert (await soon(making(ana, replace(WALLET, with_peers=(PeerId("ben"),))))).state == "active"
    assert len(ben.node._sessions._early) <= 256


async def test_more_sessions_than_a_node_holds_of_one_proposer_are_refused(place: Nodes, server: LyingServer) -> None:
    ben = await place.start("ben", accept="ask", human=Human(approves=for_ever))
    async with Stranger.registered("eve", server.url) as eve:
        for number in range(MAX_STRANGER + 1):
            eve.say("ben", proposal(number, ben.node._identity.public_key))
        answer = await eve.hears(SessionResponse)
        assert answer.reason == "2 sessions that eve proposed are under way at this node already"
        assert (await ben.end_of_session()).error is not None
