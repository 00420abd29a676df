"""One run from one seed: a setting, somebody that lies, what the nodes are asked to do, and what must hold of it."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final

from mpcnode import status
from mpcnode.commands import CreateWallet, Sign
from mpcnode.crypto.suites import DEFAULT_SUITES
from mpcnode.errors import MpcError
from mpcnode.session.proposal import CLOCK_SKEW
from mpcnode.types import PeerId
from tests.helpers.table import check
from tests.simulation import checks, clock
from tests.simulation.checks import Failure
from tests.simulation.liar import Participant, lies_about
from tests.simulation.lies import LIES, Liar
from tests.simulation.world import World

SIZES: Final = ((2, 2), (2, 3), (2, 3), (2, 3), (3, 5))
MOST_RELAYED: Final = 30_000
"""Messages that nodes may give the server in one run: beyond, they talk to each other without end."""
KEYGEN_ENDS: Final = 300.0
"""Seconds of virtual time: more than all deadlines of a key generation, one after another."""
SIGN_ENDS: Final = 600.0
"""The same for the four attempts of a signature."""
SETTLES: Final = 300.0
EVERYTHING_ENDS: Final = 7200.0
"""Seconds after which whatever is still waited for will not come."""


@dataclass
class Result:
    """What became of a run.

    Args:
        setting: what it was, for a person.
        failures: which properties did not hold.
        outcome: how the command ended.
    """

    setting: str
    failures: list[Failure] = field(default_factory=list)
    outcome: str = ""
    trace: list[str] = field(default_factory=list)
    liars: tuple[str, ...] = ()
    excluded: list[str] = field(default_factory=list)
    """Those that were not asked again."""
    seconds: float = 0.0


class Run:
    """What all runs share."""

    def __init__(self, kind: str, seed: int, *, traced: bool = False) -> None:
        self.kind, self.seed = kind, seed
        self.rng = random.Random(f"{kind} {seed}")
        self.threshold, self.total = self.rng.choice(SIZES)
        self.world = World((kind, seed), self.threshold, self.total, traced=traced)
        slow = self.rng.choice([0.02, 0.02, 0.3, 2.0])
        self.loop = clock.VirtualLoop(lambda: self.world.rng.uniform(0, slow))
        self.errors: list[tuple[PeerId, BaseException]] = []
        self.liars: tuple[str, ...] = ()
        self.result = Result("")
        self.suite = self.rng.choice(DEFAULT_SUITES)

    def __call__(self) -> Result:
        try:
            clock.run(self._whole(), self.loop, self.world.rng)
        except clock.Stuck as error:
            self.fail("hang", str(error))
        except Exception as error:  # noqa: BLE001 (a failing run is told with its seed)
            self.fail("crash", repr(error))
        if len(self.world.server.passed) > MOST_RELAYED:
            self.fail("storm", f"{len(self.world.server.passed)} messages were given to the server")
        self.result.failures += checks.one_key(self.world, self.liars)
        self.result.failures += checks.one_wallet(self.world, self.liars)
        self.result.failures += checks.nonces_once(self.world, self.liars)
        self.result.failures += checks.honest_culprits(self.world, self.errors, self.liars)
        self.result.failures += checks.crashes(self.world, self.errors, self.liars)
        self.result.trace, self.result.liars = self.world.lines, self.liars
        self.result.seconds = self.loop.time() - clock.BOOTED
        return self.result

    def fail(self, kind: str, what: str) -> None:
        self.result.failures.append(Failure(kind, what))

    async def _whole(self) -> None:
        with self.world.real():
            try:
                async with asyncio.timeout(EVERYTHING_ENDS):
                    await self.go()
            except TimeoutError:
                self.fail("hang", f"the run was not over after {EVERYTHING_ENDS:.0f} s")
            finally:
                try:
                    await asyncio.wait_for(self.end(), 60)
                except TimeoutError:
                    self.fail("hang", "nodes that were told to stop did not within a minute")

    async def go(self) -> None:
        raise NotImplementedError

    async def end(self) -> None:
        await self.world.close()

    # What nodes are asked

    async def ask(self, name: PeerId, work: Callable[[Any], Awaitable[Any]], *, ends: float) -> Any:
        """Have a node do something; give what came of it, or None."""
        life = self.world.lives[name]
        if not life.ready.done() or life.task.done():
            self.result.outcome = f"{name} is not registered"
            return None
        task = asyncio.ensure_future(work(life.node))
        life.commands.add(task)
        try:
            await asyncio.wait({task, life.task}, timeout=ends, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.sleep(0)
            if life.dead or task.cancelled() or (life.task.done() and not task.done()):
                self.result.outcome = f"{name} died"
                return None
            if not task.done():
                self.fail("hang", f"a command of {name} was not over after {ends:.0f} s")
                return None
            error = task.exception()
            if error is None:
                self.result.outcome = "done"
                return task.result()
            self.errors.append((name, error))
            self.world.trace("error", name, error)
            self.result.outcome = error.code if isinstance(error, MpcError) else repr(error)
            return None
        finally:
            life.commands.discard(task)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def keygen(self, proposer: PeerId, name: str = "treasury") -> Any:
        others = tuple(one for one in self.world.names if one != proposer)
        command = CreateWallet(
            threshold=self.threshold, total=self.total, name=name, suites=(self.suite,), with_peers=others, wait=8000
        )
        return await self.ask(proposer, lambda node: node.create_wallet(command), ends=KEYGEN_ENDS)

    async def sign(self, proposer: PeerId, content: bytes = b"hello", wallet: str = "treasury") -> Any:
        command = Sign(wallet=wallet, contents=(content,))
        view = await self.ask(proposer, lambda node: node.sign(command), ends=SIGN_ENDS)
        if view is not None:
            try:
                check(view, command)
            except Exception as error:  # noqa: BLE001 (any library's way of saying no)
                self.fail("signature", repr(error))
        return view

    async def settled(self) -> None:
        """Wait until no node has a session any more."""
        loop = asyncio.get_running_loop()
        until = loop.time() + SETTLES
        while busy := [one.name for one in self.world.lives.values() if one.ready.done() and one.node.busy]:
            if loop.time() > until:
                self.fail("hang", f"{', '.join(busy)} had a session {SETTLES:.0f} s after the command was over")
                return
            await asyncio.sleep(0.25)


class BehindALiar(Run):
    """Honest nodes, and a server that lies."""

    def __init__(self, kind: str, seed: int, *, traced: bool = False, plan: tuple[str, ...] | None = None) -> None:
        super().__init__(kind, seed, traced=traced)
        rng = self.rng
        self.strangers = rng.random() < 0.5
        self.plan = plan if plan is not None else tuple(rng.sample(sorted(LIES), rng.choice([1, 1, 1, 2, 2, 3, 4])))
        if rng.random() < 0.03 and plan is None:
            self.plan = ()
        self.lived = rng.random() < 0.3
        """Whether there were earlier lives."""
        self.dies = rng.random() < 0.15
        """Whether somebody dies in the middle and comes back."""
        self.recovers = rng.random() < 0.25
        """Whether everything must work again when the lies are over."""
        self.world.accepts = rng.choice(["auto", "ask"])
        self.world.warm = rng.choice([0.0, 60.0])
        if not self.strangers:
            self.world.know_each_other(rng.choice(["words", "introduced"]))
        if kind == "sign":
            self.world.deal(self.suite)
        if rng.random() < 0.2:
            spread = rng.choice([2_000, 100_000, 280_000, 500_000])
            self.world.skews = {name: rng.randint(-spread // 2, spread // 2) for name in self.world.names}
            self.recovers = self.recovers and spread < CLOCK_SKEW
        self.mood = rng.choice(["absent", "unwilling", "doubts"]) if rng.random() < 0.12 else ""
        """What one person is like, where not everybody says yes."""
        if self.mood:
            setattr(self.world.people[rng.choice(self.world.names)], self.mood, True)
            self.world.accepts = "ask"
            self.recovers = False
        self.result.setting = (
            f"{kind} {self.threshold} of {self.total}, lies: {', '.join(self.plan) or 'none'}"
            + (", strangers" if self.strangers else "")
            + (", earlier lives" if self.lived else "")
            + (", a death" if self.dies else "")
            + (", then an honest server" if self.recovers else "")
            + (", clocks apart" if self.world.skews else "")
            + (f", somebody {self.mood}" if self.mood else "")
        )
        self.liar: Liar | None = None

    async def work(self, proposer: PeerId, name: str = "treasury") -> Any:
        return await (self.sign(proposer) if self.kind == "sign" else self.keygen(proposer, name))

    async def go(self) -> None:
        world, rng = self.world, self.rng
        if self.lived and rng.random() < 0.5:
            await self._earlier_life()
        self.liar = Liar(world, random.Random(f"liar {self.kind} {self.seed}"), self.plan, strangers=self.strangers)
        if not world.lives:
            await world.everybody()
            if self.lived:
                await self._earlier_life()
        await asyncio.sleep(rng.uniform(0, 0.5))
        proposer = rng.choice(world.names)
        dying = asyncio.ensure_future(self._death())
        try:
            view = await self.work(proposer)
        finally:
            await dying
        await self.settled()
        if view is None and not (self.plan or self.dies or self.mood):
            self.fail("no result", f"nobody lied and nobody died: {self.result.outcome}")
        if self.recovers:
            await self._recover(rng.choice(world.names))

    async def end(self) -> None:
        if self.liar is not None:
            await self.liar.close()
        await super().end()

    async def _earlier_life(self) -> None:
        """Have some of them begin something, die and come back."""
        world, rng = self.world, self.rng
        if not world.lives:
            await world.everybody()
        asking = asyncio.ensure_future(self.work(rng.choice(world.names), "earlier"))
        await asyncio.wait({asking}, timeout=rng.choice([0.1, 0.3, 0.6, 1, 2, 4]))
        for name in rng.sample(world.names, rng.randint(1, self.total)):
            if world.lives[name].ready.done():
                await world.kill(name)
                await asyncio.sleep(rng.uniform(0, 0.5))
                await world.start(name)
        await asyncio.wait({asking}, timeout=rng.choice([0.1, 30]))
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)

    async def _death(self) -> None:
        if not self.dies:
            return
        rng = self.rng
        await asyncio.sleep(rng.choice([0.1, 0.3, 0.6, 1, 2, 5]) * rng.random())
        name = rng.choice(self.world.names)
        if self.world.lives[name].ready.done():
            await self.world.kill(name)
            await asyncio.sleep(rng.uniform(0, 3))
            await self.world.start(name)

    async def _recover(self, proposer: PeerId) -> None:
        """See that nothing of the lies lasts: with an honest server the next command works."""
        world = self.world
        assert self.liar is not None
        self.liar.stop()
        # The server that is honest now told nobody which nodes are here: where it takes another's place, all come anew.
        for name in world.server.here if {"rosters", "comings"} & set(self.plan) else ():
            world.server.cut(name)
        for one in world.names:
            for other in world.names:
                if one < other:
                    world.network.heal(one, other)
        await asyncio.sleep(40)
        for name in world.names:
            life = world.lives[name]
            if life.task.done():
                world.ghosts.append(life)
                await world.start(name)
        await asyncio.sleep(5)
        # An impostor's key may be the last one that somebody knows: a command or two find that out.
        for name in ("later", "again", "once-more", "at-last"):
            if await self.work(proposer, name) is not None:
                break
            await self.settled()
            await asyncio.sleep(5)
        else:
            self.fail("no recovery", f"after the lies {self.kind} by {proposer}: {self.result.outcome}")
        await self.settled()


class WithALiar(Run):
    """One participant that lies among honest ones, behind an honest server or one that lies too."""

    def __init__(self, kind: str, seed: int, *, traced: bool = False, plan: tuple[str, ...] | None = None) -> None:
        super().__init__(kind, seed, traced=traced)
        rng = self.rng
        self.about = kind.partition("-")[0]
        self.liar_name = rng.choice(self.world.names)
        self.liars = (self.liar_name,)
        lies = lies_about(self.about)
        chosen = rng.sample(lies, rng.choice([1, 1, 1, 2]))
        self.plan = tuple(chosen) if plan is None else plan
        self.world.accepts = rng.choice(["auto", "ask"])
        self.world.warm = rng.choice([0.0, 60.0])
        if rng.random() < 0.5 or self.about == "sign":
            self.world.know_each_other("words")
        if self.about == "sign":
            self.world.deal(self.suite)
        honest = [name for name in self.world.names if name != self.liar_name]
        self.proposer = self.liar_name if rng.random() < 0.3 else rng.choice(honest)
        self.server_plan = tuple(rng.sample(sorted(LIES), rng.choice([1, 2]))) if kind.endswith("-both") else ()
        self.result.setting = (
            f"{kind} {self.threshold} of {self.total}, {self.liar_name} lies: {', '.join(self.plan)}"
            + (f"; the server: {', '.join(self.server_plan)}" if self.server_plan else "")
            + f"; {self.proposer} proposes"
        )
        self.participant = Participant(
            self.world,
            self.liar_name,
            kind=self.about,
            suite=self.suite,
            rng=random.Random(f"participant {kind} {seed}"),
            plan=self.plan,
        )
        self.liar: Liar | None = None

    async def go(self) -> None:
        world = self.world
        await world.everybody()
        self.participant.take_hold(world.lives[self.liar_name].parts)
        if self.server_plan:
            rng = random.Random(f"liar {self.kind} {self.seed}")
            self.liar = Liar(world, rng, self.server_plan, strangers=False)
        await asyncio.sleep(self.rng.uniform(0, 0.3))
        honest_proposes = self.proposer != self.liar_name
        view = await (self.sign(self.proposer) if self.about == "sign" else self.keygen(self.proposer))
        await self.settled()
        if self.about != "sign" or not honest_proposes:
            return
        asked = names_asked(world, self.proposer)
        if asked:
            self.result.excluded = sorted(asked[0] - asked[-1])
        if view is None and not self.server_plan and self.total - 1 >= self.threshold:
            self.fail("no signature", f"{self.total - 1} honest ones are there: {self.result.outcome}")

    async def end(self) -> None:
        if self.liar is not None:
            await self.liar.close()
        await super().end()


KINDS: Final[dict[str, Callable[..., Run]]] = {
    "keygen": BehindALiar,
    "sign": BehindALiar,
    "keygen-liar": WithALiar,
    "sign-liar": WithALiar,
    "keygen-both": WithALiar,
    "sign-both": WithALiar,
}


def names_asked(world: World, proposer: PeerId) -> list[set[str]]:
    """Whom a node asked in each of its sessions, in order."""
    return [
        {one.peer_id for one in event.participants} - {proposer}
        for event in world.lives[proposer].of(status.Proposed)
        if event.proposer == proposer
    ]
