"""Machines of our own in network namespaces: two nodes and a server on one LAN, each with what real machines have."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import IO, Final

import pytest

from tests.helpers.surroundings import CHECKOUT, DEADLINE, Ended, Surroundings, variables

LAN: Final = "192.168.77"
LAN6: Final = "fd77::"
_numbers = count()


def namespaces_or_skip() -> None:
    """Skip the test, with the reason, where namespaces cannot be made."""
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    try:
        probe = f"mpcprobe{os.getpid()}"
        ip("netns", "add", probe)
        ip("-n", probe, "link", "add", "b0", "type", "bridge")
        ip("netns", "del", probe)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"network namespaces cannot be made here: {error}")


def ip(*arguments: str) -> None:
    """Run ``ip``."""
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


@dataclass
class Machine:
    """One network namespace."""

    name: str
    number: int
    programs: "list[subprocess.Popen[bytes]]" = field(default_factory=list)

    def command(self, *arguments: str) -> list[str]:
        """What runs ``mpcnode`` there."""
        return ["ip", "netns", "exec", self.name, sys.executable, "-m", "mpcnode", *arguments]

    def start(self, *command: str) -> IO[bytes]:
        """Run a program there until the end; gives what it prints."""
        process = subprocess.Popen(
            ["ip", "netns", "exec", self.name, *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert process.stdout is not None
        self.programs.append(process)
        return process.stdout

    def shell(self, line: str) -> None:
        """Run a line of shell there."""
        subprocess.run(["ip", "netns", "exec", self.name, "sh", "-ec", line], check=True, capture_output=True)

    def bridge(self, name: str, address: str) -> None:
        """Add a bridge as Docker and libvirt make them."""
        self.shell(f"ip link add {name} type bridge; ip addr add {address} dev {name}; ip link set {name} up")

    def tunnel(self, address: str) -> None:
        """Add a VPN that takes everything that has no other way."""
        self.shell(
            f"ip tuntap add dev tun0 mode tun; ip addr add {address} dev tun0; ip link set tun0 up; "
            "ip route add default dev tun0"
        )


@dataclass
class Network:
    """The machines ``server``, ``one`` and ``other``, on one LAN."""

    path: Path
    families: str
    machines: dict[str, Machine] = field(default_factory=dict)
    urls: dict[str, str] = field(default_factory=dict)
    """The server's URL for each of the nodes."""
    _processes: "list[subprocess.Popen[bytes]]" = field(default_factory=list)

    def add(self, name: str, number: int) -> None:
        machine = Machine(f"mpc{os.getpid()}x{next(_numbers)}", number)
        ip("netns", "add", machine.name)
        self.machines[name] = machine
        machine.shell("ip link set lo up")
        if number == 1:
            machine.shell("ip link add lan type bridge; ip link set lan up")
            device = "lan"
        else:
            switch = self.machines["server"]
            ip("link", "add", f"m{number}", "netns", switch.name, "type", "veth", "peer", "eth0", "netns", machine.name)
            switch.shell(f"ip link set m{number} master lan; ip link set m{number} up")
            machine.shell("ip link set eth0 up")
            device = "eth0"
        if "4" in self.families:
            machine.shell(f"ip addr add {LAN}.{number}/24 dev {device}")
        if "6" in self.families:
            machine.shell(f"ip addr add {LAN6}{number}/64 dev {device} nodad")

    def serve(self, on: str = "server", host: str | None = None) -> None:
        """Start the signaling server on a machine."""
        machine = self.machines[on]
        host = host or (f"{LAN}.{machine.number}" if "4" in self.families else f"{LAN6}{machine.number}")
        process = self._start(machine.command("serve", "--host", host, "--port", "0", "--json"))
        assert process.stdout is not None
        port = json.loads(process.stdout.readline())["port"]
        shown = f"[{host}]" if ":" in host else host
        self.urls = dict.fromkeys(("one", "other"), f"ws://{shown}:{port}")

    def make_wallet(self, at_one: Sequence[str] = (), at_other: Sequence[str] = ()) -> Ended:
        """Have ``one`` and ``other`` make a wallet together."""
        joining = Surroundings(self.path, self.urls["other"]).node(
            "other", "register", "--accept", "auto", "--yes", "--json"
        )
        joining.remove("--loopback")
        joining += at_other
        other = self._start(self.machines["other"].command(*joining))
        assert other.stdout is not None
        assert json.loads(other.stdout.readline())["event"] == "registered"
        command = ("create-wallet", "-t", "2", "-n", "2", "--name", "w", "--yes", "--json")
        making = Surroundings(self.path, self.urls["one"]).node("one", *command)
        making.remove("--loopback")
        making += at_one
        ended = subprocess.run(
            self.machines["one"].command(*making),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=DEADLINE,
            env=variables(),
            cwd=CHECKOUT,
            check=False,
        )
        return Ended(ended.returncode, ended.stdout.decode(), ended.stderr.decode())

    def _start(self, command: Sequence[str]) -> "subprocess.Popen[bytes]":
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=variables(),
            cwd=CHECKOUT,
        )
        self._processes.append(process)
        return process

    def close(self) -> None:
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.communicate(timeout=DEADLINE)
        for machine in self.machines.values():
            for program in machine.programs:
                program.kill()
                program.communicate()
            ip("netns", "del", machine.name)


@contextmanager
def network(path: Path, *, families: str = "46") -> Iterator[Network]:
    """Make one; nothing of it is left."""
    namespaces_or_skip()
    (path / "passphrase").touch(mode=0o600)
    (path / "passphrase").write_bytes(b"correct horse")
    made = Network(path, families)
    try:
        made.add("server", 1)
        made.add("one", 11)
        made.add("other", 12)
        yield made
    finally:
        made.close()
