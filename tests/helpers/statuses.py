"""Status values for tests that show or carry them."""

from mpcnode import status

SESSION = "0" * 32


def peers(*names: str) -> tuple[status.PeerView, ...]:
    """Peers; the first is this node."""
    return tuple(
        status.PeerView(name, "self" if number == 0 else "unverified", f"{number:02x}" * 8)
        for number, name in enumerate(names)
    )


def proposed(*names: str, wallet: str = "treasury") -> status.Proposed:
    """A proposal of a 2-of-n wallet by the first of ``names``."""
    return status.Proposed(
        session_id=SESSION,
        kind="keygen",
        proposer=names[0],
        wallet=wallet,
        threshold=2,
        total=len(names),
        participants=peers(*names),
        suites=("FROST-ED25519-SHA512-v1",),
        expires=1_800_000_000_000,
    )


def wallet(name: str = "treasury", state: str = "active", peer_id: str = "cli1") -> status.WalletView:
    """A 2-of-3 wallet as ``peer_id`` holds it."""
    active = state == "active"
    return status.WalletView(
        wallet_id="ab" * 16,
        name=name,
        state="active" if active else "pending",
        threshold=2,
        total=3,
        peer_id=peer_id,
        identifier=1,
        participants=("cli1", "cli2", "cli3"),
        suites=("FROST-ED25519-SHA512-v1",),
        epoch=0,
        epoch_id="ef" * 32,
        signatures=3 if active else 1,
        certificate_valid=active,
        verified="nobody",
        kdf="argon2id, 64 MiB, 2 passes",
        created=1_800_000_000_000,
        group_public_keys={"FROST-ED25519-SHA512-v1": "cd" * 32} if active else {},
    )


def signature(name: str, messages: tuple[bytes, ...]) -> status.SignatureView:
    """What stands for signatures of ``messages``."""
    return status.SignatureView(
        wallet_id="ab" * 16,
        name=name,
        suite="FROST-ED25519-SHA512-v1",
        public_key="cd" * 32,
        messages=tuple(message.hex() for message in messages),
        signed=("ef" * 32,) * len(messages),
        signatures=("01" * 64,) * len(messages),
        signers=("cli1", "cli2"),
    )


def ended(error: status.ErrorView | None = None) -> status.SessionEnded:
    """The end of the session that ``proposed`` began."""
    return status.SessionEnded(
        session_id=SESSION,
        kind="keygen",
        proposer="cli1",
        seconds={"introducing": 0.5, "sharing": 1.0},
        words=("abandon", "ability", "able", "about", "above", "absent"),
        wallet=wallet() if error is None else None,
        error=error,
    )


def contact(name: str) -> status.ContactView:
    """A contact that was verified by a code."""
    return status.ContactView(
        peer_id=name, verified=True, how="code", fingerprint="0000", public_key="00" * 32, first_seen=1
    )
