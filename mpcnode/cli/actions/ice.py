"""``--ice-server``: a URL, or a file with servers and their credentials, which have no place on a command line."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from mpcnode.cli.options import expanded
from mpcnode.errors import ConfigurationError, UsageError
from mpcnode.wire.signaling import IceServer

MAX_FILE: Final = 64 * 1024

_URL: Final = re.compile(
    r"(?:stun|turn)s?:(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?(?:\?transport=(?:udp|tcp))?"
)
_FORM: Final = '[{"urls": ["turn:turn.example:3478"], "username": "ana", "credential": "..."}]'
_file: Final = msgspec.json.Decoder(tuple[IceServer, ...])


def ice_servers(given: Iterable[str]) -> tuple[IceServer, ...]:
    """Take what ``--ice-server`` said.

    Args:
        given: URLs as in RFC 7064 and 7065, and after ``@`` names of files in the form of a browser's ``iceServers``.

    Raises:
        UsageError: one is not such a URL.
        ConfigurationError: a file cannot be read or is not of that form.
    """
    return tuple(server for one in given for server in _servers(one))


def _servers(given: str) -> Iterator[IceServer]:
    if given.startswith("@"):
        yield from _from_file(expanded(Path(given[1:])))
    elif _URL.fullmatch(given) and len(given) <= 256:
        yield IceServer(urls=(given,))
    else:
        raise UsageError(
            f"{given[:80]!a} is not a STUN or TURN server", hint="--ice-server is like turn:turn.example:3478, or @FILE"
        )


def _from_file(path: Path) -> tuple[IceServer, ...]:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE + 1)
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error.strerror}", hint="check --ice-server @FILE") from error
    try:
        if len(data) > MAX_FILE:
            raise msgspec.ValidationError(f"it is longer than {MAX_FILE} bytes")
        servers = _file.decode(data)
    except (msgspec.MsgspecError, RecursionError) as error:
        # The file's text is not repeated: a credential must not come into an error.
        raise ConfigurationError(f"{path} is not a list of ICE servers: {_where(error)}", hint=_FORM) from None
    wrong = [url for server in servers for url in server.urls if not _URL.fullmatch(url)]
    if wrong:
        raise ConfigurationError(f"{path}: {wrong[0][:80]!a} is not a STUN or TURN server", hint=_FORM)
    return servers


def _where(error: Exception) -> str:
    return str(error) if isinstance(error, msgspec.ValidationError) else "not JSON"
