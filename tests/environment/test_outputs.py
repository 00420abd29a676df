"""What a command says may fail to be written: nothing that was made is lost, and the exit code says it."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.helpers.surroundings import CHECKOUT, DEADLINE, Surroundings, shell, until, variables

pytestmark = pytest.mark.process


def signature_in(text: str) -> bool:
    return any(len(word) == 128 and set(word) <= set("0123456789abcdef") for word in text.replace('"', " ").split())


@pytest.mark.parametrize(
    ("closing", "json"),
    [
        ("> /dev/full", ()),
        pytest.param("> /dev/full", ("--json",), marks=pytest.mark.slow),
        pytest.param(">&-", (), marks=pytest.mark.slow),
        pytest.param(">&-", ("--json",), marks=pytest.mark.slow),
    ],
)
def test_a_signature_that_standard_output_does_not_take_stands_on_standard_error(
    place: Surroundings, closing: str, json: tuple[str, ...]
) -> None:
    ended = shell(place.sign(*json), f"{{}} {closing}")
    ended.check()
    assert ended.code == 3, ended
    assert signature_in(ended.err), ended.err
    assert "error: cannot write to standard output: " in ended.err
    assert "saved: " in ended.err


@pytest.mark.slow
@pytest.mark.parametrize("closing", ["> /dev/full", ">&-"])
def test_a_signature_reaches_its_file_also_where_standard_output_takes_nothing(
    place: Surroundings, tmp_path: Path, closing: str
) -> None:
    ended = shell(place.sign("--out", str(tmp_path / "out")), f"{{}} {closing}")
    ended.check()
    assert ended.code == 3, ended
    assert signature_in((tmp_path / "out").read_text())


@pytest.mark.slow
@pytest.mark.parametrize("closing", ["2> /dev/full", "2>&-"])
@pytest.mark.parametrize("json", [(), ("--json",)])
def test_where_talk_cannot_be_written_the_signature_is_printed_and_the_exit_code_says_so(
    place: Surroundings, closing: str, json: tuple[str, ...]
) -> None:
    ended = shell(place.sign(*json), f"{{}} {closing}")
    ended.check()
    assert signature_in(ended.out), ended
    assert ended.code == (0 if json else 3), ended  # with --json nothing was to be said on standard error


@pytest.mark.parametrize(
    "closing",
    [
        pytest.param("> /dev/full 2> /dev/full", marks=pytest.mark.slow),
        pytest.param(">&- 2>&-", marks=pytest.mark.slow),
        "<&- >&- 2>&-",
    ],
)
def test_where_nothing_can_be_said_the_exit_code_is_3(place: Surroundings, closing: str) -> None:
    ended = shell(place.sign(), f"{{}} {closing}")
    assert (ended.code, ended.out, ended.err) == (3, "", "")


@pytest.mark.slow
def test_a_closed_standard_input_is_nobody_to_ask(place: Surroundings) -> None:
    ended = shell(place.sign("--json"), "{} <&-")
    ended.check()
    assert ended.code == 0, ended
    without = [one for one in place.sign() if one not in {"--passphrase-file", str(place.path / "passphrase")}]
    ended = shell(without, "{} <&-")
    ended.check()
    assert ended.code == 2
    assert "no terminal" in ended.err


@pytest.mark.slow
@pytest.mark.parametrize("closing", ["> /dev/full", ">&-", "2> /dev/full", "2>&-", "> /dev/full 2> /dev/full"])
def test_a_wallet_whose_making_cannot_be_told_is_there(place: Surroundings, closing: str) -> None:
    name = "w" + "".join(character for character in closing if character.isalnum())
    command = place.node("cli1", "create-wallet", "-t", "2", "-n", "2", "--name", name, "--yes")
    ended = shell(command, f"{{}} {closing}")
    ended.check()
    assert ended.code == 3, ended
    if "2>" not in closing:
        assert "error: cannot write to standard output: " in ended.err
        assert f"wallet {name} is active" in ended.err or name in ended.err
    listed = shell(["wallets", "list", "--home", str(place.home("cli1")), "--json"])
    assert [one["state"] for one in listed.lines() if one.get("name") == name] == ["active"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "command", [["--help"], ["--version"], ["sign", "--help"], ["wallets", "list"], ["frobnicate"]]
)
@pytest.mark.parametrize("closing", ["> /dev/full", ">&-", "2> /dev/full", "2>&-", "<&-", "<&- >&- 2>&-"])
def test_no_command_trips_over_its_descriptors(place: Surroundings, command: list[str], closing: str) -> None:
    if command[0] == "wallets":
        command = [*command, "--home", str(place.home("cli1"))]
    ended = shell(command, f"{{}} {closing}")
    ended.check()
    to_stdout = command[0] != "frobnicate"
    if ">&-" in closing.replace("2>&-", "") or closing == "> /dev/full":
        assert ended.code == (3 if to_stdout else 2), ended
    else:
        assert ended.code == (0 if to_stdout else 2), ended


@pytest.mark.slow
def test_a_file_opened_by_a_node_never_becomes_its_standard_error(place: Surroundings) -> None:
    """The lowest free number is the next descriptor: talk would go into a wallet's file or to a peer."""
    ended = shell(place.sign("--json", "-v"), "{} 2>&- <&-")
    ended.check()
    assert signature_in(ended.out)


def register(place: Surroundings, name: str, *more: str) -> list[str]:
    command = place.node(name, "register", "--accept", "auto", "--yes", *more)
    return [sys.executable, "-m", "mpcnode", *command]


@pytest.mark.slow
def test_a_node_outlives_a_full_disk_and_says_what_it_dropped(place: Surroundings, tmp_path: Path) -> None:
    """Standard output is a file that can grow no more, then one that can."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to mount a file system of its own size")
    disk = tmp_path / "disk"
    disk.mkdir()
    # In a mount namespace of its own; the filler is taken away when the parent says so.
    script = f"""
        mount -t tmpfs -o size=64k none {disk}
        touch {disk}/log; dd if=/dev/zero of={disk}/filler bs=4k 2>/dev/null
        "$@" > {disk}/log & node=$!
        read line; rm {disk}/filler; read line
        kill $node; wait $node; code=$?; cat {disk}/log; exit $code
    """
    process = subprocess.Popen(
        ["unshare", "--mount", "/bin/sh", "-c", script, "sh", *register(place, "cli3", "--json", "--room", "full")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=variables(),
        cwd=CHECKOUT,
    )
    assert process.stdin is not None
    visit = [*place.node("cli4", "peers", "--json"), "--room", "full"]
    try:
        until(lambda: "cli3" in shell(visit).out, "cli3 did not come")
        process.stdin.write(b"free\n")
        process.stdin.flush()
        time.sleep(1)  # a full disk is tried again twice a second
        assert shell(visit).code == 0
        assert process.poll() is None
        out, err = process.communicate(b"stop\n", timeout=DEADLINE)
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
    lines = [json.loads(line) for line in out.decode().splitlines()]  # every line is whole
    assert [one for one in lines if one["event"] == "warning" and "could not be written" in one["message"]], (out, err)
    assert [one for one in lines if one["event"] == "peers"], (out, err)
    assert b"bug" not in err


@pytest.mark.slow
def test_a_node_that_cannot_write_its_log_stays(place: Surroundings) -> None:
    with Path("/dev/full").open("wb") as full:
        process = subprocess.Popen(
            register(place, "cli5", "--json", "--room", "log"),
            stdin=subprocess.DEVNULL,
            stdout=full,
            stderr=full,
            env=variables(),
            cwd=CHECKOUT,
        )
    try:
        until(lambda: "cli5" in shell(place.node("cli6", "peers", "--room", "log", "--json")).out, "cli5 did not come")
        assert process.poll() is None
        shell(place.node("cli6", "peers", "--room", "log", "--json"))
        assert process.poll() is None
    finally:
        process.terminate()
        code = process.wait(DEADLINE)
    assert code == 130


@pytest.mark.slow
@pytest.mark.parametrize(("wallet", "json"), [("plain", ()), ("json", ("--json",))])
def test_a_node_whose_output_nobody_reads_holds_up_no_session(
    place: Surroundings, wallet: str, json: tuple[str, ...]
) -> None:
    """Both pipes are as good as full from the start; what the node has to say goes nowhere, and nobody waits for it."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    try:
        while True:
            os.write(write, b"x" * 4096)
    except BlockingIOError:
        os.set_blocking(write, True)
    process = subprocess.Popen(
        register(place, "cli7", "-v", *json, "--room", "unread"),
        stdin=subprocess.DEVNULL,
        stdout=write,
        stderr=write,
        env=variables(),
        cwd=CHECKOUT,
    )
    os.close(write)
    try:
        until(lambda: "cli7" in shell(place.node("cli8", "peers", "--room", "unread", "--json")).out, "it hangs")
        command = place.node("cli8", "create-wallet", "-t", "2", "-n", "2", "--name", wallet, "--yes", "--json")
        ended = shell([*command, "--room", "unread"])
        assert ended.code == 0, ended
        links = [one for one in ended.lines() if one["event"] == "link" and one["state"] == "rebuilding"]
        assert not links
        ended = shell([*place.node("cli8", "sign", "--wallet", wallet, "-m", "x", "--json"), "--room", "unread"])
        assert ended.code == 0, ended
    finally:
        process.terminate()
        code = process.wait(DEADLINE)  # it ends too, although nobody reads its last words
        os.close(read)
    assert code == 130
