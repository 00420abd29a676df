"""The pump over real meshes in memory, in key generation: lies, silence, aborts and links; and over a pipe by hand."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
import pytest

from mpcnode.blame import ENDINGS, Came, Event, judge, words_differ
from mpcnode.crypto import tags
from mpcnode.crypto.ciphersuite import CIPHERSUITES
from mpcnode.crypto.suites import DEFAULT_SUITES
from mpcnode.errors import (
    Disagreement,
    InconsistentBroadcast,
    KeystoreUnwritable,
    LinkFailed,
    MpcError,
    ParticipantAborted,
    ParticipantCheated,
    ParticipantSilent,
    ParticipantStopped,
    PeerError,
    WordsDiffer,
)
from mpcnode.identity.contacts import How
from mpcnode.peers.trust import fingerprint
from mpcnode.protocols.descriptor import AGREED_SIZE
from mpcnode.protocols.execution import Execution
from mpcnode.protocols.frost import broadcast
from mpcnode.protocols.rounds import Fault, Inconsistent, Plan, Round, Rounds, Witness, checkpoint, conclude
from mpcnode.protocols.rounds import broadcast as broadcast_round
from mpcnode.session.pump import Pump
from mpcnode.session.services import SessionTimeouts
from mpcnode.status import SessionEnded, Warned
from mpcnode.types import Identifier, PeerId, SessionId
from mpcnode.wire import agreement
from mpcnode.wire.framing import FRAME_SIZE, MAX_MESSAGE
from mpcnode.wire.peer import Abort, MeshReady, PeerMessage, RoundMessage, encode
from mpcnode.wire.relay import RelayMessage, SessionProposal, SessionStart, encode_message
from tests.helpers.blamed import blamed
from tests.helpers.cheat import (
    Change,
    FalseDealer,
    Make,
    Rule,
    Said,
    after,
    drop,
    fewer_points,
    flip,
    identity_point,
    lie_in_shares,
    more_points,
    on,
    one_for_all,
    package,
    twice,
    with_fields,
    wrong_proof,
)
from tests.helpers.identities import identity, key_of
from tests.helpers.meshes import FAST
from tests.helpers.table import ANA, BEN, CLEO, DEADLINE, ED25519, HASTY, NAMES, PATIENT, STEADY, Seat, Table, table

pytestmark = pytest.mark.virtual_time

MAL = NAMES[3]
HONEST = (ANA, BEN, CLEO)
UNHEARD = replace(PATIENT, leave=0.3)
"""For a lie after which its teller is cut off: when it is told to stop, nobody acknowledges its last words."""
OTHER_SESSION = SessionId(bytes.fromhex("0f" * 16))

Ended = tuple[str, tuple[str, ...], tuple[str, ...]]
"""A code, those that are convicted and the suspects."""
MADE: Ended = ("made", (), ())
CAUGHT: Ended = (ParticipantCheated.code, (MAL,), ())
DIFFERENT: Ended = (InconsistentBroadcast.code, (), ())
TOLD_DIFFERENTLY: Ended = (Disagreement.code, (), ())
SILENT: Ended = (ParticipantSilent.code, (), (MAL,))
STOPPED: Ended = (ParticipantStopped.code, (), (MAL,))

ROUNDS = ("digest", "commitment", "share", "ready")


def four(**options: Any) -> contextlib.AbstractAsyncContextManager[Table]:
    """Ana, ben, cleo and mal, who are about to make a wallet."""
    given = {"total": 4, "threshold": 2, "suites": (ED25519,), **options}
    return table(given.pop("threshold"), given.pop("total"), wallets=False, **given)


async def run(people: Table, *names: PeerId) -> dict[PeerId, Ended]:
    """Let ana propose a wallet; give how it ended at these."""
    with contextlib.suppress(MpcError):
        await people.create_wallet(ANA)
    return {name: how(await people[name].ended()) for name in names or HONEST}


def how(ended: SessionEnded) -> Ended:
    return (ended.error.code, ended.error.culprits, ended.error.suspects) if ended.error else MADE


def hearsay(*suspects: str) -> Ended:
    """One of these says that another one cheats."""
    return (ParticipantCheated.code, (), tuple(sorted(suspects)))


def reported(*suspects: str) -> Ended:
    """One of these stopped because of another one."""
    return (ParticipantAborted.code, (), tuple(sorted(suspects)))


def cheat(people: Table, *rules: Rule) -> None:
    people[MAL].rules.extend(rules)


def everywhere(outcome: Ended, **others: Ended) -> dict[PeerId, Ended]:
    return {name: others.get(name, outcome) for name in HONEST}


def message(seat: Seat) -> str:
    """What its user is told of the first session that failed."""
    return next(ended.error.message for ended in seat.of(SessionEnded) if ended.error)


def nothing_is_active(people: Table) -> bool:
    return not any("active" in seat.states for seat in people.seats.values() if seat.name != MAL)


def nothing_is_stored(people: Table) -> bool:
    return not any(seat.states for seat in people.seats.values() if seat.name != MAL)


# --- everybody is honest ---


@pytest.mark.parametrize(("total", "threshold"), [(2, 2), (3, 2), (5, 3)])
async def test_everybody_has_the_same_wallet(total: int, threshold: int) -> None:
    async with table(threshold, total, wallets=False) as people:
        names = NAMES[:total]
        for name in names:
            people[name].asks()
        assert (await people.create_wallet(ANA)).state == "active"
        views = [view for name in names if (view := (await people[name].ended()).wallet)]
        assert len(views) == total
        for view in views:
            assert view.state == "active"
            assert view.signatures == total
            assert view.epoch_id == views[0].epoch_id
            assert view.group_public_keys == views[0].group_public_keys
            assert view.verifying_shares == views[0].verifying_shares
        words = {(await people[name].ended()).words for name in names}
        assert len(words) == 1
        assert words != {None}
        assert {tuple(people[name].states) for name in names} == {("active",)}
        asked = {name: [type(one).__name__ for one in people[name].human.asked] for name in names}
        # The proposer is not asked about its own proposal, but which peers are meant.
        assert asked[ANA][-1] == "SafetyWords"
        assert "Proposed" not in asked[ANA]
        assert all(asked[name] == ["Proposed", "SafetyWords"] for name in names[1:])


async def test_nobody_says_anything_that_warns_anybody() -> None:
    async with four() as people:
        assert await run(people, *NAMES[:4]) == dict.fromkeys(NAMES[:4], MADE)
        assert not [event for seat in people.seats.values() for event in seat.of(Warned)]


# --- commitments ---


@pytest.mark.parametrize("make", [more_points, fewer_points, identity_point, wrong_proof])
@pytest.mark.parametrize("suite", DEFAULT_SUITES)
async def test_a_malformed_commitment_names_its_dealer_everywhere(make: Callable[..., bytes], suite: str) -> None:
    async with four(threshold=3, suites=tuple(one for one in DEFAULT_SUITES if one == suite)) as people:
        cheat(people, *FalseDealer(people, MAL, one_for_all(make)).rules)
        assert await run(people) == everywhere(CAUGHT)
        assert nothing_is_stored(people)


async def test_only_one_suite_needs_to_be_wrong() -> None:
    def wrong_in_one(suite: Any, me: Identifier, threshold: int) -> bytes:
        return (package if suite is CIPHERSUITES[ED25519] else wrong_proof)(suite, me, threshold)

    async with four(suites=DEFAULT_SUITES) as people:
        cheat(people, *FalseDealer(people, MAL, one_for_all(wrong_in_one)).rules)
        assert await run(people) == everywhere(CAUGHT)


@pytest.mark.parametrize("at", [0, 6, -1])
async def test_a_commitment_that_does_not_fit_its_digest_names_its_dealer_everywhere(at: int) -> None:
    async with four() as people:
        cheat(people, on("commitment")(flip(at)))
        assert await run(people) == everywhere(CAUGHT)


@pytest.mark.parametrize("at", [-1, -64, AGREED_SIZE, AGREED_SIZE + 32])
async def test_a_promise_whose_signature_is_invalid_names_its_sender_everywhere(at: int) -> None:
    async with four() as people:
        cheat(people, on("digest")(flip(at)))
        assert await run(people) == everywhere(CAUGHT)


@pytest.mark.parametrize("about", ["digest", "commitment"])
async def test_a_repeated_commitment_of_another_names_the_one_that_repeats_it(about: str) -> None:
    """A participant that could repeat ana's commitment could cancel it in the sum."""
    async with four() as people:
        overheard: list[PeerId] = []

        def repeat(to: PeerId, said: PeerMessage) -> Iterable[Said]:
            overheard.append(to)
            for one in HONEST if len(overheard) == 1 else ():
                people[MAL].made[-1]._mesh.send(one, said)
            return [said]

        people[ANA].rules.append(on(about)(repeat))
        cheat(people, on(about)(drop))
        assert await run(people) == everywhere(CAUGHT)
        assert nothing_is_stored(people)


# --- different things to different peers ---


def differently(*favoured: PeerId) -> Make:
    """Tell ``favoured`` one thing and everybody else another, each consistent in itself."""
    return lambda suite, me, threshold, to: package(suite, me, threshold, to in favoured)


@pytest.mark.parametrize("favoured", [(ANA,), (CLEO,), (ANA, BEN)])
async def test_different_commitments_to_different_peers_are_proved_by_signed_promises(
    favoured: tuple[PeerId, ...],
) -> None:
    async with four() as people:
        cheat(people, *FalseDealer(people, MAL, differently(*favoured)).rules)
        assert await run(people) == everywhere(CAUGHT)
        for name in HONEST:
            assert "signed two different values" in message(people[name])
        assert nothing_is_stored(people)


async def test_with_two_honest_participants_both_prove_the_lie() -> None:
    async with four(total=3, suites=DEFAULT_SUITES) as people:
        people[CLEO].rules.extend(FalseDealer(people, CLEO, differently(ANA)).rules)
        assert await run(people, ANA, BEN) == dict.fromkeys((ANA, BEN), (ParticipantCheated.code, (CLEO,), ()))


async def test_with_four_honest_participants_all_prove_the_lie() -> None:
    async with four(total=5) as people:
        cheat(people, *FalseDealer(people, MAL, differently(NAMES[4])).rules)
        assert await run(people, *HONEST, NAMES[4]) == dict.fromkeys((*HONEST, NAMES[4]), CAUGHT)


async def test_a_promise_for_one_alone_is_proved_by_what_the_others_were_told() -> None:
    async with four() as people:
        promise, _ = FalseDealer(people, MAL, differently(ANA)).rules
        promise.to = ANA  # the commitment is honest: it fits what ben and cleo were promised
        cheat(people, promise)
        assert await run(people) == everywhere(CAUGHT)


async def test_different_fresh_bytes_for_different_peers_are_proved_by_signed_promises() -> None:
    async with four() as people:

        def refreshed(_to: PeerId, said: RoundMessage) -> Iterable[Said]:
            agreed, honest = said.data[:AGREED_SIZE], broadcast.Promise.decode(2, said.data[AGREED_SIZE:])
            other = broadcast.promise(identity(MAL), agreed, Identifier(4), b"\xab" * 32, honest.digests)
            return [msgspec.structs.replace(said, data=agreed + other.encode())]

        cheat(people, on("digest", to=ANA)(refreshed))
        assert await run(people) == everywhere(CAUGHT)
        assert nothing_is_stored(people)


async def test_a_false_echo_names_nobody_because_either_may_lie() -> None:
    async with four() as people:
        cheat(people, on("commitment", to=ANA)(flip(0, "echo")))
        # Ana says that she and mal heard different things; nobody can show a promise signed twice.
        assert await run(people) == everywhere(hearsay(), ana=DIFFERENT)
        assert nothing_is_stored(people)


async def test_a_session_that_was_agreed_on_differently_names_nobody() -> None:
    """The proposer may have told two stories; what is in front of a promise is not signed by anybody."""
    async with four() as people:
        cheat(people, on("digest", to=ANA)(flip(0)))
        assert await run(people) == everywhere(TOLD_DIFFERENTLY)
        assert "told different things about this session" in message(people[ANA])
        assert nothing_is_stored(people)


async def test_between_two_nobody_is_named_for_a_session_agreed_on_differently() -> None:
    async with four(total=2) as people:
        people[BEN].rules.append(on("digest")(flip(0)))
        assert await run(people, ANA) == {ANA: TOLD_DIFFERENTLY}
        assert not people[ANA].states


def two_stories(people: Table, *told_another: PeerId) -> None:
    """Have mal, as the proposer, tell these of another choice than everybody else; it signs both."""

    def tell(sender: PeerId, to: PeerId, said: RelayMessage) -> RelayMessage:
        if not isinstance(said, SessionStart) or to not in told_another:
            return said
        (proposal, *_) = people.of(SessionProposal, MAL, to)
        nonce, hashed = b"\x07" * 16, agreement.proposal_hash(proposal)
        accepts = identity(MAL).sign(tags.ACCEPTANCE, *agreement.acceptance_fields(hashed, nonce, ()))
        chosen = tuple(
            msgspec.structs.replace(one, nonce=nonce, signature=accepts) if one.identifier == 4 else one
            for one in said.chosen
        )
        signed = identity(MAL).sign(tags.START, *agreement.start_fields(hashed, said.mesh, chosen))
        assert sender == MAL
        return msgspec.structs.replace(said, chosen=chosen, signature=signed)

    people.tamper = tell


@pytest.mark.parametrize("told_another", [(ANA,), (BEN, CLEO)])
@pytest.mark.parametrize("met", ["words", "introduced"])
async def test_a_proposer_that_signs_two_choices_is_convicted_by_what_each_was_told(
    told_another: tuple[PeerId, ...], met: How
) -> None:
    """Everybody's word that the session differs comes with the start that it was told."""
    async with four() as people:
        people.know_each_other(met)
        two_stories(people, *told_another)
        with contextlib.suppress(MpcError):
            await people.create_wallet(MAL)
        assert {name: how(await people[name].ended()) for name in HONEST} == everywhere(CAUGHT)
        for name in HONEST:
            assert "dora signed two different values for one" in message(people[name])
        assert nothing_is_stored(people)


async def test_a_proposer_that_nobody_met_before_is_at_most_a_suspect_where_its_key_signs_two_choices() -> None:
    """That the key is mal's is the server's word: it may have a key of its own under that name."""
    async with four() as people:
        two_stories(people, ANA)
        with contextlib.suppress(MpcError):
            await people.create_wallet(MAL)
        ended = {name: how(await people[name].ended()) for name in HONEST}
        assert set(ended.values()) <= {TOLD_DIFFERENTLY, (ParticipantCheated.code, (), (MAL,))}
        assert nothing_is_stored(people)


async def test_a_conviction_on_a_first_meeting_is_of_a_key_and_says_of_which() -> None:
    async with four() as people:
        cheat(people, on("commitment")(flip(0)))
        assert await run(people) == everywhere(CAUGHT)
        for name in HONEST:
            (hint,) = [ended.error.hint or "" for ended in people[name].of(SessionEnded) if ended.error]
            assert f"convicted is the holder of the key {fingerprint(key_of(MAL))}" in hint
    async with four() as people:
        people.know_each_other("introduced")
        cheat(people, on("commitment")(flip(0)))
        assert await run(people) == everywhere(CAUGHT)
        for name in HONEST:
            (error,) = [ended.error for ended in people[name].of(SessionEnded) if ended.error]
            assert error.hint is None


async def test_a_participant_that_shows_another_start_than_its_honest_proposer_signed_convicts_nobody() -> None:
    async with four() as people:

        def lie(_to: PeerId, said: Abort) -> Iterable[Said]:
            (told,) = people.of(SessionStart, ANA, MAL)
            other = msgspec.structs.replace(told, mesh=OTHER_SESSION)
            return [Abort(said.session_id, "disagreement", "look", evidence=encode_message(other))]

        # What is in front of its promise differs for ben alone, which stops, and mal with it.
        cheat(people, on("digest", to=BEN)(flip(0)), on("abort")(lie))
        assert await run(people) == everywhere(TOLD_DIFFERENTLY)
        assert [m for _, m in people[ANA].made[-1].heard if isinstance(m, Abort) and m.evidence]


@pytest.mark.parametrize("about", [("digest", 0, "data"), ("commitment", 0, "echo")])
async def test_evidence_of_another_session_convicts_nobody(about: tuple[str, int, str]) -> None:
    """Promises that were honestly signed for an earlier session are shown as if they were of this one."""
    name, at, field = about
    async with four(warm=0.0) as people:
        assert await run(people) == everywhere(MADE)
        shown = [m for _, m in people[MAL].made[-1].heard if isinstance(m, RoundMessage) and m.round == "digest"]
        agreed = shown[0].data[:AGREED_SIZE]
        old = agreed + b"".join(m.data[AGREED_SIZE:] for m in (*shown, shown[0]))

        def accuse(_to: PeerId, said: Abort) -> Iterable[Said]:
            return [msgspec.structs.replace(said, evidence=old)]

        cheat(people, on(name, to=ANA)(flip(at, field)), on("abort")(accuse))
        with pytest.raises(MpcError):
            await people.create_wallet(ANA, name="another")
        ended = [how(await people[one].ended(2)) for one in HONEST]
        assert {culprits for _, culprits, _ in ended} == {()}


# --- shares ---


def another_scalar(plaintext: bytes) -> bytes:
    return plaintext[:5] + bytes([plaintext[5] ^ 1]) + plaintext[6:]


@pytest.mark.parametrize("change", [another_scalar, lambda _: b"", lambda plaintext: plaintext[:5] + b"\xff" * 32])
async def test_a_bad_share_names_its_dealer_to_its_victim_alone(change: Callable[[bytes], bytes]) -> None:
    async with four() as people:
        lie_in_shares(people[MAL], key_of(BEN), change)
        # Only ben saw it, and cannot show it: for the others one of the two is not honest.
        assert await run(people) == everywhere(hearsay(BEN, MAL), ben=CAUGHT)
        assert not people[BEN].states
        assert nothing_is_active(people)


async def test_a_share_that_does_not_open_names_its_dealer() -> None:
    async with four() as people:
        cheat(people, on("share", to=CLEO)(flip(40)))
        assert await run(people) == everywhere(hearsay(CLEO, MAL), cleo=CAUGHT)
        assert nothing_is_active(people)


async def test_a_share_that_was_sealed_to_somebody_else_names_its_dealer() -> None:
    async with four() as people:
        kept: list[PeerMessage] = []

        def keep_the_first(_to: PeerId, said: PeerMessage) -> Iterable[Said]:
            kept.append(said)
            return [kept[0]]

        cheat(people, on("share")(keep_the_first))
        ended = await run(people)
        assert {name: ended[name] for name in (BEN, CLEO)} == {BEN: CAUGHT, CLEO: CAUGHT}
        assert ended[ANA] in (hearsay(BEN, MAL), hearsay(CLEO, MAL), CAUGHT)
        assert nothing_is_active(people)


# --- ready ---


@pytest.mark.parametrize("at", [-1, 0], ids=["signature", "epoch"])
async def test_a_wrong_ready_names_its_sender_everywhere_and_nothing_becomes_active(at: int) -> None:
    async with four() as people:
        cheat(people, on("ready")(flip(at)))
        assert await run(people) == everywhere(CAUGHT)
        assert {tuple(people[name].states) for name in HONEST} == {("pending",)}


async def test_a_wrong_ready_names_its_sender_also_where_the_disk_is_slower_than_the_news() -> None:
    async with four() as people:
        cheat(people, on("ready")(flip(-1)))
        people[ANA].home.before_save = lambda _header: time.sleep(0.5)
        assert await run(people) == everywhere(CAUGHT)


async def test_a_wrong_ready_for_one_stays_pending_there_and_says_so() -> None:
    async with four() as people:
        cheat(people, on("ready", to=ANA)(flip(-1)))
        with pytest.raises(ParticipantCheated) as caught:
            await people.create_wallet(ANA)
        assert blamed(caught.value) == ((MAL,), set())
        assert people[ANA].states == ["pending"]
        assert caught.value.saved is not None
        assert "pending" in caught.value.saved


# --- messages that fit nowhere ---


@pytest.mark.parametrize("about", ROUNDS)
async def test_a_message_twice_names_its_sender_everywhere(about: str) -> None:
    async with four() as people:
        cheat(people, on(about)(twice))
        ended = await run(people)
        if about == "ready":  # a node that has all signatures is done; the second one comes too late to matter
            assert set(ended.values()) <= {CAUGHT, *(hearsay(name, MAL) for name in HONEST), MADE}
            return
        assert ended == everywhere(CAUGHT)
        assert nothing_is_active(people)


EARLY: dict[str, tuple[str, str, str | None]] = {
    "a share instead of a promise": ("digest", "share", ED25519),
    "a ready instead of a promise": ("digest", "ready", None),
    "a ready instead of a commitment": ("commitment", "ready", None),
    "its last words before anything": ("digest", "wallet_created", None),
    "its last words before its share": ("share", "wallet_created", None),
    "a round that no plan has": ("digest", "nonces", None),
    "a round of a lane that it has not": ("commitment", "commitment", DEFAULT_SUITES[1]),
}


@pytest.mark.parametrize("what", EARLY)
async def test_a_message_that_cannot_come_yet_names_its_sender_everywhere(what: str) -> None:
    about, name, lane = EARLY[what]
    async with four() as people:
        cheat(people, on(about)(with_fields(round=name, lane=lane, data=b"\x00", echo=None)))
        assert await run(people) == everywhere(CAUGHT)
        assert nothing_is_active(people)


@pytest.mark.parametrize("about", ROUNDS)
async def test_a_message_of_another_session_is_not_one_of_this_session(about: str) -> None:
    async with four(timeouts=HASTY) as people:
        cheat(people, on(about)(with_fields(session_id=OTHER_SESSION)), on("abort")(drop))
        assert await run(people) == everywhere(SILENT)
        assert nothing_is_active(people)


async def test_an_abort_and_last_words_of_another_session_end_nothing() -> None:
    async with four() as people:
        stop = Abort(OTHER_SESSION, "interrupted", "stopped")
        last = RoundMessage(session_id=OTHER_SESSION, round="wallet_created", data=b"\x00")
        cheat(people, on("commitment")(after(stop)), on("ready")(after(last)))
        assert await run(people) == everywhere(MADE)


@pytest.mark.parametrize("suite", ["FROST-secp256k1-SHA256-v1", "FROST-secp256k1-SHA256-TR-v1", "no-suite"])
async def test_a_message_of_a_suite_that_nobody_asked_for_names_its_sender_everywhere(suite: str) -> None:
    async with four() as people:
        cheat(people, on("commitment")(with_fields(lane=suite)))
        assert await run(people) == everywhere(CAUGHT)


@pytest.mark.parametrize(
    "frame",
    [
        b"{" + b" " * MAX_MESSAGE + b"}",
        b"\x01" + (MAX_MESSAGE + 1).to_bytes(4, "big") + b"{" * (FRAME_SIZE - 5),
        encode(RoundMessage(session_id=OTHER_SESSION, round="digest", data=b"\x00"), 1)[:-1],
        encode(MeshReady(OTHER_SESSION), 7),
        b"\xff",
    ],
    ids=["more than allowed at once", "more than allowed in pieces", "truncated", "out of order", "not a message"],
)
async def test_bytes_that_are_not_a_message_name_their_sender_everywhere(frame: bytes) -> None:
    async with four(timeouts=UNHEARD) as people:
        cheat(people, on("commitment")(lambda _to, _message: [frame]))
        assert await run(people) == everywhere(CAUGHT)
        assert nothing_is_stored(people)


@pytest.mark.parametrize("field", [{"data": bytes(30_000)}, {"data": bytes(2_000_000)}])
async def test_too_long_a_payload_names_its_sender_everywhere(field: dict[str, bytes]) -> None:
    async with four() as people:
        cheat(people, on("commitment")(with_fields(**field)))
        assert await run(people) == everywhere(CAUGHT)


async def test_mesh_messages_inside_the_protocol_name_their_sender() -> None:
    async with four(timeouts=UNHEARD) as people:

        def ready_again(_to: PeerId, said: RoundMessage) -> Iterable[Said]:
            return [MeshReady(said.session_id), said]

        cheat(people, on("commitment")(ready_again))
        assert await run(people) == everywhere(CAUGHT)


# --- aborts ---


def stops_with(code: str, reason: str, *accused: PeerId, evidence: bytes | None = None) -> Change:
    return lambda _to, said: [Abort(said.session_id, code, reason, accused, evidence)]


async def test_an_abort_that_lies_about_another_is_hearsay_everywhere() -> None:
    async with four() as people:
        cheat(people, on("commitment")(stops_with("participant_cheated", "ben sent rubbish", BEN)))
        # Nobody is a suspect in its own eyes.
        assert await run(people) == everywhere(hearsay(BEN, MAL), ben=hearsay())
        for name in HONEST:
            assert "dora stopped" in message(people[name])
        assert nothing_is_stored(people)


@pytest.mark.parametrize("evidence", [b"\x00", b"\xab" * 96, b"\xab" * 96 * 4, b"\xab" * (32 + 4 * 160)])
async def test_evidence_that_proves_nothing_names_nobody(evidence: bytes) -> None:
    async with four() as people:
        lie = stops_with("inconsistent_broadcast", "look at this", BEN, evidence=evidence)
        cheat(people, on("commitment")(lie))
        assert await run(people) == everywhere(hearsay(BEN, MAL), ben=hearsay())


async def test_an_abort_that_calls_a_living_peer_silent_is_its_senders_own_stop() -> None:
    async with four() as people:
        # After its own commitment: ben's is on its way to everybody, but need not be there yet.
        cheat(people, on("share")(stops_with("participant_silent", "ben is dead", BEN)))
        for name, (code, culprits, suspects) in (await run(people)).items():
            assert (code, culprits) == (ParticipantAborted.code, ())
            # The first to hear that ben is there says so, and is a suspect of those that wait still.
            assert MAL in suspects or set(suspects) & {*HONEST} - {name, BEN}
        assert nothing_is_active(people)


@pytest.mark.parametrize(
    ("code", "ended"), [("refused", STOPPED), ("unwritable", reported(MAL)), ("some_future_word", reported(MAL))]
)
async def test_an_abort_makes_a_suspect_of_the_one_that_stops_and_its_text_writes_on_no_terminal(
    code: str, ended: Ended
) -> None:
    async with four() as people:
        cheat(people, on("commitment")(stops_with(code, "good \x1b[31mbye")))
        assert await run(people) == everywhere(ended)
        for name in HONEST:
            assert "good \\x1b[31mbye" in message(people[name])


@pytest.mark.parametrize("code", ENDINGS)
async def test_each_ending_of_a_node_of_its_own_has_its_own_sentence_everywhere(code: str) -> None:
    async with four() as people:
        cheat(people, on("commitment")(stops_with(code, "good \x1b[31mbye")))
        assert await run(people) == everywhere(STOPPED)
        for name in HONEST:
            assert message(people[name]) == f"dora {ENDINGS[code].says}"


async def test_when_a_person_says_that_the_words_differ_nobody_is_named_and_everybody_is_warned() -> None:
    async with four() as people:
        cheat(people, on("commitment")(stops_with("words_differ", "they do")))
        assert await run(people) == everywhere((WordsDiffer.code, (), ()))
        for name in HONEST:
            assert "somebody may stand between the participants" in message(people[name])


# --- silence ---


@pytest.mark.parametrize("about", ROUNDS)
async def test_silence_in_a_round_names_the_silent_one_everywhere(about: str) -> None:
    async with four(timeouts=HASTY) as people:
        cheat(people, on(about, "abort")(drop))
        assert await run(people) == everywhere(SILENT)
        assert nothing_is_active(people)
        assert nothing_is_stored(people) or about in {"share", "ready"}


async def test_silence_towards_one_is_not_taken_for_the_silence_of_that_one() -> None:
    """Ana waits for mal while ben and cleo, who heard mal, wait for ana: she must be the first to lose patience."""
    async with four(timeouts=replace(HASTY, round=0.8, confirm=0.1)) as people:
        cheat(people, on("share", "abort", to=ANA)(drop))
        assert await run(people) == everywhere(reported(ANA, MAL), ana=SILENT)
        assert nothing_is_active(people)


async def test_one_that_was_left_out_is_heard_before_patience_with_it_ends() -> None:
    patient = replace(STEADY, linger=1)  # long enough for the last words on such a network
    async with four(timeouts=replace(HASTY, round=2), mesh_timeouts=patient) as people:
        cheat(people, on("digest", "abort", to=ANA)(drop))

        def slow_down(_to: PeerId, said: PeerMessage) -> Iterable[Said]:
            people.network.delay = 0.2  # for what ana says when she gives up, too
            return [said]

        people[BEN].rules.append(on("commitment")(slow_down))
        assert await run(people) == everywhere(reported(ANA, MAL), ana=SILENT)


async def test_a_process_that_was_killed_is_named_everywhere() -> None:
    async with four(mesh_timeouts=replace(FAST, attempt=5)) as people:

        def die(_to: PeerId, _message: PeerMessage) -> Iterable[Said]:
            people.network.silence(MAL, list(HONEST))
            people.tamper = lambda sender, _, message: None if sender == MAL else message
            return []

        cheat(people, on("commitment")(die))
        assert await run(people) == everywhere(SILENT)
        assert nothing_is_stored(people)


async def test_a_link_that_breaks_for_good_is_named_by_its_ends() -> None:
    async with four(total=3, mesh_timeouts=FAST) as people:

        def cut(_to: PeerId, said: PeerMessage) -> Iterable[Said]:
            people.network.refuse(ANA, BEN)
            people.network.cut(ANA, BEN)
            return [said]

        people[ANA].rules.append(on("share", to=BEN)(cut))
        ended = await run(people)
        # The end that gives up first says so; the other may hear it from cleo before it gives up itself.
        ends = {ended[name] for name in (ANA, BEN)}
        broken = {(LinkFailed.code, (), (BEN,)), (LinkFailed.code, (), (ANA,))}
        assert ends & broken
        assert ends <= {*broken, reported(ANA, BEN, CLEO), reported(BEN, CLEO), reported(ANA, CLEO)}
        assert ended[CLEO] == reported(ANA, BEN)
        assert nothing_is_active(people)


@pytest.mark.parametrize("proposer", [ANA, BEN], ids=["the third", "an end"])
async def test_of_a_link_between_two_others_that_never_opens_both_ends_are_suspects(proposer: PeerId) -> None:
    async with four(total=3, mesh_timeouts=FAST) as people:
        people.network.refuse(BEN, CLEO)
        with pytest.raises(MpcError):
            await people.create_wallet(proposer)
        ended = {name: how(await people[name].ended()) for name in HONEST}
        assert ended[ANA] == reported(BEN, CLEO)
        for name, other in ((BEN, CLEO), (CLEO, BEN)):
            # It saw so itself, or heard it of the other end or of ana first.
            assert ended[name] in {(LinkFailed.code, (), (other,)), reported(other), reported(ANA, other)}
        assert LinkFailed.code in {ended[BEN][0], ended[CLEO][0]}
        assert nothing_is_stored(people)


async def test_a_link_that_breaks_and_comes_back_is_nobodys_fault() -> None:
    async with four(total=3) as people:

        def cut(_to: PeerId, said: PeerMessage) -> Iterable[Said]:
            people.network.cut(ANA, BEN)
            return [said]

        people[ANA].rules.append(on("digest", "share", to=BEN)(cut))
        assert await run(people) == everywhere(MADE)


# --- by hand: what the plan says, and the end ---


LANE = (None,)
PLAN = Plan(
    (
        Round("one", LANE, 100, phase="committing", seconds=60),
        Round("two", LANE, 100, phase="sharing", seconds=120, users=True, heard=True),
        Round("bye", LANE, 100, phase="leaving", seconds=60, heard=True, last_words=True),
    )
)


def script() -> Rounds[str]:
    def accept(sender: Identifier, data: bytes, _echo: bytes | None) -> bytes:
        if data == b"lie":
            raise Fault("lied", [sender])
        if data == b"differs":
            raise Inconsistent("heard differently", [sender])
        return data

    yield PLAN
    yield from broadcast_round("one", None, b"one", accept)
    yield Witness(b"mine")
    yield from checkpoint("ask")
    yield from broadcast_round("two", None, b"two", accept)
    yield from checkpoint("store")
    yield from conclude("result")
    yield from broadcast_round("bye", None, b"bye", accept)
    return "result"


@dataclass
class Pipe:
    """What the others say, by a test's hand; ``None`` is nothing for ever, an error is the end of the links."""

    coming: asyncio.Queue[tuple[PeerId, PeerMessage] | MpcError] = field(default_factory=asyncio.Queue)
    sent: list[tuple[PeerId, PeerMessage, bool]] = field(default_factory=list)
    flushed: int = 0

    def send(self, to: PeerId, message: PeerMessage, *, heard: bool = False) -> None:
        self.sent.append((to, message, heard))

    async def receive(self) -> tuple[PeerId, PeerMessage]:
        come = await self.coming.get()
        if isinstance(come, MpcError):
            raise come
        return come

    async def flush(self, seconds: float) -> frozenset[PeerId]:
        assert seconds > 0
        self.flushed = len(self.sent)
        return frozenset()

    def say(self, sender: PeerId, name: str, data: bytes = b"") -> None:
        self.coming.put_nowait((sender, RoundMessage(session_id=OTHER_SESSION, round=name, data=data)))

    def stop(self, sender: PeerId, code: str = "interrupted", **more: Any) -> None:
        self.coming.put_nowait((sender, Abort(OTHER_SESSION, code, "stopped", **more)))

    @property
    def aborts(self) -> list[Abort]:
        return [message for _, message, _ in self.sent if isinstance(message, Abort)]


@dataclass
class ByHand:
    """A host that notes everything; ``answers`` says what a checkpoint does."""

    answers: Callable[[object], Awaitable[object]]
    noted: list[Any] = field(default_factory=list)
    proof: PeerError | None = None

    async def checkpoint(self, record: object) -> object:
        self.noted.append(record)
        return await self.answers(record)

    def waiting(self, planned: Round, missing: tuple[PeerId, ...], *, within: float) -> None:
        assert within >= 0
        self.noted.append((planned.kind, missing))

    def evidence(self, error: MpcError, heard: bytes | None) -> bytes | None:
        return heard if isinstance(error, ParticipantCheated) else None

    def proved(self, code: str, mine: bytes | None, theirs: bytes) -> PeerError | None:
        self.noted.append((code, mine, theirs))
        return self.proof

    def concluded(self) -> None:
        self.noted.append("concluded")


async def at_once(_record: object) -> None:
    """Do it."""


async def never(_record: object) -> None:
    await asyncio.Event().wait()


SHORT = replace(HASTY, round=0.1, confirm=0.3, leave=0.2, evidence=0.1)
Steps = Callable[[Pipe], None]


def pump(
    pipe: Pipe, answers: Callable[[object], Awaitable[object]] = at_once, *, timeouts: SessionTimeouts = SHORT
) -> tuple[Pump[str], ByHand]:
    host = ByHand(answers)
    execution = Execution(script(), me=Identifier(1), participants={Identifier(i): HONEST[i - 1] for i in (1, 2, 3)})
    made = Pump(execution, pipe, session_id=OTHER_SESSION, me=ANA, host=host, timeouts=timeouts)
    return made, host


def everybody_says(pipe: Pipe, *rounds: str) -> None:
    for name in rounds:
        for sender in (BEN, CLEO):
            pipe.say(sender, name)


async def test_what_the_plan_says_is_what_the_pump_does() -> None:
    pipe = Pipe()
    everybody_says(pipe, "one", "two", "bye")
    made, host = pump(pipe)
    assert await made.run() == "result"
    said = [(to, message.round, heard) for to, message, heard in pipe.sent if isinstance(message, RoundMessage)]
    assert said == [
        (to, name, heard) for name, heard in (("one", False), ("two", True), ("bye", True)) for to in (BEN, CLEO)
    ]
    asked = [noted for noted in host.noted if isinstance(noted, str)]
    assert asked == ["ask", "store", "concluded"]
    assert ("one", (BEN, CLEO)) in host.noted
    assert ("one", (CLEO,)) in host.noted
    assert host.noted.index("store") < host.noted.index("concluded") < host.noted.index(("bye", (BEN, CLEO)))
    assert not pipe.aborts
    assert pipe.flushed == len(pipe.sent)  # the process may end as soon as the pump has: its last words were heard


async def test_patience_is_the_plan_s_and_grows_with_every_round_before() -> None:
    made, _ = pump(pipe := Pipe(), timeouts=SessionTimeouts(round=6, confirm=30))
    execution = made._execution
    running = asyncio.create_task(made.run())
    await asyncio.sleep(0)
    assert made._patience() == 6  # a round of 60 seconds, by a tenth
    everybody_says(pipe, "one")
    async with asyncio.timeout(DEADLINE):
        while execution.round is not PLAN.rounds[1]:
            await asyncio.sleep(0)
        await asyncio.sleep(0)
    # Twice as long by the plan, half as much again after one round; and somebody's user may still be asked.
    assert made._patience() == 12 * 1.5 + 30
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


@pytest.mark.parametrize(("heard", "silent"), [((), "one"), (("one",), "two")])
async def test_silence_names_those_whose_message_of_the_round_is_missing(heard: tuple[str, ...], silent: str) -> None:
    pipe = Pipe()
    everybody_says(pipe, *heard)
    pipe.say(CLEO, silent)
    made, _ = pump(pipe)
    with pytest.raises(ParticipantSilent, match=f"no {silent} from ben") as caught:
        await made.run()
    assert blamed(caught.value) == ((), {BEN})
    assert {(abort.code, abort.culprits) for abort in pipe.aborts} == {("participant_silent", (BEN,))}
    assert len(pipe.aborts) == 2


async def test_while_the_host_is_busy_no_round_s_deadline_runs() -> None:
    pipe = Pipe()
    everybody_says(pipe, "one")

    async def slowly(record: object) -> None:
        if record == "ask":
            await asyncio.sleep(0.4)  # longer than any round here may take
            everybody_says(pipe, "two", "bye")

    made, _ = pump(pipe, slowly)
    assert await made.run() == "result"


async def test_a_host_that_fails_is_an_error_of_this_node_and_says_no_more_to_the_others() -> None:
    pipe = Pipe()
    everybody_says(pipe, "one")

    async def full(_record: object) -> None:
        raise KeystoreUnwritable("no space on /home/ana/secret-place")

    made, _ = pump(pipe, full)
    with pytest.raises(KeystoreUnwritable):
        await made.run()
    assert {(abort.code, abort.reason, abort.evidence) for abort in pipe.aborts} == {
        ("cannot_store", "cannot write to its disk", None)
    }


async def test_a_node_that_is_stopped_says_so_until_the_result_stands() -> None:
    everybody_says(pipe := Pipe(), "one")
    made, _ = pump(pipe, never)
    running = asyncio.create_task(made.run())
    await asyncio.sleep(0.05)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert {abort.code for abort in pipe.aborts} == {"interrupted"}
    everybody_says(pipe := Pipe(), "one", "two")
    made, host = pump(pipe, timeouts=replace(SHORT, leave=20))
    running = asyncio.create_task(made.run())
    async with asyncio.timeout(DEADLINE):
        while "concluded" not in host.noted:
            await asyncio.sleep(0.001)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert not pipe.aborts


LATE: dict[str, Steps] = {
    "an abort": lambda pipe: pipe.stop(BEN),
    "an accusation": lambda pipe: pipe.stop(BEN, "participant_cheated", culprits=(CLEO,)),
    "a message twice": lambda pipe: pipe.say(BEN, "two"),
    "a message of no round": lambda pipe: pipe.say(BEN, "three"),
    "last words that lie": lambda pipe: pipe.say(BEN, "bye", b"lie"),
    "the end of all links": lambda pipe: pipe.coming.put_nowait(LinkFailed("gone", suspects=[BEN])),
    "a proposal": lambda pipe: pipe.coming.put_nowait((BEN, MeshReady(OTHER_SESSION))),
}


@pytest.mark.parametrize("what", LATE)
@pytest.mark.parametrize("when", ["early", "in time", "after"])
async def test_nothing_that_comes_when_all_is_heard_undoes_the_result(what: str, when: str) -> None:
    """Early: all there is to hear came while the user was asked, and the wait for more had begun before."""
    pipe = Pipe()
    everybody_says(pipe, *(("one",) if when == "early" else ("one", "two")))

    async def answers(record: object) -> None:
        if record == "ask" and when == "early":
            everybody_says(pipe, "two")
        if record == "store" and when != "after":
            LATE[what](pipe)
        await asyncio.sleep(0.05)

    made, host = pump(pipe, answers)
    running = asyncio.create_task(made.run())
    if when == "after":
        async with asyncio.timeout(DEADLINE):
            while "concluded" not in host.noted:
                await asyncio.sleep(0.001)
        LATE[what](pipe)
    assert await running == "result"
    assert not pipe.aborts
    assert [noted for noted in host.noted if isinstance(noted, str)] == ["ask", "store", "concluded"]


async def test_nobody_waits_for_the_last_words_of_one_that_stopped() -> None:
    pipe = Pipe()
    everybody_says(pipe, "one")

    async def answers(record: object) -> None:
        if record == "store":
            pipe.stop(BEN, "unwritable")
            pipe.say(CLEO, "bye")
        else:
            everybody_says(pipe, "two")

    made, _ = pump(pipe, answers, timeouts=replace(SHORT, leave=20))
    began = asyncio.get_running_loop().time()
    assert await made.run() == "result"
    assert asyncio.get_running_loop().time() - began < 10


async def test_last_words_that_do_not_come_are_waited_for_only_a_while() -> None:
    before = asyncio.all_tasks()
    everybody_says(pipe := Pipe(), "one", "two")
    pipe.say(CLEO, "bye")
    made, _ = pump(pipe)
    assert await made.run() == "result"
    assert not pipe.aborts
    assert asyncio.all_tasks() == before  # nobody listens any more


# --- by hand: what is believed ---


async def fails(pipe: Pipe, answers: Callable[[object], Awaitable[object]] = at_once, *, proof: str = "") -> MpcError:
    made, host = pump(pipe, answers)
    host.proof = judge(Came.SIGNED, Event.TWO_VALUES, f"{proof} signed two", [PeerId(proof)]) if proof else None
    before = asyncio.all_tasks()
    with pytest.raises(MpcError) as caught:
        await made.run()
    assert asyncio.all_tasks() == before
    return caught.value


async def test_a_lie_that_this_node_sees_names_its_teller_at_once() -> None:
    pipe = Pipe()
    pipe.say(BEN, "one", b"lie")
    error = await fails(pipe)
    assert isinstance(error, ParticipantCheated)
    assert blamed(error) == ((BEN,), set())
    assert {abort.culprits for abort in pipe.aborts} == {(BEN,)}


async def test_a_difference_is_told_with_evidence_and_names_nobody_without_proof() -> None:
    pipe = Pipe()
    everybody_says(pipe, "one")
    pipe.say(BEN, "two", b"differs")
    error = await fails(pipe)
    assert isinstance(error, InconsistentBroadcast)
    assert blamed(error) == ((), {BEN})
    assert {(abort.code, abort.evidence, abort.culprits) for abort in pipe.aborts} == {
        ("inconsistent_broadcast", b"mine", (BEN,))
    }


async def test_a_difference_is_resolved_by_what_another_shows() -> None:
    pipe = Pipe()
    everybody_says(pipe, "one")
    pipe.say(BEN, "two", b"differs")
    pipe.say(CLEO, "two")  # no message of the protocol counts any more
    pipe.stop(CLEO, "inconsistent_broadcast", evidence=b"theirs")
    error = await fails(pipe, proof=BEN)
    assert isinstance(error, ParticipantCheated)
    assert blamed(error) == ((BEN,), set())
    assert error.message == "ben signed two"


async def test_evidence_is_judged_with_what_this_node_holds_by_then() -> None:
    pipe = Pipe()
    pipe.stop(CLEO, "inconsistent_broadcast", evidence=b"theirs")  # before this node holds any
    made, host = pump(pipe)
    with pytest.raises(ParticipantCheated) as caught:
        await made.run()
    assert blamed(caught.value) == ((), set())
    assert ("inconsistent_broadcast", None, b"theirs") in host.noted
    pipe = Pipe()
    everybody_says(pipe, "one")
    pipe.stop(CLEO, "disagreement", evidence=b"theirs")
    made, host = pump(pipe)
    with pytest.raises(Disagreement) as differs:
        await made.run()
    assert blamed(differs.value) == ((), set())
    assert ("disagreement", b"mine", b"theirs") in host.noted


async def test_an_accusation_of_cheating_is_hearsay_and_both_are_suspects() -> None:
    pipe = Pipe()
    pipe.stop(CLEO, "participant_cheated", culprits=(BEN, "nobody", CLEO))
    error = await fails(pipe)
    assert isinstance(error, ParticipantCheated)
    assert blamed(error) == ((), {BEN, CLEO})
    assert "no proof" in (error.hint or "")
    assert {abort.culprits for abort in pipe.aborts} == {(BEN, CLEO)}


async def test_after_hearsay_this_node_looks_for_itself_and_sends_no_more() -> None:
    pipe = Pipe()
    everybody_says(pipe, "one")
    pipe.say(BEN, "two", b"lie")  # early, while this node's user is asked
    pipe.stop(CLEO, "participant_cheated", culprits=(BEN,))
    error = await fails(pipe, never)
    assert isinstance(error, ParticipantCheated)
    assert blamed(error) == ((BEN,), set())
    assert not [m for _, m, _ in pipe.sent if isinstance(m, RoundMessage) and m.round == "two"]


async def test_what_this_node_sees_itself_counts_more_than_hearsay() -> None:
    pipe = Pipe()
    pipe.stop(CLEO, "participant_cheated", culprits=(BEN,))
    pipe.say(BEN, "one", b"differs")
    error = await fails(pipe)
    assert isinstance(error, InconsistentBroadcast)


async def test_a_report_of_silence_does_not_count_before_this_node_s_own_time_is_over() -> None:
    """The time is that of the round, whenever the report came; then the silent one is named, and who said so is not."""
    pipe = Pipe()
    pipe.stop(CLEO, "participant_silent", culprits=(BEN,))
    made, _ = pump(pipe, timeouts=replace(SHORT, round=0.5))
    running = asyncio.create_task(made.run())
    await asyncio.sleep(0.2)
    assert not running.done()
    assert not pipe.aborts
    with pytest.raises(ParticipantSilent, match="no one from ben within") as caught:
        await running
    assert blamed(caught.value) == ((), {BEN})
    assert {(abort.code, abort.culprits) for abort in pipe.aborts} == {("participant_silent", (BEN,))}


async def test_two_reports_of_silence_count_no_sooner_than_one() -> None:
    pipe = Pipe()
    for accused in ((BEN,), (BEN,), (BEN, "nobody", ANA)):
        pipe.stop(CLEO, "participant_silent", culprits=accused)
    error = await fails(pipe)
    assert isinstance(error, ParticipantSilent)
    assert blamed(error) == ((), {BEN})


async def test_one_that_was_called_silent_and_speaks_makes_suspects_of_both_at_once() -> None:
    """What is still missing is the word of the one that stopped: it is not silent, it said why."""
    pipe = Pipe()
    pipe.stop(CLEO, "participant_silent", culprits=(BEN,))
    pipe.say(BEN, "one")
    async with asyncio.timeout(DEADLINE):
        made, _ = pump(pipe, timeouts=replace(SHORT, round=1000))
        with pytest.raises(ParticipantAborted) as caught:
            await made.run()
    assert blamed(caught.value) == ((), {BEN, CLEO})


async def test_a_report_of_silence_about_one_that_this_node_hears_makes_suspects_of_both_at_once() -> None:
    pipe = Pipe()
    pipe.say(BEN, "one")
    pipe.stop(CLEO, "participant_silent", culprits=(BEN,))
    error = await fails(pipe)
    assert isinstance(error, ParticipantAborted)
    assert blamed(error) == ((), {BEN, CLEO})


async def test_a_report_of_silence_while_this_node_s_user_is_asked_waits_for_this_node_s_own_time() -> None:
    """The one that is called silent may speak in the next round, which has its time when the user has answered."""
    pipe = Pipe()
    everybody_says(pipe, "one")
    gate = asyncio.Event()

    async def answers(_record: object) -> None:
        pipe.stop(CLEO, "participant_silent", culprits=(BEN,))
        await gate.wait()

    made, _ = pump(pipe, answers)
    running = asyncio.create_task(made.run())
    await asyncio.sleep(0.1)
    assert not running.done()
    assert not pipe.aborts
    gate.set()
    with pytest.raises(ParticipantSilent, match="no two from ben within") as caught:
        await running
    assert blamed(caught.value) == ((), {BEN})


@pytest.mark.parametrize("when", ["early", "later"])
async def test_one_that_was_called_silent_while_this_node_asked_its_user_and_speaks_makes_suspects_of_both(
    when: str,
) -> None:
    pipe = Pipe()
    everybody_says(pipe, "one")

    async def answers(_record: object) -> None:
        pipe.stop(CLEO, "participant_silent", culprits=(BEN,))
        if when == "early":
            pipe.say(BEN, "two")
        await asyncio.sleep(0.05)

    made, _ = pump(pipe, answers, timeouts=replace(SHORT, round=1000))
    running = asyncio.create_task(made.run())
    await asyncio.sleep(0.2)
    if when == "later":
        assert not running.done()
        pipe.say(BEN, "two")
    async with asyncio.timeout(DEADLINE):
        with pytest.raises(ParticipantAborted) as caught:
            await running
    assert blamed(caught.value) == ((), {BEN, CLEO})


async def test_what_this_node_s_own_user_says_counts_more_than_a_report_that_waits() -> None:
    pipe = Pipe()
    everybody_says(pipe, "one")

    async def answers(_record: object) -> None:
        pipe.stop(CLEO, "participant_silent", culprits=(BEN,))
        await asyncio.sleep(0.05)
        raise words_differ()

    assert isinstance(await fails(pipe, answers), WordsDiffer)
    assert {abort.code for abort in pipe.aborts} == {"words_differ"}


async def test_a_report_of_silence_says_more_than_the_end_of_the_links_that_follows() -> None:
    pipe = Pipe()
    pipe.stop(CLEO, "participant_silent", culprits=(BEN,))
    pipe.coming.put_nowait(LinkFailed("cleo closed the mesh", suspects=[CLEO]))
    error = await fails(pipe)
    assert isinstance(error, ParticipantAborted)
    assert blamed(error) == ((), {BEN, CLEO})


async def test_a_lie_convicts_also_while_a_report_waits() -> None:
    pipe = Pipe()
    pipe.stop(CLEO, "participant_silent", culprits=(BEN,))
    pipe.say(BEN, "one", b"lie")
    error = await fails(pipe)
    assert isinstance(error, ParticipantCheated)
    assert blamed(error) == ((BEN,), set())


@pytest.mark.parametrize(
    ("code", "accused", "suspects"),
    [
        ("participant_refused", (BEN,), {BEN, CLEO}),
        ("link_failed", (), {CLEO}),
        ("link_failed", (BEN,), {BEN, CLEO}),
        ("participant_aborted", (BEN,), {BEN, CLEO}),
        ("participant_aborted", ("nobody",), {CLEO}),
        ("participant_aborted", (ANA,), {CLEO}),
    ],
)
async def test_a_stop_because_of_another_makes_suspects_of_both(
    code: str, accused: tuple[PeerId, ...], suspects: set[PeerId]
) -> None:
    pipe = Pipe()
    pipe.stop(CLEO, code, culprits=accused)
    error = await fails(pipe)
    assert isinstance(error, ParticipantAborted)
    assert blamed(error) == ((), suspects)


@pytest.mark.parametrize(("code", "accused"), [("interrupted", ()), ("interrupted", (BEN,)), ("refused", (BEN,))])
async def test_a_stop_of_its_own_makes_a_suspect_of_the_one_that_stops_alone(
    code: str, accused: tuple[PeerId, ...]
) -> None:
    pipe = Pipe()
    pipe.stop(CLEO, code, culprits=accused)
    error = await fails(pipe)
    assert isinstance(error, ParticipantStopped)
    assert blamed(error) == ((), {CLEO})


async def test_a_report_of_another_view_of_the_session_names_nobody() -> None:
    pipe = Pipe()
    pipe.stop(CLEO, "disagreement", culprits=(BEN,))
    error = await fails(pipe)
    assert isinstance(error, Disagreement)
    assert blamed(error) == ((), set())


async def test_what_has_no_place_in_a_protocol_names_its_sender() -> None:
    pipe = Pipe()
    pipe.coming.put_nowait((BEN, MeshReady(OTHER_SESSION)))
    error = await fails(pipe)
    assert isinstance(error, ParticipantCheated)
    assert blamed(error) == ((BEN,), set())
    assert "a mesh_ready that has no place" in error.message


@pytest.mark.parametrize("about", ["round", "abort"])
async def test_a_message_under_another_session_id_has_no_place(about: str) -> None:
    other = SessionId(bytes(16))
    said = (
        RoundMessage(session_id=other, round="one", data=b"") if about == "round" else Abort(other, "internal", "stop")
    )
    pipe = Pipe()
    pipe.coming.put_nowait((BEN, said))
    error = await fails(pipe)
    assert isinstance(error, ParticipantCheated)
    assert blamed(error) == ((BEN,), set())
