"""What a server can do to those who trust it with nothing: lies by the seed, alone and several at once."""

import asyncio
import json
import random
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, Final

from mpcnode.identity.contacts import Contacts
from mpcnode.peers.conversation import Conversations, Opened
from mpcnode.types import EpochId, IdentityKey, PeerId, SessionId, WalletId
from mpcnode.wire import relay as wire
from tests.helpers import lying_server
from tests.helpers.identities import identity
from tests.helpers.lying_server import GoBetween, Passing, When
from tests.simulation.world import World

Lie = Callable[[Passing], Iterable[Passing]]


class Liar:
    """The server's lies of one run.

    Args:
        world: where.
        rng: decides them, apart from the run's own.
        plan: which lies; chosen by ``rng`` where it is not given.
    """

    def __init__(self, world: World, rng: random.Random, plan: Iterable[str], *, strangers: bool) -> None:
        self.world = world
        self.rng = rng
        self.server = world.server
        self.plan = tuple(plan)
        self.strangers = strangers
        self.active = True
        self._work: list[asyncio.Task[None]] = []
        for name in self.plan:
            LIES[name](self)

    def stop(self) -> None:
        """Be an honest server from now on."""
        self.active = False
        self.server.lies.clear()
        self.server.shown = lambda _viewer, message: message
        self.server.on_registered.clear()
        self.server.down = False
        for task in self._work:
            task.cancel()

    async def close(self) -> None:
        """See the end of it."""
        self.stop()
        await asyncio.gather(*self._work, return_exceptions=True)

    # What lies are made of

    def lie(self, lie: Lie) -> None:
        self.server.lies.append(lie)

    def now_and_then(self, what: Callable[[], None], between: tuple[float, float]) -> None:
        """Do something again and again."""

        async def go() -> None:
            while True:
                await asyncio.sleep(self.rng.uniform(*between))
                what()

        self._work.append(asyncio.create_task(go()))

    def later(self, seconds: float, passing: Passing) -> None:
        """Hand it on later, unless the lies are over: what is late then is lost."""

        def happen() -> None:
            if self.active:
                self.server.say(passing.sender, passing.to, passing.data)

        asyncio.get_running_loop().call_later(seconds, happen)

    def when(self) -> When:
        """What a lie is about: all, hellos, seals, one direction, one pair, what comes in some seconds."""
        names = self.world.names
        one, other = self.rng.sample(names, 2)
        loop = asyncio.get_running_loop()
        began = loop.time() + self.rng.uniform(0, 3)
        ends = began + self.rng.choice([0.5, 2, 10, 1000])
        return self.rng.choice(
            [
                lambda _passing: True,
                lambda passing: passing.is_hello,
                lambda passing: not passing.is_hello,
                lambda passing: (passing.sender, passing.to) == (one, other),
                lambda passing: {passing.sender, passing.to} == {one, other},
                lambda passing: one in {passing.sender, passing.to},
                lambda _passing: began <= loop.time() < ends,
            ]
        )

    def sometimes(self, *chances: float) -> Callable[[Passing], bool]:
        """Whether this lie is told about this message."""
        when, chance = self.when(), self.rng.choice(chances)
        return lambda passing: when(passing) and self.rng.random() < chance

    def name(self) -> PeerId:
        return self.rng.choice(self.world.names)

    def other_than(self, *names: str) -> str:
        left = [name for name in self.world.names if name not in names]
        return self.rng.choice(left or list(self.world.names))


def _drop(liar: Liar) -> None:
    told = liar.sometimes(0.1, 0.3, 0.6, 1.0)
    liar.lie(lambda passing: [] if told(passing) else [passing])


def _delay(liar: Liar) -> None:
    told, most = liar.sometimes(0.3, 1.0), liar.rng.choice([0.1, 1, 4, 12, 40])

    def late(passing: Passing) -> Iterable[Passing]:
        if not told(passing):
            return [passing]
        liar.later(liar.rng.uniform(0, most), passing)
        return []

    liar.lie(late)


def _twice(liar: Liar) -> None:
    told, most = liar.sometimes(0.3, 1.0), liar.rng.choice([0.0, 0.5, 5, 20])

    def again(passing: Passing) -> Iterable[Passing]:
        if told(passing):
            for _ in range(liar.rng.choice([1, 1, 2, 5])):
                liar.later(liar.rng.uniform(0, most), passing)
        return [passing]

    liar.lie(again)


def _replay(liar: Liar) -> None:
    """Say again what was said before, in this life or an earlier one; sometimes in place of what is said now."""
    told, instead = liar.sometimes(0.3, 1.0), liar.rng.choice([0.0, 0.2])

    def old(passing: Passing) -> Iterable[Passing]:
        if not told(passing):
            return [passing]
        before = [one for one in liar.server.passed[-300:] if one.to == passing.to] or [passing]
        hellos = [one for one in before if one.is_hello]
        said = [liar.rng.choice(liar.rng.choice([before, hellos or before])) for _ in range(liar.rng.randint(1, 2))]
        return said if liar.rng.random() < instead else [*said, passing]

    liar.lie(old)


def _reorder(liar: Liar) -> None:
    told, many = liar.sometimes(0.5, 1.0), liar.rng.randint(2, 6)
    held: list[Passing] = []

    def release() -> list[Passing]:
        out = held[:]
        held.clear()
        liar.rng.shuffle(out)
        return out

    def hold(passing: Passing) -> Iterable[Passing]:
        if not told(passing):
            return [passing]
        held.append(passing)
        return release() if len(held) >= many else []

    def let_go() -> None:
        for passing in release():
            liar.server.say(passing.sender, passing.to, passing.data)

    liar.lie(hold)
    liar.now_and_then(let_go, (0.5, 3))


def _corrupt(liar: Liar) -> None:
    """Change one digit, cut something off, or leave a field out."""
    told = liar.sometimes(0.05, 0.3, 1.0)

    def change(passing: Passing) -> Iterable[Passing]:
        if not told(passing):
            return [passing]
        data = dict(passing.data)
        field = liar.rng.choice([name for name in data if name != "type"])
        text = data[field]
        match liar.rng.choice(["digit", "digit", "digit", "cut", "byte", "gone"]):
            case "digit" if isinstance(text, str) and text:
                at = liar.rng.randrange(len(text))
                data[field] = text[:at] + ("0" if text[at] != "0" else "1") + text[at + 1 :]
            case "cut" if isinstance(text, str):
                data[field] = text[: len(text) // 2]
            case "byte" if isinstance(text, str):
                data[field] = text[:-2]
            case "gone":
                del data[field]
            case _:
                data[field] = liar.rng.choice(["", 0, 2, "00"])
        return [replace(passing, data=data)]

    liar.lie(change)


def _splice(liar: Liar) -> None:
    """Hand on what one said as if another had, or to somebody else."""
    told, too = liar.sometimes(0.1, 0.5), liar.rng.random() < 0.7

    def splice(passing: Passing) -> Iterable[Passing]:
        if not told(passing):
            return [passing]
        third = liar.other_than(passing.sender, passing.to)
        said = replace(passing, sender=third) if liar.rng.random() < 0.5 else replace(passing, to=third)
        return [said, passing] if too else [said]

    liar.lie(splice)


def _reflect(liar: Liar) -> None:
    told, too = liar.sometimes(0.2, 1.0), liar.rng.random() < 0.7

    def reflect(passing: Passing) -> Iterable[Passing]:
        if not told(passing):
            return [passing]
        said = Passing(passing.to, passing.sender, passing.data)
        return [said, passing] if too else [said]

    liar.lie(reflect)


def _errors(liar: Liar) -> None:
    """Answer with an error, and hand it on or not."""
    told, too = liar.sometimes(0.2, 0.7), liar.rng.random() < 0.5
    codes = liar.rng.choice(
        [
            ["unknown_peer"],
            ["unknown_peer", "rate_limited", "message_too_big", "not_registered"],
            ["unknown_peer", "already_registered", "server_shutdown", "slow_reader"],
            ["unknown_peer"] * 20 + ["replaced"],
        ]
    )

    def error(passing: Passing) -> Iterable[Passing]:
        if not told(passing):
            return [passing]
        code = liar.rng.choice(codes)
        said = {"type": "error", "error": f"{code}: {passing.to}", "code": code, "peer": passing.to}
        liar.server.tell(passing.sender, said)
        return [passing] if too else []

    liar.lie(error)


def _rosters(liar: Liar) -> None:
    """Show everybody another room."""
    names = liar.world.names
    hidden = {(viewer, name) for viewer in names for name in names if viewer != name and liar.rng.random() < 0.3}
    invented = {str(viewer): ["zoe"] for viewer in names if liar.rng.random() < 0.3}

    def shown(viewer: str, message: dict[str, Any]) -> dict[str, Any] | None:
        if message["type"] == "peers":
            left = [name for name in message["peers"] if (viewer, name) not in hidden]
            return {**message, "peers": [*left, *invented.get(viewer, [])]}
        if message["type"] in {"peer_joined", "peer_left"} and (viewer, message["peer_id"]) in hidden:
            return None
        return message

    liar.server.shown = shown


def _comings(liar: Liar) -> None:
    """Say that somebody came or went who did not."""

    def say(viewer: str, name: str) -> None:
        for kind in liar.rng.choice([("peer_left",), ("peer_joined",), ("peer_left", "peer_joined")]):
            liar.server.tell(viewer, {"type": kind, "peer_id": name})

    def anybody() -> None:
        viewer = liar.name()
        say(viewer, liar.other_than(viewer))

    if liar.rng.random() < 0.5:
        liar.now_and_then(anybody, liar.rng.choice([(0.02, 0.1), (0.1, 1), (0.5, 3)]))
    else:
        told = liar.sometimes(0.2, 1.0)

        def after(passing: Passing) -> Iterable[Passing]:
            if told(passing):
                say(passing.to, passing.sender)
            return [passing]

        liar.lie(after)


def _cuts(liar: Liar) -> None:
    """Break connections; now and then take nobody for a while."""

    def cut() -> None:
        if liar.rng.random() < 0.8:
            liar.server.cut(liar.name())
            return
        liar.server.down = True
        for name in liar.server.here:
            liar.server.cut(name)
        asyncio.get_running_loop().call_later(liar.rng.uniform(0, 8), back)

    def back() -> None:
        liar.server.down = False

    liar.now_and_then(cut, liar.rng.choice([(0.2, 1), (1, 5)]))


def _forge(liar: Liar) -> None:
    """Change hellos: a key that did not sign, another key that did, somebody else's nonce."""
    told, name = liar.sometimes(0.3, 1.0), liar.name()
    make = liar.rng.choice(["key", "identity", "nonce", "answering"])
    forged: Lie = {
        "key": lying_server.forge_signature(name),
        "identity": lying_server.swap_identity(name),
        "nonce": lambda passing: [replace(passing, data={**passing.data, "nonce": liar.rng.randbytes(32).hex()})],
        "answering": lambda passing: [
            replace(passing, data={key: value for key, value in passing.data.items() if key != "answering"})
        ],
    }[make]
    too = liar.rng.random() < 0.5

    def forge(passing: Passing) -> Iterable[Passing]:
        if not passing.is_hello or passing.sender != name or not told(passing):
            return [passing]
        try:
            lied = list(forged(passing))
        except Exception:  # noqa: BLE001 (another lie has spoilt it before)
            return [passing]
        return [passing, *lied] if too else lied

    liar.lie(forge)


class _Thief:
    """Somebody with a key of its own who speaks under a participant's name, with the server's help."""

    def __init__(self, liar: Liar) -> None:
        self._liar = liar
        self.name = liar.name()
        self._met: dict[PeerId, IdentityKey] = {}
        self._too = liar.rng.random() < 0.7
        self._conversations = Conversations(
            identity=identity("eve"),
            peer_id=self.name,
            contacts=Contacts,
            send=lambda to, data, _standing: liar.server.say(self.name, to, json.loads(data)),
            complain=lambda _peer, _line: None,
            now=lambda: time.time_ns() // 1_000_000,
            clock=time.monotonic,
            rng=liar.rng.randbytes,
        )
        liar.lie(self._overhear)
        liar.now_and_then(self._speak, (0.2, 2))

    def _overhear(self, passing: Passing) -> Iterable[Passing]:
        if passing.to != self.name or passing.sender == self.name:
            return [passing]
        try:
            taken = self._conversations.receive(PeerId(passing.sender), json.dumps(passing.data).encode())
        except Exception:  # noqa: BLE001 (another lie has spoilt it before)
            return [passing]
        if isinstance(taken, Opened):
            self._liar.world.trace("thief", passing.sender, taken.message)
        return [passing] if self._too else []

    def _speak(self) -> None:
        liar = self._liar
        to = PeerId(liar.other_than(self.name))
        key = self._conversations.key_of(to)
        if key is None:
            self._conversations.introduce(to)
            return
        some = SessionId(liar.rng.randbytes(16))
        messages: list[wire.RelayMessage] = [
            wire.SessionCancel(session_id=some, code="participant_cheated", reason="no", culprits=(to,)),
            wire.CertificateRequest(wallet=WalletId(bytes(16)), epoch=EpochId(bytes(32))),
            wire.Offer(mesh=some, attempt=1, sdp="memory 1 00"),
        ]
        self._conversations.send(to, liar.rng.choice(messages), key=key, expires=2**50)


def _thief(liar: Liar) -> None:
    _Thief(liar)


def _go_between(liar: Liar) -> None:
    """Stand between two that never met; where contacts are pinned there is nothing to stand on."""
    one, other = liar.rng.sample(liar.world.names, 2)
    if not liar.strangers:
        _forge(liar)
        return
    between = GoBetween(liar.server, one, other)  # type: ignore[arg-type]

    def lie(passing: Passing) -> Iterable[Passing]:
        try:
            return list(between(passing))
        except Exception:  # noqa: BLE001 (another lie has spoilt it before)
            return []

    liar.lie(lie)


def _withhold(liar: Liar) -> None:
    """Keep what is said to or by one node until it comes to the server anew, and mix it with what that life hears."""
    one, what = liar.name(), liar.rng.choice(["hellos", "seals", "all", "all"])
    share = liar.rng.choice([0.3, 0.7, 1.0])
    held: list[Passing] = []

    def hold(passing: Passing) -> Iterable[Passing]:
        mine = one in {passing.sender, passing.to} and (what == "all" or passing.is_hello == (what == "hellos"))
        if not mine or liar.rng.random() > share:
            return [passing]
        held.append(passing)
        if len(held) > 40:
            held.pop(0)
        return [] if liar.rng.random() < 0.5 else [passing]

    def came(name: str) -> None:
        if name == one and liar.active:
            for passing in liar.rng.sample(held, len(held)):
                liar.later(liar.rng.uniform(0, liar.rng.choice([0.2, 2])), passing)
            held.clear()

    liar.lie(hold)
    liar.server.on_registered.append(came)
    liar.now_and_then(lambda: came(one), (2, 8))


def _garbage(liar: Liar) -> None:
    """Say in anybody's name what nobody said."""
    between = liar.rng.choice([(0.01, 0.03), (0.1, 0.5), (0.5, 2)])

    def junk() -> None:
        sender = liar.rng.choice([*liar.world.names, "zoe"])
        to = liar.other_than(sender)
        random_key = liar.rng.choice([identity("eve").public_key, liar.rng.randbytes(32)])
        hello = {
            "type": "hello",
            "version": liar.rng.choice([1, 1, 2]),
            "public_key": random_key.hex(),
            "nonce": liar.rng.randbytes(32).hex(),
            "signature": liar.rng.randbytes(64).hex(),
        }
        made: list[dict[str, Any]] = [
            {"type": "sealed", "body": liar.rng.randbytes(60).hex()},
            {"type": "sealed", "body": ""},
            {"type": "no-such"},
            hello,
            {**hello, "answering": liar.rng.randbytes(32).hex()},
        ]
        liar.server.say(sender, to, liar.rng.choice(made))

    liar.now_and_then(junk, between)


def _links(liar: Liar) -> None:
    """Have links not open, or break: a server is on the way of signals, and may be on the way of links."""
    network = liar.world.network

    def trouble() -> None:
        one, other = liar.rng.sample(liar.world.names, 2)
        match liar.rng.choice(["cut", "cut", "stall", "refuse", "heal"]):
            case "cut":
                network.cut(one, other)
            case "stall":
                network.stall(one, other)
            case "refuse":
                network.refuse(one, other, liar.rng.choice([1, 2, 100]))
            case _:
                network.heal(one, other)

    liar.now_and_then(trouble, liar.rng.choice([(0.1, 1), (1, 4)]))


LIES: Final[dict[str, Callable[[Liar], None]]] = {
    "drop": _drop,
    "delay": _delay,
    "twice": _twice,
    "replay": _replay,
    "reorder": _reorder,
    "corrupt": _corrupt,
    "splice": _splice,
    "reflect": _reflect,
    "errors": _errors,
    "rosters": _rosters,
    "comings": _comings,
    "cuts": _cuts,
    "forge": _forge,
    "thief": _thief,
    "between": _go_between,
    "withhold": _withhold,
    "garbage": _garbage,
    "links": _links,
}
