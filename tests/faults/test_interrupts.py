"""Ctrl-C at any moment: exit 130, nothing half-written, and the others say whose end it was.

At each named step from inside the process, so that it is exactly there; and at many moments of a start from outside,
wherever that is.
"""

import asyncio
import re
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import pytest
from nacl.signing import VerifyKey

from mpcnode import status
from mpcnode.control.lines import Result
from mpcnode.faults.model import Faults, Save, Step
from mpcnode.keystore.store import Home
from mpcnode.readings.registry import signed_bytes
from mpcnode.status import Phase
from tests.helpers.processes import PASSPHRASE, Child, Processes, processes
from tests.helpers.terminal import clean_environment

pytestmark = [pytest.mark.process, pytest.mark.webrtc]

BEFORE: tuple[Step, ...] = ("negotiating", "connecting", "committing", "revealing", "confirming", "sharing", "storing")
PENDING: tuple[Step, ...] = tuple(step for step in get_args(Save) if step.startswith("pending"))
ACTIVE: tuple[Step, ...] = tuple(step for step in get_args(Save) if step.startswith("active"))
ALL = (*BEFORE, *PENDING, "wallet-pending", "certifying", *ACTIVE, "wallet-active", "leaving")
SIGNING: tuple[Step, ...] = ("negotiating", "connecting", "committing", "agreeing", "signing", "signed")
AGAIN: tuple[Step, ...] = tuple(step for step in get_args(Save) if step.startswith("again"))
"""Only a refresh saves a file once more: sessions/refresh dies there."""
NEVER: tuple[Step, ...] = ("introducing", *AGAIN)
"""Before there is a session: who says hello is in no phase of one."""

MESSAGE = b"hello"
PROPOSE = ("create-wallet", "--threshold", "2", "--total", "2", "--name", "treasury")
TIMES = 8
"""Rounds that a step is given to be on somebody's way: who is quick never waits, and is in no phase of waiting."""

Role = Literal["proposer", "participant"]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[Processes]:
    async with processes(tmp_path) as made:
        await made.serve()
        yield made


def came_to(step: Step, child: Child) -> bool:
    """Whether a node told that it is at ``step``: with nobody to wait for, it is never in the phase of waiting."""
    ended = child.of(status.SessionEnded)
    match step:
        case "wallet-pending" | "wallet-active":
            return any(f"wallet-{changed.wallet.state}" == step for changed in child.of(status.WalletChanged))
        case "signed":
            return any(one.signature is not None for one in ended)
        case _ if step in get_args(Phase):
            return any(progress.phase == step for progress in child.of(status.Progress))
        case _:
            return True  # a file is saved in whatever way a wallet is made


def check_the_end(child: Child, room: str) -> None:
    """It ended as whoever is interrupted does."""
    assert child.code == 130, f"{room}: {child.code} {child.talk}"
    assert not re.search("bug|Traceback", child.talk)
    assert child.error.code == "interrupted"


async def see_its_end(other: Child, stopped: Child) -> bool:
    """Wait for the end of the session; False where ``other`` never heard of it, as its proposer was quick to leave."""
    name = stopped.name.rsplit("-", maxsplit=1)[-1]

    def over() -> bool:
        rosters = [{peer.peer_id for peer in peers.peers} for peers in other.of(status.Peers)]
        left = any(name in roster for roster in rosters) and name not in rosters[-1]
        return bool(other.of(status.SessionEnded)) or (left and not other.of(status.Proposed))

    await other.until(over)
    return bool(other.of(status.SessionEnded))


@dataclass
class Case:
    """One wallet of two, of whom one hears Ctrl-C at a step; in a room of its own."""

    world: Processes
    step: Step
    role: Role
    """Whose Ctrl-C it is."""
    number: int = 1
    """How often this was played before, and one."""

    @property
    def room(self) -> str:
        return f"{self.step}-{self.number}-{self.role}"

    async def play(self) -> bool:
        """Play it; say whether somebody was interrupted at the step, as it may not be on the way of this one."""
        asked, mine = Faults(interrupted_at=self.step), self.role == "proposer"
        ben = self.world.register(f"{self.room}-ben", room=self.room, faults=None if mine else asked)
        await ben.says(status.Registered)
        ana = self.world.node(f"{self.room}-ana", *PROPOSE, room=self.room, faults=asked if mine else None)
        stopped, other = (ana, ben) if mine else (ben, ana)
        if not await see_its_end(other, stopped):
            assert (await ana.ends(), self.step) == (130, "negotiating"), self.room
            return False
        await stopped.until(lambda: bool(stopped.of(status.SessionEnded)))
        there = came_to(self.step, stopped)
        if there or mine:
            await stopped.ends()  # by itself: nobody but the step told it to
        else:
            await stopped.stop(signal.SIGINT)
        await ana.ends()
        if there or not mine:
            check_the_end(stopped, self.room)
        else:
            assert stopped.code == 0, f"{self.room}: {stopped.talk}"
        self._check_what_is_stored(stopped, other, there=there)
        return there

    def _check_what_is_stored(self, stopped: Child, other: Child, *, there: bool) -> None:
        states = [[wallet.state for wallet in self.world.wallets(child.name)] for child in (stopped, other)]
        ended = other.of(status.SessionEnded)[-1]
        if ended.error is None:
            assert states[0], f"{self.room}: a key that somebody has no share of"
            assert states[1] == ["active"], self.room
            assert not there or self.step not in {*BEFORE, *PENDING}, f"{self.room}: Ctrl-C was not heard"
        else:
            name = stopped.name.rsplit("-", maxsplit=1)[-1]
            assert (ended.error.exit_code, ended.error.named) == (6, (name,)), f"{self.room}: {ended.error}"
            assert "active" not in states[1], self.room
        assert there or states == [["active"], ["active"]], self.room
        for child in (stopped, other):
            assert not list((self.world.path / child.name).rglob("*.tmp")), self.room


async def play(kind: "type[Case | SigningCase]", world: Processes, *steps: Step) -> None:
    """Have both be interrupted at each step, and again where both passed it by: each was awaited and did not wait."""
    for number in range(1, TIMES + 1):
        cases = [kind(world, step, role, number) for step in steps for role in get_args(Role)]
        there = await asyncio.gather(*(case.play() for case in cases))
        came = {case.step for case, was in zip(cases, there, strict=True) if was}
        steps = tuple(step for step in steps if step not in came)
        if not steps:
            return
    raise AssertionError(f"nobody was interrupted at {steps}")


async def test_ctrl_c_at_a_few_steps(world: Processes) -> None:
    await play(Case, world, "connecting", "pending-write", "active-write")


@pytest.mark.slow
@pytest.mark.parametrize("steps", [ALL[i : i + 4] for i in range(0, len(ALL), 4)], ids=lambda steps: steps[0])
async def test_ctrl_c_at_each_step(world: Processes, steps: tuple[Step, ...]) -> None:
    await play(Case, world, *steps)


# --- while signing ---


@pytest.fixture
async def treasury(world: Processes) -> Processes:
    """A wallet of two, whose nodes are gone; each case takes copies of their homes."""
    ben = world.register("ben")
    await ben.says(status.Registered)
    assert await world.node("ana", *PROPOSE).ends() == 0
    await ben.says(status.SessionEnded)
    assert await ben.stop() == 130
    return world


@dataclass
class SigningCase:
    """One signature of two, of whom one hears Ctrl-C at a step; and the next one, with whoever ended started again."""

    world: Processes
    step: Step
    role: Role
    number: int = 1

    @property
    def room(self) -> str:
        return f"{self.step}-{self.number}-{self.role}"

    async def play(self) -> bool:
        """Play it; say whether somebody was interrupted at the step, before it went on."""
        for name in ("ana", "ben"):
            shutil.copytree(self.world.path / name, self.world.path / f"{self.room}-{name}")
        asked, mine = Faults(interrupted_at=self.step), self.role == "proposer"
        ben = self._register(None if mine else asked)
        await ben.says(status.Registered)
        ana = self._sign("first.sig", asked if mine else None)
        stopped, other = (ana, ben) if mine else (ben, ana)
        if not await see_its_end(other, stopped):
            assert (await ana.ends(), self.step) == (130, "negotiating"), self.room
            return False
        await stopped.until(lambda: bool(stopped.of(status.SessionEnded)))
        await ana.ends()
        self._check_the_file("first.sig", ana)
        if not came_to(self.step, stopped):
            assert ana.code == 0, f"{self.room}: {ana.talk}"
            return False
        await stopped.ends()  # by itself: nobody but the step told it to
        check_the_end(stopped, self.room)
        self._check_the_other(other, stopped.name.rsplit("-", maxsplit=1)[-1])
        if not mine:
            ben = self._register()
            await ben.says(status.Registered)
        again = self._sign("next.sig")
        assert await again.ends() == 0, f"{self.room}: {again.talk}"
        self._check_the_file("next.sig", again)
        return self.step != "agreeing" or other.of(status.SessionEnded)[0].error is not None

    def _register(self, faults: Faults | None = None) -> Child:
        return self.world.register(f"{self.room}-ben", room=self.room, faults=faults)

    def _sign(self, out: str, faults: Faults | None = None) -> Child:
        home = self.world.path / f"{self.room}-ana"
        what = ("--wallet", "treasury", "--message", MESSAGE.decode(), "--out", str(home / out))
        node = ("--json", "--loopback", "--peer-id", "ana", "--room", self.room, "--server", self.world.url)
        keys = ("--home", str(home), "--passphrase-file", str(self.world.passphrase_file))
        return self.world.start(home.name, "sign", *what, *node, *keys, faults=faults)

    def _check_the_other(self, other: Child, stopped: str) -> None:
        ended = other.of(status.SessionEnded)[0]
        if ended.error is None:  # who waits for shares has given its own, and where all else is here, it goes at once
            assert self.step in {"agreeing", "signing", "signed"}, f"{self.room}: Ctrl-C was not heard"
            assert ended.signature is not None
        else:
            assert self.step != "signed", f"{self.room}: whose share is in is not needed any more: {ended.error}"
            assert (ended.error.exit_code, ended.error.named) == (6, (stopped,)), f"{self.room}: {ended.error}"
        if self.role == "participant":
            assert other.code == (0 if ended.error is None else 6), f"{self.room}: {other.talk}"
            assert ended.error is None or other.error.named == (stopped,)

    def _check_the_file(self, name: str, ana: Child) -> None:
        """The whole of it is there, where its command had it; or nothing."""
        path = self.world.path / f"{self.room}-ana" / name
        printed = [result.signature for result in ana.of(Result) if result.signature is not None]
        assert path.exists() == bool(printed), self.room
        assert printed or ana.code != 0, self.room
        assert not printed or ana.code == 0 or "their signatures stand" in (ana.error.saved or ""), self.room
        if printed:
            assert path.read_text() == f"{printed[0].signatures[0]}\n"
            (wallet,) = self.world.wallets(f"{self.room}-ben")
            key = wallet.group_public_keys[wallet.suites[0]]
            VerifyKey(bytes.fromhex(key)).verify(signed_bytes("text", MESSAGE), bytes.fromhex(path.read_text()))
        for home in (f"{self.room}-ana", f"{self.room}-ben"):
            assert not list((self.world.path / home).rglob("*.tmp")), self.room


async def test_ctrl_c_between_commitment_and_share(treasury: Processes) -> None:
    await play(SigningCase, treasury, "agreeing")


@pytest.mark.slow
@pytest.mark.parametrize("steps", [SIGNING[:3], SIGNING[3:]], ids=lambda steps: steps[0])
async def test_ctrl_c_at_each_step_of_a_signature(treasury: Processes, steps: tuple[Step, ...]) -> None:
    await play(SigningCase, treasury, *steps)


def test_no_step_is_left_out() -> None:
    assert {*ALL, *SIGNING, *NEVER} == {one for part in get_args(Step) for one in get_args(part)}


@pytest.mark.slow
async def test_ctrl_c_of_a_command_leaves_its_node_and_the_next_signature_works(treasury: Processes) -> None:
    """Before there is a mesh, and on a warm one; the other signer hears of it late, and is asked again."""
    ana, ben = [treasury.register(name) for name in ("ana", "ben")]
    for child in (ana, ben):
        await child.says(status.Peers, lambda peers: len(peers.peers) == 2)
    what = (
        "sign",
        "--wallet",
        "treasury",
        "--message",
        MESSAGE.decode(),
        "--json",
        "--home",
        str(treasury.home("ana")),
    )
    for count in (1, 2):
        ben.strike(signal.SIGSTOP)
        command = treasury.start("command", *what)
        await command.in_phase("negotiating")
        assert await command.stop(signal.SIGINT) == 130, command.talk
        assert command.error.code == "interrupted"
        await ana.until(lambda: len([one for one in ana.of(status.SessionEnded) if one.error]) == count)  # noqa: B023
        ben.strike(signal.SIGCONT)
        await ben.until(lambda: len([one for one in ben.of(status.SessionEnded) if one.error]) == count)  # noqa: B023
        assert [one.error.code for one in ana.of(status.SessionEnded) if one.error] == ["interrupted"] * count
        assert [one.error.named for one in ben.of(status.SessionEnded) if one.error] == [("ana",)] * count
        again = treasury.start("command", *what)
        assert await again.ends() == 0, again.talk
        (signature,) = [result.signature for result in again.of(Result)]
        assert signature is not None
        assert signature.attempts == 1


# --- from outside, whenever that is ---


async def interrupted_after(world: Processes, number: int, seconds: float) -> None:
    """Interrupt a node so long after its process began, and start it again."""
    name = f"node{number}"
    child = world.register(name, room=name)
    await asyncio.sleep(seconds)
    assert await child.stop(signal.SIGINT) == 130, child.talk
    assert "bug" not in child.talk
    assert "Traceback" not in child.talk
    home = Home.open(world.path / name, create=False)
    with home.lock():  # it is free again
        assert not list(home.path.rglob("*.tmp"))
    assert not (home.path / "control.sock").exists()


async def test_ctrl_c_while_a_node_starts(world: Processes) -> None:
    await asyncio.gather(*(interrupted_after(world, number, number * 0.03) for number in range(12)))


@pytest.mark.slow
async def test_ctrl_c_while_a_new_home_is_made(world: Processes) -> None:
    async def interrupt(number: int) -> None:
        home = world.path / f"new{number}"
        options = ("--home", str(home), "--passphrase-file", str(world.passphrase_file), "--server", world.url)
        command = ("register", "--accept", "none", "--json", "--kdf", "interactive", "--peer-id", home.name)
        child = world.start(home.name, *command, *options)
        await asyncio.sleep(number * 0.05)
        assert await child.stop(signal.SIGINT) == 130, child.talk
        assert not list(world.path.glob(f"new{number}/**/*.tmp"))
        again = world.start(home.name, *command, *options)
        await again.says(status.Registered)

    await asyncio.gather(*map(interrupt, range(12)))


@pytest.mark.slow
@pytest.mark.parametrize("numbers", [[signal.SIGINT, signal.SIGINT], [signal.SIGTERM], [signal.SIGHUP]])
async def test_a_second_ctrl_c_and_other_ways_to_say_stop_are_as_good(
    world: Processes, numbers: list[signal.Signals]
) -> None:
    ben = world.register("ben")
    await ben.says(status.Registered)
    for number in numbers:
        ben.strike(number)
    assert await ben.ends() == 130
    assert not list((world.path / "ben").rglob("*.tmp"))


UP = "print('up', flush=True); import runpy; runpy.run_module('mpcnode', run_name='__main__')"
"""``python -m mpcnode``, once Python itself is there: before, it ends with 1, whatever it was to run."""


async def test_ctrl_c_before_anything_is_loaded_is_what_a_shell_calls_130(tmp_path: Path) -> None:
    """Python itself answers until the command runs; then the process dies of the signal, and a shell says 130."""

    async def interrupt(number: int) -> int:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", UP, "register", "--accept", "none", "--home", str(tmp_path / "home")),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env=clean_environment(),
        )
        assert process.stdout is not None
        assert await process.stdout.readline() == b"up\n"
        await asyncio.sleep(number * 0.05)
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
        return await process.wait()

    codes = await asyncio.gather(*map(interrupt, range(4)))
    assert set(codes) <= {130, -signal.SIGINT, 2}  # 2: it came to its question before the signal
    assert not (tmp_path / "home").exists()


# --- no terminal and a question to ask; what can be seen at once is in tests/cli/test_prompts.py ---


@pytest.mark.slow
async def test_more_peers_than_are_wanted_and_nobody_to_choose_is_exit_2_naming_the_option(world: Processes) -> None:
    for name in ("ben", "cleo"):
        await world.register(name).says(status.Registered)
    ana = world.node("ana", *PROPOSE)
    assert await ana.ends() == 2
    assert re.search(r"^hint: .*--with", ana.talk, re.MULTILINE), ana.talk
    assert world.wallets("ana") == []
    assert PASSPHRASE.decode() not in ana.talk
