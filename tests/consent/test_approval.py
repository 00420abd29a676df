"""Whether this node takes part in what another proposes: its options, the wallet's policy, its user, in this order."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from mpcnode.consent.approval import Consent, Options
from mpcnode.consent.journal import Journal
from mpcnode.consent.policy import WalletPolicy
from mpcnode.errors import KeystoreUnreadable, MpcError, NoTerminal, Refused, WordsDiffer
from mpcnode.status import PeerView, Proposed, SafetyWords, SignView
from mpcnode.types import PeerId
from tests.helpers.blamed import blamed
from tests.helpers.table import Human

NOW = 1_800_000_000_000
ANA, BEN = PeerId("ana"), PeerId("ben")
TREASURY = "ab" * 16
WORDS = SafetyWords("5e" * 16, ("abandon", "ability", "able", "about", "above", "absent"))
PROPOSAL = Proposed(
    session_id="5e" * 16,
    kind="sign",
    proposer=BEN,
    wallet="treasury",
    threshold=2,
    total=2,
    participants=(PeerView(ANA, "self"), PeerView(BEN, "verified")),
    suites=("FROST-ED25519-SHA512-v1",),
    expires=NOW + 60_000,
    wallet_id=TREASURY,
    sign=SignView(
        wallet_id=TREASURY, epoch=0, reading="text", messages=("00",), hashes=("00" * 32,), signed=("00" * 32,)
    ),
)
REFRESH = msgspec.structs.replace(PROPOSAL, kind="refresh", sign=None)
KEYGEN = msgspec.structs.replace(PROPOSAL, kind="keygen", sign=None, wallet_id=None)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal(tmp_path, now=lambda: NOW, clock=lambda: 0.0, warn=lambda _: None) as made:
        yield made


def asked(
    journal: Journal,
    policy: WalletPolicy | None,
    *,
    human: Human | None = None,
    known: bool = True,
    verified: bool | None = None,
    proposal: Proposed = PROPOSAL,
    on_yes: Callable[[], None] = lambda: None,
    **options: Any,
) -> Consent:
    """What ben asks ana."""
    return Consent(
        options=Options(**options),
        user=human or Human(approves=False),
        proposal=proposal,
        verified=known if verified is None else verified,
        known=known,
        policy_of=lambda: policy,
        journal=journal,
        on_yes=on_yes,
    )


def used(journal: Journal) -> int:
    return len(list(journal.recent(TREASURY, me=ANA)))


@pytest.mark.parametrize(
    ("options", "reason"), [({"accept": "none"}, "--accept none"), ({"contacts_only": True}, "--contacts-only")]
)
async def test_a_policy_does_not_undo_what_the_options_refuse(
    journal: Journal, options: dict[str, Any], reason: str
) -> None:
    question = asked(journal, WalletPolicy(ask="never"), known=False, **options)
    with pytest.raises(Refused, match=reason):
        await question.approve()
    assert used(journal) == 0


async def test_a_policy_refuses_what_the_options_would_accept(journal: Journal) -> None:
    question = asked(journal, WalletPolicy(readings=frozenset({"hex"})), accept="auto")
    with pytest.raises(Refused, match="read as 'text'"):
        await question.approve()
    assert (used(journal), question.approved_by) == (0, None)


async def test_a_policy_accepts_without_the_user_that_the_options_would_ask(journal: Journal) -> None:
    question = asked(journal, WalletPolicy(ask="never"), accept="ask")
    await question.approve()
    assert (used(journal), question.approved_by) == (1, "policy")


@pytest.mark.parametrize(("ask", "known"), [("always", True), ("unverified", False)])
async def test_a_policy_has_the_user_asked_where_the_options_would_not(
    journal: Journal, ask: Any, *, known: bool
) -> None:
    human = Human()
    question = asked(journal, WalletPolicy(ask=ask), human=human, known=known, accept="auto")
    await question.approve()
    assert (len(human.asked), question.approved_by, question.by_user) == (1, "user", True)
    no = asked(journal, WalletPolicy(ask=ask), known=known, accept="auto")
    with pytest.raises(Refused, match="said no"):
        await no.approve()
    assert (no.approved_by, no.by_user) == (
        None,
        True,
    )  # written down, whatever strangers do
    assert used(journal) == 1


async def test_without_a_policy_the_options_answer(journal: Journal) -> None:
    question = asked(journal, None, accept="auto")
    await question.approve()
    assert (used(journal), question.approved_by) == (1, "policy")
    with pytest.raises(Refused, match="said no"):
        await asked(journal, None, accept="ask").approve()
    assert used(journal) == 1


async def test_two_proposals_at_once_do_not_both_get_the_last_place(journal: Journal) -> None:
    answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
    policy = WalletPolicy(rate_per_hour=1, ask="always")
    first = asyncio.create_task(asked(journal, policy, human=Human(approves=lambda _: answer)).approve())
    while not used(journal):
        await asyncio.sleep(0)
    with pytest.raises(Refused, match="1 messages an hour"):
        await asked(journal, policy).approve()
    answer.set_result(True)
    await first


async def test_what_is_refused_interrupted_or_not_needed_leaves_the_place_free(journal: Journal) -> None:
    policy = WalletPolicy(rate_per_hour=1, ask="always")

    async def nobody(_: Proposed) -> bool:
        raise NoTerminal("nobody is there")

    with pytest.raises(Refused):
        await asked(journal, policy).approve()
    with pytest.raises(NoTerminal):
        await asked(journal, policy, human=Human(approves=nobody)).approve()
    waiting = asyncio.create_task(
        asked(journal, policy, human=Human(approves=lambda _: asyncio.Event().wait())).approve()
    )
    while not used(journal):
        await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    unneeded = asked(journal, replace(policy, ask="never"))
    await unneeded.approve()
    unneeded.release()
    await asked(journal, replace(policy, ask="never")).approve()


async def test_a_policy_that_cannot_be_read_accepts_nothing(journal: Journal) -> None:
    def unreadable() -> WalletPolicy | None:
        raise KeystoreUnreadable("no such field")

    question = asked(journal, None, accept="auto")
    question.policy_of = unreadable
    with pytest.raises(KeystoreUnreadable):
        await question.approve()
    assert used(journal) == 0


async def test_contacts_are_accepted_where_everybody_is_one_and_only_there(journal: Journal) -> None:
    question = asked(journal, None, accept="contacts")
    await question.approve()
    assert (question.approved_by, question.by_user) == ("policy", False)
    stranger = asked(journal, None, accept="contacts", verified=False)
    with pytest.raises(Refused, match="--accept contacts"):
        await stranger.approve()
    assert (stranger.approved_by, stranger.by_user) == (None, False)


async def test_a_verified_proposer_does_not_make_verified_contacts_of_the_others(journal: Journal) -> None:
    question = asked(journal, WalletPolicy(ask="never"), known=True, verified=False, contacts_only=True)
    with pytest.raises(Refused, match="--contacts-only"):
        await question.approve()


@pytest.mark.parametrize(("known", "verified", "approved_by"), [(True, False, "policy"), (False, True, "user")])
async def test_a_policy_asks_for_the_proposer_s_sake_and_not_for_the_others(
    journal: Journal, approved_by: str, *, known: bool, verified: bool
) -> None:
    question = asked(journal, WalletPolicy(ask="unverified"), human=Human(), known=known, verified=verified)
    await question.approve()
    assert question.approved_by == approved_by


# --- a kind without messages ---


async def test_a_policy_answers_for_a_refresh_too(journal: Journal) -> None:
    with pytest.raises(Refused, match="sessions of kind 'refresh'"):
        await asked(journal, WalletPolicy(kinds=frozenset({"sign"})), proposal=REFRESH, accept="auto").approve()
    question = asked(journal, WalletPolicy(ask="never", rate_per_hour=1, readings=frozenset()), proposal=REFRESH)
    await question.approve()
    assert question.approved_by == "policy"
    assert used(journal) == 0  # nothing is signed, so no message of an hour is used up


async def test_a_key_generation_has_no_policy_and_uses_nothing_up(journal: Journal) -> None:
    question = asked(journal, None, proposal=KEYGEN, accept="auto")
    await question.approve()
    question.release()
    assert used(journal) == 0
    with pytest.raises(Refused, match="said no"):
        await asked(journal, None, proposal=KEYGEN, accept="ask").approve()


# --- what a yes takes ---


@pytest.mark.parametrize("policy", [None, WalletPolicy(ask="never"), WalletPolicy(ask="always")])
async def test_a_yes_that_comes_too_late_for_what_it_would_make_is_none(
    journal: Journal, policy: WalletPolicy | None
) -> None:
    def taken() -> None:
        raise Refused("another session at this node makes it already")

    question = asked(journal, policy, human=Human(), accept="auto", on_yes=taken)
    with pytest.raises(Refused, match="another session"):
        await question.approve()
    assert (used(journal), question.approved_by) == (0, None)


async def test_nothing_is_taken_before_somebody_said_yes(journal: Journal) -> None:
    taken: list[str] = []

    async def look(_: Proposed) -> bool:
        assert not taken
        return True

    await asked(journal, None, human=Human(approves=look), on_yes=lambda: taken.append("it")).approve()
    assert taken == ["it"]
    with pytest.raises(Refused):
        await asked(journal, None, on_yes=lambda: taken.append("again")).approve()
    assert taken == ["it"]


# --- safety words ---


async def test_safety_words_are_compared_by_a_person(journal: Journal) -> None:
    human = Human()
    assert await asked(journal, None, human=human, proposal=KEYGEN).confirm_words(WORDS)
    assert human.asked == [WORDS]


async def test_words_that_differ_end_it_and_say_what_that_means(journal: Journal) -> None:
    human = Human(finds_words=False)
    with pytest.raises(WordsDiffer) as caught:
        await asked(journal, None, human=human, proposal=KEYGEN).confirm_words(WORDS)
    assert "somebody may stand between the participants" in (caught.value.hint or "")
    assert blamed(caught.value) == ((), set())


async def test_where_nobody_compares_words_that_is_said_and_nobody_is_asked(journal: Journal) -> None:
    human = Human()
    assert not await asked(journal, None, human=human, proposal=KEYGEN, yes=True).confirm_words(WORDS)
    assert not human.asked


async def test_with_nobody_to_ask_words_are_not_confirmed(journal: Journal) -> None:
    async def nobody(_: SafetyWords) -> bool:
        raise NoTerminal("nobody is there")

    with pytest.raises(MpcError, match="nobody is there"):
        await asked(journal, None, human=Human(finds_words=nobody), proposal=KEYGEN).confirm_words(WORDS)
