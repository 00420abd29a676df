"""Real processes behind a server that lies: it can keep them from meeting, and nothing else.

``tests/session/test_lying_server.py`` has every lie in one process; here is what the command says of it, over real
WebRTC: its exit code, whom it names, and that not one byte of the protocol was taken before.
"""

import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from mpcnode import status
from mpcnode.wire.relay import Answer, Offer, RelayMessage
from tests.helpers import lying_server as lies
from tests.helpers.lying_server import GoBetween, Lie, LyingServer
from tests.helpers.processes import Child, Processes, processes

pytestmark = [pytest.mark.process, pytest.mark.webrtc]

PROTOCOL: set[str] = {"committing", "revealing", "confirming", "sharing", "storing", "certifying", "leaving"}

Change = Callable[[RelayMessage], RelayMessage | None]
Setting = Callable[[LyingServer], Lie]


@dataclass
class Behind:
    """Nodes behind a server that lies."""

    server: LyingServer
    world: Processes

    async def register(self, *names: str) -> list[Child]:
        started = [self.world.register(name) for name in names]
        for child in started:
            await child.says(status.Registered)
        return started

    async def create(self, total: int = 2, *more: str, by: str = "cli1") -> Child:
        """Have a node make a wallet with whoever is there, and come to its end."""
        command = ("create-wallet", "--threshold", "2", "--total", str(total), "--answer-seconds", "4", *more)
        child = self.world.node(by, *command)
        await child.ends()
        return child


@pytest.fixture
async def behind(tmp_path: Path) -> AsyncIterator[Behind]:
    async with LyingServer.running() as server, processes(tmp_path) as world:
        world.url = server.url
        yield Behind(server, world)


def began(child: Child) -> set[str]:
    """How far the protocol came."""
    return PROTOCOL & {progress.phase for progress in child.of(status.Progress)}


def nothing_came_of_it(behind: Behind, *children: Child) -> None:
    for child in children:
        assert not began(child)
        assert behind.world.wallets(child.name) == []


def go_between(change: Change) -> Setting:
    return lambda server: GoBetween(server, *BOTH, change)


def no_descriptions(message: RelayMessage) -> RelayMessage | None:
    return None if isinstance(message, Offer | Answer) else message


BOTH = ("cli1", "cli2")
IMPOSTURES: dict[str, Setting] = {
    "another key, properly signed, on both sides": go_between(lambda message: message),
    "another fingerprint": go_between(lies.with_another_fingerprint),
    "no fingerprint": go_between(lies.without_fingerprint),
}


IMPOSTOR = {(4, "identity_check_failed")}
NO_LINK = {(5, "link_failed"), (6, "participant_aborted")}
"""What came by relay convicts nobody. The side that takes such a description cannot open the link, and says so."""
FOUND_AS = {
    "another key, properly signed, on both sides": IMPOSTOR,
    "another fingerprint": NO_LINK,
    "no fingerprint": NO_LINK,
}


async def found_out(
    behind: Behind, *, by: str, other: str, as_what: set[tuple[int, str]] = IMPOSTOR, on_link: bool = True
) -> None:
    (peer,) = await behind.register(other)
    proposer = await behind.create(by=by)
    error = proposer.error
    assert (proposer.code, error.code) in as_what, proposer.talk
    assert (error.culprits, error.suspects) == ((), (other,) if on_link else ())
    nothing_came_of_it(behind, proposer, peer)


@pytest.mark.parametrize("offers", [pytest.param("the proposer", marks=pytest.mark.slow), "the other"])
@pytest.mark.parametrize("lie", IMPOSTURES)
async def test_whoever_stands_between_two_nodes_is_found_out_before_the_first_byte(
    behind: Behind, lie: str, offers: str
) -> None:
    """What is wrong with a description shows at the other end first, and is named at both."""
    behind.server.lies.append(IMPOSTURES[lie](behind.server))
    first, last = BOTH  # the smaller name makes the offer
    await found_out(
        behind,
        by=first if offers == "the proposer" else last,
        other=last if offers == "the proposer" else first,
        as_what=FOUND_AS[lie],
    )


@pytest.mark.slow
async def test_a_key_that_did_not_sign_is_found_out_at_once(behind: Behind) -> None:
    behind.server.lies.append(lies.forge_signature("cli2"))
    await found_out(behind, by="cli1", other="cli2", on_link=False)


@pytest.mark.slow
async def test_another_key_under_a_known_name_is_an_error_that_names_it(behind: Behind) -> None:
    await behind.register("cli2")
    assert (await behind.create(2, "--name", "first")).code == 0
    behind.server.lies.append(lies.swap_identity("cli2"))
    cli1 = await behind.create(2, "--name", "second")
    assert (cli1.code, cli1.error.code, cli1.error.named) == (4, "contact_changed", ()), cli1.talk
    assert not began(cli1)
    assert [wallet.name for wallet in behind.world.wallets("cli1")] == ["first"]


HARMLESS: dict[str, Setting] = {
    "twice": lambda _server: lies.twice(),
    "replayed": lies.replay,
    "reordered": lambda server: lies.delay(server, lambda: random.random() * 0.2),
}


@pytest.mark.parametrize(
    "lie", [*(pytest.param(name, marks=pytest.mark.slow) for name in HARMLESS if name != "replayed"), "replayed"]
)
async def test_what_comes_twice_late_or_in_another_order_changes_nothing(behind: Behind, lie: str) -> None:
    behind.server.lies.append(HARMLESS[lie](behind.server))
    others = await behind.register("cli2", "cli3")
    cli1 = await behind.create(3)
    assert cli1.code == 0, cli1.talk
    for child in others:
        assert (await child.says(status.SessionEnded)).error is None
    assert {wallet.state for name in ("cli1", "cli2", "cli3") for wallet in behind.world.wallets(name)} == {"active"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "lie", [lies.drop(lies.seals), lies.tamper(), lies.drop()], ids=["no seals", "torn seals", "nothing"]
)
async def test_what_is_dropped_or_torn_is_silence_within_the_deadline(behind: Behind, lie: Lie) -> None:
    behind.server.lies.append(lie)
    others = await behind.register("cli2")
    cli1 = await behind.create()
    assert (cli1.code, cli1.error.code, cli1.error.named) == (6, "participant_silent", ("cli2",)), cli1.talk
    nothing_came_of_it(behind, cli1, *others)


@pytest.mark.slow
async def test_descriptions_that_never_arrive_are_silence_too(behind: Behind) -> None:
    behind.server.lies.append(go_between(no_descriptions)(behind.server))
    others = await behind.register("cli2")
    proposer = await behind.create()
    assert (proposer.code, proposer.error.named) == (6, ("cli2",)), proposer.talk
    nothing_came_of_it(behind, proposer, *others)


@pytest.mark.slow
async def test_a_peer_that_only_one_is_shown_is_still_in_everybodys_session(behind: Behind) -> None:
    behind.server.hidden = {("cli2", "cli3"), ("cli3", "cli2")}
    await behind.register("cli2", "cli3")
    cli1 = await behind.create(3)
    assert cli1.code == 0, cli1.talk


@pytest.mark.slow
async def test_a_peer_that_the_server_invents_is_silent(behind: Behind) -> None:
    behind.server.invented = {"cli1": ["ghost"]}
    (cli2,) = await behind.register("cli2")
    cli1 = await behind.create(3)
    assert (cli1.code, cli1.error.named) == (6, ("ghost",)), cli1.talk
    nothing_came_of_it(behind, cli1, cli2)


@pytest.mark.slow
async def test_a_peer_that_is_hidden_is_waited_for_as_long_as_told(behind: Behind) -> None:
    behind.server.hidden = {("cli1", "cli2")}
    await behind.register("cli2")
    cli1 = await behind.create(2, "--with", "cli2", "--wait", "1")
    assert (cli1.code, cli1.error.named) == (6, ("cli2",)), cli1.talk
