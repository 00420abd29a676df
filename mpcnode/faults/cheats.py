"""A participant that cheats on command: honest code, and one lie in what leaves it.

Two places are enough. The steps of the protocol make commitments and shares, and here they make the wrong ones. Every
message goes through the mesh, which here says something else.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Final

import msgspec

from mpcnode.commands import DEFAULT_SUITES
from mpcnode.crypto.ciphersuite import AnyCiphersuite
from mpcnode.crypto.group import Rng, Scalar
from mpcnode.crypto.polynomial import Polynomial
from mpcnode.faults.model import Cheat
from mpcnode.faults.stand_in import put_in_place_of
from mpcnode.mesh.mesh import Mesh
from mpcnode.protocols.descriptor import AGREED_SIZE, context
from mpcnode.protocols.frost import pedpop
from mpcnode.protocols.frost.broadcast import Promise, digest_of, echo_of, promise
from mpcnode.protocols.frost.packages import Round1Package
from mpcnode.types import Identifier, PeerId, SessionId, SuiteId
from mpcnode.wire.framing import FRAME_SIZE
from mpcnode.wire.peer import PeerMessage, RoundMessage

Commit = Callable[[AnyCiphersuite, Identifier, int, Rng], tuple[Polynomial[Any, Any], Round1Package]]

_OTHER_SESSION: Final = SessionId(b"\x0f" * 16)
_LONG: Final = b"\x01" + (5_000_000).to_bytes(4, "big") + b"{" * (FRAME_SIZE - 5)
"""The first piece of what would be five megabytes."""
_SIGNING: Final = frozenset({"nonces", "nonce_list", "signature_share"})
_FIRST_ROUNDS: Final = frozenset({"digest", "nonces"})
_commit: Final = pedpop.commit
_deal: Final = pedpop.deal


def install(cheat: Cheat) -> None:
    """Have this process cheat in every session; before anything of a node is made."""
    liar = _CheatingMesh.liar = _Liar(cheat)
    put_in_place_of(Mesh, _CheatingMesh)
    put_in_place_of(pedpop.commit, liar.commit)
    put_in_place_of(pedpop.deal, liar.deal)


# --- the steps of the protocol ---


class _FalsePackage(Round1Package):
    """A round-1 package whose bytes hold the identity, which no element of a true package can be."""

    def encode(self) -> bytes:
        """Give the identity's bytes for the last element, which makes the degree too low in a way that counts right."""
        true, size = super().encode(), self.suite.group.element_size
        # As Ed25519 writes it. In SEC 1 the identity has no form of an element's length, so zeros stand for it.
        identity = bytes([1]).ljust(size, b"\x00") if size == 32 else bytes(size)
        last = 6 + (len(self.commitment) - 1) * size
        return true[:last] + identity + true[last + size :]


def _more_points(
    suite: AnyCiphersuite, me: Identifier, threshold: int, rng: Rng
) -> tuple[Polynomial[Any, Any], Round1Package]:
    return _commit(suite, me, threshold + 1, rng)


def _fewer_points(
    suite: AnyCiphersuite, me: Identifier, threshold: int, rng: Rng
) -> tuple[Polynomial[Any, Any], Round1Package]:
    return _commit(suite, me, threshold - 1, rng)


def _identity_point(
    suite: AnyCiphersuite, me: Identifier, threshold: int, rng: Rng
) -> tuple[Polynomial[Any, Any], Round1Package]:
    polynomial, package = _commit(suite, me, threshold, rng)
    return polynomial, _FalsePackage(suite, package.commitment, package.proof_of_knowledge)


def _wrong_proof(
    suite: AnyCiphersuite, me: Identifier, threshold: int, rng: Rng
) -> tuple[Polynomial[Any, Any], Round1Package]:
    polynomial, package = _commit(suite, me, threshold, rng)
    other, proof = _commit(suite, me, threshold, rng)
    other.wipe()
    return polynomial, replace(package, proof_of_knowledge=proof.proof_of_knowledge)


_COMMITS: Final[Mapping[str, Commit]] = {
    "more-points": _more_points,
    "fewer-points": _fewer_points,
    "identity-point": _identity_point,
    "wrong-proof": _wrong_proof,
}


@dataclass(slots=True)
class _Liar:
    """One lie, and what this process must remember to tell it."""

    cheat: Cheat
    victim: Identifier | None = None
    """Of the session that came last."""
    other_face: dict[SuiteId, bytes] = field(default_factory=dict)
    """The packages that only the victim is told."""
    agreed: bytes = b""
    promised: Promise | None = None
    """What the victim was promised."""

    def commit(
        self, suite: AnyCiphersuite, me: Identifier, threshold: int, rng: Rng
    ) -> tuple[Polynomial[Any, Any], Round1Package]:
        """Commit as the lie wants it."""
        if self.cheat.how == "two-faced":
            other, package = _commit(suite, me, threshold, rng)
            other.wipe()
            self.other_face[suite.id] = package.encode()
        return _COMMITS.get(self.cheat.how, _commit)(suite, me, threshold, rng)

    def deal(self, f_i: Polynomial[Any, Any], recipients: Iterable[Identifier]) -> Mapping[Identifier, Scalar]:
        """Deal shares; the victim's is another's where the lie wants it."""
        shares = dict(_deal(f_i, recipients))
        if self.cheat.how == "off-curve":
            for victim in shares if self.victim is None else [self.victim]:
                shares[victim].wipe()
                shares[victim] = f_i.evaluate(Identifier(victim + 1))
        return shares


# --- what is sent ---


class _CheatingMesh(Mesh):
    """A mesh that says something else than it is given."""

    liar: ClassVar[_Liar]

    def __init__(self, *arguments: Any, **named: Any) -> None:  # noqa: ANN401 -- as Mesh has them
        super().__init__(*arguments, **named)
        self._names: list[PeerId] = sorted([*self._links, self.peer_id])
        self._me = self._identifier(self.peer_id)
        victim = self.liar.cheat.to
        self.liar.victim = None if victim is None else self._identifier(PeerId(victim))
        self._heard: list[tuple[PeerId, RoundMessage]] = []
        self._waiting_to_repeat: list[tuple[PeerId, RoundMessage]] = []
        self._agreed = b""

    def send(self, to: PeerId, message: PeerMessage, *, heard: bool = False) -> None:
        """Send it, or the lie."""
        cheat = self.liar.cheat
        if cheat.to not in {None, to} or not isinstance(message, RoundMessage):
            super().send(to, message, heard=heard)
        elif cheat.how == "early" and message.round in _FIRST_ROUNDS and _is_before(message.round, cheat.message):
            super().send(to, _made_up(cheat.message, message))
            super().send(to, message, heard=heard)
        elif cheat.how == "two-faced" and message.round in {"digest", "commitment"}:
            super().send(to, self._other_face(message), heard=heard)
        elif message.round == cheat.message:
            self._lie(to, message, heard=heard)
        else:
            super().send(to, message, heard=heard)

    def broadcast(self, message: PeerMessage, *, heard: bool = False) -> None:
        """Send it to everybody, one by one: not everybody is lied to."""
        for name in self._names:
            if name != self.peer_id:
                self.send(name, message, heard=heard)

    async def receive(self) -> tuple[PeerId, PeerMessage]:
        """Receive, and remember what is to be repeated."""
        sender, message = await super().receive()
        if isinstance(message, RoundMessage):
            self._heard.append((sender, message))
            waiting, self._waiting_to_repeat = self._waiting_to_repeat, []
            for to, instead in waiting:
                self._repeat(to, instead)
        return sender, message

    def _lie(self, to: PeerId, message: RoundMessage, *, heard: bool) -> None:
        match self.liar.cheat.how:
            case "flip":
                super().send(to, _flip(message), heard=heard)
            case "twice":
                super().send(to, message, heard=heard)
                super().send(to, message)
            case "other-session":
                super().send(to, msgspec.structs.replace(message, session_id=_OTHER_SESSION))
            case "five-megabytes":
                self._send_long(to)
            case "another's":
                self._repeat(to, message)
            case "never":
                pass
            case _:
                super().send(to, message, heard=heard)

    def _repeat(self, to: PeerId, instead: RoundMessage) -> None:
        """Repeat what another said in this session, or wait until it says it."""
        for _, said in self._heard:
            if (said.round, said.session_id, said.lane) == (instead.round, instead.session_id, instead.lane):
                super().send(to, said)
                return
        self._waiting_to_repeat.append((to, instead))

    def _send_long(self, to: PeerId) -> None:
        # The framing does not make such a message, so this goes past it.
        attempt = self._links[to]._attempt  # noqa: SLF001 -- see above
        if attempt is not None:
            attempt.send(_LONG)

    def _identifier(self, name: PeerId) -> Identifier:
        return Identifier(self._names.index(name) + 1)

    def _other_face(self, message: RoundMessage) -> PeerMessage:
        """Promise and reveal the other packages, so that for the victim alone everything fits."""
        if message.round == "digest":
            self._agreed = message.data[:AGREED_SIZE]
            return msgspec.structs.replace(message, data=self._agreed + self._promise(message).encode())
        digests = {self._me: self._promised}
        for sender, said in self._heard:
            if said.round == "digest" and said.session_id == message.session_id:
                digests[self._identifier(sender)] = _promise_in(said)
        bound = context(self._agreed, {i: said.fresh for i, said in digests.items()})
        data = message.data if message.lane is None else self.liar.other_face[SuiteId(message.lane)]
        return msgspec.structs.replace(message, data=data, echo=echo_of(bound, digests))

    def _promise(self, message: RoundMessage) -> Promise:
        honest, faces = _promise_in(message), self.liar.other_face
        own = honest.digests[: len(honest.digests) - len(faces)]  # of the chain code, which is the same for everybody
        others = [digest_of(self._agreed, suite, self._me, honest.fresh, package) for suite, package in faces.items()]
        signer = _Signing(self._local.sign)
        self._promised = promise(signer, self._agreed, self._me, honest.fresh, [*own, *others])
        return self._promised


@dataclass(frozen=True, slots=True)
class _Signing:
    """As much of an identity as signs."""

    signs: Callable[..., bytes]

    def sign(self, tag: str, *fields: bytes) -> bytes:
        """Sign."""
        return self.signs(tag, *fields)


def _promise_in(message: RoundMessage) -> Promise:
    data = message.data[AGREED_SIZE:]
    return Promise.decode((len(data) - Promise.size(0)) // (Promise.size(1) - Promise.size(0)), data)


def _flip(message: RoundMessage) -> PeerMessage:
    """Change the last bit."""
    data = bytearray(message.data)
    data[-1] ^= 1
    return msgspec.structs.replace(message, data=bytes(data))


def _is_before(first: str, kind: str) -> bool:
    """Say whether ``kind`` is a round of the protocol that begins with ``first``."""
    return (first == "nonces") == (kind in _SIGNING)


def _made_up(kind: str, like: RoundMessage) -> PeerMessage:
    """Make a message of ``kind`` that no participant could make so early."""
    lane = DEFAULT_SUITES[0] if kind in {"commitment", "share"} else None
    echo = bytes(32) if kind == "commitment" else None
    return RoundMessage(session_id=like.session_id, round=kind, lane=lane, data=b"\0", echo=echo)
