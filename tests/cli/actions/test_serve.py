"""``mpcnode serve`` as a process."""

import json
import signal
import socket
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from mpcnode.cli.commands.serve import DEFAULTS
from mpcnode.server.limits import Limits
from tests.helpers.terminal import clean_environment, mpcnode, terminal


def test_the_help_page_names_the_servers_own_limits() -> None:
    assert asdict(Limits()) == DEFAULTS


def start(*arguments: str) -> tuple[subprocess.Popen[str], int]:
    process = subprocess.Popen(
        [sys.executable, "-m", "mpcnode", "serve", "--port", "0", "--json", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=clean_environment(),
    )
    assert process.stdout is not None
    line = json.loads(process.stdout.readline())
    assert line["event"] == "serving"
    return process, line["port"]


@pytest.mark.process
@pytest.mark.parametrize(
    "head", ["-----BEGIN ENCRYPTED PRIVATE KEY-----", "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED"]
)
def test_an_encrypted_tls_key_is_refused_and_nobody_is_asked_for_its_password(head: str, tmp_path: Path) -> None:
    (tmp_path / "chain.pem").write_text("-----BEGIN CERTIFICATE-----\n")
    (tmp_path / "key.pem").write_text(f"{head}\n")
    files = ("--certificate", str(tmp_path / "chain.pem"), "--key", str(tmp_path / "key.pem"))
    with terminal("serve", "--port", "0", *files) as shown:
        code, _ = shown.end()
    assert code == 3
    # A path may be longer than a row; what is told is the same without its breaks.
    told, wanted = (
        "".join(text.split()) for text in (shown.shown, f"error: the TLS key {tmp_path / 'key.pem'} is encrypted")
    )
    assert wanted in told
    assert "hint: give one without a password" in shown.shown
    assert "pass phrase" not in shown.shown


@pytest.mark.process
def test_it_says_where_it_listens_and_stops_in_order_when_told() -> None:
    process, port = start()
    with process, socket.create_connection(("127.0.0.1", port), timeout=10):
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert err == "error: interrupted by SIGTERM\n"


@pytest.mark.process
def test_it_stops_with_its_standard_input_where_that_was_asked_for() -> None:
    process, _ = start("--stop-with-stdin")
    with process:
        _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "end of standard input" in err


@pytest.mark.process
def test_a_port_in_use_is_a_configuration_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        run = mpcnode("serve", "--port", str(taken.getsockname()[1]))
    assert run.returncode == 3
    assert run.stderr.startswith("error: ")


def test_a_limit_that_makes_no_sense_is_a_configuration_error() -> None:
    run = mpcnode("serve", "--burst", "0")
    assert run.returncode == 3
    assert "burst must be more than 0" in run.stderr


def test_people_are_told_how_to_stop_it_and_who_can_reach_it() -> None:
    for host, said in (("127.0.0.1", "add --host 0.0.0.0"), ("::", "--server ws://ADDRESS:")):
        process = subprocess.Popen(
            [sys.executable, "-m", "mpcnode", "serve", "--host", host, "--port", "0"], stderr=subprocess.PIPE, text=True
        )
        with process:
            assert process.stderr is not None
            assert "Ctrl-C stops it" in process.stderr.readline()
            assert said in process.stderr.readline()
            process.terminate()
