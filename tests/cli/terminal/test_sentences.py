"""Events as plain lines."""

import re
import time

import msgspec
import pytest

from mpcnode import status
from mpcnode.cli.terminal.sentences import Narrator
from tests.helpers.statuses import SESSION, ended, peers, proposed, wallet

EVIL = "\x1b]0;owned\x07"

EVENTS: list[status.Event] = [
    status.Registered(EVIL, EVIL, EVIL, EVIL),
    status.Peers(peers(EVIL)),
    status.Disconnected(EVIL, 2.0),
    status.Waiting((EVIL,), 1),
    proposed(EVIL, EVIL, wallet=EVIL),
    status.Answered(SESSION, EVIL, accepted=True),
    status.Answered(SESSION, EVIL, accepted=False, reason=EVIL),
    status.Progress(SESSION, "sharing", (EVIL,)),
    status.Link(SESSION, EVIL, EVIL, "broken"),
    status.SafetyWords(SESSION, (EVIL,)),
    status.WalletChanged(wallet(EVIL)),
    status.WalletChanged(msgspec.structs.replace(wallet(EVIL), pending=1, missing=(EVIL,))),
    ended(status.ErrorView("internal", EVIL, 1, EVIL)),
    status.Warned(EVIL),
    status.CodeUsed("1-a-b", contact=EVIL),
    status.CodeUsed("1-a-b", error=status.ErrorView("code_over", EVIL, 5, EVIL)),
    status.Guests((status.GuestView(EVIL, EVIL, "introduced", contact=EVIL),), 1),
    status.Joined(peers(EVIL)[0], "code", 1),
]
SECRET = {status.PairingCode, status.Inviting}
"""What only the screen of the command that made it shows, in a form of its own."""


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_whatever_a_peer_wrote_is_escaped_in_every_sentence(event: status.Event) -> None:
    lines = Narrator().lines(event)
    assert lines
    assert all(line.isprintable() for line in lines)


def test_a_wallet_says_what_became_of_it() -> None:
    active, pending = wallet(), wallet(state="pending")
    later = msgspec.structs.replace(active, pending=1, missing=("cli2", "cli3"))
    said = [
        (active, "wallet treasury is active"),
        (msgspec.structs.replace(active, epoch=1), "wallet treasury is active, epoch 1"),
        (msgspec.structs.replace(pending, pending=0, missing=("cli2", "cli3")), "wallet treasury is pending"),
        (later, "wallet treasury: epoch 1 is pending: no word yet from cli2, cli3"),
    ]
    for one, line in said:
        assert Narrator().lines(status.WalletChanged(one)) == [line]


def test_every_kind_of_event_has_a_sentence() -> None:
    said = {type(event) for event in EVENTS}
    assert said | SECRET == set(status.Event.__args__)
    for event in (status.PairingCode("1-a-b", 1), status.Inviting("mpcnode:join?", 1, 1)):
        assert Narrator().lines(event) == []


def test_a_phase_is_announced_once() -> None:
    narrator = Narrator()
    assert narrator.lines(status.Progress(SESSION, "sharing", ("a", "b"))) == ["sharing: waiting for a, b"]
    assert narrator.lines(status.Progress(SESSION, "sharing", ("b",))) == []
    assert narrator.lines(status.Progress(SESSION, "storing")) == ["storing"]


def test_a_wait_says_for_whom_and_until_when(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mpcnode.cli.terminal.describe.time.localtime", time.gmtime)
    narrator, until = Narrator(), 1_800_000_840_000
    assert narrator.lines(status.Progress(SESSION, "sharing", ("b",), until=until)) == [
        "sharing: waiting for b until 08:14"
    ]
    waiting = status.Waiting(("a",), 1, names=("cli9",), until=until)
    assert narrator.lines(waiting) == ["waiting for cli9 until 08:14; here: a"]
    assert narrator.lines(waiting) == []
    assert narrator.lines(status.Waiting((), 1)) == ["waiting for 1 more peer; here: nobody"]


def test_somebody_who_is_asked_and_is_not_here_is_named() -> None:
    narrator = Narrator()
    narrator.lines(status.Peers(peers("cli1", "cli2")))
    assert narrator.lines(status.Progress(SESSION, "negotiating", ("cli2", "cli3")))[1:] == ["not in the room: cli3"]


def test_a_proposal_has_the_time_of_day_and_a_signature_its_wallet_count_and_suite() -> None:
    sign = status.SignView("ab" * 16, 0, "text", ("68", "69"), ("00" * 32,) * 2, ("ef" * 32,) * 2)
    proposal = msgspec.structs.replace(proposed("cli1", "cli2"), kind="sign", sign=sign)
    (line,) = Narrator(now=lambda: 1_800_000_840.0).lines(proposal)
    assert re.fullmatch(
        r"\d\d:14 cli1 proposes to sign 2 texts with the wallet treasury, FROST-ED25519-SHA512-v1, "
        r"among cli1 \(this node\), cli2 \(unverified\)",
        line,
    )


def test_a_reason_of_others_stands_between_quotation_marks() -> None:
    refused = status.Answered(SESSION, "cli2", accepted=False, reason='no"; hint: "go on')
    assert Narrator().lines(refused) == ['cli2 refused: "no\\"; hint: \\"go on"']


def test_where_people_answer_every_change_is_said() -> None:
    narrator = Narrator()
    assert narrator.lines(status.Progress(SESSION, "confirming", ("a", "b")))
    assert narrator.lines(status.Progress(SESSION, "confirming", ("b",))) == ["confirming: waiting for b"]


def test_a_link_that_opens_as_it_should_is_not_news() -> None:
    assert Narrator().lines(status.Link(SESSION, "a", "b", "open")) == []


def test_who_declined_is_told_no_failure_and_a_commands_own_error_has_its_hint_once() -> None:
    error = status.ErrorView("refused", "its user said no", 8, "us", hint="a hint")
    asked = msgspec.structs.replace(proposed("cli1", "cli2"), proposer="cli2")
    for proposal, said in [
        (asked, ["this node does not take part: its user said no", "hint: a hint"]),
        (proposed("cli1", "cli2"), ["the session failed: its user said no"]),
    ]:
        narrator = Narrator()
        narrator.lines(proposal)
        assert narrator.lines(ended(error)) == said
