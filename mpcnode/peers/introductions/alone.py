"""Introductions of a home under which no node runs: opened for them, and registered nowhere."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from mpcnode.keystore.keyring import Keyring
from mpcnode.keystore.opening import name_of, open_identity
from mpcnode.keystore.store import Home
from mpcnode.peers.introductions.introductions import Introductions
from mpcnode.peers.introductions.meeting import Introducer
from mpcnode.peers.trust import Trusts
from mpcnode.types import PeerId
from mpcnode.waits import see_end


@asynccontextmanager
async def introductions_of(
    path: Path, keyring: Keyring, *, server: str, ca_file: Path | None, name: PeerId | None, interactive_kdf: bool
) -> AsyncIterator[tuple[Introductions, PeerId]]:
    """Hold a home, made on the way where there is none; gives its introductions and this node's name.

    Args:
        path: the home.
        keyring: of its passphrase.
        server: the server with the slots.
        ca_file: authorities to trust for ``wss``, in place of the system's.
        name: what this node calls itself; None: as the home remembers.
        interactive_kdf: protect a new home lightly.

    Raises:
        HomeInUse: another process holds the home.
        WrongPassphrase, KeystoreError: the home does not open.
    """
    home = await asyncio.to_thread(Home.open, path, create=True)
    with home.lock():
        settings = await asyncio.to_thread(home.load_settings)
        called = name_of(name, settings)
        opening = asyncio.ensure_future(
            asyncio.to_thread(open_identity, home, keyring, called, settings, interactive_kdf=interactive_kdf)
        )
        try:
            await see_end(opening)  # the thread may be writing, under the lock and with the keyring
            identity = opening.result()
            contacts = Trusts(home, peer_id=called, public_key=identity.public_key, introduced=lambda _: None)
            introducer = Introducer(
                server=server, ca_file=ca_file, identity=identity, moniker=called, rng=secrets.token_bytes
            )
            yield (
                Introductions(home, keyring, introducer, contacts, lambda: time.time_ns() // 1_000_000),
                called,
            )
        finally:
            if not opening.cancelled() and opening.exception() is None:
                opening.result().wipe()
