"""Who is to blame for what: every entry of the table, and everything that is not in it."""

import itertools

import pytest

from mpcnode.blame import (
    CANNOT_READ,
    CANNOT_STORE,
    COMPARE,
    ENDINGS,
    INTERNAL,
    MAX_REASON,
    TABLE,
    Came,
    Event,
    Verdict,
    heard,
    judge,
    last_words,
    together,
    words_differ,
)
from mpcnode.errors import (
    Disagreement,
    HomeInUse,
    IdentityCheckFailed,
    Interrupted,
    KeystoreAbsent,
    KeystoreNewer,
    KeystoreUnreadable,
    KeystoreUnwritable,
    MpcError,
    ParticipantAborted,
    ParticipantCheated,
    ParticipantSilent,
    ParticipantStopped,
    PeerError,
    Refused,
    ServerUnreachable,
    Unanswered,
    WordsDiffer,
    WordsUnanswered,
)
from mpcnode.types import PeerId
from tests.helpers.blamed import blamed

ANA, BEN, CLEO, DORA = PeerId("ana"), PeerId("ben"), PeerId("cleo"), PeerId("dora")
EVERYBODY = (ANA, BEN, CLEO)
SENTENCES: dict[tuple[Came, Event], Verdict] = {
    # What the server carried convicts nobody, whoever sealed it.
    (Came.RELAY, Event.COPY): Verdict.IGNORED,
    (Came.RELAY, Event.MISPLACED): Verdict.SUSPECTS,
    (Came.RELAY, Event.TWO_VALUES): Verdict.SUSPECTS,
    (Came.RELAY, Event.REFUSAL): Verdict.SUSPECTS,
    (Came.RELAY, Event.STOP): Verdict.SUSPECTS,
    (Came.RELAY, Event.REPORT): Verdict.SUSPECTS,
    (Came.RELAY, Event.ACCUSATION): Verdict.SUSPECTS,
    (Came.RELAY, Event.NO_LINK): Verdict.SUSPECTS,
    # What is odd about keys there may be the server's own, and so may two views of one session.
    (Came.RELAY, Event.WRONG_KEY): Verdict.NOBODY,
    (Came.RELAY, Event.CONTACT_CHANGED): Verdict.NOBODY,
    (Came.RELAY, Event.OTHER_VERSION): Verdict.NOBODY,
    (Came.RELAY, Event.VIEWS_DIFFER): Verdict.NOBODY,
    (Came.RELAY, Event.WORDS_DIFFER): Verdict.NOBODY,
    # A channel that proved nothing proves nothing.
    (Came.UNPROVED, Event.WRONG_KEY): Verdict.SUSPECTS,
    # A proved channel convicts of what no honest node sends, and of nothing else.
    (Came.LINK, Event.MISPLACED): Verdict.CULPRITS,
    (Came.LINK, Event.VALUES_DIFFER): Verdict.SUSPECTS,
    (Came.LINK, Event.REFUSAL): Verdict.SUSPECTS,
    (Came.LINK, Event.STOP): Verdict.SUSPECTS,
    (Came.LINK, Event.REPORT): Verdict.SUSPECTS,
    (Came.LINK, Event.ACCUSATION): Verdict.SUSPECTS,
    (Came.LINK, Event.NO_LINK): Verdict.SUSPECTS,
    (Came.LINK, Event.VIEWS_DIFFER): Verdict.NOBODY,
    (Came.LINK, Event.WRONG_KEY): Verdict.NOBODY,
    (Came.LINK, Event.WORDS_DIFFER): Verdict.NOBODY,
    # Anybody can check what is signed.
    (Came.SIGNED, Event.MISPLACED): Verdict.CULPRITS,
    (Came.SIGNED, Event.TWO_VALUES): Verdict.CULPRITS,
    # By whose key, is the server's word where two nodes meet for the first time.
    (Came.INTRODUCED, Event.MISPLACED): Verdict.SUSPECTS,
    (Came.INTRODUCED, Event.TWO_VALUES): Verdict.SUSPECTS,
    # Silence makes suspects, at the end of this node's own time.
    (Came.CLOCK, Event.SILENCE): Verdict.SUSPECTS,
    (Came.CLOCK, Event.NO_LINK): Verdict.SUSPECTS,
}
ABSENT = [both for both in itertools.product(Came, Event) if both not in SENTENCES]
SECRET = "/home/ana/secret-place"


def name_of(part: object) -> str:
    return part.name.lower() if isinstance(part, Came | Event) else str(part)


def test_the_table_is_this_and_no_more() -> None:
    assert dict(TABLE) == SENTENCES


@pytest.mark.parametrize(
    ("came", "event"), [both for both, verdict in SENTENCES.items() if verdict is not Verdict.IGNORED], ids=name_of
)
def test_each_entry_names_whom_its_verdict_names(came: Came, event: Event) -> None:
    error = judge(came, event, "it happened", [CLEO, BEN], hint="do this")
    expected = {
        Verdict.NOBODY: ((), set()),
        Verdict.SUSPECTS: ((), {BEN, CLEO}),
        Verdict.CULPRITS: ((BEN, CLEO), set()),
    }[SENTENCES[came, event]]
    assert blamed(error) == expected
    assert (error.message, error.hint) == ("it happened", "do this")


@pytest.mark.parametrize(("came", "event"), ABSENT, ids=name_of)
def test_what_is_not_in_the_table_cannot_be_asked(came: Came, event: Event) -> None:
    with pytest.raises(KeyError):
        judge(came, event, "it happened", [BEN])


@pytest.mark.parametrize(
    ("came", "event"), [both for both, verdict in SENTENCES.items() if verdict is Verdict.IGNORED], ids=name_of
)
def test_what_is_ignored_makes_no_error(came: Came, event: Event) -> None:
    with pytest.raises(ValueError, match="is ignored"):
        judge(came, event, "it happened", [BEN])


def test_only_a_proved_link_and_signed_values_convict() -> None:
    convicting = {came for (came, _), verdict in TABLE.items() if verdict is Verdict.CULPRITS}
    assert convicting == {Came.LINK, Came.SIGNED}


# --- what others say at their end ---


WAYS = [Came.RELAY, Came.LINK]


@pytest.mark.parametrize("came", WAYS, ids=name_of)
@pytest.mark.parametrize("code", ENDINGS)
def test_a_node_that_stops_for_a_reason_of_its_own_is_a_suspect_alone_and_has_a_sentence_of_its_own(
    code: str, came: Came
) -> None:
    error = heard(came, BEN, code=code, reason="\x1b[2J", named=[CLEO], me=ANA, among=EVERYBODY)
    assert type(error) is ParticipantStopped
    assert blamed(error) == ((), {BEN})
    assert (error.message, error.hint) == (f"ben {ENDINGS[code].says}", ENDINGS[code].hint)


def test_each_ending_says_something_else() -> None:
    assert len({ending.says for ending in ENDINGS.values()}) == len(ENDINGS) >= 5


@pytest.mark.parametrize("came", WAYS, ids=name_of)
@pytest.mark.parametrize(
    ("code", "named", "kind", "suspects"),
    [
        ("refused", [CLEO], ParticipantStopped, {BEN}),
        ("words_differ", [CLEO], WordsDiffer, set()),
        ("disagreement", [CLEO], Disagreement, set()),
        ("participant_cheated", [CLEO], ParticipantCheated, {BEN, CLEO}),
        ("participant_cheated", [BEN], ParticipantCheated, set()),
        ("inconsistent_broadcast", [CLEO], ParticipantCheated, {BEN, CLEO}),
        ("inconsistent_broadcast", [], ParticipantCheated, set()),
        ("participant_silent", [CLEO], ParticipantAborted, {BEN, CLEO}),
        ("participant_refused", [CLEO], ParticipantAborted, {BEN, CLEO}),
        ("link_failed", [CLEO], ParticipantAborted, {BEN, CLEO}),
        ("link_failed", [], ParticipantAborted, {BEN}),
        ("some_future_word", [CLEO, BEN], ParticipantAborted, {BEN, CLEO}),
    ],
)
def test_what_another_says_of_others_convicts_nobody(
    code: str, named: list[PeerId], kind: type[PeerError], suspects: set[PeerId], came: Came
) -> None:
    error = heard(came, BEN, code=code, reason="bye \x1b[2J", named=[*named, DORA], me=ANA, among=EVERYBODY)
    assert type(error) is kind
    assert blamed(error) == ((), suspects)
    assert "\x1b" not in error.message
    assert "ben" in error.message


@pytest.mark.parametrize("came", WAYS, ids=name_of)
@pytest.mark.parametrize(
    ("code", "named", "kind", "suspects"),
    [
        ("identity_check_failed", [ANA], IdentityCheckFailed, set()),
        ("identity_check_failed", [ANA, CLEO], IdentityCheckFailed, set()),
        ("identity_check_failed", [], IdentityCheckFailed, set()),
        ("identity_check_failed", [CLEO], ParticipantAborted, {BEN, CLEO}),
        ("identity_check_failed", [DORA], ParticipantAborted, {BEN}),
        ("contact_changed", [], IdentityCheckFailed, set()),
        ("contact_changed", [ANA], ParticipantAborted, {BEN}),
    ],
)
def test_one_that_finds_odd_keys_between_it_and_this_node_or_through_the_server_makes_nobody_a_suspect(
    code: str, named: list[PeerId], kind: type[PeerError], suspects: set[PeerId], came: Came
) -> None:
    """Of a link between two others it is the one that reports, and may be wrong."""
    error = heard(came, BEN, code=code, reason="look", named=named, me=ANA, among=EVERYBODY)
    assert type(error) is kind
    assert blamed(error) == ((), suspects)
    assert error.hint == (COMPARE if kind is IdentityCheckFailed else None)
    assert error.message.startswith("ben ")


@pytest.mark.parametrize("came", WAYS, ids=name_of)
def test_words_that_differ_warn_of_somebody_between(came: Came) -> None:
    theirs, own = heard(came, BEN, code="words_differ", reason="", named=[], me=ANA, among=EVERYBODY), words_differ()
    assert theirs.hint == COMPARE
    assert "somebody may stand between" in theirs.message
    assert (type(own), *blamed(own)) == (WordsDiffer, (), set())
    assert COMPARE in (own.hint or "")


# --- what this node says at its own end ---


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (KeystoreUnwritable(f"no space on {SECRET}"), CANNOT_STORE),
        (KeystoreUnreadable(f"{SECRET} is damaged"), CANNOT_READ),
        (KeystoreAbsent(f"{SECRET} is gone"), CANNOT_READ),
        (KeystoreNewer(f"{SECRET} is of the future"), CANNOT_READ),
        (HomeInUse(f"{SECRET} is in use"), INTERNAL),
        (ServerUnreachable(f"no answer from {SECRET}"), INTERNAL),
        (MpcError(SECRET), INTERNAL),
        (Interrupted(SECRET), "interrupted"),
        (KeyboardInterrupt(SECRET), "interrupted"),
        (ValueError(SECRET), "interrupted"),
    ],
    ids=lambda part: type(part).__name__ if isinstance(part, BaseException) else part,
)
def test_the_last_words_never_carry_a_message_of_what_went_wrong_inside(error: BaseException, code: str) -> None:
    assert last_words(error) == (code, ENDINGS[code].says, ())


def test_the_last_words_name_the_convicted_or_else_the_suspects() -> None:
    assert last_words(ParticipantCheated("x", culprits=[CLEO, BEN], suspects=[ANA])) == (
        "participant_cheated",
        "x",
        (BEN, CLEO),
    )
    assert last_words(ParticipantSilent("x" * 1000, suspects=[CLEO, BEN])) == (
        "participant_silent",
        "x" * MAX_REASON,
        (BEN, CLEO),
    )


@pytest.mark.parametrize(
    ("error", "code"),
    [(Refused("no"), "refused"), (Unanswered("no"), "unanswered"), (WordsUnanswered("no"), "words_unanswered")],
)
def test_a_refusal_says_its_own_word(error: Refused, code: str) -> None:
    assert last_words(error) == (code, "no", ())


def test_of_several_errors_the_convicted_are_suspects_no_more() -> None:
    errors = [ParticipantSilent("x", suspects=[ANA, BEN]), ParticipantCheated("y", culprits=[BEN])]
    one = together(errors, "both", hint=None)
    assert type(one) is ParticipantSilent
    assert blamed(one) == ((BEN,), {ANA})
