"""The trivial relay of the bare mesh: the first line names a client, every later one goes to whom it names."""

import asyncio
import json
import sys

clients: dict[str, asyncio.StreamWriter] = {}


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    clients[(await reader.readline()).decode().strip()] = writer
    while line := await reader.readline():
        clients[json.loads(line)["to"]].write(line)
    writer.close()


async def main() -> None:
    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=1 << 20)
    sys.stdout.write(json.dumps({"port": server.sockets[0].getsockname()[1]}) + "\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
