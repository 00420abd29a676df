"""Events as plain lines: for a pipe, a log, a dumb terminal and a screen reader, and above the frame of a live view."""

import time
from collections.abc import Callable
from typing import Final

from mpcnode import status
from mpcnode.cli.terminal.describe import clock, names_of, pending_line, proposal_line, until
from mpcnode.cli.terminal.text import counted, escape, listed, quoted
from mpcnode.errors import Refused

_PEOPLE_ANSWER = frozenset({"negotiating", "confirming"})


class Narrator:
    """Turns events into lines; remembers what it said last, so that nothing is said twice in a row.

    Args:
        now: gives Unix time in seconds.
        names: whether a sentence about a proposal names everybody.
    """

    def __init__(self, now: Callable[[], float] = time.time, *, names: bool = True) -> None:
        self._now = now
        self._names = names
        self._phase: tuple[str, str] | None = None
        self._own: set[str] = set()
        """Sessions that this node proposed: their errors are the command's own, which says what to do at its end."""
        self._waiting: list[str] = []
        self._here: frozenset[str] | None = None
        """Everybody in the room, where that was told."""

    def lines(self, event: status.Event) -> list[str]:  # noqa: PLR0911 -- one sentence a kind of event
        """What to print for ``event``; nothing where it says nothing new."""
        match event:
            case status.Registered():
                place = f"{escape(event.server)}, room {escape(event.room)}"
                return [f"registered as {escape(event.peer_id)} at {place}", f"fingerprint {escape(event.fingerprint)}"]
            case status.Peers():
                self._here = frozenset(peer.peer_id for peer in event.peers)
                return [f"here: {names_of(event.peers) or 'nobody'}"]
            case status.Disconnected():
                return [f"the server is away ({escape(event.reason)}); trying again {_soon(event.retry_in)}"]
            case status.Waiting():
                return self._news(_waiting(event))
            case status.CodeUsed() | status.Guests() | status.Joined():
                return _of_invitation(event)
            case status.Warned():
                return [f"warning: {escape(event.message, 1000)}"]
            case status.WalletChanged():
                return [_wallet(event.wallet)]
            case _:
                return self._of_session(event)

    def _of_session(self, event: status.Event) -> list[str]:  # noqa: PLR0911 -- same
        match event:
            case status.Proposed():
                if any(peer.trust == "self" and peer.peer_id == event.proposer for peer in event.participants):
                    self._own.add(event.session_id)
                among = f", among {names_of(event.participants)}" if self._names else ""
                return [f"{clock(int(self._now() * 1000))} {proposal_line(event)}{among}"]
            case status.Answered():
                if event.accepted:
                    return [f"{escape(event.peer_id)} accepted"]
                return [f"{escape(event.peer_id)} refused" + (f": {quoted(event.reason)}" if event.reason else "")]
            case status.Progress():
                return self._progress(event)
            case status.Link():
                if event.state in {"connecting", "open"}:
                    return []
                return [f"link {escape(event.one)} to {escape(event.other)} is {event.state}"]
            case status.SafetyWords():
                return [f"safety words: {' '.join(map(escape, event.words))}"]
            case status.SessionEnded():
                return self._ended(event)
            case _:
                return []

    def _news(self, lines: list[str]) -> list[str]:
        if lines == self._waiting:
            return []
        self._waiting = lines
        return lines

    def _progress(self, event: status.Progress) -> list[str]:
        phase = (event.session_id, event.phase)
        if phase == self._phase and event.phase not in _PEOPLE_ANSWER:
            return []
        self._phase = phase
        if not event.waiting_for:
            return [event.phase]
        said = [f"{event.phase}: waiting for {listed(event.waiting_for)}{until(event.until)}"]
        if event.phase == "negotiating" and self._here is not None:
            away = [name for name in event.waiting_for if name not in self._here]
            if away:
                said.append(f"not in the room: {listed(away)}")
        return said

    def _ended(self, event: status.SessionEnded) -> list[str]:
        error, own = event.error, event.session_id in self._own
        self._own.discard(event.session_id)
        if error is None:
            return [f"done in {sum(event.seconds.values()):.1f} s"]
        what = "this node does not take part" if error.code == Refused.code and not own else "the session failed"
        lines = [f"{what}: {escape(error.message, 1000)}"]
        return lines + ([f"hint: {escape(error.hint, 1000)}"] if error.hint and not own else [])


_KNOWN: Final[dict[status.How, str]] = {
    "code": "verified by a code",
    "words": "verified by safety words",
    "fingerprint": "verified by its fingerprint",
    "invitation": "known by an invitation of its own",
    "introduced": "came by the link, and nobody verified it",
}


def _of_invitation(event: status.CodeUsed | status.Guests | status.Joined) -> list[str]:
    match event:
        case status.CodeUsed(error=None):
            return [f"{escape(event.contact or '')} used the code {escape(event.code)}, and is verified for both sides"]
        case status.CodeUsed(error=error):
            lines = [f"the code {escape(event.code)} is used up: {escape(error.message, 1000)}" if error else ""]
            return [*lines, "type code for a new one, or tell them the link"]
        case status.Guests():
            joined = [line for guest in event.guests for line in _guest(guest)]
            missing = f"{event.missing} more to join" if event.missing else "all are here"
            return [*(joined or ["nobody has joined"]), missing]
        case status.Joined():
            known = "the code" if event.how == "code" else "the link"
            return [
                f"joined: {escape(event.inviter.peer_id)} has the key of {known}, and a place for this node",
                f"waiting until all are there and it proposes the wallet{until(event.until)}",
            ]


def _guest(guest: status.GuestView) -> list[str]:
    name = f" (your contact {escape(guest.contact)})" if guest.contact is not None else ""
    away = "" if guest.present else "; away now"
    return [
        f"joined: {escape(guest.peer_id)}{name}, {_KNOWN[guest.how]}{away}",
        f"    fingerprint {escape(guest.fingerprint)}",
    ]


def _soon(seconds: float) -> str:
    return "at once" if seconds < 0.5 else f"in {seconds:.0f} s"


def _waiting(event: status.Waiting) -> list[str]:
    for_whom = listed(event.names) if event.names else counted(event.missing, "more peer")
    return [f"waiting for {for_whom}{until(event.until)}; here: {listed(event.present)}"]


def _wallet(wallet: status.WalletView) -> str:
    if wallet.state == "active" and wallet.pending is not None:
        return f"wallet {escape(wallet.name)}: {pending_line(wallet)}"
    epoch = f", epoch {wallet.epoch}" if wallet.epoch else ""
    return f"wallet {escape(wallet.name)} is {wallet.state}{epoch}"
