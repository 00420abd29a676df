"""Peers and wallets as text for people."""

from typing import Final

from mpcnode import status
from mpcnode.cli.terminal.text import counted, escape, listed

_VERIFIED: Final[dict[status.Verified, str]] = {
    "code": "by a code, both ways",
    "invitation": "the inviter alone, by an invitation",
    "words": "by safety words that a user compared",
    "contacts": "all were verified contacts",
    "nobody": "nobody compared safety words",
}


def peer_row(peer: status.PeerView) -> tuple[str, ...]:
    """One peer, for columns."""
    return (peer.peer_id, "this node" if peer.trust == "self" else peer.trust, peer.fingerprint or "")


def wallet_row(wallet: status.WalletView) -> tuple[str, ...]:
    """One wallet, for columns."""
    signers = f"{wallet.threshold} of {wallet.total}"
    return (wallet.name, wallet.state, signers, wallet.peer_id, wallet.wallet_id, pending_line(wallet))


def pending_line(wallet: status.WalletView) -> str:
    """Say which epoch is pending and whose word is missing; the text is empty where no epoch is."""
    if wallet.pending is None:
        return ""
    return f"epoch {wallet.pending} is pending: no word yet from {listed(wallet.missing)}"


def wallet_lines(wallet: status.WalletView) -> list[str]:
    """One wallet in full; a pending one without group public keys, because nothing may be sent to it."""
    lines = [
        f"wallet        {escape(wallet.name)}",
        f"id            {wallet.wallet_id}",
        f"state         {wallet.state}",
        f"signers       {wallet.threshold} of {wallet.total}",
        f"participants  {listed(wallet.participants)}",
        f"this node     {escape(wallet.peer_id)}, identifier {wallet.identifier}",
        f"epoch         {wallet.epoch}, {wallet.epoch_id}",
        f"certificate   {_certificate(wallet)}",
        f"verified      {_VERIFIED[wallet.verified]}",
        f"passphrase    {escape(wallet.kdf)}",
    ]
    if wallet.pending is not None:
        lines.append(f"note          {pending_line(wallet)}")
    lines += [f"public key    {key}  {escape(suite)}" for suite, key in sorted(wallet.group_public_keys.items())]
    lines += [f"address       {escape(text)}  {escape(chain)}" for chain, text in sorted(wallet.addresses.items())]
    return lines


def message_lines(sign: status.SignView) -> list[str]:
    """What is to be signed, from this node's own copy: every message, whole and escaped, with its hash."""
    lines = []
    for message, digest in zip(sign.messages, sign.hashes, strict=True):
        match sign.reading:
            case "text":
                # Quoted, and its own backslashes doubled: a text that looks like an escaped one is not the same text.
                text = bytes.fromhex(message).decode().replace("\\", "\\\\")
                lines.append(f'  text: "{escape(text, len(text))}"')
            case "file":
                lines.append(f"  file: its SHA-256 is {message}")
                continue
            case "hex":
                lines.append(f"  hex: {message or 'no bytes at all'}")
                lines.append("  these bytes are signed as they are: they may be a transaction")
        lines.append(f"  sha-256: {digest}")
    if sign.merkle_root is not None:
        lines.append(f"  for the key tweaked with the script tree {sign.merkle_root or '(none)'}")
    return lines


def signature_lines(signature: status.SignatureView) -> list[str]:
    """Signatures in full, one a line, after the names of the signers."""
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
