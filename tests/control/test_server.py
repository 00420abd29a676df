"""The control socket: the real server and client around a node that does what a test says."""

import asyncio
import os
import socket
from pathlib import Path

import msgspec
import pytest

from mpcnode import status
from mpcnode.commands import MAX_CONTENTS, MAX_CONTENTS_BYTES, CreateWallet, ListPeers, Pair, Refresh, Sign
from mpcnode.control import server
from mpcnode.control.client import ControlClient
from mpcnode.control.lines import (
    MAX_REPLY,
    MAX_REQUEST,
    Answer,
    Failed,
    Question,
    Result,
    StartedWith,
    decode_line,
    encode_line,
)
from mpcnode.control.server import MAX_CLIENTS, ControlServer
from mpcnode.errors import Interrupted, NoTerminal, ParticipantRefused, PeerIncompatible, Refused, UsageError
from mpcnode.node import User
from mpcnode.types import PeerId
from tests.helpers.control import COMMAND, Says, connected, create, ignore, raw, running, said
from tests.helpers.fake_node import Emit, FakeNode, Recording
from tests.helpers.statuses import SESSION, contact, peers, proposed, signature, wallet

WORDS = status.SafetyWords(SESSION, ("one", "two", "three", "four", "five", "six"))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    made = tmp_path / "home"
    made.mkdir(mode=0o700)
    return made


# ---- the socket ----


@pytest.mark.parametrize("steps", range(8))
async def test_ctrl_c_at_any_step_of_its_start_leaves_no_socket(home: Path, steps: int) -> None:
    entered = asyncio.Event()

    async def serve() -> None:
        async with ControlServer(FakeNode(home), home, emit=ignore):
            entered.set()
            await asyncio.Event().wait()

    serving = asyncio.create_task(serve())
    for _ in range(steps):
        await asyncio.sleep(0)
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving
    assert not (home / "control.sock").exists()
    assert entered.is_set() or steps < 7  # the last of these steps is behind the start


async def test_a_second_ctrl_c_while_it_stops_leaves_no_socket(home: Path) -> None:
    async def talk(_command: CreateWallet, _user: User, _emit: Emit) -> status.WalletView:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.05)
        raise AssertionError

    async def serve() -> None:
        async with running(home, talk):
            await asyncio.Event().wait()

    serving = asyncio.create_task(serve())
    while not (home / "control.sock").exists():
        await asyncio.sleep(0)
    _, writer = await raw(home)
    writer.write(encode_line(COMMAND))
    await asyncio.sleep(0.05)
    serving.cancel()
    await asyncio.sleep(0.01)
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving
    assert not (home / "control.sock").exists()
    writer.close()


# ---- commands ----


async def test_no_node_is_no_client(home: Path) -> None:
    assert await ControlClient.connect(home) is None


async def test_a_node_says_who_is_there_and_what_it_holds(home: Path) -> None:
    async with running(home):
        async with await connected(home) as client:
            assert await client.peers() == peers("cli1", "cli2", "cli3")
        async with await connected(home) as client:
            assert [type(one) for one in await client.wallets()] == [status.WalletView, status.ErrorView]


async def test_a_wallet_is_made_and_its_events_come_before_it(home: Path) -> None:
    events: list[status.Event] = []
    async with running(home):
        made = await create(home, Says(), events.append)
    assert made == wallet("treasury")
    assert events == [status.Waiting((), 0)]


async def test_every_command_reaches_the_node_as_it_was_made(home: Path) -> None:
    sign = Sign(wallet="treasury", contents=(b"\x00\xff", b""), reading="hex", merkle_root=b"r" * 32, answer_within=1)
    refresh = Refresh(wallet="treasury", answer_within=2)
    pair = Pair(code="12-swirl-motor", alias=PeerId("bob"))
    node, user = Recording(home), Says()
    async with asyncio.timeout(30), ControlServer(node, home, emit=ignore) as served:
        served.node_started()
        async with await connected(home) as client:
            assert await client.create_wallet(COMMAND, user=user, emit=ignore) == wallet("treasury")
        async with await connected(home) as client:
            assert await client.refresh(refresh, user=user, emit=ignore) == wallet("treasury")
        async with await connected(home) as client:
            assert await client.sign(sign, user=user, emit=ignore) == signature("treasury", sign.contents)
        async with await connected(home) as client:
            assert await client.pair(pair, user=user, emit=ignore) == contact("bob")
    assert node.asked == [COMMAND, refresh, sign, pair]


async def test_a_code_is_shown_to_the_command_that_asked_for_it_and_not_by_the_node(home: Path) -> None:
    by_the_node: list[status.Event] = []
    by_the_command: list[status.Event] = []
    async with asyncio.timeout(30), ControlServer(Recording(home), home, emit=by_the_node.append) as served:
        served.node_started()
        async with await connected(home) as client:
            await client.pair(Pair(), user=Says(), emit=by_the_command.append)
    assert by_the_command == [status.PairingCode("12-swirl-motor", 1)]
    assert by_the_node == []


async def test_the_largest_command_and_its_answer_fit_a_line(home: Path) -> None:
    contents = (b"x" * (MAX_CONTENTS_BYTES // MAX_CONTENTS),) * MAX_CONTENTS
    node = Recording(home)
    async with asyncio.timeout(60), ControlServer(node, home, emit=ignore) as served:
        served.node_started()
        async with await connected(home) as client:
            signed = await client.sign(Sign(wallet="w", contents=contents), user=Says(), emit=ignore)
    assert len(signed.signatures) == MAX_CONTENTS
    assert len(encode_line(Result(signature=msgspec.structs.replace(signed, signed=signed.messages)))) < MAX_REPLY


@pytest.mark.parametrize(
    ("given", "option"),
    [
        (StartedWith(server="ws://elsewhere"), "--server"),
        (StartedWith(peer_id="ben"), "--peer-id"),
        (StartedWith(room="other"), "--room"),
        (StartedWith(contacts_only=True), "--contacts-only"),
        (StartedWith(ice_servers=("stun:stun.example",)), "--ice-server"),
        (StartedWith(loopback=True), "--loopback"),
        (StartedWith(ca_file="/ca.pem"), "--ca-file"),
        (StartedWith(round_time=1000), "--round-seconds"),
        (StartedWith(link_time=20_000), "--link-seconds"),
        (StartedWith(addresses=("192.0.2.1",)), "--address"),
    ],
)
async def test_an_option_that_the_running_node_cannot_honour_is_an_error(
    given: StartedWith, option: str, home: Path
) -> None:
    node = Recording(home)
    node.peer_id = PeerId("ana")
    async with asyncio.timeout(30), ControlServer(node, home, emit=ignore) as served:
        served.node_started()
        async with await connected(home) as client:
            client.expect(given)
            with pytest.raises(UsageError, match=f"started with another {option}") as caught:
                await client.create_wallet(COMMAND, user=Says(), emit=ignore)
        assert "mpcnode register" in (caught.value.hint or "")
        assert node.asked == []
        same = StartedWith(
            server=node.config.server, peer_id="ana", room=node.config.room, round_time=60_000, link_time=15_000
        )
        async with await connected(home) as client:
            client.expect(same)
            await client.create_wallet(COMMAND, user=Says(), emit=ignore)
    assert node.asked == [COMMAND]


async def test_a_command_that_goes_away_stops_its_session_and_says_that_the_node_runs_on(home: Path) -> None:
    begun, ended = asyncio.Event(), asyncio.Event()
    reasons: list[object] = []

    async def wait(_command: CreateWallet, _user: User, _emit: Emit) -> status.WalletView:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError as cancelled:
            reasons.extend(cancelled.args)
            ended.set()
            raise
        raise AssertionError

    async with running(home, wait):
        command = asyncio.ensure_future(create(home, Says()))
        await begun.wait()
        command.cancel()
        await ended.wait()
        async with await connected(home) as client:
            assert await client.peers() == peers("cli1", "cli2", "cli3")
    assert reasons == [server.STOPPED]


async def test_a_node_that_stops_gives_no_reason_of_a_command(home: Path) -> None:
    begun = asyncio.Event()
    reasons: list[object] = []

    async def wait(_command: CreateWallet, _user: User, _emit: Emit) -> status.WalletView:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError as cancelled:
            reasons.extend(cancelled.args)
            raise
        raise AssertionError

    async with running(home, wait):
        command = asyncio.ensure_future(create(home, Says()))
        await begun.wait()
    with pytest.raises(Interrupted, match="was stopped") as caught:
        await command
    assert "mpcnode register" in (caught.value.hint or "")
    assert reasons in ([], [None])


async def test_an_error_comes_back_as_the_error_it_was(home: Path) -> None:
    async def refused(_command: CreateWallet, _user: User, _emit: Emit) -> status.WalletView:
        raise ParticipantRefused("cli3 said no", culprits=[PeerId("cli3")], hint="ask why")

    async with running(home, refused):
        with pytest.raises(ParticipantRefused) as caught:
            await create(home, Says())
    assert caught.value.culprits == ("cli3",)
    assert caught.value.hint == "ask why"
    assert caught.value.exit_code == 6


async def test_a_command_that_makes_no_sense_is_a_usage_error(home: Path) -> None:
    async with running(home):
        reader, writer = await raw(home)
        writer.write(b'{"command":"create-wallet","threshold":2,"total":3,"name":"../x"}\n')
        (failed,) = await said(reader)
        writer.close()
    assert isinstance(failed, Failed)
    assert failed.error.code == "usage"
    assert "not a wallet name" in failed.error.message


async def test_a_command_given_while_the_node_starts_waits_for_it(home: Path) -> None:
    node = FakeNode(home)
    async with asyncio.timeout(30), ControlServer(node, home, emit=ignore) as served, await connected(home) as client:
        command = asyncio.create_task(client.peers())
        await asyncio.sleep(0.05)
        assert not command.done()
        served.node_started()
        assert await command


async def test_a_client_that_came_in_the_last_moment_is_closed_with_the_node(home: Path) -> None:
    ours, theirs = socket.socketpair()
    async with running(home) as served:
        reader, writer = await asyncio.open_unix_connection(sock=theirs)
        served._accept(reader, writer)  # and not one step of the loop before the node stops
    assert writer.transport.is_closing()
    ours.close()


async def test_whoever_watches_the_node_sees_what_its_commands_do(home: Path) -> None:
    events: list[status.Event] = []
    async with asyncio.timeout(30), ControlServer(FakeNode(home), home, emit=events.append) as served:
        served.node_started()
        await create(home, Says())
    assert events == [status.Waiting((), 0)]


# ---- questions ----


async def _ask_everything(command: CreateWallet, user: User, _emit: Emit) -> status.WalletView:
    assert await user.choose_peers(peers("cli2", "cli3"), 1) == ("cli2",)
    assert await user.approve(proposed("cli1", "cli2"))
    if not await user.confirm_words(WORDS):
        raise Refused("the words differ")
    return wallet(command.name)


async def test_questions_are_asked_where_the_command_was_given(home: Path) -> None:
    user = Says()
    async with running(home, _ask_everything):
        await create(home, user)
    assert user.asked == [peers("cli2", "cli3"), proposed("cli1", "cli2"), WORDS]


async def test_nobody_to_ask_is_an_error_at_the_node_and_comes_back(home: Path) -> None:
    async with running(home, _ask_everything):
        with pytest.raises(NoTerminal, match="no terminal"):
            await create(home, Says(error=NoTerminal("no terminal", hint="add --with")))


async def test_a_no_is_a_no(home: Path) -> None:
    async def confirm(_command: CreateWallet, user: User, _emit: Emit) -> status.WalletView:
        if await user.confirm_words(WORDS):
            return wallet()
        raise Refused("the words differ")

    async with running(home, confirm):
        with pytest.raises(Refused, match="differ"):
            await create(home, Says(yes=False))


@pytest.mark.parametrize("value", [None, "true", ("cli2",)])
async def test_an_answer_that_is_not_yes_is_no(home: Path, value: object) -> None:
    async def confirm(_command: CreateWallet, user: User, _emit: Emit) -> status.WalletView:
        assert not await user.confirm_words(WORDS)
        return wallet()

    async with running(home, confirm):
        reader, writer = await raw(home)
        writer.write(encode_line(COMMAND))
        question = decode_line(await reader.readline())
        assert isinstance(question, Question)
        if value == "true":
            writer.write(b'{"command":"answer","id":1,"value":"true"}\n')
            assert isinstance((await said(reader))[0], Failed)  # not even an answer
        else:
            writer.write(encode_line(Answer(question.id, value=value)))  # type: ignore[arg-type]
            assert await said(reader) == [Result(wallet=wallet())]
        writer.close()


async def test_a_choice_of_the_wrong_number_is_refused(home: Path) -> None:
    class OneTwice(Says):
        async def choose_peers(self, candidates: tuple[status.PeerView, ...], count: int) -> tuple[PeerId, ...]:
            del candidates, count
            return (PeerId("cli2"), PeerId("cli2"))

    async def choose(_command: CreateWallet, user: User, _emit: Emit) -> status.WalletView:
        await user.choose_peers(peers("cli2", "cli3"), 2)
        raise AssertionError

    async with running(home, choose):
        with pytest.raises(Refused, match="not 2 of the peers"):
            await create(home, OneTwice())


async def test_a_question_still_open_when_the_command_ends_is_withdrawn(home: Path) -> None:
    withdrawn = asyncio.Event()

    class Slow(Says):
        async def confirm_words(self, words: status.SafetyWords) -> bool:
            del words
            try:
                await asyncio.Event().wait()
            finally:
                withdrawn.set()
            raise AssertionError

    async def give_up(_command: CreateWallet, user: User, _emit: Emit) -> status.WalletView:
        try:
            async with asyncio.timeout(0.05):
                await user.confirm_words(WORDS)
        except TimeoutError:
            raise Refused("nobody answered") from None
        raise AssertionError

    async with running(home, give_up):
        with pytest.raises(Refused):
            await create(home, Slow())
    assert withdrawn.is_set()


# ---- clients that misbehave or go away ----


async def _forever(started: asyncio.Event, ended: asyncio.Event) -> status.WalletView:
    started.set()
    try:
        await asyncio.Event().wait()
    finally:
        ended.set()
    raise AssertionError


async def test_a_client_that_goes_away_calls_its_command_off(home: Path) -> None:
    started, ended = asyncio.Event(), asyncio.Event()
    async with running(home, lambda *_: _forever(started, ended)):
        command = asyncio.create_task(create(home, Says()))
        await started.wait()
        command.cancel()
        await ended.wait()
        with pytest.raises(asyncio.CancelledError):
            await command
        async with await connected(home) as client:  # and the node goes on
            assert await client.peers()


async def test_a_node_that_stops_says_so_to_its_clients(home: Path) -> None:
    started, ended = asyncio.Event(), asyncio.Event()
    async with running(home, lambda *_: _forever(started, ended)):
        command = asyncio.create_task(create(home, Says()))
        await started.wait()
    with pytest.raises(Interrupted, match="was stopped"):
        await command
    assert ended.is_set()


@pytest.mark.parametrize(
    "line", [b"{}\n", b"\n", b"[" * 5000 + b"\n", b'{"command":"rm"}\n', b'{"command":"answer","id":1}\n']
)
async def test_what_is_no_command_is_answered_with_an_error(home: Path, line: bytes) -> None:
    async with running(home):
        reader, writer = await raw(home)
        writer.write(line)
        (answer,) = await said(reader)
        assert isinstance(answer, Failed)
        assert answer.error.code == "usage"
        writer.close()


async def test_an_endless_line_is_refused(home: Path) -> None:
    async with running(home):
        reader, writer = await raw(home)
        writer.write(b"x" * (MAX_REQUEST * 2 + 1))
        (answer,) = await said(reader)
        assert isinstance(answer, Failed)
        writer.close()


async def test_a_second_command_on_one_connection_ends_the_first(home: Path) -> None:
    started, ended = asyncio.Event(), asyncio.Event()
    async with running(home, lambda *_: _forever(started, ended)):
        reader, writer = await raw(home)
        writer.write(encode_line(COMMAND))
        await started.wait()
        writer.write(encode_line(ListPeers()))
        (answer,) = await said(reader)
        assert isinstance(answer, Failed)
        assert ended.is_set()
        writer.close()


async def test_a_client_that_says_nothing_is_let_go(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "COMMAND_DEADLINE", 0.05)
    async with running(home):
        reader, writer = await raw(home)
        assert await reader.read() == b""
        writer.close()


async def test_one_client_too_many_is_told_so_whatever_it_had_to_say(home: Path) -> None:
    async with running(home):
        held = [await raw(home) for _ in range(MAX_CLIENTS)]
        reader, writer = await raw(home)
        writer.write(encode_line(ListPeers()) * 1000)
        (answer,) = await said(reader)
        assert isinstance(answer, Failed)
        assert "commands at a time" in answer.error.message
        for _, one in (*held, (reader, writer)):
            one.close()


async def test_a_client_that_does_not_read_is_cut_off(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MAX_UNREAD", 64 * 1024)
    ended = asyncio.Event()

    async def talk(_command: CreateWallet, _user: User, emit: Emit) -> status.WalletView:
        try:
            while True:
                emit(status.Warned("x" * 10_000))
                await asyncio.sleep(0)
        finally:
            ended.set()

    async with running(home, talk):
        _, writer = await raw(home)
        writer.write(encode_line(COMMAND))
        await ended.wait()
        writer.close()


async def test_another_users_process_gets_not_one_byte(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(home):
        monkeypatch.setattr(os, "getuid", lambda: 12345)
        reader, writer = await raw(home)
        assert await reader.read() == b""
        writer.close()
        monkeypatch.undo()


async def test_a_client_does_not_talk_to_another_users_process(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(home):
        monkeypatch.setattr(os, "getuid", lambda: 12345)
        assert await ControlClient.connect(home) is None
        monkeypatch.undo()


async def test_a_node_of_another_version_is_named_as_such(home: Path) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b'{"event":"from the future"}\n')
        writer.close()

    listener = await asyncio.start_unix_server(answer, path=home / "control.sock")
    async with listener, await connected(home) as client:
        with pytest.raises(PeerIncompatible):
            await client.peers()
