"""The runner: failures are named, and nothing is left behind, however it ends."""

import asyncio
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mpcnode.scenario.world import Process
from tests.helpers.terminal import clean_environment, mpcnode

pytestmark = [pytest.mark.process]


def scenario(path: Path, steps: str, nodes: str = "[a, b]") -> str:
    path.write_text(f"# A page of a test.\nnodes: {nodes}\nsteps:\n{steps}")
    return str(path)


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def runs(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def gone(pids: list[int]) -> bool:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        if not any(map(runs, pids)):
            return True
        time.sleep(0.05)
    return False


def test_an_expectation_that_is_not_met_names_node_and_step_and_is_exit_1(tmp_path: Path) -> None:
    file = scenario(
        tmp_path / "x.yaml", "  - stop: {node: c}\n  - peers: {node: b}\n    expect: {peers: [a, b, c]}\n", "[a, b, c]"
    )
    run = mpcnode("run", file)
    assert run.returncode == 1
    assert "error: " in run.stderr
    assert "step 2 (peers) at node b: it sees ['a', 'b'], not ['a', 'b', 'c']" in run.stderr


@pytest.mark.slow
def test_an_error_nobody_expected_gives_its_own_exit_code_and_a_json_report(tmp_path: Path) -> None:
    file = scenario(tmp_path / "x.yaml", "  - create-wallet: {by: a, threshold: 2, total: 3, wait: 0.2}\n")
    run = mpcnode("run", "--json", file)
    assert run.returncode == 6
    report = json.loads(run.stdout)
    assert report["ok"] is False
    assert report["exit_code"] == 6
    assert report["steps"][0]["ended"]["code"] == "participant_silent"


@pytest.mark.slow
def test_a_signature_that_comes_otherwise_than_written_fails_the_run(tmp_path: Path) -> None:
    steps = "  - create-wallet: {by: a, threshold: 2, total: 2}\n"
    steps += "  - sign: {by: a, wallet: wallet, message: hello}\n    expect: {failures: {b: participant_silent}}\n"
    run = mpcnode("run", scenario(tmp_path / "x.yaml", steps))
    assert run.returncode == 1
    assert "step 2 (sign) at node a: as failed it names []" in run.stderr


@pytest.mark.slow
def test_a_wallet_that_is_not_there_signs_nothing(tmp_path: Path) -> None:
    run = mpcnode("run", scenario(tmp_path / "x.yaml", "  - sign: {by: a, wallet: nowhere, message: hello}\n"))
    assert run.returncode == 3
    assert "step 1 (sign) at node a: it ended with" in run.stderr


@pytest.mark.parametrize("bad", ["\x1b[2J", "a\rb", "\x9b2J", "\u202e", "\x00"])
async def test_a_process_that_writes_what_a_terminal_obeys_is_found(tmp_path: Path, bad: str) -> None:
    for line, found in (("as it should be\n", None), (f"before {bad} after\n", ascii(f"before {bad} after"))):
        process = Process("a", tmp_path)
        talk = asyncio.StreamReader()
        talk.feed_data(line.encode())
        talk.feed_eof()
        await process._read_talk(talk)
        assert process.unprintable == found


def test_a_file_that_is_no_scenario_starts_nothing(tmp_path: Path) -> None:
    good = scenario(tmp_path / "a.yaml", "  - peers: {node: a}\n")
    bad = scenario(tmp_path / "b.yaml", "  - dance: {node: a}\n")
    run = mpcnode("run", good, bad)
    assert run.returncode == 3
    assert "step 1: it has to have one verb" in run.stderr
    assert run.stdout == ""


def start_waiting(tmp_path: Path) -> tuple[subprocess.Popen[str], list[int]]:
    """A runner and its processes, in the midst of a step that takes a minute, with one of its nodes standing still."""
    file = scenario(
        tmp_path / "x.yaml",
        "  - pause: {node: b}\n  - create-wallet: {by: a, threshold: 2, total: 3, wait: 60}\n",
    )
    keep = tmp_path / "kept"
    runner = subprocess.Popen(
        [sys.executable, "-m", "mpcnode", "run", "--keep", str(keep), file],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=clean_environment(),
    )
    end = time.monotonic() + 60
    while time.monotonic() < end and '"waiting"' not in "".join(path.read_text() for path in keep.glob("*/a.ndjson")):
        time.sleep(0.05)
    children = children_of(runner.pid)
    assert len(children) == 3  # a server and two nodes
    return runner, children


def test_ctrl_c_stops_every_process_and_is_130(tmp_path: Path) -> None:
    runner, children = start_waiting(tmp_path)
    with runner:
        runner.send_signal(signal.SIGINT)
        _, err = runner.communicate(timeout=60)
    assert runner.returncode == 130
    assert "bug" not in err
    assert gone(children)


def test_a_runner_that_is_killed_takes_every_process_along_even_one_that_stands_still(tmp_path: Path) -> None:
    runner, children = start_waiting(tmp_path)
    with runner:
        runner.kill()
        runner.communicate(timeout=60)
    assert gone(children)


@pytest.mark.parametrize("page", ["by-link", "by-codes", "inviter-gone", "pair", "wrong-word"])
def test_people_who_meet_do_as_the_pages_say(page: str) -> None:
    run = mpcnode("run", f"sessions/introductions/{page}.yaml")
    assert run.returncode == 0, run.stdout + run.stderr
