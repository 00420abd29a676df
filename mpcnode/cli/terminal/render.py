"""The live table: participants by phase. The only importer of rich.

All text of a peer is escaped and goes into ``Text``, never into markup. Marks differ by shape, not by colour alone.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Final, Self

import rich.live
from rich import box
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from mpcnode import status
from mpcnode.cli.terminal.sentences import Narrator
from mpcnode.cli.terminal.text import counted, escape, listed
from mpcnode.cli.terminal.view import HEADINGS, Mark, SessionView, after

_MARKS: Final[dict[Mark, tuple[str, str, str]]] = {  # in Unicode, in ASCII, style
    "done": ("✓", "+", "green"),
    "waiting": ("…", ".", "yellow"),
    "failed": ("✗", "x", "bold red"),
    "ahead": (" ", " ", ""),
}
_IN_TABLE: Final = (status.Progress, status.Link, status.Answered, status.SafetyWords)


class Live:
    """An output that keeps one table at the foot of the terminal and puts sentences above it.

    Args:
        console: where to draw; stderr by default. ``NO_COLOR`` is honoured by it.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True, highlight=False)
        self._narrator = Narrator()
        self._view: SessionView | None = None
        self._live: rich.live.Live | None = None
        self._held: list[status.Event] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def event(self, event: status.Event) -> None:
        """Draw ``event``: in the table where it has a place there, else as a sentence above it."""
        if self._held is not None:
            self._held.append(event)
            return
        self._view = after(self._view, event)
        if self._view is None or not isinstance(event, _IN_TABLE):
            for line in self._narrator.lines(event):
                self._console.print(Text(line))
        if self._view is not None:
            self._draw(self._view)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leave the terminal to a question; what happens meanwhile is drawn below it afterwards."""
        self._stop()
        self._held = []
        try:
            yield
        finally:
            held, self._held = self._held, None
            for event in held:
                self.event(event)

    def _draw(self, view: SessionView) -> None:
        if self._live is None and view.ended is None:
            self._live = rich.live.Live(
                console=self._console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False
            )
            self._live.start()
        if self._live is not None:
            ascii_only = not self._console.encoding.lower().startswith("utf")
            self._live.update(table(view, ascii_only=ascii_only), refresh=True)
        if view.ended is not None:
            self._stop()
            self._view = None

    def _stop(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None


def table(view: SessionView, *, ascii_only: bool = False) -> Group:
    """Draw a session: one row a participant, one column a phase, and below it what the session waits for."""
    proposal = view.proposal
    drawn = Table(
        title=Text(_title(proposal)),
        box=box.ASCII if ascii_only else box.SIMPLE_HEAD,
        title_justify="left",
        pad_edge=False,
    )
    drawn.add_column("participant", overflow="fold")
    for phase in view.phases:
        drawn.add_column(HEADINGS[phase], justify="center")
    for participant in proposal.participants:
        marks = (_MARKS[view.mark(participant.peer_id, phase)] for phase in view.phases)
        cells = [Text(mark[1] if ascii_only else mark[0], style=mark[2]) for mark in marks]
        drawn.add_row(Text(_name(participant)), *cells)
    return Group(drawn, *(Text(line) for line in _footer(view)))


def _title(proposal: status.Proposed) -> str:
    if proposal.sign is not None:
        return f"signing with {escape(proposal.wallet)}: {counted(len(proposal.sign.messages), 'message')}"
    if proposal.kind == "refresh":
        return f"new shares of wallet {escape(proposal.wallet)}: {proposal.threshold} of {proposal.total}"
    return f"wallet {escape(proposal.wallet)}: {proposal.threshold} of {proposal.total}"


def _name(participant: status.PeerView) -> str:
    trust = "this node" if participant.trust == "self" else participant.trust
    return f"{escape(participant.peer_id)} ({trust})"


def _footer(view: SessionView) -> list[str]:
    lines = [f"link {escape(one)} to {escape(other)} is {state}" for one, other, state in view.troubled_links]
    if view.words:
        lines.append(f"safety words: {' '.join(map(escape, view.words))}")
    if view.phase is not None and view.ended is None:
        waiting = f": waiting for {listed(sorted(view.waiting_for))}" if view.waiting_for else ""
        lines.append(f"{view.phase}{waiting}")
    return lines
