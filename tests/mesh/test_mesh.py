from mpcnode.mesh.memory import MemoryNetwork
from mpcnode.wire.peer import CommitmentDigest, Share
from tests.helpers.meshes import SESSION, meshes, names


def digest(text: bytes) -> CommitmentDigest:
    return CommitmentDigest(SESSION, "FROST-ED25519-SHA512-v1", text.hex())


def share(text: bytes) -> Share:
    return Share(SESSION, "FROST-ED25519-SHA512-v1", text.hex())


async def test_a_mesh_opens_and_carries_messages_with_their_senders() -> None:
    network, nodes = MemoryNetwork(), names(3)
    async with meshes(nodes, network.connector) as made:
        await made.open()
        for node in nodes:
            made[node].broadcast(digest(node.encode()))
        for node in nodes:
            received = [await made[node].receive() for _ in range(2)]
            assert sorted(received) == [(other, digest(other.encode())) for other in nodes if other != node]
            assert made[node].topology.complete
            assert made[node].topology.broken == ()
    assert network.links == {}
