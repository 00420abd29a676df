"""The session table as a pure fold over events."""

import msgspec

from mpcnode import status
from mpcnode.cli.terminal.view import PHASES, STEPS, Board, SessionView, after
from tests.helpers.statuses import SESSION, ended, proposed


def fold(*events: status.Event) -> SessionView:
    board = Board()
    for event in events:
        view = board.take(event)
    assert view is not None
    return view


def test_every_phase_has_a_word_for_those_in_it_and_those_through() -> None:
    assert tuple(STEPS) == PHASES
    assert all(len(word) <= 18 for both in STEPS.values() for word in both)


def test_nothing_is_shown_before_a_proposal() -> None:
    assert Board().take(status.Progress(SESSION, "sharing")) is None
    assert Board().take(status.Peers(())) is None


def test_two_sessions_at_a_time_are_both_kept_and_what_ended_is_gone() -> None:
    board, other = Board(), msgspec.structs.replace(proposed("cli1", "cli2"), session_id="1" * 32)
    board.take(proposed("cli1", "cli2"))
    board.take(other)
    board.take(status.SafetyWords(SESSION, ("one",)))
    assert [view.words for view in board.views.values()] == [("one",), ()]
    assert board.take(ended()) is not None
    assert list(board.views) == [other.session_id]


def test_a_wait_says_until_when_and_a_proposal_until_its_answers_are_due() -> None:
    assert fold(proposed("cli1", "cli2")).until == proposed("cli1").expires
    mine = msgspec.structs.replace(proposed("cli1", "cli2"), until=7)
    assert fold(mine).until == 7
    assert fold(mine, status.Progress(SESSION, "sharing", ("cli2",), until=9)).until == 9
    assert fold(mine, status.Progress(SESSION, "sharing", ("cli2",))).until is None


def test_a_step_says_what_is_known_of_a_participant_and_no_more() -> None:
    asked = msgspec.structs.replace(proposed("cli1", "cli2", "cli3"), proposer="cli2")
    answering = fold(asked, status.Progress(SESSION, "negotiating", ("cli2",)))
    assert [answering.step(name) for name in ("cli1", "cli2", "cli3")] == ["accepted", "chooses", "is asked"]
    own = fold(proposed("cli1", "cli2", "cli3"), status.Progress(SESSION, "negotiating", ("cli3",)))
    assert [own.step(name) for name in ("cli1", "cli2", "cli3")] == ["proposes", "accepted", "answers"]
    comparing = fold(asked, status.Progress(SESSION, "confirming", ("cli1",)))
    assert {comparing.step(name) for name in ("cli1", "cli2", "cli3")} == {"compares the words"}
    later = fold(
        asked, status.Progress(SESSION, "confirming", ("cli1",)), status.Progress(SESSION, "sharing", ("cli3",))
    )
    assert [later.step(name) for name in ("cli1", "cli3")] == ["sent its share", "compares the words"]
    without = fold(asked, status.Progress(SESSION, "sharing", ("cli3",)))
    assert without.step("cli3") == "sends its share"


def test_a_participant_is_marked_by_phase() -> None:
    view = fold(proposed("cli1", "cli2"), status.Progress(SESSION, "sharing", ("cli2",)))
    assert view.mark("cli1", "committing") == "done"
    assert view.mark("cli1", "sharing") == "done"
    assert view.mark("cli2", "sharing") == "waiting"
    assert view.mark("cli2", "storing") == "ahead"


def test_nobody_elses_words_are_shown_as_compared_before_its_share_is_here() -> None:
    comparing = fold(proposed("cli1", "cli2", "cli3"), status.Progress(SESSION, "confirming", ("cli1",)))
    assert [comparing.mark(name, "confirming") for name in ("cli1", "cli2", "cli3")] == ["waiting", "ahead", "ahead"]
    sharing = fold(proposed("cli1", "cli2", "cli3"), status.Progress(SESSION, "sharing", ("cli3",)))
    assert [sharing.mark(name, "confirming") for name in ("cli1", "cli2", "cli3")] == ["done", "done", "waiting"]


def test_a_signing_session_has_the_phases_of_signing_alone() -> None:
    what = status.SignView("ab" * 16, 0, "text", ("68656c6c6f",), ("00" * 32,), ("ef" * 32,))
    proposal = msgspec.structs.replace(proposed("cli1", "cli2"), kind="sign", sign=what)
    view = fold(proposal, status.Progress(SESSION, "signing", ("cli2",)))
    assert view.phases == ("negotiating", "connecting", "committing", "agreeing", "signing")
    assert [view.mark("cli2", phase) for phase in view.phases] == ["done"] * 4 + ["waiting"]


def test_a_signature_is_the_work_of_its_signers_alone() -> None:
    what = status.SignView("ab" * 16, 0, "text", ("68656c6c6f",), ("00" * 32,), ("ef" * 32,))
    asked = msgspec.structs.replace(proposed("cli1", "cli2", "cli3", "cli4"), kind="sign", sign=what)
    signature = status.SignatureView(
        wallet_id="ab" * 16,
        name="treasury",
        suite="FROST-ED25519-SHA512-v1",
        public_key="00" * 32,
        messages=("68656c6c6f",),
        signed=("ef" * 32,),
        signatures=("00" * 64,),
        signers=("cli1", "cli2"),
    )
    over = msgspec.structs.replace(ended(None), kind="sign", signature=signature)
    answers = [status.Answered(SESSION, name, accepted=yes) for name, yes in [("cli2", True), ("cli3", False)]]
    view = fold(asked, *answers, over)
    marks = {name: [view.mark(name, phase) for phase in view.phases] for name in ("cli1", "cli2", "cli3", "cli4")}
    assert marks["cli1"] == marks["cli2"] == ["done"] * 5
    assert marks["cli3"] == ["failed", *["ahead"] * 4]
    assert marks["cli4"] == ["ahead"] * 5


def test_who_accepted_and_was_not_needed_signed_nothing() -> None:
    what = status.SignView("ab" * 16, 0, "text", ("68656c6c6f",), ("00" * 32,), ("ef" * 32,))
    asked = msgspec.structs.replace(proposed("cli1", "cli2"), kind="sign", sign=what)
    view = fold(asked, msgspec.structs.replace(ended(None), kind="sign"))
    (me,) = [peer.peer_id for peer in asked.participants if peer.trust == "self"]
    assert [view.mark(me, phase) for phase in view.phases] == ["done", *["ahead"] * 4]


def test_a_refusal_is_marked_at_once() -> None:
    view = fold(
        proposed("cli1", "cli2"),
        status.Progress(SESSION, "negotiating", ("cli2",)),
        status.Answered(SESSION, "cli2", accepted=False),
    )
    assert view.mark("cli2", "negotiating") == "failed"


def test_the_culprits_of_an_error_are_marked_where_it_ended() -> None:
    error = status.ErrorView("participant_silent", "cli2 does not answer", 6, "peer", culprits=("cli2",))
    view = fold(proposed("cli1", "cli2"), status.Progress(SESSION, "sharing", ("cli2",)), ended(error))
    assert view.mark("cli2", "sharing") == "failed"
    assert view.mark("cli1", "sharing") == "done"
    assert view.mark("cli1", "storing") == "ahead"


def test_everything_is_done_at_a_good_end() -> None:
    view = fold(proposed("cli1", "cli2"), ended())
    assert {view.mark("cli2", phase) for phase in PHASES} == {"done"}


def test_another_session_changes_nothing() -> None:
    view = fold(proposed("cli1", "cli2"))
    assert after(view, status.Progress("f" * 32, "sharing", ("cli1",))) == view


def test_a_broken_link_is_shown_once_whoever_reports_it() -> None:
    view = fold(
        proposed("cli1", "cli2"),
        status.Link(SESSION, "cli2", "cli1", "open"),
        status.Link(SESSION, "cli1", "cli2", "broken"),
    )
    assert view.troubled_links == (("cli1", "cli2", "broken"),)


def test_words_stay_with_the_session() -> None:
    words = ("one", "two", "three", "four", "five", "six")
    assert fold(proposed("cli1", "cli2"), status.SafetyWords(SESSION, words)).words == words
