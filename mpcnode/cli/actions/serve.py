"""What ``mpcnode serve`` does: the signaling server, as a process."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from mpcnode.cli.actions.ice import ice_servers
from mpcnode.cli.loop import run_orderly
from mpcnode.cli.options import expanded
from mpcnode.cli.terminal.output import log_to_stderr, print_json, say
from mpcnode.control.lines import Serving
from mpcnode.errors import ConfigurationError
from mpcnode.server.config import ServerConfig
from mpcnode.server.limits import Limits
from mpcnode.server.listen import loop_factory, serve

_EVERY_ADDRESS: Final = ("0.0.0.0", "::")  # noqa: S104 -- named, to say what it means
_LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")
_HEAD: Final = 4096
"""Bytes at the beginning of a PEM file that say what it is."""


def server_config(
    *,
    host: str,
    port: int,
    certificate: Path | None,
    key: Path | None,
    origins: tuple[str, ...],
    trusted_proxies: tuple[str, ...],
    ice_urls: tuple[str, ...],
    limits: Mapping[str, Any],
) -> ServerConfig:
    """Make the server's configuration of the command's options.

    Args:
        ice_urls: STUN and TURN servers to offer, as ``--ice-server`` names them.
        limits: those of ``Limits`` that were given.

    Raises:
        UsageError: a value is malformed.
        ConfigurationError: a limit is out of its range, or the TLS key is encrypted.
    """
    if key is not None:
        _check_is_not_encrypted(key)
    return ServerConfig(
        host=host,
        port=port,
        limits=Limits(**limits),
        ice_servers=ice_servers(ice_urls),
        origins=origins,
        certificate=certificate,
        key=key,
        trusted_proxies=trusted_proxies,
    )


def _check_is_not_encrypted(key: Path) -> None:
    """Refuse a key that OpenSSL would ask a password for, on a terminal that a server does not have."""
    try:
        with expanded(key).open("rb") as file:
            head = file.read(_HEAD)
    except OSError:
        return  # loading it says what is wrong
    if b"ENCRYPTED" in head:
        raise ConfigurationError(
            f"the TLS key {key} is encrypted",
            hint=f"give one without a password, which `openssl pkey -in {key} -out FILE` writes; chmod 600 it",
        )


def run_server(config: ServerConfig, *, json: bool, stop_with_stdin: bool, verbose: bool) -> None:
    """Serve until told to stop.

    Raises:
        Interrupted: it was told to stop; every client was told why.
        ConfigurationError: the address cannot be listened on.
    """
    log_to_stderr(verbose=verbose)

    def on_ready(host: str, port: int) -> None:
        if json:
            print_json(Serving(host, port))
        else:
            scheme = "wss" if config.certificate else "ws"
            say(f"signaling server at {scheme}://{f'[{host}]' if ':' in host else host}:{port}; Ctrl-C stops it")
            if host in _EVERY_ADDRESS:
                say(f"nodes reach it with --server {scheme}://ADDRESS:{port}, an address or a name of this machine")
            elif host in _LOOPBACK:
                say("nodes on other machines cannot reach it: add --host 0.0.0.0 for them")

    async def until_stopped() -> None:
        stop = asyncio.Event()
        serving = asyncio.ensure_future(serve(config, on_ready=on_ready, stop=stop))
        try:
            await asyncio.shield(serving)
        finally:
            stop.set()
            await serving

    run_orderly(until_stopped, stop_with_stdin=stop_with_stdin, loop_factory=loop_factory())
