"""What stands on the screen, as rows of text: a session as it runs, and a question. Pure; nothing here draws.

Every row fits the width. The rows of a frame fit the height too: where there are more participants than rows, those
that the session waits for are shown, and the last row says how many are not. The words and the question are never
what is left out. A question has pages: what does not fit is on the next one, and the page says so.
"""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from mpcnode import status
from mpcnode.cli.terminal.describe import (
    KNOWN,
    clock,
    count_of,
    known_as,
    message_rows,
    title,
    what_is_signed,
)
from mpcnode.cli.terminal.text import counted, escape, listed, shortened, wrapped
from mpcnode.cli.terminal.view import SessionView

NAME: Final = 20
"""The most columns that a name takes in a frame."""
STEP: Final = 18
BAR: Final = 12
FEWEST: Final = 3
"""Rows of what a question is about that are on each of its pages, however small the screen is."""


@dataclass(frozen=True, slots=True)
class Size:
    """Columns and rows of a terminal, and whether it shows more than ASCII."""

    columns: int = 80
    rows: int = 24
    ascii_only: bool = False


# ---- a session as it runs ----


def session_rows(view: SessionView, size: Size, *, others: Sequence[SessionView] = ()) -> list[str]:
    """Draw a session: one row a participant, then what it waits for, and the words where there are any.

    Args:
        view: the session.
        size: of the terminal; all rows fit it, with one row to spare.
        others: sessions that run beside it, a row each at most.
    """
    width = size.columns - 1  # in the last column, some terminals break the row
    head = [*head_rows(view.proposal, None if view.ended is not None else view.until, width), ""]
    foot = _trouble(view, width) + _words(view, width) + _beside(others, width)
    room = max(size.rows - 1 - len(head) - len(foot), 1)
    return [*head, *_people(view, width, room, ascii_only=size.ascii_only), *foot]


def head_rows(proposal: status.Proposed, until: int | None, width: int) -> list[str]:
    """Say what the session is about, whose it is and until when the present wait lasts, in a row or two."""
    left = f"{title(proposal)}  proposed by {escape(proposal.proposer)}"
    right = f"until {clock(until)}" if until is not None else ""
    if len(left) + len(right) + 2 <= width:
        return [f"{left}{right:>{width - len(left)}}".rstrip()]
    return [*wrapped(left, width), *([right] if right else [])]


def _people(view: SessionView, width: int, room: int, *, ascii_only: bool) -> list[str]:
    people = sorted(view.proposal.participants, key=lambda peer: not _matters(view, peer))
    rows = [peer for peer in view.proposal.participants if peer in people[:room]]
    waited = [name for name in _names(view) if name in view.waiting_for] if view.ended is None else []
    columns = _Columns(view, width)
    beside = columns.waiting >= len("waiting for ") + max((len(shortened(name, NAME)) for name in waited), default=0)
    needs_row = bool(waited) and not beside
    if len(people) > room - needs_row:
        rows = [peer for peer in view.proposal.participants if peer in people[: max(room - 1 - needs_row, 0)]]
    lines = [_person(view, peer, columns, beside=beside, ascii_only=ascii_only) for peer in rows]
    if left := people[len(rows) :]:
        waiting = sum(peer.peer_id in view.waiting_for for peer in left)
        lines.append(f"  {len(left)} more not shown here, {waiting or 'none'} of them waited for"[:width])
    if needs_row:
        line = f"  waiting for {', '.join(shortened(name, NAME) for name in waited)}"
        lines.append(line if len(line) <= width else f"  waiting for {counted(len(waited), 'participant')}")
    return lines


def _names(view: SessionView) -> list[str]:
    return [peer.peer_id for peer in view.proposal.participants]


def _matters(view: SessionView, peer: status.PeerView) -> bool:
    """Whether a participant has to be seen where there is no room for all."""
    return peer.trust == "self" or peer.peer_id in view.waiting_for or view.step(peer.peer_id) in {"failed", "refused"}


class _Columns:
    """How wide each part of a participant's row is."""

    def __init__(self, view: SessionView, width: int) -> None:
        longest = max(len(escape(peer.peer_id)) for peer in view.proposal.participants)
        fixed = 2 + 2 + KNOWN + 2 + 2 + STEP
        self.bar = BAR if width >= fixed + 8 + BAR else max(min(width - fixed - 8, BAR), 0)
        self.name = max(min(longest, NAME, width - fixed - self.bar), 4)
        self.waiting = width - fixed - self.name - self.bar - 2


def _person(view: SessionView, peer: status.PeerView, columns: _Columns, *, beside: bool, ascii_only: bool) -> str:
    done, phases = view.done(peer.peer_id)
    filled = done * columns.bar // phases
    full, empty = ("#", ".") if ascii_only else ("█", "░")
    bar = full * filled + empty * (columns.bar - filled)
    name = shortened(peer.peer_id, columns.name)
    row = f"  {name:<{columns.name}}  {known_as(peer):<{KNOWN}}  {bar}  {view.step(peer.peer_id):<{STEP}}"
    if beside and view.ended is None and peer.peer_id in view.waiting_for:
        row += f"  waiting for {shortened(peer.peer_id, NAME)}"
    return row.rstrip()


def _trouble(view: SessionView, width: int) -> list[str]:
    troubled = [] if view.ended is not None else list(view.troubled_links)
    rows = [
        row
        for one, other, state in troubled[:2]
        for row in wrapped(f"  the link {escape(one)} to {escape(other)} is {state}", width)
    ]
    if len(troubled) > 2:
        rows.append(f"  {counted(len(troubled) - 2, 'more link')} in trouble")
    return rows


def _words(view: SessionView, width: int) -> list[str]:
    return ["", *word_rows(view.words, width)] if view.words and view.ended is None else []


def word_rows(words: Sequence[str], width: int) -> list[str]:
    """Show the safety words, with as much between them as there is room for."""
    spelled = [escape(word) for word in words]
    line = "  " + "  ".join(spelled)
    return [line] if len(line) <= width else wrapped("  " + " ".join(spelled), width)


def _beside(others: Sequence[SessionView], width: int) -> list[str]:
    if not others:
        return []
    rows = ["", *(f"beside it: {title(one.proposal)}  proposed by {escape(one.proposal.proposer)}" for one in others)]
    if len(others) > 2:
        rows = [*rows[:2], f"beside it: {len(others) - 1} more sessions"]
    return [row[:width] for row in rows]


# ---- questions ----


@dataclass(frozen=True, slots=True)
class Question:
    """A question and what it is about, at some width.

    Args:
        head: what it is about, in a row or two.
        body: the whole of it; as much as fits is on a page, and ``m`` shows the next.
        foot: what is asked, on each page.
        answers: what may be answered, in a row.
        why: what ``?`` explains.
    """

    head: list[str]
    body: list[str]
    foot: list[str]
    answers: str
    why: list[str]

    def page(self, number: int, size: Size) -> list[str]:
        """Give one page: all rows fit the screen, with one row to spare for what is typed."""
        start, end = self._part(number, size)
        hidden = len(self.body) - (end - start)
        rows = [*self.head, *self.body[start:end]]
        if hidden:
            rows.append(_hidden(start, end, len(self.body)))
        return [*rows, *self.foot, *self._answers(size, more=bool(hidden))]

    def pages(self, size: Size) -> int:
        """How many pages there are."""
        return max(-(-len(self.body) // self._room(size)), 1)

    def again(self, size: Size) -> list[str]:
        """The question alone, where what it is about stands above."""
        return [*self.foot, *self._answers(size, more=self.pages(size) > 1)]

    def _part(self, number: int, size: Size) -> tuple[int, int]:
        room = self._room(size)
        start = number % self.pages(size) * room
        return start, min(start + room, len(self.body))

    def _room(self, size: Size) -> int:
        fixed = len(self.head) + len(self.foot) + len(self._answers(size, more=True)) + 1
        if len(self.body) <= size.rows - 1 - (fixed - 1):
            return max(len(self.body), 1)
        return max(size.rows - 1 - fixed, FEWEST)

    def _answers(self, size: Size, *, more: bool) -> list[str]:
        return wrapped(f"{self.answers}   [m] more rows" if more else self.answers, size.columns - 1)


def _hidden(start: int, end: int, total: int) -> str:
    above = [f"{counted(start, 'row')} above"] if start else []
    below = [f"{counted(total - end, 'more row')} below"] if end < total else []
    return f"-- {', '.join(above + below)} --"


def approval(proposal: status.Proposed, size: Size) -> Question:
    """Ask whether to take part."""
    width = size.columns - 1
    proposer, wallet = escape(proposal.proposer), escape(proposal.wallet)
    head = head_rows(proposal, proposal.until or proposal.expires, width)
    answer = "[y] take part   [n] refuse   [?] what it means"
    people = _among(proposal, width)
    if proposal.sign is not None:
        asked = f"sign {what_is_signed(proposal.sign)} with {wallet} for {proposer}?"
        body = message_rows(proposal.sign, width)
        foot = [*wrapped(f"{count_of(proposal.sign)}, {listed(proposal.suites)}", width), *wrapped(asked, width)]
        return Question(
            [*head, *people], body, foot, "[y] sign   [n] refuse   [?] what it means", _paragraphs(_WHY_SIGN, width)
        )
    if proposal.kind == "refresh":
        asked = f"{proposer} asks you to take a new share of {wallet}. Keys and addresses stay. Take part?"
        return Question(
            head, _fingerprints(proposal, width), wrapped(asked, width), answer, _paragraphs(_WHY_REFRESH, width)
        )
    quorum = f"{proposal.threshold} of {proposal.total}"
    asked = f"{proposer} asks you to make the wallet {wallet} together, {quorum}. Take part?"
    return Question(head, _fingerprints(proposal, width), wrapped(asked, width), answer, _paragraphs(_WHY_MAKE, width))


def comparison(words: status.SafetyWords, view: SessionView | None, size: Size) -> Question:
    """Ask whether everybody sees the same words; say with whom to compare them."""
    width = size.columns - 1
    head = head_rows(view.proposal, words.until or view.until, width) if view is not None else []
    body = _fingerprints(view.proposal, width) if view is not None else []
    others = [peer for peer in view.proposal.participants if peer.trust != "self"] if view is not None else []
    names = _and([escape(peer.peer_id) for peer in others]) or "every other participant"
    screens = {1: "both screens", 2: "all three screens"}.get(len(others), f"all {len(others) + 1} screens")
    if not others:
        screens = "every screen"
    asked = f"Are these six words on {screens}? Ask {names} by voice or in person."
    if len(others) > 6:
        asked = f"Are these six words on {screens}? Ask each of the {len(others)} others by voice or in person."
    foot = ["", *word_rows(words.words, width), "", *wrapped(asked, width)]
    answers = "[y] the same   [n] different   [?] why this matters"
    return Question(head, body, foot, answers, _paragraphs(_WHY_WORDS, width))


def choice(candidates: Sequence[status.PeerView], count: int, size: Size) -> Question:
    """Ask which peers take part."""
    width = size.columns - 1
    body = [
        row for number, peer in enumerate(candidates, 1) for row in _fingerprint(peer, width, before=f"{number:>3}  ")
    ]
    asked = f"{counted(len(candidates), 'peer')} can take part, and {count} of them must. Which?"
    answers = (
        f"type {counted(count, 'name or number') if count == 1 else f'{count} names or numbers'}, with spaces between"
    )
    return Question([], body, wrapped(asked, width), answers, [])


def another_code(error: Sequence[str], size: Size) -> Question:
    """Ask whether to make a new code, where the one before is used up; ``error`` says why."""
    width = size.columns - 1
    head = [row for line in error for row in wrapped(line, width)]
    return Question(
        head,
        [],
        wrapped("Make a new code?", width),
        "[y] a new code   [n] stop   [?] what it means",
        _paragraphs(_WHY_CODE, width),
    )


def _and(names: Sequence[str]) -> str:
    return " and ".join(part for part in (", ".join(names[:-1]), names[-1] if names else "") if part)


def _among(proposal: status.Proposed, width: int) -> list[str]:
    """Everybody that is asked, in a few rows, however many there are."""
    shown = [f"{shortened(peer.peer_id, NAME)} ({known_as(peer)})" for peer in proposal.participants]
    more = f" and {len(shown) - 8} more" if len(shown) > 8 else ""
    return wrapped(f"asked: {', '.join(shown[:8])}{more}", width)


def _fingerprints(proposal: status.Proposed, width: int) -> list[str]:
    return [row for peer in proposal.participants for row in _fingerprint(peer, width)]


def _fingerprint(peer: status.PeerView, width: int, before: str = "  ") -> list[str]:
    """A peer, how it is known, and the fingerprint of its key: in a row, or two where the terminal is narrow."""
    shown = peer.fingerprint or "no key yet"
    if peer.pinned is not None:
        shown = f"pinned {peer.pinned}"
    name = shortened(peer.peer_id, max(min(NAME, width - len(before) - KNOWN - 2), 4))
    row = f"{before}{name:<12}  {known_as(peer):<{KNOWN}}"
    if len(row) + 2 + len(shown) <= width:
        return [f"{row}  {shown}"]
    return [row.rstrip(), *wrapped(" " * len(before) + "  " + shown, width)]


def _paragraphs(text: Sequence[str], width: int) -> list[str]:
    """Set explanations as one paragraph, between empty rows."""
    return ["", *textwrap.wrap(" ".join(text), width), ""]


_WHY_WORDS: Final = (
    "The words are made of the keys of everybody in this session. If all screens show the same six, in the same order,",
    "then all of you speak with each other and nobody stands between you. If one word differs on one screen, somebody",
    "may: then answer n, and do not use this server again before you know why.",
    "Ask on a way that this server does not carry: by voice, or in person. A chat over the same server proves nothing.",
)
_WHY_SIGN: Final = (
    "If you answer y, this node gives its part of a signature over what stands above, from its own copy of it. When as",
    "many participants as the wallet needs have said yes, the signature is valid and cannot be taken back.",
    "Text of others stands behind a bar. Characters that are not plain ASCII are spelled out, and spaces are counted.",
    "If you answer n, this node signs nothing, and the others may go on without it.",
)
_WHY_REFRESH: Final = (
    "If all participants answer y, each gets a new share of the same key. Old shares and their copies become useless.",
    "If one of you answers n, nothing changes.",
)
_WHY_CODE: Final = (
    "A code works once: one try with a wrong word ends it, and tells nothing about the words. If the other side typed",
    "nothing yet, somebody guessed at the code. A new code is as safe as the first; --words 3 makes guessing harder.",
    "If it happens again, use another server.",
)
_WHY_MAKE: Final = (
    "If all participants answer y, a new key is made in parts: each node stores one share, nobody ever has all of it.",
    "You then compare six words with the others, so that nobody can stand between you.",
    "If one of you answers n, no wallet is made.",
)
