"""What a command has loaded when it is done: each of these modules costs every user time, or every node memory."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

from mpcnode import status
from mpcnode.control import place
from mpcnode.control.lines import Result, encode_line

LISTED = """
import signal, sys
def loaded(*_):
    print("LOADED", *sorted(sys.modules), file=sys.stderr, flush=True)
signal.signal(signal.SIGUSR1, loaded)
sys.argv = ["mpcnode", *sys.argv[1:]]
from mpcnode.__main__ import main
try:
    main()
finally:
    loaded()
"""
SIGNATURE = status.SignatureView(
    wallet_id="00" * 16,
    name="treasury",
    suite="FROST-ED25519-SHA512-v1",
    public_key="00" * 32,
    messages=("6869",),
    signed=("6869",),
    signatures=("00" * 64,),
    signers=("ana", "ben"),
)

NEVER = (
    *("pydantic", "rich", "av", "aiortc.codecs", "aiortc.mediastreams", "aiortc.rtcpeerconnection"),
    *("dns.rdtypes", "dns.tokenizer", "dns.transaction"),
)
"""What no command loads: what typer would read plain values with, media, and DNS. A live table is for a terminal."""
OF_LINKS = ("aiortc", "aioice", "OpenSSL", "cryptography", "dns")
OF_A_SERVER = ("starlette", "uvicorn", "uvloop", "mpcnode.server")
OF_A_NODE = (
    *(
        "aiortc",
        "aioice",
        "OpenSSL",
        "cryptography",
        "dns",
        "websockets",
        "nacl",
        "ecdsa",
        "yaml",
        "btclib_libsecp256k1",
    ),
    *("mpcnode.node", "mpcnode.session", "mpcnode.peers", "mpcnode.consent", "mpcnode.mesh", "mpcnode.signaling"),
    *("mpcnode.wallet", "mpcnode.protocols", "mpcnode.identity", "mpcnode.wire", "mpcnode.keystore.store"),
)
OF_OTHERS = ("mpcnode.scenario", "mpcnode.faults", "hypothesis", "pytest")


@contextmanager
def start(*arguments: str) -> "Iterator[subprocess.Popen[bytes]]":
    """Start a command that says at its end, and when it gets SIGUSR1, what it has loaded; end it at the latest here."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MPCNODE_")}
    with subprocess.Popen(
        [sys.executable, "-c", LISTED, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def loaded(line: bytes, unwanted: Sequence[str]) -> list[str]:
    """Give what of ``unwanted`` was loaded, by what the command said."""
    assert line.startswith(b"LOADED"), line
    names = line.decode().split()[1:]
    return [name for name in names if any(name == one or name.startswith(f"{one}.") for one in unwanted)]


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A home under which something answers a command as a node would that signs at once."""
    listener, _ = place.open_socket(tmp_path)
    listener.setblocking(True)

    def answer() -> None:
        connection, _ = listener.accept()
        with connection, connection.makefile("rwb") as stream:
            stream.readline()
            stream.write(encode_line(status.Warned("soon")) + encode_line(Result(signature=SIGNATURE)))
            stream.flush()
            connection.shutdown(socket.SHUT_WR)
            stream.read()

    thread = threading.Thread(target=answer)
    thread.start()
    yield tmp_path
    thread.join(60)
    listener.close()
    assert not thread.is_alive()


def test_a_command_that_a_running_node_carries_out_loads_nothing_of_a_node(home: Path) -> None:
    command = ("sign", "--home", str(home), "--wallet", "treasury", "--message", "hi", "--answer-seconds", "9")
    with start(*command) as process:
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert b"signature" in out
    unwanted = (*NEVER, *OF_A_SERVER, *OF_A_NODE, *OF_OTHERS)
    assert loaded(err.splitlines()[-1], unwanted) == []


def test_a_node_of_ones_own_is_unlocked_before_it_is_loaded(tmp_path: Path) -> None:
    program = """
import sys
from mpcnode.cli.actions import node
def begun(_home, secret):
    print("LOADED", *sorted(sys.modules), file=sys.stderr)
    sys.exit(0)
node.unlocking = begun
from mpcnode.cli.app import main
main(sys.argv[1:])
"""
    passphrase = tmp_path / "passphrase"
    passphrase.write_text("of a throw-away home")
    passphrase.chmod(0o600)
    wallet = ("create-wallet", "-t", "2", "-n", "3", "--yes", "--home", str(tmp_path))
    command = [sys.executable, "-c", program, *wallet, "--passphrase-file", str(passphrase)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
    assert loaded(done.stderr.splitlines()[0], ("asyncio", *NEVER, *OF_A_SERVER, *OF_A_NODE, *OF_OTHERS)) == []


def line_of(stream: IO[bytes], wanted: bytes) -> bytes:
    """Give the first line that has ``wanted`` in it."""
    for line in stream:
        if wanted in line:
            return line
    raise AssertionError(f"no {wanted!r} came")


@pytest.mark.process
def test_a_registered_node_holds_nothing_that_only_others_need(tmp_path: Path) -> None:
    passphrase = tmp_path / "passphrase"
    passphrase.write_text("of a throw-away home")
    with start("serve", "--port", "0", "--json") as server:
        assert server.stdout is not None
        port = json.loads(line_of(server.stdout, b"serving"))["port"]
        options = ("--server", f"ws://127.0.0.1:{port}", "--home", str(tmp_path / "ana"), "--peer-id", "ana")
        quick = ("--kdf", "interactive", "--passphrase-file", str(passphrase), "--accept", "none", "--json")
        with start("register", *options, *quick) as node:
            assert node.stdout is not None
            assert node.stderr is not None
            line_of(node.stdout, b"registered")
            node.send_signal(signal.SIGUSR1)
            held = line_of(node.stderr, b"LOADED")
            node.terminate()
            node.wait(60)
        server.send_signal(signal.SIGUSR1)
        assert server.stderr is not None
        served = line_of(server.stderr, b"LOADED")
        server.terminate()
        server.wait(60)
    assert loaded(held, (*NEVER, *OF_A_SERVER, *OF_OTHERS)) == []
    assert loaded(held, ["aiortc.rtcdtlstransport"]) != [], "without what a link is made of, the rest says nothing"
    assert loaded(served, (*NEVER, *OF_LINKS, "mpcnode.node", "mpcnode.session", "mpcnode.mesh", *OF_OTHERS)) == []
