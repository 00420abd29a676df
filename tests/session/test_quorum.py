"""A signature in spite of some: one that stalls, cheats or dies is replaced and named; no invalid signature leaves."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from mpcnode.crypto.ciphersuite import CIPHERSUITES
from mpcnode.crypto.signature import SIGNATURE_SIZE
from mpcnode.errors import (
    Disagreement,
    IdentityCheckFailed,
    InconsistentBroadcast,
    LinkFailed,
    MpcError,
    ParticipantAborted,
    ParticipantCheated,
    ParticipantRefused,
    ParticipantSilent,
    PeerError,
    ServerUnreachable,
)
from mpcnode.mesh.transport import MeshTimeouts
from mpcnode.protocols.frost.broadcast import BOUND_SIZE, digest_of, promise
from mpcnode.protocols.frost.sign import HEAD_SIZE
from mpcnode.session import quorum
from mpcnode.status import Proposed, SessionEnded, SignatureView
from mpcnode.types import Identifier, PeerId
from mpcnode.wire.peer import RoundMessage
from mpcnode.wire.relay import RelayMessage, SessionResponse, SessionStart
from tests.helpers.blamed import blamed
from tests.helpers.cheat import Rule, Said, drop, on
from tests.helpers.identities import identity
from tests.helpers.table import ED25519, NAMES, PATIENT, Table, hello, table

pytestmark = pytest.mark.virtual_time

ANA, BEN, CLEO, DORA = NAMES[:4]
NONCES, NONCE_LIST, SIGNATURE_SHARE = "nonces", "nonce_list", "signature_share"
STALLING = replace(PATIENT, round=1)
"""Rounds end soon; for everything else there is time."""
QUICK = MeshTimeouts(attempt=0.5, tries=2, grace=0.5, ping=0.1, quiet=0.5, dead=1, linger=0.1)


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quorum, "BACK_OFF", 0.01)


def wrong_share(_to: PeerId, message: RoundMessage) -> Iterable[Said]:
    """Add one to the share."""
    group = CIPHERSUITES[ED25519].group
    share = group.decode_scalar(message.data) + group.scalar(1)
    return [msgspec.structs.replace(message, data=share.encode())]


def short(_to: PeerId, message: RoundMessage) -> Iterable[Said]:
    return [msgspec.structs.replace(message, data=message.data[:-1])]


def zeros(_to: PeerId, message: RoundMessage) -> Iterable[Said]:
    return [msgspec.structs.replace(message, data=bytes(len(message.data)))]


def signed(listed: Callable[[PeerId, bytes], bytes]) -> Any:
    """Have ben commit to something else, signed as it should be."""

    def lie(to: PeerId, message: RoundMessage) -> Iterable[Said]:
        bound, fresh = message.data[:BOUND_SIZE], message.data[BOUND_SIZE : HEAD_SIZE - SIGNATURE_SIZE]
        changed = listed(to, message.data[HEAD_SIZE:])
        digest = digest_of(bound, ED25519, Identifier(2), fresh, changed)
        said = promise(identity(BEN), bound, Identifier(2), fresh, [digest])
        return [msgspec.structs.replace(message, data=bound + fresh + said.signature + changed)]

    return lie


def no_points(to: PeerId, message: RoundMessage) -> Iterable[Said]:
    """Commit to what is not on the curve."""
    lie: Iterable[Said] = signed(lambda _to, listed: bytes(len(listed)))(to, message)
    return lie


def one_too_many(to: PeerId, message: RoundMessage) -> Iterable[Said]:
    """Commit to nonces for a message that there is not."""
    lie: Iterable[Said] = signed(lambda _to, listed: listed + listed)(to, message)
    return lie


PLAIN = [
    (NONCES, short),
    (NONCES, no_points),
    (NONCES, one_too_many),
    (NONCE_LIST, short),
    (SIGNATURE_SHARE, wrong_share),
    (SIGNATURE_SHARE, short),
]
"""Lies that each one that hears them can attribute."""
STORIES = [(NONCES, zeros), (NONCE_LIST, zeros)]
"""Differences: the liar may be another than the one that says it, or the server's doing."""
CHEATS = [*STORIES, *PLAIN]


def named(part: object) -> str:
    return getattr(part, "__name__", str(part))


@pytest.mark.parametrize(("about", "lie"), PLAIN, ids=named)
async def test_a_cheat_is_replaced_and_named_by_everybody(about: str, lie: Any) -> None:
    async with table(3, 4) as people:
        people[BEN].rules.append(Rule((about,), lie))
        _prefer(people, BEN, CLEO)
        view = await people.sign(ANA)
        assert view.signers == (ANA, CLEO, DORA)
        assert failures(view) == [("participant_cheated", (BEN,), set())]
        assert blamed(await people[CLEO].failure()) == ((BEN,), set())


@pytest.mark.parametrize("to", [None, ANA, CLEO])
@pytest.mark.parametrize(("about", "lie"), [case for case in CHEATS if case[0] != SIGNATURE_SHARE], ids=named)
async def test_however_many_are_lied_to_a_signature_comes_and_no_honest_signer_is_named(
    about: str, lie: Any, to: PeerId | None
) -> None:
    """A lie to one signer may leave no proof for the others; nobody is blamed then, and suspects are avoided."""
    async with table(3, 4, timeouts=STALLING) as people:
        people[BEN].rules.append(Rule((about,), lie, to))
        _prefer(people, BEN, CLEO)
        view = await people.sign(ANA)
        assert not {BEN, to or BEN} <= {*view.signers}  # one that is not there is not lied to
        assert view.attempts > 1
        assert {culprit for failure in view.failures for culprit in failure.culprits} <= {BEN}
        # Where nothing shows the lie, its teller is among the suspects, if anybody is: never an honest one alone.
        assert all(BEN in failure.named for failure in view.failures if failure.named)


async def test_a_long_batch_names_every_signer_of_any_of_its_sessions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quorum, "MAX_BATCH", 2)

    def only(count: int) -> Callable[[Proposed], Awaitable[bool]]:
        async def says(shown: Proposed) -> bool:
            return shown.sign is not None and len(shown.sign.messages) == count

        return says

    async with table(2, 3) as people:
        people[CLEO].asks(says=only(2))
        people[BEN].asks(says=only(1))
        view = await people.sign(ANA, contents=(b"one", b"two", b"three"))
        assert len(view.signatures) == 3
        assert [ended.signature.signers for ended in people[ANA].of(SessionEnded) if ended.signature] == [
            (ANA, CLEO),
            (ANA, BEN),
        ]
        assert view.signers == (ANA, BEN, CLEO)


@pytest.mark.parametrize("lie", [wrong_share, short], ids=named)
async def test_a_wrong_share_for_one_victim_spoils_the_victim_s_session_alone(lie: Any) -> None:
    async with table(3, 4) as people:
        people[BEN].rules.append(Rule((SIGNATURE_SHARE,), lie, CLEO))
        _prefer(people, BEN, CLEO)
        view = await people.sign(ANA)
        assert view.signers == (ANA, BEN, CLEO)
        assert blamed(await people[CLEO].failure()) == ((BEN,), set())
        assert not people[CLEO].of(SessionEnded)[0].signature


@pytest.mark.parametrize(("about", "lie"), PLAIN, ids=named)
async def test_between_two_the_other_one_is_the_liar_where_it_said_what_no_honest_node_says(
    about: str, lie: Any
) -> None:
    async with table(2, 3, timeouts=STALLING) as people:
        people[BEN].rules.append(Rule((about,), lie))
        _prefer(people, BEN)
        view = await people.sign(ANA)
        assert view.signers == (ANA, CLEO)
        assert [blamed(failure) for failure in view.failures] == [((BEN,), set())]


@pytest.mark.parametrize(("about", "lie"), STORIES, ids=named)
async def test_between_two_a_difference_convicts_nobody_and_the_next_attempt_is_with_another(
    about: str, lie: Any
) -> None:
    async with table(2, 3, timeouts=STALLING) as people:
        people[BEN].rules.append(Rule((about,), lie))
        _prefer(people, BEN)
        view = await people.sign(ANA)
        assert view.signers == (ANA, CLEO)
        # What differs may be the server's doing where it is the session; of a list that differs ben is a suspect.
        expected = ("disagreement", (), set()) if about == NONCES else ("inconsistent_broadcast", (), {BEN})
        assert failures(view) == [expected]
        assert (await people[BEN].failure()).culprits == ()  # ana stopped; that is not cheating
        assert (await people[BEN].failure()).code in {
            "disagreement",
            "inconsistent_broadcast",
            "participant_aborted",
            "participant_cheated",
        }


async def test_one_that_commits_to_two_lists_is_convicted_by_both_that_heard_one() -> None:
    async with table(3, 4) as people:
        lie = signed(lambda to, listed: listed if to == ANA else listed[:-64] + listed[-32:] + listed[-64:-32])
        people[BEN].rules.append(on(NONCES)(lie))
        _prefer(people, BEN, CLEO)
        view = await people.sign(ANA)
        assert view.signers == (ANA, CLEO, DORA)
        assert failures(view) == [("participant_cheated", (BEN,), set())]
        assert blamed(await people[CLEO].failure()) == ((BEN,), set())
        assert SIGNATURE_SHARE not in {
            message.round for _, message in people[BEN].made[0].heard if isinstance(message, RoundMessage)
        }


@pytest.mark.parametrize("about", [NONCES, NONCE_LIST, SIGNATURE_SHARE])
async def test_one_that_stalls_is_replaced_and_named_and_nobody_is_convicted(about: str) -> None:
    """Alone, or beside the one that lost patience first, where the stalling one speaks before the proposer does."""
    async with table(3, 4, timeouts=STALLING) as people:
        people[BEN].rules.append(Rule((about,), drop))
        _prefer(people, BEN, CLEO)
        view = await people.sign(ANA)
        assert BEN not in view.signers
        ((code, culprits, suspects),) = failures(view)
        assert (culprits, BEN in suspects) == ((), True)
        assert suspects == {BEN} if code == "participant_silent" else code == "participant_aborted"


async def test_a_share_kept_from_one_signer_only_is_not_the_others_fault() -> None:
    """Ben stalls towards the proposer alone; cleo has a signature, and the proposer gets one without him."""
    async with table(3, 4, timeouts=STALLING) as people:
        people[BEN].rules.append(Rule((SIGNATURE_SHARE,), drop, ANA))
        _prefer(people, BEN, CLEO)
        view = await people.sign(ANA)
        assert BEN not in view.signers
        assert [blamed(failure) for failure in view.failures] == [((), {BEN})]


async def test_with_all_here_and_one_cheating_every_signature_still_comes() -> None:
    async with table(2, 3) as people:
        people[BEN].rules.append(Rule((SIGNATURE_SHARE,), wrong_share))
        for _ in range(3):
            view = await people.sign(ANA)
            assert view.signers == (ANA, CLEO)


async def test_no_replacement_is_found_where_the_user_chose_the_signers() -> None:
    async with table(2, 3) as people:
        people[BEN].rules.append(Rule((SIGNATURE_SHARE,), wrong_share))
        with pytest.raises(ParticipantCheated) as caught:
            await people.sign(ANA, hello(BEN))
        assert (caught.value.exit_code, *blamed(caught.value)) == (7, (BEN,), set())
        assert len(people[ANA].of(SessionEnded)) == 1


async def test_where_no_quorum_is_left_every_culprit_is_named() -> None:
    async with table(2, 3) as people:
        for name in (BEN, CLEO):
            people[name].rules.append(Rule((SIGNATURE_SHARE,), wrong_share))
        with pytest.raises(ParticipantCheated, match="0 other signers are left") as caught:
            await people.sign(ANA)
        assert (caught.value.exit_code, *blamed(caught.value)) == (7, (BEN, CLEO), set())


async def test_after_a_cheat_a_refusal_is_the_reason_and_the_cheat_is_not_forgotten() -> None:
    async with table(2, 3) as people:
        people[BEN].rules.append(Rule((SIGNATURE_SHARE,), wrong_share))
        people[CLEO].asks(says=False)
        with pytest.raises(ParticipantRefused) as caught:
            await people.sign(ANA)
        assert blamed(caught.value) == ((BEN,), {CLEO})
        assert "share" in caught.value.message


async def test_one_that_answers_wrongly_is_left_out_without_another_attempt() -> None:
    async with table(2, 3) as people:

        def lie(sender: PeerId, _to: PeerId, message: RelayMessage) -> RelayMessage:
            if isinstance(message, SessionResponse) and sender == BEN:
                return msgspec.structs.replace(message, proposal=bytes(32))
            return message

        people.tamper = lie
        view = await people.sign(ANA)
        assert (view.signers, view.attempts) == ((ANA, CLEO), 1)
        # Whether ben was heard before enough accepted is chance; where it was, it is named.
        assert {blamed(failure) for failure in view.failures} <= {((), frozenset({BEN}))}


async def test_a_signer_that_dies_between_commitment_and_share_is_replaced() -> None:
    async with table(3, 4, mesh_timeouts=QUICK, timeouts=STALLING) as people:

        def die(_to: PeerId, _message: Any) -> Iterable[Said]:
            people.leave(BEN)
            asyncio.get_running_loop().call_soon(_vanish, people, BEN)
            return []

        people[BEN].rules.append(Rule((SIGNATURE_SHARE,), die))
        _prefer(people, BEN, CLEO)
        view = await people.sign(ANA)
        assert BEN not in view.signers
        assert [blamed(failure) for failure in view.failures] == [((), {BEN})]


async def test_a_proposer_that_dies_after_the_shares_leaves_no_session_open() -> None:
    async with table(2, 2, mesh_timeouts=QUICK, timeouts=STALLING) as people:

        def die(_to: PeerId, message: Any) -> Iterable[Said]:
            asyncio.get_running_loop().call_soon(_vanish, people, ANA)
            return [message]

        people[ANA].rules.append(Rule((SIGNATURE_SHARE,), die))
        signing = asyncio.create_task(people.sign(ANA))
        ended = await people[BEN].ended()
        signing.cancel()
        await asyncio.gather(signing, return_exceptions=True)
        # It had every share: the signature is valid, even if nobody is left that wanted it.
        assert ended.error is None or blamed(ended.error) == ((), {ANA})
        assert not people[BEN].agenda.busy


@pytest.mark.parametrize("away", [4, 3])
async def test_five_of_nine_signs_with_as_many_away_as_may_be(away: int) -> None:
    async with table(4, 8) as people:
        people.leave(*NAMES[8 - away :])
        view = await people.sign(ANA)
        assert set(view.signers) <= set(NAMES[: 8 - away])


async def test_with_too_few_here_those_that_are_away_are_named_at_once() -> None:
    async with table(3, 4) as people:
        people.leave(BEN, CLEO)
        with pytest.raises(ParticipantSilent, match="1 other signers are left of the 2") as caught:
            await people.sign(ANA)
        assert blamed(caught.value) == ((), {BEN, CLEO})
        assert not people.relayed


async def test_without_the_server_nobody_is_called_silent() -> None:
    async with table(2, 2) as people:
        people.leave(BEN)
        people.server_away = True
        with pytest.raises(ServerUnreachable):
            await people.sign(ANA)


async def test_a_choice_that_does_not_arrive_is_a_stall_of_its_signer() -> None:
    async with table(2, 3, timeouts=STALLING, mesh_timeouts=QUICK) as people:
        people.tamper = lambda _s, to, message: None if isinstance(message, SessionStart) and to == BEN else message
        _prefer(people, BEN)
        view = await people.sign(ANA)
        assert view.signers == (ANA, CLEO)


async def test_tries_are_bounded() -> None:
    async with table(2, 8) as people:
        for name in NAMES[1:]:
            people[name].rules.append(Rule((SIGNATURE_SHARE,), wrong_share))
        with pytest.raises(MpcError) as caught:
            await people.sign(ANA)
        assert isinstance(caught.value, ParticipantCheated)
        assert len(people[ANA].of(SessionEnded)) == 4


async def test_the_least_suspicious_are_chosen_and_of_them_the_nearest() -> None:
    async with table(2, 3) as people:
        await people.sign(ANA, hello(CLEO))
        await people.sign(ANA, hello(BEN))
        mesh: Any
        for mesh, seconds in zip(people[ANA].made, (0.1, 0.2), strict=True):
            mesh.round_trip = lambda _peer, seconds=seconds: seconds
        choosing = people[ANA].sessions._quorum
        choose = choosing._choose
        order = choosing._order(people[ANA].wallet, hello(), emit=None, answer_within=1)
        assert choose([BEN, CLEO], {}, order, more=True) == [CLEO]
        assert choose([BEN, CLEO], {CLEO: 1}, order, more=True) == [BEN]
        assert choose([CLEO], {CLEO: 1}, order, more=True) == []  # ben may still accept
        assert choose([CLEO], {CLEO: 1}, order, more=False) == [CLEO]
        assert choose([], {}, order, more=True) == []


def test_a_link_that_fails_once_makes_its_peer_less_welcome_and_twice_leaves_it_out() -> None:
    trouble = quorum._Trouble()
    trouble.note(LinkFailed("the link to ben did not open in time", suspects=[BEN]), [BEN, CLEO])
    assert trouble.suspicion == {BEN: 1}
    assert not trouble.excluded
    trouble.note(LinkFailed("the link to ben did not open in time", suspects=[BEN]), [BEN, CLEO])
    assert trouble.excluded == {BEN}


def test_a_link_between_two_others_is_nobody_s_fault_and_makes_both_less_welcome() -> None:
    trouble = quorum._Trouble()
    error = LinkFailed("the link between ben and cleo did not open in time", suspects=[BEN, CLEO])
    assert error.culprits == ()
    for _ in range(3):
        trouble.note(error, [BEN, CLEO, DORA])  # one error is one error, however often it is heard of
    trouble.note(LinkFailed("again", suspects=[BEN, CLEO]), [BEN, CLEO, DORA])
    assert trouble.suspicion == {BEN: 2, CLEO: 2}
    assert not trouble.excluded
    assert [blamed(failure) for failure in trouble.failures] == [((), {BEN, CLEO})] * 2


def test_an_error_that_names_nobody_makes_every_signer_less_welcome() -> None:
    trouble = quorum._Trouble()
    trouble.note(ParticipantCheated("signers heard different commitments"), [BEN, CLEO])
    assert trouble.suspicion == {BEN: 1, CLEO: 1}
    assert not trouble.excluded


@pytest.mark.parametrize(
    ("error", "out"),
    [
        (ParticipantCheated("x", culprits=[BEN]), {BEN}),
        (ParticipantCheated("x", suspects=[BEN, CLEO]), set()),
        (ParticipantSilent("x", suspects=[BEN, CLEO]), {BEN, CLEO}),
        (ParticipantAborted("x", suspects=[BEN]), set()),
        (ParticipantAborted("x", suspects=[BEN, CLEO]), set()),
        (ParticipantRefused("x", suspects=[BEN]), {BEN}),
        (IdentityCheckFailed("x", suspects=[BEN]), {BEN}),
        (InconsistentBroadcast("x", suspects=[BEN]), {BEN}),
        (Disagreement("x"), set()),
    ],
    ids=lambda part: f"{part.code} {sorted(part.suspects)}" if isinstance(part, MpcError) else "",
)
def test_those_are_not_asked_again_with_whom_this_node_itself_got_nowhere(error: PeerError, out: set[PeerId]) -> None:
    """What others report excludes nobody: else a liar could have honest signers excluded."""
    trouble = quorum._Trouble()
    trouble.note(error, [BEN, CLEO])
    assert trouble.excluded == out
    assert trouble.suspicion.keys() == ({*error.suspects, *error.culprits} or {BEN, CLEO})


@pytest.mark.parametrize(
    ("errors", "kind", "culprits", "suspects"),
    [
        (
            [ParticipantSilent("x", suspects=[BEN]), ParticipantCheated("y", culprits=[CLEO])],
            ParticipantCheated,
            (CLEO,),
            {BEN},
        ),
        (
            [IdentityCheckFailed("x", suspects=[BEN]), ParticipantSilent("y", suspects=[CLEO])],
            IdentityCheckFailed,
            (),
            {BEN, CLEO},
        ),
        ([ParticipantSilent("x", suspects=[BEN]), LinkFailed("y", suspects=[CLEO])], LinkFailed, (), {BEN, CLEO}),
        ([ParticipantAborted("x", suspects=[BEN, CLEO])], ParticipantAborted, (), {BEN, CLEO}),
        (
            [ParticipantSilent("x", suspects=[BEN]), ParticipantCheated("y", culprits=[BEN])],
            ParticipantCheated,
            (BEN,),
            set(),
        ),
    ],
)
def test_no_quorum_is_as_grave_as_the_gravest_and_names_everybody_that_any_failure_named(
    errors: list[PeerError], kind: type[MpcError], culprits: tuple[PeerId, ...], suspects: set[PeerId]
) -> None:
    trouble = quorum._Trouble()
    for error in errors:
        trouble.note(error)
    said = trouble.no_quorum("nobody is left")
    assert type(said) is kind
    assert blamed(said) == (culprits, suspects)
    assert said.message.startswith("nobody is left; x")


def failures(view: SignatureView) -> list[tuple[str, tuple[str, ...], set[str]]]:
    """The code, the convicted and the suspects of each attempt that failed."""
    return [(failure.code, failure.culprits, set(failure.suspects)) for failure in view.failures]


def _prefer(people: Table, *first: PeerId) -> None:
    """Have these be nearest to everybody: the others answer only when nobody else is left to answer."""

    def later(sender: PeerId, to: PeerId, message: RelayMessage) -> RelayMessage | None:
        if not isinstance(message, SessionResponse) or sender in first or tamper(sender, to, message) is None:
            return tamper(sender, to, message)
        asyncio.get_running_loop().call_later(0.05, people.say, sender, to, message)
        return None

    tamper = people.tamper
    people.tamper = later


def _vanish(people: Table, name: PeerId) -> None:
    """Cut every link of ``name``, with nothing said."""
    people.network.silence(name, [other for other in people.seats if other != name])
