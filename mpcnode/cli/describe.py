"""Peers and wallets as text for people."""

from mpcnode import status
from mpcnode.cli.text import counted, escape, listed


def peer_row(peer: status.PeerView) -> tuple[str, ...]:
    """One peer, for columns."""
    return (peer.peer_id, "this node" if peer.trust == "self" else peer.trust, peer.fingerprint or "")


def wallet_row(wallet: status.WalletView) -> tuple[str, ...]:
    """One wallet, for columns."""
    return (wallet.name, wallet.state, f"{wallet.threshold} of {wallet.total}", wallet.peer_id, wallet.wallet_id)


def wallet_lines(wallet: status.WalletView) -> list[str]:
    """One wallet in full; the group public keys of an active one only, because nothing may be sent to another."""
    lines = [
        f"wallet        {escape(wallet.name)}",
        f"id            {wallet.wallet_id}",
        f"state         {wallet.state}",
        f"signers       {wallet.threshold} of {wallet.total}",
        f"participants  {listed(wallet.participants)}",
        f"this node     {escape(wallet.peer_id)}, identifier {wallet.identifier}",
        f"certificate   {_certificate(wallet)}",
        f"safety words  {'compared' if wallet.words_compared else 'compared by nobody'}",
        f"passphrase    {escape(wallet.kdf)}",
    ]
    lines += [f"public key    {key}  {escape(suite)}" for suite, key in sorted(wallet.group_public_keys.items())]
    return lines


def _certificate(wallet: status.WalletView) -> str:
    if wallet.certificate_valid:
        return f"valid, signed by all {wallet.total}"
    return f"not yet: {counted(wallet.signatures, 'signature')} of {wallet.total}"
