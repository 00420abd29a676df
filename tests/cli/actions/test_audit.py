"""``mpcnode audit``: the log is shown as far as it holds, and what is wrong with it is named."""

import json
from pathlib import Path
from typing import Any

import pytest

from mpcnode.cli import app as cli
from mpcnode.keystore.audit import AUDIT_LOG
from mpcnode.keystore.audit_chain import GENESIS
from tests.helpers.audit import HEAD, LINES, WHOLE, chained, entry


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MPCNODE_JSON", "MPCNODE_VERBOSE", "MPCNODE_HOME"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log of five lines."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    path = home / AUDIT_LOG
    path.write_bytes(WHOLE)
    path.chmod(0o600)
    return path


def audit(command: str, log: Path, *arguments: str) -> int:
    return cli._run(["audit", command, "--home", str(log.parent), *arguments])


def sessions(out: str) -> list[str]:
    """What is shown of each session, in one row."""
    found: list[str] = []
    for row in out.splitlines():
        if row.startswith(" "):
            found[-1] += f" {row.strip()}"
        else:
            found.append(row)
    return found


@pytest.mark.parametrize("command", ["verify", "show"])
def test_a_home_without_a_log_is_exit_3(command: str, log: Path, capfd: pytest.CaptureFixture[str]) -> None:
    log.unlink()
    assert audit(command, log) == 3
    assert "somebody took it away" in capfd.readouterr().err
    assert not log.exists()


def test_no_home_is_exit_3_and_makes_none(tmp_path: Path) -> None:
    assert cli._run(["audit", "verify", "--home", str(tmp_path / "absent")]) == 3
    assert not (tmp_path / "absent").exists()


@pytest.mark.parametrize("command", [["audit"], ["audit", "show"]])
def test_a_new_account_has_no_sessions_yet(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """As of wallets and contacts: nothing is wrong where nothing was made yet."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert cli._run(command) == 0
    captured = capfd.readouterr()
    assert captured.out == ""
    assert captured.err == f"no sessions yet in {tmp_path / 'mpcnode'}\n"
    assert cli._run(["audit", "verify"]) == 3
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("line", range(1, 6))
def test_an_altered_line_is_named(line: int, log: Path, capfd: pytest.CaptureFixture[str]) -> None:
    lines = list(LINES)
    lines[line - 1] = lines[line - 1].replace(b"treasury", b"treasure")
    log.write_bytes(b"".join(lines))
    assert audit("verify", log) == 3
    captured = capfd.readouterr()
    assert captured.out == ""
    assert f"line {line}: " in captured.err


def test_a_broken_log_is_shown_as_far_as_it_holds(log: Path, capfd: pytest.CaptureFixture[str]) -> None:
    log.write_bytes(b"".join([*LINES[:2], *LINES[3:]]))
    assert audit("show", log) == 3
    captured = capfd.readouterr()
    assert len(sessions(captured.out)) == 2
    assert "line 3: " in captured.err
    assert audit("show", log, "--json") == 3
    *shown, error = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert [line["number"] for line in shown] == [1, 2]
    assert error["error"]["code"] == "unreadable"


def test_a_torn_line_is_said_to_be_one_and_stays(log: Path, capfd: pytest.CaptureFixture[str]) -> None:
    log.write_bytes(WHOLE[:-9])
    assert audit("verify", log) == 3
    captured = capfd.readouterr()
    assert "line 5: half-written" in captured.err
    assert "moves it aside" in captured.err
    assert log.read_bytes() == WHOLE[:-9]


def test_a_line_that_is_being_written_just_now_is_waited_for(
    log: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    log.write_bytes(WHOLE[:-9])
    monkeypatch.setattr("mpcnode.cli.actions.audit.time.sleep", lambda _: log.write_bytes(WHOLE))
    assert audit("show", log, "--json") == 0
    assert len(capfd.readouterr().out.splitlines()) == 5


@pytest.mark.parametrize("command", ["verify", "show"])
def test_a_log_others_may_write_to_is_exit_3(command: str, log: Path) -> None:
    log.chmod(0o666)
    assert audit(command, log) == 3


# --- the head ---


@pytest.mark.parametrize("head", ["", "abc", HEAD.upper(), HEAD + "0", "\x1b[2J"])
def test_what_is_no_head_is_exit_2(head: str, log: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert audit("verify", log, "--head", head) == 2
    assert "\x1b" not in capfd.readouterr().err


def test_a_head_shows_that_the_log_was_cut_short_or_written_anew(log: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert audit("verify", log, "--head", HEAD) == 0
    log.write_bytes(b"".join(LINES[:4]))
    assert audit("verify", log) == 0
    assert audit("verify", log, "--head", HEAD) == 3
    assert "missing at its end" in capfd.readouterr().err
    log.write_bytes(b"".join(chained(*(entry(number, outcome="failed") for number in range(1, 6)))))
    assert audit("verify", log) == 0
    assert audit("verify", log, "--head", HEAD) == 3


def test_an_older_head_and_that_of_an_empty_log_are_in_the_chain(log: Path) -> None:
    assert audit("verify", log, "--head", json.loads(LINES[1])["hash"]) == 0
    assert audit("verify", log, "--head", GENESIS) == 0


# --- what is shown ---


def test_a_chain_that_holds_is_said_to_with_its_head(log: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert audit("verify", log) == 0
    assert capfd.readouterr().out == f"chain  holds, 5 lines\nhead   {HEAD}\n"
    assert audit("verify", log, "--json") == 0
    assert json.loads(capfd.readouterr().out) == {"lines": 5, "head": HEAD, "unended": 0}


def test_an_empty_log_holds_and_shows_nothing(log: Path, capfd: pytest.CaptureFixture[str]) -> None:
    log.write_bytes(b"")
    assert audit("show", log) == 0
    assert capfd.readouterr().out == ""
    assert audit("verify", log) == 0
    assert GENESIS in capfd.readouterr().out


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        (
            {},
            [
                "2027-01-15 08:00:00Z  sign  treasury  done",
                "    proposed by cli1, signed by cli1, cli2",
                f"    text  {1:064x}",
            ],
        ),
        ({"messages": ("ab" * 32,) * 100}, [f"    text  {'ab' * 32}", "    and 99 more, which --json shows"]),
        (
            {"outcome": "failed", "error": "participant_cheated", "culprits": ("cli3",), "signers": ()},
            ["failed (participant_cheated), by cli3", "among cli1, cli2, cli3"],
        ),
        (
            {"kind": "keygen", "messages": (), "reading": None, "wallet_id": None},
            ["keygen  treasury  done", "    proposed by cli1"],
        ),
        ({"time": 253_402_300_799_000}, ["9999-12-31 23:59:59Z"]),
        ({"time": 0}, ["1970-01-01 00:00:00Z"]),
    ],
)
def test_a_session_is_one_row_and_what_belongs_to_it_stands_under_it(
    changes: dict[str, Any], shown: list[str], log: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    log.write_bytes(b"".join(chained(entry(**changes))))
    assert audit("show", log) == 0
    row, *under = capfd.readouterr().out.splitlines()
    assert not row.startswith(" ")
    assert all(one.startswith("    ") for one in under)
    for one in shown:
        assert one in "\n".join([row, *under])


@pytest.mark.parametrize("columns", [60, 80, 132])
def test_no_row_is_wider_than_the_terminal_and_none_of_it_is_lost(
    columns: int, log: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("mpcnode.cli.actions.audit.width_of_data", lambda: columns - 1)
    names = tuple(f"a-name-that-is-rather-long-{number:02}" for number in range(20))
    hashes = tuple(f"{number:064x}" for number in range(3))
    given = entry(
        wallet_name="w" * 64,
        messages=hashes,
        signers=names,
        outcome="failed",
        error="participant_silent",
        suspects=names,
    )
    log.write_bytes(b"".join(chained(entry(), given)))
    assert audit("show", log) == 0
    rows = capfd.readouterr().out.splitlines()
    assert max(map(len, rows)) < columns
    together = "".join(row.strip() for row in rows)
    for part in ("w" * 64, "perhaps", hashes[0], *names):
        assert part in together


def test_rows_that_go_to_a_pager_are_as_wide_as_a_terminal_begins(log: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert audit("show", log) == 0
    assert max(map(len, capfd.readouterr().out.splitlines())) <= 80


def test_a_session_that_was_accepted_is_one_row_and_what_has_no_end_says_so(
    log: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    ended, killed = entry(1, outcome="accepted"), entry(2, outcome="accepted", approved_by="policy")
    log.write_bytes(b"".join(chained(ended, killed, entry(1), entry(2, outcome="refused", approved_by=None))))
    assert audit("show", log) == 0
    rows = sessions(capfd.readouterr().out)
    assert ["no end: it runs, or the node was killed" in row for row in rows] == [True, False, False]
    assert "accepted, no end" in rows[0]
    assert audit("show", log, "--json") == 0
    assert len(capfd.readouterr().out.splitlines()) == 4
    assert audit("verify", log) == 0
    assert "open   1 session accepted, no end: it runs, or the node was killed" in capfd.readouterr().out
    assert audit("verify", log, "--json") == 0
    assert json.loads(capfd.readouterr().out)["unended"] == 1


def test_an_id_that_is_used_again_gives_no_end_to_the_session_that_was_killed(
    log: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    accepted = entry(outcome="accepted")
    log.write_bytes(b"".join(chained(accepted, accepted, entry())))
    assert audit("show", log) == 0
    assert ["accepted, no end" in row for row in sessions(capfd.readouterr().out)] == [True, False]


def test_json_is_the_lines_as_they_stand(log: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert audit("show", log, "--json") == 0
    assert capfd.readouterr().out.encode() == WHOLE


def test_audit_alone_shows(log: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert audit("show", log) == 0
    shown = capfd.readouterr().out
    assert cli._run(["audit", "--home", str(log.parent)]) == 0
    assert capfd.readouterr().out == shown != ""


def test_a_log_without_a_session_says_so(log: Path, capfd: pytest.CaptureFixture[str]) -> None:
    log.write_bytes(b"")
    assert audit("show", log) == 0
    assert "no sessions yet" in capfd.readouterr().err
