"""What a user's machine may be like: each row with its exit code and its sentence, and never a defect of ours."""

import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

from tests.helpers.surroundings import Surroundings, shell

pytestmark = pytest.mark.process


@dataclass(frozen=True)
class Row:
    """One kind of surroundings: ``says`` stands on standard output or error."""

    what: str
    environment: Mapping[str, str | None]
    around: str = "{}"
    code: int = 0
    says: str = ""

    def __str__(self) -> str:
        return self.what


def some(values: Iterable[object], *soon: object) -> list[ParameterSet]:
    """Give every value, of which the default suite takes those named in ``soon``, and CI all."""
    made = [pytest.param(one, id=str(one), marks=() if str(one) in soon else pytest.mark.slow) for one in values]
    assert {one.id for one in made} >= set(soon)
    return made


LISTS = [
    Row("HOME is not set", {"HOME": None}),
    Row("HOME is empty", {"HOME": ""}),
    Row("HOME does not exist", {"HOME": "/nonexistent"}),
    Row("HOME is relative", {"HOME": "somewhere"}),
    Row("HOME is a file", {"HOME": "/etc/passwd"}),
    Row("XDG_DATA_HOME is relative", {"XDG_DATA_HOME": "relative"}),
    Row("XDG_DATA_HOME is not a folder", {"XDG_DATA_HOME": "/dev/null"}),
    Row("TERM is unknown", {"TERM": "frobnicator-9000"}),
    Row("TERM is empty", {"TERM": ""}),
    Row("TERM is dumb", {"TERM": "dumb"}),
    Row("TERM is not set", {"TERM": None}),
    Row("locale C", {"LC_ALL": "C", "LANG": "C"}),
    Row("locale POSIX, and Python does as it says", {"LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}),
    Row("a locale that does not exist", {"LC_ALL": "xx_YY.UTF-8"}),
    Row("ASCII alone", {"PYTHONIOENCODING": "ascii"}),
    Row("an encoding without most letters", {"PYTHONIOENCODING": "cp437"}),
    Row("TZ is odd", {"TZ": "Not/AZone;rm"}),
    Row("TZ is far", {"TZ": "XXX+25:61"}),
    Row("COLUMNS is a word", {"COLUMNS": "wide", "LINES": "tall"}),
    Row("COLUMNS is nothing", {"COLUMNS": "0", "LINES": "-1"}),
    Row("COLUMNS is huge", {"COLUMNS": "9" * 30}),
    Row("NO_COLOR", {"NO_COLOR": "1"}),
    Row("NO_COLOR is empty", {"NO_COLOR": ""}),
    Row("FORCE_COLOR", {"FORCE_COLOR": "1"}),
    Row("PATH is empty", {"PATH": ""}),
    Row("TMPDIR does not exist", {"TMPDIR": "/nonexistent"}),
    Row("TMPDIR is a file", {"TMPDIR": "/etc/passwd"}),
    Row("SHELL is nothing", {"SHELL": ""}),
    Row("few descriptors", {}, "ulimit -n 16; {}"),
]


@pytest.mark.parametrize("row", some(LISTS, "HOME is not set", "few descriptors"))
@pytest.mark.parametrize("command", some(["wallets list", "--help"], "wallets list"))
def test_what_needs_nothing_of_the_surroundings_works_in_all_of_them(
    place: Surroundings, row: Row, command: str
) -> None:
    words = command.split()
    if words[0] == "wallets":
        words += ["--home", str(place.home("cli1"))]
    ended = shell(words, row.around, environment=row.environment)
    ended.check()
    assert ended.code == row.code, ended
    assert ("treasury" if words[0] == "wallets" else "create-wallet") in ended.out


DEFAULT_HOMES = [
    Row("HOME is not set, and the account says where it is", {"HOME": None, "MPCNODE_HOME": None}),
    Row("HOME does not exist", {"HOME": "/nonexistent", "XDG_DATA_HOME": None}),
    Row("HOME is a file", {"HOME": "/etc/passwd", "XDG_DATA_HOME": None}),
    Row("MPCNODE_HOME is empty", {"MPCNODE_HOME": ""}),
    Row("MPCNODE_HOME is relative", {"MPCNODE_HOME": "not/there"}),
    Row("MPCNODE_HOME is a file", {"MPCNODE_HOME": "/etc/passwd"}),
    Row("MPCNODE_HOME is a device", {"MPCNODE_HOME": "/dev/null"}),
    Row("MPCNODE_HOME is of a user who is not there", {"MPCNODE_HOME": "~nobodyatall/x"}),
    Row("MPCNODE_HOME has a line break and an escape", {"MPCNODE_HOME": "/nonexistent/a\nb\x1b[2J"}),
    Row("MPCNODE_HOME is too long", {"MPCNODE_HOME": "/" + "x" * 5000}),
    Row("MPCNODE_HOME has a name that is too long", {"MPCNODE_HOME": "/nonexistent/" + "x" * 300}),
    Row("MPCNODE_HOME is not text", {"MPCNODE_HOME": "/nonexistent/\udcff\udcfe"}),
]


@pytest.mark.parametrize("row", some(DEFAULT_HOMES, "MPCNODE_HOME is a file"))
@pytest.mark.parametrize(
    "command", some(["wallets list", "audit show", "peers --server ws://127.0.0.1:1"], "audit show")
)
def test_a_home_that_cannot_be_is_said(row: Row, command: str, tmp_path: Path) -> None:
    environment = {"XDG_DATA_HOME": str(tmp_path)} | dict(row.environment)
    words = command.split()
    if words[0] == "peers":
        (tmp_path / "passphrase").write_bytes(b"x y z")
        (tmp_path / "passphrase").chmod(0o600)
        words += ["--passphrase-file", str(tmp_path / "passphrase")]
        environment.setdefault("MPCNODE_HOME", str(tmp_path / "home"))
    ended = shell(words, environment=environment)
    ended.check()
    assert ended.code in {0, 2, 3, 5}, ended
    assert "\x1b" not in ended.out + ended.err
    if ended.code:
        assert ended.err.startswith("error: ") or "\nerror: " in ended.err, ended


def test_a_user_without_an_account_entry_and_without_home_is_told_to_name_one(tmp_path: Path) -> None:
    (tmp_path / "nsswitch").write_text("passwd: files\n")
    before = "mount --bind /dev/null /etc/passwd; unset HOME XDG_DATA_HOME"
    before += f"; test ! -e /etc/nsswitch.conf || mount --bind {tmp_path}/nsswitch /etc/nsswitch.conf"
    assert in_namespace(["--help"], before).returncode == 0
    for command in (["wallets", "list"], ["audit", "show"], ["peers"]):
        ended = in_namespace(command, before)
        assert ended.returncode == 3, ended
        assert "error: this account has no home directory" in ended.stderr
        assert "hint: name a place with --home or MPCNODE_HOME" in ended.stderr
    assert not (Path(__file__).parents[2] / "~").exists()


NODES = [
    Row(
        "proxies are set",
        {"http_proxy": "http://127.0.0.1:1", "https_proxy": "http://127.0.0.1:1", "all_proxy": "socks5://127.0.0.1:1"},
    ),
    Row("a proxy that is no URL", {"http_proxy": "::::", "HTTPS_PROXY": "nonsense", "ws_proxy": "x"}),
    Row("HOME is not set", {"HOME": None}),
    Row("locale POSIX", {"LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}),
    Row("ASCII alone", {"PYTHONIOENCODING": "ascii"}),
    Row("TERM is unknown", {"TERM": "frobnicator-9000"}),
    Row("TZ is odd", {"TZ": "Not/AZone;rm"}),
    Row("no temporary folder", {"TMPDIR": "/nonexistent", "TMP": "/nonexistent", "TEMP": "/nonexistent"}),
    Row("SSL_CERT_FILE does not exist", {"SSL_CERT_FILE": "/nonexistent", "SSL_CERT_DIR": "/nonexistent"}),
    Row("few descriptors, and enough", {}, "ulimit -n 64; {}"),
    Row("almost no descriptors", {}, "ulimit -n 10; {}", code=-1),
    Row("too few descriptors for a link", {}, "ulimit -n 14; {}", code=-1),
    Row("no standard input", {}, "{} <&-"),
    Row("NO_COLOR", {"NO_COLOR": "1"}),
]


@pytest.mark.parametrize("row", some(NODES, "locale POSIX", "almost no descriptors"))
def test_a_node_works_or_says_what_is_missing(place: Surroundings, row: Row) -> None:
    ended = shell(place.node("cli9", "peers", "--json"), row.around, environment=row.environment)
    ended.check()
    if row.code == 0:
        assert ended.code == 0, ended
        assert "cli2" in ended.out
    else:
        assert ended.code in {0, 3, 5}, ended
        assert ended.code == 0 or "error: " in ended.err, ended


@pytest.mark.slow
@pytest.mark.parametrize(
    ("server", "code", "says"),
    [
        ("ws://no-such-host.invalid:9000", 5, "no signaling server"),
        ("ws://[::1]:1", 5, "no signaling server"),
        ("ws://192.0.2.1.:99999", 2, ""),
        ("ws://", 2, ""),
        ("http://127.0.0.1:1", 2, ""),
        ("ws://a b:1", -1, ""),
        ("ws://\u00e4\u00f6\u00fc.invalid:1", -1, ""),
        ("ws://" + "x" * 300 + ":1", -1, ""),
        ("ws://127.0.0.1:0", -1, ""),
        ("wss://127.0.0.1:1", 5, ""),
    ],
)
def test_a_server_that_is_not_there_is_said(place: Surroundings, server: str, code: int, says: str) -> None:
    command = [one for one in place.node("cli9", "peers") if one not in {"--server", place.url}]
    ended = shell([*command, "--server", server])
    ended.check()
    assert ended.code == code or (code < 0 and ended.code in {2, 5}), ended
    assert says in ended.err
    assert "error: " in ended.err


@pytest.mark.slow
@pytest.mark.parametrize("proxy", ["http://127.0.0.1:1", "nonsense", "http://no-such-host.invalid:3128"])
def test_a_proxy_that_does_not_work_is_said(place: Surroundings, proxy: str) -> None:
    """A proxy is for the way out of a network, so the server is one that is not on this machine."""
    command = [one for one in place.node("cli9", "peers") if one not in {"--server", place.url}]
    ended = shell([*command, "--server", "ws://198.51.100.1:9"], environment={"http_proxy": proxy, "HTTP_PROXY": proxy})
    ended.check()
    assert ended.code in {3, 5}, ended


def in_namespace(command: list[str], before: str) -> "subprocess.CompletedProcess[str]":
    """Run a command in a mount namespace of its own, after shell lines that change what is mounted there."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to mount")
    return subprocess.run(
        ["unshare", "--mount", "sh", "-ec", f'{before}\nexec "$@"', "sh", sys.executable, "-m", "mpcnode", *command],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        cwd=Path(__file__).parents[2],
        check=False,
    )


MOUNTS = [
    ("a home that cannot be written", "mount --bind {home} {home}; mount -o remount,ro,bind {home}", {3}),
    (
        "a full home",
        "mount -t tmpfs -o size=64k none {home}; cp -r {copy}/. {home}; dd if=/dev/zero of={home}/f 2>&1 || true",
        {0, 3},
    ),
    (
        "a new home on a full file system",
        "mount -t tmpfs -o size=4k none {home}; dd if=/dev/zero of={home}/f bs=4k 2>/dev/null || true",
        {3},
    ),
    ("a temporary folder that cannot be written", "mount -t tmpfs -o ro none /var/tmp; export TMPDIR=/var/tmp", {0}),
    (
        "a full temporary folder",
        "export TMPDIR=/var/tmp; mount -t tmpfs -o size=4k none /var/tmp; dd if=/dev/zero of=/var/tmp/f 2>&1 || true",
        {0},
    ),
    ("no /proc", "umount -l /proc", {0, 3, 5}),
    ("no /sys", "umount -R -l /sys", {0}),
    ("no /dev/shm", "umount -l /dev/shm || true", {0}),
    ("no account file", "mount --bind /dev/null /etc/passwd", {0}),
    ("no name service", "mount --bind /dev/null /etc/resolv.conf; mount --bind /dev/null /etc/hosts", {0}),
]


@pytest.mark.parametrize(
    ("what", "before", "codes"),
    [pytest.param(*one, id=one[0], marks=pytest.mark.slow if number else ()) for number, one in enumerate(MOUNTS)],
)
def test_a_disk_that_does_not_serve_is_said(place: Surroundings, what: str, before: str, codes: set[int]) -> None:
    home = place.home("cli9")
    before = before.format(home=home, copy=place.home("cli8"))
    for command in (place.node("cli9", "peers", "--json"), ["wallets", "list", "--home", str(home)]):
        ended = in_namespace(command, before)
        said = ended.stdout + ended.stderr
        assert "bug in mpcnode" not in said, (what, said)
        assert "Traceback" not in said, (what, said)
        assert ended.returncode in codes | {0}, (what, ended)
        if command[0] == "peers":
            assert ended.returncode in codes, (what, ended)
        assert ended.returncode == 0 or "error: " in ended.stderr


@pytest.mark.slow
@pytest.mark.parametrize("sandbox", ["net"])
def test_a_name_service_that_hangs_ends_with_the_deadline(place: Surroundings, sandbox: str, tmp_path: Path) -> None:
    """A name server that takes every question and answers none."""
    if os.geteuid() != 0:
        pytest.skip("needs root, for a network of its own")
    (tmp_path / "resolv.conf").write_text("nameserver 127.0.0.53\noptions timeout:30 attempts:5\n")
    listen = "import socket; s = socket.socket(2, 2); s.bind(('127.0.0.53', 53)); import time; time.sleep(300)"
    before = (
        f"ip link set lo up; mount --bind {tmp_path}/resolv.conf /etc/resolv.conf; "
        f'{sys.executable} -c "{listen}" & sleep 0.5; '
    )
    command = [one for one in place.node("cli9", "peers") if one not in {"--server", place.url}]
    command += ["--server", "ws://signaling.example:9000"]
    apart = ["unshare", f"--{sandbox}", "--mount", "--pid", "--fork", "--kill-child"]
    ended = subprocess.run(
        [*apart, "sh", "-ec", f'{before}\n"$@"', "sh", sys.executable, "-m", "mpcnode", *command],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
        cwd=Path(__file__).parents[2],
        check=False,
    )
    assert ended.returncode == 5, ended
    assert "no signaling server" in ended.stderr
    assert "bug" not in ended.stderr
