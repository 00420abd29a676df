"""A relay as one writes it with ``websockets`` in an afternoon: ``python -m tests.bench.bare_relay [uvloop]``."""

import asyncio
import contextlib
import json
import sys

from websockets.asyncio.server import ServerConnection, broadcast, serve
from websockets.exceptions import ConnectionClosed

peers: dict[str, ServerConnection] = {}
watchers: set[ServerConnection] = set()


async def client(socket: ServerConnection) -> None:
    name = None
    with contextlib.suppress(ConnectionClosed):
        async for text in socket:
            message = json.loads(text)
            if message["type"] == "register":
                name = message["peer_id"]
                peers[name] = socket
                broadcast(watchers, json.dumps({"type": "peer_joined", "peer_id": name}))
                await socket.send(json.dumps({"type": "peers", "peers": list(peers)}))
            elif message["type"] == "list_peers" and "watch" in message:
                watchers.add(socket)
            elif message["type"] == "relay" and message["to"] in peers:
                relayed = {"type": "relay", "from": name, "data": message["data"]}
                await peers[message["to"]].send(json.dumps(relayed))
    if name is not None:
        del peers[name]
        watchers.discard(socket)
        broadcast(watchers, json.dumps({"type": "peer_left", "peer_id": name}))


async def main() -> None:
    async with serve(client, "127.0.0.1", 0) as server:
        print(json.dumps({"event": "serving", "port": server.sockets[0].getsockname()[1]}), flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    if "uvloop" in sys.argv:
        import uvloop

        uvloop.install()
    asyncio.run(main())
