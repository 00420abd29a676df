"""A signature in spite of some: whoever stalls, cheats or dies is replaced and named; no invalid signature leaves."""

import asyncio
from collections.abc import Iterable
from typing import Any

import msgspec
import pytest

from mpcnode.crypto.ciphersuite import SUITES
from mpcnode.errors import (
    IdentityCheckFailed,
    LinkFailed,
    MpcError,
    ParticipantAborted,
    ParticipantCheated,
    ParticipantRefused,
    ParticipantSilent,
    ServerUnreachable,
)
from mpcnode.mesh.transport import MeshTimeouts
from mpcnode.session import quorum
from mpcnode.status import SessionEnded
from mpcnode.types import PeerId
from mpcnode.wire import relay as wire
from mpcnode.wire.peer import CommitmentList, PeerMessage, SignatureShare, SigningCommitments
from mpcnode.wire.relay import RelayMessage, SessionResponse, SessionStart
from tests.helpers.cheat import Rule, Said, drop
from tests.helpers.quorums import ED25519, NAMES, Table, hello, table
from tests.helpers.sessions import HASTY

ANA, BEN, CLEO, DORA, ELI = NAMES[:5]
QUICK = MeshTimeouts(attempt=0.5, tries=2, grace=0.5, ping=0.1, quiet=0.5, dead=1, linger=0.1)


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quorum, "BACK_OFF", 0.01)


def wrong_share(_to: PeerId, message: Any) -> Iterable[Said]:
    """Add one to the share."""
    group = SUITES[ED25519].group
    share = group.decode_scalar(bytes.fromhex(message.data)) + group.scalar(1)
    return [msgspec.structs.replace(message, data=share.encode().hex())]


def short(_to: PeerId, message: Any) -> Iterable[Said]:
    return [msgspec.structs.replace(message, data=message.data[:-2])]


def zeros(_to: PeerId, message: Any) -> Iterable[Said]:
    return [msgspec.structs.replace(message, data="00" * (len(message.data) // 2))]


CHEATS = [
    (SigningCommitments, short),
    (SigningCommitments, zeros),
    (CommitmentList, zeros),
    (CommitmentList, short),
    (SignatureShare, wrong_share),
    (SignatureShare, short),
]
PLAIN = [(SigningCommitments, short), (CommitmentList, short), (SignatureShare, wrong_share), (SignatureShare, short)]
"""Lies that whoever hears them can attribute."""


def named(part: object) -> str:
    return getattr(part, "__name__", "")


@pytest.mark.parametrize(("about", "lie"), PLAIN, ids=named)
async def test_a_cheat_is_replaced_and_named_by_everybody(about: type[PeerMessage], lie: Any) -> None:
    async with table(3, 4) as made:
        made[BEN].rules.append(Rule((about,), lie))
        _prefer(made, BEN, CLEO)
        view = await made.sign(ANA)
        assert view.signers == (ANA, CLEO, DORA)
        assert [(failure.code, failure.culprits) for failure in view.failures] == [("participant_cheated", (BEN,))]
        assert (await made[CLEO].failure()).culprits == (BEN,)


@pytest.mark.parametrize("to", [None, ANA, CLEO])
@pytest.mark.parametrize(("about", "lie"), CHEATS[:4], ids=named)
async def test_whoever_is_lied_to_a_signature_comes_and_no_honest_signer_is_named(
    about: type[PeerMessage], lie: Any, to: PeerId | None
) -> None:
    """A lie to one signer may leave no proof for the others; nobody is blamed then, and suspects are avoided."""
    async with table(3, 4, timeouts=HASTY) as made:
        made[BEN].rules.append(Rule((about,), lie, to))
        _prefer(made, BEN, CLEO)
        view = await made.sign(ANA)
        assert not {BEN, to or BEN} <= {*view.signers}  # who is not there is not lied to
        assert view.attempts > 1
        assert {culprit for failure in view.failures for culprit in failure.culprits} <= {BEN}


@pytest.mark.parametrize("lie", [wrong_share, short], ids=named)
async def test_a_wrong_share_for_one_victim_spoils_the_victim_s_session_alone(lie: Any) -> None:
    async with table(3, 4) as made:
        made[BEN].rules.append(Rule((SignatureShare,), lie, CLEO))
        _prefer(made, BEN, CLEO)
        view = await made.sign(ANA)
        assert view.signers == (ANA, BEN, CLEO)
        assert (await made[CLEO].failure()).culprits == (BEN,)
        assert not made[CLEO].of(SessionEnded)[0].signature


@pytest.mark.parametrize(("about", "lie"), CHEATS, ids=named)
async def test_between_two_the_other_one_is_the_liar(about: type[PeerMessage], lie: Any) -> None:
    async with table(2, 3, timeouts=HASTY) as made:
        made[BEN].rules.append(Rule((about,), lie))
        _prefer(made, BEN)
        view = await made.sign(ANA)
        assert view.signers == (ANA, CLEO)
        assert [failure.culprits for failure in view.failures] == [(BEN,)]


@pytest.mark.parametrize("about", [SigningCommitments, CommitmentList, SignatureShare], ids=lambda kind: kind.__name__)
async def test_who_stalls_is_replaced_and_named_and_nobody_else_is(about: type[PeerMessage]) -> None:
    async with table(3, 4, timeouts=HASTY) as made:
        made[BEN].rules.append(Rule((about,), drop))
        _prefer(made, BEN, CLEO)
        view = await made.sign(ANA)
        assert BEN not in view.signers
        assert [(failure.code, failure.culprits) for failure in view.failures] == [("participant_silent", (BEN,))]


async def test_a_share_kept_from_one_signer_only_is_not_the_others_fault() -> None:
    """Ben stalls towards the proposer alone; cleo has a signature, and the proposer gets one without him."""
    async with table(3, 4, timeouts=HASTY) as made:
        made[BEN].rules.append(Rule((SignatureShare,), drop, ANA))
        _prefer(made, BEN, CLEO)
        view = await made.sign(ANA)
        assert BEN not in view.signers
        assert [failure.culprits for failure in view.failures] == [(BEN,)]


async def test_with_all_here_and_one_cheating_every_signature_still_comes() -> None:
    async with table(2, 3) as made:
        made[BEN].rules.append(Rule((SignatureShare,), wrong_share))
        for _ in range(3):
            view = await made.sign(ANA)
            assert view.signers == (ANA, CLEO)


async def test_no_replacement_is_found_where_the_user_chose_the_signers() -> None:
    async with table(2, 3) as made:
        made[BEN].rules.append(Rule((SignatureShare,), wrong_share))
        with pytest.raises(ParticipantCheated) as caught:
            await made.sign(ANA, hello(BEN))
        assert (caught.value.exit_code, caught.value.culprits) == (7, (BEN,))
        assert len(made[ANA].of(SessionEnded)) == 1


async def test_where_no_quorum_is_left_every_culprit_is_named() -> None:
    async with table(2, 3) as made:
        for name in (BEN, CLEO):
            made[name].rules.append(Rule((SignatureShare,), wrong_share))
        with pytest.raises(ParticipantCheated, match="0 other signers are left") as caught:
            await made.sign(ANA)
        assert (caught.value.exit_code, caught.value.culprits) == (7, (BEN, CLEO))


async def test_after_a_cheat_a_refusal_is_the_reason_and_the_cheat_is_not_forgotten() -> None:
    async with table(2, 3) as made:
        made[BEN].rules.append(Rule((SignatureShare,), wrong_share))
        made[CLEO].asks(says=False)
        with pytest.raises(ParticipantRefused) as caught:
            await made.sign(ANA)
        assert set(caught.value.culprits) == {BEN, CLEO}
        assert "share" in caught.value.message


async def test_who_answers_wrongly_is_left_out_without_another_attempt() -> None:
    async with table(2, 3) as made:

        def lie(sender: PeerId, _to: PeerId, message: RelayMessage) -> RelayMessage:
            if isinstance(message, SessionResponse) and sender == BEN:
                return msgspec.structs.replace(message, proposal="00" * 32)
            return message

        made.tamper = lie
        view = await made.sign(ANA)
        assert (view.signers, view.attempts) == ((ANA, CLEO), 1)
        # Whether ben was heard before enough accepted is chance; where it was, it is named.
        assert {failure.culprits for failure in view.failures} <= {(BEN,)}


async def test_a_signer_that_dies_between_commitment_and_share_is_replaced() -> None:
    async with table(3, 4, mesh_timeouts=QUICK, timeouts=HASTY) as made:

        def die(_to: PeerId, _message: Any) -> Iterable[Said]:
            made.away.add(BEN)
            asyncio.get_running_loop().call_soon(_vanish, made, BEN)
            return []

        made[BEN].rules.append(Rule((SignatureShare,), die))
        _prefer(made, BEN, CLEO)
        view = await made.sign(ANA)
        assert BEN not in view.signers
        assert [failure.culprits for failure in view.failures] == [(BEN,)]


async def test_a_proposer_that_dies_after_the_shares_leaves_no_session_open() -> None:
    async with table(2, 2, mesh_timeouts=QUICK, timeouts=HASTY) as made:

        def die(_to: PeerId, message: Any) -> Iterable[Said]:
            asyncio.get_running_loop().call_soon(_vanish, made, ANA)
            return [message]

        made[ANA].rules.append(Rule((SignatureShare,), die))
        signing = asyncio.create_task(made.sign(ANA))
        ended = await made[BEN].ended()
        signing.cancel()
        await asyncio.gather(signing, return_exceptions=True)
        # It had every share: the signature is valid, whoever is left of those that wanted it.
        assert ended.error is None or ended.error.culprits == (ANA,)
        assert not made[BEN].sessions.busy


@pytest.mark.parametrize("away", [4, 3])
async def test_five_of_nine_signs_with_as_many_away_as_may_be(away: int) -> None:
    async with table(4, 8) as made:
        made.away.update(NAMES[8 - away :])
        view = await made.sign(ANA)
        assert set(view.signers) <= set(NAMES[: 8 - away])


async def test_with_too_few_here_those_who_are_away_are_named_at_once() -> None:
    async with table(3, 4) as made:
        made.away.update({BEN, CLEO})
        with pytest.raises(ParticipantSilent, match="1 other signers are left of the 2") as caught:
            await made.sign(ANA)
        assert caught.value.culprits == (BEN, CLEO)
        assert not made.relayed


async def test_without_the_server_nobody_is_called_silent() -> None:
    async with table(2, 2) as made:
        made.server_away = True
        made.away.add(BEN)
        with pytest.raises(ServerUnreachable):
            await made.sign(ANA)


async def test_a_choice_that_does_not_arrive_is_a_stall_of_its_signer() -> None:
    async with table(2, 3, timeouts=HASTY, mesh_timeouts=QUICK) as made:
        made.tamper = lambda _s, to, message: None if isinstance(message, SessionStart) and to == BEN else message
        _prefer(made, BEN)
        view = await made.sign(ANA)
        assert view.signers == (ANA, CLEO)


async def test_tries_are_bounded() -> None:
    async with table(2, 8) as made:
        for name in NAMES[1:]:
            made[name].rules.append(Rule((SignatureShare,), wrong_share))
        with pytest.raises(MpcError) as caught:
            await made.sign(ANA)
        assert isinstance(caught.value, ParticipantCheated)
        assert len(made[ANA].of(SessionEnded)) == 4


async def test_the_least_suspicious_are_chosen_and_of_them_the_nearest() -> None:
    async with table(2, 3) as made:
        await made.sign(ANA, hello(CLEO))
        await made.sign(ANA, hello(BEN))
        for mesh, seconds in zip(made[ANA].made, (0.1, 0.2), strict=True):
            mesh.round_trip = lambda _peer, seconds=seconds: seconds  # type: ignore[misc, method-assign]
        choose = made[ANA].quorum._choose
        order = made[ANA].quorum._order(made[ANA].wallet, hello(), emit=lambda _event: None, negotiate=1)
        assert choose([BEN, CLEO], {}, order, more=True) == [CLEO]
        assert choose([BEN, CLEO], {CLEO: 1}, order, more=True) == [BEN]
        assert choose([CLEO], {CLEO: 1}, order, more=True) == []  # ben may still accept
        assert choose([CLEO], {CLEO: 1}, order, more=False) == [CLEO]
        assert choose([], {}, order, more=True) == []


def test_a_link_that_fails_once_makes_its_peer_less_welcome_and_twice_leaves_it_out() -> None:
    trouble = quorum._Trouble()
    trouble.note(LinkFailed("the link to ben did not open in time", peer=BEN), [BEN, CLEO])
    assert trouble.suspicion == {BEN: 1}
    assert not trouble.excluded
    trouble.note(LinkFailed("the link to ben did not open in time", peer=BEN), [BEN, CLEO])
    assert trouble.excluded == {BEN}


def test_a_link_between_two_others_is_nobody_s_fault_and_makes_both_less_welcome() -> None:
    trouble = quorum._Trouble()
    error = LinkFailed("the link between ben and cleo did not open in time", peer=BEN, other=CLEO)
    assert error.culprits == ()
    for _ in range(3):
        trouble.note(error, [BEN, CLEO, DORA])  # one error is one error, however often it is heard of
    trouble.note(LinkFailed("again", peer=BEN, other=CLEO), [BEN, CLEO, DORA])
    assert trouble.suspicion == {BEN: 2, CLEO: 2}
    assert not trouble.excluded
    assert [failure.culprits for failure in trouble.failures] == [(), ()]


def test_an_error_that_names_nobody_makes_every_signer_less_welcome() -> None:
    trouble = quorum._Trouble()
    trouble.note(ParticipantCheated("signers heard different commitments"), [BEN, CLEO])
    assert trouble.suspicion == {BEN: 1, CLEO: 1}
    assert not trouble.excluded


@pytest.mark.parametrize(
    ("errors", "kind", "culprits"),
    [
        (
            [ParticipantSilent("x", culprits=[BEN]), ParticipantCheated("y", culprits=[CLEO])],
            ParticipantCheated,
            (BEN, CLEO),
        ),
        ([IdentityCheckFailed("x", peer=BEN), ParticipantSilent("y", culprits=[CLEO])], IdentityCheckFailed, (BEN,)),
        ([ParticipantSilent("x", culprits=[BEN]), LinkFailed("y", peer=CLEO)], LinkFailed, (CLEO,)),
        ([ParticipantAborted("x", culprits=[BEN], suspects=[BEN, CLEO])], ParticipantSilent, ()),
    ],
)
def test_no_quorum_is_as_grave_as_the_gravest(
    errors: list[MpcError], kind: type[MpcError], culprits: tuple[PeerId, ...]
) -> None:
    trouble = quorum._Trouble()
    for error in errors:
        trouble.note(error)
    said = trouble.no_quorum("nobody is left")
    assert type(said) is kind
    assert said.culprits == culprits
    assert said.message.startswith("nobody is left; x")


def _prefer(made: Table, *first: PeerId) -> None:
    """Have these be nearest to everybody: the others answer only when nobody else is left to answer."""

    def later(sender: PeerId, to: PeerId, message: RelayMessage) -> RelayMessage | None:
        if not isinstance(message, wire.SessionResponse) or sender in first or tamper(sender, to, message) is None:
            return tamper(sender, to, message)
        asyncio.get_running_loop().call_later(0.05, made.say, sender, to, message)
        return None

    tamper = made.tamper
    made.tamper = later


def _vanish(made: Table, name: PeerId) -> None:
    """Cut every link of ``name``, with nothing said."""
    made.network.silence(name, [other for other in made.seats if other != name])
