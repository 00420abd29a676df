"""Whether this node signs what another proposes: its options, the wallet's policy, its user, in this order."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mpcnode.errors import KeystoreUnreadable, NoTerminal, Refused
from mpcnode.session.consent import Asked, Policy
from mpcnode.session.cosigning import AskedToSign
from mpcnode.session.journal import Journal
from mpcnode.session.policy import WalletPolicy
from mpcnode.status import PeerView, Proposed, SignView
from mpcnode.types import PeerId
from mpcnode.wallet.wallet import Wallet
from tests.helpers.nodes import Human
from tests.helpers.wallets import make_wallet

NOW = 1_800_000_000
ANA, BEN = PeerId("ana"), PeerId("ben")
WALLET = make_wallet().wallet


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal(tmp_path, now=lambda: NOW, warn=lambda _: None) as made:
        yield made


def asked(
    journal: Journal, policy: WalletPolicy | None, *, human: Human | None = None, known: bool = True, **options: Any
) -> AskedToSign:
    """What ben asks ana."""
    request = SignView(WALLET.wallet_id, 0, "text", ("00",), ("00" * 32,))
    proposal = Proposed(
        session_id="5e" * 16,
        kind="sign",
        proposer=BEN,
        wallet=WALLET.name,
        threshold=2,
        total=2,
        participants=(PeerView(ANA, "self"), PeerView(BEN, "verified")),
        suites=("FROST-ED25519-SHA512-v1",),
        expires=NOW + 60,
        sign=request,
    )

    def policy_of(wallet: Wallet) -> WalletPolicy | None:
        assert wallet is WALLET
        return policy

    return AskedToSign(
        asked=Asked(Policy(**options), human or Human(approves=False), proposal, known),
        wallet=WALLET,
        request=request,
        policy_of=policy_of,
        journal=journal,
        me=ANA,
        known=known,
    )


def used(journal: Journal) -> int:
    return len(list(journal.recent(WALLET.wallet_id, me=ANA)))


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
    assert (used(journal), question.asked.approved_by) == (0, None)


async def test_a_policy_accepts_without_the_user_whom_the_options_would_ask(journal: Journal) -> None:
    question = asked(journal, WalletPolicy(ask="never"), accept="ask")
    await question.approve()
    assert (used(journal), question.asked.approved_by) == (1, "policy")


@pytest.mark.parametrize(("ask", "known"), [("always", True), ("unverified", False)])
async def test_a_policy_has_the_user_asked_where_the_options_would_not(
    journal: Journal, ask: Any, *, known: bool
) -> None:
    human = Human()
    question = asked(journal, WalletPolicy(ask=ask), human=human, known=known, accept="auto")
    await question.approve()
    assert (len(human.asked), question.asked.approved_by) == (1, "user")
    no = asked(journal, WalletPolicy(ask=ask), known=known, accept="auto")
    with pytest.raises(Refused, match="said no"):
        await no.approve()
    assert used(journal) == 1


async def test_without_a_policy_the_options_answer(journal: Journal) -> None:
    question = asked(journal, None, accept="auto")
    await question.approve()
    assert (used(journal), question.asked.approved_by) == (1, "policy")
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


async def test_who_is_refused_interrupted_or_not_needed_leaves_the_place_free(journal: Journal) -> None:
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
    def unreadable(_: Wallet) -> WalletPolicy | None:
        raise KeystoreUnreadable("no such field")

    question = asked(journal, None, accept="auto")
    question.policy_of = unreadable
    with pytest.raises(KeystoreUnreadable):
        await question.approve()
    assert used(journal) == 0
