"""A participant that cheats on command: honest code, and one lie in what leaves it.

Two places are enough. The steps of the protocol make commitments and shares, and here they make the wrong ones; and
whatever is sent goes through the mesh, which here says something else.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Final

import msgspec

from mpcnode.crypto.ciphersuite import AnyCiphersuite
from mpcnode.crypto.group import Rng, Scalar
from mpcnode.crypto.polynomial import Polynomial
from mpcnode.crypto.suites import DEFAULT_SUITES
from mpcnode.faults.model import Cheat
from mpcnode.faults.stand_in import put_in_place_of
from mpcnode.mesh.mesh import Mesh
from mpcnode.mesh.transport import LinkChange, Local
from mpcnode.protocols.descriptor import AGREED_SIZE, context
from mpcnode.protocols.frost import pedpop
from mpcnode.protocols.frost.broadcast import Promise, digest_of, echo_of, promise
from mpcnode.protocols.frost.packages import Round1Package
from mpcnode.types import Identifier, IdentityKey, PeerId, SessionId, SuiteId
from mpcnode.wire.peer import PeerMessage, RoundMessage

Commit = Callable[[AnyCiphersuite, Identifier, int, Rng], tuple[Polynomial[Any, Any], Round1Package]]

_OTHER_SESSION: Final = SessionId(bytes.fromhex("0f" * 16))
_LONG: Final = bytes(900_000)
_SIGNING: Final = frozenset({"nonces", "nonce_list", "signature_share"})
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
    """A round-1 package with the identity in its bytes: no element of ours can be it."""

    def encode(self) -> bytes:
        """Give the identity's bytes for the last element, which makes the degree too low in a way that counts right."""
        true, size = super().encode(), self.suite.group.element_size
        # As Ed25519 writes it; SEC 1 gives the identity no form of an element's length, so zeros stand for it.
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
    """The packages that nobody but the victim is told."""
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

    def __init__(
        self,
        local: Local,
        mesh_id: SessionId,
        roster: Mapping[PeerId, IdentityKey],
        on_link: Callable[[LinkChange], None] = lambda _change: None,
    ) -> None:
        super().__init__(local, mesh_id, roster, on_link)
        self._sign = local.sign
        # In a new wallet, whose shares are what is lied about, participants are numbered in the order of their names.
        self._names: list[PeerId] = sorted(roster)
        self._me = self._identifier(self.peer_id)
        victim = self.liar.cheat.to
        self.liar.victim = None if victim is None else self._identifier(PeerId(victim))
        self._heard: list[tuple[PeerId, RoundMessage]] = []
        self._waiting_to_repeat: list[PeerId] = []

    def send(self, to: PeerId, message: PeerMessage, *, heard: bool = False) -> None:
        """Send it, or the lie."""
        cheat = self.liar.cheat
        if cheat.to not in {None, to} or not isinstance(message, RoundMessage):
            super().send(to, message, heard=heard)
        elif cheat.how == "early" and message.round == _first_of(cheat.message):
            super().send(to, _made_up(cheat.message, message))
            super().send(to, message)
        elif cheat.how == "two-faced" and message.round in {"digest", "commitment"}:
            super().send(to, self._other_face(message), heard=heard)
        elif message.round == cheat.message:
            self._lie(to, message)
        else:
            super().send(to, message, heard=heard)

    async def receive(self) -> tuple[PeerId, PeerMessage]:
        """Receive, and remember what is to be repeated."""
        sender, message = await super().receive()
        if isinstance(message, RoundMessage):
            self._heard.append((sender, message))
            if message.round == self.liar.cheat.message:
                for to in self._waiting_to_repeat:
                    super().send(to, message)
                self._waiting_to_repeat.clear()
        return sender, message

    def _lie(self, to: PeerId, message: RoundMessage) -> None:
        match self.liar.cheat.how:
            case "flip":
                super().send(to, msgspec.structs.replace(message, data=_flipped(message.data)))
            case "twice":
                super().send(to, message)
                super().send(to, message)
            case "other-session":
                super().send(to, msgspec.structs.replace(message, session_id=_OTHER_SESSION))
            case "900-kilobytes":
                super().send(to, msgspec.structs.replace(message, data=_LONG))
            case "another's":
                self._repeat(to, message)
            case "never":
                pass
            case _:
                super().send(to, message)

    def _repeat(self, to: PeerId, instead: RoundMessage) -> None:
        """Say what another said in this session, or will have said."""
        for _, heard in self._heard:
            if (heard.round, heard.session_id) == (instead.round, instead.session_id):
                super().send(to, heard)
                return
        self._waiting_to_repeat.append(to)

    def _identifier(self, name: PeerId) -> Identifier:
        return Identifier(self._names.index(name) + 1)

    def _other_face(self, message: RoundMessage) -> RoundMessage:
        """Promise and reveal the other packages, so that for the victim alone everything fits."""
        faces = self.liar.other_face
        if message.round == "digest":
            agreed, said = message.data[:AGREED_SIZE], message.data[AGREED_SIZE:]
            honest = Promise.decode(_count(said), said)
            # The digests of the suites come last, in the order in which the packages were made.
            digests = [digest_of(agreed, suite, self._me, honest.fresh, face) for suite, face in faces.items()]
            kept = honest.digests[: len(honest.digests) - len(digests)]
            self.liar.agreed = agreed
            self.liar.promised = promise(_Signing(self._sign), agreed, self._me, honest.fresh, [*kept, *digests])
            return msgspec.structs.replace(message, data=agreed + self.liar.promised.encode())
        assert self.liar.promised is not None
        promises = {self._me: self.liar.promised}
        for sender, heard in self._heard:
            if heard.round == "digest" and heard.session_id == message.session_id:
                said = heard.data[AGREED_SIZE:]
                promises[self._identifier(sender)] = Promise.decode(_count(said), said)
        bound = context(self.liar.agreed, {i: said.fresh for i, said in promises.items()})
        face = faces.get(SuiteId(message.lane or ""), message.data)
        return msgspec.structs.replace(message, data=face, echo=echo_of(bound, promises))


@dataclass(frozen=True, slots=True)
class _Signing:
    """As much of an identity as signs."""

    signs: Callable[..., bytes]

    def sign(self, tag: str, *fields: bytes) -> bytes:
        """Sign."""
        return self.signs(tag, *fields)


def _count(said: bytes) -> int:
    """How many digests an encoded promise has."""
    return (len(said) - Promise.size(0)) // (Promise.size(1) - Promise.size(0))


def _flipped(data: bytes) -> bytes:
    """Change the last bit."""
    changed = bytearray(data)
    changed[-1] ^= 1
    return bytes(changed)


def _first_of(kind: str) -> str:
    """What begins the protocol that ``kind`` is of."""
    return "nonces" if kind in _SIGNING else "digest"


def _made_up(kind: str, like: RoundMessage) -> RoundMessage:
    """Make a message of ``kind`` that nobody could make so early."""
    lanes = {"commitment", "share"}
    lane = like.lane or DEFAULT_SUITES[0]
    return RoundMessage(
        session_id=like.session_id,
        round=kind,
        lane=SuiteId(lane) if kind in lanes | _SIGNING else None,
        data=bytes(1),
        echo=bytes(32) if kind == "commitment" else None,
    )
