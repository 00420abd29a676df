"""One end of pairings, in a process of its own that has everything loaded: ``... ROLE URL COUNT``.

An inviter prints each code, a joiner reads them; each prints when it had the other's card.
"""

import asyncio
import json
import random
import sys
import time
from typing import Any

from mpcnode.crypto.pake import PasswordExchange
from mpcnode.identity.card import Card
from mpcnode.peers.introductions.meeting import Introducer
from mpcnode.types import PeerId
from mpcnode.wire.code import Code, draw_words, parse_code
from tests.helpers.identities import identity


def say(**line: Any) -> None:
    print(json.dumps(line), flush=True)


def nothing_against(_card: Card) -> None:
    pass


async def main(role: str, url: str, count: int) -> None:
    rng = random.randbytes
    PasswordExchange(b"warm", rng)
    me = Introducer(server=url, ca_file=None, identity=identity(role), moniker=PeerId(role), rng=rng)
    loop = asyncio.get_running_loop()

    def show(code: Code, _lasts: float) -> None:
        say(code=str(code))

    for number in range(count):
        if role == "inviter":
            await me.invite(draw_words(2, rng), check=nothing_against, show=show)
            say(met=number, at=time.monotonic())
        else:
            code = parse_code(await loop.run_in_executor(None, sys.stdin.readline))
            began = time.monotonic()
            await me.join(code, check=nothing_against)
            say(met=number, at=time.monotonic(), began=began)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
