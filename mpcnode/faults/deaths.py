"""Processes that die at a named step without a word, as by ``kill -9``, or that hear Ctrl-C there."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, Final

from mpcnode.commands import CreateWallet, Refresh, Sign
from mpcnode.faults.model import Step
from mpcnode.faults.stand_in import put_in_place_of
from mpcnode.keystore.filesystem import FileSystem
from mpcnode.node import Node, NodeConfig, User
from mpcnode.status import Event, Progress, SessionEnded, SignatureView, WalletChanged, WalletView

Emit = Callable[[Event], None]

_WALLETS: Final = "wallets"


def install(step: Step, number: signal.Signals) -> None:
    """Have this process get a signal at ``step``; before anything of a node is made."""
    _MortalNode.step = _MortalFileSystem.step = step
    _MortalNode.number = _MortalFileSystem.number = number
    put_in_place_of(Node, _MortalNode)
    put_in_place_of(FileSystem, _MortalFileSystem)


def strike(number: signal.Signals) -> None:
    """Send this process a signal; after SIGKILL this does not return."""
    os.kill(os.getpid(), number)
    while number == signal.SIGKILL:
        time.sleep(1)


def step_of(event: Event) -> str | None:
    """Say which step has been reached when ``event`` is told, if one has."""
    match event:
        case Progress(phase=phase):
            return phase
        case WalletChanged(wallet=wallet):
            return f"wallet-{wallet.state}"
        case SessionEnded(signature=SignatureView()):
            return "signed"
        case _:
            return None


class _MortalNode(Node):
    """A node that is struck as soon as it has told of the step."""

    step: ClassVar[Step]
    number: ClassVar[signal.Signals]

    def __init__(self, config: NodeConfig, *, user: User, emit: Emit) -> None:
        super().__init__(config, user=user, emit=self._mortal(emit))

    async def create_wallet(
        self, command: CreateWallet, *, user: User | None = None, emit: Emit | None = None
    ) -> WalletView:
        mortal = self._mortal(emit) if emit is not None else None
        return await super().create_wallet(command, user=user, emit=mortal)

    async def refresh(self, command: Refresh, *, user: User | None = None, emit: Emit | None = None) -> WalletView:
        mortal = self._mortal(emit) if emit is not None else None
        return await super().refresh(command, user=user, emit=mortal)

    async def sign(self, command: Sign, *, emit: Emit | None = None) -> SignatureView:
        return await super().sign(command, emit=self._mortal(emit) if emit is not None else None)

    def _mortal(self, emit: Emit) -> Emit:
        def tell(event: Event) -> None:
            emit(event)
            if step_of(event) == self.step:
                strike(self.number)

        return tell


class _MortalFileSystem(FileSystem):
    """The real file system, up to a step inside a save of a wallet's file."""

    step: ClassVar[Step]
    number: ClassVar[signal.Signals]

    def __init__(self) -> None:
        self._save, self._next_save = "", "active"
        self._fd: int | None = None
        """The temporary file of the save under way."""
        self._directory: int | None = None
        """The wallet's directory, once the new file has its name."""
        self._renamed_in: Path | None = None

    def open(self, path: Path, flags: int, mode: int = 0o600) -> int:
        """Open; a new file beside a wallet's begins a save."""
        fd = super().open(path, flags, mode)
        if flags & os.O_EXCL and path.parent.parent.name == _WALLETS:
            name = path.name.removeprefix(".").rsplit(".", 2)[0]  # `.cli1.json.0123456789abcdef.tmp`
            self._save = self._next_save if path.with_name(name).exists() else "pending"
            self._next_save = "active" if self._save == "pending" else "again"
            self._fd = fd
            self._come_to("create")
        elif path == self._renamed_in:
            self._directory, self._renamed_in = fd, None
        return fd

    def write(self, fd: int, data: bytes) -> int:
        """Write; half of it where that is the step."""
        if fd == self._fd and self.step == f"{self._save}-write":
            written = super().write(fd, data[: max(1, len(data) // 2)])
            strike(self.number)
            return written
        return super().write(fd, data)

    def fsync(self, fd: int) -> None:
        """Make durable a file, or a directory."""
        super().fsync(fd)
        if fd == self._fd:
            self._come_to("fsync")
        elif fd == self._directory:
            self._come_to("sync")

    def close(self, fd: int) -> None:
        """Close; the number may be another file's next."""
        super().close(fd)
        self._fd = None if fd == self._fd else self._fd
        self._directory = None if fd == self._directory else self._directory

    def rename(self, source: Path, target: Path) -> None:
        """Give a file its name."""
        super().rename(source, target)
        if target.parent.parent.name == _WALLETS:
            self._come_to("rename")
            self._renamed_in = target.parent

    def _come_to(self, operation: str) -> None:
        if self.step == f"{self._save}-{operation}":
            strike(self.number)
