"""One peer of the mesh: its negotiation, its present try, and what is delivered over whichever channel there is."""

from collections.abc import Coroutine
from typing import Final, Protocol

from mpcnode.errors import DecodeError, IdentityCheckFailed, LinkFailed, MpcError, ParticipantCheated, ParticipantSilent
from mpcnode.mesh import channel
from mpcnode.mesh import negotiation as nego
from mpcnode.mesh.attempt import Attempt, AttemptEvents
from mpcnode.mesh.channel import Ends
from mpcnode.mesh.delivery import Delivery
from mpcnode.mesh.transport import Connector, LinkChange, LinkState, MeshTimeouts, Signal
from mpcnode.types import PeerId
from mpcnode.wire import framing
from mpcnode.wire import peer as wire
from mpcnode.wire.peer import ChannelOpen, PeerMessage, Ping

MAX_HELD: Final = 64
"""How many frames may come before this side knows that its channel is open."""


class Host(Protocol):
    """What a link asks of its mesh."""

    def now(self) -> float:
        """Read a steady clock."""

    def sign(self, context: str, message: bytes) -> bytes:
        """Sign with this node's identity key."""

    def signal(self, peer: PeerId, signal: Signal) -> None:
        """Send a signal through the sealed relay."""

    def spawn(self, work: Coroutine[None, None, None], name: str) -> object:
        """Run a task of the mesh."""

    def changed(self, change: LinkChange) -> None:
        """Hear of a link's state."""

    def verified(self, peer: PeerId) -> None:
        """Hear that there is a verified channel."""

    def lost(self, peer: PeerId) -> None:
        """Hear that there is none any more."""

    def taken(self, peer: PeerId, message: PeerMessage) -> None:
        """Take a message, in order, once."""

    def acknowledged(self) -> None:
        """Hear that something was acknowledged."""

    def failed(self, error: MpcError) -> None:
        """End the mesh."""


class PeerLink:
    """The link to one peer, over as many tries as it takes."""

    def __init__(self, ends: Ends, *, connector: Connector, timeouts: MeshTimeouts, host: Host) -> None:
        self.ends = ends
        self.delivery = Delivery()
        self.verified = False
        self.released = False
        self.round_trip: float | None = None
        self.announced: set[PeerId] = set()
        """The nodes whose links to this node the peer was told of."""
        self._connector = connector
        self._timeouts = timeouts
        self._host = host
        # The peer with the smaller peer id, bytewise, makes the offers; peer ids are ASCII.
        self._negotiation = nego.Negotiation(offers=ends.me < ends.peer, timeouts=timeouts)
        self._attempt: Attempt | None = None
        self._joiner = framing.Joiner()
        self._open = False
        self._held: list[bytes] = []
        self._known = False
        """Whether any channel was ever verified: from then on silence is death."""
        self._heard = 0.0
        self._pinged = 0.0
        self._lost_at = 0.0
        """When the last verified channel was lost."""
        self._route = ""

    @property
    def attempt(self) -> int:
        """The number of the present try."""
        return self._negotiation.attempt

    @property
    def owes(self) -> bool:
        """Whether the peer did not acknowledge what this node must not leave before."""
        return self.delivery.last_words_unacked

    @property
    def gone(self) -> bool:
        """Whether the peer was let go and has left, so that nothing will be acknowledged any more."""
        return self.released and not self.verified

    @property
    def answered(self) -> bool:
        """Whether the peer ever gave a sign of life."""
        return self._known or self._negotiation.heard

    def start(self) -> None:
        """Begin to make the link."""
        now = self._host.now()
        self._change(LinkState.CONNECTING)
        try:
            self._perform(self._negotiation.start(now))
        except DecodeError as error:  # among what came early was what no honest node sends
            self._cheated(str(error))

    def handle_signal(self, signal: Signal) -> None:
        """Take a signal of the peer, which the sealed relay vouches for."""
        if self.released:
            return
        now = self._host.now()
        self._heard = now
        try:
            self._perform(self._negotiation.receive(signal, now))
        except DecodeError as error:
            self._cheated(str(error))

    def send(self, message: PeerMessage) -> None:
        """Send ``message`` as soon as there is a verified channel."""
        if self.gone:
            return
        try:
            data = self.delivery.send(message, self._host.now())
        except BufferError as error:
            self._fail(LinkFailed(f"{self.ends.peer} takes nothing: {error}", peer=self.ends.peer))
            return
        if self.verified:
            self._send_frames(data)

    def release(self) -> None:
        """Expect nothing more of the peer: that its channel closes, or it falls silent, is no failure any more."""
        self.released = True

    def stop(self) -> None:
        """Tear down what there is; nothing is heard any more."""
        had_channel = self.verified
        self.released = True
        self.verified = self._open = False
        if self._attempt is not None:
            self._attempt.stop()
            self._attempt = None
        if had_channel:
            self._host.lost(self.ends.peer)

    def excuse(self, seconds: float) -> None:
        """Do not hold against the peer what it could not say because this process stood still."""
        self._heard += seconds

    def tick(self) -> None:
        """Look at every clock of this link."""
        if self.released:
            return
        now = self._host.now()
        self._perform(self._negotiation.tick(now))
        if self._known and now - self._heard > self._timeouts.dead:
            silence = f"{self.ends.peer} said nothing for {self._timeouts.dead:.0f} seconds"
            self._fail(ParticipantSilent(silence, culprits=[self.ends.peer]))
        elif self.verified and now - self._heard > self._timeouts.quiet:
            self._lost(self._negotiation.attempt, "nothing comes over it any more")
        elif self.verified and now - self._pinged >= self._timeouts.ping:
            self.ping()

    def ping(self) -> None:
        """Ask for a sign of life; its acknowledgement covers everything sent before."""
        self._pinged = self._host.now()
        self.send(Ping())

    def _perform(self, actions: list[nego.Action]) -> None:
        for action in actions:
            match action:
                case nego.MakeOffer():
                    self._begin(action.attempt).offer()
                case nego.MakeAnswer():
                    self._begin(action.attempt).answer(action.sdp)
                case nego.TakeAnswer():
                    self._present.accept(action.sdp)
                case nego.TakeCandidate():
                    self._present.add_candidate(action.candidate)
                case nego.SendSignal():
                    self._host.signal(self.ends.peer, action.signal)
                case nego.Drop():
                    self._drop(action.reason)
                case nego.GiveUp():
                    self._give_up(action.reason)

    @property
    def _present(self) -> Attempt:
        if self._attempt is None:
            raise RuntimeError("the negotiation asked for a try that there is not")
        return self._attempt

    def _begin(self, number: int) -> Attempt:
        events = AttemptEvents(self._described, self._opened, self._received, self._lost, self._violated)
        attempt = Attempt(number, self._connector, events)
        self._attempt = attempt
        self._joiner = framing.Joiner()
        self._held = []
        self._host.spawn(attempt.run(), f"link {self.ends.me} {self.ends.peer} {number}")
        return attempt

    def _drop(self, reason: str) -> None:
        had_channel = self.verified
        if had_channel:
            self._lost_at = self._host.now()
        self.verified = self._open = False
        if self._attempt is not None:
            self._route = self._attempt.route
            self._attempt.stop()
            self._attempt = None
        self._change(LinkState.LOST, reason)
        if had_channel:
            self._host.lost(self.ends.peer)

    def _give_up(self, reason: str) -> None:
        self._change(LinkState.FAILED, reason)
        peer = self.ends.peer
        # Only a peer that signals shows that it lives; of any other the link is not what failed.
        if not self.answered or (self._known and self._heard < self._lost_at):
            self._fail(ParticipantSilent(f"{peer} did not answer when its link was to be made", culprits=[peer]))
            return
        self._fail(LinkFailed(f"the link to {peer} does not open: {reason}", peer=peer, hint=self._route or None))

    def _described(self, number: int, sdp: str) -> None:
        self._perform(self._negotiation.described(number, sdp))

    def _opened(self, _number: int) -> None:
        self._open = True
        self._change(LinkState.OPEN)
        introduction = channel.introduce(self.ends, self._present.fingerprints, self._host.sign)
        self._present.send(wire.encode(introduction))
        held, self._held = self._held, []
        for frame in held:
            if self._open:
                self._take_frame(frame)

    def _received(self, number: int, frame: bytes) -> None:
        if self._open:
            self._take_frame(frame)
        elif len(self._held) < MAX_HELD:
            self._held.append(frame)
        else:
            self._violated(number, "it sends on a channel that is not open")

    def _lost(self, number: int, reason: str) -> None:
        if self.released:
            self.stop()
            return
        self._perform(self._negotiation.lost(number, reason, self._host.now()))

    def _violated(self, _number: int, reason: str) -> None:
        if self._known:
            self._cheated(reason)
        else:
            message = f"{self.ends.peer} failed the identity check of its channel: {reason}"
            self._fail(IdentityCheckFailed(message, peer=self.ends.peer))

    def _take_frame(self, frame: bytes) -> None:
        try:
            data = self._joiner.feed(frame)
            if data is None:
                return
            if self.verified:
                self._take_message(data)
            else:
                self._take_introduction(data)
        except DecodeError as error:
            self._violated(self._negotiation.attempt, str(error))

    def _take_introduction(self, data: bytes) -> None:
        message, msg_id = wire.decode(data)
        if not isinstance(message, ChannelOpen) or msg_id is not None:
            raise DecodeError("its first message does not say who it is")
        misfit = channel.check_introduction(self.ends, self._present.fingerprints, message)
        if misfit is not None:
            error = f"{self.ends.peer} failed the identity check of its channel: {misfit}"
            self._fail(IdentityCheckFailed(error, peer=self.ends.peer))
            return
        self.verified = self._known = True
        self._heard = self._pinged = self._host.now()
        self._perform(self._negotiation.verified(self._negotiation.attempt))
        self._change(LinkState.VERIFIED)
        for kept in self.delivery.new_channel():
            self._send_frames(kept)
        self._host.verified(self.ends.peer)

    def _take_message(self, data: bytes) -> None:
        now = self._heard = self._host.now()
        taken = self.delivery.receive(data, now)
        if taken.reply is not None:
            self._send_frames(taken.reply)
        if taken.round_trip is not None:
            self.round_trip = taken.round_trip
        if taken.message is None:
            self._host.acknowledged()
        else:
            self._host.taken(self.ends.peer, taken.message)

    def _send_frames(self, data: bytes) -> None:
        for frame in framing.split(data):
            if self._attempt is not None:
                self._attempt.send(frame)

    def _change(self, state: LinkState, detail: str = "") -> None:
        self._host.changed(LinkChange(self.ends.peer, state, self._negotiation.attempt, detail))

    def _cheated(self, reason: str) -> None:
        message = f"{self.ends.peer} sent what no honest node sends: {reason}"
        self._fail(ParticipantCheated(message, culprits=[self.ends.peer]))

    def _fail(self, error: MpcError) -> None:
        """End the mesh, unless nobody expects anything of this peer; what it says is not heard any more."""
        was_released = self.released
        self.stop()
        if not was_released:
            self._host.failed(error)
