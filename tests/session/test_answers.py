"""What is answered to a proposal, signed; what the proposer makes of it; and what everybody checks of its choice."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pytest

from mpcnode.crypto import tags
from mpcnode.crypto.signature import verify
from mpcnode.crypto.suites import DEFAULT_SUITES
from mpcnode.errors import (
    Disagreement,
    IdentityCheckFailed,
    ParticipantCheated,
    ParticipantRefused,
    ParticipantSilent,
)
from mpcnode.session.answers import Answers, accept, check_start, is_signed, refuse, start, two_faced
from mpcnode.types import Identifier, IdentityKey, PeerId, SessionId
from mpcnode.wire import agreement
from mpcnode.wire.relay import Acceptance, Participant, SessionProposal, SessionResponse, SessionStart
from tests.helpers.blamed import blamed
from tests.helpers.identities import NOW, identity, key_of
from tests.helpers.table import NAMES

ANA, BEN, CLEO, DORA, EVE = *NAMES[:4], PeerId("eve")
EVERYBODY = (ANA, BEN, CLEO, DORA)
IDENTIFIERS = {ANA: 2, BEN: 3, CLEO: 5, DORA: 9}
"""Explicit and for life, never a place in a list."""
MESH = SessionId(bytes.fromhex("3e" * 16))


def participant(identifier: int, name: str, key: bytes) -> Participant:
    return Participant(Identifier(identifier), PeerId(name), IdentityKey(key))


def proposal(wallet_name: str = "treasury") -> SessionProposal:
    salt = bytes(16)
    return SessionProposal(
        session_id=agreement.session_id_of(key_of(ANA), salt),
        salt=salt,
        kind="sign",
        wallet_name=wallet_name,
        threshold=3,
        suites=DEFAULT_SUITES[:1],
        participants=tuple(participant(IDENTIFIERS[name], name, key_of(name)) for name in EVERYBODY),
        expires=NOW + 60_000,
        answer_within=60_000,
        terms=(b"one", b""),
    )


PROPOSAL = proposal()
HASH = agreement.proposal_hash(PROPOSAL)


def yes(
    name: str = BEN,
    number: int = 1,
    *,
    about: SessionProposal = PROPOSAL,
    terms: tuple[bytes, ...] = (),
    meshes: tuple[SessionId, ...] = (),
) -> SessionResponse:
    return accept(about, identity(name), nonce=bytes([number]) * 16, terms=terms, meshes=meshes)


def bare(answer: SessionResponse, *fields: str) -> SessionResponse:
    """An answer without some of its fields, which no decoder would make."""
    copied = msgspec.structs.replace(answer)
    for field in fields:
        msgspec.structs.force_setattr(copied, field, None)
    return copied


# --- what a node says ---


def test_a_yes_is_signed_over_the_proposal_its_nonce_and_its_terms() -> None:
    answer = yes(BEN, 7, terms=(b"abandon", b"this"), meshes=(MESH,))
    assert answer.accepted
    assert (answer.session_id, answer.proposal, answer.nonce) == (PROPOSAL.session_id, HASH, bytes([7]) * 16)
    assert (answer.terms, answer.meshes, answer.reason) == ((b"abandon", b"this"), (MESH,), None)
    assert answer.signature is not None
    fields = agreement.acceptance_fields(HASH, bytes([7]) * 16, (b"abandon", b"this"))
    assert verify(key_of(BEN), answer.signature, tags.ACCEPTANCE, *fields)
    assert is_signed(key_of(BEN), answer)


@pytest.mark.parametrize(
    "change",
    [
        lambda answer: msgspec.structs.replace(answer, proposal=agreement.proposal_hash(proposal("other"))),
        lambda answer: msgspec.structs.replace(answer, nonce=bytes(16)),
        lambda answer: msgspec.structs.replace(answer, terms=(b"abandon", b"thus")),
        lambda answer: msgspec.structs.replace(answer, terms=(b"abandonthis",)),
        lambda answer: msgspec.structs.replace(answer, terms=()),
        lambda answer: msgspec.structs.replace(answer, signature=bytes(64)),
        lambda answer: bare(answer, "nonce"),
        lambda answer: bare(answer, "signature"),
    ],
    ids=["proposal", "nonce", "terms", "joined", "no terms", "signature", "no nonce", "unsigned"],
)
def test_a_yes_that_was_changed_is_not_signed(change: Callable[[SessionResponse], SessionResponse]) -> None:
    assert not is_signed(key_of(BEN), change(yes(BEN, 7, terms=(b"abandon", b"this"))))


def test_a_yes_is_signed_by_its_sender_alone() -> None:
    assert not is_signed(key_of(CLEO), yes(BEN))


def test_an_acceptance_that_is_repeated_is_checked_against_the_proposal_at_hand() -> None:
    repeated = Acceptance(identifier=Identifier(3), nonce=bytes([1]) * 16, signature=yes(BEN).signature or b"")
    assert is_signed(key_of(BEN), repeated, HASH)
    assert not is_signed(key_of(BEN), repeated, agreement.proposal_hash(proposal("other")))
    assert not is_signed(key_of(BEN), repeated)


def test_a_no_is_about_this_very_proposal_and_short() -> None:
    refused = refuse(PROPOSAL, "r" * 1000)
    assert not refused.accepted
    assert refused.nonce is refused.signature is None
    assert len(refused.reason or "") == 200
    assert refused.proposal == yes().proposal == HASH
    assert refused.proposal != refuse(proposal("other"), "").proposal


def test_a_proposal_that_contradicts_itself_can_be_refused() -> None:
    crooked = msgspec.structs.replace(
        PROPOSAL, participants=(participant(1, "ana", bytes(32)), participant(2, "ana", bytes(32)))
    )
    assert refuse(crooked, "no").accepted is False


# --- what the proposer makes of it ---


@pytest.fixture
def answers() -> Answers:
    return Answers({name: key_of(name) for name in (BEN, CLEO, DORA)}, HASH)


def no(reason: str = "no") -> SessionResponse:
    return refuse(PROPOSAL, reason)


def test_each_answer_counts_once(answers: Answers) -> None:
    answers.take(BEN, yes())
    answers.take(BEN, yes())
    answers.take(CLEO, no("busy"))
    assert list(answers.accepted) == [BEN]
    assert answers.refused == {CLEO: "refused ('busy')"}
    assert answers.missing == (DORA,)


def test_everybody_that_has_not_answered_is_missing_and_acceptances_are_kept_as_they_came(answers: Answers) -> None:
    assert list(answers.missing) == [BEN, CLEO, DORA]
    for name, number in ((DORA, 3), (BEN, 1), (CLEO, 2)):
        answers.take(name, yes(name, number, terms=(bytes([number]),)))
    assert not answers.missing
    assert list(answers.accepted) == [DORA, BEN, CLEO]
    assert {name: answer.nonce for name, answer in answers.accepted.items()} == {
        DORA: bytes([3]) * 16,
        BEN: bytes([1]) * 16,
        CLEO: bytes([2]) * 16,
    }
    assert answers.accepted[CLEO].terms == (b"\x02",)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (yes(about=proposal("other")), "accepted something else"),
        (yes(CLEO), "not signed by it"),
        (msgspec.structs.replace(yes(), nonce=bytes(16)), "not signed by it"),
        (msgspec.structs.replace(yes(), terms=(b"more",)), "not signed by it"),
        (bare(yes(), "nonce"), "not signed by it"),
        (bare(yes(), "signature"), "not signed by it"),
    ],
    ids=["another-proposal", "another-key", "another-nonce", "other-terms", "without-nonce", "unsigned"],
)
def test_an_answer_to_something_else_or_not_signed_is_not_counted_and_makes_a_suspect_of_its_sender(
    answers: Answers, answer: SessionResponse, why: str
) -> None:
    with pytest.raises(ParticipantCheated, match=why) as caught:
        answers.take(BEN, answer)
    assert blamed(caught.value) == ((), {BEN})  # no third party can check who sealed it
    assert not answers.accepted
    assert answers.missing == (BEN, CLEO, DORA)


@pytest.mark.parametrize(
    "first", [yes(number=1), yes(number=2, terms=(b"other",))], ids=["another-nonce", "other-terms"]
)
def test_two_different_answers_make_a_suspect_of_one_that_may_have_begun_anew(
    answers: Answers, first: SessionResponse
) -> None:
    answers.take(BEN, first)
    with pytest.raises(ParticipantCheated, match="answered twice, differently") as caught:
        answers.take(BEN, yes(number=2))
    assert blamed(caught.value) == ((), {BEN})
    assert answers.accepted == {BEN: first}


def test_a_yes_after_a_no_is_not_counted_and_convicts_nobody(answers: Answers) -> None:
    answers.take(BEN, no("stopped"))
    answers.take(BEN, yes())
    assert not answers.accepted
    assert answers.refused == {BEN: "refused ('stopped')"}


def test_one_that_accepted_may_still_say_no(answers: Answers) -> None:
    answers.take(BEN, yes())
    answers.take(BEN, bare(no(), "reason"))
    assert not answers.accepted
    assert answers.refused == {BEN: "refused ('no reason given')"}


def test_the_first_reason_is_the_one_that_is_told(answers: Answers) -> None:
    answers.take(BEN, no("busy"))
    answers.take(BEN, no("not today"))
    assert answers.refused == {BEN: "refused ('busy')"}


def test_one_that_is_not_trusted_is_not_heard_again(answers: Answers) -> None:
    answers.take(BEN, yes())
    answers.distrust(BEN, IdentityCheckFailed("another key", suspects=[BEN]))
    answers.take(BEN, yes())
    assert not answers.accepted
    assert answers.missing == (CLEO, DORA)


def test_one_that_is_gone_may_come_back_and_one_that_answered_is_not_gone(answers: Answers) -> None:
    answers.take(BEN, yes())
    answers.lose(BEN)
    answers.lose(CLEO)
    assert list(answers.accepted) == [BEN]
    assert answers.gone == {CLEO: None}
    assert answers.missing == (DORA,)
    answers.take(CLEO, yes(CLEO))
    assert list(answers.accepted) == [BEN, CLEO]
    assert not answers.gone


def test_too_few_is_a_refusal_where_somebody_refused_else_distrust_else_silence(answers: Answers) -> None:
    answers.lose(DORA)
    error = answers.too_few()
    assert isinstance(error, ParticipantSilent)
    assert blamed(error) == ((), {DORA})
    distrusted = IdentityCheckFailed("another key", suspects=[BEN])
    answers.distrust(BEN, distrusted)
    assert answers.too_few() is distrusted
    answers.take(CLEO, no("\x1b[2J no"))
    error = answers.too_few()
    assert isinstance(error, ParticipantRefused)
    assert blamed(error) == ((), {CLEO})
    assert r"cleo refused ('\x1b[2J no'), another key, dora cannot be reached" in error.message


def test_too_late_names_everybody_that_said_nothing(answers: Answers) -> None:
    answers.take(BEN, yes())
    answers.lose(DORA)
    assert blamed(answers.too_late()) == ((), {CLEO, DORA})


def test_one_that_an_odd_message_speaks_for_is_waited_for_no_more_and_its_real_answer_undoes_that(
    answers: Answers,
) -> None:
    odd = IdentityCheckFailed("another key")
    answers.lose(BEN, odd)
    answers.lose(CLEO, odd)
    answers.lose(DORA)
    assert answers.missing == ()
    assert answers.too_few() is odd
    answers.take(BEN, yes())
    answers.lose(BEN, odd)
    assert list(answers.accepted) == [BEN]
    assert answers.gone == {CLEO: odd, DORA: None}
    assert blamed(answers.too_late()) == ((), {CLEO, DORA})


# --- the choice ---


MINE = yes(BEN, 2, terms=(b"mine",))
CHOSEN = {ANA: yes(ANA, 1), BEN: MINE, DORA: yes(DORA, 4, terms=(b"", b"dora's"))}


def begun(chosen: dict[PeerId, SessionResponse] = CHOSEN, **options: Any) -> SessionStart:
    return start(options.get("about", PROPOSAL), chosen, identity(options.get("by", ANA)), mesh=MESH)


def signed(one: SessionStart, chosen: Sequence[Acceptance], *, proposal_hash: bytes = HASH) -> SessionStart:
    """What ana signs when she is not honest; the wire need not allow it."""
    made = msgspec.structs.replace(
        one,
        proposal=proposal_hash,
        signature=identity(ANA).sign(tags.START, *agreement.start_fields(proposal_hash, one.mesh, chosen)),
    )
    msgspec.structs.force_setattr(made, "chosen", tuple(chosen))
    return made


def check(
    choice: SessionStart, *, me: PeerId = BEN, mine: SessionResponse = MINE, needed: int = 3, proposer: PeerId = ANA
) -> None:
    check_start(choice, PROPOSAL, proposer=proposer, me=me, mine=mine, needed=needed)


def test_a_choice_is_signed_over_everybody_s_acceptance_and_sorted_by_identifier() -> None:
    choice = begun(dict(reversed(CHOSEN.items())))
    assert (choice.session_id, choice.proposal, choice.mesh) == (PROPOSAL.session_id, HASH, MESH)
    assert [one.identifier for one in choice.chosen] == [2, 3, 9]
    assert [one.nonce for one in choice.chosen] == [bytes([number]) * 16 for number in (1, 2, 4)]
    assert [one.terms for one in choice.chosen] == [(), (b"mine",), (b"", b"dora's")]
    fields = agreement.start_fields(HASH, MESH, choice.chosen)
    assert verify(key_of(ANA), choice.signature, tags.START, *fields)
    check(choice)
    check(choice, me=DORA, mine=CHOSEN[DORA])
    check(begun({**CHOSEN, CLEO: yes(CLEO, 3)}))


def test_nobody_is_chosen_that_was_not_asked_or_did_not_accept() -> None:
    for chosen in ({**CHOSEN, EVE: yes(EVE)}, {**CHOSEN, CLEO: no()}):
        with pytest.raises(AssertionError):
            begun(chosen)


HONEST = begun()
ANA_S, BEN_S, DORA_S = HONEST.chosen
STRANGER = Acceptance(identifier=Identifier(4), nonce=bytes(16), signature=yes(EVE).signature or b"")
OTHER = agreement.proposal_hash(proposal("other"))

CROOKED: dict[str, SessionStart] = {
    "not sorted": signed(HONEST, (BEN_S, ANA_S, DORA_S)),
    "one of them twice": signed(HONEST, (ANA_S, ANA_S, BEN_S)),
    "with a stranger": signed(HONEST, (ANA_S, BEN_S, STRANGER, DORA_S)),
    "without this node": begun({ANA: yes(ANA, 1), CLEO: yes(CLEO, 3), DORA: CHOSEN[DORA]}),
    "without its proposer": begun({BEN: MINE, CLEO: yes(CLEO, 3), DORA: CHOSEN[DORA]}),
    "too few": begun({ANA: yes(ANA, 1), BEN: MINE}),
    "an acceptance that somebody else signed": signed(
        HONEST, (ANA_S, BEN_S, msgspec.structs.replace(DORA_S, signature=ANA_S.signature))
    ),
    "an acceptance with another nonce": signed(
        HONEST, (ANA_S, BEN_S, msgspec.structs.replace(DORA_S, nonce=bytes(16)))
    ),
    "an acceptance with other terms": signed(HONEST, (ANA_S, BEN_S, msgspec.structs.replace(DORA_S, terms=(b"x",)))),
    "its own acceptance unsigned": signed(HONEST, (msgspec.structs.replace(ANA_S, signature=bytes(64)), BEN_S, DORA_S)),
}

UNSIGNED: dict[str, SessionStart] = {
    "of another proposal": signed(
        begun({name: yes(name, about=proposal("other")) for name in CHOSEN}, about=proposal("other")),
        begun({name: yes(name, about=proposal("other")) for name in CHOSEN}, about=proposal("other")).chosen,
        proposal_hash=OTHER,
    ),
    "of another proposal in one word": signed(HONEST, HONEST.chosen, proposal_hash=OTHER),
    "that names another proposal than was signed": msgspec.structs.replace(HONEST, proposal=OTHER),
    "signed by somebody else": begun(by=DORA),
    "for another mesh than was signed": msgspec.structs.replace(HONEST, mesh=SessionId(bytes(16))),
    "with one fewer than was signed": msgspec.structs.replace(
        begun({**CHOSEN, CLEO: yes(CLEO, 3)}), chosen=HONEST.chosen
    ),
}


@pytest.mark.parametrize("what", CROOKED)
def test_a_choice_that_no_honest_node_makes_names_its_proposer(what: str) -> None:
    with pytest.raises(ParticipantCheated, match="as no honest node does") as caught:
        check(CROOKED[what])
    assert blamed(caught.value) == ((ANA,), set())


@pytest.mark.parametrize("what", UNSIGNED)
def test_a_choice_that_its_proposer_did_not_sign_makes_a_suspect_of_it_and_no_more(what: str) -> None:
    with pytest.raises(ParticipantCheated, match="not signed by ana") as caught:
        check(UNSIGNED[what])
    assert blamed(caught.value) == ((), {ANA})


@pytest.mark.parametrize(
    "mine", [yes(BEN, 3, terms=(b"mine",)), yes(BEN, 2, terms=(b"other",))], ids=["nonce", "terms"]
)
def test_an_answer_of_an_earlier_life_of_this_node_ends_it_and_names_nobody(mine: SessionResponse) -> None:
    """The server may have kept the newer answer back, so that the proposer has done nothing wrong."""
    with pytest.raises(Disagreement, match="in an earlier life") as caught:
        check(HONEST, mine=mine)
    assert blamed(caught.value) == ((), set())


def test_what_was_agreed_is_another_for_another_proposal_participant_nonce_or_terms() -> None:
    starts = [
        HONEST,
        begun({**CHOSEN, CLEO: yes(CLEO, 3)}),
        begun({**CHOSEN, BEN: yes(BEN, 5, terms=(b"mine",))}),
        begun({**CHOSEN, BEN: yes(BEN, 2, terms=(b"mi", b"ne"))}),
        msgspec.structs.replace(HONEST, proposal=OTHER),
    ]
    assert len({agreement.agreed(one.proposal, one.chosen) for one in starts}) == len(starts)


# --- two choices ---


LATER = begun({**CHOSEN, CLEO: yes(CLEO, 3)})


def test_two_choices_that_the_proposer_signed_convict_it() -> None:
    assert two_faced(ANA, HONEST, LATER, PROPOSAL)
    assert two_faced(ANA, LATER, HONEST, PROPOSAL)
    elsewhere = start(PROPOSAL, CHOSEN, identity(ANA), mesh=SessionId(bytes(16)))
    assert two_faced(ANA, HONEST, elsewhere, PROPOSAL)


@pytest.mark.parametrize(
    "shown",
    [
        HONEST,
        msgspec.structs.replace(HONEST, proposal=OTHER),
        msgspec.structs.replace(HONEST, session_id=SessionId(bytes(16))),
        msgspec.structs.replace(LATER, proposal=OTHER),
        msgspec.structs.replace(HONEST, mesh=SessionId(bytes(16))),
        msgspec.structs.replace(LATER, signature=HONEST.signature),
        begun({**CHOSEN, CLEO: yes(CLEO, 3)}, by=DORA),
    ],
    ids=[
        "the same",
        "the same with another proposal written on it",
        "the same under another session",
        "another with another proposal written on it",
        "another mesh",
        "others with the same signature",
        "signed by somebody else",
    ],
)
def test_what_the_proposer_did_not_sign_twice_convicts_nobody(shown: SessionStart) -> None:
    """Who shows it may lie, and what is not signed it may have written itself."""
    assert not two_faced(ANA, HONEST, shown, PROPOSAL)
    assert not two_faced(ANA, shown, HONEST, PROPOSAL)
