"""Events as plain lines: for a pipe, a log, a dumb terminal and a screen reader."""

from mpcnode import status
from mpcnode.cli.terminal.describe import pending_line
from mpcnode.cli.terminal.text import counted, escape, listed

_PEOPLE_ANSWER = frozenset({"negotiating", "confirming"})


class Narrator:
    """Turns events into lines; remembers the phase, so that a phase is announced once."""

    def __init__(self) -> None:
        self._phase: tuple[str, str] | None = None

    def lines(self, event: status.Event) -> list[str]:  # noqa: PLR0911 -- one sentence a kind of event
        """What to print for ``event``; nothing where it says nothing new."""
        match event:
            case status.Registered():
                place = f"{escape(event.server)}, room {escape(event.room)}"
                return [f"registered as {escape(event.peer_id)} at {place}", f"fingerprint {escape(event.fingerprint)}"]
            case status.Peers():
                return [f"here: {listed(_peer(peer) for peer in event.peers)}"]
            case status.Disconnected():
                return [f"the server is away ({escape(event.reason)}); trying again in {event.retry_in:.0f} s"]
            case status.Waiting():
                return [f"waiting for {counted(event.missing, 'more peer')}; here: {listed(event.present)}"]
            case status.Warned():
                return [f"warning: {escape(event.message, 1000)}"]
            case status.WalletChanged():
                return [_wallet(event.wallet)]
            case _:
                return self._of_session(event)

    def _of_session(self, event: status.Event) -> list[str]:  # noqa: PLR0911 -- same
        match event:
            case status.Proposed():
                return [f"{escape(event.proposer)} {_proposes(event)}: {listed(map(_peer, event.participants))}"]
            case status.Answered():
                if event.accepted:
                    return [f"{escape(event.peer_id)} accepted"]
                return [f"{escape(event.peer_id)} refused" + (f": {escape(event.reason)}" if event.reason else "")]
            case status.Progress():
                return self._progress(event)
            case status.Link():
                if event.state in {"connecting", "open"}:
                    return []
                return [f"link {escape(event.one)} to {escape(event.other)} is {event.state}"]
            case status.SafetyWords():
                return [f"safety words: {' '.join(map(escape, event.words))}"]
            case status.SessionEnded():
                return _ended(event)
            case _:
                return []

    def _progress(self, event: status.Progress) -> list[str]:
        phase = (event.session_id, event.phase)
        if phase == self._phase and event.phase not in _PEOPLE_ANSWER:
            return []
        self._phase = phase
        return [f"{event.phase}: waiting for {listed(event.waiting_for)}" if event.waiting_for else event.phase]


def _peer(peer: status.PeerView) -> str:
    return f"{peer.peer_id} ({'this node' if peer.trust == 'self' else peer.trust})"


def _proposes(event: status.Proposed) -> str:
    wallet = escape(event.wallet)
    if event.kind == "sign":
        return f"proposes to sign with the wallet {wallet}"
    if event.kind == "refresh":
        return f"proposes new shares of the wallet {wallet}"
    return f"proposes the wallet {wallet}, {event.threshold} of {event.total}"


def _wallet(wallet: status.WalletView) -> str:
    if wallet.state == "active" and wallet.pending is not None:
        return f"wallet {escape(wallet.name)}: {pending_line(wallet)}"
    epoch = f", epoch {wallet.epoch}" if wallet.epoch else ""
    return f"wallet {escape(wallet.name)} is {wallet.state}{epoch}"


def _ended(event: status.SessionEnded) -> list[str]:
    if event.error is not None:
        return [f"the session failed: {escape(event.error.message, 1000)}"]
    return [f"done in {sum(event.seconds.values()):.1f} s"]
