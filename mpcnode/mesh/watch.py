"""Waiting for what other tasks bring about."""

import asyncio
from collections.abc import Callable


class Watch:
    """Lets tasks wait until a condition holds; every change that may matter is announced by ``stir``."""

    def __init__(self) -> None:
        self._stirred = asyncio.Event()

    def stir(self) -> None:
        """Have every waiting task look again."""
        self._stirred.set()

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until ``holds()``; an exception that it raises ends the wait."""
        while not holds():
            self._stirred.clear()
            await self._stirred.wait()

    async def within(self, seconds: float, holds: Callable[[], bool]) -> bool:
        """Wait until ``holds()``, for ``seconds`` at most; say whether it does."""
        try:
            async with asyncio.timeout(seconds):
                await self.until(holds)
        except TimeoutError:
            return holds()
        return True
