import pytest

from mpcnode.errors import ParticipantCheated, ParticipantRefused
from mpcnode.session.agreement import Agreement, refusal
from mpcnode.session.proposal import propose_keygen
from mpcnode.types import IdentityKey, PeerId, SessionId, SuiteId
from mpcnode.wire.relay import SessionProposal, SessionResponse
from tests.helpers.relays import ANA, BEN, CLEO, key_of

SESSION = SessionId("5e" * 16)
NAMES: tuple[PeerId, ...] = (ANA, BEN, CLEO)


def proposal(wallet_name: str = "treasury") -> SessionProposal:
    return propose_keygen(
        proposer=ANA,
        salt=bytes(16),
        roster={name: key_of(name) for name in NAMES},
        threshold=2,
        suites=(SuiteId("FROST-ED25519-SHA512-v1"),),
        wallet_name=wallet_name,
        now=1_800_000_000,
        answer_within=60,
    )


@pytest.fixture
def agreement() -> Agreement:
    return Agreement(proposal(), me=ANA)


def yes(fresh: int, about: SessionProposal | None = None, name: str = BEN) -> SessionResponse:
    return Agreement(about or proposal(), me=BEN if name == BEN else CLEO).accept(bytes([fresh]) * 32)


def test_everybody_who_has_not_answered_is_missing(agreement: Agreement) -> None:
    assert list(agreement.missing) == list(NAMES)
    agreement.accept(bytes(32))
    assert list(agreement.missing) == [BEN, CLEO]
    assert agreement.receive(CLEO, yes(3, name=CLEO)) is True
    assert list(agreement.missing) == [BEN]
    assert agreement.receive(BEN, yes(2)) is True
    assert list(agreement.missing) == []
    assert agreement.fresh == {ANA: bytes(32), BEN: bytes([2]) * 32, CLEO: bytes([3]) * 32}


def test_an_answer_that_comes_before_this_nodes_own_is_kept(agreement: Agreement) -> None:
    assert agreement.receive(BEN, yes(2))
    assert list(agreement.missing) == [ANA, CLEO]


def test_the_same_answer_twice_says_nothing_new(agreement: Agreement) -> None:
    assert agreement.receive(BEN, yes(2)) is True
    assert agreement.receive(BEN, yes(2)) is False
    assert agreement.fresh == {BEN: bytes([2]) * 32}


def test_two_different_answers_name_who_gave_them(agreement: Agreement) -> None:
    agreement.receive(BEN, yes(2))
    with pytest.raises(ParticipantCheated) as caught:
        agreement.receive(BEN, yes(4))
    assert caught.value.culprits == (BEN,)
    assert agreement.fresh == {BEN: bytes([2]) * 32}


def test_a_no_names_who_said_it_and_its_reason_cannot_write_on_a_terminal(agreement: Agreement) -> None:
    with pytest.raises(ParticipantRefused) as caught:
        agreement.receive(BEN, refusal(proposal(), "not \x1b[2J today"))
    assert caught.value.culprits == (BEN,)
    assert "not \\x1b[2J today" in caught.value.message


def test_a_no_without_a_reason_is_a_no(agreement: Agreement) -> None:
    silent = SessionResponse(session_id=SESSION, accepted=False, proposal="00" * 32)
    with pytest.raises(ParticipantRefused, match="no reason given"):
        agreement.receive(BEN, silent)


def test_a_no_after_a_yes_is_a_no(agreement: Agreement) -> None:
    agreement.receive(BEN, yes(2))
    with pytest.raises(ParticipantRefused):
        agreement.receive(BEN, refusal(proposal(), "changed my mind"))


def test_a_yes_to_another_proposal_is_a_lie_of_nobody_knows_whom(agreement: Agreement) -> None:
    with pytest.raises(ParticipantCheated) as caught:
        agreement.receive(BEN, yes(2, proposal("other")))
    assert caught.value.culprits == ()
    assert list(agreement.missing) == list(NAMES)


def test_a_yes_without_fresh_bytes_names_who_said_it(agreement: Agreement) -> None:
    answer = yes(2)
    bare = SessionResponse(session_id=SESSION, accepted=True, proposal=answer.proposal)
    with pytest.raises(ParticipantCheated) as caught:
        agreement.receive(BEN, bare)
    assert caught.value.culprits == (BEN,)


def test_what_this_node_says_is_about_this_very_proposal(agreement: Agreement) -> None:
    accepted, refused = agreement.accept(bytes(32)), agreement.refuse("r" * 1000)
    assert accepted.accepted
    assert accepted.fresh == "00" * 32
    assert not refused.accepted
    assert refused.fresh is None
    assert len(refused.reason or "") == 200
    assert accepted.proposal == refused.proposal == refusal(proposal(), "").proposal
    assert accepted.proposal != refusal(proposal("other"), "").proposal


def test_a_proposal_that_is_none_can_be_refused() -> None:
    crooked = SessionProposal(
        session_id=SESSION,
        salt="00" * 16,
        kind="keygen",
        total=2,
        threshold=2,
        participants=("ana", "ben"),
        public_keys=(IdentityKey(bytes(32)).hex(),),  # one is missing
        suites=("FROST-ED25519-SHA512-v1",),
        wallet_name="treasury",
        expires=0,
        answer_within=60,
    )
    assert refusal(crooked, "no").accepted is False
