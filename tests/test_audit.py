"""Whole nodes: each session leaves its line at everybody, and a policy file answers for a wallet."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from mpcnode.commands import Sign
from mpcnode.consent.policy import policy_path
from mpcnode.errors import KeystoreUnwritable, MpcError, ParticipantRefused
from mpcnode.keystore.audit import AUDIT_LOG, AuditLog, read_log
from mpcnode.keystore.audit_chain import Entry
from mpcnode.types import PeerId, WalletId
from tests.helpers.blamed import blamed
from tests.helpers.nodes import TREASURY3, WALLET, Nodes, Running, making, nodes, soon, why
from tests.helpers.server import running_server
from tests.helpers.table import Human

HELLO = Sign(wallet="treasury", contents=(b"hello",))


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Nodes]:
    async with running_server() as server, nodes(tmp_path, server.url) as made:
        yield made


def entries(running: Running) -> list[Entry]:
    """How its sessions ended."""
    return [entry for entry in everything(running) if entry.outcome != "accepted"]


def everything(running: Running) -> list[Entry]:
    lines: list[Any] = []
    assert read_log(running.config.home, on_line=lines.append).problem is None
    return [line.entry for line in lines]


def outcomes(running: Running) -> list[tuple[str, str, str | None, str]]:
    return [(one.kind, one.proposer, one.approved_by, one.outcome) for one in entries(running)]


def write_policy(running: Running, text: str) -> Path:
    (wallet,) = running.node.wallets()
    path = policy_path(running.config.home, WalletId(bytes.fromhex(getattr(wallet, "wallet_id", ""))))
    path.write_text(text)
    path.chmod(0o600)
    return path


async def failing_to_sign(running: Running, request: Sign = HELLO) -> MpcError:
    with pytest.raises(MpcError) as caught:
        await soon(running.node.sign(request))
    return caught.value


async def test_each_session_has_its_line_at_everybody_who_was_in_it(place: Nodes) -> None:
    ana, ben = await place.all("ana", "ben")
    wallet = await soon(making(ana))
    signed = await soon(ben.node.sign(HELLO))
    await ana.end_of_session(2)
    assert outcomes(ana) == [("keygen", "ana", "user", "done"), ("sign", "ben", "policy", "done")]
    assert outcomes(ben) == [("keygen", "ana", "policy", "done"), ("sign", "ben", "user", "done")]
    for running in (ana, ben):
        made, sign = entries(running)
        assert (made.wallet_id, made.participants, made.messages) == (wallet.wallet_id, ("ana", "ben"), ())
        assert (sign.wallet_id, sign.signers) == (wallet.wallet_id, signed.signers)
        assert sign.messages == ("2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",)


async def test_a_refusal_has_a_line_where_it_was_said_and_where_it_was_heard(place: Nodes) -> None:
    ana = await place.start("ana")
    ben = await place.start("ben", Human(approves=False), accept="ask")
    await ana.knows("ben")
    with pytest.raises(ParticipantRefused):
        await soon(making(ana))
    await ben.end_of_session()
    assert outcomes(ben) == [("keygen", "ana", None, "refused")]
    assert outcomes(ana) == [("keygen", "ana", "user", "failed")]
    assert (entries(ana)[0].culprits, entries(ana)[0].suspects) == ((), ("ben",))


async def test_what_is_refused_before_anybody_was_asked_has_a_line_too(place: Nodes) -> None:
    ana, ben = await place.all("ana", "ben")
    await soon(making(ana))
    cleo = await place.start("cleo")
    await cleo.knows("ben")
    with pytest.raises(ParticipantRefused):  # ben has a wallet of that name
        await soon(making(cleo, msgspec.structs.replace(WALLET, with_peers=(PeerId("ben"),))))
    await ben.end_of_session(2)
    assert outcomes(ben)[1] == ("keygen", "cleo", None, "refused")


async def test_a_policy_answers_in_place_of_the_options_and_can_be_changed_at_any_time(place: Nodes) -> None:
    ana = await place.start("ana")
    ben = await place.start("ben", Human(), accept="ask")
    await ana.knows("ben")
    await soon(making(ana))
    asked = len(ben.human.asked)
    path = write_policy(ben, "ask: never\nreadings: [text]\n")
    await soon(ana.node.sign(HELLO))
    assert len(ben.human.asked) == asked
    error = await failing_to_sign(ana, msgspec.structs.replace(HELLO, reading="hex"))
    assert (type(error), *blamed(error)) == (ParticipantRefused, (), {"ben"})
    assert why(await ben.end_of_session(3)) == ("refused", 8)
    write_policy(ben, "ask: always\n")
    await soon(ana.node.sign(HELLO))
    assert len(ben.human.asked) == asked + 1
    path.write_text("aks: never\n")
    await failing_to_sign(ana)
    ended = await ben.end_of_session(5)
    assert why(ended) == ("unreadable", 3)
    assert ended.error is not None
    assert re.search(r"no field 'aks'", ended.error.message)
    assert "aks" not in str((await ana.end_of_session(5)).error)  # what is wrong inside ben's home is ben's
    assert [one.approved_by for one in entries(ben)] == ["user", "policy", None, "user", None]


async def test_the_rate_of_a_policy_holds_over_a_restart(place: Nodes) -> None:
    ana, ben = await place.all("ana", "ben")
    await soon(making(ana))
    write_policy(ben, "ask: never\nrate-per-hour: 3\n")
    await soon(ana.node.sign(msgspec.structs.replace(HELLO, contents=(b"1", b"2"))))
    await ben.stop()
    ben = await place.start("ben")
    await ana.knows("ben")
    error = await failing_to_sign(ana, msgspec.structs.replace(HELLO, contents=(b"3", b"4")))
    assert "3 messages an hour" in error.message
    await soon(ana.node.sign(HELLO))
    assert isinstance(await failing_to_sign(ana), ParticipantRefused)
    await soon(ben.node.sign(HELLO))  # its own proposals are its user's


async def test_the_rate_of_a_policy_holds_over_a_kill(place: Nodes, monkeypatch: pytest.MonkeyPatch) -> None:
    ana, ben = await place.all("ana", "ben")
    await soon(making(ana))
    await ben.end_of_session()
    write_policy(ben, "ask: never\nrate-per-hour: 1\n")
    with monkeypatch.context() as killed:
        killed.setattr(ben.node._journal, "record", _nothing)  # it is dead before it writes the end
        await soon(ana.node.sign(HELLO))
        await ben.end_of_session(2)
        await ben.stop()
    last = everything(ben)[-1]
    assert (last.outcome, last.approved_by, last.signers) == ("accepted", "policy", ("ana", "ben"))
    ben = await place.start("ben")
    await ana.knows("ben")
    assert "1 messages an hour: 1 were accepted" in (await failing_to_sign(ana)).message


async def _nothing(*_: object) -> None:
    pass


async def test_who_accepts_and_is_not_needed_keeps_its_place_for_the_next(place: Nodes) -> None:
    ana, ben, cleo = await place.all("ana", "ben", "cleo")
    await soon(making(ana, TREASURY3))
    for running in (ben, cleo):
        await running.end_of_session()
        write_policy(running, "ask: never\nrate-per-hour: 1\n")
    first = await soon(ana.node.sign(HELLO))
    for running in (ben, cleo):
        await running.end_of_session(2)
    second = await soon(ana.node.sign(HELLO))
    assert {*first.signers, *second.signers} == {"ana", "ben", "cleo"}
    unneeded = cleo if "ben" in first.signers else ben
    assert outcomes(unneeded)[1] == ("sign", "ana", "policy", "unneeded")


async def test_a_node_whose_log_cannot_be_written_makes_nothing_more_and_says_why(
    place: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    ana, ben = await place.all("ana", "ben")
    append = AuditLog.append

    def refuse(log: AuditLog, one: Entry) -> None:
        if log.path == ben.config.home / AUDIT_LOG:
            raise KeystoreUnwritable("no space left")
        append(log, one)

    monkeypatch.setattr(AuditLog, "append", refuse)
    wallet = await soon(making(ana))
    await ben.end_of_session()
    assert wallet.state == "active"
    assert any("no space left" in warning for warning in ben.warnings)
    error = await failing_to_sign(ana)
    assert (type(error), *blamed(error)) == (ParticipantRefused, (), {"ben"})
    assert "cannot write its audit log" in error.message
    with pytest.raises(KeystoreUnwritable):
        await soon(ben.node.sign(HELLO))
    monkeypatch.undo()
    await soon(ana.node.sign(HELLO))
    await ben.end_of_session(4)
    assert [one.kind for one in entries(ben)][:1] == ["keygen"]
    assert entries(ben)[-1].outcome == "done"
