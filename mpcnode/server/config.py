"""How a signaling server is run."""

from dataclasses import dataclass, field
from pathlib import Path

from mpcnode.server.limits import Limits
from mpcnode.wire.signaling import IceServer


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig:
    """How to run a signaling server.

    Args:
        host: the address or name to listen on.
        port: the TCP port; 0 takes a free one.
        limits: what one client may cost.
        ice_servers: STUN and TURN servers to offer in ``welcome``.
        origins: what clients call this server, such as ``wss://mpc.example``; a registration with a key must be
            signed for one of them. Empty: whatever the client says it dialled, which does not keep another server
            from passing a registration on.
        certificate: PEM file of the TLS certificate chain; with ``key``, or neither.
        key: PEM file of its private key.
        trusted_proxies: addresses or networks whose ``X-Forwarded-For`` and ``X-Forwarded-Proto`` are believed.
    """

    host: str = "127.0.0.1"
    port: int = 9000
    limits: Limits = field(default_factory=Limits)
    ice_servers: tuple[IceServer, ...] = ()
    origins: tuple[str, ...] = ()
    certificate: Path | None = None
    key: Path | None = None
    trusted_proxies: tuple[str, ...] = ()
