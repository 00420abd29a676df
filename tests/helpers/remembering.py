"""A process that makes a wallet, signs with it, and wipes; then it stands still to be looked at.

``python -m tests.helpers.remembering DIRECTORY [kept]``: three participants, each with a home of its own, in one
process. Every secret is told on the way, masked (``tests.helpers.memory``). After each use of a secret it says
``look``, and at the end ``done``; each time it waits for its input. With ``kept`` no buffer of ours is ever freed, so
that one that was not wiped is found whatever the allocator would have put in its place.
"""

import asyncio
import gc
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Self, SupportsIndex

from mpcnode.crypto import ciphersuite, hashing
from mpcnode.crypto.adjustment import KeyAdjustment, default_adjustments
from mpcnode.crypto.group import Scalar
from mpcnode.crypto.polynomial import Polynomial
from mpcnode.crypto.suites import DEFAULT_SUITES
from mpcnode.identity import hpke
from mpcnode.identity.identity import Identity
from mpcnode.keystore import keyring as keys
from mpcnode.keystore.format import KdfPolicy
from mpcnode.keystore.keyring import Keyring
from mpcnode.keystore.store import Home
from mpcnode.protocols.checkpoints import StoreActive, StorePending
from mpcnode.protocols.descriptor import KEYGEN, Descriptor, Member
from mpcnode.protocols.execution import Execution
from mpcnode.protocols.frost import pedpop, round1
from mpcnode.protocols.frost.keygen import keygen
from mpcnode.protocols.frost.packages import Round2Package
from mpcnode.protocols.frost.sign import sign
from mpcnode.protocols.signing_descriptor import SigningDescriptor
from mpcnode.types import Identifier, PeerId, SessionId
from mpcnode.wallet.store import Wallets
from mpcnode.wallet.wallet import Wallet
from tests.helpers.memory import tell

QUICK = KdfPolicy(8 << 20, 1)


def stand_still(why: str) -> None:
    """Wait until somebody has looked at this process's memory."""
    print(why, flush=True)
    sys.stdin.readline()


@dataclass
class Node:
    """One participant."""

    me: Identifier
    home: Home
    keyring: Keyring
    identity: Identity
    wallets: Wallets

    @property
    def name(self) -> PeerId:
        return PeerId(f"cli{self.me}")

    @property
    def member(self) -> Member:
        return Member(self.me, self.name, self.identity.public_key)


def start(directory: Path, me: int) -> Node:
    """Make an identity, and open it again as a node does that was started."""
    home = Home.open(directory / f"cli{me}", create=True)
    keyring = Keyring(bytearray(b"of a throw-away home"))
    home.create_identity(keyring, QUICK).wipe()
    identity = home.load_identity(keyring)
    return Node(Identifier(me), home, keyring, identity, Wallets(home, keyring, PeerId(f"cli{me}")))


async def run(executions: Mapping[Identifier, Execution[Any]], nodes: Mapping[Identifier, Node]) -> None:
    """Deliver everything, and store what is to be stored."""
    while True:
        posted = [(i, *sent) for i, execution in executions.items() for sent in execution.messages_to_send()]
        for sender, recipient, message in posted:
            for to in executions if recipient is None else (recipient,):
                if to != sender:
                    executions[to].receive(sender, message)
        asked = {i: execution for i, execution in executions.items() if execution.checkpoint is not None}
        for i, execution in asked.items():
            record = execution.checkpoint
            if isinstance(record, StorePending):
                assert record.chain_code is not None
                assert record.document_key is not None
                tell("chain-code", record.chain_code)
                tell("document-key", record.document_key)
                await nodes[i].wallets.store_pending(record, name="treasury", verified="words", now=1)
            elif isinstance(record, StoreActive):
                (wallet,) = nodes[i].wallets.all()
                await nodes[i].wallets.merge(wallet.wallet_id, record.certificate)
            del record
            execution.confirm()
        if not posted and not asked:
            return


async def make_wallet(nodes: Mapping[Identifier, Node]) -> None:
    descriptor = Descriptor(
        agreed=os.urandom(32),
        session_id=SessionId(os.urandom(16)),
        kind=KEYGEN,
        wallet_name="treasury",
        threshold=2,
        suites=DEFAULT_SUITES,
        roster=tuple(node.member for node in nodes.values()),
    )
    names = descriptor.participants
    executions = {
        i: Execution(
            keygen(descriptor=descriptor, me=i, signer=node.identity, rng=os.urandom), me=i, participants=names
        )
        for i, node in nodes.items()
    }
    await run(executions, nodes)
    assert all(execution.finished for execution in executions.values())


async def sign_with(nodes: Mapping[Identifier, Node], suite: Any) -> None:
    """Have the first two sign two messages."""
    signers = {i: node for i, node in nodes.items() if i < 3}
    wallets: dict[Identifier, Wallet] = {i: node.wallets.named("treasury") for i, node in signers.items()}
    first = wallets[Identifier(1)]
    descriptor = SigningDescriptor(
        agreed=os.urandom(32),
        session_id=SessionId(os.urandom(16)),
        wallet_id=first.wallet_id,
        epoch_id=first.current.epoch_id,
        suite=suite,
        group_public_key=first.keys(suite).group_public_key,
        threshold=2,
        signers=tuple(node.member for node in signers.values()),
        reading="hex",
        messages=(b"one", b"two"),
        adjustments=default_adjustments(suite),
    )
    names = descriptor.participants
    one, two = signers.values()
    async with (
        one.wallets.signing_key(wallets[one.me], suite) as first_key,
        two.wallets.signing_key(wallets[two.me], suite) as second_key,
    ):
        lent = {one.me: await first_key(), two.me: await second_key()}
        executions = {
            i: Execution(
                sign(
                    descriptor=descriptor,
                    me=i,
                    key=lent[i][0],
                    public=lent[i][1],
                    signer=node.identity,
                    rng=os.urandom,
                    process=os.getpid,
                ),
                me=i,
                participants=names,
            )
            for i, node in signers.items()
        }
        await run(executions, nodes)
        assert all(len(execution.result) == 2 for execution in executions.values())


def watch(owner: Any, name: str, look: Callable[[Any, tuple[Any, ...]], None]) -> None:
    """Have ``look`` see what a function of ours gives, and what it was given."""
    function = getattr(owner, name)

    def watched(*given: Any, **named: Any) -> Any:
        result = function(*given, **named)
        look(result, given)
        return result

    setattr(owner, name, watched)


class Either(type):
    """What our modules ask for as ``bytearray`` while buffers are kept: every buffer is one."""

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, bytearray)


class Kept(bytearray, metaclass=Either):
    """A buffer that is never freed, nor are the buffers that are made of it."""

    __slots__ = ()

    def __new__(cls, *given: Any) -> Self:
        made = super().__new__(cls, *given)
        KEPT.append(made)
        return made

    def __getitem__(self, place: SupportsIndex | slice) -> Any:
        part = super().__getitem__(place)
        return Kept(part) if isinstance(place, slice) else part

    def __add__(self, other: Any) -> Any:
        return Kept(super().__add__(other))

    def __iadd__(self, other: Any) -> Self:
        Kept(self)  # a buffer that grows may move, and leave behind what it held
        return super().__iadd__(other)

    def __delitem__(self, place: SupportsIndex | slice) -> None:
        Kept(self)  # the same where it shrinks
        super().__delitem__(place)

    def clear(self) -> None:
        Kept(self)
        super().clear()

    def translate(self, *given: Any) -> Any:
        return Kept(super().translate(*given))

    def join(self, parts: Any) -> Any:
        return Kept(super().join(parts))


KEPT: list[bytearray] = []
SECRETIVE = ("crypto", "identity", "keystore", "wallet", "protocols")
"""The packages that have secrets in their hands."""


def keep_buffers() -> None:
    """Have every module with secrets make buffers that stay."""
    for name, module in [*sys.modules.items()]:
        if name.startswith(tuple(f"mpcnode.{package}." for package in SECRETIVE)):
            assert isinstance(module, ModuleType)
            module.bytearray = Kept  # type: ignore[attr-defined]


def tell_each(name: str, scalars: Iterable[Scalar]) -> None:
    for scalar in scalars:
        tell(name, scalar._buffer)


def tell_all() -> None:
    """Tell every secret as it is made."""
    watch(round1, "nonce_generate", lambda nonce, _given: tell("nonce", nonce._buffer))
    watch(pedpop, "deal", lambda dealt, _given: tell_each("dealt-share", dealt.values()))
    watch(Round2Package, "encode", lambda encoded, _given: tell("package", memoryview(encoded)[-32:]))
    watch(Polynomial, "__init__", lambda _none, given: tell_each("coefficient", given[2]))
    watch(pedpop, "finish", lambda share, _given: tell("share", share.key.signing_share._buffer))
    watch(Identity, "from_seed", lambda _identity, given: tell("identity", given[0]))
    watch(Keyring, "_root", lambda root, _given: tell("root", root))
    watch(keys, "_file_key", lambda key, _given: tell("file-key", key))
    watch(KeyAdjustment, "scalar", lambda share, _given: tell("adjusted-share", share._buffer))
    watch(Identity, "_ephemeral", lambda key, _given: tell("ephemeral", key))
    watch(hpke, "_extract", tell_extracted)
    watch(hpke, "_expand", tell_expanded)
    watch(hashing, "sha256", lambda digest, _given: tell("digest", digest))
    watch(hashing, "sha512", lambda digest, _given: tell("digest", digest))
    watch(hashing, "sha256_into", lambda _none, given: tell("digest", given[0]))
    watch(ciphersuite, "expand_secret_xmd", lambda uniform, _given: tell("digest", uniform))


def tell_extracted(prk: bytearray, given: tuple[Any, ...]) -> None:
    _, salt, label, ikm = given
    if salt or label == b"eae_prk":  # the others are hashes of public values
        tell("sealing-key", prk)
        if ikm:
            tell("agreed", ikm)


def tell_expanded(key: bytearray, given: tuple[Any, ...]) -> None:
    tell("sealing-key", given[1])
    tell("sealing-key", key)


async def main(directory: Path) -> None:
    tell_all()
    nodes = {Identifier(i): start(directory, i) for i in (1, 2, 3)}
    await make_wallet(nodes)
    stand_still("look")
    for suite in DEFAULT_SUITES:
        await sign_with(nodes, suite)
        stand_still("look")
    for node in nodes.values():
        node.identity.wipe()
        node.keyring.close()


if __name__ == "__main__":
    if "kept" in sys.argv[2:]:
        keep_buffers()
    asyncio.run(main(Path(sys.argv[1])))
    gc.collect()
    stand_still("done")
