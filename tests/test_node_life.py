import asyncio
import threading
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from mpcnode import status
from mpcnode.errors import (
    ConfigurationError,
    ContactChanged,
    HomeInUse,
    MpcError,
    NameTaken,
    ParticipantRefused,
    ParticipantSilent,
    ParticipantStopped,
    ServerUnreachable,
    UsageError,
    WrongPassphrase,
)
from mpcnode.keystore import opening
from mpcnode.keystore.keyring import Keyring
from mpcnode.keystore.settings import Settings
from mpcnode.keystore.store import Home
from mpcnode.node import Node
from mpcnode.peers.trust import Trusts
from mpcnode.types import PeerId
from tests.helpers.blamed import blamed
from tests.helpers.nodes import (
    PASSPHRASE,
    QUICKLY,
    WALLET,
    Nodes,
    failing,
    for_ever,
    making,
    nodes,
    soon,
    why,
)
from tests.helpers.server import running_server
from tests.helpers.table import Human


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Nodes]:
    async with running_server() as server, nodes(tmp_path, server.url) as made:
        yield made


# --- names, keys, homes ---


async def test_a_contact_that_comes_with_another_key_is_an_error_that_names_it(place: Nodes) -> None:
    ana, ben = await place.all("ana", "ben")
    await soon(making(ana))
    await ben.end_of_session()
    await ben.stop()
    imposter = await place.start("ben", home="another ben", timeouts=replace(QUICKLY, introduce=0.3))
    await ana.knows("ben")
    error = await failing(ana, msgspec.structs.replace(WALLET, name="second", answer_within=500))
    assert isinstance(error, ContactChanged)
    assert "ben" in error.message
    assert (*blamed(error), error.exit_code) == ((), set(), 4)
    error = await failing(imposter, msgspec.structs.replace(WALLET, name="third"))
    assert isinstance(error, ParticipantSilent)  # ana does not even say hello to it
    assert "another identity key" in ana.warnings[-1]
    assert ana.states == ["active"]


async def test_a_name_that_somebody_holds_is_taken(place: Nodes) -> None:
    await place.start("ana")
    with pytest.raises(NameTaken) as caught:
        await place.start("ana", home="other")
    assert caught.value.exit_code == 5


async def test_an_identity_that_starts_elsewhere_ends_the_node_it_takes_the_name_of(place: Nodes) -> None:
    ana = await place.start("ana")
    twin = place.path / "twin"
    twin.mkdir(mode=0o700)
    (twin / "identity.json").write_bytes((place.home("ana") / "identity.json").read_bytes())
    (twin / "identity.json").chmod(0o600)
    await place.start("ana", home="twin")
    assert isinstance(await ana.ended(), NameTaken)


async def test_a_wrong_passphrase_is_said_even_where_the_server_is_away(tmp_path: Path) -> None:
    async with nodes(tmp_path, "ws://127.0.0.1:9") as place:
        with pytest.raises(WrongPassphrase):
            await place.configured("ana").start(b"another")


async def test_a_wrong_passphrase_opens_nothing_and_leaves_nothing(place: Nodes) -> None:
    ana = place.configured("ana")
    with pytest.raises(WrongPassphrase) as caught:
        await ana.start(b"wrong")
    assert caught.value.exit_code == 4
    await place.start("ana")  # the lock is free


async def test_without_a_server_a_node_does_not_start_and_leaves_nothing(place: Nodes) -> None:
    ana = place.configured("ana", server="ws://127.0.0.1:9")
    with pytest.raises(ServerUnreachable):
        await ana.start()
    await place.start("ana")


async def test_when_a_node_says_that_it_is_registered_nothing_of_its_start_is_still_to_be_written(
    place: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    ana = place.configured("ana")
    save = Home.save_settings
    saved: list[tuple[bool, int]] = []

    def slowly(home: Home, settings: Settings) -> None:
        saved.append((threading.current_thread() is threading.main_thread(), len(ana.of(status.Registered))))
        time.sleep(0.3)
        save(home, settings)
        saved.append((threading.current_thread() is threading.main_thread(), len(ana.of(status.Registered))))

    monkeypatch.setattr(Home, "save_settings", slowly)
    await ana.start()
    assert saved == [(False, 0), (False, 0)]  # in a thread: the loop goes on meanwhile
    assert ana.of(status.Registered)
    await ana.stop()
    await place.start("ana")
    assert len(saved) == 2


async def test_two_nodes_do_not_share_a_home(place: Nodes) -> None:
    await place.start("ana")
    with pytest.raises(HomeInUse) as caught:
        await place.start("other", home="ana")
    assert caught.value.exit_code == 3


async def test_a_new_home_is_made_with_an_identity(place: Nodes) -> None:
    fresh = place.configured("dora", interactive_kdf=True)
    for path in sorted(place.home("dora").rglob("*"), reverse=True):
        path.unlink()
    place.home("dora").rmdir()
    await fresh.start(PASSPHRASE)
    assert Home.open(place.path / "dora", create=False).kdf().policy.memory_bytes == 64 << 20


async def test_the_name_of_a_wallet_is_taken_once(place: Nodes) -> None:
    ana, ben, cleo = await place.all("ana", "ben", "cleo")
    await soon(making(ana, msgspec.structs.replace(WALLET, with_peers=(PeerId("ben"),))))
    await ben.end_of_session()
    for request in (WALLET, msgspec.structs.replace(WALLET, total=4)):  # at once, although not everybody is there yet
        assert isinstance(await failing(ana, request), UsageError)
    error = await failing(cleo, msgspec.structs.replace(WALLET, with_peers=(PeerId("ben"),)))
    assert isinstance(error, ParticipantRefused)
    assert "wallet named treasury already" in error.message
    assert why(await ben.end_of_session(2)) == ("refused", 8)


async def test_two_sessions_at_once_do_not_make_two_wallets_of_one_name(place: Nodes) -> None:
    ana, ben, cleo = await place.all("ana", "ben", "cleo")
    ben.human.finds_words = for_ever
    first = making(ana, msgspec.structs.replace(WALLET, with_peers=(PeerId("ben"),)))
    await ben.in_phase("confirming")
    error = await failing(cleo, msgspec.structs.replace(WALLET, with_peers=(PeerId("ben"),)))
    assert isinstance(error, ParticipantRefused)
    assert "makes a wallet named treasury already" in error.message
    assert isinstance(await failing(ana, msgspec.structs.replace(WALLET, with_peers=(PeerId("cleo"),))), UsageError)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    await ben.end_of_session(2)
    ben.human.finds_words = True
    assert (await soon(making(cleo, msgspec.structs.replace(WALLET, with_peers=(PeerId("ben"),))))).state == "active"


async def test_a_node_is_not_among_its_own_peers(place: Nodes) -> None:
    ana = await place.start("ana")
    assert isinstance(await failing(ana, msgspec.structs.replace(WALLET, with_peers=(PeerId("ana"),))), UsageError)


async def test_an_address_book_that_cannot_be_written_is_a_warning_beside_an_active_wallet(
    place: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    ana, ben = await place.all("ana", "ben")

    def full(*_: object, **__: object) -> None:
        raise ValueError("no more than 4096 contacts")

    monkeypatch.setattr(Trusts, "pin", full)
    assert (await soon(making(ana))).state == "active"
    ended = await ben.end_of_session()
    assert ended.error is None
    assert ["4096 contacts" in warning for warning in ben.warnings] == [True]


# --- the end ---


async def cancelled(task: "asyncio.Task[status.WalletView]") -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await soon(task)


@pytest.mark.parametrize("phase", ["waiting", "introducing", "negotiating", "confirming"])
async def test_a_command_called_off_in_the_middle_leaves_nothing_behind(place: Nodes, phase: str) -> None:
    ana = await place.start("ana")
    if phase != "waiting":
        ben = await place.start("ben", accept="ask")
        ben.human.approves = for_ever if phase == "negotiating" else True
        ben.human.finds_words = for_ever
        await ana.knows("ben")
    task = making(ana)
    if phase == "waiting":
        await ana.saw(status.Waiting)
    elif phase != "introducing":
        await ana.in_phase("negotiating" if phase == "negotiating" else "sharing")
    await cancelled(task)
    if phase in {"negotiating", "confirming"}:
        assert why(await ben.end_of_session()) == ("participant_stopped", 6)
        assert why(await ana.end_of_session()) == ("interrupted", 130)
    assert ana.states == []
    assert not place.network.links
    await ana.stop()
    await place.start("ana")  # the lock is free


@pytest.mark.parametrize("phase", ["approving", "confirming"])
async def test_a_node_that_is_stopped_tells_those_it_was_in_a_session_with(place: Nodes, phase: str) -> None:
    ana, ben = await place.all("ana", "ben", accept="ask")
    if phase == "approving":
        ben.human.approves = for_ever
    ben.human.finds_words = for_ever
    task = making(ana)
    if phase == "approving":
        await ben.saw(status.Proposed)
    else:
        await ben.in_phase("confirming")
    await ben.stop()
    with pytest.raises(MpcError) as caught:
        await soon(task)
    assert blamed(caught.value) == ((), {"ben"})
    assert isinstance(caught.value, ParticipantRefused if phase == "approving" else ParticipantStopped)
    assert (await ben.end_of_session()).error is not None
    assert ana.states == ben.states == []


async def test_a_failed_block_shows_its_own_error(place: Nodes) -> None:
    config = place.configured("ana").config

    async def fail() -> None:
        async with Node(config, user=Human(), emit=lambda _: None) as node:
            await node.start(Keyring(bytearray(PASSPHRASE)))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()


async def test_a_node_whose_library_takes_other_points_does_not_start(
    place: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unusable() -> None:
        raise ConfigurationError("the linked libsodium takes T2 for an element of Ed25519's group")

    with monkeypatch.context() as patch:
        patch.setattr(opening, "check_libraries", unusable)
        with pytest.raises(ConfigurationError, match="T2"):
            await place.start("ana")
    await place.start("ana")
