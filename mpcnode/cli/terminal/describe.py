"""Peers, wallets and what is to be signed, as text for people."""

import time
from collections.abc import Sequence
from typing import Final

from mpcnode import status
from mpcnode.cli.terminal.text import (
    INDENT,
    MARGIN,
    columns,
    counted,
    escape,
    hex_rows,
    listed,
    shortened,
    untrusted,
    wrapped,
)
from mpcnode.readings.file import FileContent

_VERIFIED: Final[dict[status.Verified, str]] = {
    "code": "not needed, a code was typed both ways",
    "invitation": "not needed, the inviter alone was verified",
    "words": "compared by this node's user",
    "contacts": "not needed, verified contacts",
    "nobody": "nobody at this node compared them",
}
_GUESS: Final = {
    "default": "a guess takes 256 MiB of memory",
    "interactive": "a guess takes 64 MiB of memory, little for a home that matters",
}
"""What each guess at a home's passphrase costs, by ``WalletView.kdf``."""


# ---- peers ----

KNOWN: Final = 10
"""Columns that ``known_as`` takes at most."""


def known_as(peer: status.PeerView) -> str:
    """How this node knows a peer, in a word or two; a name alone proves nothing."""
    if peer.trust == "self":
        return "this node"
    if not peer.proved:
        return "name only"
    if peer.contact is not None:
        return f"is {shortened(peer.contact, KNOWN - 3)}"
    return {"verified": "contact", "unverified": "unverified", "unknown": "new"}[peer.trust]


def named(peer: status.PeerView) -> str:
    """A peer in a sentence: its name and how it is known."""
    return f"{escape(peer.peer_id)} ({known_as(peer)})"


def peer_row(peer: status.PeerView) -> tuple[str, ...]:
    """One peer, for columns."""
    if peer.proved or peer.trust == "self":
        trust = {"self": "this node"}.get(peer.trust, peer.trust)
        if peer.contact is not None:
            trust = f"{trust}, is {peer.contact}"
        return (peer.peer_id, trust, peer.fingerprint or "")
    if peer.pinned is None:
        return (peer.peer_id, "name only", "")
    return (peer.peer_id, "name only", f"pinned {peer.pinned}, key not shown yet")


# ---- wallets ----


def wallet_list(wallets: Sequence[status.WalletView]) -> list[str]:
    """Wallets, a row each; what is pending stands under its wallet, where no column makes it too wide."""
    rows = columns(
        (one.name, one.state, f"{one.threshold} of {one.total}", one.peer_id, one.wallet_id) for one in wallets
    )
    notes = ([f"{INDENT}{note}"] if (note := pending_line(one)) else [] for one in wallets)
    return [line for row, under in zip(rows, notes, strict=True) for line in (row, *under)]


def pending_line(wallet: status.WalletView) -> str:
    """Say which epoch is pending and whose word is missing; the text is empty where no epoch is."""
    if wallet.pending is None:
        return ""
    return f"epoch {wallet.pending} is pending: no word yet from {listed(wallet.missing)}"


def wallet_lines(wallet: status.WalletView) -> list[str]:
    """One wallet in full; a pending one without group public keys, because nothing may be sent to it.

    No line of it is longer than 80 columns unless a name or the participants are.
    """
    lines = [
        f"wallet        {escape(wallet.name)}",
        f"id            {wallet.wallet_id}",
        f"state         {wallet.state}",
        f"signers       {wallet.threshold} of {wallet.total}",
        f"participants  {listed(wallet.participants)}",
        f"this node     {escape(wallet.peer_id)}, identifier {wallet.identifier}",
        f"epoch         {wallet.epoch}",
        f"epoch id      {wallet.epoch_id}",
        f"certificate   {_certificate(wallet)}",
        f"safety words  {_VERIFIED[wallet.verified]}",
        f"passphrase    {_GUESS.get(wallet.kdf, 'a guess has a cost of its own')}",
    ]
    if wallet.pending is not None:
        lines.append(f"note          {pending_line(wallet)}")
    for suite, key in sorted(wallet.group_public_keys.items()):
        lines += [f"public key    {escape(suite)}", f"    {escape(key)}"]
    for chain, text in sorted(wallet.addresses.items()):
        lines += [f"address       {escape(chain)}", f"    {escape(text)}"]
    return lines


def _certificate(wallet: status.WalletView) -> str:
    if wallet.certificate_valid:
        return f"valid, signed by all {wallet.total}"
    return f"not yet: {counted(wallet.signatures, 'signature')} of {wallet.total}"


# ---- what is to be signed ----


def message_rows(sign: status.SignView, width: int) -> list[str]:
    """What is to be signed, whole, from this node's own copy: each message behind its length, its hash, what is signed.

    The bytes that are signed are those that ``sign`` and ``verify`` print, and other programs check a signature with.
    """
    rows = []
    many = len(sign.messages) > 1
    for number, (message, digest, signed) in enumerate(zip(sign.messages, sign.hashes, sign.signed, strict=True), 1):
        which = f"message {number} of {len(sign.messages)}: " if many else ""
        content = bytes.fromhex(message)
        match sign.reading:
            case "text":
                text = content.decode()
                size = counted(len(text), "character")
                if len(text) != len(content):
                    size += f", {counted(len(content), 'byte')}"
                rows += [f"  {which}text, {size}", *untrusted(text, width)]
                rows += [*digest_rows("sha-256", digest, width), *digest_rows("signed ", signed, width)]
            case "file":
                file = FileContent.decode(content)
                rows.append(f"  {which}a file; its proposer says it has {counted(file.size, 'byte')} and is called")
                rows += untrusted(file.name, width)
                rows += [*digest_rows("sha-256", digest, width), *digest_rows("signed ", signed, width)]
            case "hex":
                rows.append(f"  {which}hex, {counted(len(content), 'byte')}")
                rows += hex_rows(message, width)
                rows.append("  these bytes are signed as they are: they may be a transaction")
                rows += digest_rows("sha-256", digest, width)
    if sign.merkle_root is not None:
        if sign.merkle_root:
            rows += digest_rows("for the key tweaked with the script tree", sign.merkle_root, width)
        else:
            rows.append("  for the key tweaked with no script tree")
    return [cut for row in rows for cut in ([row] if row.startswith(MARGIN) else wrapped(row, width))]


def what_is_signed(sign: status.SignView) -> str:
    """The messages in a question: ``this text``, ``these 100 texts``."""
    noun = {"text": "text", "hex": "message in hexadecimal", "file": "file"}[sign.reading]
    if len(sign.messages) == 1:
        return f"this {noun}"
    return f"these {len(sign.messages)} {'messages in hexadecimal' if sign.reading == 'hex' else f'{noun}s'}"


def count_of(sign: status.SignView) -> str:
    """How many messages of what kind: ``1 text``, ``100 texts``."""
    noun = {"text": "text", "hex": "hexadecimal message", "file": "file"}[sign.reading]
    return counted(len(sign.messages), noun)


def digest_rows(label: str, digest: str, width: int) -> list[str]:
    """A hash behind its label; in rows of its own where the terminal is too narrow for both."""
    if len(label) + len(digest) + 4 <= width:
        return [f"  {label}  {digest}"]
    if len(digest) + 4 <= width:
        return [f"  {label.rstrip()}", f"    {digest}"]
    half = (len(digest) + 1) // 2
    return [f"  {label.rstrip()}", f"    {digest[:half]}", f"    {digest[half:]}"]


def signature_lines(signature: status.SignatureView) -> list[str]:
    """Signatures in full, each behind the bytes that it is over, after the names of the signers."""
    lines = [
        f"wallet      {escape(signature.name)}",
        f"suite       {escape(signature.suite)}",
        f"public key  {signature.public_key}",
        f"signers     {listed(signature.signers)}",
    ]
    if signature.attempts > 1:
        lines.append(f"attempts    {signature.attempts}")
    lines += [f"failed      {listed(failure.named)}: {escape(failure.message, 300)}" for failure in signature.failures]
    for signed, one in zip(signature.signed, signature.signatures, strict=True):
        lines += [f"signed      {signed or 'no bytes'}", f"signature   {one}"]
    return lines


# ---- times ----


def clock(milliseconds: int) -> str:
    """Unix milliseconds as the time of day here."""
    return time.strftime("%H:%M", time.localtime(milliseconds / 1000))


def code_lines(code: status.PairingCode, *, server: str | None) -> list[str]:
    """Say what to do with a code; ``server`` where it is not the one that everybody uses anyway."""
    there = f" --server {escape(server, 1100)}" if server is not None else ""
    return [
        f"tell this code to the other side by voice or in person; it works once, until {clock(code.until)}",
        f"there: mpcnode pair {escape(code.code)}{there}",
    ]


def until(milliseconds: int | None) -> str:
    """When a wait ends, for the end of a sentence; nothing where that is not known."""
    return f" until {clock(milliseconds)}" if milliseconds is not None else ""


def proposal_line(event: status.Proposed) -> str:
    """Who proposes what."""
    proposer, wallet = escape(event.proposer), escape(event.wallet)
    if event.kind == "sign":
        what = f" {count_of(event.sign)}" if event.sign is not None else ""
        return f"{proposer} proposes to sign{what} with the wallet {wallet}, {listed(event.suites)}"
    if event.kind == "refresh":
        return f"{proposer} proposes new shares of the wallet {wallet}"
    return f"{proposer} proposes the wallet {wallet}, {event.threshold} of {event.total}"


def title(event: status.Proposed) -> str:
    """What a session is about, for the head of a screen."""
    quorum = f"{event.threshold} of {event.total}"
    wallet = escape(event.wallet)
    if event.kind == "sign":
        return f"sign with {wallet}  {quorum} asked"
    return f"new shares of {wallet}  {quorum}" if event.kind == "refresh" else f"{wallet}  {quorum}"


def names_of(participants: Sequence[status.PeerView]) -> str:
    """Everybody in a sentence, each with how it is known."""
    return ", ".join(map(named, participants))
