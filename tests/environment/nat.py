"""A symmetric NAT (RFC 4787: address- and port-dependent) between a TUN device and another network namespace.

Every pair of an address inside and one outside has a port of its own outside, and only that one outside may answer
there. Arguments: the namespace outside, this NAT's address there. It says ``ready`` once the device ``tun0`` is there.
"""

import ctypes
import fcntl
import os
import selectors
import socket
import struct
import sys
from contextlib import suppress
from pathlib import Path

outside, address = sys.argv[1:]
tun = os.open("/dev/net/tun", os.O_RDWR)
fcntl.ioctl(tun, 0x400454CA, struct.pack("16sH", b"tun0", 0x0001 | 0x1000))  # TUNSETIFF: IFF_TUN, IFF_NO_PI
print("ready", flush=True)
with Path(f"/var/run/netns/{outside}").open() as there:
    if ctypes.CDLL(None, use_errno=True).setns(there.fileno(), 0x40000000):  # CLONE_NEWNET
        raise OSError("setns")

watched = selectors.DefaultSelector()
watched.register(tun, selectors.EVENT_READ)
Flow = tuple[bytes, int, bytes, int]
doors: dict[Flow, socket.socket] = {}


def checksum(data: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def outward(packet: bytes) -> None:
    head = (packet[0] & 15) * 4
    if packet[0] >> 4 != 4 or packet[9] != socket.IPPROTO_UDP:
        return
    source, target = packet[12:16], packet[16:20]
    source_port, target_port = struct.unpack("!HH", packet[head : head + 4])
    flow = (source, source_port, target, target_port)
    if flow not in doors:
        door = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        door.bind((address, 0))
        try:
            door.connect((socket.inet_ntoa(target), target_port))
        except OSError:
            door.close()
            return
        doors[flow] = door
        watched.register(door, selectors.EVENT_READ, flow)
    with suppress(OSError):  # nobody is there, as an ICMP message said
        doors[flow].send(packet[head + 8 :])


def inward(door: socket.socket, flow: Flow) -> None:
    try:
        data = door.recv(65536)
    except OSError:
        return
    source, source_port, target, target_port = flow
    udp = struct.pack("!HHHH", target_port, source_port, 8 + len(data), 0) + data  # no checksum: IPv4 allows it
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, socket.IPPROTO_UDP, 0, target, source)
    os.write(tun, head[:10] + struct.pack("!H", checksum(head)) + head[12:] + udp)


while True:
    for key, _ in watched.select():
        if key.fd == tun:
            outward(os.read(tun, 65536))
        else:
            assert isinstance(key.fileobj, socket.socket)
            inward(key.fileobj, key.data)
