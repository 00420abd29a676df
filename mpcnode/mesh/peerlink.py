"""One peer of the mesh: its negotiation, its present try, and what is delivered over whichever channel there is."""

import asyncio
from collections.abc import Coroutine
from typing import Protocol

from mpcnode.blame import Came, Event, judge
from mpcnode.errors import DecodeError, MpcError
from mpcnode.mesh import channel
from mpcnode.mesh import negotiation as nego
from mpcnode.mesh.attempt import Attempt, AttemptEvents
from mpcnode.mesh.channel import Ends
from mpcnode.mesh.delivery import Delivery
from mpcnode.mesh.liveness import Due, Liveness
from mpcnode.mesh.transport import LinkChange, LinkState, Local, Signal, to_relay
from mpcnode.types import PeerId
from mpcnode.wire import peer as wire
from mpcnode.wire.peer import ChannelOpen, PeerMessage, Ping


class Host(Protocol):
    """What a link asks of its mesh."""

    def now(self) -> float:
        """Read a steady clock."""

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
    """The link to one peer, over as many tries as it takes.

    Args:
        ends: whom it connects.
        local: what the node lends.
        host: the mesh.
    """

    def __init__(self, ends: Ends, local: Local, host: Host) -> None:
        self.ends = ends
        self.delivery = Delivery()
        self.liveness = Liveness(local.timeouts)
        self.verified = False
        self.released = False
        self.announced: set[PeerId] = set()
        """The nodes whose links to this node the peer was told of."""
        self._local = local
        self._host = host
        # The peer with the smaller peer id, bytewise, makes the offers; peer ids are ASCII.
        self._negotiation = nego.Negotiation(offers=ends.me < ends.peer, timeouts=local.timeouts)
        self._attempt: Attempt | None = None
        self._route = ""
        """What the last try that failed had tried."""
        self._asking: asyncio.Handle | None = None

    @property
    def attempt(self) -> int:
        """The number of the present try."""
        return self._negotiation.attempt

    @property
    def round_trip(self) -> float | None:
        """The last round-trip time in seconds; None before the first is measured."""
        return self.delivery.outgoing.round_trip

    @property
    def owes(self) -> bool:
        """Whether the peer did not acknowledge what this node must not leave before."""
        return self.delivery.outgoing.owes

    @property
    def lingers(self) -> bool:
        """Whether what was sent over the present channel may not have been taken."""
        return self.verified and self.delivery.outgoing.unacked

    @property
    def gone(self) -> bool:
        """Whether the peer was let go and has left, so that nothing will be acknowledged any more."""
        return self.released and not self.verified

    @property
    def answered(self) -> bool:
        """Whether the peer ever gave a sign of life."""
        return self.liveness.known or self._negotiation.heard

    def start(self) -> None:
        """Begin to make the link."""
        self._change(LinkState.CONNECTING)
        self._perform(self._negotiation.start(self._host.now()))

    def handle_signal(self, signal: Signal) -> None:
        """Take a signal of the peer; it came through the relay, so it may be late or a copy, and convicts nobody."""
        if self.released:
            return
        now = self._host.now()
        self.liveness.heard(now)
        self._perform(self._negotiation.receive(signal, now))

    def send(self, message: PeerMessage, *, heard: bool = False) -> None:
        """Send ``message`` as soon as there is a verified channel.

        Args:
            message: what to say.
            heard: whether ``owes`` holds until the peer has acknowledged it.
        """
        if self.gone:
            return
        try:
            self.delivery.outgoing.send(message, self._host.now(), heard=heard)
        except BufferError as error:
            said = f"{self.ends.peer} takes nothing: {error}"
            self._fail(judge(Came.LINK, Event.NO_LINK, said, [self.ends.peer]))
            return
        self._push()

    def release(self) -> None:
        """Expect nothing more of the peer: that its channel closes, or it falls silent, is not a failure any more."""
        self.released = True

    def stop(self) -> None:
        """Tear down what there is; nothing is heard any more."""
        had_channel = self.verified
        self.released = True
        self._end_try()
        if had_channel:
            self._host.lost(self.ends.peer)

    def tick(self) -> None:
        """Look at every clock of this link."""
        if self.released:
            return
        now = self._host.now()
        self._perform(self._negotiation.tick(now))
        match self.liveness.due(now, linked=self.verified):
            case Due.DEAD:
                silence = f"{self.ends.peer} said nothing for {self._local.timeouts.dead:.0f} seconds"
                self._fail(judge(Came.CLOCK, Event.SILENCE, silence, [self.ends.peer]))
            case Due.QUIET:
                self._lost(self._negotiation.attempt, "nothing comes over it any more")
            case Due.PING:
                self.ping()
            case Due.NOTHING:
                pass

    def ping(self) -> None:
        """Ask for a sign of life; its acknowledgement covers everything sent before."""
        self.liveness.asked(self._host.now())
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
                    signal = to_relay(self.ends.mesh_id, action.signal)
                    self._local.signal(self.ends.peer, self.ends.peer_key, signal)
                case nego.Drop():
                    self._drop(action.reason)
                case nego.GiveUp():
                    self._give_up(action.reason)

    @property
    def _present(self) -> Attempt:
        if self._attempt is None:
            raise RuntimeError("the negotiation asked for a try that does not exist")
        return self._attempt

    def _begin(self, number: int) -> Attempt:
        events = AttemptEvents(
            described=self._described,
            opened=self._opened,
            received=self._received,
            lost=self._lost,
            unusable=self._unusable,
            violated=self._violated,
        )
        attempt = Attempt(number, self._local.connector, events)
        self._attempt = attempt
        self._host.spawn(attempt.run(), f"link {self.ends.me} {self.ends.peer} {number}")
        return attempt

    def _end_try(self) -> None:
        self.verified = False
        if self._attempt is not None:
            self._route = self._attempt.route
            self._attempt.stop()
            self._attempt = None
        if self._asking is not None:
            self._asking.cancel()
            self._asking = None

    def _drop(self, reason: str) -> None:
        had_channel = self.verified
        if had_channel:
            self.liveness.lost(self._host.now())
        self._end_try()
        self._change(LinkState.LOST, reason)
        if had_channel:
            self._host.lost(self.ends.peer)

    def _give_up(self, reason: str) -> None:
        self._change(LinkState.FAILED, reason)
        peer = self.ends.peer
        # Only a peer that signals shows that it lives; of any other the link is not what failed.
        if not self.answered or self.liveness.silent_since_loss:
            silence = f"{peer} did not answer when its link was to be made"
            self._fail(judge(Came.CLOCK, Event.SILENCE, silence, [peer]))
            return
        said = f"the link to {peer} does not open: {reason}"
        self._fail(judge(Came.CLOCK, Event.NO_LINK, said, [peer], hint=self._route or None))

    def _described(self, number: int, sdp: str) -> None:
        self._perform(self._negotiation.described(number, sdp))

    def _opened(self, _number: int) -> None:
        self._change(LinkState.OPEN)
        introduction = channel.introduce(self.ends, self._present.fingerprints, self._local.sign)
        self._present.send(wire.encode(introduction))

    def _received(self, number: int, frame: bytes) -> None:
        try:
            if self.verified:
                self._take_frame(frame)
            else:
                self._take_introduction(frame)
        except DecodeError as error:
            self._violated(number, str(error))

    def _lost(self, number: int, reason: str) -> None:
        if self.released:
            self.stop()
            return
        self._perform(self._negotiation.lost(number, reason, self._host.now()))

    def _unusable(self, _number: int, reason: str) -> None:
        """End the mesh: every other try would bring the same description. It came by relay, so nobody is convicted."""
        self._change(LinkState.FAILED, reason)
        peer = self.ends.peer
        said = f"{peer} described its end of the link in an unusable way: {reason}"
        self._fail(judge(Came.RELAY, Event.NO_LINK, said, [peer]))

    def _violated(self, _number: int, reason: str) -> None:
        peer = self.ends.peer
        if self.liveness.known:
            said = f"{peer} sent what no honest node sends: {reason}"
            self._fail(judge(Came.LINK, Event.MISPLACED, said, [peer]))
        else:
            said = f"{peer} failed the identity check of its channel: {reason}"
            self._fail(judge(Came.UNPROVED, Event.WRONG_KEY, said, [peer]))

    def _take_introduction(self, frame: bytes) -> None:
        """Take the first frame of a channel; no byte behind it is accepted before it verifies."""
        message, msg_id = wire.decode(frame)
        if not isinstance(message, ChannelOpen) or msg_id is not None:
            raise DecodeError("its first message is not an introduction")
        misfit = channel.check_introduction(self.ends, self._present.fingerprints, message)
        if misfit is not None:
            said = f"{self.ends.peer} failed the identity check of its channel: {misfit}"
            self._fail(judge(Came.UNPROVED, Event.WRONG_KEY, said, [self.ends.peer]))
            return
        self.verified = True
        self.liveness.verified(self._host.now())
        self._perform(self._negotiation.verified(self._negotiation.attempt))
        self._change(LinkState.VERIFIED)
        self.delivery.new_channel()
        self._push()
        self._host.verified(self.ends.peer)

    def _take_frame(self, frame: bytes) -> None:
        now = self._host.now()
        self.liveness.heard(now)
        taken = self.delivery.receive(frame, now)
        self._push()
        if taken.acknowledged:
            self._host.acknowledged()
        if taken.message is not None:
            self._host.taken(self.ends.peer, taken.message)

    def _push(self) -> None:
        """Give the link what there is to send now."""
        if self._attempt is None or not self.verified:
            return
        outgoing = self.delivery.outgoing
        for frame in outgoing.frames(self._host.now()):
            self._attempt.send(frame)
        if outgoing.ask and self._asking is None:
            # One ping for all that is said in this turn of the loop.
            self._asking = asyncio.get_running_loop().call_soon(self._ask)

    def _ask(self) -> None:
        self._asking = None
        if self.verified and self.delivery.outgoing.ask:
            self.ping()

    def _change(self, state: LinkState, detail: str = "") -> None:
        self._host.changed(LinkChange(self.ends.peer, state, self._negotiation.attempt, detail))

    def _fail(self, error: MpcError) -> None:
        """End the mesh, unless nobody expects anything of this peer; what it says is not heard any more."""
        was_released = self.released
        self.stop()
        if not was_released:
            self._host.failed(error)
