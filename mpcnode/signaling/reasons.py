"""Why there is no connection to the signaling server, in words that hold nothing a stranger wrote unescaped."""

import os
import ssl
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from websockets.exceptions import ConnectionClosed, InvalidProxyStatus, InvalidStatus, ProxyError
from websockets.frames import Close

from mpcnode.errors import ConfigurationError, DecodeError, NameTaken, ServerRefused, TransportError
from mpcnode.types import PeerId
from mpcnode.wire import signaling as wire

_NOT_TLS: Final = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG"})
"""What OpenSSL calls an answer that is not TLS at all."""


def refusal(message: wire.ServerMessage, peer_id: PeerId) -> TransportError | DecodeError:
    """Turn what the server said in place of yes into an error."""
    if not isinstance(message, wire.Error):
        return DecodeError("not a message of a signaling server at this point")
    code = message.code or ""
    if code == "replaced":
        return NameTaken(
            f"another node with this identity took over the name {peer_id}",
            server_code=code,
            hint="one identity is one node: stop the other, or give this one a home of its own",
        )
    if code == "already_registered" or message.error == "peer_id already registered":
        return NameTaken(
            f"the peer id {peer_id} is already registered", server_code=code, hint="choose another with --peer-id"
        )
    return ServerRefused(f"the signaling server refused: {shown(message.error)}", server_code=code)


def shown(text: str) -> str:
    """Give a server's text in a form that is safe to print: ASCII, escaped, cut."""
    return ascii(text[:200])[1:-1]


def why(exc: Exception, deadline: float) -> str:
    """Say in a few words why there is no connection; nothing a stranger wrote stands in it unescaped."""
    match exc:
        case ssl.SSLCertVerificationError():
            reason = f"its certificate is not trusted: {shown(exc.verify_message)}"
        case ssl.SSLError():
            reason = _without_tls(exc)
        case TimeoutError():
            reason = f"no answer within {deadline:g} s"
        case OSError(errno=int(number)) if number > 0:
            # asyncio's own text names the socket call; the system's names the matter.
            reason = os.strerror(number).lower()
        case OSError():
            reason = shown(exc.strerror or "none of its addresses answers").lower()
        case ProxyError():
            reason = _no_way_through(exc)
        case InvalidStatus():
            reason = _no_upgrade(exc)
        case ConnectionClosed(rcvd=None):
            reason = "the connection broke"
        case ConnectionClosed(rcvd=Close(code=code, reason=said)):
            reason = f"the server closed the connection: {code} {shown(said)}".rstrip()
        case _:
            reason = "what answers does not speak its protocol"
    return reason


def _without_tls(exc: ssl.SSLError) -> str:
    if exc.reason in _NOT_TLS:
        return "it does not speak TLS there; a URL without TLS begins with ws://"
    return f"TLS failed: {shown(exc.reason or 'the connection broke').replace('_', ' ').lower()}"


def _no_way_through(exc: ProxyError) -> str:
    if isinstance(exc, InvalidProxyStatus):
        return f"the proxy answered with HTTP status {exc.response.status_code}"
    return "what answers there is not an HTTP proxy"


def _no_upgrade(exc: InvalidStatus) -> str:
    if exc.response.status_code != 429:
        return f"it answered with HTTP status {exc.response.status_code}"
    said = exc.response.headers.get("Retry-After", "")
    soon = f", in {said} s" if said.isascii() and said.isdecimal() and len(said) <= 6 else ""
    return f"too many connections came from this address; it says to try again later{soon}"


def tls_context(url: str, ca_file: Path | None) -> ssl.SSLContext | None:
    """Give the context of a ``wss`` URL: the system's authorities, or those of ``ca_file``.

    Raises:
        ConfigurationError: the file cannot be used.
    """
    if urlsplit(url).scheme != "wss":
        return None
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as exc:
        raise ConfigurationError(f"the CA file {str(ca_file)!r} cannot be used") from exc
