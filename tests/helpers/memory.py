"""What is left of secrets in the memory of a process, looked at from outside.

The process tells its secrets masked, byte by byte, so that telling leaves no copy of them. The one that looks knows
them from there, and searches every writable part of the other's memory for words of them and of their encodings.
"""

import os
import re
import sys
from base64 import b64encode
from collections.abc import Iterator, Mapping
from pathlib import Path

MASK = 0x5A
WORD = 8
"""Bytes that are compared: every copy of 32 bytes, wherever it begins, has three such words at multiples of 8."""
_WRITABLE = re.compile(r"([0-9a-f]+)-([0-9a-f]+) rw")


def tell(name: str, secret: bytes | bytearray | memoryview) -> None:
    """Print a secret, masked; without any object that holds two bytes of it."""
    masked = bytearray(len(secret))
    for at, byte in enumerate(secret):
        masked[at] = byte ^ MASK
    sys.stdout.write(f"{name} {masked.hex()}\n")


def told(line: str) -> tuple[str, bytes]:
    """Give the name and the secret of a line that ``tell`` printed."""
    name, masked = line.split()
    return name, bytes(byte ^ MASK for byte in bytes.fromhex(masked))


def left_in(pid: int, secrets: Mapping[bytes, str]) -> set[str]:
    """Say which secrets, by name, are found in the memory of a process, and in which form."""
    wanted = {
        int.from_bytes(data[at : at + WORD], sys.byteorder): (f"{name}: {form}", _sure(form, data, at))
        for secret, name in secrets.items()
        for form, data in _forms(secret)
        for at in range(len(data) - WORD + 1)
    }
    words = wanted.keys()
    return {
        what
        for part in _memory(pid)
        for what, sure in (wanted[word] for word in words & set(memoryview(part).cast("Q")))
        if sure in part
    }


def _sure(form: str, data: bytes, at: int) -> bytes:
    """Give what has to be there around a word. A word of hexadecimal is 4 bytes of a secret, which chance gives too."""
    start = max(0, min(at, len(data) - 2 * WORD)) if form in {"hex", "HEX"} else at
    return data[start : start + (2 * WORD if form in {"hex", "HEX"} else WORD)]


def _forms(secret: bytes) -> Iterator[tuple[str, bytes]]:
    for way, data in (("", secret), (" backwards", secret[::-1])):
        yield f"bytes{way}", data
        # Python's integers are digits of 30 bits, the lowest first.
        number = int.from_bytes(data, "little")
        digits = (number >> 30 * k & (1 << 30) - 1 for k in range(len(data) * 8 // 30))
        yield f"an integer{way}", b"".join(digit.to_bytes(4, "little") for digit in digits)
    yield "hex", secret.hex().encode()
    yield "HEX", secret.hex().upper().encode()
    yield "base 64", b64encode(secret).rstrip(b"=")


def _memory(pid: int) -> Iterator[bytes]:
    maps = Path(f"/proc/{pid}/maps").read_text(encoding="ascii", errors="replace")
    fd = os.open(f"/proc/{pid}/mem", os.O_RDONLY)
    try:
        for start, end in ((int(text, 16) for text in found) for found in _WRITABLE.findall(maps)):
            try:
                yield os.pread(fd, end - start, start)
            except OSError:
                continue  # what the kernel keeps for itself
    finally:
        os.close(fd)
