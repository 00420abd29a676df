"""Questions on the terminal: passphrases, yes or no, which peers.

A question without a terminal is an error that names the option which answers it.
"""

import os
import sys
import termios
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from mpcnode import status
from mpcnode.cli.options import expanded
from mpcnode.cli.terminal.frame import Question, Size, another_code, approval, choice, comparison
from mpcnode.cli.terminal.output import Output, say
from mpcnode.cli.terminal.text import as_typed, escape, quoted, wrapped
from mpcnode.errors import Interrupted, KeystoreAbsent, NoTerminal, UsageError
from mpcnode.keystore.passphrase import MAX_PASSPHRASE, read_passphrase_fd, read_passphrase_file
from mpcnode.types import PeerId

_TRIES: Final = 3


def has_terminal() -> bool:
    """Whether there is somebody to ask."""
    return sys.stdin.isatty()


def passphrase(home: Path, *, file: Path | None, fd: int | None) -> bytearray:
    """The home's passphrase: from a file, a file descriptor or the terminal, where a new one is asked for twice.

    Returns:
        For the caller to own and wipe.

    Raises:
        NoTerminal: none was given and there is nobody to ask.
        UsageError: given in two ways, or typed differently the second time.
        ConfigurationError: the file cannot be read.
        KeystoreAbsent: the home has lost its identity; no passphrase could open it.
    """
    if file is not None and fd is not None:
        raise UsageError("two passphrases", hint="give --passphrase-file or --passphrase-fd, not both")
    if file is not None:
        return read_passphrase_file(expanded(file))
    if fd is not None:
        return read_passphrase_fd(fd)
    if not has_terminal():
        raise NoTerminal("no passphrase and no terminal to ask for it", hint="add --passphrase-file FILE")
    if not is_new(home):
        return _ask_hidden(f"passphrase for {as_typed(str(home))}: ")
    first = _ask_hidden(f"new passphrase for {as_typed(str(home))}: ")
    second = _ask_hidden("the same again: ")
    same = first == second
    second[:] = bytes(len(second))
    if not same:
        first[:] = bytes(len(first))
        raise UsageError("the two passphrases differ", hint="nothing was made; run the command again")
    return first


def is_new(home: Path) -> bool:
    """Say whether there is no identity at this place yet.

    Raises:
        KeystoreAbsent: there is none any more, and wallets are there.
    """
    from mpcnode.keystore.store import Home  # noqa: PLC0415 -- a command that finds a running node opens no home

    try:
        opened = Home.open(home, create=False)
    except KeystoreAbsent:
        return True
    return opened.is_new()


def _ask_hidden(question: str) -> bytearray:
    """Ask on the terminal without showing the answer."""
    fd = sys.stdin.fileno()
    before = termios.tcgetattr(fd)
    silent = termios.tcgetattr(fd)
    silent[3] &= ~termios.ECHO
    for _ in range(_TRIES):
        try:
            # The terminal falls silent before the question: an answer typed at once must be neither shown nor lost.
            termios.tcsetattr(fd, termios.TCSAFLUSH, silent)
            sys.stderr.write(question)
            sys.stderr.flush()
            answer = _read_hidden(fd)
        finally:
            termios.tcsetattr(fd, termios.TCSAFLUSH, before)
            sys.stderr.write("\n")
        if answer:
            return answer
        say("a passphrase cannot be empty")
    raise UsageError("no passphrase was given")


def _read_hidden(fd: int) -> bytearray:
    # Into a buffer we own: a str on the way could not be wiped.
    buffer = bytearray(MAX_PASSPHRASE + 2)
    count = os.readv(fd, [buffer])
    if count == 0:
        raise Interrupted("the terminal ended before the passphrase")
    answer = buffer[: count - 1] if buffer[count - 1] == 0x0A else buffer[:count]
    buffer[:] = bytes(len(buffer))
    return answer


def ask_line(question: str) -> str:
    """Ask on the terminal for a line of text, where no node runs in this process.

    Raises:
        Interrupted: the terminal ended.
    """
    sys.stderr.write(question)
    sys.stderr.flush()
    line = ""
    try:
        line = sys.stdin.readline()
    finally:
        if not line.endswith("\n"):  # what is said next begins a row of its own
            sys.stderr.write("\n")
    if not line:
        raise Interrupted("the terminal ended before the answer")
    return line


class TerminalUser:
    """The user at this terminal: answers what a node asks (``consent.User``), one question at a time.

    Args:
        output: shows what the questions are about, and leaves the terminal to them.
    """

    def __init__(self, output: Output) -> None:
        import asyncio  # noqa: PLC0415 -- a passphrase is asked for without it

        self._output = output
        self._one_at_a_time = asyncio.Lock()

    async def approve(self, proposal: status.Proposed) -> bool:
        """Ask whether to take part."""
        self._output.asked(proposal.session_id)
        return await self._yes_or_no(lambda size: approval(proposal, size), option="--accept")

    async def confirm_words(self, words: status.SafetyWords) -> bool:
        """Ask whether everybody sees the same words, and say who everybody is."""
        view = self._output.session(words.session_id)
        return await self._yes_or_no(lambda size: comparison(words, view, size), option="--yes")

    async def another_code(self, error: Sequence[str]) -> bool:
        """Ask whether to make a new code where one is used up; ``error`` says why."""
        return await self._yes_or_no(lambda size: another_code(error, size), option="a code of the other side")

    async def choose_peers(self, candidates: tuple[status.PeerView, ...], count: int) -> tuple[PeerId, ...]:
        """Ask which peers take part, by name or by number, until so many are chosen."""
        names = [peer.peer_id for peer in candidates]
        async with self._asking(lambda size: choice(candidates, count, size), option="--with") as asked:
            while True:
                answer = await asked.answer()
                chosen = parse_choice(answer, names, count)
                if not isinstance(chosen, str):
                    return chosen
                asked.again(chosen)

    async def _yes_or_no(self, make: Callable[[Size], Question], *, option: str) -> bool:
        async with self._asking(make, option=option) as asked:
            while (answer := (await asked.answer()).strip().lower()) not in {"y", "yes", "n", "no"}:
                if answer == "?":
                    asked.explain()
                else:
                    asked.again("please answer y or n, or ? for what it means")
            return answer in {"y", "yes"}

    @asynccontextmanager
    async def _asking(self, make: Callable[[Size], Question], *, option: str) -> AsyncIterator["_Asked"]:
        if not has_terminal():
            raise NoTerminal("a question and no terminal to ask it on", hint=f"add {option}")
        async with self._one_at_a_time:
            with self._output.paused():
                asked = _Asked(make, self._output)
                try:
                    asked.show()
                    yield asked
                except BaseException:
                    # Nobody answered it: what comes next begins a line of its own.
                    if asked.open:
                        self._output.say("", "this question is over; no answer is needed any more")
                    raise


class _Asked:
    """One question while it is on the screen."""

    def __init__(self, make: Callable[[Size], Question], output: Output) -> None:
        self._make = make
        self._output = output
        self._page = 0
        self.open = False
        """Whether an answer is being waited for."""

    def show(self) -> None:
        """Show the question with what it is about."""
        self._output.say("")
        self._say(lambda question, size: question.page(self._page, size))

    def explain(self) -> None:
        """Say what the question means, and ask it again."""
        self._say(lambda question, size: [*question.why, *question.again(size)])

    def again(self, why: str) -> None:
        """Ask again, and say why."""
        self._say(lambda question, size: [*wrapped(why, size.columns - 1), *question.again(size)])

    async def answer(self) -> str:
        """Wait for an answer that does not ask for more rows."""
        while True:
            # A key pressed before the question was there does not answer it; one pressed after that is never lost.
            await self._output.shown()
            termios.tcflush(sys.stdin.fileno(), termios.TCIFLUSH)
            self._output.prompt("> ")
            self.open = True
            line = await read_line()
            self.open = False
            if line.strip().lower() not in {"m", "more"} or self._pages() == 1:
                return line
            self._page += 1
            self._output.say("")
            self._say(lambda question, size: question.page(self._page, size))

    def _pages(self) -> int:
        size = self._output.size()
        return self._make(size).pages(size)

    def _say(self, rows: Callable[[Question, Size], list[str]]) -> None:
        size = self._output.size()
        self._output.say(*rows(self._make(size), size))


async def read_line() -> str:
    """A line from the terminal, without a thread that nobody could stop."""
    import asyncio  # noqa: PLC0415 -- as above

    loop = asyncio.get_running_loop()
    answer: asyncio.Future[bytes] = loop.create_future()
    fd = sys.stdin.fileno()

    def readable() -> None:
        if not answer.done():
            try:
                answer.set_result(os.read(fd, 4096))
            except OSError:  # the terminal went away
                answer.set_result(b"")

    loop.add_reader(fd, readable)
    try:
        line = await answer
    finally:
        loop.remove_reader(fd)
    if not line:
        raise Interrupted("the terminal ended before the answer")
    return line.decode(errors="replace")


def parse_choice(line: str, names: Sequence[str], count: int) -> tuple[PeerId, ...] | str:
    """Read a choice of peers: their names, or their numbers in the list; or say why it is none.

    Args:
        line: what was typed.
        names: of the candidates, in the order in which they are listed.
        count: how many must be chosen.
    """
    chosen: list[str] = []
    for word in line.replace(",", " ").split():
        by_number = _at(word, names)
        if word in names and by_number not in {None, word}:
            return f"{escape(word)} is the name of one peer and the number of another: name it otherwise"
        name = word if word in names else by_number
        if name is None:
            return f"{quoted(word, 80)} is neither a name nor a number from 1 to {len(names)}"
        if name in chosen:
            return f"{escape(name)} is named twice"
        chosen.append(name)
    if len(chosen) != count:
        return f"choose {count}, and not {len(chosen)}"
    return tuple(PeerId(name) for name in names if name in chosen)


def _at(word: str, names: Sequence[str]) -> str | None:
    if not (word.isascii() and word.isdigit() and len(word) < 4):
        return None
    return names[int(word) - 1] if 1 <= int(word) <= len(names) else None
