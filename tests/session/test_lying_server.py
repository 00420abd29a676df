"""Whole nodes behind a signaling server that lies: it can keep them from meeting, and nothing else."""

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from mpcnode import status
from mpcnode.consent.limits import MAX_EARLY, MAX_STRANGER
from mpcnode.crypto.suites import DEFAULT_SUITES
from mpcnode.errors import (
    ContactChanged,
    IdentityCheckFailed,
    MpcError,
    ParticipantSilent,
    WordsDiffer,
)
from mpcnode.peers import budget
from mpcnode.session.answers import accept
from mpcnode.session.proposal import CLOCK_SKEW
from mpcnode.types import EpochId, Identifier, IdentityKey, PeerId, SessionId, WalletId
from mpcnode.wire import agreement
from mpcnode.wire.relay import (
    MAX_ANSWER_MS,
    CertificateReply,
    CertificateRequest,
    IceCandidate,
    Offer,
    Participant,
    RelayMessage,
    SessionCancel,
    SessionProposal,
    SessionResponse,
)
from tests.helpers import lying_server as lies
from tests.helpers.blamed import blamed
from tests.helpers.identities import identity, key_of
from tests.helpers.lying_server import GoBetween, Hold, LyingServer, between
from tests.helpers.nodes import (
    DEADLINE,
    QUICKLY,
    WALLET,
    Nodes,
    Running,
    Stranger,
    failing,
    for_ever,
    making,
    nodes,
    soon,
    why,
)
from tests.helpers.server import running_server
from tests.helpers.table import Human

ANA, BEN, EVE = PeerId("ana"), PeerId("ben"), PeerId("eve")
THREE = msgspec.structs.replace(WALLET, total=3)
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
    assert (await soon(making(ana, THREE))).state == "active"
    for running in (ben, cleo):
        assert (await running.end_of_session()).error is None
        assert len(running.of(status.Proposed)) == 1


@pytest.mark.parametrize("seed", range(2))
async def test_everything_comes_late_and_in_another_order(place: Nodes, server: LyingServer, seed: int) -> None:
    rng = random.Random(seed)
    server.lies.append(lies.delay(server, lambda: rng.random() * 0.1))
    ana, _, _ = await place.all("ana", "ben", "cleo")
    assert (await soon(making(ana, THREE))).state == "active"


@pytest.mark.parametrize("seed", range(2))
async def test_what_was_said_before_is_said_again_and_again(place: Nodes, server: LyingServer, seed: int) -> None:
    server.lies.append(lies.replay(server, seed))
    ana, ben, cleo = await place.all("ana", "ben", "cleo")
    assert (await soon(making(ana, THREE))).state == "active"
    await ben.end_of_session()
    await cleo.end_of_session()
    assert (await soon(making(ben, msgspec.structs.replace(THREE, name="second")))).state == "active"
    assert [len(running.of(status.Proposed)) for running in (ana, ben, cleo)] == [2, 2, 2]


async def test_answers_may_come_before_their_proposal(place: Nodes, server: LyingServer) -> None:
    ana, ben, cleo = await place.all("ana", "ben", "cleo")
    hold = Hold(server, lambda passing: lies.seals(passing) and between("ana", "cleo")(passing))
    server.lies.append(hold)
    task = making(ana, THREE)
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
    task = making(ana, THREE)
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
        task = making(ana, THREE)
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
    assert blamed(error) == ((), {"dora"})
    assert not ben.of(status.Proposed)


async def test_different_rosters_for_different_peers_keep_nobody_from_answering(
    place: Nodes, server: LyingServer
) -> None:
    server.hidden |= {("ben", "cleo"), ("cleo", "ben"), ("cleo", "ana")}
    ana = await place.start("ana")
    for name in ("ben", "cleo"):
        await place.start(name)
    await ana.knows("ben", "cleo")
    view = await soon(making(ana, THREE))
    assert view.participants == ("ana", "ben", "cleo")


# --- what stops, and names the right ones ---


@pytest.mark.parametrize(("pair", "culprit"), [(("ana", "ben"), "ben"), (("ana", "cleo"), "cleo")])
async def test_what_is_dropped_is_silence(
    place: Nodes, server: LyingServer, pair: tuple[str, str], culprit: str
) -> None:
    server.lies.append(lies.drop(between(*pair)))
    ana, _, _ = await place.all("ana", "ben", "cleo", **HASTE)
    error = await failing(ana, THREE)
    assert isinstance(error, ParticipantSilent)
    assert blamed(error) == ((), {culprit})


async def test_tampered_seals_are_silence_and_no_endless_talk(place: Nodes, server: LyingServer) -> None:
    server.lies.append(lies.tamper())
    ana, ben = await place.all("ana", "ben", **HASTE)
    error = await failing(ana)
    assert isinstance(error, ParticipantSilent)
    assert blamed(error) == ((), {"ben"})
    assert not ben.of(status.Proposed)
    assert len(server.passed) < 500


async def test_a_hello_with_a_key_that_did_not_sign_it_is_exit_code_4(place: Nodes, server: LyingServer) -> None:
    server.lies.append(lies.forge_signature("ben"))
    ana, ben = await place.all("ana", "ben", **HASTE)
    error = await failing(ana)
    assert isinstance(error, IdentityCheckFailed)
    assert (*blamed(error), error.exit_code) == ((), set(), 4)
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
    error = await failing(again, msgspec.structs.replace(WALLET, name="second"))
    assert isinstance(error, ContactChanged)
    assert (*blamed(error), error.exit_code) == ((), set(), 4)


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
        assert isinstance(error, WordsDiffer)
        assert (*blamed(error), error.exit_code) == ((), set(), 4)
        assert why(await ben.end_of_session()) == ("words_differ", 4)
        with pytest.raises(MpcError) as caught:
            await soon(attack)
        assert isinstance(caught.value, WordsDiffer)
        assert ana.states == ben.states == false_ben.states == []
        assert not [*ana.contacts, *ben.contacts]


# --- strangers ---


def proposal(number: int, bens: IdentityKey, **changes: Any) -> SessionProposal:
    """Eve's proposal to ben, with some things changed; the wire need not allow it."""
    salt = number.to_bytes(16, "big")
    made = SessionProposal(
        session_id=agreement.session_id_of(key_of(EVE), salt),
        salt=salt,
        kind="keygen",
        wallet_name=f"wallet{number}",
        threshold=2,
        suites=DEFAULT_SUITES[:1],
        participants=(Participant(Identifier(1), BEN, bens), Participant(Identifier(2), EVE, key_of(EVE))),
        expires=now() + 60_000,
        answer_within=60_000,
    )
    for name, value in changes.items():
        msgspec.structs.force_setattr(made, name, value)
    return made


def now() -> int:
    return round(time.time() * 1000)


def roster(*entries: tuple[int, str, bytes]) -> dict[str, Any]:
    return {"participants": tuple(Participant(*entry) for entry in entries)}  # type: ignore[arg-type]


EVES = key_of(EVE)
CROOKED: list[tuple[str, str, Callable[[IdentityKey], dict[str, Any]]]] = [
    ("refused", "stands there twice", lambda ben: roster((1, "ben", ben), (2, "ben", EVES))),
    ("refused", "this node is not among", lambda _: roster((1, "ana", key_of(ANA)), (2, "eve", EVES))),
    ("refused", "the proposer is not among", lambda ben: roster((1, "ana", key_of(ANA)), (2, "ben", ben))),
    ("refused", "threshold and total", lambda _: {"threshold": 3}),
    ("refused", "order of their names", lambda ben: roster((1, "eve", EVES), (2, "ben", ben))),
    ("refused", "numbered from 1", lambda ben: roster((1, "ben", ben), (3, "eve", EVES))),
    ("refused", "expired", lambda _: {"expires": now() - CLOCK_SKEW}),
    ("refused", "more than a day", lambda _: {"expires": now() + MAX_ANSWER_MS + CLOCK_SKEW + 60_000}),
    ("refused", "not supported", lambda _: {"suites": ("no-suite",)}),
    ("refused", "a wallet id is 16 bytes", lambda _: {"kind": "sign", "terms": (b"",) * 5}),
    ("refused", "names a wallet and an epoch", lambda _: {"kind": "refresh"}),
    ("refused", "no wallet of that id", lambda _: {"kind": "refresh", "terms": (bytes(16), bytes(32))}),
    ("refused", "not supported", lambda _: {"kind": "anything"}),
    ("refused", "usable point", lambda _: roster((1, "ben", bytes(32)), (2, "eve", EVES))),
    ("refused", "one identity key", lambda _: roster((1, "ben", EVES), (2, "eve", EVES))),
    (
        "identity_check_failed",
        "names another identity key for ben",
        lambda _: roster((1, "ben", key_of(ANA)), (2, "eve", EVES)),
    ),
]
UNREADABLE: list[dict[str, Any]] = [
    {"participants": ()},
    {"participants": (Participant(Identifier(2), BEN, EVES), Participant(Identifier(1), EVE, EVES))},
    {"participants": (Participant(Identifier(1), BEN, EVES), Participant(Identifier(65), EVE, EVES))},
    {"threshold": 2**60},
    {"threshold": -(2**60)},
    {"expires": -1},
    {"expires": 2**62},
    {"answer_within": 0},
    {"wallet_name": "../../etc"},
    {"terms": (bytes(30_000),)},
]


def key_of_node(running: Running) -> IdentityKey:
    return running.node._parts.services.identity.public_key


@pytest.fixture
def many_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a node say more of strangers than it otherwise would: each of these tests looks at many lines."""
    monkeypatch.setattr(budget, "LINES", (100, 10.0))


async def meets_ben(eve: Stranger) -> None:
    """Introduce eve: what is said before goes out with her first hellos, of which there are few."""
    eve.conversations.introduce(BEN)
    async with asyncio.timeout(DEADLINE):
        while eve.conversations.key_of(BEN) is None:
            await asyncio.sleep(0.005)


@pytest.mark.usefixtures("many_lines")
async def test_crooked_proposals_are_refused_one_by_one_and_the_node_lives_on(
    place: Nodes, server: LyingServer
) -> None:
    ben = await place.start("ben")
    bens = key_of_node(ben)
    async with Stranger.registered("eve", server.url) as eve:
        await meets_ben(eve)
        for number, (code, reason, changes) in enumerate(CROOKED, 1):
            eve.say("ben", proposal(number, bens, **changes(bens)), key=bens)
            ended = await ben.end_of_session(number)
            assert ended.error is not None
            assert (ended.error.code, ended.wallet) == (code, None)
            assert reason in ended.error.message
        await eve.hears(SessionResponse, len(CROOKED))
    ana = await place.start("ana")
    assert (await soon(making(ana))).state == "active"


@pytest.mark.usefixtures("many_lines")
async def test_what_is_not_a_proposal_is_not_understood_and_the_node_lives_on(
    place: Nodes, server: LyingServer
) -> None:
    ben = await place.start("ben")
    async with Stranger.registered("eve", server.url) as eve:
        await meets_ben(eve)
        for number, changes in enumerate(UNREADABLE, 1):
            with contextlib.suppress(ValueError):  # what its own encoder does not make
                eve.say("ben", proposal(number, key_of_node(ben), **changes), key=key_of_node(ben))
        eve.say("ben", proposal(0, key_of_node(ben), threshold=3), key=key_of_node(ben))
        await eve.hears(SessionResponse)
        await ben.saw(status.Warned, lambda warned: "does not understand" in warned.message)
        await ben.end_of_session()
    assert len(ben.of(status.SessionEnded)) == 1
    ana = await place.start("ana")
    assert (await soon(making(ana))).state == "active"


async def test_a_stranger_that_talks_of_sessions_that_do_not_exist_changes_nothing(
    place: Nodes, server: LyingServer
) -> None:
    ana, ben = await place.all("ana", "ben")
    async with Stranger.registered("eve", server.url) as eve:
        await meets_ben(eve)
        for number in range(400):
            session = SessionId(number.to_bytes(16, "big"))
            made = proposal(number, key_of(BEN), session_id=session)
            said: list[RelayMessage] = [
                SessionCancel(session_id=session, code="internal", reason="stop", culprits=(ANA,)),
                accept(made, identity(EVE), nonce=bytes(16), terms=(), meshes=()),
                Offer(mesh=session, attempt=1, sdp="v=0"),
                IceCandidate(mesh=session, attempt=1, candidate=""),
                CertificateRequest(wallet=WalletId(bytes(16)), epoch=EpochId(bytes(32))),
                CertificateReply(wallet=WalletId(bytes(16)), epoch=EpochId(bytes(32)), signatures=()),
            ]
            eve.say("ben", said[number % 6], key=key_of_node(ben))
        server.say("eve", "ben", {"type": "nonsense"})
        await ben.saw(status.Warned, lambda warned: "does not understand" in warned.message)
        assert (await soon(making(ana, msgspec.structs.replace(WALLET, with_peers=(BEN,))))).state == "active"
    waiting = ben.node._parts.agenda._early._waiting
    assert all(len(messages) <= MAX_EARLY for messages in waiting.values())
    assert set(waiting) == {key_of(EVE)}


async def test_more_sessions_than_a_node_holds_of_one_proposer_are_refused(place: Nodes, server: LyingServer) -> None:
    ben = await place.start("ben", accept="ask", human=Human(approves=for_ever))
    async with Stranger.registered("eve", server.url) as eve:
        await meets_ben(eve)
        for number in range(MAX_STRANGER + 1):
            eve.say("ben", proposal(number, key_of_node(ben)), key=key_of_node(ben))
        answer = await eve.hears(SessionResponse)
        assert answer.reason == "2 sessions that eve proposed are under way at this node already"
        assert (await ben.end_of_session()).error is not None
