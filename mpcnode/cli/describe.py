"""Peers and wallets as text for people."""

from typing import Final

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
    lines += [f"address       {escape(text)}  {escape(chain)}" for chain, text in sorted(wallet.addresses.items())]
    return lines


MESSAGES_SHOWN: Final = 10
"""How many messages of a batch a person is asked to read at once; the rest is counted."""


def message_lines(sign: status.SignView) -> list[str]:
    """What is to be signed, from this node's own copy: each message escaped, with its hash."""
    lines = []
    for message, digest in list(zip(sign.messages, sign.hashes, strict=True))[:MESSAGES_SHOWN]:
        if sign.reading == "text":
            shown = escape(bytes.fromhex(message).decode("utf-8", errors="backslashreplace"), 2000)
        else:
            shown = f"{message}{' (the SHA-256 of a file)' if sign.reading == 'file' else ''}"
        lines += [f"  {sign.reading}: {shown}", f"  sha-256: {digest}"]
    if (more := len(sign.messages) - MESSAGES_SHOWN) > 0:
        lines.append(f"  and {counted(more, 'more message')}")
    return lines


def signature_lines(signature: status.SignatureView) -> list[str]:
    """Signatures in full, one a line, after who made them."""
    lines = [
        f"wallet      {escape(signature.name)}",
        f"suite       {escape(signature.suite)}",
        f"public key  {signature.public_key}",
        f"signers     {listed(signature.signers)}",
    ]
    if signature.attempts > 1:
        lines.append(f"attempts    {signature.attempts}")
    lines += [
        f"failed      {listed(failure.culprits)}: {escape(failure.message, 300)}" for failure in signature.failures
    ]
    return lines + [f"signature   {one}" for one in signature.signatures]


def _certificate(wallet: status.WalletView) -> str:
    if wallet.certificate_valid:
        return f"valid, signed by all {wallet.total}"
    return f"not yet: {counted(wallet.signatures, 'signature')} of {wallet.total}"
