"""A participant that lies: the honest node, and one lie or two in what leaves it."""

import asyncio
import random
from collections.abc import Callable, Collection, Iterable
from types import SimpleNamespace
from typing import Any, Final

import msgspec

from mpcnode.crypto import tags
from mpcnode.crypto.ciphersuite import CIPHERSUITES
from mpcnode.protocols.descriptor import AGREED_SIZE
from mpcnode.protocols.frost.broadcast import BOUND_SIZE, digest_of, promise
from mpcnode.protocols.frost.sign import HEAD_SIZE
from mpcnode.protocols.frost.signing_packages import SignatureShare, SigningCommitments
from mpcnode.types import Identifier, IdentityKey, PeerId, SessionId, SuiteId
from mpcnode.wire import agreement, relay
from mpcnode.wire.framing import FRAME_SIZE
from mpcnode.wire.peer import Abort, ChannelOpen, Idle, MeshReady, PeerMessage, RoundMessage
from mpcnode.wire.relay import RelayMessage, SessionCancel, SessionProposal, SessionResponse, SessionStart
from tests.helpers.cheat import (
    FalseDealer,
    LyingIdentity,
    Make,
    fewer_points,
    identity_point,
    more_points,
    one_for_all,
    package,
    wrong_proof,
)
from tests.helpers.identities import identity
from tests.simulation.world import WatchedMesh, World

Out = PeerMessage | bytes
MeshRule = Callable[[PeerId, Any], Iterable[Out]]
RelayRule = Callable[[PeerId, RelayMessage], Iterable[RelayMessage]]

ROUNDS: Final = {
    "keygen": ("digest", "commitment", "share", "ready", "wallet_created"),
    "sign": ("nonces", "nonce_list", "signature_share"),
}
CODES: Final = (
    "participant_silent",
    "participant_silent",
    "participant_cheated",
    "inconsistent_broadcast",
    "link_failed",
    "identity_check_failed",
    "participant_refused",
    "participant_aborted",
    "interrupted",
    "internal",
)
LONG: Final = b"\x01" + (5_000_000).to_bytes(4, "big") + b"{" * (FRAME_SIZE - 5)


class Participant:
    """A participant that lies.

    Args:
        world: where.
        name: its name.
        kind: of the sessions.
        suite: of the wallet.
        rng: decides the lies, apart from the run's own.
        plan: which lies.
    """

    def __init__(
        self, world: World, name: PeerId, *, kind: str, suite: SuiteId, rng: random.Random, plan: Iterable[str]
    ) -> None:
        self.world, self.name, self.kind, self.suite, self.rng = world, name, kind, suite, rng
        self.plan = tuple(plan)
        self.mesh_rules: list[MeshRule] = []
        self.relay_rules: list[RelayRule] = []
        self.share_change: Callable[[bytes], bytes] | None = None
        others = [one for one in world.names if one != name]
        self.victims: tuple[PeerId, ...] = tuple(rng.sample(others, rng.randint(1, len(others))))
        """Those that are lied to, or about."""
        self.accused: tuple[PeerId, ...] = tuple(rng.sample(others, rng.randint(1, len(others))))
        self.identifier = Identifier(sorted(world.names).index(name) + 1)
        self.meshes: list[LyingMesh] = []
        self.about: dict[SessionId, SessionProposal] = {}
        """The proposals it knows: what it signs about them is really signed."""
        world.lying_mesh[name] = self._mesh
        for lie in self.plan:
            PARTICIPANT_LIES[lie](self)

    def _mesh(self, *arguments: Any, **named: Any) -> WatchedMesh:
        mesh = LyingMesh(*arguments, **named)
        mesh.participant = self
        mesh.heard, mesh.waiting = [], []
        self.meshes.append(mesh)
        return mesh

    def take_hold(self, parts: Any) -> None:
        """Put the lies into a node that has just started."""
        self.conversations = conversations = parts.services.conversations
        honest = conversations.send
        agenda = parts.agenda
        handle = agenda.handle

        def send(to: PeerId, message: RelayMessage, **named: Any) -> None:
            if isinstance(message, SessionProposal):
                self.about[SessionId(message.session_id)] = message
            said = [message]
            for rule in self.relay_rules:
                said = [out for one in said for out in rule(to, one)]
            for one in said:
                honest(to, one, **named)

        def hear(opened: Any) -> Any:
            if isinstance(opened.message, SessionProposal):
                self.about[SessionId(opened.message.session_id)] = opened.message
            return handle(opened)

        conversations.send = send
        agenda.handle = hear
        self.say = honest
        if self.share_change is not None:
            victim = IdentityKey(identity(self.victims[0]).public_key)
            object.__setattr__(parts.services, "identity", LyingIdentity(self.name, victim, self.share_change))

    # What lies are made of

    def round(self, *but: str) -> str:
        return self.rng.choice([one for one in ROUNDS[self.kind] if one not in but])

    def on_round(self, name: str, change: MeshRule, *, to: Collection[str] | None = None) -> None:
        def rule(recipient: PeerId, message: PeerMessage) -> Iterable[Out]:
            if isinstance(message, RoundMessage) and message.round == name and (to is None or recipient in to):
                return change(recipient, message)
            return [message]

        self.mesh_rules.append(rule)

    def some(self) -> Collection[str] | None:
        """Whom it lies to: everybody, or its victims."""
        return self.rng.choice([None, self.victims])


class LyingMesh(WatchedMesh):
    """A mesh that says something else than it is given."""

    participant: Participant
    heard: list[tuple[PeerId, PeerMessage]]
    waiting: list[tuple[PeerId, Callable[[PeerMessage], bool]]]
    """To whom to repeat what another says, once it says so."""

    def send(self, to: PeerId, message: PeerMessage, *, heard: bool = False) -> None:
        said: list[Out] = [message]
        for rule in self.participant.mesh_rules:
            said = [out for one in said for out in ([one] if isinstance(one, bytes) else rule(to, one))]
        for one in said:
            if isinstance(one, bytes):
                self.world.trace("raw", self.peer_id, to, one[:40])
                attempt = self._links[to]._attempt
                if attempt is not None:
                    attempt.send(one)
            else:
                super().send(to, one, heard=heard)

    def honestly(self, to: PeerId, message: PeerMessage) -> None:
        """Say this, whatever the rules are."""
        super().send(to, message)

    def broadcast(self, message: PeerMessage, *, heard: bool = False) -> None:
        for to in self._links:
            self.send(to, message, heard=heard)

    async def receive(self) -> tuple[PeerId, PeerMessage]:
        sender, message = await super().receive()
        self.heard.append((sender, message))
        for to, fits in tuple(self.waiting):
            if fits(message):
                self.waiting.remove((to, fits))
                self.honestly(to, message)
        return sender, message


# --- what it says over links ---


def _flip(liar: Participant) -> None:
    def flip(_to: PeerId, message: Any) -> Iterable[Out]:
        data = bytearray(message.data)
        if data:
            data[liar.rng.randrange(len(data))] ^= 1 << liar.rng.randrange(8)
        return [msgspec.structs.replace(message, data=bytes(data))]

    liar.on_round(liar.round(), flip, to=liar.some())


def _echo(liar: Participant) -> None:
    liar.on_round("commitment", lambda _to, message: [msgspec.structs.replace(message, echo=bytes(32))], to=liar.some())


def _twice(liar: Participant) -> None:
    liar.on_round(liar.round(), lambda _to, message: [message, message], to=liar.some())


def _never(liar: Participant) -> None:
    liar.on_round(liar.round(), lambda _to, _message: [], to=liar.some())


def _mute(liar: Participant) -> None:
    """From one round on it says nothing more, to some or to all; its links live."""
    first, to, muted = liar.round(), liar.some(), set[PeerId]()

    def rule(recipient: PeerId, message: PeerMessage) -> Iterable[Out]:
        if isinstance(message, RoundMessage) and message.round == first and (to is None or recipient in to):
            muted.add(recipient)
        return [] if recipient in muted and isinstance(message, RoundMessage | Abort) else [message]

    liar.mesh_rules.append(rule)


def _early(liar: Participant) -> None:
    first, kind = ROUNDS[liar.kind][0], liar.round(ROUNDS[liar.kind][0])
    lane = liar.suite if kind in {"commitment", "share"} else None

    def early(_to: PeerId, message: Any) -> Iterable[Out]:
        return [RoundMessage(session_id=message.session_id, round=kind, lane=lane, data=b"\0"), message]

    liar.on_round(first, early, to=liar.some())


def _other_session(liar: Participant) -> None:
    liar.on_round(
        liar.round(),
        lambda _to, message: [msgspec.structs.replace(message, session_id=SessionId(b"\x0f" * 16))],
        to=liar.some(),
    )


def _long(liar: Participant) -> None:
    liar.on_round(liar.round(), lambda _to, _message: [LONG], to=liar.some())


def _garbage(liar: Participant) -> None:
    frame = liar.rng.choice([b"{}", b"\x00", b"x" * 100, b'{"type":"ack","payload":{"msg_id":7}}', b"\xff" * 20])
    liar.on_round(liar.round(), lambda _to, message: [frame, message], to=liar.some())


def _strange_round(liar: Participant) -> None:
    changes: dict[str, Any] = liar.rng.choice([{"round": "foo"}, {"lane": SuiteId("no-such-suite")}, {"data": b""}])
    liar.on_round(liar.round(), lambda _to, message: [msgspec.structs.replace(message, **changes)], to=liar.some())


def _anothers(liar: Participant) -> None:
    """Repeat what another said, as its own, as soon as another said it."""

    def repeat(to: PeerId, message: Any) -> Iterable[Out]:
        mesh = liar.meshes[-1]

        def fits(said: PeerMessage) -> bool:
            return isinstance(said, RoundMessage) and (said.round, said.lane, said.session_id) == (
                message.round,
                message.lane,
                message.session_id,
            )

        for _, said in mesh.heard:
            if fits(said):
                return [said]
        mesh.waiting.append((to, fits))
        return []

    liar.on_round(liar.round("nonce_list", "wallet_created"), repeat, to=liar.some())


def _false_dealer(make: Make) -> Callable[[Participant], None]:
    def lie(liar: Participant) -> None:
        seats = dict.fromkeys(liar.world.names, SimpleNamespace(name=liar.name, made=liar.meshes))
        table: Any = _Seats(seats, (liar.suite,), liar.world.threshold)
        dealer = FalseDealer(table, liar.name, make)
        for rule in dealer.rules:
            liar.mesh_rules.append(rule)

    return lie


class _Seats:
    """As much of a table as a false dealer looks at."""

    def __init__(self, seats: dict[PeerId, Any], suites: tuple[SuiteId, ...], threshold: int) -> None:
        self.seats, self.suites, self.threshold = seats, suites, threshold

    def __getitem__(self, name: PeerId) -> Any:
        return self.seats[name]


def _two_faced(liar: Participant) -> None:
    favoured = liar.victims[: max(1, len(liar.victims) - 1)]
    _false_dealer(lambda suite, me, threshold, to: package(suite, me, threshold, to in favoured))(liar)


def _bad_share(liar: Participant) -> None:
    liar.share_change = liar.rng.choice(
        [
            lambda plaintext: plaintext[:5] + bytes([plaintext[5] ^ 1]) + plaintext[6:],
            lambda plaintext: plaintext[:-1] + bytes([plaintext[-1] ^ 1]),
            lambda _plaintext: b"",
            lambda plaintext: plaintext[:5] + b"\xff" * 32,
        ]
    )


def _wrong_signature_share(liar: Participant) -> None:
    def change(_to: PeerId, message: Any) -> Iterable[Out]:
        group, size = CIPHERSUITES[liar.suite].group, SignatureShare.SIZE
        share = group.decode_scalar(message.data[:size]) + group.scalar(1)
        return [msgspec.structs.replace(message, data=share.encode() + message.data[size:])]

    liar.on_round("signature_share", change, to=liar.some())


def _two_faced_nonces(liar: Participant) -> None:
    """Commit to other nonces towards some, signed and all."""

    def change(_to: PeerId, message: Any) -> Iterable[Out]:
        bound, fresh = bytes(message.data[:BOUND_SIZE]), bytes(message.data[BOUND_SIZE : BOUND_SIZE + 32])
        suite = CIPHERSUITES[liar.suite]
        listed = bytes(message.data[HEAD_SIZE:])
        size = suite.group.element_size
        assert len(listed) == SigningCommitments.size(suite)
        swapped = listed[: -2 * size] + listed[-size:] + listed[-2 * size : -size]
        digest = digest_of(bound, suite.id, liar.identifier, fresh, swapped)
        signature = promise(identity(liar.name), bound, liar.identifier, fresh, [digest]).signature
        return [msgspec.structs.replace(message, data=bound + fresh + signature + swapped)]

    liar.on_round("nonces", change, to=liar.victims)


def _other_agreed(liar: Participant) -> None:
    """Say in the first round that something else was agreed on."""
    liar.on_round(
        ROUNDS[liar.kind][0],
        lambda _to, message: [
            msgspec.structs.replace(message, data=bytes(AGREED_SIZE) + bytes(message.data[AGREED_SIZE:]))
        ],
        to=liar.some(),
    )


def _abort(liar: Participant) -> None:
    """Stop in some round, and say that others are to blame; then go on, or not."""
    code, goes_on = liar.rng.choice(CODES), liar.rng.random() < 0.5
    evidence = liar.rng.choice([None, None, b"", liar.rng.randbytes(64)])
    accused, told = liar.accused, set[tuple[PeerId, SessionId]]()

    def abort(to: PeerId, message: Any) -> Iterable[Out]:
        if (to, message.session_id) in told:
            return [message] if goes_on else []
        told.add((to, message.session_id))
        said = Abort(message.session_id, code, "it was somebody else", accused, evidence)
        return [said, message] if goes_on else [said]

    liar.on_round(liar.round(), abort, to=liar.some())


def _accuse_each(liar: Participant) -> None:
    """Tell each that another one is silent."""
    code = liar.rng.choice(["participant_silent", "participant_cheated", "link_failed"])

    def abort(to: PeerId, message: Any) -> Iterable[Out]:
        others = tuple(name for name in liar.world.names if name not in {to, liar.name})
        return [Abort(message.session_id, code, "not me", others)]

    liar.on_round(liar.round(), abort)


def _accuse_at_once(liar: Participant) -> None:
    """Accuse others as soon as the mesh is open, before any of them can have said a word."""
    code, wait = liar.rng.choice(CODES), liar.rng.choice([0.0, 0.02, 0.05, 0.2])
    accused = tuple(name for name in liar.world.names if name != liar.name)
    to = liar.some()

    def accuse(recipient: PeerId, message: PeerMessage) -> Iterable[Out]:
        if isinstance(message, MeshReady) and (to is None or recipient in to):
            mesh = liar.meshes[-1]
            others = tuple(name for name in accused if name != recipient)
            said = Abort(mesh.mesh_id, code, "nobody says anything", others)
            asyncio.get_running_loop().call_later(wait, mesh.honestly, recipient, said)
        return [message]

    liar.mesh_rules.append(accuse)


def _mesh_talk(liar: Participant) -> None:
    """Say what belongs to the making of the mesh, in the middle of a session."""
    what = liar.rng.choice(["ready", "idle", "other idle", "announce", "announce nobody"])

    def talk(to: PeerId, message: Any) -> Iterable[Out]:
        mesh = liar.meshes[-1]
        link = mesh._links[to].ends
        messages: dict[str, PeerMessage] = {
            "ready": MeshReady(mesh.mesh_id),
            "idle": Idle(mesh.mesh_id),
            "other idle": Idle(SessionId(bytes(16))),
            "announce": ChannelOpen(liar.victims[0], mesh.mesh_id, link.my_key),
            "announce nobody": ChannelOpen(PeerId("zoe"), mesh.mesh_id, link.my_key),
        }
        return [messages[what], message]

    liar.on_round(liar.round(), talk, to=liar.some())


def _not_ready(liar: Participant) -> None:
    to = liar.some()
    liar.mesh_rules.append(
        lambda recipient, message: (
            [] if isinstance(message, MeshReady) and (to is None or recipient in to) else [message]
        )
    )


# --- what it says through the server ---


def _silent_answer(liar: Participant) -> None:
    liar.relay_rules.append(lambda _to, message: [] if isinstance(message, SessionResponse) else [message])


def _refuse(liar: Participant) -> None:
    liar.relay_rules.append(lambda _to, message: [_no(message)] if isinstance(message, SessionResponse) else [message])


def _no(message: SessionResponse) -> SessionResponse:
    return SessionResponse(session_id=message.session_id, proposal=message.proposal, accepted=False, reason="no")


def _yes_and_no(liar: Participant) -> None:
    first = liar.rng.random() < 0.5

    def both(_to: PeerId, message: RelayMessage) -> Iterable[RelayMessage]:
        if not isinstance(message, SessionResponse) or not message.accepted:
            return [message]
        return [_no(message), message] if first else [message, _no(message)]

    liar.relay_rules.append(both)


def _two_acceptances(liar: Participant) -> None:
    def two(_to: PeerId, message: RelayMessage) -> Iterable[RelayMessage]:
        if not isinstance(message, SessionResponse) or not message.accepted:
            return [message]
        nonce = liar.rng.randbytes(16)
        fields = agreement.acceptance_fields(message.proposal, nonce, message.terms)
        signature = identity(liar.name).sign(tags.ACCEPTANCE, *fields)
        return [message, msgspec.structs.replace(message, nonce=nonce, signature=signature)]

    liar.relay_rules.append(two)


def _bad_acceptance(liar: Participant) -> None:
    changes: dict[str, Any] = liar.rng.choice(
        [{"signature": bytes(64)}, {"proposal": bytes(32)}, {"nonce": b"\x05" * 16}, {"meshes": (bytes(16),)}]
    )
    liar.relay_rules.append(
        lambda _to, message: (
            [msgspec.structs.replace(message, **changes)]
            if isinstance(message, SessionResponse) and message.accepted
            else [message]
        )
    )


def _cancels(liar: Participant) -> None:
    """Say yes, and then that something failed because of others, to everybody in the proposal."""
    code, wait = liar.rng.choice(CODES), liar.rng.choice([0.0, 0.05, 0.2, 1.0, 5.0])
    accused = liar.accused

    def cancel(_to: PeerId, message: RelayMessage) -> Iterable[RelayMessage]:
        if isinstance(message, SessionResponse | SessionStart):
            said = SessionCancel(message.session_id, code, "no link", accused)
            asyncio.get_running_loop().call_later(wait, tell, said)
        return [message]

    def tell(said: SessionCancel) -> None:
        proposal = liar.about.get(SessionId(said.session_id))
        if liar.world.lives[liar.name].stopping.is_set():
            return
        for one in proposal.participants if proposal else ():
            if one.peer_id != liar.name and one.peer_id in liar.world.lives:
                expires = round((asyncio.get_running_loop().time() + 1_800_000_000) * 1000)
                liar.say(PeerId(one.peer_id), said, key=IdentityKey(one.public_key), expires=expires)

    liar.relay_rules.append(cancel)


def _no_signals(liar: Participant) -> None:
    to = liar.some()
    liar.relay_rules.append(
        lambda recipient, message: (
            []
            if isinstance(message, relay.Offer | relay.Answer | relay.IceCandidate) and (to is None or recipient in to)
            else [message]
        )
    )


def _false_signals(liar: Participant) -> None:
    """Describe an end that is nobody's, or somebody else's."""
    sdp = liar.rng.choice(["nothing", "memory 9999 " + "00" * 32, "memory 9999 00", "memory x"])
    to = liar.some()
    liar.relay_rules.append(
        lambda recipient, message: (
            [msgspec.structs.replace(message, sdp=sdp)]
            if isinstance(message, relay.Offer | relay.Answer) and (to is None or recipient in to)
            else [message]
        )
    )


def _two_starts(liar: Participant) -> None:
    """Start the session for some otherwise than for the others, signed and all."""
    what = liar.rng.choice(["mesh", "nonce", "signature", "fewer", "second", "none"])

    def start(to: PeerId, message: RelayMessage) -> Iterable[RelayMessage]:
        if not isinstance(message, SessionStart) or to not in liar.victims:
            return [message]
        if what == "none":
            return []
        mesh, chosen = message.mesh, message.chosen
        if what in {"mesh", "second"}:
            mesh = SessionId(b"\x07" * 16)
        elif what == "nonce":
            mine = next(one for one in chosen if one.identifier == liar.identifier)
            nonce = b"\x08" * 16
            fields = agreement.acceptance_fields(message.proposal, nonce, mine.terms)
            other = msgspec.structs.replace(
                mine, nonce=nonce, signature=identity(liar.name).sign(tags.ACCEPTANCE, *fields)
            )
            chosen = tuple(other if one is mine else one for one in chosen)
        elif what == "fewer" and len(chosen) > 2:
            chosen = chosen[:-1]
        signature = identity(liar.name).sign(tags.START, *agreement.start_fields(message.proposal, mesh, chosen))
        if what == "signature":
            signature = bytes(64)
        other_start = msgspec.structs.replace(message, mesh=mesh, chosen=chosen, signature=signature)
        return [message, other_start] if what == "second" else [other_start]

    liar.relay_rules.append(start)


def _two_proposals(liar: Participant) -> None:
    """Propose one thing to some and another to the others, under one id."""

    def propose(to: PeerId, message: RelayMessage) -> Iterable[RelayMessage]:
        if not isinstance(message, SessionProposal) or to not in liar.victims:
            return [message]
        return [msgspec.structs.replace(message, answer_within=message.answer_within + 1)]

    liar.relay_rules.append(propose)


def _freeze(liar: Participant) -> None:
    """Its process stands still in some round: nothing of it comes any more, by link or by relay."""

    def freeze(_to: PeerId, _message: PeerMessage) -> Iterable[Out]:
        liar.world.network.bury(liar.name)
        liar.relay_rules.append(lambda _to, _message: [])
        return []

    liar.on_round(liar.round(), freeze)


PARTICIPANT_LIES: Final[dict[str, Callable[[Participant], None]]] = {
    "flip": _flip,
    "twice": _twice,
    "never": _never,
    "mute": _mute,
    "early": _early,
    "other-session": _other_session,
    "long": _long,
    "garbage": _garbage,
    "strange-round": _strange_round,
    "anothers": _anothers,
    "other-agreed": _other_agreed,
    "abort": _abort,
    "accuse-each": _accuse_each,
    "accuse-at-once": _accuse_at_once,
    "mesh-talk": _mesh_talk,
    "not-ready": _not_ready,
    "silent-answer": _silent_answer,
    "refuse": _refuse,
    "yes-and-no": _yes_and_no,
    "two-acceptances": _two_acceptances,
    "bad-acceptance": _bad_acceptance,
    "cancels": _cancels,
    "no-signals": _no_signals,
    "false-signals": _false_signals,
    "two-starts": _two_starts,
    "two-proposals": _two_proposals,
    "freeze": _freeze,
    # key generation alone
    "echo": _echo,
    "more-points": _false_dealer(one_for_all(more_points)),
    "fewer-points": _false_dealer(one_for_all(fewer_points)),
    "identity-point": _false_dealer(one_for_all(identity_point)),
    "wrong-proof": _false_dealer(one_for_all(wrong_proof)),
    "two-faced": _two_faced,
    "bad-share": _bad_share,
    # signing alone
    "wrong-share": _wrong_signature_share,
    "two-faced-nonces": _two_faced_nonces,
}
KEYGEN_ALONE: Final = frozenset(
    {"echo", "more-points", "fewer-points", "identity-point", "wrong-proof", "two-faced", "bad-share"}
)
SIGN_ALONE: Final = frozenset({"wrong-share", "two-faced-nonces"})


def lies_about(kind: str) -> list[str]:
    """The lies that can be told in sessions of a kind."""
    return sorted(PARTICIPANT_LIES.keys() - (KEYGEN_ALONE if kind == "sign" else SIGN_ALONE))
