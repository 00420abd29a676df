import os
from pathlib import Path

import pytest

from mpcnode.errors import ConfigurationError
from mpcnode.keystore.passphrase import MAX_PASSPHRASE, read_passphrase_fd, read_passphrase_file


@pytest.mark.parametrize(
    ("content", "passphrase"),
    [
        (b"pass", b"pass"),
        (b"pass\n", b"pass"),
        (b"pass\r\n", b"pass"),
        (b"pass\n\n", b"pass\n"),
        (b"pass\r", b"pass\r"),
        (b" pass \n", b" pass "),
        (b"two\nlines\n", b"two\nlines"),
        (b"\n\n", b"\n"),
        ("pässword\n".encode(), "pässword".encode()),
        (b"\x00\xff", b"\x00\xff"),
        (b"x" * MAX_PASSPHRASE, b"x" * MAX_PASSPHRASE),
        (b"x" * MAX_PASSPHRASE + b"\r\n", b"x" * MAX_PASSPHRASE),
    ],
)
def test_one_newline_at_the_end_is_not_part_of_a_passphrase(tmp_path: Path, content: bytes, passphrase: bytes) -> None:
    path = tmp_path / "passphrase"
    path.write_bytes(content)
    assert read_passphrase_file(path) == passphrase


@pytest.mark.parametrize("content", [b"", b"\n", b"\r\n"])
def test_an_empty_passphrase_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "passphrase").write_bytes(content)
    with pytest.raises(ConfigurationError, match="empty"):
        read_passphrase_file(tmp_path / "passphrase")


@pytest.mark.parametrize("content", [b"x" * (MAX_PASSPHRASE + 1), b"x" * MAX_PASSPHRASE + b"xx\n", b"x" * 100_000])
def test_a_file_that_is_no_passphrase_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "passphrase").write_bytes(content)
    with pytest.raises(ConfigurationError, match="longer than"):
        read_passphrase_file(tmp_path / "passphrase")


def test_a_missing_file_or_a_directory_is_a_configuration_error(tmp_path: Path) -> None:
    for path, reason in ((tmp_path / "nowhere", "No such file or directory"), (tmp_path, "Is a directory")):
        with pytest.raises(ConfigurationError) as refused:
            read_passphrase_file(path)
        assert str(refused.value) == f"cannot read the passphrase file {path}: {reason}"
        assert refused.value.hint == "check --passphrase-file"


@pytest.mark.parametrize("content", [b"", b"x" * (MAX_PASSPHRASE + 1)])
def test_what_is_wrong_with_a_passphrase_is_said_of_the_file_by_its_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "passw\u00f6rter"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=f"the passphrase file {path} ") as refused:
        read_passphrase_file(path)
    assert refused.value.hint


def test_a_secret_mount_may_be_a_symbolic_link(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(b"pass\n")
    (tmp_path / "passphrase").symlink_to("data")
    assert read_passphrase_file(tmp_path / "passphrase") == b"pass"


def test_a_passphrase_comes_through_a_pipe_in_pieces() -> None:
    reading, writing = os.pipe()
    try:
        os.write(writing, b"pa")
        os.write(writing, b"ss\n")
        os.close(writing)
        assert read_passphrase_fd(reading) == b"pass"
    finally:
        os.close(reading)


def test_a_closed_descriptor_is_a_configuration_error() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    os.close(writing)
    with pytest.raises(ConfigurationError) as refused:
        read_passphrase_fd(reading)
    assert str(refused.value) == f"cannot read the passphrase from file descriptor {reading}: Bad file descriptor"
    assert refused.value.hint == "check --passphrase-fd"
