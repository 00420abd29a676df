"""Questions on the terminal: passphrases, yes or no, which peers.

A question without a terminal is an error that names the option which answers it.
"""

import os
import sys
import termios
from pathlib import Path
from typing import Final

from mpcnode import status
from mpcnode.cli.terminal.describe import message_lines
from mpcnode.cli.terminal.output import Output, say
from mpcnode.cli.terminal.text import escape, listed
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
        return read_passphrase_file(file.expanduser())
    if fd is not None:
        return read_passphrase_fd(fd)
    if not has_terminal():
        raise NoTerminal("no passphrase and no terminal to ask for it", hint="add --passphrase-file FILE")
    if not _is_new(home):
        return _ask_hidden(f"passphrase for {escape(str(home))}: ")
    first = _ask_hidden(f"new passphrase for {escape(str(home))}: ")
    second = _ask_hidden("the same again: ")
    same = first == second
    second[:] = bytes(len(second))
    if not same:
        first[:] = bytes(len(first))
        raise UsageError("the two passphrases differ", hint="nothing was made; run the command again")
    return first


def _is_new(home: Path) -> bool:
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


class TerminalUser:
    """The user at this terminal: answers what a node asks (``node.User``), one question at a time.

    Args:
        output: what has to leave the terminal to a question.
    """

    def __init__(self, output: Output) -> None:
        import asyncio  # noqa: PLC0415 -- a passphrase is asked for without it

        self._output = output
        self._one_at_a_time = asyncio.Lock()

    async def approve(self, proposal: status.Proposed) -> bool:
        """Ask whether to take part."""
        names = listed(f"{peer.peer_id} ({peer.trust})" for peer in proposal.participants)
        if proposal.sign is not None:
            messages = "\n".join(message_lines(proposal.sign))
            asks = f"{escape(proposal.proposer)} asks you to sign with the wallet {escape(proposal.wallet)}"
            asks += f" ({listed(proposal.suites)})"
            return await self._yes(f"{asks}, among {names}:\n{messages}\nsign? [y/N] ", option="--accept")
        if proposal.kind == "refresh":
            asks = f"{escape(proposal.proposer)} asks you to take a new share of the wallet {escape(proposal.wallet)}"
            return await self._yes(
                f"{asks}, among {names}\nkeys and addresses stay; the old shares are erased\ntake part? [y/N] ",
                option="--accept",
            )
        question = (
            f"{escape(proposal.proposer)} asks you to make the wallet {escape(proposal.wallet)} together, "
            f"{proposal.threshold} of {proposal.total}: {names}\ntake part? [y/N] "
        )
        return await self._yes(question, option="--accept")

    async def confirm_words(self, words: status.SafetyWords) -> bool:
        """Ask whether everybody sees the same words."""
        question = (
            f"safety words: {' '.join(map(escape, words.words))}\n"
            "compare them with every other participant, by voice or in person\nare they the same? [y/N] "
        )
        return await self._yes(question, option="--yes")

    async def choose_peers(self, candidates: tuple[status.PeerView, ...], count: int) -> tuple[PeerId, ...]:
        """Ask which peers take part."""
        listing = "\n".join(f"{n:>3}  {escape(p.peer_id)} ({p.trust})" for n, p in enumerate(candidates, 1))
        question = f"{listing}\nwhich {count} of them? (numbers, with spaces between) "
        for _ in range(_TRIES):
            chosen = _parse_choice(await self._ask(question, option="--with"), len(candidates))
            if chosen is not None and len(chosen) == count:
                return tuple(PeerId(candidates[number - 1].peer_id) for number in sorted(chosen))
            say(f"that is not {count} numbers from 1 to {len(candidates)}")
        raise UsageError("no choice of peers was made", hint="name them with --with")

    async def _yes(self, question: str, *, option: str) -> bool:
        return (await self._ask(question, option=option)).strip().lower() in {"y", "yes"}

    async def _ask(self, question: str, *, option: str) -> str:
        if not has_terminal():
            raise NoTerminal("a question and no terminal to ask it on", hint=f"add {option}")
        async with self._one_at_a_time:
            with self._output.paused():
                # A key pressed before the question was there does not answer it.
                termios.tcflush(sys.stdin.fileno(), termios.TCIFLUSH)
                sys.stderr.write(question)
                sys.stderr.flush()
                return await _read_line()


async def _read_line() -> str:
    """A line from the terminal, without a thread that nobody could stop."""
    import asyncio  # noqa: PLC0415 -- as above

    loop = asyncio.get_running_loop()
    answer: asyncio.Future[bytes] = loop.create_future()
    fd = sys.stdin.fileno()

    def readable() -> None:
        if not answer.done():
            answer.set_result(os.read(fd, 4096))

    loop.add_reader(fd, readable)
    try:
        line = await answer
    finally:
        loop.remove_reader(fd)
    if not line:
        raise Interrupted("the terminal ended before the answer")
    return line.decode(errors="replace")


def _parse_choice(line: str, highest: int) -> set[int] | None:
    words = line.replace(",", " ").split()
    if not all(word.isascii() and word.isdigit() and len(word) < 4 for word in words):
        return None
    numbers = {int(word) for word in words}
    return numbers if len(numbers) == len(words) and all(1 <= number <= highest for number in numbers) else None
