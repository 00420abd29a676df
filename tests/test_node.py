from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from mpcnode import status
from mpcnode.commands import CreateWallet, Refresh, Sign
from mpcnode.errors import (
    NoTerminal,
    ParticipantRefused,
    ParticipantSilent,
    Refused,
    UsageError,
    WordsDiffer,
)
from mpcnode.identity.contacts import Contacts
from mpcnode.keystore.store import Home
from mpcnode.types import PeerId
from tests.helpers.blamed import blamed
from tests.helpers.nodes import QUICKLY, TREASURY3, WALLET, Nodes, failing, for_ever, making, nodes, soon, why
from tests.helpers.server import running_server
from tests.helpers.table import Human


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Nodes]:
    async with running_server() as server, nodes(tmp_path, server.url) as made:
        yield made


# --- all is well ---


async def test_three_nodes_make_a_wallet_and_pin_each_other(place: Nodes) -> None:
    ana, ben, cleo = await place.all("ana", "ben", "cleo")
    view = await soon(making(ana, TREASURY3))
    ends = [await running.end_of_session() for running in (ana, ben, cleo)]
    for ended in ends:
        assert ended.wallet is not None
        assert ended.wallet.state == "active"
        assert ended.wallet.group_public_keys == view.group_public_keys
        assert ended.words == ends[0].words
        assert ended.error is None
        assert {"connecting", "committing", "sharing", "storing"} <= set(ended.seconds)
    assert ana.states == ben.states == cleo.states == ["active"]
    assert [(contact.peer_id, contact.verified) for contact in ben.contacts] == [("ana", True), ("cleo", True)]
    assert not [warning for running in (ana, ben, cleo) for warning in running.warnings]
    assert [event.words for event in cleo.of(status.SafetyWords)] == [ends[0].words]
    shown = {peer.peer_id: peer.trust for peer in ana.node.peers()}
    assert shown == {"ana": "self", "ben": "verified", "cleo": "verified"}
    assert ana.node.wallets() == (view,)


async def test_words_are_not_asked_again_among_those_that_compared_them(place: Nodes) -> None:
    ana, ben = await place.all("ana", "ben")
    await soon(making(ana))
    await ben.end_of_session()
    asked = [running.human.was_asked(status.SafetyWords) for running in (ana, ben)]
    view = await soon(making(ben, msgspec.structs.replace(WALLET, name="second")))
    await ana.end_of_session(2)
    assert asked == [running.human.was_asked(status.SafetyWords) for running in (ana, ben)] == [1, 1]
    assert view.verified == "contacts"


async def test_yes_pins_without_calling_anybody_verified_and_the_wallet_says_so(place: Nodes) -> None:
    ana, ben = await place.all("ana", "ben", yes=True)
    view = await soon(making(ana))
    await ben.end_of_session()
    assert view.verified == "nobody"
    assert [contact.verified for contact in (*ana.contacts, *ben.contacts)] == [False, False]
    assert ana.human.asked == ben.human.asked == []


async def test_a_node_remembers_its_name(place: Nodes) -> None:
    ana = await place.start("ana")
    await ana.stop()
    again = place.configured("ana", peer_id=None)
    await again.start()
    assert again.node.peer_id == "ana"


async def test_create_wallet_waits_for_peers_and_says_for_how_many(place: Nodes) -> None:
    ana = await place.start("ana")
    task = making(ana, TREASURY3)
    assert (await ana.saw(status.Waiting)).missing == 2
    await place.start("ben")
    await ana.saw(status.Waiting, lambda waiting: waiting.present == ("ben",) and waiting.missing == 1)
    await place.start("cleo")
    assert (await soon(task)).participants == ("ana", "ben", "cleo")


async def test_create_wallet_does_not_wait_for_ever(place: Nodes) -> None:
    ana, _ = await place.all("ana", "ben")
    error = await failing(ana, msgspec.structs.replace(TREASURY3, with_peers=(PeerId("ben"), PeerId("cleo")), wait=100))
    assert isinstance(error, ParticipantSilent)
    assert blamed(error) == ((), {"cleo"})
    assert "cleo" in error.message
    error = await failing(ana, msgspec.structs.replace(TREASURY3, wait=100))
    assert isinstance(error, ParticipantSilent)
    assert blamed(error) == ((), set())
    assert "1 more" in error.message


async def test_those_named_are_taken_and_nobody_is_asked(place: Nodes) -> None:
    ana, _, cleo = await place.all("ana", "ben", "cleo")
    view = await soon(making(ana, msgspec.structs.replace(WALLET, with_peers=(PeerId("cleo"),))))
    assert view.participants == ("ana", "cleo")
    assert not [question for question in ana.human.asked if isinstance(question, tuple)]
    assert cleo.of(status.Proposed)


async def test_of_more_peers_than_needed_the_user_chooses(place: Nodes) -> None:
    ana, _, _ = await place.all("ana", "ben", "cleo")
    ana.human.chooses = lambda peers, count: tuple(peer.peer_id for peer in peers[-count:])
    view = await soon(making(ana))
    assert view.participants == ("ana", "cleo")
    assert [[peer.peer_id for peer in asked] for asked in ana.human.asked if isinstance(asked, tuple)] == [
        ["ben", "cleo"]
    ]


@pytest.mark.parametrize("chosen", [(), ("ben", "cleo"), ("ben", "ben"), ("dora",), ("ana",)])
async def test_a_choice_of_the_wrong_peers_makes_no_wallet(place: Nodes, chosen: tuple[str, ...]) -> None:
    ana, ben, _ = await place.all("ana", "ben", "cleo")
    ana.human.chooses = lambda _peers, _count: chosen
    assert isinstance(await failing(ana), UsageError)
    assert not ben.of(status.Proposed)


# --- somebody says no ---


async def test_a_no_is_told_to_all_and_has_its_own_exit_codes(place: Nodes) -> None:
    ana, ben, cleo = await place.all("ana", "ben", "cleo", accept="ask")
    ben.human.approves = False
    error = await failing(ana, TREASURY3)
    assert isinstance(error, ParticipantRefused)
    assert (*blamed(error), error.exit_code) == ((), {"ben"}, 6)
    assert why(await ben.end_of_session()) == ("refused", 8)
    assert why(await cleo.end_of_session()) == ("participant_refused", 6)
    assert ben.human.was_asked(status.Proposed) == 1
    assert ana.states == ben.states == cleo.states == []
    assert not place.network.links


POLICIES: list[tuple[dict[str, Any], bool, bool]] = [
    ({"accept": "auto"}, False, True),
    ({"accept": "ask"}, False, True),
    ({"accept": "none"}, False, False),
    ({"accept": "none"}, True, False),
    ({"accept": "contacts"}, False, False),
    ({"accept": "contacts"}, True, True),
    ({"accept": "auto", "contacts_only": True}, False, False),
    ({"accept": "ask", "contacts_only": True}, False, False),
    ({"accept": "auto", "contacts_only": True}, True, True),
]


def pin(place: Nodes, name: str, *others: str, verified: bool = True) -> None:
    """Have one know the others before it starts."""
    contacts = Contacts()
    for other in others:
        key = Home.open(place.home(other), create=False).identity_public_key()
        contacts = contacts.pin(PeerId(other), key, how="words" if verified else "introduced", now=0)
    Home.open(place.home(name), create=False).save_contacts(contacts)


@pytest.mark.parametrize(("policy", "verified", "takes_part"), POLICIES)
async def test_a_policy_answers_where_it_can(
    place: Nodes, policy: dict[str, Any], *, verified: bool, takes_part: bool
) -> None:
    pin(place, "ben", "ana", verified=verified)
    ana = await place.start("ana")
    ben = await place.start("ben", **policy)
    if takes_part:
        assert (await soon(making(ana))).state == "active"
        assert ben.human.was_asked(status.Proposed) == (policy["accept"] == "ask")
        return
    error = await failing(ana)
    assert isinstance(error, ParticipantRefused)
    assert why(await ben.end_of_session()) == ("refused", 8)
    assert ben.human.asked == []


async def test_contacts_only_holds_for_the_proposer_too(place: Nodes) -> None:
    pin(place, "ana", "ben")
    ana = await place.start("ana", contacts_only=True)
    ben, cleo = await place.all("ben", "cleo")
    error = await failing(ana, msgspec.structs.replace(WALLET, with_peers=(PeerId("cleo"),)))
    assert isinstance(error, Refused)
    assert "cleo" in error.message
    assert not cleo.of(status.Proposed)
    view = await soon(making(ana, msgspec.structs.replace(WALLET, with_peers=(PeerId("ben"),))))
    assert view.verified == "contacts"
    assert ben.states == ["active"]
    assert ana.human.asked == []


async def test_nobody_to_ask_is_a_no(place: Nodes) -> None:
    ana, ben = await place.all("ana", "ben", accept="ask")

    async def nobody(_: object) -> bool:
        raise NoTerminal("there is nobody to ask", hint="use --accept")

    ben.human.approves = nobody
    assert isinstance(await failing(ana), ParticipantRefused)
    assert why(await ben.end_of_session()) == ("no_terminal", 2)


async def test_words_that_differ_at_one_are_exit_code_4_at_every_node(place: Nodes) -> None:
    ana, ben, cleo = await place.all("ana", "ben", "cleo")
    ben.human.finds_words = False
    error = await failing(ana, TREASURY3)
    assert isinstance(error, WordsDiffer)
    assert (*blamed(error), error.exit_code) == ((), set(), 4)
    for running in (ana, ben, cleo):
        ended = (await running.end_of_session()).error
        assert ended is not None
        assert (ended.code, ended.exit_code, *blamed(ended)) == ("words_differ", 4, (), set())
    assert ana.states == ben.states == cleo.states == []
    assert not [*ana.contacts, *ben.contacts, *cleo.contacts]


async def test_silence_names_the_silent(place: Nodes) -> None:
    quick: dict[str, Any] = {"timeouts": replace(QUICKLY, negotiate=1.6)}
    ana = await place.start("ana", **quick)
    ben, cleo = await place.all("ben", "cleo", accept="ask", **quick)
    ben.human.approves = for_ever
    await ana.knows("ben", "cleo")
    error = await failing(ana, TREASURY3)
    assert isinstance(error, ParticipantSilent)
    assert blamed(error) == ((), {"ben"})
    assert why(await cleo.end_of_session()) == ("participant_aborted", 6)  # by ana's word
    assert (await ben.end_of_session()).error is not None


async def test_a_request_can_say_that_nobody_compares_the_words_and_how_long_answers_are_waited_for(
    place: Nodes,
) -> None:
    ana, ben = await place.all("ana", "ben")
    view = await soon(making(ana, msgspec.structs.replace(WALLET, yes=True)))
    assert ana.human.was_asked(status.SafetyWords) == 0
    assert (ben.human.was_asked(status.SafetyWords), view.verified) == (1, "nobody")
    await ben.stop()
    ben = await place.start("ben", Human(approves=for_ever), accept="ask")
    await ana.knows("ben")
    error = await failing(ana, msgspec.structs.replace(WALLET, name="second", answer_within=500))
    assert (type(error), *blamed(error)) == (ParticipantSilent, (), {"ben"})
    assert why(await ben.end_of_session()) in {("unanswered", 8), ("participant_aborted", 6)}  # either may come first


@pytest.mark.parametrize("milliseconds", [0, -1, 86_400_001])
def test_answers_are_waited_for_some_time_and_at_most_a_day(milliseconds: int) -> None:
    for make in (
        lambda: CreateWallet(threshold=2, total=2, answer_within=milliseconds),
        lambda: Sign(wallet="treasury", contents=(b"",), answer_within=milliseconds),
        lambda: Refresh(wallet="treasury", answer_within=milliseconds),
    ):
        with pytest.raises(UsageError, match="at most 86400 seconds"):
            make()
