"""One node of the bare mesh: stock ``RTCPeerConnection``s of aiortc and not a line of mpcnode.

``python -m tests.bench.bare_mesh PORT NAME NAME...``: a relay's port, this node, all nodes. A line on standard input
opens the links to all others at once, the node of the smaller name making the offer; the next one closes them.

The one thing that is not stock is the address: aioice leaves the loopback out, which is where the nodes' links go too.
"""

import asyncio
import json
import sys
import time
from typing import Any

import aioice.ice
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription

aioice.ice.get_host_addresses = lambda **_families: ["127.0.0.1"]


class Bare:
    def __init__(self, me: str, everybody: list[str], relay: asyncio.StreamWriter) -> None:
        self.me = me
        self.others = [name for name in everybody if name != me]
        self.relay = relay
        self.links: dict[str, RTCPeerConnection] = {}
        self.missing: set[str] = set()
        self.began = self.cpu = 0.0
        self.tasks: set[asyncio.Task[None]] = set()

    def spawn(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def link(self, name: str) -> RTCPeerConnection:
        # Without a list of its own, aiortc would ask a public STUN server.
        link = self.links[name] = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        channel = link.createDataChannel("bare", negotiated=True, id=0)
        channel.on("open", lambda: self.opened(name))
        return link

    def opened(self, name: str) -> None:
        self.missing.discard(name)
        if not self.missing:
            say(began=self.began, open=time.monotonic(), cpu=time.process_time() - self.cpu)

    def begin(self) -> None:
        self.began, self.cpu = time.monotonic(), time.process_time()
        self.missing |= set(self.others)
        for name in self.others:
            if self.me < name:
                self.spawn(self.offer(name))

    async def offer(self, name: str) -> None:
        link = self.link(name)
        await link.setLocalDescription(await link.createOffer())
        self.tell(name, link)

    async def take(self, name: str, description: RTCSessionDescription) -> None:
        if description.type == "answer":
            await self.links[name].setRemoteDescription(description)
            return
        link = self.link(name)
        await link.setRemoteDescription(description)
        await link.setLocalDescription(await link.createAnswer())
        self.tell(name, link)

    def tell(self, name: str, link: RTCPeerConnection) -> None:
        own = link.localDescription
        message = {"to": name, "from": self.me, "sdp": own.sdp, "type": own.type}
        self.relay.write(json.dumps(message).encode() + b"\n")

    async def close(self) -> None:
        await asyncio.gather(*(link.close() for link in self.links.values()))
        self.links.clear()
        say(closed=True)


def say(**line: Any) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


async def listen(bare: Bare, relay: asyncio.StreamReader) -> None:
    while line := await relay.readline():
        message = json.loads(line)
        bare.spawn(bare.take(message["from"], RTCSessionDescription(message["sdp"], message["type"])))


async def main(port: int, me: str, everybody: list[str]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
    writer.write(me.encode() + b"\n")
    bare = Bare(me, everybody, writer)
    bare.spawn(listen(bare, reader))
    commands = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    say(ready=True)
    while await commands.readline():
        bare.begin()
        if not await commands.readline():
            break
        await bare.close()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], sys.argv[3:]))
