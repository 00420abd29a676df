"""``mpcnode sign`` as a process, carried out by real nodes: who signs, who does not, and the exit code of either."""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from nacl.signing import VerifyKey

from mpcnode import status
from mpcnode.control.lines import Result
from mpcnode.crypto.ciphersuite import CIPHERSUITES
from mpcnode.keystore.keyring import Keyring
from mpcnode.readings.registry import signed_bytes
from mpcnode.session.kinds.sign import MAX_BATCH
from mpcnode.types import PeerId, SuiteId, WalletId
from mpcnode.wire.peer import RoundMessage
from tests.helpers.cheat import Said, on
from tests.helpers.nodes import PASSPHRASE, Nodes, Running, for_ever, nodes, soon
from tests.helpers.processes import processes
from tests.helpers.server import running_server
from tests.helpers.table import Human
from tests.helpers.treasury import Command, Ended, cheat, treasury
from tests.helpers.wallets import make_wallet

pytestmark = pytest.mark.process

ED25519 = SuiteId("FROST-ED25519-SHA512-v1")
EVIL = "\x1b[2J\u202e"


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Nodes]:
    async with running_server() as server, nodes(tmp_path, server.url) as made:
        yield made


async def run(node: Running, *arguments: str, wallet: str = "treasury") -> Ended:
    return await (await Command.start(node, "sign", "--wallet", wallet, *arguments)).ends()


def wrong_share(_to: PeerId, message: RoundMessage) -> Iterable[Said]:
    group = CIPHERSUITES[ED25519].group
    share = group.decode_scalar(message.data) + group.scalar(1)
    return [msgspec.structs.replace(message, data=share.encode())]


def verify(signature: status.SignatureView, texts: list[str]) -> None:
    """Have a library verify that did not make them: what was signed is what the reading makes of each text."""
    assert len(signature.signatures) == len(texts)
    assert signature.messages == tuple(text.encode().hex() for text in texts)
    for text, signed, one in zip(texts, signature.signed, signature.signatures, strict=True):
        assert signed == signed_bytes("text", text.encode()).hex()
        VerifyKey(bytes.fromhex(signature.public_key)).verify(bytes.fromhex(signed), bytes.fromhex(one))


async def test_two_nodes_sign_what_each_of_them_was_shown(place: Nodes, tmp_path: Path) -> None:
    async with treasury(place, accept="ask") as (ana, ben):
        ended = await run(ana, "-m", EVIL, "--out", str(tmp_path / "out"))
        assert ended.code == 0, ended.talk
        signature = msgspec.convert(ended.lines[-1]["signature"], status.SignatureView)
        verify(signature, [EVIL])
        assert signature.signers == ("ana", "ben")
        assert (tmp_path / "out").read_text() == f"{signature.signatures[0]}\n"
        (proposed,) = [one for one in ben.human.asked if isinstance(one, status.Proposed) and one.sign]
        assert proposed.sign is not None
        assert proposed.sign.messages == (EVIL.encode().hex(),)


async def test_a_participant_that_refuses_ends_with_8_and_the_one_that_asked_with_6(place: Nodes) -> None:
    async def only_wallets(proposal: status.Proposed) -> bool:
        return proposal.sign is None

    async with treasury(place, Human(approves=only_wallets), accept="ask") as (ana, ben):
        assert (await run(ana, "-m", "hello")).error == (6, "participant_refused", [], ["ben"])
        ended = await ben.end_of_session()
        assert ended.error is not None
        assert (ended.error.exit_code, ended.error.code) == (8, "refused")


async def test_a_participant_that_does_not_answer_is_named_and_it_is_6(place: Nodes) -> None:
    async def never(proposal: status.Proposed) -> bool:
        return proposal.sign is None or await for_ever()

    async with treasury(place, Human(approves=never), accept="ask") as (ana, _):
        assert (await run(ana, "-m", "hello", "--with", "ben", "--answer-seconds", "1")).error == (
            6,
            "participant_silent",
            [],
            ["ben"],
        )


async def test_a_participant_that_is_away_is_named_and_it_is_6(place: Nodes) -> None:
    async with treasury(place) as (ana, ben):
        await ben.stop()
        ended = await run(ana, "-m", "hello")
        assert ended.error == (6, "participant_silent", [], ["ben"])
        assert "register" in ended.talk


async def test_a_participant_that_cheats_is_named_and_it_is_7(place: Nodes, tmp_path: Path) -> None:
    async with treasury(place) as (ana, ben):
        cheat(ben, on("signature_share")(wrong_share))
        ended = await run(ana, "-m", "hello", "--out", str(tmp_path / "out"))
        assert ended.error == (7, "participant_cheated", ["ben"], [])
        assert not [line for line in ended.lines if line["event"] == "result"]
        assert not (tmp_path / "out").exists()


async def test_what_the_wallet_does_not_have_is_said_before_anybody_is_asked(place: Nodes) -> None:
    async with treasury(place) as (ana, ben):
        for arguments, about in {
            ("--with", "zoe"): "zoe",
            ("--with", "ana"): "ana",
            ("--suite", "secp256k1"): "FROST-ED25519-SHA512-v1, FROST-secp256k1-SHA256-TR-v1",
        }.items():
            ended = await run(ana, "-m", "hello", *arguments)
            assert ended.code == 2, ended.talk
            assert about in ended.talk
        assert not ben.of(status.Proposed)


async def test_a_wallet_that_is_not_there_is_3_and_one_that_is_pending_10(place: Nodes) -> None:
    async with treasury(place) as (ana, ben):
        assert (await run(ana, "-m", "hello", wallet="treasure")).error == (3, "absent", [], [])
        made = make_wallet(wallet_id=WalletId(b"\xef" * 16))
        draft = replace(made.wallet, name="draft")
        with Keyring(bytearray(PASSPHRASE)) as keyring:
            ana.node._home.save_wallet(draft.wallet_id, draft.peer_id, draft.to_header(), made.secret.encode(), keyring)
        assert (await run(ana, "-m", "hello", wallet="draft")).error == (10, "wallet_pending", [], [])
        assert not ben.of(status.Proposed)


@pytest.mark.parametrize("what", ["file", "directory"])
async def test_a_wallet_that_cannot_be_read_any_more_is_not_called_absent(place: Nodes, what: str) -> None:
    async with treasury(place) as (ana, _):
        (path,) = (ana.config.home / "wallets").glob("*/*.json")
        if what == "file":
            path.write_bytes(b"")
        else:
            path.parent.rename(place.path / "elsewhere")
            path.parent.symlink_to(place.path / "elsewhere")
        ended = await run(ana, "-m", "hello")
        assert ended.error == (3, "unreadable", [], [])
        assert path.parent.name in ended.talk


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_ctrl_c_is_130_and_calls_the_session_off_everywhere(number: signal.Signals, place: Nodes) -> None:
    asked = asyncio.Event()

    async def thinks(proposal: status.Proposed) -> bool:
        if proposal.sign is None:
            return True
        asked.set()
        return await for_ever()

    async with treasury(place, Human(approves=thinks), accept="ask") as (ana, ben):
        command = await Command.start(ana, "sign", "--wallet", "treasury", "-m", "hello")
        await soon(asked.wait())
        command.strike(number)
        assert (await command.ends()).error == (130, "interrupted", [], [])
        for one in (ana, ben):
            assert (await one.end_of_session()).error is not None
        assert [peer.peer_id for peer in ana.node.peers()] == ["ana", "ben"]  # the node runs on


async def test_a_batch_of_two_sessions_that_fails_in_the_second_keeps_the_first(place: Nodes, tmp_path: Path) -> None:
    async def once(proposal: status.Proposed) -> bool:
        return proposal.sign is None or len(proposal.sign.messages) == MAX_BATCH

    (tmp_path / "batch").write_text("\n".join(map(str, range(MAX_BATCH + 1))))
    async with treasury(place, Human(approves=once), accept="ask") as (ana, _):
        ended = await run(ana, "--batch", str(tmp_path / "batch"))
        assert ended.error == (6, "participant_refused", [], ["ben"])
        (result,) = [line for line in ended.lines if line["event"] == "result"]
        signature = msgspec.convert(result["signature"], status.SignatureView)
        verify(signature, list(map(str, range(MAX_BATCH))))
        assert f"saved: the first {MAX_BATCH} of {MAX_BATCH + 1} messages are signed" in ended.talk


@pytest.mark.webrtc
async def test_a_command_that_is_its_own_node_signs_a_long_batch(tmp_path: Path) -> None:
    messages = [f"payment {number}" for number in range(MAX_BATCH + 3)]
    (tmp_path / "batch").write_text("\n".join(messages))
    async with processes(tmp_path) as world:
        await world.serve()
        ben = world.register("ben")
        await ben.says(status.Registered)
        ana = world.node("ana", "create-wallet", "-t", "2", "-n", "2", "--name", "treasury")
        assert await ana.ends() == 0, ana.talk
        await ben.says(status.SessionEnded)
        options = ("--home", str(world.home("ana")), "--passphrase-file", str(world.passphrase_file), "--loopback")
        batch = ("sign", "--wallet", "treasury", "--batch", str(tmp_path / "batch"), "--server", world.url, "--json")
        again = world.start("ana", *batch, *options)  # its name is the home's last one
        assert await again.ends() == 0, again.talk
        (result,) = again.of(Result)
        assert result.signature is not None
        verify(result.signature, messages)
        assert len(again.of(status.SessionEnded)) == 2
