"""After use no copy of a share, a nonce or an identity key is in the memory of a process (SECURITY, Memory)."""

import os
import subprocess
import sys
from hashlib import sha512
from pathlib import Path

import pytest

from tests.helpers.memory import left_in, told

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is looked at through /proc")


LIVING = {"identity", "identity as X25519", "root"}
"""What a node keeps for as long as it runs."""
SLOW_REUSE = {"PYTHONMALLOC": "malloc", "GLIBC_TUNABLES": "glibc.malloc.tcache_count=0:glibc.malloc.mxfast=0"}
"""What is freed is used again late: a copy that was not wiped is there to be found."""


@pytest.mark.parametrize(
    ("allocator", "options"),
    [
        pytest.param({}, [], id="as it runs"),
        pytest.param({}, ["kept"], id="no buffer of ours is freed"),
        pytest.param(SLOW_REUSE, [], id="slow reuse", marks=pytest.mark.slow),
    ],
)
def test_no_copy_of_a_secret_is_left_in_memory_after_use(
    allocator: dict[str, str], options: list[str], tmp_path: Path
) -> None:
    secrets: dict[bytes, str] = {}
    found: set[str] = set()
    looks = 0
    with subprocess.Popen(
        [sys.executable, "-m", "tests.helpers.remembering", str(tmp_path), *options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[1],
        env=os.environ | allocator,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for line in process.stdout:
            if line in {"look\n", "done\n"}:
                looks += 1
                gone = {secret: name for secret, name in secrets.items() if line == "done\n" or name not in LIVING}
                found |= left_in(process.pid, gone)
                process.stdin.write("\n")
                process.stdin.flush()
                continue
            name, secret = told(line)
            secrets.setdefault(secret, name)
            if name == "identity":
                expanded = sha512(secret).digest()
                secrets[expanded[1:31]] = "identity as X25519"  # its first and last byte are clamped
    assert process.returncode == 0
    assert looks == 4
    made = {"nonce", "share", "dealt-share", "coefficient", "chain-code", "document-key", "adjusted-share"}
    sealing = {"file-key", "ephemeral", "sealing-key", "agreed", "digest"}
    assert set(secrets.values()) >= {*made, *sealing, *LIVING}
    assert found == set()


def test_the_search_finds_what_is_there(tmp_path: Path) -> None:
    program = (
        "import sys; secret = sys.stdin.readline().strip(); kept = bytearray.fromhex(secret); "
        "number = int.from_bytes(kept, 'big'); del secret; print(len(kept), flush=True); sys.stdin.readline()"
    )
    secret = os.urandom(32)
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=tmp_path
    ) as running:
        assert running.stdin is not None
        assert running.stdout is not None
        running.stdin.write(secret.hex() + "\n")
        running.stdin.flush()
        running.stdout.readline()
        found = left_in(running.pid, {secret: "it", os.urandom(32): "another"})
        running.communicate("\n", timeout=60)
    assert {one.partition(":")[0] for one in found} == {"it"}
    assert found >= {"it: bytes", "it: an integer backwards"}
