"""The tasks of one mesh, which does not end before they have ended."""

import asyncio
from collections.abc import Callable, Coroutine


class Scope:
    """A group of tasks that ends from outside, unlike ``asyncio.TaskGroup``, which ends with its block.

    Args:
        on_crash: told of an exception that escaped a task, which is always a defect of ours.
    """

    def __init__(self, on_crash: Callable[[BaseException], None]) -> None:
        self._on_crash = on_crash
        self._tasks: set[asyncio.Task[None]] = set()

    def spawn(self, work: Coroutine[None, None, None], name: str) -> asyncio.Task[None]:
        """Run ``work``."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    async def join(self) -> None:
        """Wait until every task has ended; they have been told to.

        It cancels nothing, because a task that is tearing a link down must not be interrupted.
        """
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._on_crash(error)
