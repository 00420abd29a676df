"""People who are strangers make a wallet by an invitation: whole nodes, a real server, links in memory."""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from mpcnode import status
from mpcnode.commands import CreateWallet, Invite, Pair
from mpcnode.errors import (
    CodeOver,
    ContactChanged,
    InvitationOver,
    MpcError,
    NameTaken,
    ParticipantRefused,
    ParticipantSilent,
    Refused,
    UsageError,
    WrongCode,
)
from mpcnode.identity.contacts import Contacts
from mpcnode.keystore.keyring import Keyring
from mpcnode.keystore.store import Home
from mpcnode.peers.introductions import joining
from mpcnode.peers.introductions.alone import introductions_of
from mpcnode.peers.introductions.inviting import Inviting
from mpcnode.types import PeerId
from mpcnode.wire.invitation import Invitation, decode
from tests.helpers.identities import NOW, key_of
from tests.helpers.nodes import PASSPHRASE, Nodes, Running, Stranger, for_ever, making, nodes, soon
from tests.helpers.server import RunningServer, running_server
from tests.helpers.table import Human


class Party:
    """An inviter with its invitation, and those who come."""

    def __init__(self, place: Nodes) -> None:
        self.place = place
        self.tasks: list[asyncio.Task[Any]] = []
        self.host: Running
        self.inviting: Inviting
        self.making: asyncio.Task[status.WalletView]

    async def invite(self, total: int = 3, **given: Any) -> Invitation:
        """Have ana invite; gives what the link says."""
        wait = given.pop("wait", 20_000)
        command = Invite(
            wallet=CreateWallet(threshold=2, total=total, name="treasury", wait=wait), codes=given.pop("codes", False)
        )
        self.host = await self.place.start("ana", accept="none", room=secrets.token_hex(16), **given)
        self.inviting = self.host.node.invite(command)
        self.making = asyncio.create_task(self.host.node.make_with_invited(command, self.inviting), name="invite")
        self.tasks.append(self.making)
        return decode((await self.host.saw(status.Inviting)).link)

    async def comes(
        self, name: str, by: Invitation, human: Human | None = None, *, how: status.How = "invitation", **given: Any
    ) -> Running:
        """Have somebody start, in the room of the invitation."""
        running = self.place.configured(name, human, room=by.room_name, invited_by=by.key, **given)
        await running.start()
        task = asyncio.create_task(running.node.join(by, how=how), name=f"join {name}")
        self.tasks.append(task)
        running.joining = task  # type: ignore[attr-defined]
        return running

    async def sees(self, *names: str) -> status.Guests:
        """Wait until the inviter is shown that these have joined, and nobody else."""
        return await self.host.saw(
            status.Guests, lambda shown: {one.peer_id for one in shown.guests if one.present} == set(names)
        )


def join_of(running: Running) -> asyncio.Task[status.WalletView]:
    task: asyncio.Task[status.WalletView] = running.joining  # type: ignore[attr-defined]
    return task


async def end_of(work: asyncio.Task[Any]) -> MpcError:
    with pytest.raises(MpcError) as caught:
        await soon(work)
    return caught.value


@pytest.fixture
async def server() -> AsyncIterator[RunningServer]:
    async with running_server() as running:
        yield running


@pytest.fixture
async def party(tmp_path: Path, server: RunningServer) -> AsyncIterator[Party]:
    async with nodes(tmp_path, server.url) as place:
        made = Party(place)
        try:
            yield made
        finally:
            for task in made.tasks:
                task.cancel()
            await asyncio.gather(*made.tasks, return_exceptions=True)


# --- all is well ---


async def test_three_strangers_make_a_wallet_by_a_link(party: Party) -> None:
    link = await party.invite()
    ben, cleo = await party.comes("ben", link), await party.comes("cleo", link)
    made = await soon(party.making)
    assert [(await soon(join_of(one))).group_public_keys for one in (ben, cleo)] == [made.group_public_keys] * 2
    assert made.state == "active"
    assert made.participants == ("ana", "ben", "cleo")
    assert made.verified == "words"
    # Everybody compared the words: for the next time each is verified for each.
    assert [(one.peer_id, one.how) for one in party.host.contacts] == [("ben", "words"), ("cleo", "words")]
    assert [(one.peer_id, one.how) for one in cleo.contacts] == [("ana", "words"), ("ben", "words")]
    assert [guest.how for guest in (await party.sees("ben", "cleo")).guests] == ["introduced", "introduced"]
    assert ben.of(status.Joined)[0].inviter.peer_id == "ana"
    assert ben.of(status.Joined)[0].how == "invitation"


async def test_where_nobody_compares_the_joiner_knows_the_inviter_and_nobody_is_called_verified(party: Party) -> None:
    link = await party.invite(yes=True)
    ben, cleo = await party.comes("ben", link, yes=True), await party.comes("cleo", link, yes=True)
    made = await soon(party.making)
    await soon(asyncio.gather(join_of(ben), join_of(cleo)))
    assert made.verified == "nobody"
    assert [(one.peer_id, one.how) for one in party.host.contacts] == [("ben", "introduced"), ("cleo", "introduced")]
    assert [(one.peer_id, one.how) for one in ben.contacts] == [("ana", "invitation"), ("cleo", "introduced")]
    assert not any(one.verified for running in (party.host, ben, cleo) for one in running.contacts)


async def test_the_inviter_is_found_by_its_key_under_whatever_name(party: Party) -> None:
    link = await party.invite(total=2)
    async with Stranger.registered("nobody", party.place.url):
        ben = await party.comes("ben", link)
        assert (await soon(join_of(ben))).participants == ("ana", "ben")
        await soon(party.making)


async def with_code(place: Nodes, name: str, code: str) -> Invitation:
    """Use a code, as somebody under whose home no node runs."""
    opened = introductions_of(
        place.home(name),
        Keyring(bytearray(PASSPHRASE)),
        server=place.url,
        ca_file=None,
        name=PeerId(name),
        interactive_kdf=True,
    )
    async with opened as (introductions, _):
        _, invitation = await introductions.take(code)
    return invitation


async def test_codes_verify_the_inviter_and_each_joiner_and_give_the_same_invitation(party: Party) -> None:
    link = await party.invite(codes=True)
    codes = [(await party.host.saw(status.PairingCode, count=count)).code for count in (1, 2)]
    for name, code in zip(("ben", "cleo"), codes, strict=True):
        assert await with_code(party.place, name, code) == link
    ben, cleo = await party.comes("ben", link, how="code"), await party.comes("cleo", link, how="code")
    made = await soon(party.making)
    by_ben, _ = await soon(asyncio.gather(join_of(ben), join_of(cleo)))
    assert [guest.how for guest in (await party.sees("ben", "cleo")).guests] == ["code", "code"]
    # The inviter verified everybody; a joiner verified the inviter alone, and compares the words.
    assert (made.verified, by_ben.verified) == ("code", "words")
    assert party.host.human.was_asked(status.SafetyWords) == 0
    assert ben.human.was_asked(status.SafetyWords) == 1
    assert [(one.peer_id, one.how) for one in ben.contacts] == [("ana", "code"), ("cleo", "words")]
    assert [(one.peer_id, one.how) for one in party.host.contacts] == [("ben", "code"), ("cleo", "code")]


async def test_a_joiner_that_verified_every_other_participant_by_code_compares_nothing(party: Party) -> None:
    link = await party.invite(total=2, codes=True)
    await with_code(party.place, "ben", (await party.host.saw(status.PairingCode)).code)
    ben = await party.comes("ben", link, how="code")
    await soon(party.making)
    assert (await soon(join_of(ben))).verified == "code"
    assert ben.human.was_asked(status.SafetyWords) == party.host.human.was_asked(status.SafetyWords) == 0


async def test_a_wrong_word_uses_the_code_up_and_the_inviter_can_make_another(party: Party) -> None:
    link = await party.invite(total=2, codes=True)
    made = (await party.host.saw(status.PairingCode)).code
    with pytest.raises(WrongCode):
        await with_code(party.place, "ben", f"{made.partition('-')[0]}-swirl-motor")
    used = await party.host.saw(status.CodeUsed)
    assert (used.code, used.contact) == (made, None)
    assert used.error is not None
    assert "it may have been a typing error or an attack" in used.error.message
    party.inviting.make_code(2)
    again = (await party.host.saw(status.PairingCode, count=2)).code
    assert await with_code(party.place, "ben", again) == link
    ben = await party.comes("ben", link, how="code")
    await soon(party.making)
    await soon(join_of(ben))


async def test_two_who_use_codes_under_one_name_are_told_before_the_second_is_kept(party: Party) -> None:
    await party.invite(codes=True)
    codes = [(await party.host.saw(status.PairingCode, count=count)).code for count in (1, 2)]
    await with_code(party.place, "ben", codes[0])
    party.place.home("other")
    opened = introductions_of(
        party.place.home("other"),
        Keyring(bytearray(PASSPHRASE)),
        server=party.place.url,
        ca_file=None,
        name=PeerId("ben"),
        interactive_kdf=True,
    )
    async with opened as (introductions, _):
        with pytest.raises(ParticipantRefused, match="join again with --peer-id"):
            await introductions.take(codes[1])
    assert len(list(party.host.contacts)) == 1


async def test_a_code_that_was_made_for_a_contact_alone_makes_one_and_says_so(party: Party) -> None:
    await party.invite(total=2)
    codes: list[Any] = []
    pairing = asyncio.create_task(party.host.node.pair(Pair(), emit=codes.append))
    party.tasks.append(pairing)
    async with asyncio.timeout(10):
        while not codes:
            await asyncio.sleep(0.01)
    with pytest.raises(UsageError, match="for a contact, and not for a wallet") as caught:
        await with_code(party.place, "ben", codes[0].code)
    assert "verified contact" in str(caught.value.saved)
    await soon(pairing)


async def test_an_inviter_that_is_stopped_leaves_no_slot_open(party: Party) -> None:
    await party.invite(codes=True)
    codes = [(await party.host.saw(status.PairingCode, count=count)).code for count in (1, 2)]
    party.making.cancel()
    await asyncio.gather(party.making, return_exceptions=True)
    for code in codes:
        with pytest.raises(CodeOver):
            await with_code(party.place, "ben", code)


# --- what is joined is the session that it was made for ---


async def test_one_that_came_by_an_invitation_takes_part_in_nothing_else(party: Party) -> None:
    link = await party.invite(total=3)
    ben = await party.comes("ben", link)
    await party.sees("ben")
    mallory = await party.place.start("mallory", room=link.room_name)
    error = await end_of(making(mallory, CreateWallet(threshold=2, total=2, name="other", with_peers=(PeerId("ben"),))))
    assert isinstance(error, ParticipantRefused)
    assert "nothing but that" in error.message
    assert ben.human.asked == []
    await mallory.stop()
    cleo = await party.comes("cleo", link)
    await soon(party.making)
    await soon(asyncio.gather(join_of(ben), join_of(cleo)))


async def test_a_user_who_says_no_to_the_proposal_ends_with_that(party: Party) -> None:
    link = await party.invite(total=2)
    ben = await party.comes("ben", link, Human(approves=False), accept="ask")
    assert isinstance(await end_of(join_of(ben)), Refused)
    assert isinstance(await end_of(party.making), ParticipantRefused)
    assert (party.host.states, ben.states, list(ben.contacts)) == ([], [], [])


# --- who has no place ---


async def test_a_link_serves_no_more_than_are_missing(party: Party) -> None:
    link = await party.invite(total=2)
    ben = await party.comes("ben", link, Human(finds_words=for_ever))
    await party.host.in_phase("confirming")
    dora = await party.comes("dora", link)
    error = await end_of(join_of(dora))
    assert isinstance(error, InvitationOver)
    assert "all who were missing have joined" in error.message
    assert "a stranger has its link" in str(error.hint)
    assert "dora presented the invitation when all had joined" in party.host.warnings[-1]
    assert not join_of(ben).done()


async def test_a_place_is_held_for_one_who_used_a_code(party: Party) -> None:
    link = await party.invite(total=2)
    party.inviting.guests.expect(PeerId("cleo"), key_of("cleo"))
    ben = await party.comes("ben", link)
    error = await end_of(join_of(ben))
    assert isinstance(error, InvitationOver)
    assert "as many have joined as were missing" in error.message
    assert "after all places were taken" in party.host.warnings[-1]


async def test_a_stranger_who_came_first_is_seen_and_refused_and_the_place_is_free_again(party: Party) -> None:
    link = await party.invite(total=3)
    mallory = await party.comes("mallory", link)
    shown = await party.sees("mallory")
    assert (shown.guests[0].how, shown.missing) == ("introduced", 1)
    assert party.inviting.refuse(PeerId("mallory"))
    error = await end_of(join_of(mallory))
    assert isinstance(error, ParticipantRefused)
    assert "the user of ana refused this node" in error.message
    ben, cleo = await party.comes("ben", link), await party.comes("cleo", link)
    assert (await soon(party.making)).participants == ("ana", "ben", "cleo")
    await soon(asyncio.gather(join_of(ben), join_of(cleo)))
    assert mallory.states == []


async def test_one_home_that_joins_twice_has_one_place(party: Party) -> None:
    link = await party.invite(total=3)
    await party.comes("ben", link)
    await party.sees("ben")
    party.place.home("ben2").joinpath("identity.json").write_bytes(
        party.place.home("ben").joinpath("identity.json").read_bytes()
    )
    again = await party.comes("ben2", link)
    error = await end_of(join_of(again))
    assert isinstance(error, InvitationOver)
    assert "joined already, under another name" in error.message


async def test_two_joiners_of_one_name_are_told_by_the_server(party: Party) -> None:
    link = await party.invite(total=3)
    await party.comes("ben", link)
    with pytest.raises(NameTaken, match="ben is already registered") as caught:
        await party.comes("ben", link, home="other")
    assert "--peer-id" in str(caught.value.hint)


async def test_a_joiner_whose_name_is_pinned_to_another_key_is_said_on_both_screens(
    party: Party, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(joining, "FIND_SECONDS", 1.5)
    home = Home.open(party.place.home("ana"), create=False)
    home.save_contacts(Contacts().pin(PeerId("ben"), key_of("another ben"), how="code", now=NOW))
    link = await party.invite(total=2)
    ben = await party.comes("ben", link)
    error = await end_of(join_of(ben))
    assert isinstance(error, InvitationOver)
    assert "whose screen says why" in str(error.hint)
    assert "ben came with another identity key" in " ".join(party.host.warnings)
    await ben.stop()
    again = await party.comes("benjamin", link, home="ben")
    await soon(party.making)
    assert (await soon(join_of(again))).participants == ("ana", "benjamin")


async def test_an_inviter_whose_name_is_pinned_to_another_key_ends_the_joining(
    party: Party, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(joining, "FIND_SECONDS", 1.5)
    home = Home.open(party.place.home("ben"), create=False)
    home.save_contacts(Contacts().pin(PeerId("ana"), key_of("another ana"), how="code", now=NOW))
    ben = await party.comes("ben", await party.invite(total=2))
    assert isinstance(await end_of(join_of(ben)), ContactChanged)


async def test_a_wrong_secret_has_no_place(party: Party) -> None:
    link = await party.invite(total=2)
    wrong = Invitation(server=link.server, room=link.room, key=link.key, secret=b"x" * 16, expires=link.expires)
    ben = await party.comes("ben", wrong)
    assert isinstance(await end_of(join_of(ben)), InvitationOver)
    assert "without its secret" in party.host.warnings[-1]


# --- somebody is gone ---


async def test_an_inviter_that_is_stopped_tells_those_who_joined(party: Party) -> None:
    ben = await party.comes("ben", await party.invite(total=3))
    await party.sees("ben")
    party.making.cancel()
    error = await end_of(join_of(ben))
    assert isinstance(error, InvitationOver)
    assert "the inviter stopped" in error.message
    assert (ben.states, list(ben.contacts)) == ([], [])


async def test_an_inviter_that_is_gone_without_a_word_is_waited_for_a_while(
    party: Party, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(joining, "AWAY_SECONDS", 0.3)
    ben = await party.comes("ben", await party.invite(total=3))
    await party.sees("ben")
    with contextlib.suppress(Exception):
        await party.host.node._client.close()  # type: ignore[union-attr]
    error = await end_of(join_of(ben))
    assert isinstance(error, InvitationOver)
    assert "went away" in error.message


async def test_where_nobody_has_the_key_of_the_link_it_is_said(party: Party, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joining, "FIND_SECONDS", 0.5)
    link = await party.invite(total=2)
    other = Invitation(server=link.server, room=b"o" * 16, key=link.key, secret=link.secret, expires=link.expires)
    ben = await party.comes("ben", other)
    error = await end_of(join_of(ben))
    assert isinstance(error, InvitationOver)
    assert "its maker is gone" in error.message


async def test_a_joiner_that_goes_makes_room_for_another(party: Party) -> None:
    link = await party.invite(total=3)
    ben, cleo = await party.comes("ben", link), None
    await party.sees("ben")
    join_of(ben).cancel()
    await ben.stop()
    await party.sees()
    cleo, dora = await party.comes("cleo", link), await party.comes("dora", link)
    assert (await soon(party.making)).participants == ("ana", "cleo", "dora")
    await soon(asyncio.gather(join_of(cleo), join_of(dora)))


async def test_a_joiner_that_comes_back_has_its_place(party: Party) -> None:
    link = await party.invite(total=3)
    ben = await party.comes("ben", link)
    await party.sees("ben")
    join_of(ben).cancel()
    await ben.stop()
    back, cleo = await party.comes("ben", link), await party.comes("cleo", link)
    assert (await soon(party.making)).participants == ("ana", "ben", "cleo")
    await soon(asyncio.gather(join_of(back), join_of(cleo)))


async def test_an_invitation_ends_with_its_time_for_both(party: Party) -> None:
    link = await party.invite(total=3, wait=1_500)
    ben = await party.comes("ben", link)
    error = await end_of(party.making)
    assert isinstance(error, ParticipantSilent)
    assert "1 more had to join" in error.message
    assert isinstance(await end_of(join_of(ben)), InvitationOver)
