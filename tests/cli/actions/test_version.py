"""What ``mpcnode --version`` says, and that a library that cannot be trusted is said there as well."""

import pytest

import mpcnode
from mpcnode.cli import app as cli
from mpcnode.crypto import selftest
from mpcnode.errors import ConfigurationError


@pytest.mark.parametrize("options", [["--version", "--verbose"], ["--verbose", "--version"], ["-V", "-v"]])
def test_a_verbose_version_tries_the_library_and_says_so(options: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    assert cli._run(options) == 0
    said = capfd.readouterr().out
    assert said.startswith(f"mpcnode {mpcnode.__version__}\n")
    assert "PyNaCl 1." in said
    assert "self-test passed" in said


def test_a_verbose_version_refuses_a_library_that_takes_false_points(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def unusable() -> None:
        raise ConfigurationError("the linked libsodium takes B + T2 for an element of Ed25519's group")

    monkeypatch.setattr(selftest, "check_libraries", unusable)
    assert cli._run(["--version", "--verbose"]) == 3
    said = capfd.readouterr()
    assert "self-test passed" not in said.out
    assert "B + T2" in said.err


def test_verbose_alone_asks_for_a_command(capfd: pytest.CaptureFixture[str]) -> None:
    assert cli._run(["--verbose"]) == 2
    assert capfd.readouterr().err
