import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import cast

import pytest

from mpcnode.crypto.ciphersuite import DEFAULT_SUITES, SUITES
from mpcnode.errors import (
    InconsistentBroadcast,
    LinkFailed,
    MpcError,
    ParticipantAborted,
    ParticipantCheated,
    ParticipantSilent,
)
from mpcnode.status import WalletView
from mpcnode.types import PeerId
from mpcnode.wire.framing import FRAME_SIZE
from mpcnode.wire.peer import (
    Abort,
    Commitment,
    CommitmentDigest,
    MeshReady,
    PeerMessage,
    Ready,
    Share,
    WalletCreated,
    encode,
)
from tests.helpers.cheat import (
    Change,
    CheatingMesh,
    FalseDealer,
    Make,
    Said,
    after,
    cheat,
    drop,
    fewer_points,
    flip,
    identity_point,
    lie_in_shares,
    more_points,
    on,
    one_for_all,
    overhear,
    package,
    twice,
    with_fields,
    wrong_proof,
)
from tests.helpers.meshes import FAST
from tests.helpers.relays import ANA, BEN, CLEO, key_of
from tests.helpers.sessions import HASTY, SESSION, STEADY, Table, for_ever

MAL = PeerId("mal")
HONEST = (ANA, BEN, CLEO)
OTHER_SESSION = "0f" * 16

Ended = tuple[type[BaseException], tuple[str, ...]]
CAUGHT: Ended = (ParticipantCheated, (MAL,))
HEARSAY: Ended = (ParticipantCheated, ())
SILENT: Ended = (ParticipantSilent, (MAL,))

ROUNDS: tuple[type[PeerMessage], ...] = (CommitmentDigest, Commitment, Share, Ready)


def ended(table: Table, *names: PeerId) -> dict[PeerId, Ended]:
    return {name: table[name].error for name in names or HONEST}


def everywhere(outcome: Ended, **others: Ended) -> dict[PeerId, Ended]:
    return {name: others.get(name, outcome) for name in HONEST}


def nothing_is_active(table: Table) -> bool:
    return not any("active" in seat.home.states for seat in table.seats.values() if not seat.crooked)


def nothing_is_stored(table: Table) -> bool:
    return not any(seat.home.states for seat in table.seats.values() if not seat.crooked)


# --- everybody is honest ---


@pytest.mark.parametrize(("total", "threshold"), [(2, 2), (3, 2), (5, 3)])
async def test_everybody_has_the_same_wallet(total: int, threshold: int) -> None:
    names = [PeerId(f"node{number}") for number in range(total)]
    table = Table(*names, threshold=threshold, suites=DEFAULT_SUITES)
    outcomes = await table.run()
    views = [outcome for outcome in outcomes.values() if isinstance(outcome, WalletView)]
    assert len(views) == total, outcomes
    for view in views:
        assert view.state == "active"
        assert view.signatures == total
        assert view.group_public_keys == views[0].group_public_keys
        assert view.verifying_shares == views[0].verifying_shares
    assert len({table[name].session.words for name in names}) == 1
    assert {tuple(table[name].home.states) for name in names} == {("active",)}
    assert {tuple(table[name].answers.asked) for name in names[1:]} == {("approve", "words")}
    assert table[names[0]].answers.asked == ["words"]  # the proposer is not asked about its own proposal


async def test_nobody_says_anything_that_warns_anybody() -> None:
    table = Table(*HONEST)
    await table.run()
    assert not [event for seat in table.seats.values() for event in seat.events if type(event).__name__ == "Warned"]


# --- commitments ---


@pytest.mark.parametrize("make", [more_points, fewer_points, identity_point, wrong_proof])
@pytest.mark.parametrize("suite", DEFAULT_SUITES)
async def test_a_commitment_that_is_none_names_its_dealer_everywhere(make: Callable[..., bytes], suite: str) -> None:
    table = Table(*HONEST, MAL, threshold=3, suites=tuple(s for s in DEFAULT_SUITES if s == suite))
    cheat(table, MAL, *FalseDealer(table[MAL], one_for_all(make)).rules)
    await table.run()
    assert ended(table) == everywhere(CAUGHT)
    assert nothing_is_stored(table)


async def test_only_one_suite_needs_to_be_wrong() -> None:
    def wrong_in_one(suite: object, me: object, threshold: int) -> bytes:
        made = package if suite is SUITES[DEFAULT_SUITES[0]] else wrong_proof
        return made(suite, me, threshold)  # type: ignore[arg-type]

    table = Table(*HONEST, MAL, suites=DEFAULT_SUITES)
    cheat(table, MAL, *FalseDealer(table[MAL], one_for_all(wrong_in_one)).rules)
    await table.run()
    assert ended(table) == everywhere(CAUGHT)


@pytest.mark.parametrize("at", [0, 6, -1])
async def test_a_commitment_that_does_not_fit_its_digest_names_its_dealer_everywhere(at: int) -> None:
    table = Table(*HONEST, MAL)
    cheat(table, MAL, on(Commitment)(flip(at)))
    await table.run()
    assert ended(table) == everywhere(CAUGHT)


@pytest.mark.parametrize("at", [-1, -64])
async def test_a_digest_whose_signature_is_invalid_names_its_sender_everywhere(at: int) -> None:
    table = Table(*HONEST, MAL)
    cheat(table, MAL, on(CommitmentDigest)(flip(at)))
    await table.run()
    assert ended(table) == everywhere(CAUGHT)


@pytest.mark.parametrize("about", [CommitmentDigest, Commitment])
async def test_another_peers_package_names_who_repeats_it(about: type[PeerMessage]) -> None:
    """Whoever could repeat ana's commitment could cancel it in the sum."""
    table = Table(*HONEST, MAL)
    overheard: list[PeerMessage] = []
    cheat(table, MAL, on(about)(lambda _to, _message: overheard[:1]))
    liar = cast("CheatingMesh", table[MAL].session._mesh)
    liar.may_begin.clear()

    def note(_to: PeerId, message: PeerMessage) -> Iterable[Said]:
        overheard.append(message)
        liar.may_begin.set()
        return [message]

    overhear(table, ANA, on(about)(note))
    if about is Commitment:
        liar.may_begin.set()  # its digest is honest; what it reveals is what ana revealed
        table[MAL].answers.on_words = for_ever
    await table.run()
    assert ended(table) == everywhere(CAUGHT)
    assert nothing_is_stored(table)


# --- different things to different peers ---


def differently(*favoured: PeerId) -> Make:
    """Tell ``favoured`` one thing and everybody else another, each consistent in itself."""
    return lambda suite, me, threshold, to: package(suite, me, threshold, to in favoured)


@pytest.mark.parametrize("favoured", [(ANA,), (CLEO,), (ANA, BEN)])
async def test_different_commitments_to_different_peers_are_proved_by_signed_digests(
    favoured: tuple[PeerId, ...],
) -> None:
    table = Table(*HONEST, MAL)
    cheat(table, MAL, *FalseDealer(table[MAL], differently(*favoured)).rules)
    await table.run()
    assert ended(table) == everywhere(CAUGHT)
    for name in HONEST:
        assert "signed two different values" in str(table[name].outcome)
    assert nothing_is_stored(table)


async def test_with_two_honest_participants_both_prove_the_lie() -> None:
    table = Table(ANA, BEN, MAL, suites=DEFAULT_SUITES)
    cheat(table, MAL, *FalseDealer(table[MAL], differently(ANA)).rules)
    await table.run()
    assert ended(table, ANA, BEN) == {ANA: CAUGHT, BEN: CAUGHT}


async def test_with_four_honest_participants_all_prove_the_lie() -> None:
    dora = PeerId("dora")
    table = Table(*HONEST, dora, MAL)
    cheat(table, MAL, *FalseDealer(table[MAL], differently(dora)).rules)
    await table.run()
    assert ended(table, *HONEST, dora) == {**everywhere(CAUGHT), dora: CAUGHT}


async def test_a_digest_for_one_alone_is_proved_by_what_the_others_were_told() -> None:
    table = Table(*HONEST, MAL)
    promise, _ = FalseDealer(table[MAL], differently(ANA)).rules
    promise.to = ANA  # the commitment is honest: it fits what ben and cleo were promised
    cheat(table, MAL, promise)
    await table.run()
    assert ended(table) == everywhere(CAUGHT)


async def test_a_false_echo_names_nobody_because_either_may_lie() -> None:
    table = Table(*HONEST, MAL)
    cheat(table, MAL, on(Commitment, to=ANA)(flip(0, "echo")))
    await table.run()
    # Ana says that she and mal heard different things; nobody can show a digest signed twice.
    assert ended(table) == everywhere(HEARSAY, ana=(InconsistentBroadcast, ()))
    assert nothing_is_stored(table)


async def test_different_fresh_bytes_for_different_peers_are_found_and_prove_nothing() -> None:
    table = Table(*HONEST, MAL)

    def carry(sender: PeerId, to: PeerId, message: object) -> object:
        import msgspec

        if (sender, to) == (MAL, ANA) and hasattr(message, "fresh"):
            return msgspec.structs.replace(message, fresh="ab" * 32)  # type: ignore[type-var]
        return message

    table.tamper = carry  # type: ignore[assignment]
    await table.run()
    assert {type(table[name].outcome) for name in HONEST} <= {InconsistentBroadcast, ParticipantCheated}
    assert {culprits for _, culprits in ended(table).values()} == {()}
    assert nothing_is_stored(table)


# --- shares ---


def another_scalar(plaintext: bytes) -> bytes:
    return plaintext[:5] + bytes([plaintext[5] ^ 1]) + plaintext[6:]


@pytest.mark.parametrize("change", [another_scalar, lambda _: b"", lambda plaintext: plaintext[:5] + b"\xff" * 32])
async def test_a_bad_share_names_its_dealer_to_its_victim_alone(change: Callable[[bytes], bytes]) -> None:
    table = Table(*HONEST, MAL)
    lie_in_shares(table, MAL, key_of(BEN), change)
    await table.run()
    # Only ben saw it, and cannot show it: for the others one of the two is not honest.
    assert ended(table) == everywhere(HEARSAY, ben=CAUGHT)
    assert not table[BEN].home.states
    assert nothing_is_active(table)


async def test_a_share_that_does_not_open_names_its_dealer() -> None:
    table = Table(*HONEST, MAL)
    cheat(table, MAL, on(Share, to=CLEO)(flip(40)))
    await table.run()
    assert ended(table) == everywhere(HEARSAY, cleo=CAUGHT)
    assert nothing_is_active(table)


async def test_a_share_that_was_sealed_to_somebody_else_names_its_dealer() -> None:
    table = Table(*HONEST, MAL)
    kept: list[PeerMessage] = []

    def keep_the_first(_to: PeerId, message: PeerMessage) -> Iterable[Said]:
        kept.append(message)
        return [kept[0]]

    cheat(table, MAL, on(Share)(keep_the_first))
    await table.run()
    assert ended(table, BEN, CLEO) == {BEN: CAUGHT, CLEO: CAUGHT}
    assert table[ANA].error in (HEARSAY, CAUGHT)
    assert nothing_is_active(table)


# --- ready ---


@pytest.mark.parametrize("field", ["signature", "transcript"])
async def test_a_wrong_ready_names_its_sender_everywhere_and_nothing_becomes_active(field: str) -> None:
    table = Table(*HONEST, MAL)
    cheat(table, MAL, on(Ready)(flip(-1, field)))
    await table.run()
    assert ended(table) == everywhere(CAUGHT)
    assert {tuple(table[name].home.states) for name in HONEST} == {("pending",)}


async def test_a_wrong_ready_names_its_sender_also_where_the_disk_is_slower_than_the_news() -> None:
    table = Table(*HONEST, MAL)
    cheat(table, MAL, on(Ready)(flip(-1, "signature")))
    table[ANA].home.before_save = lambda _state: time.sleep(0.5)
    await table.run()
    assert ended(table) == everywhere(CAUGHT)


async def test_a_wrong_ready_for_one_stays_pending_there_and_says_so() -> None:
    table = Table(*HONEST, MAL)
    cheat(table, MAL, on(Ready, to=ANA)(flip(0, "signature")))
    await table.run()
    assert table[ANA].error == CAUGHT
    assert table[ANA].home.states == ["pending"]
    outcome = table[ANA].outcome
    assert isinstance(outcome, MpcError)
    assert outcome.saved is not None
    assert "pending" in outcome.saved


# --- messages that fit nowhere ---


@pytest.mark.parametrize("about", ROUNDS)
async def test_a_message_twice_names_its_sender_everywhere(about: type[PeerMessage]) -> None:
    table = Table(*HONEST, MAL)
    cheat(table, MAL, on(about)(twice))
    await table.run()
    if about is Ready:  # whoever has all signatures is done; the second one comes too late to matter
        unlucky = [name for name in HONEST if not isinstance(table[name].outcome, WalletView)]
        assert {table[name].error for name in unlucky} <= {CAUGHT, HEARSAY}
        return
    assert ended(table) == everywhere(CAUGHT)
    assert nothing_is_active(table)


EARLY: dict[str, tuple[type[PeerMessage], PeerMessage]] = {
    "a share instead of a digest": (CommitmentDigest, Share(SESSION, DEFAULT_SUITES[0], "00")),
    "a ready instead of a digest": (CommitmentDigest, Ready(SESSION, "00" * 32, "00" * 64)),
    "a ready instead of a commitment": (Commitment, Ready(SESSION, "00" * 32, "00" * 64)),
    "its last words before anything": (CommitmentDigest, WalletCreated(SESSION, "00", {})),
    "its last words before its share": (Share, WalletCreated(SESSION, "00", {})),
}


@pytest.mark.parametrize("what", EARLY)
async def test_a_message_too_early_names_its_sender_everywhere(what: str) -> None:
    about, early = EARLY[what]
    table = Table(*HONEST, MAL)
    cheat(table, MAL, on(about)(lambda _to, _message: [early]))
    await table.run()
    assert ended(table) == everywhere(CAUGHT)
    assert nothing_is_active(table)


@pytest.mark.parametrize("about", [*ROUNDS, Abort])
async def test_a_message_of_another_session_names_its_sender_everywhere(about: type[PeerMessage]) -> None:
    table = Table(*HONEST, MAL)
    other = Abort(OTHER_SESSION, "interrupted", "stopped") if about is Abort else None
    change: Change = (lambda _to, _message: [other]) if other else with_fields(session_id=OTHER_SESSION)
    cheat(table, MAL, on(Commitment if about is Abort else about)(change))
    await table.run()
    assert ended(table) == everywhere(CAUGHT)
    assert nothing_is_active(table)


async def test_last_words_of_another_session_name_their_sender() -> None:
    table = Table(*HONEST, MAL)
    cheat(table, MAL, on(Ready)(after(WalletCreated(OTHER_SESSION, "00", {}))))
    await table.run()
    assert ended(table) == everywhere(CAUGHT)


@pytest.mark.parametrize("suite", ["FROST-secp256k1-SHA256-v1", "FROST-secp256k1-SHA256-TR-v1", "no-suite"])
async def test_a_message_of_a_suite_that_nobody_asked_for_names_its_sender_everywhere(suite: str) -> None:
    table = Table(*HONEST, MAL)
    cheat(table, MAL, on(CommitmentDigest)(with_fields(suite=suite)))
    await table.run()
    assert ended(table) == everywhere(CAUGHT)


@pytest.mark.parametrize(
    "frame",
    [
        b"{" + b" " * 900_000 + b"}",
        b"\x01" + (900_000).to_bytes(4, "big") + b"{" * (FRAME_SIZE - 5),
        encode(CommitmentDigest(SESSION, DEFAULT_SUITES[0], "00"), "1")[:-1],
        encode(MeshReady(SESSION), "7"),
        b"\xff",
    ],
    ids=["900 kB at once", "900 kB in pieces", "truncated", "out of order", "no message"],
)
async def test_what_is_no_message_names_its_sender_everywhere(frame: bytes) -> None:
    table = Table(*HONEST, MAL)
    cheat(table, MAL, on(Commitment)(lambda _to, _message: [frame]))
    await table.run()
    assert ended(table) == everywhere(CAUGHT)
    assert nothing_is_stored(table)


async def test_too_long_a_payload_names_its_sender_everywhere() -> None:
    table = Table(*HONEST, MAL)
    cheat(table, MAL, on(Commitment)(with_fields(data="00" * 30_000)))
    await table.run()
    assert ended(table) == everywhere(CAUGHT)


async def test_mesh_messages_inside_the_protocol_name_their_sender() -> None:
    table = Table(*HONEST, MAL)
    cheat(table, MAL, on(Commitment)(after(MeshReady(SESSION))))
    await table.run()
    assert ended(table) == everywhere(CAUGHT)


# --- aborts ---


async def test_an_abort_that_lies_about_another_is_hearsay_everywhere() -> None:
    table = Table(*HONEST, MAL)
    lie = Abort(SESSION, "participant_cheated", "ben sent rubbish", ("ben",))
    cheat(table, MAL, on(Commitment)(lambda _to, _message: [lie]))
    await table.run()
    assert ended(table) == everywhere(HEARSAY)
    for name in HONEST:
        assert "mal stopped" in str(table[name].outcome)
    assert nothing_is_stored(table)


@pytest.mark.parametrize("evidence", ["00", "ab" * 96, "ab" * 96 * 4])
async def test_evidence_that_proves_nothing_names_nobody(evidence: str) -> None:
    table = Table(*HONEST, MAL)
    lie = Abort(SESSION, "inconsistent_broadcast", "look at this", ("ben",), evidence)
    cheat(table, MAL, on(Commitment)(lambda _to, _message: [lie]))
    await table.run()
    assert ended(table) == everywhere(HEARSAY)


async def test_an_abort_that_calls_a_living_peer_silent_is_its_senders_own_stop() -> None:
    table = Table(*HONEST, MAL)
    lie = Abort(SESSION, "participant_silent", "ben is dead", ("ben",))
    # After its own commitment: ben's is on its way to everybody, but need not be there yet.
    cheat(table, MAL, on(Share)(lambda _to, _message: [lie]))
    await table.run()
    for name in HONEST:
        kind, culprits = table[name].error
        assert kind in {ParticipantAborted, ParticipantSilent}
        assert culprits in {(MAL,), (BEN,)}
    assert nothing_is_active(table)


@pytest.mark.parametrize("code", ["interrupted", "unwritable", "refused", "internal", "some_future_word"])
async def test_an_abort_names_who_stops_and_its_text_cannot_write_on_a_terminal(code: str) -> None:
    table = Table(*HONEST, MAL)
    stop = Abort(SESSION, code, "good \x1b[31mbye")
    cheat(table, MAL, on(Commitment)(lambda _to, _message: [stop]))
    await table.run()
    assert ended(table) == everywhere((ParticipantAborted, (MAL,)))
    for name in HONEST:
        assert "good \\x1b[31mbye" in str(table[name].outcome)


# --- silence ---


@pytest.mark.parametrize("about", ROUNDS)
async def test_silence_in_a_round_names_who_is_silent_everywhere(about: type[PeerMessage]) -> None:
    table = Table(*HONEST, MAL, timeouts=HASTY)
    cheat(table, MAL, on(about, Abort)(drop))
    await table.run()
    assert ended(table) == everywhere(SILENT)
    assert nothing_is_active(table)
    assert nothing_is_stored(table) or about in {Share, Ready}


async def test_silence_towards_one_is_not_taken_for_the_silence_of_that_one() -> None:
    """Ana waits for mal while ben and cleo, who heard mal, wait for ana: she must be the first to lose patience."""
    table = Table(*HONEST, MAL, timeouts=replace(HASTY, round=0.8, confirm=0.1))
    cheat(table, MAL, on(Share, Abort, to=ANA)(drop))
    await table.run()
    assert ended(table) == everywhere((ParticipantAborted, (ANA,)), ana=SILENT)
    assert nothing_is_active(table)


async def test_who_was_left_out_is_heard_before_patience_with_it_ends() -> None:
    patient = replace(STEADY, linger=1)  # long enough for the last words on such a network
    table = Table(*HONEST, MAL, timeouts=replace(HASTY, round=2), mesh_timeouts=patient)
    cheat(table, MAL, on(CommitmentDigest, Abort, to=ANA)(drop))

    def slow_down(_to: PeerId, message: PeerMessage) -> Iterable[Said]:
        table.network.delay = 0.2  # for what ana says when she gives up, too
        return [message]

    overhear(table, BEN, on(Commitment)(slow_down))
    await table.run()
    assert ended(table) == everywhere((ParticipantAborted, (ANA,)), ana=SILENT)


async def test_a_process_that_was_killed_is_named_everywhere() -> None:
    table = Table(*HONEST, MAL, mesh_timeouts=replace(FAST, attempt=5))

    def die(_to: PeerId, _message: PeerMessage) -> Iterable[Said]:
        table.network.silence(MAL, list(HONEST))
        table.tamper = lambda sender, _, message: None if sender == MAL else message
        return []

    cheat(table, MAL, on(Commitment)(die))
    await table.run()
    assert ended(table) == everywhere(SILENT)
    assert nothing_is_stored(table)


async def test_a_link_that_breaks_for_good_is_named_by_its_ends() -> None:
    table = Table(*HONEST, mesh_timeouts=FAST)

    def cut(_to: PeerId, message: PeerMessage) -> Iterable[Said]:
        table.network.refuse(ANA, BEN)
        table.network.cut(ANA, BEN)
        return [message]

    overhear(table, ANA, on(Share, to=BEN)(cut))
    await table.run()
    # The end that gives up first says so; the other may hear it from cleo before it gives up itself.
    outcomes = {table[name].error for name in (ANA, BEN)}
    assert outcomes & {(LinkFailed, (BEN,)), (LinkFailed, (ANA,))}
    assert outcomes <= {(LinkFailed, (BEN,)), (LinkFailed, (ANA,)), (ParticipantAborted, (CLEO,))}
    assert table[CLEO].error in ((ParticipantAborted, (ANA,)), (ParticipantAborted, (BEN,)))
    assert nothing_is_active(table)


async def test_a_link_that_breaks_and_comes_back_is_nobodys_fault() -> None:
    table = Table(*HONEST)

    def cut(_to: PeerId, message: PeerMessage) -> Iterable[Said]:
        table.network.cut(ANA, BEN)
        return [message]

    overhear(table, ANA, on(CommitmentDigest, Share, to=BEN)(cut))
    outcomes = await table.run()
    assert [type(outcome) for outcome in outcomes.values()] == [WalletView] * 3
