"""Print the version, and with ``--verbose`` those of the libraries that keys depend on, once they were tried."""

import platform
from importlib.metadata import version

import typer

from mpcnode import __version__

_LIBRARIES = ("PyNaCl", "btclib-secp256k1", "ecdsa", "aiortc", "cryptography", "websockets", "msgspec")


def show_version(*, verbose: bool) -> None:
    """Print the version.

    Args:
        verbose: whether to try the linked libsodium and to list what is installed.

    Raises:
        ConfigurationError: the linked libsodium takes points that are not elements of Ed25519's group.
    """
    typer.echo(f"mpcnode {__version__}")
    if not verbose:
        return
    typer.echo(f"{platform.python_implementation()} {platform.python_version()}, {platform.platform()}")
    for library in _LIBRARIES:
        typer.echo(f"{library} {version(library)}")
    from mpcnode.crypto.selftest import NOT_ELEMENTS, check_libraries  # noqa: PLC0415 -- a version alone loads nothing

    check_libraries()
    typer.echo(f"libsodium: self-test passed, {len(NOT_ELEMENTS)} false points of Ed25519 refused")
