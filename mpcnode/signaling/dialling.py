"""How a client reaches a server: one WebSocket connection, for whatever room of the server it is."""

from collections.abc import Sequence
from ssl import SSLContext
from typing import Final
from urllib.parse import urlsplit

from websockets.asyncio.client import connect
from websockets.exceptions import InvalidProxy, InvalidURI
from websockets.proxy import get_proxy, parse_proxy
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

from mpcnode.errors import ConfigurationError

CLOSE_SECONDS: Final = 2.0

_FRAME_BYTES: Final = 1024 * 1024
_PING_SECONDS: Final = 10.0
_PROXIES: Final = "look at ws_proxy, http_proxy, https_proxy and all_proxy; no_proxy names servers to reach without one"


def dial(url: str, ssl: SSLContext | None, subprotocols: Sequence[str] = ()) -> connect:
    """Give a connection to enter; the caller has the deadline for it.

    Args:
        url: ``ws://`` or ``wss://``.
        ssl: the context for ``wss``.
        subprotocols: what this client speaks.

    Raises:
        ConfigurationError: the environment names a proxy that cannot be used.
    """
    return connect(
        url,
        subprotocols=[Subprotocol(name) for name in subprotocols] or None,
        compression=None,
        proxy=proxy_towards(url),
        ssl=ssl,
        open_timeout=None,
        ping_interval=_PING_SECONDS,
        ping_timeout=_PING_SECONDS,
        close_timeout=CLOSE_SECONDS,
        max_size=_FRAME_BYTES,
    )


def proxy_towards(url: str) -> str | None:
    """Give the proxy of the environment through which a server is reached; it may hold a password.

    Raises:
        ConfigurationError: there is one, and it cannot be used.
    """
    # A proxy is for the way out of a network; this machine is not on that way.
    if urlsplit(url).hostname in {"localhost", "127.0.0.1", "::1"}:
        return None
    try:
        proxy = get_proxy(parse_uri(url))
        kind = parse_proxy(proxy).scheme if proxy else ""
    except InvalidURI:
        return None  # the dialling says it
    except (InvalidProxy, ValueError):
        raise ConfigurationError("the proxy that the environment names is not a proxy's URL", hint=_PROXIES) from None
    if kind.startswith("socks"):
        raise ConfigurationError(
            "the environment names a SOCKS proxy, and mpcnode goes through HTTP proxies alone", hint=_PROXIES
        )
    return proxy


def by_proxy(url: str) -> str:
    """Say through which proxy a server is reached, without its password; nothing where there is none."""
    proxy = proxy_towards(url)
    if proxy is None:
        return ""
    found = parse_proxy(proxy)
    host = f"[{found.host}]" if ":" in found.host else found.host
    return f" through the proxy {ascii(f'{found.scheme}://{host}:{found.port}'[:200])[1:-1]}"
