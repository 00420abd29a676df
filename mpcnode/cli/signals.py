"""Ctrl-C before an event loop answers to it; nothing else is imported here, so that it is caught from the start."""

import signal
from types import FrameType
from typing import Final

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
_seen: list[int] = []


def catch() -> None:
    """From now on, raise ``KeyboardInterrupt`` at Ctrl-C and at SIGTERM, and remember which signal it was.

    Python drops an exception that is raised inside a finalizer or a callback of its import system, and a node would go
    on as if nobody had asked it to stop.
    """
    for number in _SIGNALS:
        signal.signal(number, _interrupt)


def came() -> str | None:
    """Name the first signal there was; None where there was none."""
    return signal.Signals(_seen[0]).name if _seen else None


def _interrupt(number: int, _frame: FrameType | None) -> None:
    _seen.append(number)
    raise KeyboardInterrupt
