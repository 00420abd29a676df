"""``kill -9`` at each step between "my share is verified" and "the wallet is active", whoever it hits.

Three real processes over real WebRTC finish a wallet; some of them die at a step; those are started again. Whatever
happened: nobody has shown a key unless all three shares are on disks, and then everybody's wallet becomes active.
"""

import asyncio
import itertools
import random
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import pytest

from mpcnode import status
from mpcnode.control.lines import Result
from mpcnode.faults.model import Faults, Save, Step, Stored
from mpcnode.keystore.keyring import Keyring
from mpcnode.keystore.store import Home
from mpcnode.types import PeerId, WalletId
from mpcnode.wallet.secret import WalletSecret
from mpcnode.wallet.wallet import Wallet
from tests.helpers.processes import PASSPHRASE, Child, Processes, processes

pytestmark = [pytest.mark.process, pytest.mark.webrtc]

NAMES = ("cli1", "cli2", "cli3")
FINALISATION: tuple[Step, ...] = ("storing", *get_args(Save), *get_args(Stored), "certifying", "leaving")
WHO = [who for count in (1, 2, 3) for who in itertools.combinations(NAMES, count)]

Deaths = Mapping[str, Step]
"""Who dies where."""


@dataclass
class Case:
    """One wallet and its deaths, in a room of its own."""

    world: Processes
    room: str
    deaths: Deaths

    def __str__(self) -> str:
        return f"{dict(self.deaths)}"

    async def play(self) -> None:
        nodes = await self._make_a_wallet()
        await asyncio.gather(*(self._comes_to_its_end(child) for child in nodes.values()))
        durable = [name for name in NAMES if self._held(name)]
        everything = len(durable) == len(NAMES)
        self._check_what_was_shown(nodes.values(), everything=everything)
        back = {name: child if child.code is None else self._register(name) for name, child in nodes.items()}
        # They meet, unless one of them comes to its own step only now.
        await asyncio.gather(*(self._meets(child, back.values()) for child in back.values()))
        if everything:
            for name in NAMES:
                back[name] = await self._becomes_active(name, back[name])
        assert not everything or all(map(self._is_active, NAMES)), str(self)
        for name, child in back.items():
            await self._stops(name, child)
        assert [name for name in NAMES if self._held(name)] == durable, f"{self}: a share is lost"
        self._check_what_is_stored(active=everything)

    async def _make_a_wallet(self) -> dict[str, Child]:
        others = {name: self._register(name, self._faults(name)) for name in NAMES[1:]}
        for child in others.values():
            await child.says(status.Registered)
        command = ("create-wallet", "--threshold", "2", "--total", "3", "--name", "treasury")
        proposer = self.world.node(self._home(NAMES[0]), *command, room=self.room, faults=self._faults(NAMES[0]))
        return {NAMES[0]: proposer, **others}

    def _faults(self, name: str) -> Faults | None:
        return Faults(dies_at=self.deaths[name]) if name in self.deaths else None

    def _register(self, name: str, faults: Faults | None = None) -> Child:
        return self.world.register(self._home(name), room=self.room, faults=faults)

    def _home(self, name: str) -> str:
        return f"{self.room}-{name}"

    async def _comes_to_its_end(self, child: Child) -> None:
        """It is dead, or the session is over for it: not every step is on everybody's way when others die before."""
        if child.name.endswith(NAMES[0]):  # a command ends with its session
            await child.ends()
        await child.until(lambda: child.code is not None or bool(child.of(status.SessionEnded)))
        assert child.code in {None, 0, 6, -9}, f"{self}: {child.talk}"

    def _held(self, name: str) -> status.WalletView | None:
        found = self.world.wallets(self._home(name))
        assert len(found) <= 1
        return found[0] if found else None

    async def _meets(self, child: Child, everybody: Collection[Child]) -> None:
        def met() -> bool:
            return any(len(peers.peers) == len(NAMES) for peers in child.of(status.Peers))

        await child.until(lambda: met() or any(one.code is not None for one in everybody))

    async def _becomes_active(self, name: str, child: Child) -> Child:
        await child.until(lambda: self._is_active(name) or child.code is not None)
        if child.code is None:
            return child
        # It outlived the others' deaths, and came to its own step when they were back.
        assert (name in self.deaths, child.code) == (True, -9), f"{self}: {child.talk}"
        return await self._becomes_active(name, self._register(name))

    async def _stops(self, name: str, child: Child) -> None:
        code = await child.stop()
        if code == -9 and name in self.deaths:
            # It outlived the others' deaths, and came to its own step when it wrote down what they said when back.
            again = self._register(name)
            await again.says(status.Registered)
            code = await again.stop()
        assert code == 130, f"{self}: {child.talk}"

    def _is_active(self, name: str) -> bool:
        held = self._held(name)
        return held is not None and held.state == "active"

    def _check_what_was_shown(self, nodes: Iterable[Child], *, everything: bool) -> None:
        for child in nodes:
            told = [event.wallet for event in child.of(status.WalletChanged)]
            told += [event.wallet for event in child.of(status.SessionEnded) if event.wallet]
            told += [result.wallet for result in child.of(Result) if result.wallet]
            shown = [wallet for wallet in told if wallet.group_public_keys or wallet.state == "active"]
            assert everything or not shown, f"{self}: {child.name} shows a key that somebody has no share of"
        assert everything or not any(map(self._is_active, NAMES)), str(self)

    def _check_what_is_stored(self, *, active: bool) -> None:
        keys = set()
        for name in NAMES:
            home = Home.open(self.world.path / self._home(name), create=False)
            leftovers = [path for path in home.path.rglob("*") if path.suffix == ".tmp"]
            assert not leftovers, f"{self}: {leftovers}"
            held = self._held(name)
            if held is None:
                continue
            assert held.state == ("active" if active else "pending"), str(self)
            assert active or not held.group_public_keys
            with Keyring(bytearray(PASSPHRASE)) as keyring:
                header, encoded = home.load_wallet(WalletId(bytes.fromhex(held.wallet_id)), PeerId(name), keyring)
            wallet, secret = Wallet.from_header(header), WalletSecret.decode(encoded)
            wallet.check_secret(secret)  # its shares are those that everybody's verifying shares stand for
            keys.add(tuple((suite.suite, suite.group_public_key, suite.verifying_shares) for suite in wallet.suites))
        assert len(keys) <= 1


async def play(path: Path, cases: Iterable[Deaths]) -> None:
    """Play them all at once: a wallet whose participants die takes its time, and nobody's but its own."""
    async with processes(path) as world:
        await world.serve()
        await asyncio.gather(*(Case(world, f"room{number}", deaths).play() for number, deaths in enumerate(cases)))


async def test_a_few_deaths_that_are_not_alike(tmp_path: Path) -> None:
    await play(
        tmp_path,
        [
            {"cli2": "pending-write"},
            {"cli1": "certifying", "cli3": "certifying"},
            {"cli1": "active-rename", "cli2": "wallet-pending"},
            dict.fromkeys(NAMES, "wallet-pending"),
        ],
    )


@pytest.mark.slow
@pytest.mark.parametrize("step", FINALISATION)
async def test_whoever_dies_at_a_step_of_finalisation(tmp_path: Path, step: Step) -> None:
    await play(tmp_path, [dict.fromkeys(who, step) for who in WHO])


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
async def test_whoever_dies_wherever_else_others_die(tmp_path: Path, seed: int) -> None:
    drawn = random.Random(seed)
    await play(tmp_path, [{name: drawn.choice(FINALISATION) for name in drawn.choice(WHO)} for _ in range(7)])
