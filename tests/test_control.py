"""The control socket: the real server and client around a node that does what a test says."""

import asyncio
import os
import socket
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpcnode import errors, status
from mpcnode.control import place, server
from mpcnode.control.client import ControlClient
from mpcnode.control.lines import (
    MAX_REQUEST,
    Answer,
    CreateWalletArguments,
    CreateWalletCommand,
    Failed,
    PeersCommand,
    Question,
    Result,
    Serving,
    decode_line,
    decode_request,
    encode_line,
    error_of,
    error_view,
)
from mpcnode.control.server import MAX_CLIENTS, ControlServer
from mpcnode.errors import (
    ConfigurationError,
    DecodeError,
    Interrupted,
    MpcError,
    NoTerminal,
    ParticipantRefused,
    PeerIncompatible,
    Refused,
    UsageError,
)
from mpcnode.node import CreateWallet, User
from mpcnode.types import PeerId
from tests.helpers.fake_node import Emit, FakeNode, Work
from tests.helpers.statuses import SESSION, peers, proposed, wallet

ARGUMENTS = CreateWalletArguments(threshold=2, total=3, name="treasury")
WORDS = status.SafetyWords(SESSION, ("one", "two", "three", "four", "five", "six"))


def ignore(event: status.Event) -> None:
    del event


class Says:
    """A user who answers as told."""

    def __init__(self, *, yes: bool = True, error: MpcError | None = None) -> None:
        self.yes = yes
        self.error = error
        self.asked: list[object] = []

    async def approve(self, proposal: status.Proposed) -> bool:
        return await self._answer(proposal)

    async def confirm_words(self, words: status.SafetyWords) -> bool:
        return await self._answer(words)

    async def choose_peers(self, candidates: tuple[status.PeerView, ...], count: int) -> tuple[PeerId, ...]:
        await self._answer(candidates)
        return tuple(PeerId(peer.peer_id) for peer in candidates[:count])

    async def _answer(self, about: object) -> bool:
        self.asked.append(about)
        if self.error is not None:
            raise self.error
        return self.yes


@pytest.fixture
def home(tmp_path: Path) -> Path:
    made = tmp_path / "home"
    made.mkdir(mode=0o700)
    return made


@asynccontextmanager
async def running(home: Path, work: Work | None = None) -> AsyncIterator[ControlServer]:
    node = FakeNode(home) if work is None else FakeNode(home, work)
    async with asyncio.timeout(30), ControlServer(node, home, emit=ignore) as served:
        served.node_started()
        yield served


async def connected(home: Path) -> ControlClient:
    client = await ControlClient.connect(home)
    assert client is not None
    return client


async def raw(home: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_unix_connection(str(place.find_socket(home)))


async def said(reader: asyncio.StreamReader) -> list[object]:
    return [decode_line(line) async for line in reader]


async def create(home: Path, user: User, emit: Emit = lambda _: None) -> status.WalletView:
    async with await connected(home) as client:
        return await client.create_wallet(ARGUMENTS, user=user, emit=emit)


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


async def test_an_error_comes_back_as_the_error_it_was(home: Path) -> None:
    async def refused(request: CreateWallet, user: User, emit: Emit) -> status.WalletView:
        raise ParticipantRefused("cli3 said no", culprits=[PeerId("cli3")], hint="ask why")

    async with running(home, refused):
        with pytest.raises(ParticipantRefused) as caught:
            await create(home, Says())
    assert caught.value.culprits == ("cli3",)
    assert caught.value.hint == "ask why"
    assert caught.value.exit_code == 6


async def test_a_request_that_cannot_be_meant_is_a_usage_error(home: Path) -> None:
    async with running(home), await connected(home) as client:
        with pytest.raises(UsageError, match="wallet name"):
            await client.create_wallet(
                CreateWalletArguments(threshold=2, total=3, name="../x"), user=Says(), emit=lambda _: None
            )


async def test_a_command_given_while_the_node_starts_waits_for_it(home: Path) -> None:
    node = FakeNode(home)
    async with asyncio.timeout(30), ControlServer(node, home, emit=ignore) as served, await connected(home) as client:
        command = asyncio.create_task(client.peers())
        await asyncio.sleep(0.05)
        assert not command.done()
        served.node_started()
        assert await command


async def test_whoever_watches_the_node_sees_what_its_commands_do(home: Path) -> None:
    events: list[status.Event] = []
    async with asyncio.timeout(30), ControlServer(FakeNode(home), home, emit=events.append) as served:
        served.node_started()
        await create(home, Says())
    assert events == [status.Waiting((), 0)]


# ---- questions ----


async def _ask_everything(request: CreateWallet, user: User, emit: Emit) -> status.WalletView:
    assert await user.choose_peers(peers("cli2", "cli3"), 1) == ("cli2",)
    assert await user.approve(proposed("cli1", "cli2"))
    if not await user.confirm_words(WORDS):
        raise Refused("the words differ")
    return wallet(request.name)


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
    async def confirm(request: CreateWallet, user: User, emit: Emit) -> status.WalletView:
        if await user.confirm_words(WORDS):
            return wallet()
        raise Refused("the words differ")

    async with running(home, confirm):
        with pytest.raises(Refused, match="differ"):
            await create(home, Says(yes=False))


@pytest.mark.parametrize("value", [None, "true", ("cli2",)])
async def test_an_answer_that_is_not_yes_is_no(home: Path, value: object) -> None:
    async def confirm(request: CreateWallet, user: User, emit: Emit) -> status.WalletView:
        assert not await user.confirm_words(WORDS)
        return wallet()

    async with running(home, confirm):
        reader, writer = await raw(home)
        writer.write(encode_line(CreateWalletCommand(ARGUMENTS)))
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
            return (PeerId("cli2"), PeerId("cli2"))

    async def choose(request: CreateWallet, user: User, emit: Emit) -> status.WalletView:
        await user.choose_peers(peers("cli2", "cli3"), 2)
        raise AssertionError

    async with running(home, choose):
        with pytest.raises(Refused, match="not 2 of the peers"):
            await create(home, OneTwice())


async def test_a_question_still_open_when_the_command_ends_is_withdrawn(home: Path) -> None:
    withdrawn = asyncio.Event()

    class Slow(Says):
        async def confirm_words(self, words: status.SafetyWords) -> bool:
            try:
                await asyncio.Event().wait()
            finally:
                withdrawn.set()
            raise AssertionError

    async def give_up(request: CreateWallet, user: User, emit: Emit) -> status.WalletView:
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
        writer.write(encode_line(CreateWalletCommand(ARGUMENTS)))
        await started.wait()
        writer.write(encode_line(PeersCommand()))
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


async def test_one_client_too_many_is_told_so(home: Path) -> None:
    async with running(home):
        held = [await raw(home) for _ in range(MAX_CLIENTS)]
        async with asyncio.timeout(10):
            while True:
                reader, writer = await raw(home)
                (answer,) = await said(reader)
                writer.close()
                assert isinstance(answer, Failed)
                break
        assert "commands at a time" in answer.error.message
        for _, writer in held:
            writer.close()


async def test_a_client_that_does_not_read_is_cut_off(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MAX_UNREAD", 64 * 1024)
    ended = asyncio.Event()

    async def talk(request: CreateWallet, user: User, emit: Emit) -> status.WalletView:
        try:
            while True:
                emit(status.Warned("x" * 10_000))
                await asyncio.sleep(0)
        finally:
            ended.set()

    async with running(home, talk):
        _, writer = await raw(home)
        writer.write(encode_line(CreateWalletCommand(ARGUMENTS)))
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


# ---- the socket itself ----


async def test_the_socket_is_its_owners_alone_and_goes_with_the_node(home: Path) -> None:
    path = home / "control.sock"
    async with running(home):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not path.exists()


async def test_what_a_dead_node_left_is_replaced(home: Path) -> None:
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(home / "control.sock"))
    dead.close()
    assert await ControlClient.connect(home) is None
    async with running(home), await connected(home) as client:
        assert await client.peers()


async def test_a_home_with_a_very_long_path_has_a_socket_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    home = tmp_path / ("x" * 120)
    home.mkdir(mode=0o700)
    async with running(home):
        real = (home / "control.sock").readlink()
        assert stat.S_IMODE(real.parent.stat().st_mode) == 0o700
        async with await connected(home) as client:
            assert await client.peers()
    assert not real.parent.exists()
    assert not (home / "control.sock").is_symlink()


async def test_a_dead_nodes_directory_elsewhere_is_cleaned_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    home = tmp_path / ("x" * 120)
    home.mkdir(mode=0o700)
    listener, path = place.open_socket(home)
    listener.close()  # and dies
    async with running(home):
        assert not path.exists()


def test_a_link_that_we_would_not_have_made_is_not_followed_to_be_removed(home: Path, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("x")
    (home / "control.sock").symlink_to(precious)
    place.remove_socket(home)
    assert precious.exists()
    assert not (home / "control.sock").is_symlink()


def test_a_socket_that_cannot_be_made_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="control socket"):
        place.open_socket(tmp_path / "absent")


# ---- lines ----


def _all_errors(kind: type[MpcError] = MpcError) -> list[type[MpcError]]:
    return [found for child in kind.__subclasses__() for found in (child, *_all_errors(child))]


@pytest.mark.parametrize(
    "kind", [kind for kind in _all_errors() if not kind.__subclasses__() and kind.__module__ == errors.__name__]
)
def test_every_error_survives_the_way_over_the_socket(kind: type[MpcError]) -> None:
    view = status.ErrorView(kind.code, "what", kind.exit_code, kind.fault, culprits=(), hint="how", saved="all")
    if issubclass(kind, errors.ProtocolAbort | errors._PeerError):
        view = status.ErrorView(kind.code, "what", kind.exit_code, kind.fault, ("a",), "how", "all")
    if kind is errors.InconsistentBroadcast:  # blames nobody yet, and nothing was stored yet
        view = status.ErrorView(kind.code, "what", kind.exit_code, kind.fault, hint="how")
    error = error_of(view)
    assert type(error) is kind
    assert error_view(error) == view


def test_an_error_of_a_later_version_is_still_an_error() -> None:
    assert error_of(status.ErrorView("solar_flare", "what", 42, "sun")).message == "what"


@pytest.mark.parametrize(
    "line",
    [
        Serving("127.0.0.1", 9000),
        Result(peers=peers("a")),
        Failed(status.ErrorView("usage", "x", 2, "us")),
        Question(1, WORDS),
        Question(2, proposed("a", "b")),
        status.Warned("x"),
    ],
)
def test_every_line_comes_back_as_it_was(line: object) -> None:
    encoded = encode_line(line)  # type: ignore[arg-type]
    assert encoded.endswith(b"\n")
    assert encoded.count(b"\n") == 1
    assert decode_line(encoded) == line


@given(
    st.binary(max_size=200)
    | st.recursive(st.none() | st.text(), st.lists).map(lambda v: str(v).encode("utf-8", "replace"))
)
def test_whatever_the_bytes_only_a_decode_error_escapes(data: bytes) -> None:
    for decode in (decode_line, decode_request):
        try:
            decode(data)
        except DecodeError:
            pass


def test_a_line_200000_deep_is_a_decode_error() -> None:
    for decode in (decode_line, decode_request):
        with pytest.raises(DecodeError):
            decode(b'{"event":' + b"[" * 200_000)
