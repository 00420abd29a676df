"""``mpcnode serve``: run a signaling server."""

from pathlib import Path
from typing import Annotated, Any, Final

import typer

from mpcnode.cli.options import JsonOption, StopWithStdinOption, VerboseOption

EXAMPLES: Final = """\b
Examples:
  mpcnode serve
  mpcnode serve --host 0.0.0.0 --port 443 --certificate chain.pem --key key.pem --origin wss://mpc.example
  mpcnode serve --port 0 --json     # a free port; the first line says which"""

DEFAULTS: Final = {
    "message_bytes": 64 * 1024,
    "messages_per_second": 50,
    "burst": 1000,
    "excess": 100,
    "register_seconds": 10,
    "connections_per_address": 64,
    "arrivals": 64,
    "arrivals_per_second": 10,
    "connections": 10_000,
    "outbox_bytes": 256 * 1024,
    "ping_seconds": 20,
    "close_seconds": 2,
}
"""What the help page says. The server's own ``Limits`` decides; a test holds the two together."""


def _option(name: str, help_text: str, metavar: str, **more: Any) -> Any:  # noqa: ANN401 -- as typer has it
    return typer.Option(
        f"--{name.replace('_', '-')}", envvar=f"MPCNODE_SERVE_{name.upper()}", metavar=metavar, help=help_text, **more
    )


def _limit(name: str, help_text: str) -> Any:  # noqa: ANN401 -- as typer has it
    return _option(name, help_text, "S" if name.endswith("seconds") else "N", show_default=f"{DEFAULTS[name]}")


Host = Annotated[str, _option("host", "The address to listen on.", "ADDRESS")]
Port = Annotated[int, _option("port", "0 takes a free one.", "PORT", min=0, max=65535)]
Certificate = Annotated[Path | None, _option("certificate", "PEM chain, for wss://; with --key.", "FILE")]
Key = Annotated[Path | None, _option("key", "PEM private key of --certificate.", "FILE")]
Origins = Annotated[list[str] | None, _option("origin", "What clients call this server; may be repeated.", "URL")]
Proxies = Annotated[
    list[str] | None, _option("trusted_proxy", "A proxy whose X-Forwarded-For is believed; may be repeated.", "ADDRESS")
]
IceServers = Annotated[
    list[str] | None, _option("ice_server", "A STUN or TURN server to offer to nodes; may be repeated.", "URL|@FILE")
]
MessageBytes = Annotated[int | None, _limit("message_bytes", "The longest message.")]
MessagesPerSecond = Annotated[int | None, _limit("messages_per_second", "Messages a second of one client, lasting.")]
Burst = Annotated[int | None, _limit("burst", "Messages of one client at once.")]
Excess = Annotated[int | None, _limit("excess", "Messages refused, beyond those taken, before a client is sent away.")]
RegisterSeconds = Annotated[float | None, _limit("register_seconds", "Time a client has to register.")]
PerAddress = Annotated[int | None, _limit("connections_per_address", "Clients of one address at once.")]
Arrivals = Annotated[int | None, _limit("arrivals", "New connections of one address at once.")]
ArrivalsPerSecond = Annotated[
    float | None, _limit("arrivals_per_second", "New connections of one address a second, lasting.")
]
Connections = Annotated[int | None, _limit("connections", "Clients at once.")]
OutboxBytes = Annotated[int | None, _limit("outbox_bytes", "What may wait for a client that does not read.")]
PingSeconds = Annotated[float | None, _limit("ping_seconds", "Silence before a client is asked whether it lives.")]
CloseSeconds = Annotated[float | None, _limit("close_seconds", "Time a client has to say goodbye.")]


def serve(
    *,
    host: Host = "127.0.0.1",
    port: Port = 9000,
    certificate: Certificate = None,
    key: Key = None,
    origin: Origins = None,
    trusted_proxy: Proxies = None,
    ice_server: IceServers = None,
    message_bytes: MessageBytes = None,
    messages_per_second: MessagesPerSecond = None,
    burst: Burst = None,
    excess: Excess = None,
    register_seconds: RegisterSeconds = None,
    connections_per_address: PerAddress = None,
    arrivals: Arrivals = None,
    arrivals_per_second: ArrivalsPerSecond = None,
    connections: Connections = None,
    outbox_bytes: OutboxBytes = None,
    ping_seconds: PingSeconds = None,
    close_seconds: CloseSeconds = None,
    json: JsonOption = False,
    stop_with_stdin: StopWithStdinOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Run a signaling server.

    It brings nodes together and keeps nothing: no sessions, no participants, no keys. Nodes do not have to trust it.
    """
    # Read before anything else is assigned: from here, what was not given is the server's to decide.
    limits = {name: value for name, value in locals().items() if name in DEFAULTS and value is not None}
    from mpcnode.cli.actions.serve import run_server, server_config  # noqa: PLC0415 -- what is heavy waits for its command

    config = server_config(
        host=host,
        port=port,
        certificate=certificate,
        key=key,
        origins=tuple(origin or ()),
        trusted_proxies=tuple(trusted_proxy or ()),
        ice_urls=tuple(ice_server or ()),
        limits=limits,
    )
    run_server(config, json=json, stop_with_stdin=stop_with_stdin, verbose=verbose)
