"""What the properties look at: each is refuted by a run in which it does not hold."""

import asyncio
from unittest import mock

import pytest

from mpcnode import blame
from mpcnode.blame import Came, Event, Verdict
from mpcnode.protocols.frost.sign import HEAD_SIZE
from mpcnode.types import SessionId
from mpcnode.wire.peer import RoundMessage
from tests.helpers.table import ED25519
from tests.simulation import checks
from tests.simulation.runs import KINDS, BehindALiar, Run
from tests.simulation.world import NAMES, Said, World

ANA, BEN = NAMES[:2]


def kinds(run: Run) -> set[str]:
    return {failure.kind for failure in run().failures}


@pytest.mark.parametrize(
    ("kind", "seeds", "plan", "rule"),
    [
        ("sign", range(100), ("drop",), (Came.CLOCK, Event.SILENCE)),
        ("keygen", range(100), ("links",), (Came.CLOCK, Event.NO_LINK)),
        ("keygen-liar", range(100), ("cancels",), (Came.RELAY, Event.REPORT)),
    ],
)
def test_one_wrong_rule_of_blame_is_found_out(
    kind: str, seeds: range, plan: tuple[str, ...], rule: tuple[Came, Event]
) -> None:
    with mock.patch.object(blame, "TABLE", {**blame.TABLE, rule: Verdict.CULPRITS}):
        assert any("culprit" in kinds(KINDS[kind](kind, seed, plan=plan)) for seed in seeds)


def test_a_command_that_is_never_over_is_found_out() -> None:
    run = BehindALiar("sign", 0, plan=())
    with mock.patch("mpcnode.session.quorum.Quorum.sign", new=_for_ever):
        assert "hang" in kinds(run)


async def _for_ever(*_: object, **__: object) -> None:
    await asyncio.Event().wait()


def test_the_same_nonces_in_two_sessions_are_found_out() -> None:
    world = World("nonces", 2, 2)
    for session_id, data in ((b"\x01" * 16, b"a"), (b"\x02" * 16, b"b")):
        commitments = data * HEAD_SIZE + b"the same commitments"
        message = RoundMessage(session_id=SessionId(session_id), round="nonces", data=commitments)
        world.said.append(Said(ANA, BEN, message))
    assert [failure.kind for failure in checks.nonces_once(world)] == ["nonce"]
    assert list(checks.nonces_once(world, liars=[ANA])) == []


def test_two_shares_in_one_session_are_found_out() -> None:
    world = World("shares", 2, 2)
    for data in (b"one", b"other"):
        message = RoundMessage(session_id=SessionId(b"\x01" * 16), round="signature_share", data=data)
        world.said.append(Said(ANA, BEN, message))
    assert [failure.kind for failure in checks.nonces_once(world)] == ["nonce"]


def test_a_wallet_that_is_active_without_everybody_s_word_is_found_out() -> None:
    world = World("certificates", 2, 3)
    world.deal(ED25519)
    assert list(checks.one_key(world)) == []
    with mock.patch.object(checks, "verify", return_value=False):
        assert {failure.kind for failure in checks.one_key(world)} == {"certificate"}
