"""A participant that cheats on command: honest code, and one lie in what leaves it.

Two places are enough. The steps of the protocol make commitments and shares, and here they make the wrong ones; and
whatever is sent goes through the mesh, which here says something else.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Final

import msgspec

from mpcnode.crypto.ciphersuite import AnySuite
from mpcnode.crypto.group import Rng, Scalar
from mpcnode.crypto.polynomial import Polynomial
from mpcnode.faults.model import Cheat
from mpcnode.faults.stand_in import put_in_place_of
from mpcnode.mesh.mesh import Mesh
from mpcnode.protocols.frost import pedpop
from mpcnode.protocols.frost.broadcast import SignedDigest, digest_of, echo_of, sign_digest
from mpcnode.protocols.frost.packages import Round1Package
from mpcnode.types import Identifier, PeerId, SuiteId
from mpcnode.wire.framing import FRAME_SIZE
from mpcnode.wire.peer import (
    Commitment,
    CommitmentDigest,
    CommitmentList,
    PeerMessage,
    Ready,
    Share,
    SignatureShare,
    SigningCommitments,
    WalletCreated,
    type_name,
)

Commit = Callable[[AnySuite, Identifier, int, Rng], tuple[Polynomial[Any, Any], Round1Package]]

_OTHER_SESSION: Final = "0f" * 16
_LONG: Final = b"\x01" + (900_000).to_bytes(4, "big") + b"{" * (FRAME_SIZE - 5)
"""The first piece of what would be 900 kilobytes."""
_SIGNING: Final = frozenset({"signing_commitments", "commitment_list", "signature_share"})
_BIT_IN: Final = {"ready": "signature", "wallet_created": "pubkey"}
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
    suite: AnySuite, me: Identifier, threshold: int, rng: Rng
) -> tuple[Polynomial[Any, Any], Round1Package]:
    return _commit(suite, me, threshold + 1, rng)


def _fewer_points(
    suite: AnySuite, me: Identifier, threshold: int, rng: Rng
) -> tuple[Polynomial[Any, Any], Round1Package]:
    return _commit(suite, me, threshold - 1, rng)


def _identity_point(
    suite: AnySuite, me: Identifier, threshold: int, rng: Rng
) -> tuple[Polynomial[Any, Any], Round1Package]:
    polynomial, package = _commit(suite, me, threshold, rng)
    return polynomial, _FalsePackage(suite, package.commitment, package.proof_of_knowledge)


def _wrong_proof(
    suite: AnySuite, me: Identifier, threshold: int, rng: Rng
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

    def commit(
        self, suite: AnySuite, me: Identifier, threshold: int, rng: Rng
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

    def __init__(self, **arguments: Any) -> None:  # noqa: ANN401 -- as Mesh has them
        super().__init__(**arguments)
        self._names: list[PeerId] = sorted(arguments["roster"])
        self._me = self._identifier(self.peer_id)
        victim = self.liar.cheat.to
        self.liar.victim = None if victim is None else self._identifier(PeerId(victim))
        self._heard: list[tuple[PeerId, PeerMessage]] = []
        self._waiting_to_repeat: list[PeerId] = []
        self._context = b""

    def send(self, to: PeerId, message: PeerMessage) -> None:
        """Send it, or the lie."""
        cheat = self.liar.cheat
        if cheat.to not in {None, to}:
            super().send(to, message)
        elif cheat.how == "early" and isinstance(message, _first_of(cheat.message)):
            super().send(to, _made_up(cheat.message, message))
            super().send(to, message)
        elif cheat.how == "two-faced" and isinstance(message, CommitmentDigest | Commitment):
            super().send(to, self._other_face(message))
        elif type_name(message) == cheat.message:
            self._lie(to, message)
        else:
            super().send(to, message)

    def broadcast(self, message: PeerMessage) -> None:
        """Send it to everybody, one by one: not everybody is lied to."""
        for name in self._names:
            if name != self.peer_id:
                self.send(name, message)

    async def receive(self) -> tuple[PeerId, PeerMessage]:
        """Receive, and remember what is to be repeated."""
        sender, message = await super().receive()
        self._heard.append((sender, message))
        if type_name(message) == self.liar.cheat.message:
            for to in self._waiting_to_repeat:
                super().send(to, message)
            self._waiting_to_repeat.clear()
        return sender, message

    def _lie(self, to: PeerId, message: PeerMessage) -> None:
        match self.liar.cheat.how:
            case "flip":
                super().send(to, _flip(message))
            case "twice":
                super().send(to, message)
                super().send(to, message)
            case "other-session":
                super().send(to, msgspec.structs.replace(message, session_id=_OTHER_SESSION))
            case "900-kilobytes":
                self._send_long(to)
            case "another's":
                self._repeat(to, message)
            case "never":
                pass
            case _:
                super().send(to, message)

    def _repeat(self, to: PeerId, instead: PeerMessage) -> None:
        """Say what another said in this session, or will have said."""
        for _, heard in self._heard:
            if type_name(heard) == type_name(instead) and _session(heard) == _session(instead):
                super().send(to, heard)
                return
        self._waiting_to_repeat.append(to)

    def _send_long(self, to: PeerId) -> None:
        # Our own framing does not make it, so it goes past that.
        attempt = self._links[to]._attempt  # noqa: SLF001 -- see above
        if attempt is not None:
            attempt.send(_LONG)

    def _identifier(self, name: PeerId) -> Identifier:
        return Identifier(self._names.index(name) + 1)

    def _other_face(self, message: CommitmentDigest | Commitment) -> PeerMessage:
        """Promise and reveal the other package, so that for the victim alone everything fits."""
        suite = SuiteId(message.suite)
        package = self.liar.other_face[suite]
        if isinstance(message, CommitmentDigest):
            self._context = bytes.fromhex(message.data)[:32]
            return msgspec.structs.replace(message, data=(self._context + self._promise(suite, package).encode()).hex())
        digests = {self._me: self._promise(suite, package)}
        for sender, heard in self._heard:
            if isinstance(heard, CommitmentDigest) and heard.suite == suite:
                digests[self._identifier(sender)] = SignedDigest.decode(bytes.fromhex(heard.data)[32:])
        echo = echo_of(self._context, suite, digests)
        return msgspec.structs.replace(message, data=package.hex(), echo=echo.hex())

    def _promise(self, suite: SuiteId, package: bytes) -> SignedDigest:
        digest = digest_of(self._context, suite, self._me, package)
        return sign_digest(_Signing(self.sign), self._context, suite, self._me, digest)


@dataclass(frozen=True, slots=True)
class _Signing:
    """As much of an identity as signs."""

    signs: Callable[[str, bytes], bytes]

    def sign(self, context: str, message: bytes) -> bytes:
        """Sign."""
        return self.signs(context, message)


def _flip(message: PeerMessage) -> PeerMessage:
    """Change the last bit that can be changed."""
    name = _BIT_IN.get(type_name(message), "data")
    data = bytearray.fromhex(getattr(message, name))
    data[-1] ^= 1
    return msgspec.structs.replace(message, **{name: data.hex()})


def _first_of(kind: str) -> type[CommitmentDigest | SigningCommitments]:
    """What begins the protocol that ``kind`` is of."""
    return SigningCommitments if kind in _SIGNING else CommitmentDigest


def _session(message: PeerMessage) -> str:
    return getattr(message, "session_id", "")


def _made_up(kind: str, like: CommitmentDigest | SigningCommitments) -> PeerMessage:
    """Make a message of ``kind`` that nobody could make so early."""
    made: dict[str, PeerMessage] = {
        "commitment": Commitment(like.session_id, like.suite, "00", "00" * 32),
        "share": Share(like.session_id, like.suite, "00"),
        "ready": Ready(like.session_id, "00" * 32, "00" * 64),
        "wallet_created": WalletCreated(like.session_id, "00", {SuiteId(like.suite): "00"}),
        "commitment_list": CommitmentList(like.session_id, like.suite, "00"),
        "signature_share": SignatureShare(like.session_id, like.suite, "00"),
    }
    return made[kind]
