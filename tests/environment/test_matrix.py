"""What a user's machine may be like: each row with its exit code and its sentence, and never a defect of ours."""

import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

from tests.helpers.surroundings import CHECKOUT, DEADLINE, Ended, Surroundings, has_namespaces, shell, variables

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


NOWHERE = "no signaling server at ws://127.0.0.1:1: connection refused"
COMMANDS = ("wallets list", "audit show", "register --accept none --server ws://127.0.0.1:1 --kdf interactive")


@dataclass(frozen=True)
class Place:
    """Where the home would be, and what two commands and a new node say of it; ``{}`` is a directory."""

    what: str
    environment: Mapping[str, str | None]
    listed: tuple[int, str]
    shown: tuple[int, str]
    begun: tuple[int, str] = (5, NOWHERE)

    def __str__(self) -> str:
        return self.what


def absent(place: str) -> tuple[tuple[int, str], tuple[int, str]]:
    return (0, f"no wallets yet in {place}"), (0, f"no sessions yet in {place}")


def refused(sentence: str) -> tuple[tuple[int, str], tuple[int, str], tuple[int, str]]:
    return ((3, sentence),) * 3


PLACES = [
    Place("HOME is not set, and the account says where it is", {"HOME": None}, *absent("{}/data/mpcnode")),
    Place(
        "HOME does not exist", {"HOME": "{}/absent", "XDG_DATA_HOME": None}, *absent("{}/absent/.local/share/mpcnode")
    ),
    Place(
        "HOME is a file",
        {"HOME": "{}/file", "XDG_DATA_HOME": None},
        (0, "no wallets yet in {}/file/.local/share/mpcnode"),
        (0, "no sessions yet in {}/file/.local/share/mpcnode"),
        (3, "cannot read {}/file/.local/share/mpcnode: not a directory"),
    ),
    Place("MPCNODE_HOME is empty", {"MPCNODE_HOME": ""}, *absent("{}/data/mpcnode")),
    Place(
        "MPCNODE_HOME is relative",
        {"MPCNODE_HOME": "not/there"},
        (3, "there is no home at {}/not/there"),
        (3, "there is no home at {}/not/there"),
    ),
    Place("MPCNODE_HOME is a file", {"MPCNODE_HOME": "{}/file"}, *refused("cannot read {}/file: not a directory")),
    Place(
        "MPCNODE_HOME is a device", {"MPCNODE_HOME": "/dev/null"}, *refused("cannot read /dev/null: not a directory")
    ),
    Place(
        "MPCNODE_HOME is of a user who is not there",
        {"MPCNODE_HOME": "~nobodyatall/x"},
        *refused("'~nobodyatall' is no home directory here"),
    ),
    Place(
        "MPCNODE_HOME has a line break and an escape",
        {"MPCNODE_HOME": "{}/a\nb\x1b[2J"},
        (3, "there is no home at {}/a\\nb\\x1b[2J"),
        (3, "there is no home at {}/a\\nb\\x1b[2J"),
    ),
    Place("MPCNODE_HOME is too long", {"MPCNODE_HOME": "/" + "x" * 5000}, *refused("file name too long")),
    Place(
        "MPCNODE_HOME has a name that is too long", {"MPCNODE_HOME": "{}/" + "x" * 300}, *refused("file name too long")
    ),
    Place(
        "MPCNODE_HOME is not text",
        {"MPCNODE_HOME": "{}/\udcff\udcfe"},
        (3, "there is no home at {}/\\udcff\\udcfe"),
        (3, "there is no home at {}/\\udcff\\udcfe"),
    ),
]


@pytest.mark.parametrize("row", some(PLACES, "MPCNODE_HOME is a file"))
@pytest.mark.parametrize("command", some(COMMANDS, "audit show"))
def test_a_home_that_cannot_be_is_said(row: Place, command: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "passphrase").touch(mode=0o600)
    (tmp_path / "passphrase").write_bytes(b"x y z")
    environment = {"XDG_DATA_HOME": str(tmp_path / "data"), "MPCNODE_HOME": None} | dict(row.environment)
    environment = {name: value and value.replace("{}", str(tmp_path)) for name, value in environment.items()}
    words = command.split()
    if words[0] == "register":
        words += ["--passphrase-file", str(tmp_path / "passphrase")]
    ended = shell(words, environment=environment, at=tmp_path)
    code, sentence = (row.listed, row.shown, row.begun)[COMMANDS.index(command)]
    ended.says(code, sentence.replace("{}", str(tmp_path)))
    assert "\x1b" not in ended.out + ended.err


def test_a_user_without_an_account_entry_and_without_home_is_told_to_name_one(tmp_path: Path) -> None:
    (tmp_path / "nsswitch").write_text("passwd: files\n")
    before = "mount --bind /dev/null /etc/passwd; unset HOME XDG_DATA_HOME"
    before += f"; test ! -e /etc/nsswitch.conf || mount --bind {tmp_path}/nsswitch /etc/nsswitch.conf"
    assert in_namespace(["--help"], before).code == 0
    for command in (["wallets", "list"], ["audit", "show"], ["peers"]):
        ended = in_namespace(command, before)
        ended.says(3, "error: this account has no home directory")
        assert "hint: name a place with --home or MPCNODE_HOME" in ended.err
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
    Row("almost no descriptors", {}, "ulimit -n 8; {}", code=3, says="too many open files"),
    Row("no standard input", {}, "{} <&-"),
    Row("NO_COLOR", {"NO_COLOR": "1"}),
]


@pytest.mark.parametrize("row", some(NODES, "locale POSIX", "almost no descriptors"))
def test_a_node_works_or_says_what_is_missing(place: Surroundings, row: Row) -> None:
    ended = shell(place.node("cli9", "peers", "--json"), row.around, environment=row.environment)
    ended.says(row.code, row.says or '"peer_id":"cli2"')


NO_SERVER = "no signaling server at "
NO_URL = "not a signaling server's URL"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("server", "code", "says"),
    [
        ("ws://no-such-host.invalid:9000", 5, f"{NO_SERVER}ws://no-such-host.invalid:9000: "),
        ("ws://[::1]:1", 5, f"{NO_SERVER}ws://[::1]:1: "),
        ("ws://192.0.2.1.:99999", 2, NO_URL),
        ("ws://", 2, "'ws://' is not a signaling server's URL"),
        ("http://127.0.0.1:1", 2, "'http://127.0.0.1:1' is a web page's URL, not a signaling server's"),
        ("ws://a b:1", 5, f"{NO_SERVER}ws://a b:1: "),
        ("ws://\u00e4\u00f6\u00fc.invalid:1", 5, f"{NO_SERVER}ws://xn--4ca0bs.invalid:1: "),
        ("ws://" + "x" * 300 + ":1", 2, NO_URL),
        ("ws://127.0.0.1:0", 5, f"{NO_SERVER}ws://127.0.0.1:0: connection refused"),
        ("wss://127.0.0.1:1", 5, f"{NO_SERVER}wss://127.0.0.1:1: connection refused"),
    ],
)
def test_a_server_that_is_not_there_is_said(place: Surroundings, server: str, code: int, says: str) -> None:
    # How a system words that a name means nothing differs between systems; that it does is what is said.
    shell(to_server(place, server)).says(code, says)


@pytest.mark.slow
def test_a_server_that_speaks_no_tls_is_said(place: Surroundings) -> None:
    ended = shell(to_server(place, place.url.replace("ws://", "wss://")))
    ended.says(5, "it does not speak TLS there; a URL without TLS begins with ws://")


FAR = "ws://198.51.100.1:9"
PROXIES = [
    ("http://127.0.0.1:1", 5, f"{NO_SERVER}{FAR} through the proxy http://127.0.0.1:1: connection refused"),
    ("http://ana:secret@127.0.0.1:1", 5, f"{NO_SERVER}{FAR} through the proxy http://127.0.0.1:1: connection refused"),
    ("http://no-such-host.invalid:3128", 5, f"{NO_SERVER}{FAR} through the proxy http://no-such-host.invalid:3128: "),
    ("nonsense", 3, "the proxy that the environment names is not a proxy's URL"),
    ("socks5://127.0.0.1:1", 3, "the environment names a SOCKS proxy, and mpcnode goes through HTTP proxies alone"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("proxy", "code", "says"), [pytest.param(*one, id=one[0]) for one in PROXIES])
def test_a_proxy_that_does_not_work_is_said(place: Surroundings, proxy: str, code: int, says: str) -> None:
    """A proxy is for the way out of a network, so the server is one that is not on this machine."""
    ended = shell(to_server(place, FAR), environment={"http_proxy": proxy, "no_proxy": None})
    ended.says(code, says)
    assert "secret" not in ended.out + ended.err


def to_server(place: Surroundings, server: str) -> list[str]:
    command = [one for one in place.node("cli9", "peers") if one not in {"--server", place.url}]
    return [*command, "--server", server]


def in_namespace(command: list[str], before: str, *apart: str) -> Ended:
    """Run a command in a mount namespace of its own, after shell lines that change what is mounted there."""
    if why := has_namespaces():
        pytest.skip(why)
    ended = subprocess.run(
        ["unshare", "--mount", *apart, "sh", "-ec", f'{before}\n"$@"', "sh", sys.executable, "-m", "mpcnode", *command],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        env=variables(),
        cwd=CHECKOUT,
        check=False,
    )
    return Ended(ended.returncode, ended.stdout, ended.stderr)


SEES = (0, '"peer_id":"cli2"')
FILL = "dd if=/dev/zero of={home}/f bs=4k >/dev/null 2>&1 || true"
MOUNTS = [
    (
        "a home that cannot be written",
        "mount --bind {home} {home}; mount -o remount,ro,bind {home}",
        (3, "cannot write {home}/lock: read-only file system"),
    ),
    (
        "a full home",
        f"mount -t tmpfs -o size=64k,mode=700 none {{home}}; cp -r {{copy}}/. {{home}}; {FILL}",
        (3, "cannot write {home}/"),
    ),
    (
        "a home that is lost and full",
        f"mount -t tmpfs -o size=4k,mode=700 none {{home}}; {FILL}",
        (3, "there is no node at {home} yet"),
    ),
    ("a temporary folder that cannot be written", "mount -t tmpfs -o ro none /var/tmp; export TMPDIR=/var/tmp", SEES),
    (
        "a full temporary folder",
        f"export TMPDIR=/var/tmp; mount -t tmpfs -o size=4k none /var/tmp; {FILL.format(home='/var/tmp')}",  # noqa: S108 -- in a mount namespace of its own
        SEES,
    ),
    ("no /proc", "umount -l /proc", SEES),
    ("no /sys", "umount -R -l /sys", SEES),
    ("no /dev/shm", "umount -l /dev/shm || true", SEES),
    ("no account file", "mount --bind /dev/null /etc/passwd", SEES),
    ("no name service", "mount --bind /dev/null /etc/resolv.conf; mount --bind /dev/null /etc/hosts", SEES),
]


@pytest.mark.parametrize(
    ("before", "ends"),
    [pytest.param(*one[1:], id=one[0], marks=pytest.mark.slow if number else ()) for number, one in enumerate(MOUNTS)],
)
def test_a_disk_that_does_not_serve_is_said(place: Surroundings, before: str, ends: tuple[int, str]) -> None:
    home = place.home("cli9")
    before = before.format(home=home, copy=place.home("cli8"))
    in_namespace(place.node("cli9", "peers", "--json"), before).says(ends[0], ends[1].format(home=home))
    listed = in_namespace(["wallets", "list", "--home", str(home)], before)  # what reads alone works in all of them
    listed.says(0, f"no wallets yet in {home}")


@pytest.mark.slow
def test_a_name_service_that_hangs_ends_with_the_deadline(place: Surroundings, tmp_path: Path) -> None:
    """A name server that takes every question and answers none."""
    (tmp_path / "resolv.conf").write_text("nameserver 127.0.0.53\noptions timeout:30 attempts:5\n")
    listen = "import socket; s = socket.socket(2, 2); s.bind(('127.0.0.53', 53)); import time; time.sleep(300)"
    before = (
        f"ip link set lo up; mount --bind {tmp_path}/resolv.conf /etc/resolv.conf; "
        f'{sys.executable} -c "{listen}" & sleep 0.5; '
    )
    apart = ("--net", "--pid", "--fork", "--kill-child")
    ended = in_namespace(to_server(place, "ws://signaling.example:9000"), before, *apart)
    ended.says(5, "no signaling server at ws://signaling.example:9000: no answer within 10 s")
