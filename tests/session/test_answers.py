import pytest

from mpcnode.errors import IdentityCheckFailed, ParticipantCheated, ParticipantRefused, ParticipantSilent
from mpcnode.session.answers import Answers
from mpcnode.wire.relay import SessionResponse
from tests.helpers.quorums import NAMES

ANA, BEN, CLEO, DORA = NAMES[:4]
HASH = "ab" * 32


@pytest.fixture
def answers() -> Answers:
    return Answers((BEN, CLEO, DORA), HASH)


def yes(fresh: int = 1, proposal: str = HASH) -> SessionResponse:
    return SessionResponse(session_id="5e" * 16, accepted=True, proposal=proposal, fresh=f"{fresh:064x}")


def no(reason: str | None = None) -> SessionResponse:
    return SessionResponse(session_id="5e" * 16, accepted=False, proposal=HASH, reason=reason)


def test_each_answer_counts_once(answers: Answers) -> None:
    answers.take(BEN, yes())
    answers.take(BEN, yes())
    answers.take(CLEO, no("busy"))
    assert list(answers.accepted) == [BEN]
    assert answers.refused == {CLEO: "busy"}
    assert answers.missing == (DORA,)


@pytest.mark.parametrize(
    "answer",
    [yes(proposal="cd" * 32), SessionResponse(session_id="5e" * 16, accepted=True, proposal=HASH)],
    ids=["of-another-proposal", "without-fresh-bytes"],
)
def test_an_answer_to_something_else_is_a_cheat_s(answers: Answers, answer: SessionResponse) -> None:
    with pytest.raises(ParticipantCheated) as caught:
        answers.take(BEN, answer)
    assert caught.value.culprits == (BEN,)
    assert not answers.accepted


@pytest.mark.parametrize("first", [yes(1), no()])
def test_two_different_answers_are_a_cheat_s(answers: Answers, first: SessionResponse) -> None:
    answers.take(BEN, first)
    with pytest.raises(ParticipantCheated, match="answered twice, differently"):
        answers.take(BEN, yes(2))


def test_who_accepted_may_still_say_no(answers: Answers) -> None:
    answers.take(BEN, yes())
    answers.take(BEN, no())
    assert not answers.accepted
    assert answers.refused == {BEN: "no reason given"}


def test_who_is_not_trusted_is_not_heard_again(answers: Answers) -> None:
    answers.take(BEN, yes())
    answers.distrust(BEN, IdentityCheckFailed("another key", peer=BEN))
    answers.take(BEN, yes())
    assert not answers.accepted
    assert answers.missing == (CLEO, DORA)


def test_who_is_gone_may_come_back_and_who_answered_is_not_gone(answers: Answers) -> None:
    answers.take(BEN, yes())
    answers.lose(BEN)
    answers.lose(CLEO)
    assert answers.missing == (DORA,)
    answers.take(CLEO, yes())
    assert list(answers.accepted) == [BEN, CLEO]
    assert not answers.gone


def test_too_few_is_a_refusal_where_somebody_refused_else_distrust_else_silence(answers: Answers) -> None:
    answers.lose(DORA)
    error = answers.too_few()
    assert isinstance(error, ParticipantSilent)
    assert error.culprits == (DORA,)
    distrusted = IdentityCheckFailed("another key", peer=BEN)
    answers.distrust(BEN, distrusted)
    assert answers.too_few() is distrusted
    answers.take(CLEO, no("\x1b[2J no"))
    error = answers.too_few()
    assert isinstance(error, ParticipantRefused)
    assert error.culprits == (CLEO,)
    assert r"cleo ('\x1b[2J no'), another key, dora cannot be reached" in error.message


def test_too_late_names_whoever_said_nothing(answers: Answers) -> None:
    answers.take(BEN, yes())
    answers.lose(DORA)
    assert answers.too_late().culprits == (CLEO, DORA)
