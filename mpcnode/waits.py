"""Waiting for what must not be left behind, however often the waiting task is cancelled."""

import asyncio
from typing import Any


async def see_end(*futures: asyncio.Future[Any] | None) -> None:
    """Wait until every future has ended; they were told to, or end by themselves soon.

    Raises:
        CancelledError: this task was cancelled meanwhile; the futures have ended all the same.
    """
    pending = {future for future in futures if future is not None}
    cancelled = False
    while any(not future.done() for future in pending):
        try:
            await asyncio.wait(pending)
        except asyncio.CancelledError:
            cancelled = True
    for future in pending:
        if not future.cancelled():
            future.exception()  # looked at: what it says matters no more
    if cancelled:
        raise asyncio.CancelledError


def first_of(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Give the first error that is not a group itself: what went wrong before the rest was cancelled."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
