import asyncio

import pytest

from mpcnode.mesh.inbox import SMALL, Inbox, weight
from mpcnode.wire.peer import Abort, Ping
from tests.helpers.meshes import SESSION, digest, names

ONE, TWO = names(2)


async def test_messages_come_out_in_order_and_the_failure_after_them() -> None:
    inbox = Inbox(messages=5, bytes_=10_000)
    assert inbox.put(ONE, digest(b"one"))
    inbox.fail(ZeroDivisionError())
    inbox.fail(KeyError())
    assert inbox.put(TWO, digest(b"two"))
    assert await inbox.get() == (ONE, digest(b"one"))
    assert await inbox.get() == (TWO, digest(b"two"))
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            await inbox.get()


async def test_a_task_that_waits_gets_what_comes() -> None:
    inbox = Inbox(messages=5, bytes_=10_000)
    waiting = asyncio.create_task(inbox.get())
    await asyncio.sleep(0)
    inbox.put(ONE, digest(b"one"))
    assert await waiting == (ONE, digest(b"one"))
    waiting = asyncio.create_task(inbox.get())
    await asyncio.sleep(0)
    inbox.fail(ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        await waiting


@pytest.mark.parametrize(("messages", "bytes_"), [(2, 1_000_000), (100, 2 * (SMALL + 500))])
async def test_too_many_messages_or_too_long_ones_are_counted_for_their_sender_alone(
    messages: int, bytes_: int
) -> None:
    inbox = Inbox(messages=messages, bytes_=bytes_)
    assert [inbox.put(ONE, digest(bytes(500))) for _ in range(3)] == [True, True, False]
    assert inbox.put(TWO, digest(bytes(500)))
    await inbox.get()
    assert [inbox.put(ONE, digest(bytes(500))) for _ in range(2)] == [True, False]


def test_a_message_weighs_at_least_as_much_as_its_data() -> None:
    assert weight(digest(bytes(100_000))) >= 100_000
    assert weight(Abort(SESSION, "x", "y", (), bytes(100_000))) >= 100_000
    assert weight(Abort(SESSION, "x", "y")) > 0
    assert weight(Ping()) > 0
